"""Requests for chat completions: their fields, and the options of the chat model that they set."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.openai.messages import SentMessage
from langchain_gptoss.serve.openai.requests import Array, Flag, Integer, RequestPart
from langchain_gptoss.serve.openai.sampling import MAX_CACHE_KEY_LENGTH, SamplingFields

_CHOICES = ("none", "auto", "required")


class Function(RequestPart):
    """A function that the model may call."""

    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: Flag | None = None

    def to_tool(self) -> dict[str, Any]:
        """Return the function as a tool in OpenAI's form."""
        names = ("name", "description", "parameters", "strict")
        fields = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return {"type": "function", "function": fields}


class OfferedTool(RequestPart):
    """A tool of a request."""

    type: Literal["function"] = "function"
    function: Function


class ToolName(RequestPart):
    """The name of a tool: `{"type": "function", "function": {"name": ...}}`, or the same without the inner object."""

    type: Literal["function"] = "function"
    name: str

    @model_validator(mode="before")
    @classmethod
    def _merge_function(cls, values: Any) -> Any:
        return _merge_inner(values, "function")


class AllowedTools(RequestPart):
    """The tools that an answer may call, and whether it must call one; with or without an inner `allowed_tools`."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"] = "auto"
    tools: Array[ToolName] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _merge_allowed_tools(cls, values: Any) -> Any:
        return _merge_inner(values, "allowed_tools")


def _merge_inner(values: Any, name: str) -> Any:
    """Return an object with the fields of one of its objects beside its own."""
    inner = values.get(name) if isinstance(values, dict) else None
    if not isinstance(inner, dict):
        return values
    return {**{key: value for key, value in values.items() if key != name}, **inner}


def _choose_form(choice: Any) -> str:
    if not isinstance(choice, dict):
        return "<mode>"
    return "<allowed>" if choice.get("type") == "allowed_tools" else "<tool>"


ToolChoice = Annotated[
    Annotated[str, Tag("<mode>")] | Annotated[AllowedTools, Tag("<allowed>")] | Annotated[ToolName, Tag("<tool>")],
    Discriminator(_choose_form),
]


class NamedSchema(RequestPart):
    """The schema of an answer."""

    name: str | None = None
    description: str | None = None
    json_schema: dict[str, Any] = Field(alias="schema")
    strict: Flag | None = None


class RequestedFormat(RequestPart):
    """The form of an answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None
    # llama.cpp's form of a schema, beside the type json_object
    plain_schema: dict[str, Any] | None = Field(default=None, alias="schema")


class ChatCompletionRequest(SamplingFields):
    """A request for a chat completion."""

    messages: Array[SentMessage] = Field(min_length=1)
    max_completion_tokens: Integer | None = Field(default=None, ge=1)
    logprobs: Flag = False
    top_logprobs: Integer | None = Field(default=None, ge=0, le=20)
    reasoning_effort: Literal["low", "medium", "high"] | None = None
    include_reasoning: Flag | None = None
    tools: Array[OfferedTool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: Flag | None = None
    response_format: RequestedFormat | None = None
    modalities: Array[Literal["text"]] | None = None
    # OpenAI's older form of tools
    functions: Array[Function] | None = None
    function_call: ToolChoice | None = None
    prompt_cache_key: str | None = Field(default=None, max_length=MAX_CACHE_KEY_LENGTH)
    # OpenAI's bookkeeping, without effect on an answer
    metadata: dict[str, Any] | None = None
    store: Flag | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_retention: str | None = None

    @property
    def uses_functions(self) -> bool:
        """True if the request offers functions in OpenAI's older form, and expects a call in it."""
        return bool(self.functions)

    def get_model_options(self, choice: int = 0) -> dict[str, Any]:
        """Return the options that are set, under LangChain's names.

        Args:
            choice: Position among the answers to this request.

        Raises:
            RequestRefused: Two fields contradict each other.
        """
        options = self.get_sampling_options(choice)
        if self.max_completion_tokens is not None:
            options["max_tokens"] = self.max_completion_tokens
        if self.top_logprobs and not self.logprobs:
            raise _refuse("top_logprobs", "it needs 'logprobs': true")
        options["logprobs"], options["top_logprobs"] = self.logprobs or None, self.top_logprobs or None
        options["reasoning_effort"], options["include_reasoning"] = self.reasoning_effort, self.include_reasoning
        options["response_format"] = self._read_response_format()
        return {name: value for name, value in (options | self._read_tools()).items() if value is not None}

    def _read_tools(self) -> dict[str, Any]:
        if self.functions and self.tools:
            raise _refuse("functions", "send 'tools' or 'functions', not both")
        if self.functions:
            tools = [function.to_tool() for function in self.functions]
            choice, field = self.function_call, "function_call"
        else:
            tools = [tool.function.to_tool() for tool in self.tools or []]
            choice, field = self.tool_choice, "tool_choice"
        names = [tool["function"]["name"] for tool in tools]
        tool_choice = read_tool_choice(choice, names, field)
        if not tools:
            return {}
        is_parallel = False if self.functions else self.parallel_tool_calls
        return {"tools": tools, "tool_choice": tool_choice, "parallel_tool_calls": is_parallel}

    def _read_response_format(self) -> dict[str, Any] | None:
        requested = self.response_format
        if requested is None or requested.type == "text":
            return None
        if requested.type == "json_object" and requested.plain_schema is None:
            return {"type": "json_object"}
        if requested.type == "json_object":
            return {"type": "json_schema", "json_schema": {"name": "answer", "schema": requested.plain_schema}}
        named = requested.json_schema
        if named is None:
            message = "Missing required parameter: 'response_format.json_schema'."
            raise RequestRefused(400, message, param="response_format.json_schema", code="missing_required_parameter")
        fields: dict[str, Any] = {
            "name": named.name or "answer",
            "description": named.description,
            "schema": named.json_schema,
        }
        fields["strict"] = named.strict
        return {
            "type": "json_schema",
            "json_schema": {name: value for name, value in fields.items() if value is not None},
        }


def read_tool_choice(choice: str | AllowedTools | ToolName | None, names: Collection[str], field: str) -> Any:
    """Return a tool choice in the form of the chat model; None leaves the choice to the model.

    Raises:
        RequestRefused: The choice names a tool that is not offered, or requires a call without tools.
    """
    if isinstance(choice, str):
        if choice not in (*_CHOICES, "any", *names):
            raise _refuse(field, f"{choice!r} is none of {', '.join([*_CHOICES, *names])}")
        if choice in ("required", "any") and not names:
            raise _refuse(field, "it requires a call, and the request offers no tools")
        return choice
    if isinstance(choice, ToolName):
        return _name_tool(choice, names, field)
    if isinstance(choice, AllowedTools):
        tools = [_name_tool(tool, names, field) for tool in choice.tools]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}
    return None


def _name_tool(tool: ToolName, names: Collection[str], field: str) -> dict[str, Any]:
    if tool.name not in names:
        raise _refuse(field, f"{tool.name!r} is not among the offered tools ({', '.join(names) or 'none'})")
    return {"type": "function", "function": {"name": tool.name}}


def _refuse(field: str, reason: str) -> RequestRefused:
    return RequestRefused(400, f"Invalid '{field}': {reason}.", param=field, code="invalid_value")
