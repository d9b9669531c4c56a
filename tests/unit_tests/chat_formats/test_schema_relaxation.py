"""Schemas as grammars follow them: no valid value is forbidden, and what is left out is said once."""

import json
import re
import warnings
from pathlib import Path

import pytest
from llguidance import LLMatcher, LLTokenizer

from langchain_gptoss.chat_formats.answer_grammar import build_tagged_grammar
from langchain_gptoss.chat_formats.base import PromptOptions, ResponseFormat, Tool
from langchain_gptoss.chat_formats.schema_dialects import update_schema
from langchain_gptoss.chat_formats.schema_relaxation import find_problem, relax_schema
from langchain_gptoss.errors import SchemaWarning
from langchain_gptoss.language_models.schema_check import check_value
from tests.unit_tests.chat_formats.byte_tokenizer import build_backend
from tests.unit_tests.chat_formats.schema_corpus import CORPUS

pytestmark = pytest.mark.filterwarnings("ignore::langchain_gptoss.errors.SchemaWarning")

BACKEND = build_backend(["<|end|>"])
TOKENIZER = LLTokenizer(BACKEND.to_str(), eos_token=BACKEND.token_to_id("<|end|>"))


def is_accepted(options: PromptOptions, text: str) -> bool:
    grammar = LLMatcher.grammar_from_lark(build_tagged_grammar(options).lark)
    matcher = LLMatcher(TOKENIZER, grammar, log_level=0)
    assert not matcher.get_error()
    return matcher.consume_tokens(BACKEND.encode(text).ids) and matcher.is_accepting()


def follows(schema: object, value: object) -> bool:
    """Return True if a grammar of the schema accepts a value."""
    response_format = ResponseFormat(name="x", schema=schema)
    return is_accepted(PromptOptions(response_format=response_format), json.dumps(value, ensure_ascii=False))


def test_corpus_is_large_enough():
    assert len(CORPUS) >= 100
    assert sum(len(case.valid) for case in CORPUS.values()) > 200
    assert sum(len(case.invalid) for case in CORPUS.values()) > 200


@pytest.mark.parametrize("name", CORPUS)
def test_no_valid_value_is_forbidden(name):
    for value in CORPUS[name].valid:
        assert follows(CORPUS[name].schema, value), value


@pytest.mark.parametrize("name", CORPUS)
def test_every_invalid_value_is_refused_by_the_grammar_or_the_check(name):
    for value in CORPUS[name].invalid:
        assert check_value(CORPUS[name].schema, value) or not follows(CORPUS[name].schema, value), value


@pytest.mark.parametrize("name", [name for name, case in CORPUS.items() if case.valid])
def test_schemas_keep_their_meaning_as_arguments_of_calls(name):
    case = CORPUS[name]
    parameters = {
        "type": "object",
        "properties": {"value": {"$id": "https://example.org/value", **update_schema(case.schema)}},
    }
    tools = (Tool(name="first tool", parameters=parameters), Tool(name="g", parameters={"type": "object"}))
    options = PromptOptions(tools=tools, tool_choice="any")
    for value in case.valid[:2]:
        if "$id" not in update_schema(case.schema):
            call = {"name": "first tool", "arguments": {"value": value}}
            assert is_accepted(options, json.dumps(call, ensure_ascii=False)), value


@pytest.mark.parametrize(
    ("schema", "omitted"),
    [
        ({"not": {"type": "string"}}, ["not"]),
        ({"type": "array", "uniqueItems": True, "contains": {}}, ["contains", "uniqueItems"]),
        ({"if": {}, "then": {}, "dependentRequired": {"a": ["b"]}}, ["dependentRequired", "if"]),
        ({"type": "string", "pattern": "^(?=a)"}, ["pattern"]),
        ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, ["oneOf"]),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, []),
        ({"oneOf": [{"const": 1}, {"enum": [2, 3]}]}, []),
        ({"type": "string", "format": "postal-code"}, []),
        ({"type": "array", "uniqueItems": False}, []),
        ({"properties": {"a": {"$ref": "https://example.org/x"}}}, ["$ref"]),
        ({"type": "object", "propertyNames": {"enum": ["a"]}}, []),
    ],
)
def test_omitted_keywords_are_named(schema, omitted):
    assert list(relax_schema(schema).omitted) == omitted


def test_warning_comes_once_for_a_schema():
    schema = {"type": "object", "properties": {"a": {"not": {"const": "warned about once"}}}}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            relax_schema(schema, name="Settings")
        relax_schema({"type": "object"}, name="Settings")
    assert [warning.category for warning in caught] == [SchemaWarning]
    assert "The schema 'Settings' has keywords that are not enforced during generation: not." in str(caught[0].message)


def test_relaxed_schema_is_not_relaxed_again():
    for case in CORPUS.values():
        relaxed = relax_schema(case.schema)
        if relaxed.is_satisfiable:
            assert relax_schema(relaxed.schema).omitted == ()
            assert find_problem(relaxed.schema) is None


IMPOSSIBLE = {"type": "object", "properties": {"a": {"type": "string", "const": 1}}, "required": ["a"]}


def test_contradictory_tool_does_not_block_the_others():
    tools = (Tool(name="f", parameters=IMPOSSIBLE), Tool(name="g", parameters=CORPUS["not"].schema))
    options = PromptOptions(tools=tools, tool_choice="any")
    assert is_accepted(options, '{"name": "g", "arguments": {"a": 1}}')
    assert not relax_schema(IMPOSSIBLE).is_satisfiable
    with pytest.warns(SchemaWarning, match="contradicts itself"):
        relax_schema(IMPOSSIBLE, name="other name")


def test_unique_values_of_a_list_end_the_array():
    schema = {"type": "array", "uniqueItems": True, "items": {"enum": ["a", "b"]}}
    assert relax_schema(schema).schema["maxItems"] == 2
    assert not follows(schema, ["a", "b", "a"])


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {f"p{index}": {"anyOf": [{"type": "string"}, {"type": "null"}]} for index in range(240)}},
        {"anyOf": [{"const": f"value {index}"} for index in range(1500)]},
        {"allOf": [{"anyOf": [{"required": [f"a{index}"]}, {"required": [f"b{index}"]}]} for index in range(8)]},
        {"$ref": "#/$defs/d20", "$defs": {"d0": {}, **{f"d{n}": {"properties": {"a": {"$ref": f"#/$defs/d{n - 1}"}, "b": {"$ref": f"#/$defs/d{n - 1}"}}} for n in range(1, 21)}}},
    ],
)  # fmt: skip
def test_large_schemas_are_accepted(schema):
    assert find_problem(relax_schema(schema).schema) is None


DOCS = Path(__file__).parents[3] / "docs" / "chat_model.md"
ROWS = [
    re.findall(r"`([$\w-]+)`", line.split("|")[1])
    for line in DOCS.read_text("utf-8").splitlines()
    if "checked |" in line
]
# Schemas for the keywords of the table of the documentation, with a value that violates the keyword.
ENFORCED = {
    "type": ({"type": "integer"}, "x"),
    "enum": ({"enum": [1, 2]}, 3),
    "const": ({"const": 1}, 3),
    "properties": ({"type": "object", "properties": {"a": {"type": "integer"}}}, {"a": "x"}),
    "required": ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, {}),
    "additionalProperties": ({"type": "object", "additionalProperties": False}, {"a": 1}),
    "items": ({"items": {"type": "integer"}}, ["x"]),
    "prefixItems": ({"prefixItems": [{"type": "integer"}]}, ["x"]),
    "anyOf": ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "x"),
    "allOf": ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, 1),
    "$ref": ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "integer"}}}, "x"),
    "minLength": ({"minLength": 2}, "x"),
    "maxLength": ({"maxLength": 2}, "xyz"),
    "minItems": ({"minItems": 2}, [1]),
    "maxItems": ({"maxItems": 1}, [1, 2]),
    "minimum": ({"type": "integer", "minimum": 3}, 1),
    "maximum": ({"type": "integer", "maximum": 3}, 4),
    "exclusiveMinimum": ({"type": "integer", "exclusiveMinimum": 3}, 3),
    "exclusiveMaximum": ({"type": "integer", "exclusiveMaximum": 3}, 3),
    "multipleOf": ({"type": "integer", "multipleOf": 3}, 4),
}
CHECKED = {
    "not": ({"not": {"const": 1}}, 1),
    "if": ({"if": {"const": 1}, "then": False}, 1),
    "uniqueItems": ({"uniqueItems": True}, [1, 1]),
    "contains": ({"contains": {"const": 1}}, [2]),
    "dependentRequired": ({"dependentRequired": {"a": ["b"]}}, {"a": 1}),
    "dependentSchemas": ({"dependentSchemas": {"a": {"required": ["b"]}}}, {"a": 1}),
    "dependencies": ({"dependencies": {"a": ["b"]}}, {"a": 1}),
    "unevaluatedItems": ({"prefixItems": [True], "unevaluatedItems": False}, [1, 2]),
    "$dynamicRef": ({"$dynamicAnchor": "n", "properties": {"a": {"$dynamicRef": "#n"}}, "maxProperties": 1}, {"a": {"a": 1, "b": 2}}),
}  # fmt: skip


def test_documentation_names_what_is_enforced_and_what_is_checked():
    assert ROWS[0] == list(ENFORCED)
    assert ROWS[3] == list(CHECKED)


@pytest.mark.parametrize("keyword", ENFORCED)
def test_enforced_keywords_are_in_the_grammar(keyword):
    schema, invalid = ENFORCED[keyword]
    assert relax_schema(schema).omitted == ()
    assert not follows(schema, invalid)
    assert check_value(schema, invalid)


@pytest.mark.parametrize("keyword", CHECKED)
def test_other_keywords_are_checked_only(keyword):
    schema, invalid = CHECKED[keyword]
    assert relax_schema(schema).omitted
    assert follows(schema, invalid)
    assert check_value(schema, invalid)
