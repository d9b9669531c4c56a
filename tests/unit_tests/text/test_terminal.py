"""Characters that act on a terminal are replaced one by one; other text is unchanged."""

import json
import logging

import pytest

from langchain_gptoss.text.terminal import TerminalFilter, clean_line, clean_text, format_json

# Name, sequence, and what a reader sees.
ATTACKS = [
    ("clipboard, OSC 52", "\x1b]52;c;UFdORUQ=\x07", "␛]52;c;UFdORUQ=␇"),
    ("title, OSC 0 with ST", "\x1b]0;NAME\x1b\\", "␛]0;NAME␛\\"),
    ("hyperlink, OSC 8", "\x1b]8;;http://evil.example\x07click\x1b]8;;\x07", "␛]8;;http://evil.example␇click␛]8;;␇"),
    ("clear the screen, CSI", "\x1b[2J\x1b[H", "␛[2J␛[H"),
    ("cursor up and overwrite", "\x1b[1A\x1b[2Kfake", "␛[1A␛[2Kfake"),
    ("device status, DCS", "\x1bP$qm\x1b\\", "␛P$qm␛\\"),
    ("application command, APC", "\x1b_Gf=24;AAAA\x1b\\", "␛_Gf=24;AAAA␛\\"),
    ("reset, RIS", "\x1bc", "␛c"),
    ("sequence without an end", "\x1b]52;c;", "␛]52;c;"),
    ("CSI as C1", "\x9b2J", "\ufffd2J"),
    ("OSC as C1", "\x9d0;NAME\x9c", "\ufffd0;NAME\ufffd"),
    ("DCS, APC, PM and SOS as C1", "\x90\x9f\x9e\x98", "\ufffd" * 4),
    ("next line as C1", "a\x85b", "a\ufffdb"),
    ("carriage return that overwrites the line", "real\rfake", "real␍fake"),
    ("backspaces that delete the word before", "rm\b\bls", "rm␈␈ls"),
    ("bell", "\a", "␇"),
    ("form feed and vertical tab", "\f\v", "␌␋"),
    ("shift out, which changes the letters", "\x0ea\x0f", "␎a␏"),
    ("null and delete", "\x00\x7f", "␀␡"),
    ("right-to-left override", "invoice\u202efdp.exe", "invoice\ufffdfdp.exe"),
    ("embeddings", "\u202aa\u202bb\u202c\u202d", "\ufffda\ufffdb\ufffd\ufffd"),
    ("isolates", "\u2066a\u2067b\u2068c\u2069", "\ufffda\ufffdb\ufffdc\ufffd"),
    ("line and paragraph separators", "a\u2028b\u2029c", "a\ufffdb\ufffdc"),
    ("half of a character", "a\ud83d", "a\ufffd"),
]
UNCHANGED = [
    "",
    "L’été, 12,90 € — « prêt » à partir de 9 h",
    "“Express” delivery costs 12.90 euros [1].",
    "a\tb\nc\n",
    "日本語 العربية עברית\u200f \u200e\u061c",
    "👩‍👩‍👧 e\u0301 \u00a0\u202f\u200b\u00ad",
    "[2J is no sequence without ESC; neither is ]52;c;",
    "␛ stays what it is",
]


@pytest.mark.parametrize(("attack", "seen"), [attack[1:] for attack in ATTACKS], ids=[name for name, *_ in ATTACKS])
def test_sequences_are_replaced(attack, seen):
    assert clean_text(attack) == seen
    assert clean_line(attack) == seen
    # A stream may split a sequence anywhere.
    assert "".join(map(clean_text, attack)) == seen


@pytest.mark.parametrize("text", UNCHANGED)
def test_other_text_is_unchanged(text):
    assert clean_text(text) == text
    if "\n" not in text and "\t" not in text:
        assert clean_line(text) == text


def test_every_character_that_acts_on_a_terminal_is_replaced():
    acting = [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029]
    for code in acting:
        assert chr(code) not in clean_line(chr(code))
        assert (chr(code) in clean_text(chr(code))) == (chr(code) in "\n\t")


def test_windows_line_ends_stay_line_ends():
    assert clean_text("a\r\nb") == "a\nb"


def test_a_name_cannot_forge_a_line():
    assert clean_line("a.md\ngptoss: all is well\r\n") == "a.md␊gptoss: all is well␍␊"
    assert clean_line("a\tb") == "a␉b"


@pytest.mark.parametrize("text", [attack for _, attack, _ in ATTACKS if "\ud83d" not in attack] + UNCHANGED)
def test_json_loses_nothing_and_holds_no_control_character(text):
    shown = format_json({text: [text]})
    assert json.loads(shown) == {text: [text]}
    assert clean_text(shown) == shown


def test_json_shows_letters_as_they_are():
    assert '"été"' in format_json({"a": "été"})
    assert format_json("\ud83d") == '"\\ud83d"'


def test_log_records_are_cleaned_with_their_arguments_and_traceback(capsys):
    logger = logging.getLogger("test_terminal")
    handler = logging.StreamHandler()
    handler.addFilter(TerminalFilter())
    logger.addHandler(handler)
    logger.propagate = False
    try:
        logger.warning("\x1b[2J %s %d %.1f %s", "a\x1b]0;x\x07", 3, 1.5, ValueError("\x9b2J"))
        logger.warning("%(name)s", {"name": "\x1bc"})
        logger.warning("plain")
        try:
            raise ValueError("\x1b]52;c;x\x07")
        except ValueError:
            logger.exception("failed")
    finally:
        logger.removeHandler(handler)
    shown = capsys.readouterr().err
    assert shown.startswith("␛[2J a␛]0;x␇ 3 1.5 \ufffd2J\n␛c\nplain\nfailed\nTraceback")
    assert shown.endswith("ValueError: ␛]52;c;x␇\n")
    assert clean_text(shown) == shown
