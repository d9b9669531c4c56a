"""Tools, tool choices and response formats, from every shape that LangChain users write them in."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from langchain_gptoss.chat_formats.base import ResponseFormat, Tool
from langchain_gptoss.errors import InvalidInputError

AnyTool = Mapping[str, Any] | type | Callable[..., Any] | BaseTool


def openai_tools(tools: Sequence[AnyTool], *, strict: bool | None = None) -> list[dict[str, Any]]:
    """Returns tools as OpenAI writes them, which is what LangChain passes on and traces show.

    Raises:
        InvalidInputError: One cannot be understood.
    """
    converted = []
    for tool in tools:
        try:
            converted.append(convert_to_openai_tool(tool, strict=strict))
        except (ValueError, TypeError, AttributeError) as error:
            raise InvalidInputError(
                f"{tool!r} is not a tool: {error}. Pass a function with type hints and a docstring, a LangChain tool, "
                "a Pydantic model, a TypedDict, or a JSON schema."
            ) from error
    return converted


def read_tools(tools: Sequence[AnyTool] | None) -> tuple[Tool, ...]:
    """Returns tools, as OpenAI writes them or in any shape that LangChain knows, for a chat format.

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
        description = function.get("description") or ""
        strict = bool(function.get("strict"))
        made = Tool(name=name, description=description, parameters=parameters, strict=strict)
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
        converted = dict(convert_to_json_schema(schema))
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            f"{schema!r} cannot be read as a schema: {error}. Pass a Pydantic model, a TypedDict, or a JSON schema "
            "with a title."
        ) from error
    described = {"name": converted.pop("title", "answer"), "description": converted.pop("description", "")}
    return {
        "type": "json_schema",
        "json_schema": {**described, "schema": converted, "strict": strict is not False},
    }


def read_format(response_format: Any) -> tuple[ResponseFormat | None, bool]:
    """Returns a `response_format` for a chat format, and whether the answer is held to it.

    Args:
        response_format: As OpenAI writes it (`{"type": "json_schema", ...}`, `{"type": "json_object"}`), a schema in
            any of LangChain's shapes, or None.

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
        response_format = json_format(response_format)
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
    return read, described.get("strict") is not False
