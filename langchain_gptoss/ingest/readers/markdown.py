"""Reader of Markdown: front matter becomes metadata, comments are left out, everything else stays as it is."""

from langchain_gptoss.ingest.readers.base import ExtractedText
from langchain_gptoss.ingest.readers.decoder import decode_text
from langchain_gptoss.ingest.readers.front_matter import parse_front_matter
from langchain_gptoss.ingest.structure import find_fenced_code, find_first_heading

FRONT_MATTER = "front_matter"
"""Metadata key of the values in a file's front matter."""

_COMMENT_START, _COMMENT_END = "<!--", "-->"


def read_markdown(data: bytes, max_bytes: int) -> ExtractedText:
    """Read Markdown. The extracted text begins behind the front matter and has no HTML comments."""
    decoded = decode_text(data)
    front_matter = parse_front_matter(decoded.text)
    text = _remove_comments(decoded.text[front_matter.end :])
    title = str(front_matter.values.get("title", ""))
    metadata = {**decoded.metadata, **({FRONT_MATTER: dict(front_matter.values)} if front_matter.values else {})}
    return ExtractedText([text], title or find_first_heading(text), metadata=metadata, warnings=decoded.warnings)


def _remove_comments(text: str) -> str:
    """Remove comments outside of code. A comment without an end stays."""
    start = text.find(_COMMENT_START)
    if start < 0:
        return text
    code = find_fenced_code(text)
    parts, position = [], 0
    while start >= 0:
        end = text.find(_COMMENT_END, start)
        if end < 0:
            break
        fence = next((span for span in code if span[0] <= start < span[1]), None)
        if fence is not None:
            end = fence[1]
        elif _is_in_inline_code(text, start):
            end = start + len(_COMMENT_START)
        else:
            end = _extend_to_line(text, start, end + len(_COMMENT_END))
            parts.append(text[position:start])
            position = end
        start = text.find(_COMMENT_START, end)
    return "".join((*parts, text[position:]))


def _is_in_inline_code(text: str, at: int) -> bool:
    line_start = text.rfind("\n", 0, at) + 1
    return text.count("`", line_start, at) % 2 == 1


def _extend_to_line(text: str, start: int, end: int) -> int:
    """Return the end of a comment, with the line break behind it if it has its lines to itself."""
    if text[text.rfind("\n", 0, start) + 1 : start].strip():
        return end
    newline = text.find("\n", end)
    line_end = len(text) if newline < 0 else newline + 1
    return end if text[end:line_end].strip() else line_end
