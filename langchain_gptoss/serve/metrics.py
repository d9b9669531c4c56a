"""What a server counts, in Prometheus' format: requests, answers, tokens, seconds, faults."""

from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from langchain_gptoss.chatbot import ChatbotOutput

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """The counters of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        named: dict[str, Any] = {"registry": self.registry}
        self._requests = Counter("gptoss_requests", "Requests by route and status.", ["route", "status"], **named)
        self._seconds = Histogram("gptoss_request_seconds", "Seconds by route.", ["route"], buckets=_SECONDS, **named)
        self.answering = Gauge("gptoss_answering", "Answers that are being written.", **named)
        self._answers = Counter("gptoss_answers", "Answers of the chatbot by outcome.", ["outcome"], **named)
        self._steps = Histogram(
            "gptoss_step_seconds", "Seconds by step of an answer.", ["step"], buckets=_SECONDS, **named
        )
        self._tokens = Counter("gptoss_tokens", "Tokens read and written by the model.", ["kind"], **named)
        self._errors = Counter("gptoss_errors", "Answers that failed, by error.", ["error"], **named)
        self.callbacks = _Listener(self)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Counts a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def answer(self, output: ChatbotOutput) -> None:
        """Counts an answer of the chatbot."""
        self._answers.labels("declined" if output.abstained else "answered").inc()
        for step, seconds in output.timings.items():
            self._steps.labels(step).observe(seconds)

    def tokens(self, usage: Any) -> None:
        """Counts the tokens of one call of the model."""
        for kind in ("input", "output"):
            self._tokens.labels(kind).inc((usage or {}).get(f"{kind}_tokens") or 0)

    def error(self, error: BaseException) -> None:
        """Counts an answer that failed."""
        self._errors.labels(type(error).__name__).inc()

    def written(self) -> bytes:
        """Returns all of it as Prometheus reads it."""
        return bytes(generate_latest(self.registry))


class _Listener(BaseCallbackHandler):
    """Hears from LangChain what a request has come to, whichever route it came in by."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def on_chain_end(self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        if isinstance(outputs, ChatbotOutput):
            self._metrics.answer(outputs)

    def on_llm_end(
        self, response: LLMResult, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        for generations in response.generations:
            for generation in generations:
                self._metrics.tokens(getattr(getattr(generation, "message", None), "usage_metadata", None))

    def on_chain_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        # A client that leaves is no fault.
        if parent_run_id is None and isinstance(error, Exception):
            self._metrics.error(error)

    on_llm_error = on_chain_error
