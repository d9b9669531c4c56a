"""JSON as models write it: single quotes, trailing commas, Python's literals, missing brackets.

Only what has one plausible meaning is read. A string without its end is an error, because its rest is unknown.
"""

import json
import re
from typing import Any

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[^\W\d][\w.-]*")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_QUOTES = "\"'"
_LITERALS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_HEX_DIGITS = 4
_MAX_DEPTH = 100


class JsonError(ValueError):
    """The text is not even nearly JSON."""


def read_json_values(text: str) -> tuple[list[Any], str, tuple[str, ...]]:
    """Return the JSON values at the beginning of a text, the text after them, and what was repaired.

    Commas, semicolons and surplus closing brackets after a value are skipped.

    Raises:
        JsonError: The text does not begin with a value.
    """
    reader = _JsonReader(text)
    values = [reader.read_value()]
    while reader.skip_separators() and reader.character in {"{", "["}:
        start = reader.position
        try:
            values.append(reader.read_value())
        except JsonError:
            return values, text[start:], tuple(reader.repairs)
    return values, text[reader.position :], tuple(reader.repairs)


class _JsonReader:
    """Reader of values from one position of a text on."""

    def __init__(self, text: str) -> None:
        self.position = 0
        self.repairs: dict[str, None] = {}
        self._text = text
        self._depth = 0

    @property
    def character(self) -> str:
        """The character at the position; empty at the end."""
        return self._text[self.position : self.position + 1]

    def skip_separators(self) -> bool:
        """Move to the next value; return False at the end of the text."""
        self._skip_space()
        while self.character and self.character in ",;}]":
            if self.character in "}]":
                self._note("a surplus bracket")
            self.position += 1
            self._skip_space()
        return bool(self.character)

    def read_value(self) -> Any:
        """Return the value at the position, and move behind it."""
        self._skip_space()
        if self.character == "{":
            return self._read_object()
        if self.character == "[":
            return self._read_list()
        if self.character and self.character in _QUOTES:
            return self._read_string()
        return self._read_scalar()

    def _read_object(self) -> dict[str, Any]:
        members: dict[str, Any] = {}
        self._enter()
        while self._has_member("}"):
            name = self._read_name()
            self._skip_space()
            if self.character != ":":
                raise JsonError(f"a colon is missing after {name!r}")
            self.position += 1
            members[name] = self.read_value()
        return members

    def _read_list(self) -> list[Any]:
        items: list[Any] = []
        self._enter()
        while self._has_member("]"):
            items.append(self.read_value())
        return items

    def _enter(self) -> None:
        self.position += 1
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise JsonError("the nesting is too deep")
        self._is_first = True

    def _has_member(self, end: str) -> bool:
        """Return True before a member; at the end of the collection move behind it and return False."""
        is_first, self._is_first = self._is_first, False
        self._skip_space()
        has_comma = False
        while self.character == ",":
            if has_comma or is_first:
                self._note("a surplus comma")
            has_comma = True
            self.position += 1
            self._skip_space()
        if not self.character or self.character in "}]":
            if has_comma and not is_first:
                self._note("a trailing comma")
            self._close_collection(end)
            return False
        if not has_comma and not is_first:
            self._note("a missing comma")
        return True

    def _close_collection(self, end: str) -> None:
        self._depth -= 1
        if self.character == end:
            self.position += 1
        else:  # another bracket ends the collection around this one
            self._note("a missing bracket")

    def _read_name(self) -> str:
        if self.character in _QUOTES:
            return self._read_string()
        if word := _WORD.match(self._text, self.position):
            self.position = word.end()
            self._note("a name without quotes")
            return word[0]
        raise JsonError(f"a name is missing before {self._text[self.position : self.position + 20]!r}")

    def _read_string(self) -> str:
        quote = self.character
        if quote == "'":
            self._note("single quotes")
        self.position += 1
        parts: list[str] = []
        while (character := self.character) != quote:
            if not character:
                raise JsonError("a string has no end")
            self.position += 1
            parts.append(self._read_escape() if character == "\\" else character)
        self.position += 1
        return "".join(parts)

    def _read_escape(self) -> str:
        """Return the character that an escape means; a backslash before an unknown one stands for itself."""
        character = self.character
        self.position += 1
        if character in _ESCAPES:
            return _ESCAPES[character]
        if character == "u":
            return self._read_code_unit()
        if character and character in "\"'\\/\n":
            return character
        self._note("an unknown escape")
        return "\\" + character

    def _read_code_unit(self) -> str:
        digits = self._text[self.position : self.position + _HEX_DIGITS]
        try:
            decoded = chr(int(digits, 16))
        except ValueError as error:
            raise JsonError(f"\\u{digits} is no character") from error
        self.position += _HEX_DIGITS
        if "\ud800" <= decoded <= "\udbff" and self._text.startswith("\\u", self.position):  # the first of a pair
            self.position += 2
            pair = decoded + self._read_code_unit()
            return pair.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return decoded

    def _read_scalar(self) -> Any:
        if number := _NUMBER.match(self._text, self.position):
            self.position = number.end()
            return json.loads(number[0]) if _is_json(number[0]) else number[0]
        word = _WORD.match(self._text, self.position)
        if word is None or word[0] not in _LITERALS:
            raise JsonError(f"a value is missing before {self._text[self.position : self.position + 20]!r}")
        self.position = word.end()
        if word[0][0].isupper():
            self._note("a literal of Python")
        return _LITERALS[word[0]]

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self.position)
        self.position = space.end() if space else self.position

    def _note(self, repair: str) -> None:
        self.repairs[repair] = None


def _is_json(number: str) -> bool:
    """Return False for a number with leading zeros, such as a postal code without quotes."""
    try:
        json.loads(number)
    except ValueError:
        return False
    return True
