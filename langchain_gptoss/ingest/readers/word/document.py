"""Word documents as Markdown: the body, with headers and footers above it and notes below the blocks they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from langchain_gptoss.ingest.readers.base import ExtractedText
from langchain_gptoss.ingest.readers.budget import SizeBudget, create_text_budget
from langchain_gptoss.ingest.readers.decoder import decode_text
from langchain_gptoss.ingest.readers.html import convert_html_to_markdown, find_declared_encoding
from langchain_gptoss.ingest.readers.markdown_blocks import (
    Block,
    escape_structure,
    format_heading,
    join_blocks,
    join_in_line,
)
from langchain_gptoss.ingest.readers.notation import separate_columns
from langchain_gptoss.ingest.readers.word.inline import (
    PAGE_NUMBER,
    FieldStack,
    InlineReader,
    choose_alternative,
    count_open_fields,
)
from langchain_gptoss.ingest.readers.word.numbering import BULLET, Numbering, format_number
from langchain_gptoss.ingest.readers.word.package import WordPackage, get_value, is_on
from langchain_gptoss.ingest.readers.word.styles import Style, Styles
from langchain_gptoss.ingest.readers.word.word_tables import format_word_table
from langchain_gptoss.ingest.readers.zip_files import open_archive
from langchain_gptoss.ingest.structure import find_first_heading

_MAX_HEADING_CHARS = 300  # a longer "heading" is a paragraph in the wrong style
_CONTAINERS = {"sdt", "sdtContent", "customXml", "smartTag", "ins", "moveTo", "body"}
_LIST_MARK = re.compile(r"\d{1,9}[.)]")
_SIMPLE_LABEL = re.compile(r"\(?(?:[a-z]{1,2}|[ivxlc]{1,6})[.)]", re.IGNORECASE)
_PAGE_WORDS = re.compile(
    rf"[-–—|/\s]*(?:\b(?:page|pages|p\.|pg\.?|seite|página)\s*)?{PAGE_NUMBER}(?:\s*(?:/|of|sur|de|von|-)?\s*{PAGE_NUMBER})?"
    r"[-–—|/ \t]*",
    re.IGNORECASE,
)
_SPACES = re.compile(r" {2,}")
_NOTE_PARTS = {"footnoteReference": ("footnotes", "footnote"), "endnoteReference": ("endnotes", "endnote")}
_NOTE_FORMATS = {"footnoteReference": "decimal", "endnoteReference": "lowerRoman"}


def read_docx(data: bytes, max_bytes: int) -> ExtractedText:
    """Read a Word document as it is shown and printed, without page numbers, comments and tables of contents."""
    with open_archive("Word document (.docx)", data, max_bytes) as archive:
        text = join_blocks(_DocumentReader(WordPackage(archive), create_text_budget(data, max_bytes)).read())
    return ExtractedText([text], find_first_heading(text))


class _DocumentReader:
    """Reader of a document: what all its flows of text share.

    Args:
        package: The file.
        budget: Limits the text: a note or a label that is short in the file may be repeated.
    """

    def __init__(self, package: WordPackage, budget: SizeBudget) -> None:
        self.package = package
        self.budget = budget
        self.styles = Styles(package.find_part("styles"))
        self.numbering = Numbering(package.find_part("numbering"), self.styles)
        self._notes = {kind: _find_notes(package, *names) for kind, names in _NOTE_PARTS.items()}
        self._note_formats = {
            kind: get_value(package.document, f".//sectPr/{names[1]}Pr/numFmt", _NOTE_FORMATS[kind])
            for kind, names in _NOTE_PARTS.items()
        }
        self._note_counts = dict.fromkeys(_NOTE_PARTS, 0)

    def read(self) -> list[Block]:
        """Return the blocks of the document."""
        body = self.package.document.find("body")
        if body is None:
            return []
        return [*self._read_headers_and_footers(body), *_StoryReader(self, body).read()]

    def take_note(self, kind: str, identifier: str) -> tuple[str, Element | None]:
        """Return the mark of the next note of a kind, and the note itself."""
        self._note_counts[kind] += 1
        mark = format_number(self._note_counts[kind], self._note_formats[kind])
        return mark, self._notes[kind].get(identifier)

    def _read_headers_and_footers(self, body: Element) -> Iterator[Block]:
        """Yield the headers, then the footers of all sections, each text once."""
        seen: set[str] = set()
        sections = list(body.iter("sectPr"))
        for kind in ("headerReference", "footerReference"):
            for section in sections:
                for reference in section.findall(kind):
                    if not self._is_printed(reference.get("type", "default"), section):
                        continue
                    root = self.package.find_related(reference.get("r_id", ""))
                    blocks = _StoryReader(self, root, has_headings=False).read() if root is not None else []
                    for block in blocks:
                        if block.text not in seen:
                            seen.add(block.text)
                            yield block

    def _is_printed(self, kind: str, section: Element) -> bool:
        if kind == "first":
            return is_on(section.find("titlePg"))
        return kind != "even" or "evenAndOddHeaders" in self.package.settings


def _find_notes(package: WordPackage, part: str, tag: str) -> dict[str, Element]:
    root = package.find_part(part)
    notes = root.findall(tag) if root is not None else []
    return {note.get("id", ""): note for note in notes if note.get("type", "normal") == "normal"}


class _StoryReader:
    """Reader of one flow of text: the body, a header, a note, a text box or a cell.

    Args:
        document: What all flows share.
        root: The element with the text.
        has_headings: False if paragraphs in the style of a heading are text, as in a header.
        fields: The fields that are open at the start.
        after: The list for notes and text boxes, if they follow a larger block that this flow is part of.
    """

    def __init__(
        self,
        document: _DocumentReader,
        root: Element,
        *,
        has_headings: bool = True,
        fields: FieldStack | None = None,
        after: list[Block] | None = None,
    ) -> None:
        self._document = document
        self._root = root
        self._has_headings = has_headings
        self._fields = fields or FieldStack(is_reliable=count_open_fields(root) == 0)
        self._inline = InlineReader(
            document.styles, self._fields, add_note=self._add_note, add_text_box=self._add_text_box
        )
        self._blocks: list[Block] = []
        self._list_lines: list[str] = []
        self._is_part = after is not None
        self._after: list[Block] = [] if after is None else after
        self._carried = ""  # text of a paragraph whose mark is deleted; it goes on in the next one

    def read(self) -> list[Block]:
        """Return the blocks of the text."""
        self._read_children(self._root)
        self._end_list()
        if carried := _clean_text(self._carried):
            self._blocks.append(Block(text=escape_structure(carried)))
        self._flush_after()
        return self._blocks

    def _read_children(self, element: Element) -> None:
        for child in element:
            if child.tag == "p":
                self._read_paragraph(child)
            elif child.tag == "tbl":
                self._read_table(child)
            elif child.tag == "altChunk":
                self._read_embedded_page(child)
            elif child.tag == "mc_AlternateContent":
                self._read_children(choose_alternative(child))
            elif child.tag in _CONTAINERS and not is_on(child.find("sdtPr/showingPlcHdr")):
                self._read_children(child)

    def _read_paragraph(self, paragraph: Element) -> None:
        properties = paragraph.find("pPr")
        style = self._document.styles.get(get_value(properties, "pStyle"))
        text = self._carried + self._inline.read_paragraph(paragraph, style)
        self._carried = ""
        if properties is not None and properties.find("rPr/del") is not None:
            self._carried = text
            return
        text = _clean_text(text)
        if text:
            self._add_paragraph(text, properties, style)
        self._flush_after()

    def _add_paragraph(self, text: str, properties: Element | None, style: Style) -> None:
        label, level = self._create_label(properties, style)
        self._document.budget.charge(len(label) + len(text) + level)
        heading_level = _find_heading_level(properties, style) if self._has_headings else 0
        if heading_level and len(text) <= _MAX_HEADING_CHARS:
            self._end_list()
            number = "" if label == BULLET else label
            self._blocks.append(Block(text=format_heading(heading_level, f"{number} {text}")))
        elif label == BULLET or _LIST_MARK.fullmatch(label) or _SIMPLE_LABEL.fullmatch(label):
            mark = label if label == BULLET or _LIST_MARK.fullmatch(label) else f"{BULLET} {label}"
            indent = "  " * level
            continued = text.replace("\n", f"\n{indent}  ")
            self._list_lines.append(f"{indent}{mark} {continued}")
        else:
            self._end_list()
            self._blocks.append(Block(text=escape_structure(f"{label} {text}" if label else text)))

    def _create_label(self, properties: Element | None, style: Style) -> tuple[str, int]:
        number_id = get_value(properties, "numPr/numId", style.number_id)
        level = get_value(properties, "numPr/ilvl", str(style.number_level))
        if not number_id or number_id == "0" or not level.isdigit():
            return "", 0
        return self._document.numbering.create_label(number_id, int(level)), int(level)

    def _read_table(self, table: Element) -> None:
        self._end_list()
        self._blocks += format_word_table(table, self._read_cell)
        self._flush_after()

    def _read_cell(self, cell: Element) -> list[Block]:
        return _StoryReader(self._document, cell, fields=self._fields, after=self._after).read()

    def _read_embedded_page(self, chunk: Element) -> None:
        """Read a web page that other programs put into the document as it is."""
        name, data = self._document.package.read_related_bytes(chunk.get("r_id", ""))
        if name.lower().endswith((".html", ".htm", ".xhtml")):
            self._end_list()
            text = convert_html_to_markdown(decode_text(data, declared=find_declared_encoding(data)).text)
            self._document.budget.charge(len(text))
            self._blocks += [Block(text=text)] if text else []

    def _end_list(self) -> None:
        if self._list_lines:
            self._blocks.append(Block(text="\n".join(self._list_lines), is_list=True))
            self._list_lines = []
            self._flush_after()

    def _flush_after(self) -> None:
        """Add the notes and text boxes of the blocks so far; those of a list follow its last item."""
        if not self._is_part and not self._list_lines:
            self._blocks += self._after
            self._after.clear()

    def _add_note(self, kind: str, identifier: str) -> str:
        mark, note = self._document.take_note(kind, identifier)
        blocks = _StoryReader(self._document, note, has_headings=False).read() if note is not None else []
        if text := join_in_line(blocks):
            self._after.append(Block(text=f"[{mark}] {text}"))
        return mark

    def _add_text_box(self, box: Element) -> None:
        self._after += _StoryReader(self._document, box).read()


def _find_heading_level(properties: Element | None, style: Style) -> int:
    level = get_value(properties, "outlineLvl")
    if level.isdigit():
        return int(level) + 1 if int(level) < 9 else 0
    return style.heading_level


def _clean_text(text: str) -> str:
    """Return a paragraph without page numbers, blank lines, and white space that is not shown."""
    if PAGE_NUMBER in text:
        text = _PAGE_WORDS.sub(" ", text)
    lines = (separate_columns(_SPACES.sub(" ", line)).strip(" \t") for line in text.split("\n"))
    return "\n".join(line for line in lines if line.strip())
