"""Tool calls in the notations of chat templates, as models write and miswrite them."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_gptoss.chat_formats.base import Delta, Parser
from langchain_gptoss.chat_formats.call_scanner import CallScanner
from langchain_gptoss.chat_formats.template import TemplateFormat
from langchain_gptoss.chat_formats.tool_notation import PROMPT_NOTATION, ToolNotation
from tests import scale
from tests.unit_tests.chat_formats.byte_tokenizer import SPECIAL_TOKENS, build_tokenizer
from tests.unit_tests.chat_formats.tool_templates import LLAMA, MISTRAL, QWEN

STOP = frozenset({2})
QWEN_FORMAT = TemplateFormat(build_tokenizer(template=QWEN), stop_ids=STOP)
LLAMA_FORMAT = TemplateFormat(build_tokenizer(template=LLAMA), stop_ids=STOP)
MISTRAL_FORMAT = TemplateFormat(build_tokenizer(template=MISTRAL), stop_ids=STOP)
CONTROL_FORMAT = TemplateFormat(
    build_tokenizer(special=[*SPECIAL_TOKENS, "[TOOL_CALLS]"], template=MISTRAL), stop_ids=STOP
)
TOOLS = ["get_weather", "get_time"]


def collect(deltas: list[Delta]) -> tuple[str, list[tuple[str, str]]]:
    """Return the text and the calls of deltas."""
    text, calls = "", []
    for delta in deltas:
        if delta.kind == "text":
            text += delta.text
        elif delta.name:
            calls.append((delta.name, delta.text))
        else:
            name, arguments = calls[delta.call_index]
            calls[delta.call_index] = (name, arguments + delta.text)
    return text, calls


def parse(chat_format: TemplateFormat, answer: str, tools: list[str] = TOOLS) -> tuple[str, list[tuple], Parser]:
    """Return the text, the calls and the parser of a finished answer, token by token."""
    parser = chat_format.parser(tools)
    ids = chat_format._tokenizer(answer, add_special_tokens=False)["input_ids"]
    deltas = [delta for token_id in ids for delta in parser.feed(token_id)] + parser.flush(is_complete=True)
    return *collect(deltas), parser


NANTES, OSLO = ("get_weather", '{"city": "Nantes"}'), ("get_weather", '{"city": "Oslo"}')
WEATHER = '{"name": "get_weather", "arguments": {"city": "Nantes"}}'


@pytest.mark.parametrize(
    ("answer", "text", "calls"),
    [
        (f"<tool_call>\n{WEATHER}\n</tool_call>", "", [NANTES]),
        (f"I look.\n<tool_call>\n{WEATHER}\n</tool_call>\n", "I look.", [NANTES]),
        (f"<tool_call>\n{WEATHER}\n</tool_call>\n<tool_call>\n{WEATHER}\n</tool_call>", "", [NANTES, NANTES]),
        (f"<tool_call>\n{WEATHER}\n</tool_call>\nDone.", "\nDone.", [NANTES]),
        (f"<tool_call>\n{WEATHER}\n{WEATHER.replace('Nantes', 'Oslo')}\n</tool_call>", "", [NANTES, OSLO]),
        (f"<tool_call>[{WEATHER}, {WEATHER}]</tool_call>", "", [NANTES, NANTES]),
        (f"<tool_call>\n{WEATHER}", "", [NANTES]),
        (f"<tool_call>\n{WEATHER}\n<tool_call>", "", [NANTES]),
        (f"<tool_call>\n{{{WEATHER}}}\n</tool_call>", "", [NANTES]),
        (f"<tool_call>\n```json\n{WEATHER}\n```\n</tool_call>", "", [NANTES]),
        (f"<tools>\n{WEATHER}\n</tools>", "", [NANTES]),
        (f"I call it:\n```json\n{WEATHER}\n```\nWait.", "I call it:\n\nWait.".replace("\n\n", "\n"), [NANTES]),
        (f"I call it:\n{WEATHER}", "I call it:", [NANTES]),
        (f"```\n{WEATHER}", "", [NANTES]),
        (f"{{{WEATHER}}}", "", [NANTES]),
        (f"{{{WEATHER}", "", [NANTES]),
        ("<tool_call>{'name': 'get_weather', 'arguments': {'city': 'Nantes',},}</tool_call>", "", [NANTES]),
        ('<tool_call>{"name": "get_weather", "arguments": {"city": "Nantes"}</tool_call>', "", [NANTES]),
        ('<tool_call>{"name": "get_weather", "arguments": {"city": "Nantes"', "", [NANTES]),
        ('<tool_call>{"name": "get_weather", "parameters": {"city": "Nantes"}}</tool_call>', "", [NANTES]),
        ('<tool_call>{"arguments": {"city": "Nantes"}, "name": "get_weather"}</tool_call>', "", [NANTES]),
        ('<tool_call>{"name": "get_weather", "arguments": "{\'city\': \'Nantes\'}"}</tool_call>', "", [NANTES]),
        (f'<tool_call>{{"type": "function", "function": {WEATHER}}}</tool_call>', "", [NANTES]),
        ('<tool_call>{"name": "get_time"}</tool_call>', "", [("get_time", "{}")]),
        ("<tool_call>{name: get_time}</tool_call>", "<tool_call>{name: get_time}</tool_call>", []),
        ("<tool_call>soon</tool_call> yes", "<tool_call>soon</tool_call> yes", []),
    ],
)
def test_calls_between_tags_are_read_in_the_forms_that_models_write(answer, text, calls):
    read_text, read_calls, parser = parse(QWEN_FORMAT, answer)
    assert (read_text, read_calls, parser.call_errors) == (text, calls, {})


@pytest.mark.parametrize(
    "answer",
    [
        '```json\n{"name": "Nantes", "inhabitants": 320000}\n```',
        '{"name": "get_weather", "city": "Nantes"}',
        '{"name": "get_weather", "arguments": {}, "comment": "an example"}',
        '{"name": "other_tool", "arguments": {}}',
        '```python\nprint({"name": 1})\n```\nand `code` and ```more```',
        "- [a link](https://example.org)\n[another]\n{curly}",
        '[{"id": 1}, {"id": 2}]',
        "``",
        "a <tools> b <tool",
        '  {"a": 1}\n\n',
    ],
)
def test_other_json_and_code_stay_text(answer):
    assert parse(QWEN_FORMAT, answer)[:2] == (answer, [])


def test_a_closing_tag_inside_a_string_does_not_end_the_call():
    answer = '<tool_call>{"name": "get_time", "arguments": {"a": "x</tool_call>y"}}</tool_call>'
    assert parse(QWEN_FORMAT, answer)[:2] == ("", [("get_time", '{"a": "x</tool_call>y"}')])


def test_a_string_without_its_end_spoils_one_call_only():
    answer = f'<tool_call>{{"name": "get_time", "arguments": {{"a": "x}}}}</tool_call><tool_call>{WEATHER}</tool_call>'
    _, calls, parser = parse(QWEN_FORMAT, answer)
    assert calls == [("get_time", '{"a": "x}}'), NANTES]
    assert list(parser.call_errors) == [0]


def test_an_unknown_tool_is_an_invalid_call_with_the_offered_names():
    text, calls, parser = parse(QWEN_FORMAT, '<tool_call>{"name": "search", "arguments": {}}</tool_call>')
    assert (text, calls) == ("", [("search", "{}")])
    assert parser.call_errors == {0: "There is no tool 'search'. The offered tools are: get_time, get_weather."}


def test_repairs_are_reported():
    _, _, parser = parse(QWEN_FORMAT, "```json\n{'name': 'Get-Weather', 'arguments': {}}\n```")
    found = [repair.found for repair in parser.repairs]
    assert found == [
        "a call after ```",
        "a call of Get-Weather",
        "a code fence around the call in a call of get_weather",
        "single quotes in a call of get_weather",
    ]


LLAMA_CALL = '{"name": "get_weather", "parameters": {"city": "Nantes"}}'


@pytest.mark.parametrize(
    ("answer", "calls"),
    [
        (LLAMA_CALL, [NANTES]),
        (f"{LLAMA_CALL}; {LLAMA_CALL.replace('Nantes', 'Oslo')}", [NANTES, OSLO]),
        (f"<tool_call>{LLAMA_CALL}</tool_call>", [NANTES]),
    ],
)
def test_bare_json_calls_are_read(answer, calls):
    assert parse(LLAMA_FORMAT, answer)[:2] == ("", calls)


MISTRAL_LIST = f'[{WEATHER[:-1]}, "id": "abcdefghi"}}, {{"name": "get_time", "arguments": {{}}}}]'


@pytest.mark.parametrize("chat_format", [MISTRAL_FORMAT, CONTROL_FORMAT], ids=["text mark", "control token"])
def test_lists_of_calls_after_a_mark_are_read(chat_format):
    for start in ("[TOOL_CALLS] ", "[TOOL_CALLS]"):
        assert parse(chat_format, f"{start}{MISTRAL_LIST}")[:2] == ("", [NANTES, ("get_time", "{}")])
    assert parse(chat_format, f"Let me see.[TOOL_CALLS]{MISTRAL_LIST}")[0] == "Let me see."


PIECES = [
    "<tool_call>", "</tool_call>", "<tool", "_call>", "\n", " ", "```", "```json\n", "`", "{", "}", "[", "]", ";", '"',
    '{"name": "get_weather", ', '"arguments": {"city": "Nantes"}}', WEATHER, LLAMA_CALL, "text", "\\", "'", "é", "[TOOL_CALLS]",
    "<tools>", "</tools>", '"a</tool_call>b"',
]  # fmt: skip


@given(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.randoms(use_true_random=False),
    st.sampled_from([PROMPT_NOTATION, QWEN_FORMAT._notation, LLAMA_FORMAT._notation, MISTRAL_FORMAT._notation]),
)
@settings(deadline=None, max_examples=scale(500))
def test_any_split_of_the_stream_gives_the_same_calls_and_text(answer: str, rng: random.Random, notation: ToolNotation):
    whole = CallScanner(notation)
    expected = join_text([*whole.feed(answer), *whole.close()])
    split, segments, position = CallScanner(notation), [], 0
    while position < len(answer):
        size = rng.randint(1, 9)
        segments += split.feed(answer[position : position + size])
        position += size
    assert join_text([*segments, *split.close()]) == expected


def join_text(segments: list) -> list[tuple]:
    """Return segments with neighbouring texts joined."""
    joined: list[tuple] = []
    for segment in segments:
        if segment.kind == "text" and joined and joined[-1][0] == "text":
            joined[-1] = ("text", joined[-1][1] + segment.source)
        elif segment.kind == "text":
            joined.append(("text", segment.source))
        else:
            joined.append(("call", segment.body, segment.opening, segment.is_complete))
    return joined


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@settings(deadline=None, max_examples=scale(200))
def test_calls_that_are_valid_have_an_object_as_arguments(answer):
    _, calls, parser = parse(QWEN_FORMAT, answer)
    for index, (_, arguments) in enumerate(calls):
        assert index in parser.call_errors or isinstance(json.loads(arguments), dict)


@given(st.text(max_size=40))
@settings(deadline=None, max_examples=scale(200))
def test_text_without_calls_is_unchanged(answer):
    assert parse(QWEN_FORMAT, answer)[0] == QWEN_FORMAT._tokenizer.decode(
        QWEN_FORMAT._tokenizer(answer, add_special_tokens=False)["input_ids"], skip_special_tokens=True
    )


def test_long_arguments_take_linear_time():
    """A document of 100,000 characters in a call would take minutes if every token looked at all before it."""
    arguments = {"text": "word {} " * 12_000}
    scanner = CallScanner()
    call = json.dumps({"name": "get_time", "arguments": arguments})
    segments = [segment for start in range(0, len(call), 50) for segment in scanner.feed(call[start : start + 50])]
    assert [segment.body for segment in segments] == [call]
