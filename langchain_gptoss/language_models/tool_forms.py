"""The forms in which users write tools and schemas, read as functions of OpenAI's API.

The forms are LangChain's (functions, classes, `BaseTool`), bare JSON schemas, and the dicts of OpenAI (Chat Completions
and Responses), Anthropic (`input_schema`), Amazon Bedrock (`toolSpec`), Google (`function_declarations`) and the Model
Context Protocol (`inputSchema`).
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from langchain_core.tools import BaseTool, Tool
from langchain_core.tools.base import create_schema_from_function
from langchain_core.utils.function_calling import convert_to_openai_function
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from typing_extensions import is_typeddict

from langchain_gptoss.chat_formats.json_schema import forbid_unnamed_properties
from langchain_gptoss.chat_formats.schema_dialects import (
    DATA_KEYS,
    SCHEMA_KEYS,
    SCHEMA_LIST_KEYS,
    SCHEMA_MAP_KEYS,
    update_schema,
)
from langchain_gptoss.errors import InvalidInputError

AnyTool = Mapping[str, Any] | type | Callable[..., Any] | BaseTool

DEFAULT_SCHEMA_NAME = "answer"

# The keys below which the dict forms have the schema.
_PARAMETER_KEYS = (
    "parameters",
    "input_schema",
    "inputSchema",
    "schema",
    "parametersJsonSchema",
    "parameters_json_schema",
)
_RESULT_KEYS = frozenset({"outputSchema", "output_schema", "response"})  # the schema of a tool's result
_DECLARATION_KEYS = ("function_declarations", "functionDeclarations")
_JSON_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
# A dict with one of these keys, and without a schema below another key, is itself a schema.
_SCHEMA_SIGNS = frozenset({"properties", "$ref", "anyOf", "oneOf", "allOf", "enum", "const", "additionalProperties"})
_KEYWORDS = (
    SCHEMA_MAP_KEYS
    | SCHEMA_LIST_KEYS
    | SCHEMA_KEYS
    | DATA_KEYS
    | {"type", "required", "format", "pattern", "title", "description", "nullable", "dependencies", "additionalItems"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"}
    | {"minItems", "maxItems", "uniqueItems", "minContains", "maxContains", "minProperties", "maxProperties"}
    | {"dependentRequired", "deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType", "id"}
)
_READING_ERRORS = (ValueError, TypeError, AttributeError, KeyError, NameError, PydanticUserError)


def read_functions(tool: Any) -> list[dict[str, Any]]:
    """Return the functions of a tool, in the form of OpenAI's API: one, or several for Google's declarations.

    The parameters are in the dialect of JSON Schema 2020-12. Those of functions and classes allow the named arguments
    only; those of dicts are as the dict says.

    Raises:
        InvalidInputError: The tool has an unknown form, runs on its provider's side, or has no name.
    """
    if not isinstance(tool, Mapping):
        return [_read_object(tool)]
    functions = list(_read_dict(tool))
    for function in functions:
        if not isinstance(function.get("name"), str) or not function["name"]:
            raise InvalidInputError(f"A tool has no name: {_shorten(tool)}.", hint="Give it a name.")
    return functions


def read_schema(schema: Any) -> dict[str, Any]:
    """Return a schema in any of the forms as one function; a bare schema without a name is called "answer".

    Raises:
        InvalidInputError: The schema has an unknown form.
    """
    if isinstance(schema, bool):
        schema = {"schema": schema}
    if isinstance(schema, Mapping) and (not schema or _is_bare_schema(schema) or _has_schema_only(schema)):
        schema = {"name": schema.get("title") or DEFAULT_SCHEMA_NAME, **schema}
        if schema.keys() == {"name"}:
            schema["schema"] = {}
    functions = read_functions(schema)
    if len(functions) != 1:
        raise InvalidInputError(f"One schema is needed, and {_shorten(schema)} holds {len(functions)}.")
    return functions[0]


def _has_schema_only(schema: Mapping[str, Any]) -> bool:
    inner = schema.get("schema")
    return "name" not in schema and isinstance(inner, Mapping | bool)


def _is_bare_schema(schema: Mapping[str, Any]) -> bool:
    if any(isinstance(schema.get(key), Mapping) for key in (*_PARAMETER_KEYS, "function", "toolSpec", "json_schema")):
        return False
    kind = schema.get("type")
    is_typed = isinstance(kind, list) or (isinstance(kind, str) and kind.lower() in _JSON_TYPES)
    return is_typed or bool(_SCHEMA_SIGNS & schema.keys())


def _read_dict(tool: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key in _DECLARATION_KEYS:
        if isinstance(declarations := tool.get(key), list):
            for declaration in declarations:
                yield from read_functions(declaration)
            return
    for key in ("function", "toolSpec", "json_schema"):
        if isinstance(inner := tool.get(key), Mapping):
            yield _read_named_dict(inner)
            return
    if _is_bare_schema(tool):
        yield _read_bare_schema(tool)
    else:
        yield _read_named_dict(tool)


def _read_bare_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    name = schema.get("name") or schema.get("title")
    if not isinstance(name, str) or not name:
        raise InvalidInputError(
            f"The schema {_shorten(schema)} has no name.", hint="Give it a 'title', which becomes the tool's name."
        )
    body = {key: value for key, value in schema.items() if key not in {"name", "title", "description", "strict"}}
    return _build_function(name, schema.get("description"), body, schema.get("strict"))


def _read_named_dict(tool: Mapping[str, Any]) -> dict[str, Any]:
    present = [key for key in _PARAMETER_KEYS if tool.get(key) is not None]
    kind = tool.get("type")
    if not present and kind not in {None, "function"}:
        raise InvalidInputError(
            f"{_shorten(tool)} is a tool that its provider runs, and gpt-oss models have no such tools.",
            hint="Pass a function or a LangChain tool that does the same.",
        )
    if not isinstance(tool.get("name"), str):
        raise InvalidInputError(f"{_shorten(tool)} is not a tool: it has no name.", hint="Give it a name.")
    if not present:
        _check_no_schema_is_left(tool)
    parameters = tool[present[0]] if present else None
    if isinstance(parameters, Mapping) and isinstance(parameters.get("json"), Mapping) and len(parameters) == 1:
        parameters = parameters["json"]  # Amazon Bedrock
    return _build_function(tool["name"], tool.get("description"), parameters, tool.get("strict"))


def _check_no_schema_is_left(tool: Mapping[str, Any]) -> None:
    """Check that no unknown key of a tool without parameters holds a schema, which would be lost."""
    for key, value in tool.items():
        is_schema = isinstance(value, Mapping) and ("param" in key.lower() or _is_bare_schema(value))
        if is_schema and key not in _RESULT_KEYS:
            raise InvalidInputError(
                f"The tool {tool['name']!r} has a schema under {key!r}, which is not a known form.",
                hint="Put a JSON schema under 'parameters'.",
            )


def _build_function(name: str, description: Any, parameters: Any, strict: Any = None) -> dict[str, Any]:
    function: dict[str, Any] = {"name": name}
    if description:
        function["description"] = str(description)
    if parameters is not None:
        function["parameters"] = _read_parameters(name, parameters)
    if strict is not None:
        function["strict"] = bool(strict)
    return function


def _read_parameters(name: str, parameters: Any) -> dict[str, Any]:
    if not isinstance(parameters, Mapping | bool):
        raise InvalidInputError(f"The parameters of {name!r} are {parameters!r}; they must be a JSON schema.")
    if isinstance(parameters, Mapping) and parameters:
        unknown = [key for key, value in parameters.items() if isinstance(value, Mapping) and key not in _KEYWORDS]
        if unknown and not {"type", *_SCHEMA_SIGNS} & {key for key in parameters if key not in unknown}:
            raise InvalidInputError(
                f"The parameters of {name!r} are not a JSON schema: {unknown[0]!r} is not one of its keywords.",
                hint='Write {"type": "object", "properties": {...}}, with the parameters under "properties".',
            )
    try:
        return update_schema(parameters)
    except RecursionError as error:
        raise InvalidInputError(f"The schema of {name!r} is nested too deeply.", hint="Use $ref.") from error


def _read_object(tool: Any) -> dict[str, Any]:
    """Return the function of a class, a callable, a LangChain tool, or a tool of the MCP SDK."""
    schema = getattr(tool, "inputSchema", None) or getattr(tool, "input_schema", None)
    if isinstance(schema, Mapping) and isinstance(getattr(tool, "name", None), str):
        return _build_function(tool.name, getattr(tool, "description", None), schema)
    if isinstance(tool, Tool) and (tool.metadata or {}).get("type") == "custom_tool":
        raise InvalidInputError(
            f"{tool.name!r} is a tool that its provider runs, and gpt-oss models have no such tools.",
            hint="Pass a function or a LangChain tool that does the same.",
        )
    try:
        return _convert_object(tool)
    except _READING_ERRORS as error:
        raise InvalidInputError(
            f"{_shorten(tool)} is not a tool: {error}.",
            hint="Pass a function with type hints and a docstring, a LangChain tool, a Pydantic model, a "
            "TypedDict, or a JSON schema.",
        ) from error


def _convert_object(tool: Any) -> dict[str, Any]:
    if isinstance(tool, BaseTool):
        arguments = None if isinstance(tool, Tool) and not tool.args_schema else tool.tool_call_schema
        if isinstance(arguments, Mapping):  # a dict says itself whether it is closed
            body = {key: value for key, value in arguments.items() if key not in {"title", "description"}}
            return _build_function(tool.name, tool.description, body)
        if arguments is not None:
            return _build_class_function(tool.name, tool.description, _build_class_schema(arguments))
    elif isinstance(tool, type) and is_basemodel_subclass(tool):
        schema = _build_class_schema(tool)
        return _build_class_function(schema.get("title") or tool.__name__, schema.get("description"), schema)
    elif isinstance(tool, type) and is_dataclass(tool):
        text = inspect.getdoc(tool) or ""
        description = "" if text.startswith(f"{tool.__name__}(") else text  # written by @dataclass itself
        return _build_class_function(tool.__name__, description, TypeAdapter(tool).json_schema())
    elif inspect.isroutine(tool):
        model = create_schema_from_function(
            tool.__name__,
            tool,
            filter_args=(),
            parse_docstring=True,
            error_on_invalid_docstring=False,
            include_injected=False,
        )
        return _build_class_function(tool.__name__, model.__doc__, _build_class_schema(model))
    elif isinstance(tool, type) and not is_typeddict(tool):
        raise TypeError(f"{tool.__name__} is neither a Pydantic model, nor a TypedDict, nor a dataclass")
    function = convert_to_openai_function(tool)
    return _build_class_function(function["name"], function.get("description"), function.get("parameters") or {})


def _build_class_schema(model: Any) -> dict[str, Any]:
    schema: dict[str, Any] = model.model_json_schema() if hasattr(model, "model_json_schema") else model.schema()
    return schema


def _build_class_function(name: str, description: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the function of a class or callable, whose arguments are exactly the named ones."""
    body = {key: value for key, value in _remove_titles(schema).items() if key != "description"}
    return _build_function(name, description, forbid_unnamed_properties(update_schema(body)))


def _remove_titles(schema: Any) -> Any:
    """Return a schema without its titles, which repeat the names; a property may be called "title"."""
    if isinstance(schema, list):
        return [_remove_titles(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: value
        if key in DATA_KEYS
        else {name: _remove_titles(item) for name, item in value.items()}
        if key in SCHEMA_MAP_KEYS and isinstance(value, Mapping)
        else _remove_titles(value)
        for key, value in schema.items()
        if key != "title"
    }


def _shorten(tool: Any) -> str:
    text = repr(dict(tool)) if isinstance(tool, Mapping) else repr(tool)
    return text if len(text) <= 200 else f"{text[:200]}..."
