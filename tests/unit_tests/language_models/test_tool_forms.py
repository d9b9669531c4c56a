"""Tools and schemas in all the forms in which users write them."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from langchain_core.tools import InjectedToolArg, StructuredTool, Tool, tool
from pydantic import BaseModel, Field
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import TypedDict

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.language_models.tool_forms import read_functions, read_schema
from langchain_gptoss.language_models.tools import convert_to_openai_tools, read_response_format, read_tools
from tests.unit_tests.scripted_models import build_chat_model, read_prompt, write_answer, write_call

BODY = {
    "type": "object",
    "properties": {"station": {"type": "string", "description": "Name."}, "platform": {"type": "integer"}},
    "required": ["station"],
}
GEMINI_BODY = {
    "type": "OBJECT",
    "properties": {"station": {"type": "STRING", "description": "Name."}, "platform": {"type": "INTEGER"}},
    "required": ["station"],
}
NAMES = {"name": "departures", "description": "Trains."}


class departures(BaseModel):  # noqa: N801
    """Trains."""

    station: str = Field(description="Name.")
    platform: int = 0


class DeparturesV1(BaseModelV1):
    """Trains."""

    station: str
    platform: int = 0


class DeparturesDict(TypedDict):
    """Trains."""

    station: Annotated[str, ..., "Name."]
    platform: int


@dataclass
class DeparturesData:
    """Trains."""

    station: str
    platform: int = field(default=0)


def list_departures(station: str, platform: int = 0) -> str:
    """Trains."""
    return station


def list_hidden(station: str, platform: int, user: Annotated[str, InjectedToolArg]) -> str:
    """Trains."""
    return station


FORMS: dict[str, Any] = {
    "OpenAI": {"type": "function", "function": {**NAMES, "parameters": BODY}},
    "OpenAI without type": {"function": {**NAMES, "parameters": BODY}},
    "OpenAI Responses": {"type": "function", **NAMES, "parameters": BODY, "strict": None},
    "OpenAI legacy": {**NAMES, "parameters": BODY},
    "OpenAI schema": {**NAMES, "schema": BODY},
    "OpenAI json_schema": {"type": "json_schema", "json_schema": {**NAMES, "schema": BODY}},
    "OpenAI text.format": {"type": "json_schema", **NAMES, "schema": BODY},
    "Anthropic": {**NAMES, "input_schema": BODY},
    "Anthropic custom": {"type": "custom", **NAMES, "input_schema": BODY, "cache_control": {"type": "ephemeral"}},
    "Bedrock": {"toolSpec": {**NAMES, "inputSchema": {"json": BODY}}},
    "Bedrock inner": {**NAMES, "inputSchema": {"json": BODY}},
    "MCP": {**NAMES, "title": "Departures", "inputSchema": BODY, "outputSchema": {"type": "object"}},
    "MCP object": SimpleNamespace(**NAMES, inputSchema=BODY),
    "Gemini": {"function_declarations": [{**NAMES, "parameters": GEMINI_BODY}]},
    "Gemini REST": {"functionDeclarations": [{**NAMES, "parametersJsonSchema": BODY}]},
    "Gemini declaration": {**NAMES, "parameters": GEMINI_BODY},
    "schema with name": {**NAMES, **BODY},
    "schema with title": {"title": "departures", "description": "Trains.", **BODY},
    "schema with name and title": {**NAMES, "title": "Departures", **BODY},
    "schema with $schema": {"$schema": "http://json-schema.org/draft-07/schema#", **NAMES, **BODY},
    "schema without type": {**NAMES, "properties": BODY["properties"], "required": ["station"]},
    "Pydantic": departures,
    "Pydantic v1": DeparturesV1,
    "TypedDict": DeparturesDict,
    "dataclass": DeparturesData,
    "function": list_departures,
    "function with an injected argument": list_hidden,
    "decorated function": tool(list_departures),
    "tool with a model": StructuredTool.from_function(list_departures, args_schema=departures),
    "tool with a dict": StructuredTool(name="departures", description="Trains.", args_schema=BODY, func=print),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_keeps_its_schema(form):
    (read,) = read_tools([FORMS[form]])
    assert set(read.parameters["properties"]) == {"station", "platform"}
    assert "station" in read.parameters["required"]
    assert read.parameters["properties"]["platform"]["type"] == "integer"
    assert read.name.lower().replace("list_", "").startswith(("departures", "hidden"))
    assert read.description.startswith("Trains.")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_survives_bind_tools(form):
    llm = build_chat_model(write_answer("x"))
    llm.bind_tools([FORMS[form]]).invoke("x")
    assert "station: string" in read_prompt(llm)
    assert "platform" in read_prompt(llm)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_a_response_format(form):
    response_format, is_enforced = read_response_format(FORMS[form])
    assert is_enforced
    assert set(response_format.schema["properties"]) == {"station", "platform"}


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_structured_output(form, method):
    name = read_schema(FORMS[form])["name"]
    value = '{"station":"Nantes","platform":3}'
    llm = build_chat_model(write_call(name, value) if method == "function_calling" else write_answer(value))
    result = llm.with_structured_output(FORMS[form], method=method).invoke("x")
    assert (result if isinstance(result, dict) else vars(result)) == {"station": "Nantes", "platform": 3}
    assert '"station": {' in llm.engine.requests[0].grammar.lark


def test_one_dict_may_declare_several_functions():
    declarations = [{"name": name, "parameters": GEMINI_BODY} for name in ("a", "b")]
    assert [read.name for read in read_tools([{"function_declarations": declarations}])] == ["a", "b"]
    assert len(convert_to_openai_tools([{"function_declarations": declarations}, list_departures])) == 3


UNION = {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
ROOTS = {
    "union": {**UNION, "type": "object", "properties": {"a": {}, "b": {}}},
    "reference": {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": {}}}}},
    "free keys": {"type": "object", "additionalProperties": {"type": "integer"}},
    "patterns": {"type": "object", "patternProperties": {"^a": {"type": "integer"}}},
}


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("wrap", ["parameters", "input_schema", "inputSchema", "bare", "tool"])
def test_no_keyword_of_the_root_is_lost(root, wrap):
    schema = ROOTS[root]
    forms = {
        "bare": {"title": "f", **schema},
        "tool": StructuredTool(name="f", description="F.", args_schema={"title": "x", **schema}, func=print),
    }
    (read,) = read_tools([forms.get(wrap) or {"name": "f", wrap: schema}])
    assert read.parameters == schema


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"type": "web_search"}, "a tool that its provider runs"),
        ({"type": "web_search_20250305", "name": "web_search", "max_uses": 5}, "a tool that its provider runs"),
        ({"type": "custom", "name": "sql", "format": {"type": "grammar"}}, "a tool that its provider runs"),
        ({"googleSearch": {}}, "no name"),
        (
            {"name": "f", "parameter_definitions": {"city": {"type": "str"}}},
            "'f' has a schema under 'parameter_definitions'",
        ),
        ({"name": "f", "input": {"type": "object", "properties": {}}}, "'f' has a schema under 'input'"),
        ({"name": "f", "args_schema": {"properties": {}}}, "'f' has a schema under 'args_schema'"),
        ({"name": "f", "parameters": {"city": {"type": "string"}}}, "'city' is not one of its keywords"),
        ({"name": "f", "parameters": [{"name": "city"}]}, "'f' are .* must be a JSON schema"),
        ({"name": "f", "parameters": {"type": "array"}}, "'f' do not describe an object"),
        ({"name": "f", "parameters": {"$ref": "#/$defs/L", "$defs": {"L": {"type": "string"}}}}, "'f' do not describe"),
        ({"function": {"parameters": BODY}}, "no name"),
        ({"function": {"name": "", "parameters": BODY}}, "no name"),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, "no name"),
        (Tool(name="f", description="F.", func=print, metadata={"type": "custom_tool"}), "'f' is a tool that its"),
        (int, "neither a Pydantic model"),
        ("get_weather", "is not a tool"),
        (None, "is not a tool"),
    ],
)
def test_unreadable_forms_are_refused_by_name(form, message):
    with pytest.raises(InvalidInputError, match=message):
        read_tools([form])


@pytest.mark.parametrize(
    "parameters", [None, {}, True, False, {"type": "object"}, {"type": "object", "properties": {}}, {"type": None}]
)
@pytest.mark.parametrize("form", ["nested", "flat"])
def test_tools_without_parameters_are_read(parameters, form):
    function = {"name": "f", "parameters": parameters}
    (read,) = read_tools([{"type": "function", "function": function} if form == "nested" else function])
    assert read.name == "f"
    assert not read.parameters.get("properties")


@pytest.mark.parametrize(
    "root",
    [
        {"type": ["object", "null"], "properties": {"a": {"type": "integer"}}},
        {"anyOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"type": "null"}]},
        {"$ref": "#/$defs/A", "$defs": {"A": {"type": ["object", "null"], "properties": {"a": {"type": "integer"}}}}},
        {"$ref": "#"},
        {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}]},
        {"oneOf": [{"type": "object"}, {"type": "string"}]},
    ],
)
@pytest.mark.parametrize("choice", ["auto", "any"])
@pytest.mark.parametrize("strict", [True, None])
def test_unusual_roots_of_parameters_are_usable(root, choice, strict):
    llm = build_chat_model(write_call("f", '{"a":1}'))
    tools = [{"type": "function", "function": {"name": "f", "parameters": root}}]
    message = llm.bind_tools(tools, tool_choice=choice, strict=strict).invoke("x")
    assert message.tool_calls[0]["args"] == {"a": 1}


@pytest.mark.parametrize("form", [name for name, value in FORMS.items() if isinstance(value, dict)])
@pytest.mark.parametrize("strict", [True, False])
def test_strict_of_bind_tools_holds_for_dicts(form, strict):
    (converted,) = convert_to_openai_tools([FORMS[form]], strict=strict)
    assert converted["function"]["strict"] is strict
    (read,) = read_tools([FORMS[form]], strict=strict)
    assert read.strict is strict
    assert ("additionalProperties" in read.parameters) is strict  # OpenAI's strict mode closes objects


def test_own_strict_of_a_tool_wins():
    own = {"type": "function", "function": {"name": "f", "parameters": BODY, "strict": False}}
    (converted,) = convert_to_openai_tools([own], strict=True)
    assert converted["function"]["strict"] is False
    assert [read.strict for read in read_tools([own, FORMS["MCP"]], strict=True)] == [False, True]


def test_functions_and_classes_are_closed_and_dicts_are_as_they_say():
    for form, value in FORMS.items():
        (read,) = read_tools([value])
        is_dict = isinstance(value, dict) or form in {"MCP object", "tool with a dict"}
        assert ("additionalProperties" in read.parameters) is not is_dict, form


def test_recursive_models_keep_their_definitions():
    class Branch(BaseModel):
        name: str
        children: list["Branch"] = []

    (function,) = read_functions(Branch)
    assert function["parameters"]["$defs"]["Branch"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Branch"}


def test_property_called_title_or_name_is_kept():
    class Book(BaseModel):
        title: str
        name: str

    assert set(read_functions(Book)[0]["parameters"]["properties"]) == {"title", "name"}
    bare = {"title": "Book", "type": "object", "properties": {"title": {"type": "string"}, "name": {"type": "string"}}}
    assert set(read_functions(bare)[0]["parameters"]["properties"]) == {"title", "name"}
