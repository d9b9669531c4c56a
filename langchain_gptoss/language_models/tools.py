"""Tools, tool choices and response formats, read from all the forms in which LangChain users write them."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_gptoss.chat_formats.base import ResponseFormat, Tool
from langchain_gptoss.chat_formats.json_schema import can_be_object, forbid_unnamed_properties
from langchain_gptoss.chat_formats.schema_dialects import update_schema
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.language_models.tool_forms import DEFAULT_SCHEMA_NAME, AnyTool, read_functions, read_schema


def convert_to_openai_tools(tools: Sequence[AnyTool], *, strict: bool | None = None) -> list[dict[str, Any]]:
    """Return tools in the form of OpenAI's API, which LangChain passes on and traces show.

    Args:
        tools: Tools in any of the forms that `tool_forms` reads.
        strict: The value of `strict` for tools without a value of their own.

    Raises:
        InvalidInputError: A tool has an unknown form, or runs on a provider's side.
    """
    functions = [function for tool in tools for function in read_functions(tool)]
    if strict is not None:
        functions = [{"strict": strict} | function for function in functions]
    return [{"type": "function", "function": function} for function in functions]


def read_tools(tools: Sequence[AnyTool] | None, *, strict: bool | None = None) -> tuple[Tool, ...]:
    """Return tools in the form of chat formats.

    Args:
        tools: Tools in the form of OpenAI's API or in any form that LangChain knows.
        strict: The default of `Tool.strict` for tools without a value of their own. True also forbids arguments that
            the schema does not name, as OpenAI's strict mode does.

    Raises:
        InvalidInputError: A tool has an unknown form, or two tools have the same name.
    """
    converted: list[Tool] = []
    for tool in tools or ():
        for function in read_functions(tool):
            converted_tool = _build_tool(function, strict)
            if converted_tool not in converted:  # the same tool twice is one tool
                converted.append(converted_tool)
    names = [tool.name for tool in converted]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInputError(
            f"Two tools are called {duplicates[0]!r}, and the model cannot distinguish them.",
            hint="Rename one of them.",
        )
    return tuple(converted)


def _build_tool(function: Mapping[str, Any], strict: bool | None) -> Tool:
    name = function["name"]
    parameters = function.get("parameters")
    if parameters is None or parameters == {"not": {}}:
        parameters = {"type": "object", "properties": {}}  # no arguments
    parameters = parameters or {"type": "object"}
    if not can_be_object(parameters):
        raise InvalidInputError(
            f"The parameters of {name!r} do not describe an object, and the arguments of a call are an object.",
            hint='Put the value into a property: {"type": "object", "properties": {"value": ...}}.',
        )
    is_strict = function.get("strict", strict)
    return Tool(
        name=name,
        description=function.get("description") or "",
        parameters=forbid_unnamed_properties(parameters) if is_strict else parameters,
        strict=is_strict,
    )


def read_tool_choice(choice: Any, names: Sequence[str]) -> str:
    """Return a tool choice as `"auto"`, `"none"`, `"any"` or the name of a tool.

    Args:
        choice: A form that OpenAI or LangChain accepts: None, a bool, `"auto"`, `"none"`, `"any"`, `"required"`, the
            name of a tool, a dict that names one, or OpenAI's `allowed_tools`, whose mode is returned.
        names: Names of the offered tools.

    Raises:
        InvalidInputError: The choice names no offered tool, or requires a call and no tools are offered.
    """
    if (allowed := _find_allowed_tools(choice)) is not None:
        read_allowed_tools(choice, names)
        choice = allowed.get("mode") or "auto"
        if choice not in ("auto", "required"):
            raise InvalidInputError(f"allowed_tools has the mode {choice!r}; it must be 'auto' or 'required'.")
    choice = _get_choice_name(choice)
    if choice is None or choice is False:
        return "auto" if choice is None else "none"
    choice = "any" if choice is True or choice == "required" else choice
    if choice in ("auto", "none", *names):
        return str(choice)
    if choice != "any":
        matches = difflib.get_close_matches(str(choice), [*names, "auto", "none", "any"], n=1)
        hint = f"Did you mean {matches[0]!r}?" if matches else ""
        raise InvalidInputError(f"tool_choice is {choice!r}; the tools are {', '.join(names) or 'none'}.", hint=hint)
    if not names:
        raise InvalidInputError("tool_choice requires a call, and no tools are offered.", hint="Bind tools first.")
    return "any"


def read_allowed_tools(choice: Any, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the tools that a choice allows; an empty tuple if it does not limit them.

    Args:
        choice: A tool choice. `{"type": "allowed_tools", "allowed_tools": {"mode": ..., "tools": [...]}}` limits the
            tools; the Responses API writes `mode` and `tools` beside `type`. A tool is
            `{"type": "function", "function": {"name": ...}}`, `{"type": "function", "name": ...}`, or a name.
        names: Names of the offered tools.

    Raises:
        InvalidInputError: The list is empty, or contains something else than an offered tool.
    """
    if (allowed := _find_allowed_tools(choice)) is None:
        return ()
    tools = allowed.get("tools")
    if not isinstance(tools, Sequence) or isinstance(tools, str) or not tools:
        raise InvalidInputError(
            f"allowed_tools has the tools {tools!r}; it must list one or more tools.",
            hint="Pass tool_choice='none' to allow no calls.",
        )
    allowed_names = [_get_choice_name(tool) for tool in tools]
    for name in allowed_names:
        if name not in names:
            matches = difflib.get_close_matches(str(name), names, n=1)
            hint = f"Did you mean {matches[0]!r}?" if matches else ""
            raise InvalidInputError(
                f"allowed_tools names {name!r}; the tools are {', '.join(names) or 'none'}.", hint=hint
            )
    return tuple(dict.fromkeys(allowed_names))


def _find_allowed_tools(choice: Any) -> Mapping[str, Any] | None:
    """Return the part of a tool choice with `mode` and `tools`; None for other choices."""
    if not isinstance(choice, Mapping) or choice.get("type") != "allowed_tools":
        return None
    inner = choice.get("allowed_tools")
    return inner if isinstance(inner, Mapping) else choice


def _get_choice_name(choice: Any) -> Any:
    """Return the name of the tool in a dict of OpenAI's or LangChain's form; return anything else unchanged."""
    if not isinstance(choice, Mapping):
        return choice
    function = choice.get("function")
    return function.get("name") if isinstance(function, Mapping) else choice.get("name", choice.get("type"))


def build_response_format(schema: Any, *, strict: bool | None = None) -> dict[str, Any]:
    """Return a schema as `response_format` of OpenAI's API.

    Raises:
        InvalidInputError: The schema cannot be read as a JSON schema.
    """
    try:
        function = read_schema(schema)
    except InvalidInputError as error:
        raise InvalidInputError(
            f"{schema!r} cannot be read as a schema: {error.message}",
            hint="Pass a Pydantic model, a TypedDict, a dataclass, or a JSON schema with a title.",
        ) from error
    body = {
        "name": function["name"],
        "description": function.get("description", ""),
        "schema": function.get("parameters") or {},
    }
    strict = function.get("strict", strict)
    return {"type": "json_schema", "json_schema": body if strict is None else {**body, "strict": strict}}


def read_response_format(response_format: Any, *, strict: bool | None = None) -> tuple[ResponseFormat | None, bool]:
    """Return a `response_format` in the form of chat formats, and True if it is enforced during generation.

    Args:
        response_format: The form of OpenAI's API (`{"type": "json_schema", ...}`, `{"type": "json_object"}`), a schema
            in any form that LangChain knows, or None.
        strict: The default for a format without a value of its own; None enforces it. True also forbids properties
            that the schema does not name, as OpenAI's strict mode does.

    Raises:
        InvalidInputError: The format cannot be read.
    """
    if response_format is None:
        return None, False
    kind = response_format.get("type") if isinstance(response_format, Mapping) else None
    if kind == "text":
        return None, False
    if kind == "json_object":
        return ResponseFormat(name="answer", schema={"type": "object"}, description="A JSON object."), True
    if kind != "json_schema":
        response_format = build_response_format(response_format, strict=strict)
    body = response_format.get("json_schema", response_format)  # the Responses API has no inner dict
    schema = body.get("schema") if isinstance(body, Mapping) else None
    if not isinstance(schema, Mapping | bool):
        raise InvalidInputError(
            f"response_format is {response_format!r}; a 'json_schema' needs {{'json_schema': {{'name': ..., "
            "'schema': {...}}}."
        )
    strict = strict if body.get("strict") is None else bool(body["strict"])
    modern = update_schema(schema)
    converted = ResponseFormat(
        name=str(body.get("name") or DEFAULT_SCHEMA_NAME),
        schema=forbid_unnamed_properties(modern) if strict else modern,
        description=str(body.get("description") or ""),
    )
    return converted, strict is not False
