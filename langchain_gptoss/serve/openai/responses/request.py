"""Requests of the Responses API: their fields, and the same options under LangChain's names."""

from __future__ import annotations

import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from langchain_gptoss.serve.error_responses import RequestRefused

_LOGPROBS = "message.output_text.logprobs"
_MAX_METADATA = 16
_COPIED_NAMES = (
    "instructions", "max_output_tokens", "max_tool_calls", "metadata", "model", "parallel_tool_calls",
    "previous_response_id", "prompt_cache_key", "safety_identifier", "store", "temperature", "tool_choice",
    "top_logprobs", "top_p", "user",
)  # fmt: skip
_UNSUPPORTED = {
    "background": "Every response is created at once.",
    "conversation": "Continue a conversation with previous_response_id.",
    "prompt": "Pass the text as instructions and input.",
}


class _Options(BaseModel):
    """Options in which null means the default."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {name: value for name, value in values.items() if value is not None}
        return values


class ReasoningOptions(_Options):
    """Options of the reasoning.

    Attributes:
        effort: How much the model reasons.
        summary: Any value gives the reasoning as a summary, which is the form that most clients show.
    """

    effort: Literal["low", "medium", "high"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class TextOptions(_Options):
    """Options of the text.

    Attributes:
        format: The form of the answer: text, a JSON object, or JSON of a schema.
        verbosity: Without effect.
    """

    format: dict[str, Any] = Field(default_factory=lambda: {"type": "text"})
    verbosity: Literal["low", "medium", "high"] | None = None


class ResponseRequest(_Options):
    """A request for a response."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: str | list[Any]
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool = True
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_output_tokens: int | None = Field(default=None, ge=1)
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    include: list[str] = Field(default_factory=list)
    reasoning: ReasoningOptions = Field(default_factory=ReasoningOptions)
    text: TextOptions = Field(default_factory=TextOptions)
    tools: list[Any] = Field(default_factory=list)
    tool_choice: str | dict[str, Any] = "auto"
    parallel_tool_calls: bool = True
    metadata: dict[str, str] = Field(default_factory=dict, max_length=_MAX_METADATA)
    # Not in OpenAI's API; other servers have them, too.
    seed: int | None = None
    stop: str | list[str] | None = None
    # OpenAI's bookkeeping, without effect on an answer.
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    max_tool_calls: int | None = None
    truncation: Literal["auto", "disabled"] = "disabled"
    # Refused unless they are switched off.
    background: bool = False
    conversation: Any = None
    prompt: Any = None

    @property
    def ignored_names(self) -> list[str]:
        """The fields that have no effect although they could change an answer."""
        names = list(self.model_extra or {})
        if self.truncation == "auto":
            names.append("truncation")
        if self.text.verbosity not in (None, "medium"):
            names.append("text.verbosity")
        return names

    @property
    def has_logprobs(self) -> bool:
        """True if the client asks for log-probabilities."""
        return _LOGPROBS in self.include or bool(self.top_logprobs)

    def check_support(self) -> None:
        """Check that this server can do what the request asks for.

        Raises:
            RequestRefused: It cannot; the refusal names the field.
        """
        for name, hint in _UNSUPPORTED.items():
            if getattr(self, name):
                raise RequestRefused(400, f"{name} is not supported. {hint}", param=name)
        if self.text.format.get("type") not in ("text", "json_object", "json_schema"):
            message = f"text.format.type is {self.text.format.get('type')!r}; use text, json_object or json_schema."
            raise RequestRefused(400, message, param="text.format.type")
        for number, tool in enumerate(self.tools):
            _check_tool(tool, f"tools[{number}]")
        _check_tool_choice(self.tool_choice)

    def get_model_options(self) -> dict[str, Any]:
        """Return the options that are set, under LangChain's names."""
        options: dict[str, Any] = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "max_tokens": self.max_output_tokens,
            "stop": [self.stop] if isinstance(self.stop, str) else self.stop,
            "reasoning_effort": self.reasoning.effort,
            "response_format": _convert_format(self.text.format),
            "logprobs": self.has_logprobs or None,
            "top_logprobs": self.top_logprobs if self.has_logprobs else None,
        }
        if self.tools:
            options["tools"] = [_convert_tool(tool) for tool in self.tools]
            options["parallel_tool_calls"] = self.parallel_tool_calls
        if self.tools or self.tool_choice != "auto":
            options["tool_choice"] = _convert_tool_choice(self.tool_choice)
        return {name: value for name, value in options.items() if value is not None}

    def build_response(self, response_id: str) -> dict[str, Any]:
        """Return the response before its output."""
        return {
            "id": response_id,
            "object": "response",
            "created_at": int(time.time()),
            "completed_at": None,
            "status": "in_progress",
            "background": False,
            "error": None,
            "incomplete_details": None,
            "output": [],
            "reasoning": self.reasoning.model_dump(),
            "service_tier": "default",
            "text": self.text.model_dump(exclude_none=True),
            "tools": [{"description": None, "parameters": None, "strict": None, **tool} for tool in self.tools],
            "truncation": "disabled",
            "usage": None,
            **{name: getattr(self, name) for name in _COPIED_NAMES},
        }


def _check_tool(tool: Any, place: str) -> None:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind != "function":
        message = (
            f"{place} is of type {kind!r}, and this server runs no tools of its own. Pass tools of type 'function'."
        )
        raise RequestRefused(400, message, param=f"{place}.type")
    if not isinstance(tool.get("name"), str):
        hint = " It stands beside 'type', not inside 'function'." if "function" in tool else ""
        raise RequestRefused(400, f"{place}.name is missing.{hint}", param=f"{place}.name")
    if not isinstance(tool.get("parameters") or {}, dict):
        raise RequestRefused(400, f"{place}.parameters must be a JSON schema.", param=f"{place}.parameters")


def _check_tool_choice(choice: str | dict[str, Any]) -> None:
    kind = choice if isinstance(choice, str) else choice.get("type")
    kinds = ("auto", "none", "required") if isinstance(choice, str) else ("function", "allowed_tools")
    if kind not in kinds:
        message = (
            f"tool_choice is {kind!r}; it must be one of auto, none, required, or of type function or allowed_tools."
        )
        raise RequestRefused(400, message, param="tool_choice")


def _convert_tool(tool: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {name: tool[name] for name in names if tool.get(name) is not None}}


def _convert_tool_choice(choice: str | dict[str, Any]) -> str | dict[str, Any]:
    if isinstance(choice, dict) and choice["type"] == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return choice


def _convert_format(text_format: dict[str, Any]) -> dict[str, Any] | None:
    """Return a format in the form of chat completions; None for text."""
    if text_format["type"] == "text":
        return None
    if text_format["type"] == "json_object":
        return {"type": "json_object"}
    names = ("name", "description", "schema", "strict")
    body = {name: text_format[name] for name in names if text_format.get(name) is not None}
    return {"type": "json_schema", "json_schema": body}
