"""JSON schemas over all keywords, each with values that follow it and values that do not.

Keys of the values are in the order of the schema's properties, in which a grammar writes them.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """A schema with valid and invalid values."""

    schema: Any
    valid: list[Any]
    invalid: list[Any]


NODE = {
    "type": "object",
    "properties": {"label": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
    "required": ["label"],
}
CAT = {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "required": ["kind"]}
DOG = {"type": "object", "properties": {"kind": {"const": "dog"}, "tricks": {"type": "array"}}, "required": ["kind"]}
PLACE = {"type": "object", "properties": {"town": {"type": "string"}, "zip": {"type": "string"}}}


def build_deep_schema(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"in": schema}, "required": ["in"]}
    return schema


def build_deep_value(depth: int, value: Any) -> Any:
    for _ in range(depth):
        value = {"in": value}
    return value


CORPUS: dict[str, Case] = {
    # Types and boolean schemas
    "true": Case(True, [1, "x", None, {"a": [1]}], []),
    "empty": Case({}, [1, "x", None, [], {"a": {}}], []),
    "annotations only": Case({"title": "T", "description": "D", "default": 1, "$comment": "c"}, [1, "x", {}], []),
    "string": Case({"type": "string"}, ["", "é", "😀", 'q"\\\n'], [1, None, ["x"]]),
    "integer": Case({"type": "integer"}, [0, -12, 123456789012], [1.5, "1", True]),
    "number": Case({"type": "number"}, [0, -1.25, 12000.5, 3e-05], ["1", None]),
    "boolean": Case({"type": "boolean"}, [True, False], [0, "true"]),
    "null": Case({"type": "null"}, [None], [0, "null", False]),
    "types": Case({"type": ["string", "null", "integer"]}, ["a", None, 4], [1.5, [], {}]),
    "object or null": Case(
        {"type": ["object", "null"], "properties": {"a": {"type": "integer"}}}, [None, {"a": 1}], [3, {"a": "x"}]
    ),
    "properties that are booleans": Case(
        {"type": "object", "properties": {"a": True, "b": False}}, [{"a": [1]}, {}], [{"b": 1}]
    ),
    "unknown type": Case({"type": "object", "properties": {"a": {"type": "any"}}}, [{"a": 1}, {"a": [None]}], [[]]),
    "types of Python": Case(
        {"type": "dict", "properties": {"a": {"type": "float"}, "b": {"type": "list"}}},
        [{"a": 1.5, "b": []}],
        [{"a": "x"}, {"b": 1}],
    ),
    "types of Gemini": Case(
        {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}},
        [{"a": "x"}, {"a": None}],
        [{"a": 1}],
    ),
    "nullable enum": Case({"type": "string", "enum": ["a"], "nullable": True}, ["a", None], ["b", 1]),
    "nullable reference": Case(
        {"properties": {"p": {"$ref": "#/$defs/P", "nullable": True}}, "$defs": {"P": PLACE}},
        [{"p": None}, {"p": {"town": "x"}}],
        [{"p": {"town": 1}}, {"p": 4}],
    ),
    # Values
    "enum": Case(
        {"enum": ["red", 2, None, [1], {"a": 1}, 1.5]}, ["red", 2, None, [1], {"a": 1}, 1.5], ["blue", 3, [2], {}]
    ),
    "const": Case({"const": "now"}, ["now"], ["later", None]),
    "const object": Case(
        {"properties": {"v": {"const": {"a": [1, 2]}}}}, [{"v": {"a": [1, 2]}}], [{"v": {"a": [2, 1]}}]
    ),
    "enum beside a type": Case({"type": "string", "enum": ["a", 1]}, ["a"], [1, "b"]),
    "large enum": Case({"enum": [f"item {index}" for index in range(800)]}, ["item 0", "item 799"], ["item 800"]),
    "huge enum": Case({"enum": [f"entry {index}" for index in range(6000)]}, ["entry 5999"], ["entry 6000"]),
    "accents in enum": Case({"enum": ["été", "naïve", "日本"]}, ["été", "日本"], ["ete"]),
    # Numbers
    "bounds": Case({"type": "integer", "minimum": -3, "maximum": 12}, [-3, 0, 12], [-4, 13]),
    "exclusive bounds": Case(
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, [0.5, 0.001], [0, 1, -0.5]
    ),
    "exclusive bounds of draft 4": Case({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, [1, 70], [0, -1]),
    "inclusive bound of draft 4": Case({"type": "integer", "minimum": 0, "exclusiveMinimum": False}, [0, 70], [-1]),
    "bounds without type": Case({"minimum": 5}, [5, 7.5, "x", None], [4, -1]),
    "huge bounds": Case({"type": "integer", "minimum": -1e30, "maximum": 1e30}, [0, 12, -7], [10**31]),
    "multiple of an integer": Case({"type": "integer", "multipleOf": 15}, [0, 45, -30], [7, 20]),
    "multiple of a fraction": Case({"type": "number", "multipleOf": 0.01}, [0.07, 19.99, 4], [0.005]),
    "multiple within bounds": Case(
        {"type": "integer", "multipleOf": 5, "minimum": 10, "maximum": 100}, [10, 55, 100], [5, 11, 105]
    ),
    "multiple of a large integer": Case({"type": "integer", "multipleOf": 100003}, [100003, 300009], [5]),
    "multiple of zero is ignored": Case({"type": "integer", "multipleOf": 0}, [1, 5], ["x"]),
    "limits that are no numbers": Case({"type": "string", "maxLength": "10", "minimum": None}, ["x"], [1]),
    # Strings
    "lengths": Case({"type": "string", "minLength": 2, "maxLength": 4}, ["ab", "é😀", "abcd"], ["a", "abcde"]),
    "huge maximum length": Case({"type": "string", "maxLength": 5000000}, ["x"], [1]),
    "huge minimum length": Case({"type": "string", "minLength": 200000}, ["x" * 200000], ["x"]),
    "pattern": Case({"type": "string", "pattern": "^[A-Z]{2}-\\d{3}$"}, ["FR-044"], ["FR-44", "xFR-044"]),
    "pattern anywhere": Case({"type": "string", "pattern": "\\d"}, ["a1b", "7", "x\ny7"], ["abc"]),
    "pattern with alternatives": Case({"type": "string", "pattern": "^on$|^off$"}, ["on", "off"], ["one", "xoff"]),
    "pattern and length": Case({"type": "string", "pattern": "^a+$", "maxLength": 3}, ["a", "aaa"], ["aaaa", "b"]),
    "pattern without type": Case({"pattern": "^a"}, ["ab", 7, None], ["ba"]),
    "lookahead": Case(
        {"type": "string", "pattern": "^(?=.*\\d)(?=.*[a-z]).{4,8}$"}, ["abc1", "1234567a"], ["abcd", "1234", "a1"]
    ),
    "negative lookahead": Case({"type": "string", "pattern": "^(?!admin)[a-z]+$"}, ["user"], ["administrator", "X"]),
    "lookbehind": Case({"type": "string", "pattern": "^\\$(?<=\\$)\\d+$"}, ["$12"], ["12"]),
    "word boundary": Case({"type": "string", "pattern": "\\bcat\\b"}, ["a cat sat"], ["concatenate"]),
    "back reference": Case({"type": "string", "pattern": "^(a|b)\\1$"}, ["aa", "bb"], ["ab"]),
    "Unicode classes": Case({"type": "string", "pattern": "^\\p{L}+$"}, ["Élan", "日本"], ["a1"]),
    "pattern that cannot be read": Case({"type": "string", "pattern": "(["}, ["x", "(["], [1]),
    "escaped slash": Case({"type": "string", "pattern": "^\\/v\\d+\\/$"}, ["/v1/"], ["v1"]),
    # Formats
    "date": Case({"type": "string", "format": "date"}, ["2026-11-29"], ["2026-13-01", "2026-02-30", "29.11.2026"]),
    "date-time": Case(
        {"type": "string", "format": "date-time"},
        ["2026-11-29T10:05:00Z", "2026-11-29T10:05:00.25+01:00", "2026-11-29T10:05:00"],
        ["2026-11-29", "2026-11-29T25:00:00Z"],
    ),
    "time": Case(
        {"type": "string", "format": "time"}, ["10:05:00", "23:59:59Z", "10:05:00.5+02:00"], ["24:10:00", "noon"]
    ),
    "duration": Case({"type": "string", "format": "duration"}, ["P3D", "PT0.5S", "-P1DT2H", "P1Y2M"], ["3 days", "PT"]),
    "uuid": Case(
        {"type": "string", "format": "uuid"},
        ["2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2EB8AA08-AA98-11EA-B4AA-73B441D16380"],
        ["2eb8aa08"],
    ),
    "ipv4": Case({"type": "string", "format": "ipv4"}, ["192.168.0.1"], ["256.1.1.1", "1.2.3"]),
    "ipv6": Case(
        {"type": "string", "format": "ipv6"},
        ["::1", "2001:db8::ff00:42:8329", "::ffff:192.168.0.1"],
        ["12345::", "g::1"],
    ),
    "email": Case(
        {"type": "string", "format": "email"}, ["jo.e+x@mail.example.org", '"jo e"@example.org'], ["nobody", "a b@c"]
    ),
    "uri": Case(
        {"type": "string", "format": "uri"},
        ["https://example.org/a?b=c#d", "mailto:a@example.org", "urn:isbn:1"],
        ["no uri", "//x"],
    ),
    "hostname": Case({"type": "string", "format": "hostname"}, ["www.example.org"], ["-bad-.org"]),
    "unknown format": Case({"type": "string", "format": "postal-code"}, ["44000", "anything"], [44000]),
    "formats of OpenAPI": Case(
        {
            "properties": {
                "a": {"type": "integer", "format": "int32"},
                "b": {"type": "string", "format": "password"},
                "c": {"type": "number", "format": "double"},
            }
        },
        [{"a": 1, "b": "x", "c": 1.5}],
        [{"a": "1"}],
    ),
    "format of another type": Case({"type": "integer", "format": "date"}, [3], ["2026-01-01"]),
    "format beside a pattern": Case(
        {"type": "string", "format": "date", "pattern": "^2"}, ["2026-11-29"], ["1999-01-01", "2026"]
    ),
    "content": Case({"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}, ["aGk="], [1]),
    "content schema": Case(
        {"type": "string", "contentMediaType": "application/json", "contentSchema": {"type": "object"}},
        ['{"a":1}'],
        [{"a": 1}],
    ),
    # Objects
    "properties": Case(
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"]},
        [{"a": 1}, {"a": 1, "b": "x"}],
        [{}, {"b": "x"}, {"a": "1"}],
    ),
    "open object": Case(
        {"type": "object", "properties": {"a": {"type": "integer"}}},
        [{"a": 1, "z": [1]}, {"z": {"y": 1}}, {}],
        [{"a": "x"}],
    ),
    "closed object": Case(
        {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False},
        [{"a": 1}, {}],
        [{"b": 1}],
    ),
    "typed further properties": Case(
        {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}},
        [{"a": 1, "z": "x"}],
        [{"a": 1, "z": 1}],
    ),
    "open inner object": Case(
        {
            "type": "object",
            "properties": {"in": {"type": "object", "properties": {"a": {}}}},
            "additionalProperties": False,
        },
        [{"in": {"a": 1, "b": 2}}],
        [{"out": 1}],
    ),
    "properties without type": Case({"properties": {"a": {"type": "string"}}}, [{"a": "x"}, 5, [1], None], [{"a": 1}]),
    "required without properties": Case(
        {"type": "object", "required": ["id"]}, [{"id": 4}, {"id": 4, "x": 1}], [{}, {"x": 1}]
    ),
    "required of draft 3": Case(
        {
            "type": "object",
            "properties": {"a": {"type": "string", "required": True}, "b": {"type": "string", "required": False}},
        },
        [{"a": "x"}],
        [{"b": "x"}],
    ),
    "pattern properties": Case(
        {"type": "object", "patternProperties": {"^n_": {"type": "integer"}}, "additionalProperties": False},
        [{"n_a": 1, "n_b": 2}],
        [{"n_a": "x"}, {"m": 1}],
    ),
    "overlapping pattern properties": Case(
        {
            "type": "object",
            "patternProperties": {"^a": {"type": "integer"}, "z$": {"minimum": 5}},
            "additionalProperties": False,
        },
        [{"ab": 1}, {"az": 7}],
        [{"ab": "x"}, {"az": 1}, {"q": 1}],
    ),
    "pattern properties with lookahead": Case(
        {
            "type": "object",
            "patternProperties": {"^(?!x)": {"type": "integer"}},
            "additionalProperties": {"type": "string"},
        },
        [{"a": 1, "xa": "s"}],
        [{"a": "s"}, {"xa": 1}],
    ),
    "pattern properties beside properties": Case(
        {"type": "object", "properties": {"ab": {"type": "integer"}}, "patternProperties": {"^a": {"minimum": 5}}},
        [{"ab": 7, "ac": 9, "z": "x"}],
        [{"ab": 1}, {"ac": 2}],
    ),
    "names of an enum": Case(
        {"type": "object", "propertyNames": {"enum": ["low", "high"]}, "additionalProperties": {"type": "integer"}},
        [{"low": 1, "high": 2}, {}],
        [{"mid": 1}, {"low": "x"}],
    ),
    "names of a referenced enum": Case(
        {"type": "object", "propertyNames": {"$ref": "#/$defs/Level"}, "$defs": {"Level": {"enum": ["low"]}}},
        [{"low": [1]}],
        [{"mid": 1}],
    ),
    "names with a pattern": Case(
        {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}, "additionalProperties": {"type": "integer"}},
        [{"abc": 1}],
        [{"A": 1}, {"a": "x"}],
    ),
    "names with a length": Case({"type": "object", "propertyNames": {"maxLength": 3}}, [{"abc": 1}], [{"abcd": 1}]),
    "no names": Case({"type": "object", "propertyNames": False}, [{}], [{"a": 1}]),
    "number of properties": Case(
        {"type": "object", "minProperties": 1, "maxProperties": 2},
        [{"a": 1}, {"a": 1, "b": 2}],
        [{}, {"a": 1, "b": 2, "c": 3}],
    ),
    "number of optional properties": Case(
        {"type": "object", "properties": {"a": {}, "b": {}}, "minProperties": 1}, [{"a": 1}, {"b": 1}, {"c": 1}], [{}]
    ),
    "dependent required": Case(
        {"type": "object", "properties": {"card": {}, "address": {}}, "dependentRequired": {"card": ["address"]}},
        [{"address": 1}, {"card": 1, "address": 2}],
        [{"card": 1}],
    ),
    "dependent schemas": Case(
        {"type": "object", "properties": {"a": {}}, "dependentSchemas": {"a": {"required": ["b"]}}},
        [{"a": 1, "b": 2}, {"b": 1}],
        [{"a": 1}],
    ),
    "dependencies": Case(
        {"type": "object", "properties": {"a": {}, "c": {}}, "dependencies": {"a": ["b"], "c": {"required": ["d"]}}},
        [{"a": 1, "b": 1}, {"c": 1, "d": 2}, {}],
        [{"a": 1}, {"c": 1}],
    ),
    "unevaluated properties": Case(
        {"type": "object", "properties": {"a": {}}, "unevaluatedProperties": False}, [{"a": 1}], [{"b": 1}]
    ),
    "unevaluated properties beside allOf": Case(
        {"allOf": [{"properties": {"a": {}}}], "properties": {"b": {}}, "unevaluatedProperties": False},
        [{"b": 1, "a": 2}],
        [{"c": 1}],
    ),
    "many optional properties": Case(
        {
            "type": "object",
            "properties": {f"p{index}": {"type": "integer"} for index in range(700)},
            "required": ["p3"],
        },
        [{"p3": 1}, {"p3": 1, "p699": 2}],
        [{"p0": 1}, {"p3": 1, "p4": "x"}],
    ),
    "property names that look like keywords": Case(
        {
            "type": "object",
            "properties": {
                "properties": {"type": "integer"},
                "$ref": {"type": "string"},
                "type": {"type": "string"},
                "enum": {"type": "array"},
                "required": {"type": "boolean"},
            },
        },
        [{"properties": 1, "$ref": "x", "type": "y", "enum": [], "required": True}],
        [{"$ref": 1}, {"enum": 1}],
    ),
    "unusual names": Case(
        {
            "type": "object",
            "properties": {"": {"type": "integer"}, 'a"b': {"type": "integer"}, "é\n": {"type": "integer"}},
        },
        [{"": 1, 'a"b': 2, "é\n": 3}],
        [{"": "x"}],
    ),
    # Arrays
    "items": Case({"type": "array", "items": {"type": "integer"}}, [[], [1, 2]], [["x"], {}]),
    "number of items": Case(
        {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
        [[1], [1, 2, 3]],
        [[], [1, 2, 3, 4]],
    ),
    "huge number of items": Case(
        {"type": "array", "items": {"type": "integer"}, "maxItems": 1000000}, [[], [1] * 50], [["x"]]
    ),
    "many required items": Case({"type": "array", "items": {"type": "integer"}, "minItems": 600}, [[1] * 600], [[1]]),
    "tuple": Case(
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 2, "items": False},
        [["a", 1]],
        [["a"], ["a", "b"], ["a", 1, 2]],
    ),
    "tuple of draft 7": Case(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "array",
            "items": [{"type": "string"}, {"type": "integer"}],
            "additionalItems": False,
        },
        [["a", 1], ["a"]],
        [["a", "b"], ["a", 1, 2]],
    ),
    "open tuple": Case({"type": "array", "items": [{"type": "string"}]}, [["a", 1, None], []], [[1]]),
    "unique items": Case({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, [[1, 2], []], [[1, 1]]),
    "unique items of an enum": Case(
        {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True},
        [["b", "a"], []],
        [["a", "a"], ["a", "b", "a"]],
    ),
    "uniqueItems false": Case({"type": "array", "uniqueItems": False}, [[1, 1]], [1]),
    "contains": Case(
        {"type": "array", "contains": {"type": "string"}, "minContains": 2}, [["a", 1, "b"]], [[1], ["a"]]
    ),
    "unevaluated items": Case(
        {"type": "array", "prefixItems": [{"type": "string"}], "unevaluatedItems": False}, [["a"], []], [["a", 1]]
    ),
    "items without type": Case({"items": {"type": "integer"}}, [[1], "x", {}], [["x"]]),
    "nested arrays": Case(
        {"type": "array", "items": {"type": "array", "items": {"type": "number"}, "minItems": 2}},
        [[[1, 2.5]], []],
        [[[1]], [1]],
    ),
    # Combinations
    "anyOf": Case({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 5}]}, ["x", 5], [4, None]),
    "anyOf of required": Case(
        {"type": "object", "properties": {"a": {}, "b": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        [{"a": 1}, {"b": 1}, {"a": 1, "b": 2}],
        [{}, {"c": 1}],
    ),
    "oneOf of types": Case({"oneOf": [{"type": "string"}, {"type": "integer"}]}, ["x", 4], [1.5, None]),
    "oneOf that overlaps": Case(
        {"oneOf": [{"type": "number", "minimum": 10}, {"type": "integer"}]}, [3, 12.5], [12, "x", 3.5]
    ),
    "oneOf of required": Case(
        {"type": "object", "properties": {"a": {}, "b": {}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        [{"a": 1}, {"b": 1}],
        [{}, {"a": 1, "b": 2}],
    ),
    "discriminated union": Case(
        {
            "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
            "discriminator": {"propertyName": "kind"},
            "$defs": {"Cat": CAT, "Dog": DOG},
        },
        [{"kind": "cat", "lives": 9}, {"kind": "dog", "tricks": ["sit"]}],
        [{"kind": "cow"}, {"kind": "cat", "lives": "x"}],
    ),
    "anyOf beside oneOf": Case(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "oneOf": [{"type": "integer", "minimum": 3}, {"type": "boolean"}],
        },
        [3],
        [1, "x", True],
    ),
    "allOf": Case(
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"properties": {"b": {"type": "string"}}, "required": ["b"]},
            ]
        },
        [{"a": 1, "b": "x"}],
        [{"a": 1}, {"a": 1, "b": 2}],
    ),
    "allOf with a reference": Case(
        {"allOf": [{"$ref": "#/$defs/P"}, {"required": ["town"]}], "$defs": {"P": PLACE}},
        [{"town": "Brest", "zip": "29200"}],
        [{"zip": "1"}, {"town": 1}],
    ),
    "allOf beside properties": Case(
        {"type": "object", "properties": {"a": {"type": "integer"}}, "allOf": [{"required": ["a"]}]},
        [{"a": 1}],
        [{}, {"a": "x"}],
    ),
    "allOf of closed parts": Case(
        {
            "allOf": [
                {"properties": {"a": {"type": "integer"}}, "additionalProperties": False},
                {"properties": {"a": {"minimum": 3}}},
            ]
        },
        [{"a": 3}, {}],
        [{"a": 1}, {"b": 1}],
    ),
    "not": Case({"not": {"type": "string"}}, [1, None, {}], ["x"]),
    "not a value": Case(
        {"type": "object", "properties": {"role": {"type": "string", "not": {"enum": ["root"]}}}},
        [{"role": "user"}],
        [{"role": "root"}, {"role": 1}],
    ),
    "not required": Case({"type": "object", "not": {"required": ["legacy"]}}, [{"x": 1}, {}], [{"legacy": 1}]),
    "if then else": Case(
        {
            "type": "object",
            "properties": {"country": {"type": "string"}, "zip": {"type": "string"}},
            "if": {"properties": {"country": {"const": "FR"}}, "required": ["country"]},
            "then": {"properties": {"zip": {"pattern": "^\\d{5}$"}}},
            "else": {"required": ["zip"]},
        },
        [{"country": "FR"}, {"country": "FR", "zip": "44000"}, {"country": "DE", "zip": "x"}],
        [{"country": "FR", "zip": "x"}, {"country": "DE"}],
    ),
    "contradiction in an optional property": Case(
        {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}, {"type": "integer"}]}}},
        [{}, {"b": 1}],
        [{"a": 1}, {"a": "x"}],
    ),
    # References
    "definitions": Case({"$ref": "#/definitions/P", "definitions": {"P": PLACE}}, [{"town": "x"}], [{"town": 1}]),
    "keywords beside a reference": Case(
        {"$ref": "#/$defs/S", "minLength": 2, "$defs": {"S": {"type": "string"}}}, ["ab"], ["a", 1]
    ),
    "keywords beside a reference in draft 7": Case(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "properties": {"a": {"$ref": "#/definitions/S", "minLength": 2}},
            "definitions": {"S": {"type": "string"}},
        },
        [{"a": "x"}],
        [{"a": 1}],
    ),
    "recursion": Case(
        {"$ref": "#/$defs/Node", "$defs": {"Node": NODE}},
        [{"label": "a", "children": [{"label": "b", "children": [{"label": "c"}]}]}],
        [{"label": "a", "children": [{"children": []}]}, {}],
    ),
    "recursion to the root": Case(
        {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"$ref": "#"}}, "required": ["v"]},
        [{"v": 1, "next": {"v": 2}}],
        [{"v": 1, "next": {}}],
    ),
    "recursion beside a keyword": Case(
        {"type": "object", "properties": {"next": {"$ref": "#", "minProperties": 1}}},
        [{}, {"next": {"x": 1}}, {"next": {"next": {"y": 1}}}],
        [{"next": {}}, {"next": 1}],
    ),
    "circle of references": Case(
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, [], []
    ),
    "anchor": Case(
        {"properties": {"p": {"$ref": "#place"}}, "$defs": {"P": {"$anchor": "place", **PLACE}}},
        [{"p": {"town": "x"}}],
        [{"p": {"town": 1}}],
    ),
    "identifiers": Case(
        {
            "$id": "https://example.org/root.json",
            "properties": {"p": {"$ref": "place.json"}, "q": {"$ref": "https://example.org/root.json#/$defs/P"}},
            "$defs": {"P": {"$id": "place.json", **PLACE}},
        },
        [{"p": {"town": "x"}, "q": {"zip": "1"}}],
        [{"p": {"town": 1}}, {"q": {"zip": 1}}],
    ),
    "components": Case(
        {"$ref": "#/components/schemas/P", "components": {"schemas": {"P": PLACE}}}, [{"town": "x"}], [{"town": 1}]
    ),
    "reference into properties": Case(
        {"properties": {"a": {"type": "integer"}, "b": {"$ref": "#/properties/a"}}}, [{"a": 1, "b": 2}], [{"b": "x"}]
    ),
    "reference into items": Case({"items": [{"type": "integer"}, {"$ref": "#/items/0"}]}, [[1, 2]], [[1, "x"]]),
    "escaped pointer": Case({"$ref": "#/$defs/a~1b%25c", "$defs": {"a/b%c": {"type": "integer"}}}, [1], ["x"]),
    "remote reference": Case(
        {
            "type": "object",
            "properties": {"a": {"$ref": "https://example.org/other.json#/x"}, "b": {"type": "integer"}},
        },
        [{"a": [1], "b": 2}],
        [{"b": "x"}],
    ),
    "missing reference": Case(
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/nowhere"}, "b": {"type": "integer"}}},
        [{"a": {}, "b": 2}],
        [{"b": "x"}],
    ),
    "dynamic reference": Case(
        {
            "$dynamicAnchor": "node",
            "type": "object",
            "properties": {"v": {"type": "integer"}, "kids": {"type": "array", "items": {"$dynamicRef": "#node"}}},
        },
        [{"v": 1, "kids": [{"v": 2}]}],
        [{"v": "x"}, {"kids": [{"v": "x"}]}],
    ),
    "recursive reference of 2019": Case(
        {
            "$schema": "https://json-schema.org/draft/2019-09/schema",
            "type": "object",
            "properties": {"v": {"type": "integer"}, "next": {"$recursiveRef": "#"}},
        },
        [{"v": 1, "next": {"v": 2}}],
        [{"next": {"v": "x"}}],
    ),
    "deep schema": Case(
        build_deep_schema(90), [build_deep_value(90, 3)], [build_deep_value(90, "x"), build_deep_value(89, 3)]
    ),
    # As found in applications
    "package": Case(
        {
            "$schema": "http://json-schema.org/draft-04/schema#",
            "id": "https://example.org/package.json",
            "type": "object",
            "properties": {
                "name": {
                    "type": "string",
                    "pattern": "^(?:@[a-z0-9-~][a-z0-9-._~]*/)?[a-z0-9-~][a-z0-9-._~]*$",
                    "maxLength": 214,
                },
                "version": {"type": "string"},
                "keywords": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
                "bugs": {
                    "oneOf": [
                        {"type": "string", "format": "uri"},
                        {"type": "object", "properties": {"url": {"type": "string", "format": "uri"}}},
                    ]
                },
            },
            "required": ["name", "version"],
            "patternProperties": {"^_": {"type": "string"}},
        },
        [
            {
                "name": "@a/b",
                "version": "1.0.0",
                "keywords": ["x"],
                "bugs": {"url": "https://a.org"},
                "_id": "x",
                "private": True,
            }
        ],
        [{"name": "a"}, {"name": "a", "version": "1", "keywords": ["x", "x"]}, {"name": "a", "version": "1", "_id": 1}],
    ),
    "order": Case(
        {
            "type": "object",
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "lines": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "properties": {
                            "sku": {"type": "string", "pattern": "^(?=.{4,})[A-Z0-9-]+$"},
                            "quantity": {"type": "integer", "minimum": 1},
                        },
                        "required": ["sku", "quantity"],
                    },
                },
                "total": {"type": "number", "multipleOf": 0.01},
            },
            "required": ["id", "lines"],
        },
        [
            {
                "id": "2eb8aa08-aa98-11ea-b4aa-73b441d16380",
                "lines": [{"sku": "AB-12", "quantity": 2, "note": "gift"}],
                "total": 12.07,
            }
        ],
        [
            {"id": "2eb8aa08-aa98-11ea-b4aa-73b441d16380", "lines": []},
            {"id": "2eb8aa08-aa98-11ea-b4aa-73b441d16380", "lines": [{"sku": "A", "quantity": 1}]},
        ],
    ),
}
