"""Reader of Markdown: front matter becomes metadata, comments are left out, everything else stays as it is."""

from bisect import bisect_right

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
    fence_starts = [span[0] for span in code]
    backticks = _BacktickCounter()
    parts, position, end_mark = [], 0, -1
    while start >= 0:
        if end_mark < start:
            end_mark = text.find(_COMMENT_END, start)
        end = end_mark
        if end < 0:
            break
        number = bisect_right(fence_starts, start) - 1
        if number >= 0 and start < code[number][1]:
            end = code[number][1]
        elif backticks.is_in_code(text, start):
            end = start + len(_COMMENT_START)
        else:
            end = _extend_to_line(text, start, end + len(_COMMENT_END))
            parts.append(text[position:start])
            position = end
        start = text.find(_COMMENT_START, end)
    return "".join((*parts, text[position:]))


class _BacktickCounter:
    """Counts the backticks of a line up to rising offsets, each once: a line may have thousands of comments."""

    def __init__(self) -> None:
        self._at = 0
        self._count = 0

    def is_in_code(self, text: str, at: int) -> bool:
        """Return True if an offset is in inline code."""
        newline = text.rfind("\n", self._at, at)
        if newline >= 0:
            self._at, self._count = newline + 1, 0
        self._count += text.count("`", self._at, at)
        self._at = at
        return self._count % 2 == 1


def _extend_to_line(text: str, start: int, end: int) -> int:
    """Return the end of a comment, with the line break behind it if it has its lines to itself."""
    before = start - 1
    while before >= 0 and text[before] != "\n" and text[before].isspace():
        before -= 1
    if before >= 0 and text[before] != "\n":
        return end
    after = end
    while after < len(text) and text[after] != "\n" and text[after].isspace():
        after += 1
    return min(after + 1, len(text)) if after >= len(text) or text[after] == "\n" else end
