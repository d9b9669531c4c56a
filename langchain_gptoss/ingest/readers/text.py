"""Reader of Markdown and plain text, and the decoding that other text formats share."""

import codecs

from langchain_gptoss.ingest.readers.base import ExtractedText, UnreadableFileError
from langchain_gptoss.ingest.structure import find_first_heading

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is a prefix of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(data: bytes, max_bytes: int) -> ExtractedText:
    """Read Markdown or plain text, which is left as it is."""
    text = decode_text(data)
    return ExtractedText([text], find_first_heading(text))


def decode_text(data: bytes, *, encoding: str = "utf-8") -> str:
    """Decode a file. A byte order mark overrides the given encoding; encodings are never guessed.

    Args:
        data: The bytes of the file.
        encoding: The encoding that the file declares.

    Raises:
        UnreadableFileError: The bytes are not text in this encoding.
    """
    for mark, marked_encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            encoding = marked_encoding
            break
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding not in ("utf-8", "utf-8-sig"):
            raise UnreadableFileError(
                f"it declares the encoding {encoding} and has another; save it as UTF-8"
            ) from None
        raise UnreadableFileError(f"it is not UTF-8 text (byte {error.start + 1}); save it as UTF-8") from None
    if "\0" in text:
        raise UnreadableFileError("it contains NUL bytes, so it is not UTF-8 text; save it as UTF-8")
    return text
