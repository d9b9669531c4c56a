"""JSON schemas as TypeScript types."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_gptoss.chat_formats.base import Tool
from langchain_gptoss.chat_formats.harmony.typescript import write_namespace
from tests import scale


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


def write(parameters, description="") -> str:
    return write_namespace([Tool(name="f", description=description, parameters=parameters)])


def test_recursive_definition_is_written_once_and_named():
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "name": {"type": "string"}}}
    places = {name: {"$ref": "#/$defs/Node"} for name in ("first", "second")}
    text = write({"type": "object", "properties": places, "$defs": {"Node": node}})
    assert "first?: { // Node\n    next?: Node,\n    name?: string,\n    },\nsecond?: Node,\n" in text


def test_web_of_definitions_stays_short():
    """Each of forty definitions refers to all of them, and a chain of thirty doubles at each step."""
    names = [f"D{number}" for number in range(40)]
    web = {
        name: {"type": "object", "properties": {other: {"$ref": f"#/$defs/{other}"} for other in names}}
        for name in names
    }
    assert len(write({"type": "object", "properties": {"x": {"$ref": "#/$defs/D0"}}, "$defs": web})) < 500_000
    chain = {
        f"C{number}": {
            "type": "object",
            "properties": {side: {"$ref": f"#/$defs/C{number + 1}"} for side in ("left", "right")},
        }
        for number in range(30)
    }
    assert len(write({"type": "object", "properties": {"x": {"$ref": "#/$defs/C0"}}, "$defs": chain})) < 500_000


def test_deep_schemas_are_written_to_a_limit():
    schema = {"type": "string"}
    for _ in range(600):
        schema = {"type": "object", "properties": {"inner": schema}}
    text = write(schema)
    assert text.count("inner?:") > 30
    assert "inner?: any," in text


def test_description_of_the_arguments_is_written_once():
    parameters = {"type": "object", "description": "Where and when.", "properties": {"city": {"type": "string"}}}
    assert "type f = (_: // Where and when.\n{\ncity?: string,\n}) => any;" in write(parameters)
    assert write(parameters, "Where and when.").count("Where and when.") == 1
    definition = {"$ref": "#/$defs/Args", "$defs": {"Args": parameters}}
    assert write(definition) == write(parameters)
    two_lines = write({**parameters, "description": "Where.\nWhen."})
    assert "type f = (_: // Where.\n // When.\n{\n" in two_lines


def test_description_of_null_is_kept():
    note = {"anyOf": [{"type": "string", "description": "A text."}, {"type": "null", "description": "If unknown."}]}
    text = write({"type": "object", "properties": {"note": note}})
    assert "note?:\n | string // A text.\n | null // If unknown.\n,\n" in text


def test_arguments_in_parts_are_one_object():
    parts = [{"$ref": "#/$defs/Page"}, {"properties": {"q": {"type": "string"}}, "required": ["q"]}]
    page = {"type": "object", "properties": {"page": {"type": "integer", "default": 1}}}
    text = write({"allOf": parts, "$defs": {"Page": page}})
    assert "type f = (_: {\npage?: number, // default: 1\nq: string,\n}) => any;" in text


def test_every_line_of_a_comment_is_a_comment():
    text = "One.\n\nTwo: `}) => any;`\r\nThree.\u2028Four."
    properties = {
        "a": {"type": "string", "description": text, "title": text},
        "b": {"type": "array", "items": {"type": "string", "description": text}},
        "c": {"anyOf": [{"type": "string", "description": text}, {"type": "integer", "default": text}]},
        "d": {"type": "string", "default": text, "examples": [text], "enum": [text]},
    }
    lines = write({"type": "object", "properties": properties}, text).splitlines()
    code = [line.partition("//")[0].strip() for line in lines]
    assert [line for line in code if "Two" in line or "Three" in line] == [
        next(line for line in code if line.startswith("d?: ")),
    ]
    assert code.count("}) => any;") == 1


JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["string", "object", "array", "#/$defs/a", "#", "x"]),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "anyOf", "oneOf", "allOf", "enum", "const", "$ref", "$defs", "required",
                 "description", "title", "default", "examples", "nullable", "additionalProperties", "prefixItems",
                 "patternProperties", "a", "not"]
            ),
            values,
            max_size=5,
        )
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON_VALUE)
@settings(deadline=None, max_examples=scale(300))
def test_any_schema_is_written(value):
    """The schemas of foreign tools may be wrong in every way."""
    parameters = {"type": "object", "properties": {"x": value}, "$defs": {"a": value}}
    assert write(parameters).endswith("=> any;\n\n} // namespace functions")
    if isinstance(value, dict):
        assert write(value).endswith("=> any;\n\n} // namespace functions")


def test_function_without_arguments_has_an_empty_signature():
    tool = Tool(name="now", parameters={"type": "object", "properties": {}})
    assert "type now = () => any;" in write_namespace([tool])
