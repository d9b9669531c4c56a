"""Sanitization of questions, file names and control tokens."""

import pytest

from langchain_gptoss.chatbot.guard.sanitization import (
    clean_question,
    escape_control_tokens,
    format_one_line,
    is_unreadable,
    sanitize_text,
)
from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.chatbot.fakes import load_encoding

TOKENS = [
    "<|start|>",
    "<|channel|>",
    "<|im_start|>",
    "<|eot_id|>",
    "<｜User｜>",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "</s>",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  How much?\r\nReally?  ", "How much?\nReally?"),
        ("pass\u200bword\u202e\u2066 x\u2069", "password x"),
        ("a\x07b\x1b[31mc", "a b [31mc"),
        ("hidden\U000e0069\U000e0067 tag", "hidden tag"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("soft\u00adhyphen", "softhyphen"),
        ("a\ufe0f\ufe01b\u200dc", "abc"),
    ],
)
def test_invisible_characters_are_removed_from_a_question(text, expected):
    assert clean_question(text) == expected


@pytest.mark.parametrize(
    "text", ["Où est l'été ? 👩‍👩‍👧 ❤️", "क्‍ष", "می‌خواهم", "日本語で", "x < 3 and y > 2 [1] <b>", "a|b"]
)
def test_ordinary_text_stays(text):
    assert clean_question(text) == text


@pytest.mark.parametrize("text", [None, b"bytes", 3, "", "   ", "\u200b\u2060", "\ud800\ud801"])
def test_an_empty_question_raises_an_error(text):
    with pytest.raises(InvalidInputError, match="question"):
        clean_question(text)


@pytest.mark.parametrize(
    "text", [bytes(range(256)).decode("latin-1"), "\0PNG", b"\xff\xfe\x80 abc".decode("utf-8", "replace")]
)
def test_binary_data_raises_an_error(text):
    with pytest.raises(InvalidInputError, match="binary data"):
        clean_question(text)


def test_a_very_long_question_raises_an_error_with_both_lengths():
    with pytest.raises(InvalidInputError, match=r"1001 characters, and at most 1000"):
        clean_question("a" * 1001, max_chars=1000)
    assert clean_question("a" * 1000, max_chars=1000) == "a" * 1000


@pytest.mark.parametrize("token", TOKENS)
def test_control_tokens_become_text_of_the_same_length(token):
    escaped = escape_control_tokens(f"a {token} b")
    assert token not in escaped
    assert len(escaped) == len(f"a {token} b")
    assert escaped == f"a {escaped[2:-2]} b"
    assert escape_control_tokens(escaped) == escaped


def test_every_control_token_of_harmony_is_known():
    tokens = sorted(load_encoding().special_tokens_set)
    assert len(tokens) > 10
    assert [token for token in tokens if token in clean_question(f"a {token} b")] == []


def test_removing_invisible_characters_creates_no_control_token():
    assert "<|start|>" not in clean_question("<|st\u200bart|>")
    assert "<|start|>" not in format_one_line("<|st\u2060art|>.pdf")


def test_a_file_name_is_one_visible_line():
    assert format_one_line("a\n\nb\u202egpj.exe <|end|>") == "a bgpj.exe ‹¦end¦›"
    assert len(format_one_line("x" * 500)) == 200


def test_sanitized_text_keeps_its_lines():
    assert sanitize_text("a\r\nb\u2028c\x0bd") == "a\nb\nc\nd"


def test_a_few_unreadable_characters_are_accepted():
    assert not is_unreadable("a\x07b\ufffdc")
    assert is_unreadable("\x01\x02\x03abc")
    assert is_unreadable("text with a null\0")
