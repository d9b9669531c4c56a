"""Text of documents, models and file names made safe for a terminal, whose control sequences act on it.

A terminal obeys what it is sent: OSC 52 writes the clipboard, OSC 0 the title, CSI moves the cursor over what was shown
before, and a bidirectional override shows a name backwards. Each character is replaced on its own, so that a sequence
that is split over two pieces of a stream cannot take effect, and a reader sees that something was there.

Sources: ECMA-48 (C0, C1, control strings), Unicode Standard Annex 9 (directional formatting).
"""

import json
import logging
import re
import traceback
from typing import Any

_FIRST_PICTURE = 0x2400  # "␀"; the control pictures stand in the order of C0
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Left as they are: implicit directional marks (U+200E, U+200F, U+061C), which Arabic and Hebrew texts need, and which
# cannot reverse other text. Replaced: embeddings, overrides and isolates, line and paragraph separators.
_DIRECTIONAL = "\u202a-\u202e\u2066-\u2069"
_SEPARATORS = "\u2028\u2029"
_UNSAFE = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{_DIRECTIONAL}{_SEPARATORS}\ud800-\udfff]")
_UNSAFE_IN_LINE = re.compile(rf"[\x00-\x1f\x7f-\x9f{_DIRECTIONAL}{_SEPARATORS}\ud800-\udfff]")
# In JSON, C0 is escaped already.
_UNSAFE_IN_JSON = re.compile(rf"[\x7f-\x9f{_DIRECTIONAL}{_SEPARATORS}\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Return a text without characters that act on a terminal; line ends and tabs stay.

    Control characters become their pictures (ESC becomes "␛"), the others U+FFFD.
    """
    return _UNSAFE.sub(_replace, text.replace("\r\n", "\n"))


def clean_line(text: str) -> str:
    """Return a text without characters that act on a terminal, on one line, so that a name cannot forge lines."""
    return _UNSAFE_IN_LINE.sub(_replace, text)


def format_json(value: Any) -> str:
    """Return a value as JSON for people and programs: indented, with letters as they are and controls escaped."""
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False, indent=2))


class TerminalFilter(logging.Filter):
    """Makes log records safe for a terminal: their message, its arguments, and the traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean a record; none is dropped."""
        if isinstance(record.msg, str):
            record.msg = clean_text(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(_clean_argument(argument) for argument in record.args)
        elif record.args:
            record.args = {name: _clean_argument(value) for name, value in record.args.items()}
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = clean_text("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
        return True


def _clean_argument(value: object) -> object:
    # Numbers stay numbers, for "%d".
    return value if value is None or isinstance(value, int | float) else clean_text(str(value))


def _replace(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(_FIRST_PICTURE + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else _REPLACEMENT
