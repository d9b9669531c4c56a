"""JSON with the mistakes of models."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_gptoss.chat_formats.lenient_json import JsonError, read_json_values
from tests import scale

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.booleans(), st.sampled_from([None, 2]))
@settings(deadline=None, max_examples=scale(200))
def test_valid_json_is_read_without_repairs(value, is_ascii, indent):
    assert read_json_values(json.dumps(value, ensure_ascii=is_ascii, indent=indent)) == ([value], "", ())


@given(st.text(st.sampled_from("{}[]\"':,\\ tfn1u-.\n"), max_size=30))
@settings(deadline=None, max_examples=scale(500))
def test_any_text_gives_values_or_the_documented_error(text):
    try:
        values, rest, _ = read_json_values(text)
    except JsonError:
        return
    assert values
    assert text.endswith(rest)


@pytest.mark.parametrize(
    ("text", "value", "repair"),
    [
        ("{'a': 'x'}", {"a": "x"}, "single quotes"),
        ("{'a': 'l\\'eau'}", {"a": "l'eau"}, "single quotes"),
        ('{"a": 1,}', {"a": 1}, "a trailing comma"),
        ('{"a": [1, 2,],}', {"a": [1, 2]}, "a trailing comma"),
        ('{"a": {"b": 1}', {"a": {"b": 1}}, "a missing bracket"),
        ('{"a": [1, 2}', {"a": [1, 2]}, "a missing bracket"),
        ('{"a": 1}}', {"a": 1}, "a surplus bracket"),
        ('{"a": 1 "b": 2}', {"a": 1, "b": 2}, "a missing comma"),
        ('{"a": 1,, "b": 2}', {"a": 1, "b": 2}, "a surplus comma"),
        ("{a: True, b-c: None}", {"a": True, "b-c": None}, "a literal of Python"),
        ('{a: "x"}', {"a": "x"}, "a name without quotes"),
        ('{"a": "C:\\Users"}', {"a": "C:\\Users"}, "an unknown escape"),
        ('{"a": 01000}', {"a": "01000"}, None),
        ('{"a": "x\ny\tz"}', {"a": "x\ny\tz"}, None),
        ('{"a": "\\ud83d\\ude00 \\u00e9"}', {"a": "😀 é"}, None),
    ],
)
def test_mistakes_are_repaired(text, value, repair):
    values, _, repairs = read_json_values(text)
    assert values == [value]
    assert repair is None or repair in repairs


@pytest.mark.parametrize("text", ["", "Nantes", '{"a": "x}', '{"a": }', '{"a"}', '{"a": \'x', "{" * 200, '"\\u12'])
def test_what_has_no_plain_meaning_is_refused(text):
    with pytest.raises(JsonError):
        read_json_values(text)


def test_several_values_are_read_until_something_else_follows():
    assert read_json_values('{"a": 1}; {"b": 2}, [3] and so on')[:2] == ([{"a": 1}, {"b": 2}, [3]], "and so on")
    assert read_json_values('{"a": 1} {oops')[:2] == ([{"a": 1}], "{oops")
