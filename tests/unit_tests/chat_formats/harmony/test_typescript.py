"""JSON schemas as TypeScript types."""

import pytest

from langchain_gptoss.chat_formats.base import Tool
from langchain_gptoss.chat_formats.harmony.typescript import write_namespace


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"enum": [1, 2]}, "1 | 2"),
        ({"type": "integer", "enum": [1, 2]}, "1 | 2"),
        ({"const": "x"}, '"x"'),
        ({"type": ["string", "integer"]}, "string | number"),
        ({"type": "array"}, "Array<any>"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, '("a" | "b")[]'),
        ({"type": "array", "items": {"$ref": "#/$defs/City"}}, "{\n    // Its name.\n    name: string,\n    }[]"),
        (
            {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/City"}, {"type": "null"}]}},
            "({\n    // Its name.\n    name: string,\n    } | null)[]",
        ),
        ({"type": ["array", "null"], "items": {"type": "string"}}, "string[] | null"),
        (
            {"type": ["object", "null"], "properties": {"a": {"type": "string"}}},
            "{\n    a?: string,\n    } | null",
        ),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}, "[string, number]"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "Record<string, number>"),
        ({"$ref": "#/$defs/City"}, "{\n    // Its name.\n    name: string,\n    }"),
        ({"allOf": [{"$ref": "#/$defs/City"}]}, "{\n    // Its name.\n    name: string,\n    }"),
        ({"$ref": "#/$defs/a~1b"}, "boolean"),
        ({"$ref": "#/$defs/missing"}, "any"),
        ({"type": "string", "nullable": True}, "string | null"),
        ({}, "any"),
    ],
)
def test_types_keep_their_meaning(schema, expected):
    city = {"type": "object", "properties": {"name": {"type": "string", "description": "Its name."}}}
    parameters = {
        "type": "object",
        "properties": {"x": schema},
        "required": ["x"],
        "$defs": {"City": {**city, "required": ["name"]}, "a/b": {"type": "boolean"}},
    }
    assert f"x: {expected},\n" in write_namespace([Tool(name="f", parameters=parameters)])


def test_examples_become_comments():
    parameters = {"type": "object", "properties": {"city": {"type": "string", "examples": ["Nantes"]}}}
    namespace = write_namespace([Tool(name="f", parameters=parameters)])
    assert '// Examples:\n// - "Nantes"\ncity?: string,' in namespace


def test_recursive_schema_ends_in_any():
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    parameters = {"type": "object", "properties": {"first": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}}
    assert "any" in write_namespace([Tool(name="f", parameters=parameters)])


def test_function_without_arguments_has_an_empty_signature():
    tool = Tool(name="now", parameters={"type": "object", "properties": {}})
    assert "type now = () => any;" in write_namespace([tool])
