"""Metrics of the engine behind a chat model, read from its counters when Prometheus asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from langchain_gptoss.engine import EngineStats

_GAUGES = {
    "running": "Requests in the batch.",
    "waiting": "Requests that wait for a place.",
    "cache_bytes": "Memory budget of the KV cache.",
    "used_bytes": "Part of the KV cache that running requests hold.",
    "reusable_bytes": "Part of the KV cache that only the prefix cache holds.",
}
_COUNTERS = {
    "rejected": "Requests that were refused because the queue was full.",
    "preempted": "Times that a running request gave its memory to another one.",
    "steps": "Forward passes.",
    "prompt_tokens": "Tokens of all prompts of requests that started.",
    "cached_tokens": "Those of them that came from the prefix cache.",
    "generated_tokens": "Tokens of all answers.",
    "draft_tokens": "Tokens that speculation proposed.",
    "accepted_tokens": "Those of them that the model confirmed.",
}


class EngineCollector(Collector):
    """Collector of the counters of one engine; an engine that is not loaded has no metrics."""

    def __init__(self, read_stats: Callable[[], EngineStats | None]) -> None:
        """Create a collector.

        Args:
            read_stats: Returns the state and counters at this moment; None if the engine is not loaded.
        """
        self._read_stats = read_stats

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        stats = self._read_stats()
        if stats is None:
            return
        for name, text in _GAUGES.items():
            yield GaugeMetricFamily(f"gptoss_engine_{name}", text, value=getattr(stats, name))
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(f"gptoss_engine_{name}", text, value=getattr(stats, name))
        yield CounterMetricFamily("gptoss_engine_busy_seconds", "Time in forward passes.", value=stats.busy_s)
        finished = CounterMetricFamily("gptoss_engine_finished", "Requests that ended, by reason.", labels=["reason"])
        for reason, count in sorted(stats.finished.items()):
            finished.add_metric([reason], count)
        yield finished
