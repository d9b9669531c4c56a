"""Decoder of text for all formats.

In this order count: a byte order mark; NUL bytes, which only UTF-16 and UTF-32 put between letters; valid UTF-8, which
no other encoding is by chance; the declared encoding; a guess. Text is never altered in silence: what was declared
wrongly, guessed or repaired is named in a warning.
"""

import codecs
import re
from dataclasses import dataclass
from typing import Any

from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.encoding_guess import can_decode, compute_oddness, guess_encoding, is_binary
from langchain_gptoss.ingest.readers.web_encodings import find_codec, get_standard_name

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is a prefix of this one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE_CODECS = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_MIXED = "utf-8 and windows-1252"
_REPLACE_INVALID = "langchain_gptoss.windows-1252"  # an error handler of `decode`
# Single-byte encodings in which valid UTF-8 with accents is never meant. Two-byte ones can look like UTF-8 by chance.
_SINGLE_BYTE = re.compile(r"cp125\d|iso8859-\d+|mac-\w+|koi8-\w|cp(?:437|8\d\d)")
_ESCAPE_SEQUENCES = ((b"\x1b$B", "iso2022_jp_ext"), (b"\x1b$@", "iso2022_jp_ext"), (b"\x1b$)C", "iso2022_kr"))
_C1_CONTROLS = re.compile(rb"\xc2[\x80-\x9f]")  # in UTF-8
_UNASSIGNED = re.compile(r"[\x80-\x9f\ue000-\uf8ff]")  # C1 controls and private use, which no text has
# windows-1252 for the control characters C1; the five bytes without a meaning stay.
_WINDOWS_CHARACTERS = {byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0xA0)}
_WRONG_ODDNESS = 4.0  # of a declared encoding that is given up for a guess
_GOOD_ODDNESS = 2.2  # of such a guess


@dataclass(frozen=True, kw_only=True)
class DecodedText:
    """A text and how it was decoded.

    Attributes:
        text: The text.
        encoding: Name of its encoding, as in the WHATWG Encoding Standard.
        is_guessed: True if nothing in the file says so.
        warnings: What a user should know, as clauses without a full stop.
    """

    text: str
    encoding: str
    is_guessed: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata of a document with this text: its encoding if it is not UTF-8, and if that was guessed."""
        if self.encoding == "utf-8":
            return {}
        return {"encoding": self.encoding, **({"encoding_guessed": True} if self.is_guessed else {})}


def decode_text(data: bytes, *, declared: str = "") -> DecodedText:
    """Decode the bytes of a text.

    Args:
        data: The bytes.
        declared: The encoding that the file declares, "" if it does not. A name that nobody knows counts as none.

    Raises:
        UnreadableFileError: The bytes are no text in any encoding that is known here.
    """
    for mark, codec in _BYTE_ORDER_MARKS:
        if data.startswith(mark) and (decoded := _decode_marked(data[len(mark) :], codec)):
            return decoded
    if b"\0" in data:
        return _decode_wide(data)
    codec = find_codec(declared) or ""
    declared = " ".join(declared.split()) if codec else ""
    return _decode_declared(data, codec) or _decode_utf8(data, codec, declared) or _decode_guessed(data, declared)


def _decode_marked(data: bytes, codec: str) -> DecodedText | None:
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        if codec == "utf-8":
            return None  # another program appended to it; it is decoded as if it had no mark
        raise UnreadableFileError(
            f"it begins with the mark of {codec[:6]} and is not {codec[:6]}; save it as UTF-8"
        ) from None
    if "\0" in text:
        raise UnreadableFileError("it contains NUL bytes, so it is not UTF-8 text; save it as UTF-8")
    return DecodedText(text=text, encoding=codec)


def _decode_wide(data: bytes) -> DecodedText:
    """Decode UTF-16 or UTF-32 without a byte order mark, as RFC 4627 does for JSON: by the places of the NUL bytes."""
    for codec in _WIDE_CODECS:
        if not can_decode(data, codec):
            continue
        text = data.decode(codec)
        if not is_binary(text.encode()) and compute_oddness(text) < _WRONG_ODDNESS:
            return DecodedText(
                text=text,
                encoding=codec,
                is_guessed=True,
                warnings=(f"it does not say its encoding; it is read as {codec.upper()}",),
            )
    raise UnreadableFileError("it contains NUL bytes, so it is not UTF-8 text; save it as UTF-8")


def _decode_declared(data: bytes, codec: str) -> DecodedText | None:
    """Decode with the declared encoding; return None if it is missing, UTF-8, or plainly wrong."""
    if not codec or codec in ("utf-8", "utf-16", *_WIDE_CODECS) or is_binary(data) or not can_decode(data, codec):
        return None
    if _SINGLE_BYTE.fullmatch(codec) and can_decode(data, "utf-8"):
        return None
    text = data.decode(codec)
    if _UNASSIGNED.search(text):
        return None
    oddness = compute_oddness(text)
    if oddness > _WRONG_ODDNESS and not data.isascii():  # UTF-7 and ISO-2022 are ASCII
        guess = guess_encoding(data)
        if guess and guess != codec and compute_oddness(data.decode(guess), guess) < _GOOD_ODDNESS:
            return None
    return DecodedText(text=text, encoding=get_standard_name(codec))


def _decode_utf8(data: bytes, codec: str, declared: str) -> DecodedText | None:
    for escape, escape_codec in _ESCAPE_SEQUENCES:
        if escape in data and can_decode(data, escape_codec):
            return _create_guessed(data.decode(escape_codec), escape_codec.removesuffix("_ext"), declared)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _repair_utf8(data)
    if text.isascii():
        return DecodedText(text=text, encoding="utf-8")
    warnings = []
    if codec and codec != "utf-8":
        warnings.append(f"it declares the encoding {declared} and is UTF-8")
    controls = set(_C1_CONTROLS.findall(data))
    if controls - {b"\xc2\x85"}:  # alone it is a line break of mainframes
        text = text.translate(_WINDOWS_CHARACTERS)
        warnings.append("its control characters are read as the characters of windows-1252 with the same numbers")
    return DecodedText(text=text, encoding="utf-8", warnings=tuple(warnings))


def _repair_utf8(data: bytes) -> DecodedText | None:
    """Decode UTF-8 with surrogates, as some databases write it, or without the end of its last character."""
    try:
        text = data.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        pass
    else:
        return DecodedText(text=text, encoding="utf-8", warnings=("its UTF-8 has surrogates; they are joined",))
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(data)
    except UnicodeDecodeError:
        return None
    rest = decoder.getstate()[0]
    if text.isascii() or (len(rest) == 1 and len(text.encode()) - len(text) < 3):
        return None
    return DecodedText(text=text, encoding="utf-8", warnings=("its last character is cut off and left out",))


def _decode_guessed(data: bytes, declared: str) -> DecodedText:
    guess = guess_encoding(data)
    text = data.decode(guess) if guess else ""
    limit = min(compute_oddness(text, guess), _GOOD_ODDNESS) if guess else _GOOD_ODDNESS
    mixed = data.decode("utf-8", _REPLACE_INVALID)
    has_utf8 = len(mixed) < len(data)
    if has_utf8 and not is_binary(data) and compute_oddness(mixed) < limit:
        guess, text = _MIXED, mixed
    if guess is None:
        problem = f"it declares the encoding {declared} and is not" if declared else "it is not UTF-8 text"
        place = _find_first_invalid_byte(data)
        raise UnreadableFileError(f"{problem} (byte {place}), nor text in another known encoding; save it as UTF-8")
    return _create_guessed(text, guess, declared)


def _create_guessed(text: str, codec: str, declared: str) -> DecodedText:
    name = get_standard_name(codec)
    problem = f"it declares the encoding {declared} and is not" if declared else "it does not say its encoding"
    return DecodedText(text=text, encoding=name, is_guessed=True, warnings=(f"{problem}; it is read as {name}",))


def _find_first_invalid_byte(data: bytes) -> int:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start + 1
    return 1


def _decode_invalid_bytes(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1").translate(_WINDOWS_CHARACTERS), error.end


codecs.register_error(_REPLACE_INVALID, _decode_invalid_bytes)
