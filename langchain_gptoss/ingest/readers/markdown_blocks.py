"""Markdown as the readers of other formats write it: headings, list items, and lines that must not become structure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Lines that Markdown would take for a heading, an underline or the fence of code.
_STRUCTURE = re.compile(r"^ {0,3}(?=#{1,6}(?:[ \t]|$)|=+[ \t]*$|-{3,}[ \t]*$|```|~~~)", re.MULTILINE)
_HEADING_MARK = re.compile(r"#{1,6} |\\(?=[#=`~-])")  # or the backslash that keeps a line from being structure
_LIST_MARK = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?=[ \t])")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of a Markdown text.

    Attributes:
        text: Its text, without a line break at the end.
        is_list: True if it is a list, which continues the list item that it stands in.
    """

    text: str
    is_list: bool = False


def escape_structure(text: str) -> str:
    """Return a paragraph with a backslash before what would be structure, such as "# " at the start of a line."""
    return _STRUCTURE.sub(lambda match: f"{match[0]}\\", text)


def format_heading(level: int, text: str) -> str:
    """Return a heading of a level from 1 to 6 in one line."""
    return f"{'#' * min(max(level, 1), 6)} {' '.join(text.split())}"


def format_list_item(mark: str, blocks: Sequence[Block]) -> str:
    """Return a list item; blocks after the first are indented under it."""
    indent = "  " if mark.startswith("-") else " " * (len(mark) + 1)
    text = mark
    for number, block in enumerate(blocks):
        lines = block.text.replace("\n", f"\n{indent}")
        if number == 0:
            text += f"\n{indent}{lines}" if block.is_list else f" {lines}"
        else:
            text += f"{'' if block.is_list else chr(10)}\n{indent}{lines}"
    return text


def join_blocks(blocks: Sequence[Block]) -> str:
    """Return the text of blocks, with a blank line between them."""
    return "\n\n".join(block.text for block in blocks)


def join_in_line(blocks: Sequence[Block]) -> str:
    """Return the text of blocks in one line, as a cell of a table has room for; list items are separated by ";"."""
    parts: list[str] = []
    for block in blocks:
        lines = [_HEADING_MARK.sub("", " ".join(line.split()), count=1) for line in block.text.split("\n")]
        if block.is_list:
            items = [_LIST_MARK.sub("", line).strip() for line in lines]
            parts.append("; ".join(item.rstrip(" ;") for item in items if item))
        else:
            parts += lines
    return " ".join(filter(None, parts))
