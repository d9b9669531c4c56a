"""Text and tagged tool calls, streamed by a checkpoint's own tokenizer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_gptoss.chat_formats.base import Delta
from langchain_gptoss.chat_formats.template import TemplateFormat
from langchain_gptoss.chat_formats.tokenizer_parser import TokenizerParser
from tests import scale
from tests.unit_tests.chat_formats.byte_tokenizer import SPECIAL_TOKENS, build_tokenizer

TOKENIZER = build_tokenizer()
FORMAT = TemplateFormat(TOKENIZER, stop_ids=frozenset({2}))


def parse(ids: list[int], tools: list[str] = ()) -> tuple[str, list[list[str]], TokenizerParser]:
    """Return the text, the calls and the parser of an answer."""
    parser = FORMAT.parser(tools)
    text, calls = "", []
    for delta in [delta for token_id in ids for delta in parser.feed(token_id)] + parser.flush():
        if delta.kind == "text":
            text += delta.text
        elif delta.name:
            calls.append([delta.name, delta.text])
        else:
            calls[delta.call_index][1] += delta.text
    return text, calls, parser


def test_text_is_decoded_and_control_tokens_are_dropped():
    text = "été 🎉👩‍👩‍👧 漢字\n\nfin "
    assert parse(FORMAT.encode(text))[0] == text
    assert parse([1, *FORMAT.encode("Hi"), 2, 0])[0] == "Hi"


def test_split_characters_wait_for_their_rest():
    parser = FORMAT.parser()
    shown = [[delta.text for delta in parser.feed(token_id)] for token_id in FORMAT.encode("é🎉")]
    assert shown == [[], ["é"], [], [], [], ["🎉"]]


@given(st.lists(st.integers(0, len(TOKENIZER) + 5), max_size=30), st.sampled_from([[], ["f"]]))
@settings(deadline=None, max_examples=scale(300))
def test_no_output_raises(ids, tools):
    parse(ids, tools)


def test_names_of_control_tokens_are_encoded_as_text():
    assert min(FORMAT.encode("<|im_start|><file>")) >= len(SPECIAL_TOKENS)


def test_decode_token_gives_bytes():
    ids = FORMAT.encode("é")
    assert [FORMAT.decode_token(token_id) for token_id in ids] == [b"\xc3", b"\xa9"]
    assert FORMAT.decode_token(1) == b"<|im_start|>"
    assert FORMAT.decode_token(5_000_000) == b""


CALL = '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'


@pytest.mark.parametrize(
    ("answer", "text", "calls"),
    [
        (CALL, "", [["f", '{"a": 1}']]),
        (f"I look. {CALL}", "I look.", [["f", '{"a": 1}']]),
        (f"{CALL}\n{CALL}", "", [["f", '{"a": 1}'], ["f", '{"a": 1}']]),
        (f"{CALL}Done.", "Done.", [["f", '{"a": 1}']]),
        ('{"name": "f", "arguments": {}}', "", [["f", "{}"]]),
        ('<tool_call>{"name": "f"}', "", [["f", "{}"]]),
        ('<tool_call>{"name": "f", "arguments": {"a": 1', "", [["f", '{"a": 1']]),
        ("a < b and <tool", "a < b and <tool", []),
        ("", "", []),
        ('{"key": 1}', '{"key": 1}', []),
        ('{"name": 1}', '{"name": 1}', []),
        ("{oops", "{oops", []),
    ],
)
def test_tagged_calls_are_parsed(answer, text, calls):
    assert parse(FORMAT.encode(answer), ["f", "g"])[:2] == (text, calls)


def test_tagged_call_of_an_unknown_tool_is_invalid():
    answer = '<tool_call>{"name": "h", "arguments": {"a": 1}}</tool_call>'
    text, calls, parser = parse(FORMAT.encode(f"I look. {answer}"), ["f"])
    assert (text, calls) == ("I look.", [["h", '{"a": 1}']])
    assert parser.call_errors == {0: "There is no tool 'h'. The offered tools are: f."}
    assert parse(FORMAT.encode(answer), [])[0] == answer


@pytest.mark.parametrize(
    ("answer", "arguments"),
    [
        ('<tool_call>{"name": "functions.get_time", "arguments": {"a": 1}}</tool_call>', '{"a": 1}'),
        ('<tool_call>{"name": "Get-Time?", "arguments": {"a": 1}}</tool_call>', '{"a": 1}'),
        ('<tool_call>{"name": "get_time", "arguments": {"a": "x\ny"}}</tool_call>', '{"a": "x\\ny"}'),
        ('<tool_call>{"name": "get_time", "arguments": "{\\"a\\": 1}"}</tool_call>', '{"a": 1}'),
        ('<tool_call>{"name": "get_time", "arguments": null}</tool_call>', "{}"),
        ('<tool_call>{"name": "get_time", "arguments": {"a": 1}</tool_call>', '{"a": 1}'),
    ],
)
def test_near_misses_are_repaired(answer, arguments):
    _, calls, parser = parse(FORMAT.encode(answer), ["get_time", "f"])
    assert (calls, parser.call_errors) == ([["get_time", arguments]], {})


@pytest.mark.parametrize(("is_complete", "error"), [(True, None), (False, "cut off")])
@pytest.mark.parametrize("opening", ["<tool_call>", "```json\n"])
def test_a_call_without_its_end_is_valid_if_the_model_ended_the_answer(opening, is_complete, error):
    parser, answer = FORMAT.parser(["f"]), opening + '{"name": "f", "arguments": {}}'
    deltas = [delta for token_id in FORMAT.encode(answer) for delta in parser.feed(token_id)]
    deltas += parser.flush(is_complete=is_complete)
    assert "".join(delta.text for delta in deltas) == "{}"
    assert (error or "") in parser.call_errors.get(0, "")
    assert bool(parser.call_errors) == parser.is_call_cut == (not is_complete)


def test_a_cut_at_any_token_gives_no_call_that_was_not_ended():
    written = f"I look. {CALL}\n{CALL}"
    ids = FORMAT.encode(written)
    for size in range(len(ids)):
        text, calls, parser = parse(ids[:size], ["f"])
        shown, _, tag = text.partition("<")  # a cut tag is text
        assert "I look.".startswith(shown.strip())
        assert "tool_call>".startswith(tag)
        assert len(calls) - len(parser.call_errors) == FORMAT._tokenizer.decode(ids[:size]).count("</tool_call>")


def test_a_call_that_tool_choice_excludes_is_invalid():
    parser = FORMAT.parser([], offered_tools=["f"])
    deltas = [delta for token_id in FORMAT.encode(CALL) for delta in parser.feed(token_id)] + parser.flush()
    assert [delta.name for delta in deltas if delta.name] == ["f"]
    assert "tool_choice excludes it" in parser.call_errors[0]


def test_json_answer_that_names_no_offered_tool_stays_text():
    answer = '{"name": "h", "arguments": {}}'
    text, calls, parser = parse(FORMAT.encode(answer), ["f"])
    assert (text, calls) == (answer, [])
    assert [repair.found for repair in parser.repairs] == [answer]


def test_text_is_streamed_while_it_cannot_be_a_call():
    parser = FORMAT.parser(["f"])
    deltas = [parser.feed(token_id) for token_id in FORMAT.encode("ab<c")]
    assert deltas == [[Delta("text", "a")], [Delta("text", "b")], [], [Delta("text", "<c")]]
