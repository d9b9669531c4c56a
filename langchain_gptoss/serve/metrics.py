"""Metrics of a server in Prometheus' format: requests, answers, tokens, seconds and errors."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from langchain_gptoss.chatbot import ChatbotOutput
from langchain_gptoss.engine import EngineStats
from langchain_gptoss.serve.engine_metrics import EngineCollector

_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """The metrics of one application.

    Attributes:
        registry: Holds the metrics.
        answering: Number of answers in progress.
        handler: LangChain callback handler that counts answers, tokens and errors.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry: dict[str, Any] = {"registry": self.registry}
        self._requests = Counter("gptoss_requests", "Requests by route and status.", ["route", "status"], **registry)
        self._request_seconds = Histogram(
            "gptoss_request_seconds", "Seconds by route.", ["route"], buckets=_BUCKETS_S, **registry
        )
        self.answering = Gauge("gptoss_answering", "Answers in progress.", **registry)
        self._answers = Counter("gptoss_answers", "Answers of the chatbot by outcome.", ["outcome"], **registry)
        self._step_seconds = Histogram(
            "gptoss_step_seconds", "Seconds by step of an answer.", ["step"], buckets=_BUCKETS_S, **registry
        )
        self._tokens = Counter("gptoss_tokens", "Tokens read and written by the model.", ["kind"], **registry)
        self._errors = Counter("gptoss_errors", "Answers that failed, by error.", ["error"], **registry)
        self.handler: BaseCallbackHandler = _MetricsHandler(self)

    def add_engine(self, read_stats: Callable[[], EngineStats | None]) -> None:
        """Add the metrics of an engine.

        Args:
            read_stats: Returns the engine's counters; None if it is not loaded.
        """
        self.registry.register(EngineCollector(read_stats))

    def count_request(self, route: str, status_code: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status_code)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def count_answer(self, output: ChatbotOutput) -> None:
        """Count an answer of the chatbot."""
        self._answers.labels("declined" if output.abstained else "answered").inc()
        for step, seconds in output.timings.items():
            self._step_seconds.labels(step).observe(seconds)

    def count_tokens(self, usage: Any) -> None:
        """Count the tokens of one call of the model.

        Args:
            usage: LangChain's `UsageMetadata`, or None.
        """
        for kind in ("input", "output"):
            self._tokens.labels(kind).inc((usage or {}).get(f"{kind}_tokens") or 0)

    def count_error(self, error: BaseException) -> None:
        """Count an answer that failed."""
        self._errors.labels(type(error).__name__).inc()

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return bytes(generate_latest(self.registry))


class _MetricsHandler(BaseCallbackHandler):
    """Counts results that LangChain reports, independent of the route."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def on_chain_end(self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        """Count the answer of a chatbot."""
        if isinstance(outputs, ChatbotOutput):
            self._metrics.count_answer(outputs)

    def on_llm_end(
        self, response: LLMResult, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """Count the tokens of a model's call."""
        for generations in response.generations:
            for generation in generations:
                self._metrics.count_tokens(getattr(getattr(generation, "message", None), "usage_metadata", None))

    def on_chain_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """Count the error of an outermost run. A cancelled run is not an error: the client disconnected."""
        if parent_run_id is None and isinstance(error, Exception):
            self._metrics.count_error(error)

    on_llm_error = on_chain_error
