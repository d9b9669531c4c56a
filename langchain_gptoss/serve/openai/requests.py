"""Requests of OpenAI's API: their fields, and the errors that name a wrong one."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.inputs import describe_validation_error

RequestT = TypeVar("RequestT", bound=BaseModel)


class StreamOptions(BaseModel):
    """Options of a stream."""

    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class ChatCompletionRequest(BaseModel):
    """A request for a chat completion. Unknown fields are refused, so that no option is ignored unnoticed."""

    model_config = ConfigDict(extra="forbid")

    model: str
    messages: list[dict[str, Any]] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: str | list[str] | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    reasoning_effort: Literal["low", "medium", "high"] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    n: Literal[1] | None = None
    # Not supported; many clients send the values that switch them off.
    frequency_penalty: float | None = Field(default=None, ge=0, le=0)
    presence_penalty: float | None = Field(default=None, ge=0, le=0)
    logit_bias: dict[str, Any] | None = Field(default=None, max_length=0)
    user: str | None = None
    # OpenAI's bookkeeping, without effect on an answer.
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    def get_model_options(self) -> dict[str, Any]:
        """Return the options that are set, under LangChain's names."""
        names = ("temperature", "top_p", "seed", "reasoning_effort", "tools", "tool_choice", "parallel_tool_calls")
        options = {name: getattr(self, name) for name in (*names, "response_format")}
        options["logprobs"], options["top_logprobs"] = self.logprobs or None, self.top_logprobs
        options["max_tokens"] = self.max_completion_tokens or self.max_tokens
        options["stop"] = [self.stop] if isinstance(self.stop, str) else self.stop
        return {name: value for name, value in options.items() if value is not None}


def parse_request(body: bytes, kind: type[RequestT]) -> RequestT:
    """Return the request in a body.

    Raises:
        RequestRefused: The body is not such a request; the refusal names the first wrong field.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        field = ".".join(map(str, error.errors()[0]["loc"])) or None
        message = describe_validation_error(error) if field else f"The request: {describe_validation_error(error)}"
        supported = " One answer is supported, n=1." if field == "n" else ""
        raise RequestRefused(400, f"{message}{supported}", param=field) from None
