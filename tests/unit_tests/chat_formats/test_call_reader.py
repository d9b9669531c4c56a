"""Arguments of tool calls as models write them, and the reasons why a call cannot be made."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_gptoss.chat_formats.call_reader import ArgumentsReader, CallReader
from tests import scale


def read(text: str, step: int = 1) -> tuple[str, list[str]]:
    """Return the repaired arguments, read in pieces of some length, and the repairs."""
    reader = ArgumentsReader()
    pieces = [reader.feed(text[start : start + step]) for start in range(0, len(text), step)]
    return "".join(pieces) + reader.close(), reader.repairs


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('{"code":"a\nb"}', {"code": "a\nb"}),
        ('{"code":"\tx\r\n\x00"}', {"code": "\tx\r\n\x00"}),
        ('{"a":"\\\\\n"}', {"a": "\\\n"}),
        ('{"a":"one \\\ntwo"}', {"a": "one \ntwo"}),
        ('{"a":"\\"{\n"}', {"a": '"{\n'}),
        ('{"a\nb": [{"c": "d\te"}]}', {"a\nb": [{"c": "d\te"}]}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('```\n{"a": "```"}```\n', {"a": "```"}),
        ('  ```{"a": 1}\n```', {"a": 1}),
        ('{"a": 1}\n```', {"a": 1}),
        ('"{\\"a\\": \\"été\\"}"', {"a": "été"}),
        (' "{\\"a\\": \\"x\\\\ny\\"}" ', {"a": "x\ny"}),
        ('"{\\"a\\": \\"x\ny\\"}"', {"a": "x\ny"}),
    ],
)
def test_arguments_are_repaired_to_json(written, value, step):
    text, repairs = read(written, step)
    assert json.loads(text) == value
    assert repairs


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize(
    "written",
    [
        "{}", '{"a": 1}', ' \n{"a": [1, {"b": "}"}]} \n', '{"a": "\\n\\u00e9"}',  # JSON
        "", "  ", "Nantes", "1 + 1", '"Nantes"', "[1]", "null", '"[1]"', "`x`", "``` x", "```python\nprint()\n```",
        '{"a": 1} and more', '{"a": 1}}', "{'a': 1}", '"{oops"', '"', "}", '{"a": "cut',
    ],
)  # fmt: skip
def test_other_arguments_stay_as_they_are(written, step):
    assert read(written, step) == (written, [])


def test_an_object_is_passed_on_at_once():
    reader = ArgumentsReader()
    assert [reader.feed(piece) for piece in ('{"a', '": "x', "y", '"}')] == ['{"a', '": "x', "y", '"}']


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=3), st.integers(1, 7), st.booleans())
@settings(deadline=None, max_examples=scale(300))
def test_every_object_is_read_in_any_pieces(value, step, is_raw):
    written = json.dumps(value, ensure_ascii=False)
    if is_raw:  # as models write it: control characters in strings are not escaped
        written = written.replace("\\n", "\n").replace("\\t", "\t") if "\\\\" not in written else written
    assert json.loads(read(written, step)[0]) == value


@given(st.text(alphabet='{}[]"\\`\n\t a1:,', max_size=30), st.integers(1, 5))
@settings(deadline=None, max_examples=scale(500))
def test_the_result_does_not_depend_on_the_pieces(written, step):
    assert read(written, step) == read(written, 1000)


def read_call(name: str, arguments: str, *, is_complete: bool = True) -> tuple[str, dict[int, str], list[str]]:
    """Return the arguments, the errors and the repairs of one call where `f` may be called and `g` is offered."""
    repairs: list[str] = []
    reader = CallReader(["f"], ["f", "g"], lambda found, _: repairs.append(found))
    deltas = [*reader.begin(name), *reader.feed(arguments), *reader.end(is_complete=is_complete)]
    assert reader.is_cut is not is_complete
    return "".join(delta.text for delta in deltas), reader.errors, repairs


@pytest.mark.parametrize(
    ("name", "arguments", "is_complete", "reason"),
    [
        ("h", '{"a": 1}', True, "There is no tool 'h'. The offered tools are: f, g."),
        ("h", '{"a', False, "There is no tool 'h'"),
        ("g", "{}", True, "tool_choice excludes it"),
        ("f", "{}", False, "cut off"),
        ("f", "", False, "cut off"),
        ("f", '{"a": ', True, "not a JSON object"),
        ("f", "[1]", True, "not an object"),
        ("f", "[" * 100_000, True, "not a JSON object"),
    ],
)
def test_calls_that_cannot_be_made_have_a_reason(name, arguments, is_complete, reason):
    text, errors, repairs = read_call(name, arguments, is_complete=is_complete)
    assert (text, repairs) == (arguments, [])
    assert reason in errors[0]


def test_arguments_of_a_call_that_cannot_be_made_are_not_repaired():
    assert read_call("h", '{"a": "\n"}')[0] == '{"a": "\n"}'


@pytest.mark.parametrize("arguments", ["", " \n"])
def test_a_complete_call_without_arguments_has_an_empty_object(arguments):
    text, errors, repairs = read_call("f", arguments)
    assert (text.strip(), errors, repairs) == ("{}", {}, ["a call of f without arguments"])


def test_repairs_of_arguments_name_the_tool():
    assert read_call("f", '{"a": "\n\n"}')[1:] == (
        {},
        ["a raw control character in a string of the arguments of f"],
    )


def test_without_tools_the_reason_says_so():
    reader = CallReader([], [], lambda *_: None)
    reader.begin("f")
    assert reader.errors == {0: "There is no tool 'f': no tools are offered."}
