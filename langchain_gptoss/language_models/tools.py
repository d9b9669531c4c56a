"""Tools, tool choices and response formats, from every shape that LangChain users write them in."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.tool import invalid_tool_call
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from langchain_gptoss.chat_formats.base import ResponseFormat, Tool
from langchain_gptoss.errors import InvalidInputError

_OTHER_FORMS = {"function", "json_schema", "parameters", "input_schema", "toolSpec"}
_SCHEMA_KEYS = {"type", "properties", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"}

AnyTool = Mapping[str, Any] | type | Callable[..., Any] | BaseTool


def named(schema: Any) -> Any:
    """Returns a JSON schema as `{"name": ..., "parameters": {...}}`; everything else as it is.

    LangChain reads both, and of a bare schema it drops everything but `properties`: a union, a reference, a list.
    """
    if not isinstance(schema, Mapping) or _OTHER_FORMS & schema.keys():
        return schema
    inner = schema.get("schema")  # OpenAI's {"name": ..., "schema": {...}}
    outer, described = (schema, inner) if isinstance(inner, Mapping) else ({}, schema)
    if ("name" in schema and not outer) or not _SCHEMA_KEYS & described.keys():
        return schema
    parameters = {key: value for key, value in described.items() if key not in {"title", "description"}}
    name = outer.get("name") or described.get("title") or "answer"
    description = outer.get("description") or described.get("description")
    return {"name": name, **({"description": description} if description else {}), "parameters": parameters}


def openai_tools(tools: Sequence[AnyTool], *, strict: bool | None = None) -> list[dict[str, Any]]:
    """Returns tools as OpenAI writes them, which is what LangChain passes on and traces show.

    Raises:
        InvalidInputError: One cannot be understood.
    """
    converted = []
    for tool in tools:
        try:
            converted.append(convert_to_openai_tool(_known(tool), strict=strict))
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise InvalidInputError(
                f"{tool!r} is not a tool: {error}. Pass a function with type hints and a docstring, a LangChain tool, "
                "a Pydantic model, a TypedDict, or a JSON schema."
            ) from error
        if not isinstance(converted[-1].get("function"), Mapping):
            raise InvalidInputError(
                f"{tool!r} is a tool that its provider runs; gpt-oss models have none of these. Pass a function or a "
                "LangChain tool that does the same."
            )
    return converted


def _known(tool: AnyTool) -> AnyTool:
    """Returns a tool as LangChain reads it whole: a schema with a title by its name, all others as they are."""
    is_schema = isinstance(tool, Mapping) and ("title" in tool or isinstance(tool.get("schema"), Mapping))
    known: AnyTool = named(tool) if is_schema else tool
    return known


def read_tools(tools: Sequence[AnyTool] | None, *, strict: bool | None = None) -> tuple[Tool, ...]:
    """Returns tools, as OpenAI writes them or in any shape that LangChain knows, for a chat format.

    Args:
        tools: The tools; `strict` counts for those that do not say it themselves.
        strict: Whether calls are held to their schema while they are written.

    Raises:
        InvalidInputError: One cannot be understood, or two have one name.
    """
    if not tools:
        return ()
    if not all(isinstance(tool, Mapping) and isinstance(tool.get("function"), Mapping) for tool in tools):
        tools = openai_tools(tools)
    read = []
    for tool in tools:
        function = tool["function"]  # type: ignore[index]
        if not isinstance(name := function.get("name"), str) or not name:
            raise InvalidInputError(f"A tool has no name: {dict(function)!r}. Give it one.")
        parameters = function.get("parameters") or {"type": "object", "properties": {}}
        if not isinstance(parameters, Mapping):
            raise InvalidInputError(f"The parameters of {name!r} are {parameters!r}; they must be a JSON schema.")
        description = function.get("description") or ""
        held = strict if function.get("strict") is None else bool(function["strict"])
        made = Tool(name=name, description=description, parameters=parameters, strict=held)
        read += [made] if made not in read else []  # one tool twice is one tool
    names = [tool.name for tool in read]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInputError(
            f"Two tools are called {doubled[0]!r}; the model could not tell them apart. Rename one."
        )
    return tuple(read)


def read_choice(choice: Any, names: Sequence[str]) -> str:
    """Returns a tool choice as `"auto"`, `"none"`, `"any"` or a tool's name.

    Args:
        choice: What OpenAI and LangChain accept: None, a bool, `"auto"`, `"none"`, `"any"`, `"required"`, a tool's
            name, or a dict that names one.
        names: Of the tools that are offered.

    Raises:
        InvalidInputError: It names no tool that is offered, or demands a call where there are no tools.
    """
    if isinstance(choice, Mapping):
        function = choice.get("function")
        choice = function.get("name") if isinstance(function, Mapping) else choice.get("name", choice.get("type"))
    if choice is None or choice is False:
        return "auto" if choice is None else "none"
    choice = "any" if choice is True or choice == "required" else choice
    if choice in {"auto", "none"} or choice in names:
        return str(choice)
    if choice != "any":
        near = difflib.get_close_matches(str(choice), [*names, "auto", "none", "any"], n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise InvalidInputError(f"tool_choice is {choice!r}; the tools are {', '.join(names) or 'none'}.{meant}")
    if not names:
        raise InvalidInputError("tool_choice demands a call, and no tools are offered. Bind tools first.")
    return "any"


def json_format(schema: Any, *, strict: bool | None = None) -> dict[str, Any]:
    """Returns a schema as OpenAI's `response_format`.

    Raises:
        InvalidInputError: It cannot be read as a JSON schema.
    """
    try:
        converted = dict(convert_to_json_schema(named(schema)))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InvalidInputError(
            f"{schema!r} cannot be read as a schema: {error}. Pass a Pydantic model, a TypedDict, or a JSON schema "
            "with a title."
        ) from error
    described = {"name": converted.pop("title", "answer"), "description": converted.pop("description", "")}
    return {
        "type": "json_schema",
        "json_schema": {**described, "schema": converted, "strict": strict is not False},
    }


def read_format(response_format: Any, *, strict: bool | None = None) -> tuple[ResponseFormat | None, bool]:
    """Returns a `response_format` for a chat format, and whether the answer is held to it.

    Args:
        response_format: As OpenAI writes it (`{"type": "json_schema", ...}`, `{"type": "json_object"}`), a schema in
            any of LangChain's shapes, or None.
        strict: Whether the answer is held to it, where it does not say so itself; None means yes.

    Raises:
        InvalidInputError: It cannot be read.
    """
    if response_format is None:
        return None, False
    kind = response_format.get("type") if isinstance(response_format, Mapping) else None
    if kind == "text":
        return None, False
    if kind == "json_object":
        return ResponseFormat(name="answer", schema={"type": "object"}, description="A JSON object."), True
    if kind != "json_schema":
        response_format = json_format(response_format, strict=strict)
    described = response_format.get("json_schema")
    if not isinstance(described, Mapping) or not isinstance(described.get("schema"), Mapping):
        raise InvalidInputError(
            f"response_format is {response_format!r}; a 'json_schema' needs {{'json_schema': {{'name': ..., "
            "'schema': {...}}}."
        )
    read = ResponseFormat(
        name=str(described.get("name") or "answer"),
        schema=described["schema"],
        description=str(described.get("description") or ""),
    )
    return read, described.get("strict", strict) is not False


def without_calls(message: AIMessage, broken: Mapping[str, str]) -> AIMessage:
    """Returns a message with some of its calls made invalid ones.

    Args:
        message: Its content may be a string, or the blocks of `output_version="v1"`.
        broken: The calls' arguments, as the model wrote them, by the calls' ids.
    """
    invalid = {
        str(call["id"]): invalid_tool_call(
            name=call["name"], args=broken[str(call["id"])], id=call["id"], error="The arguments are not a JSON object."
        )
        for call in message.tool_calls
        if call["id"] in broken
    }
    content = message.content
    if isinstance(content, list):
        content = [
            dict(invalid[block["id"]]) if isinstance(block, dict) and block.get("id") in invalid else block
            for block in content
        ]
    return message.model_copy(
        update={
            "content": content,
            "tool_calls": [call for call in message.tool_calls if call["id"] not in invalid],
            "invalid_tool_calls": [*message.invalid_tool_calls, *invalid.values()],
        }
    )
