"""with_structured_output, by each of its methods."""

import json

import pytest
from langchain_core.exceptions import OutputParserException
from pydantic import BaseModel, Field

from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.scripted_models import build_chat_model, read_prompt, write_answer, write_call


class City(BaseModel):
    name: str


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_include_raw_gives_message_value_and_error(method):
    answers = {"function_calling": write_call("City", '{"name":"Nantes"}')}
    llm = build_chat_model(answers.get(method, write_answer('{"name":"Nantes"}'))).with_structured_output(
        City, method=method, include_raw=True
    )
    result = llm.invoke("Which city?")
    assert result["parsed"] == City(name="Nantes")
    assert result["raw"].additional_kwargs["reasoning_content"] == "Let me see."
    assert result["parsing_error"] is None
    broken = (
        build_chat_model(write_answer("no JSON")).with_structured_output(City, include_raw=True).invoke("Which city?")
    )
    assert broken["parsed"] is None
    assert broken["parsing_error"] is not None


def read_sampling(llm, call=-1):
    sampling = llm.engine.requests[call].sampling
    return sampling.temperature, sampling.max_tokens


@pytest.mark.parametrize("include_raw", [True, False])
@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
async def test_options_of_a_call_reach_the_model(method, include_raw):
    answer = '{"name":"Nantes"}'
    text = write_call("City", answer) if method == "function_calling" else write_answer(answer)
    llm = build_chat_model(*[text] * 8, temperature=0.7)
    structured = llm.with_structured_output(City, method=method, include_raw=include_raw)
    options = {"temperature": 0, "max_tokens": 90}
    structured.invoke("x", **options)
    list(structured.stream("x", **options))
    structured.batch(["x"], **options)
    structured.bind(**options).invoke("x")
    await structured.ainvoke("x", **options)
    await structured.abatch(["x"], **options)
    assert [chunk async for chunk in structured.astream("x", **options)]
    result = structured.bind(max_tokens=90).bind(temperature=0).invoke("x")
    assert len(llm.engine.requests) == 8
    assert {read_sampling(llm, call) for call in range(8)} == {(0, 90)}
    assert (result["parsed"] if include_raw else result) == City(name="Nantes")


@pytest.mark.parametrize("stop_by", ["bind", "invoke"])
def test_stop_strings_of_a_call_reach_the_model(stop_by):
    llm = build_chat_model(write_answer('{"name":"Nantes"}'))
    structured = llm.with_structured_output(City, include_raw=True)
    options = {"stop": ["ant"]}
    result = structured.bind(**options).invoke("x") if stop_by == "bind" else structured.invoke("x", **options)
    assert result["raw"].content == '{"name":"N'
    assert result["parsed"] is None
    assert result["parsing_error"] is not None


def test_unknown_options_of_a_call_are_rejected():
    structured = build_chat_model().with_structured_output(City, include_raw=True)
    with pytest.raises(InvalidInputError, match="Did you mean 'temperature'"):
        structured.invoke("x", temprature=0)


def test_stream_with_include_raw_gives_the_whole_message():
    llm = build_chat_model(write_answer('{"name":"Nantes"}'))
    pieces = list(llm.with_structured_output(City, include_raw=True).stream("x"))
    total = pieces[0]
    for piece in pieces[1:]:
        total += piece
    assert total["raw"].content == '{"name":"Nantes"}'
    assert total["parsed"] == City(name="Nantes")


def test_function_calling_asks_for_one_call():
    llm = build_chat_model(write_call("City", '{"name":"Nantes"}'))
    llm.with_structured_output(City, method="function_calling").invoke("x")
    assert "rest" not in llm.engine.requests[0].grammar.lark


def test_strict_false_does_not_enforce_the_schema():
    llm = build_chat_model(write_answer("{}"), write_answer("{}"))
    llm.with_structured_output({"title": "X", "type": "object"}, strict=False).invoke("x")
    llm.with_structured_output({"title": "X", "type": "object"}).invoke("x")
    free, enforced = llm.engine.requests
    assert free.grammar is None
    assert enforced.grammar is not None


@pytest.mark.parametrize("schema", [City, {"title": "City", "type": "object"}])
def test_truncated_answer_is_rejected(schema):
    with pytest.raises(OutputParserException, match="raise max_tokens"):
        build_chat_model(write_answer('{"name":"Nan', "")).with_structured_output(schema).invoke("x")
    raw = (
        build_chat_model(write_answer('{"name":"Nan', "")).with_structured_output(schema, include_raw=True).invoke("x")
    )
    assert raw["parsed"] is None
    assert list(build_chat_model(write_answer('{"name":"N"}')).with_structured_output(schema).stream("x"))


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
@pytest.mark.parametrize("strict", [None, True, False])
@pytest.mark.parametrize("form", ["bare", "named"])
def test_schemas_without_title_and_in_openai_form_are_read(method, strict, form):
    bare = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    schema, name = (bare, "answer") if form == "bare" else ({"name": "City", "schema": bare}, "City")
    answer = '{"name":"Nantes"}'
    llm = build_chat_model(write_call(name, answer) if method == "function_calling" else write_answer(answer))
    assert llm.with_structured_output(schema, method=method, strict=strict).invoke("x") == {"name": "Nantes"}
    grammar = llm.engine.requests[0].grammar
    if method == "function_calling":  # the call is required; strict=False leaves its arguments free
        assert ('"name": {"type": "string"}' in grammar.lark) == (strict is not False)


UNION = [{"type": "object", "properties": {key: {"type": "integer"}}, "required": [key]} for key in "ab"]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@pytest.mark.parametrize("schema", [{"anyOf": UNION}, {"$ref": "#/$defs/N", "$defs": {"N": UNION[1]}}])
def test_unions_and_references_are_kept(method, schema):
    answer = write_call("either", '{"b":1}') if method == "function_calling" else write_answer('{"b":1}')
    llm = build_chat_model(answer)
    structured = llm.with_structured_output({"title": "either", "description": "Either.", **schema}, method=method)
    assert structured.invoke("x") == {"b": 1}
    assert '"b": {"type": "integer"}' in llm.engine.requests[0].grammar.lark
    assert "type either = () => any" not in read_prompt(llm)
    assert "// Either." in read_prompt(llm)


def test_answer_may_be_a_list():
    llm = build_chat_model(write_answer("[1,2]"))
    schema = {"title": "L", "type": "array", "items": {"type": "integer"}}
    assert llm.with_structured_output(schema).invoke("x") == [1, 2]
    assert '"items": {"type": "integer"}' in llm.engine.requests[0].grammar.lark


# Of each schema a grammar enforces a part only; the answer follows that part and violates the rest.
UNENFORCED = {
    "uniqueItems": ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, '["a","a"]', '["a"]'),
    "not": ({"type": "object", "properties": {"a": {"not": {"const": 1}}}}, '{"a":1}', '{"a":2}'),
    "pattern": ({"type": "object", "properties": {"a": {"pattern": "^(?!x)"}}}, '{"a":"xy"}', '{"a":"y"}'),
    "oneOf": ({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, '{"a":1,"b":2}', '{"a":1}'),
    "dependentRequired": ({"type": "object", "dependentRequired": {"a": ["b"]}}, '{"a":1}', '{"b":1}'),
    "minProperties": ({"type": "object", "properties": {"a": {}}, "minProperties": 1}, "{}", '{"a":1}'),
}


@pytest.mark.filterwarnings("ignore::langchain_gptoss.errors.SchemaWarning")
@pytest.mark.parametrize("keyword", UNENFORCED)
def test_unenforced_keywords_are_checked_afterwards(keyword):
    schema, invalid, valid = UNENFORCED[keyword]
    named = {"title": "T", **schema}
    with pytest.raises(OutputParserException, match=rf"\$.*: {keyword} is violated"):
        build_chat_model(write_answer(invalid)).with_structured_output(named).invoke("x")
    assert build_chat_model(write_answer(valid)).with_structured_output(named).invoke("x") == json.loads(valid)
    raw = build_chat_model(write_answer(invalid)).with_structured_output(named, include_raw=True).invoke("x")
    assert raw["parsed"] is None
    assert keyword in str(raw["parsing_error"])
    free = build_chat_model(write_answer(invalid)).with_structured_output(named, strict=False)
    assert free.invoke("x") == json.loads(invalid)


def test_violated_field_of_a_model_is_named():
    class Tags(BaseModel):
        tags: list[str] = Field(max_length=1)

    with pytest.raises(OutputParserException, match="tags"):
        build_chat_model(write_answer('{"tags":["a","b"]}')).with_structured_output(Tags).invoke("x")


@pytest.mark.parametrize("schema", [City, {"title": "City", "type": "object", "properties": {"name": {}}}])
def test_invalid_call_is_an_error_and_not_none(schema):
    llm = build_chat_model(write_call("City", '{"name":"Nan', ""))
    with pytest.raises(OutputParserException, match="The call of 'City' is invalid"):
        llm.with_structured_output(schema, method="function_calling").invoke("x")


@pytest.mark.parametrize("types", [["object", "null"], ["null", "object"], ["object"], ["object", "string"]])
def test_schemas_with_several_types_are_traced_and_answered(types):
    schema = {"title": "City", "type": types, "properties": {"name": {"type": "string"}}}
    llm = build_chat_model(write_answer('{"name": "Nantes"}'))
    assert llm.with_structured_output(schema).invoke("Which city?") == {"name": "Nantes"}


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_schema_under_an_unknown_key_is_refused(method):
    schema = {"name": "City", "form": {"type": "object", "properties": {"name": {"type": "string"}}}}
    with pytest.raises(InvalidInputError, match="'form'"):
        build_chat_model().with_structured_output(schema, method=method)
