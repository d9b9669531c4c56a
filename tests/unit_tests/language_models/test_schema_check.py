"""The check of values after generation, on the corpus of schemas and on malformed ones."""

import pytest
import regex

from langchain_gptoss.chat_formats.base import Tool
from langchain_gptoss.language_models.schema_check import check_arguments, check_value
from tests.unit_tests.chat_formats.schema_corpus import CORPUS


@pytest.mark.parametrize("name", CORPUS)
def test_every_valid_value_passes(name):
    for value in CORPUS[name].valid:
        assert check_value(CORPUS[name].schema, value) is None, value


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"properties": {"tags": {"uniqueItems": True}}}, {"tags": ["a", "a"]}, "$.tags: uniqueItems is violated"),
        ({"items": {"not": {"const": 1}}}, [2, 1], "$[1]: not is violated"),
        ({"properties": {"a": {"pattern": "^(?=b)"}}}, {"a": "x"}, "$.a: pattern is violated"),
        ({"properties": {"a": {"format": "date"}}}, {"a": "2026-02-30"}, "$.a: format is violated"),
        ({"properties": {"a": {"format": "date-time"}}}, {"a": "2026-11-29T25:00:00Z"}, "$.a: format is violated"),
        ({"properties": {"a": {"multipleOf": 0.01}}}, {"a": 0.005}, "$.a: multipleOf is violated"),
        ({"additionalProperties": False, "properties": {"a": {}}}, {"b": 1}, "$: additionalProperties is violated"),
        ({"dependencies": {"a": ["b"]}}, {"a": 1}, "$: dependentRequired is violated"),
        (False, 1, "$: "),
    ],
)
def test_violated_keyword_and_its_place_are_named(schema, value, message):
    assert check_value(schema, value).startswith(message)


def test_long_values_are_shortened_in_the_reason():
    assert len(check_value({"type": "integer"}, "x" * 10_000)) < 400


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.org/never-fetched.json"},
        {"$ref": "#/$defs/missing"},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"pattern": "(["},
        {"type": "tuple?"},
        {"items": 3, "properties": [], "enum": "x", "required": "a", "minimum": "0", "anyOf": {}},
        {"$schema": "https://example.org/unknown-dialect", "unknown": {"type": 3}},
    ],
)
def test_parts_that_cannot_be_checked_are_passed_over(schema):
    for value in (1, "x", {"a": 1}, [1]):
        assert check_value(schema, value) is None


def test_pattern_that_takes_too_long_is_passed_over(monkeypatch):
    def time_out(*_: object, timeout: float) -> None:
        assert 0 < timeout <= 1
        raise TimeoutError

    monkeypatch.setattr(regex, "search", time_out)
    assert check_value({"pattern": "^(a|aa)+$"}, "aaab") is None


def test_leap_seconds_and_lower_case_letters_are_valid_times():
    for text in ("2016-12-31T23:59:60Z", "2026-11-29t10:05:00z"):
        assert check_value({"format": "date-time"}, text) is None


def test_arguments_must_be_an_object():
    tool = Tool(name="f", parameters={"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
    assert check_arguments(tool, [1]) == "The arguments are not a JSON object."
    assert check_arguments(tool, {}).startswith("$: required is violated")
    assert check_arguments(tool, {"a": 1}) is None
