"""Reader of Markdown and plain text."""

from langchain_gptoss.ingest.readers.base import ExtractedText
from langchain_gptoss.ingest.readers.decoder import decode_text
from langchain_gptoss.ingest.structure import find_first_heading


def read_text(data: bytes, max_bytes: int) -> ExtractedText:
    """Read Markdown or plain text, which is left as it is."""
    decoded = decode_text(data)
    return ExtractedText(
        [decoded.text],
        find_first_heading(decoded.text),
        metadata=decoded.metadata,
        warnings=decoded.warnings,
    )
