"""Elements of a page as Markdown blocks.

The text of a page becomes plain: emphasis, code and links leave their text only, so that a sentence can be quoted as
the page shows it. Headings, lists, tables and code blocks keep their structure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from langchain_gptoss.ingest.readers.html.formulas import format_formula
from langchain_gptoss.ingest.readers.html.html_tables import render_table
from langchain_gptoss.ingest.readers.html.visibility import IS_BLOCK, VERTICAL_ALIGN
from langchain_gptoss.ingest.readers.markdown_blocks import (
    Block,
    escape_structure,
    format_heading,
    format_list_item,
    join_blocks,
)
from langchain_gptoss.ingest.readers.notation import format_note_mark, format_subscript, format_superscript

_BLOCKS = {
    *("address", "article", "aside", "body", "caption", "center", "dd", "details", "dialog", "dir", "div", "dt"),
    *("fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "legend", "li", "main", "menu", "nav"),
    *("p", "search", "section", "summary", "tbody", "td", "tfoot", "th", "thead", "tr"),
}
_HEADING_LEVELS = {f"h{level}": level for level in range(1, 7)}
_CONTROLS = frozenset({"button", "input"})
_LISTS = frozenset({"ul", "ol", "menu", "dir"})
_TITLES = frozenset({*_HEADING_LEVELS, "dt", "summary", "legend"})
_WHITE_SPACE = re.compile(r"[ \t\n\r\f\v]+")
_LAYOUT_HINTS = str.maketrans("", "", "\u00ad\u200b\ufeff")  # soft hyphens and places for line breaks
_FILE_NAME = re.compile(r"\S+\.(?:png|jpe?g|gif|svg|webp|bmp|avif)", re.IGNORECASE)
_LOCAL_MARK = re.compile(r"[↩↑^⏎⤴¶#§🔗\ufe0e\ufe0f\s]+")  # back to a note's reference, or the address of a heading
_NOTE_REFERENCE = re.compile(r"noteref|footnote-ref|endnote-ref|reference\b", re.IGNORECASE)
_NOTE_TEXT = re.compile(r"[(\[]?(?:\d{1,3}|[a-z]|[ivx]{1,5}|[*†‡§]+|note \d+)[)\]]?", re.IGNORECASE)
_BACKTICKS = re.compile(r"`+")
_CONTEXT_CHARS = 60
_MAX_JOINED_CHARS = 120  # shorter definitions of one term stand in one line, so that each stands beside its term


class _Flow:
    """Blocks of an element, and the paragraph that is being written."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._parts: list[str] = []

    def write(self, text: str | None) -> None:
        """Append text to the paragraph; white space is one space, and none at the start of a line."""
        if not text:
            return
        text = _WHITE_SPACE.sub(" ", text.translate(_LAYOUT_HINTS))
        if text.startswith(" ") and (not self._parts or self._parts[-1][-1] in " \n"):
            text = text[1:]
        if text:
            self._parts.append(text)

    def break_line(self) -> None:
        """End the line; a second line break ends the paragraph."""
        if self._parts and self._parts[-1].endswith("\n"):
            self.end_paragraph()
        elif self._parts:
            self._parts[-1] = self._parts[-1].rstrip(" ")
            self._parts.append("\n")

    def end_paragraph(self) -> None:
        """Make a block of the paragraph."""
        text = "".join(self._parts).strip()
        self._parts = []
        if text:
            self.blocks.append(Block(text=escape_structure(text)))

    def add(self, block: Block) -> None:
        """Append a block of its own."""
        self.end_paragraph()
        if block.text:
            self.blocks.append(block)

    @property
    def last_chars(self) -> str:
        """The end of the paragraph so far."""
        return "".join(self._parts[-8:])[-_CONTEXT_CHARS:]


def render_markdown(body: Any) -> str:
    """Return the Markdown of an element."""
    return join_blocks(_render_blocks(body))


def _render_blocks(element: Any) -> list[Block]:
    flow = _Flow()
    _render_children(element, flow)
    flow.end_paragraph()
    return flow.blocks


def _render_inline(element: Any) -> str:
    """Return the text of an element in one line."""
    return " ".join(_WHITE_SPACE.sub(" ", block.text) for block in _render_blocks(element))


def _render_children(element: Any, flow: _Flow) -> None:
    flow.write(element.text)
    for child in element:
        if isinstance(child.tag, str):
            _render(child, flow)
        flow.write(child.tail)


def _render(element: Any, flow: _Flow) -> None:
    tag = element.tag
    if tag in _CONTROLS and not _is_title_control(element):
        return
    if renderer := _RENDERERS.get(tag):
        renderer(element, flow)
    elif (level := _get_heading_level(element)) is not None:
        if text := _render_inline(element):
            flow.add(Block(text=format_heading(level, text)))
    elif position := _get_position(element):
        _render_raised(element, flow, position)
    elif tag in _BLOCKS or element.get(IS_BLOCK) is not None:
        flow.end_paragraph()
        _render_children(element, flow)
        flow.end_paragraph()
    else:
        _render_children(element, flow)


def _get_heading_level(element: Any) -> int | None:
    if element.tag in _HEADING_LEVELS:
        return _HEADING_LEVELS[element.tag]
    if element.get("role") == "heading":
        level = element.get("aria-level") or ""
        return int(level) if level.isdigit() else 2
    return None


def _is_title_control(element: Any) -> bool:
    """Return True for a button that is the title of a section which opens under it."""
    if element.tag == "input":
        return False
    if element.get("aria-expanded") is not None or element.get("role") == "tab":
        return True
    return any(ancestor.tag in _TITLES or ancestor.get("role") == "heading" for ancestor in element.iterancestors())


def _get_position(element: Any) -> str | None:
    return {"sup": "super", "sub": "sub"}.get(element.tag) or element.get(VERTICAL_ALIGN)


def _render_raised(element: Any, flow: _Flow, position: str) -> None:
    text = _render_inline(element)
    if len(text) > 30 or element.find(".//br") is not None:  # whole sentences in small print
        _render_children(element, flow)
    elif position == "sub":
        flow.write(format_subscript(text, flow.last_chars))
    elif _is_note_link(element) or any(_is_note_link(link) for link in element.iter("a")):
        flow.write(format_note_mark(text, flow.last_chars))
    else:
        flow.write(format_superscript(text, flow.last_chars, _get_text_after(element)))


def _is_note_link(element: Any) -> bool:
    links = [element] if element.tag == "a" else list(element.iterancestors("a"))
    return any("#" in (link.get("href") or "") for link in links)


def _get_text_after(element: Any) -> str:
    while element is not None and not element.tail and element.getnext() is None and element.tag not in _BLOCKS:
        element = element.getparent()
    if element is None:
        return ""
    following = element.getnext()
    return (element.tail or "") + ("" if following is None or element.tail else following.text_content()[:20])


def _render_link(element: Any, flow: _Flow) -> None:
    text = " ".join(element.text_content().split())
    is_local = (element.get("href") or "").startswith("#")
    if is_local and _LOCAL_MARK.fullmatch(text):
        return
    names = " ".join(element.get(name) or "" for name in ("class", "role", "rel", "epub:type"))
    if "#" in (element.get("href") or "") and _NOTE_REFERENCE.search(names) and _NOTE_TEXT.fullmatch(text):
        flow.write(format_note_mark(text, flow.last_chars))
        return
    previous = element.getprevious()
    if previous is not None and previous.tag == "a" and not previous.tail:
        flow.write(" ")  # two links beside each other are two texts
    _render_children(element, flow)


def _render_picture(element: Any, flow: _Flow) -> None:
    alt = " ".join((element.get("alt") or "").split())
    if alt and not _FILE_NAME.fullmatch(alt) and element.get("role") not in ("presentation", "none"):
        is_letter = len(alt) <= 2  # an emoji or a picture of a letter
        flow.write(alt if is_letter else f" {alt} ")


def _render_line_break(element: Any, flow: _Flow) -> None:
    flow.break_line()


def _render_rule(element: Any, flow: _Flow) -> None:
    flow.end_paragraph()


def _render_quotation(element: Any, flow: _Flow) -> None:
    language = next((value for node in (element, *element.iterancestors()) if (value := node.get("lang"))), "")
    opening, closing = ("«\u00a0", "\u00a0»") if language.lower().startswith("fr") else ("“", "”")
    flow.write(opening)
    _render_children(element, flow)
    flow.write(closing)


def _render_block_quotation(element: Any, flow: _Flow) -> None:
    text = join_blocks(_render_blocks(element))
    flow.add(Block(text="\n".join(f"> {line}" if line else ">" for line in text.split("\n")) if text else ""))


def _render_code(element: Any, flow: _Flow) -> None:
    for line_break in element.iter("br"):
        line_break.tail = "\n" + (line_break.tail or "")
    code = element.text_content().strip("\n").rstrip()
    fence = "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(code)), default=0))
    flow.add(Block(text=f"{fence}\n{code}\n{fence}" if code.strip() else ""))


def _render_formula(element: Any, flow: _Flow) -> None:
    flow.write(format_formula(element))


def _render_list(element: Any, flow: _Flow) -> None:
    items: list[tuple[str, list[Block]]] = []
    for mark, child in _iterate_items(element):
        if isinstance(child, str):
            items.append((mark, [Block(text=" ".join(child.split()))]))
        elif child.tag in _LISTS and items:  # a list beside the items belongs to the item before it
            nested = _Flow()
            _render(child, nested)
            items[-1][1].extend(nested.blocks)
        elif blocks := _render_blocks(child):
            items.append((mark, blocks))
    flow.add(Block(text="\n".join(format_list_item(mark, blocks) for mark, blocks in items), is_list=True))


def _iterate_items(element: Any) -> Iterator[tuple[str, Any]]:
    """Yield the mark of each item and its element, or its text if it stands in no element."""
    children = [child for child in element if isinstance(child.tag, str)]
    is_ordered = element.tag == "ol"
    step = -1 if element.get("reversed") is not None else 1
    count = sum(child.tag == "li" for child in children)
    number = _read_integer(element.get("start"), count if step < 0 else 1)
    if element.text and element.text.strip():
        yield "-", element.text
    for child in children:
        mark = "-"
        if is_ordered and child.tag == "li":
            number = _read_integer(child.get("value"), number)
            mark = _format_number(number, element.get("type") or child.get("type") or "1")
            number += step
        yield mark, child
        if child.tail and child.tail.strip():
            yield "-", child.tail


def _read_integer(text: str | None, default: int) -> int:
    return int(text) if text is not None and re.fullmatch(r"-?\d{1,9}", text.strip()) else default


def _format_number(number: int, kind: str) -> str:
    if kind in ("a", "A") and 1 <= number <= 26:
        return f"- {chr(ord(kind) + number - 1)}."
    if kind in ("i", "I") and 1 <= number <= 39:
        roman = "x" * (number // 10) + ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")[number % 10]
        return f"- {roman.upper() if kind == 'I' else roman}."
    return f"{number}." if number >= 0 else f"- {number}."


def _render_definitions(element: Any, flow: _Flow) -> None:
    """Write "- term: definition"; several definitions of a term stand under it."""
    terms: list[str] = []
    definitions: list[Block] = []
    items: list[str] = []

    def end_item() -> None:
        if terms or definitions:
            items.append(_format_definition(", ".join(terms), definitions))
        terms.clear()
        definitions.clear()

    for child in element.iter("dt", "dd"):
        owner = next(child.iterancestors("dl"), None)
        if owner is not element:
            continue
        if child.tag == "dt":
            if definitions:
                end_item()
            if term := _render_inline(child):
                terms.append(term)
        else:
            definitions += _render_blocks(child)
    end_item()
    flow.add(Block(text="\n".join(items), is_list=True))


def _format_definition(term: str, definitions: list[Block]) -> str:
    if not term:
        return format_list_item("-", definitions)
    if not definitions:
        return f"- {term}"
    separator = "" if term[-1] in ":?!.…" else ":"
    if not any(block.is_list or "\n" in block.text or len(block.text) > _MAX_JOINED_CHARS for block in definitions):
        return f"- {term}{separator} {'; '.join(block.text for block in definitions)}"
    first, *others = definitions
    if first.is_list:
        return format_list_item("-", [Block(text=term + separator), first, *others])
    return format_list_item("-", [Block(text=f"{term}{separator} {first.text}"), *others])


def _render_table(element: Any, flow: _Flow) -> None:
    flow.end_paragraph()
    for block in render_table(element, _render_blocks):
        flow.add(block)


_RENDERERS: dict[str, Callable[[Any, _Flow], None]] = {
    "a": _render_link,
    "blockquote": _render_block_quotation,
    "br": _render_line_break,
    "dl": _render_definitions,
    "dir": _render_list,
    "hr": _render_rule,
    "img": _render_picture,
    "math": _render_formula,
    "menu": _render_list,
    "ol": _render_list,
    "pre": _render_code,
    "q": _render_quotation,
    "table": _render_table,
    "ul": _render_list,
}
