"""Requests of the Responses API: their fields, and the same options under LangChain's names."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.openai.chat_requests import Function, ToolChoice, read_tool_choice
from langchain_gptoss.serve.openai.requests import Flag, Integer, RequestPart, list_ignored_fields
from langchain_gptoss.serve.openai.sampling import MAX_CACHE_KEY_LENGTH, SamplingFields

_LOGPROBS = "message.output_text.logprobs"
_ENCRYPTED_REASONING = "reasoning.encrypted_content"
_MAX_METADATA = 16
_COPIED_NAMES = (
    "instructions", "max_output_tokens", "max_tool_calls", "metadata", "model", "parallel_tool_calls",
    "previous_response_id", "prompt_cache_key", "safety_identifier", "store", "temperature", "top_logprobs", "top_p",
    "user",
)  # fmt: skip
_UNSUPPORTED = {
    "background": "Every response is created at once.",
    "conversation": "Continue a conversation with previous_response_id.",
    "prompt": "Pass the text as instructions and input.",
}


class ReasoningOptions(RequestPart):
    """Options of the reasoning.

    Attributes:
        effort: How much the model reasons.
        summary: Any value gives the reasoning as a summary, which is the form that most clients show.
    """

    effort: Literal["low", "medium", "high"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class TextFormat(RequestPart):
    """The form of the answer: text, a JSON object, or JSON of a schema."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    description: str | None = None
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: Flag | None = None


class TextOptions(RequestPart):
    """Options of the text."""

    format: TextFormat = Field(default_factory=TextFormat)
    verbosity: Literal["low", "medium", "high"] | None = None


class FunctionTool(Function):
    """A function that the model may call. Tools that OpenAI runs itself have other types and are refused."""

    type: Literal["function"]


class ResponseRequest(SamplingFields):
    """A request for a response. Besides the fields of OpenAI's API it has the other sampling fields of this server."""

    input: str | list[Any]
    instructions: str | None = None
    previous_response_id: str | None = None
    store: Flag = True
    max_output_tokens: Integer | None = Field(default=None, ge=1)
    top_logprobs: Integer | None = Field(default=None, ge=0, le=20)
    include: list[str] = Field(default_factory=list)
    reasoning: ReasoningOptions = Field(default_factory=ReasoningOptions)
    text: TextOptions = Field(default_factory=TextOptions)
    tools: list[FunctionTool] = Field(default_factory=list)
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: Flag = True
    metadata: Annotated[dict[str, str], Field(max_length=_MAX_METADATA)] = Field(default_factory=dict)
    prompt_cache_key: str | None = Field(default=None, max_length=MAX_CACHE_KEY_LENGTH)
    # OpenAI's bookkeeping, without effect on an answer
    safety_identifier: str | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None
    max_tool_calls: Integer | None = None
    truncation: Literal["auto", "disabled"] = "disabled"
    # Refused unless they are switched off
    background: Flag = False
    conversation: Any = None
    prompt: Any = None

    @field_validator("tools", mode="before")
    @classmethod
    def _refuse_hosted_tools(cls, tools: Any) -> Any:
        for number, tool in enumerate(tools if isinstance(tools, list) else []):
            kind = tool.get("type") if isinstance(tool, dict) else "function"
            if isinstance(kind, str) and kind != "function":
                place = f"tools[{number}].type"
                message = (
                    f"Invalid value for '{place}': {kind!r}. This server runs no tools of its own; use 'function'."
                )
                raise RequestRefused(400, message, param=place, code="invalid_value")
        return tools

    @property
    def ignored_fields(self) -> list[str]:
        """The fields that have no effect although they could change an answer."""
        without_effect = {
            "n": self.n != 1,
            "truncation": self.truncation == "auto",
            "text.verbosity": self.text.verbosity not in (None, "medium"),
        }
        return [*list_ignored_fields(self), *(name for name, is_ignored in without_effect.items() if is_ignored)]

    @property
    def has_logprobs(self) -> bool:
        """True if the client asks for log-probabilities."""
        return _LOGPROBS in self.include or bool(self.top_logprobs)

    @property
    def has_encrypted_reasoning(self) -> bool:
        """True if the client asks for reasoning that it can send back although it cannot read it."""
        return _ENCRYPTED_REASONING in self.include

    def check_support(self) -> None:
        """Check that this server can do what the request asks for.

        Raises:
            RequestRefused: It cannot; the refusal names the field.
        """
        for name, hint in _UNSUPPORTED.items():
            if getattr(self, name):
                raise RequestRefused(400, f"{name} is not supported. {hint}", param=name)
        if self.text.format.type == "json_schema" and self.text.format.json_schema is None:
            message = "Missing required parameter: 'text.format.schema'."
            raise RequestRefused(400, message, param="text.format.schema", code="missing_required_parameter")

    def get_model_options(self) -> dict[str, Any]:
        """Return the options that are set, under LangChain's names.

        Raises:
            RequestRefused: The tool choice names a tool that is not offered, or requires a call without tools.
        """
        options = self.get_sampling_options()
        if self.max_output_tokens is not None:
            options["max_tokens"] = self.max_output_tokens
        options["logprobs"] = self.has_logprobs or None
        options["top_logprobs"] = self.top_logprobs if self.has_logprobs else None
        options["reasoning_effort"] = self.reasoning.effort
        options["response_format"] = self._convert_format()
        names = [tool.name for tool in self.tools]
        tool_choice = read_tool_choice(self.tool_choice, names, "tool_choice")
        if self.tools:
            options["tools"] = [tool.to_tool() for tool in self.tools]
            options["tool_choice"], options["parallel_tool_calls"] = tool_choice, self.parallel_tool_calls
        return {name: value for name, value in options.items() if value is not None}

    def build_response(self, response_id: str) -> dict[str, Any]:
        """Return the response before its output."""
        choice = self.tool_choice
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
            "reasoning": {"effort": self.reasoning.effort, "summary": self.reasoning.summary},
            "service_tier": "default",
            "text": self.text.model_dump(exclude_none=True, by_alias=True),
            "tool_choice": choice if isinstance(choice, str) else _describe_tool_choice(choice),
            "tools": [tool.model_dump(include=set(FunctionTool.model_fields)) for tool in self.tools],
            "truncation": "disabled",
            "usage": None,
            **{name: getattr(self, name) for name in _COPIED_NAMES},
        }

    def _convert_format(self) -> dict[str, Any] | None:
        """Return the format in the form of chat completions; None for text."""
        wanted = self.text.format
        if wanted.type == "text":
            return None
        if wanted.type == "json_object":
            return {"type": "json_object"}
        fields = {"name": wanted.name, "description": wanted.description, "strict": wanted.strict}
        body = {name: value for name, value in fields.items() if value is not None}
        return {"type": "json_schema", "json_schema": {**body, "schema": wanted.json_schema}}


def _describe_tool_choice(choice: RequestPart) -> dict[str, Any]:
    return choice.model_dump(include=set(type(choice).model_fields))
