"""Headers of e-mail: encoded words (RFC 2047), encoded file names (RFC 2231) and bytes that nobody declared."""

import re
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import parsedate_to_datetime

from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.decoder import decode_text

_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bBqQ]\?[^?]*\?=")
_REPLY_PREFIX = re.compile(r"(?:re|ré|aw|antw|rif|sv|ref|rép|réf)(?:\[\d+\]|\(\d+\))?\s*:", re.IGNORECASE)
_FORWARD_PREFIX = re.compile(r"(?:fwd?|tr|wg|i|rv|enc|doorst|vs)(?:\[\d+\]|\(\d+\))?\s*:", re.IGNORECASE)


def get_header(message: Message, name: str) -> str:
    """Return a header as readable text on one line, "" if it is missing."""
    return decode_header_text(_get_raw_header(message, name))


def _get_raw_header(message: Message, name: str) -> str:
    """Return a header as the parser keeps it, with its bytes that are not ASCII decoded."""
    value = str(next((value for key, value in message.raw_items() if key.lower() == name.lower()), ""))
    return value if value.isascii() else _decode_bytes(value.encode("utf-8", "surrogateescape"), "")


def decode_header_text(value: str) -> str:
    """Return a header's value on one line, with its encoded words decoded."""
    value = " ".join(value.split())
    if not _ENCODED_WORD.search(value):
        return value
    return " ".join("".join(_decode_words(value)).split())


def _decode_words(value: str) -> Iterator[str]:
    if not value.isascii():  # `decode_header` alters other characters
        position = 0
        for match in _ENCODED_WORD.finditer(value):
            yield value[position : match.start()]
            yield from _decode_words(match[0])
            position = match.end()
        yield value[position:]
        return
    try:
        words = decode_header(value)
    except HeaderParseError:  # bad base64
        yield value
        return
    for word, charset in words:
        yield word if isinstance(word, str) else _decode_bytes(word, charset or "")


def _decode_bytes(data: bytes, charset: str) -> str:
    try:
        return decode_text(data, declared=charset.partition("*")[0]).text
    except UnreadableFileError:
        return data.decode("cp1252", "backslashreplace")


def get_file_name(part: Message) -> str:
    """Return the file name of an attachment without folders, "" if it has none."""
    name = _get_parameter(part, "content-disposition", "filename") or _get_parameter(part, "content-type", "name")
    if isinstance(name, tuple):
        charset, _, value = name
        text = _decode_bytes(value.encode("raw-unicode-escape"), charset or "")
    else:
        text = decode_header_text(name)
    return " ".join(re.sub(r"[\x00-\x1f]", " ", text).replace("\\", "/").rpartition("/")[2].split())


def _get_parameter(part: Message, header: str, name: str) -> str | tuple[str | None, str | None, str]:
    # A message gives up the characters of parameters that are not ASCII.
    copy = Message()
    copy[header] = _get_raw_header(part, header)
    return copy.get_param(name, header=header) or ""


def get_charset(part: Message) -> str:
    """Return the character set that a part declares, "" if it declares none."""
    value = part.get_param("charset") or ""
    charset = value[2] if isinstance(value, tuple) else value
    return charset.strip() if charset.isascii() else ""


def get_iso_date(message: Message) -> str:
    """Return the date of a message in ISO 8601, "" if it has none that can be read."""
    try:
        return parsedate_to_datetime(get_header(message, "Date")).isoformat()
    except (TypeError, ValueError, IndexError, OverflowError):
        return ""


def is_reply(message: Message) -> bool:
    """Return True if a message says that it answers another one."""
    if any(get_header(message, name) for name in ("In-Reply-To", "References")):
        return True
    return bool(_REPLY_PREFIX.match(get_header(message, "Subject")))


def is_forward(message: Message) -> bool:
    """Return True if a message says that it passes on another one."""
    return bool(_FORWARD_PREFIX.match(get_header(message, "Subject")))
