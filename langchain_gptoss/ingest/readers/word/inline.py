"""Text of a Word paragraph: runs, fields, note marks, symbols, pictures and formulas."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from langchain_gptoss.ingest.readers.notation import format_note_mark, format_subscript, format_superscript
from langchain_gptoss.ingest.readers.word.formulas import format_formula
from langchain_gptoss.ingest.readers.word.package import get_value, is_on
from langchain_gptoss.ingest.readers.word.styles import Style, Styles
from langchain_gptoss.ingest.readers.word.symbols import find_symbol, translate_symbols

PAGE_NUMBER = "\0"
"""Place of a page number, which is no text; the words around it go with it."""

_CONTAINERS = {"hyperlink", "smartTag", "customXml", "ins", "moveTo", "sdtContent", "dir", "bdo", "ruby", "rubyBase"}
_PAGE_FIELDS = {"PAGE", "NUMPAGES", "SECTIONPAGES", "SECTION"}
# Lists of headings, tables and index entries, with page numbers, and marks that print nothing.
_LIST_FIELDS = {"TOC", "TOA", "INDEX", "PAGEREF", "TC", "TA", "XE", "RD"}
# Names of files, and what Word itself guesses about a picture.
_NO_DESCRIPTION = re.compile(r"^\S+\.\w{3,4}$|automatically generated|générée? automatiquement", re.IGNORECASE)
_CONTEXT_CHARS = 60


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Text of one position relative to the line.

    Attributes:
        text: The text.
        position: "", "superscript", "subscript", or "note" for the mark of a note.
    """

    text: str
    position: str = ""


@dataclass
class _Field:
    instruction: str = ""
    shows_result: bool = False

    @property
    def kind(self) -> str:
        """The first word of the instruction, in capital letters."""
        words = self.instruction.split()
        return words[0].upper() if words else ""


@dataclass
class FieldStack:
    """Fields that are open; one can begin in a paragraph and end in a later one.

    Attributes:
        is_reliable: False if the fields of a part begin and do not end. Nothing is left out then.
    """

    is_reliable: bool = True
    fields: list[_Field] = field(default_factory=list)

    def begin(self) -> None:
        """Open a field; its instruction follows."""
        self.fields.append(_Field())

    def separate(self) -> None:
        """End the instruction of the innermost field; its result follows."""
        if self.fields:
            self.fields[-1].shows_result = True

    def end(self) -> None:
        """Close the innermost field."""
        if self.fields:
            self.fields.pop()

    def add_instruction(self, text: str) -> None:
        """Append text to the instruction of the innermost field."""
        if self.fields:
            self.fields[-1].instruction += text

    @property
    def shows_text(self) -> bool:
        """True if text at this place is shown."""
        if not self.is_reliable:
            return True
        return all(item.shows_result and item.kind not in _LIST_FIELDS | _PAGE_FIELDS for item in self.fields)


def count_open_fields(root: Element) -> int:
    """Return the number of fields in a part that begin and do not end."""
    kinds = [character.get("fldCharType") for character in root.iter("fldChar")]
    return abs(kinds.count("begin") - kinds.count("end"))


class InlineReader:
    """Reader of the contents of paragraphs.

    Args:
        styles: The styles of the document.
        fields: The fields that are open.
        add_note: Called with the kind and the identifier of a note; returns its mark.
        add_text_box: Called with the contents of a text box.
    """

    def __init__(
        self,
        styles: Styles,
        fields: FieldStack,
        *,
        add_note: Callable[[str, str], str],
        add_text_box: Callable[[Element], None],
    ) -> None:
        self._styles = styles
        self._fields = fields
        self._add_note = add_note
        self._add_text_box = add_text_box

    def read_paragraph(self, paragraph: Element, style: Style) -> str:
        """Return the text of a paragraph, with its line breaks."""
        segments: list[Segment] = []
        self._read_children(paragraph, style, segments)
        return join_segments(segments)

    def _read_children(self, element: Element, style: Style, segments: list[Segment]) -> None:
        for child in element:
            self._read_child(child, style, segments)

    def _read_child(self, child: Element, style: Style, segments: list[Segment]) -> None:
        match child.tag:
            case "r":
                self._read_run(child, style, segments)
            case "fldSimple":
                self._read_simple_field(child, style, segments)
            case "sdt":
                if not is_on(child.find("sdtPr/showingPlcHdr")):  # a placeholder such as "Click here to enter text"
                    self._read_children(child, style, segments)
            case "mc_AlternateContent":
                self._read_children(choose_alternative(child), style, segments)
            case "m_oMath" | "m_oMathPara":
                segments.append(Segment(text=format_formula(child)))
            case tag if tag in _CONTAINERS:
                self._read_children(child, style, segments)

    def _read_simple_field(self, element: Element, style: Style, segments: list[Segment]) -> None:
        kind = element.get("instr", "").split()[:1]
        if kind and kind[0].upper() in _PAGE_FIELDS:
            segments.append(Segment(text=PAGE_NUMBER))
        elif not kind or kind[0].upper() not in _LIST_FIELDS:
            self._read_children(element, style, segments)

    def _read_run(self, run: Element, style: Style, segments: list[Segment]) -> None:
        properties = run.find("rPr")
        character_style = self._styles.get(get_value(properties, "rStyle"))
        is_shown = not (
            _get_switch(properties, "vanish", character_style.is_hidden or style.is_hidden)
            or _get_switch(properties, "strike", character_style.is_struck or style.is_struck)
            or _get_switch(properties, "dstrike", default=False)
        )
        position = get_value(properties, "vertAlign", character_style.position or style.position)
        if position not in ("superscript", "subscript"):
            position = ""
        fonts = properties.find("rFonts") if properties is not None else None
        font = "" if fonts is None else fonts.get("ascii", fonts.get("hAnsi", ""))
        for child in run:
            text = self._read_run_child(child, font, style, segments)
            if text and is_shown and self._fields.shows_text:
                segments.append(Segment(text=text, position=position))

    def _read_run_child(self, child: Element, font: str, style: Style, segments: list[Segment]) -> str:
        match child.tag:
            case "t":
                return translate_symbols(child.text or "", font)
            case "tab" | "ptab":
                return "\t"
            case "br" | "cr":
                return "\n"
            case "noBreakHyphen":
                return "-"
            case "sym":
                code = child.get("char", "")
                return find_symbol(child.get("font", font), int(code, 16)) if re.fullmatch("[0-9A-Fa-f]+", code) else ""
            case "fldChar":
                self._read_field_character(child, segments)
            case "instrText":
                self._fields.add_instruction(child.text or "")
            case "footnoteReference" | "endnoteReference":
                mark = self._add_note(child.tag, child.get("id", ""))
                if child.get("customMarkFollows", "0") in ("0", "false", "off"):
                    segments.append(Segment(text=mark, position="note"))
            case "drawing" | "pict" | "object" | "mc_AlternateContent":
                self._read_drawing(child, segments)
            case "pgNum":
                segments.append(Segment(text=PAGE_NUMBER))
            case "ruby":
                self._read_children(child, style, segments)
        return ""

    def _read_field_character(self, character: Element, segments: list[Segment]) -> None:
        match character.get("fldCharType"):
            case "begin":
                self._fields.begin()
            case "separate":
                self._fields.separate()
                self._add_page_number(segments)
            case "end":
                if self._fields.fields and not self._fields.fields[-1].shows_result:
                    self._add_page_number(segments)
                self._fields.end()

    def _add_page_number(self, segments: list[Segment]) -> None:
        if self._fields.fields and self._fields.fields[-1].kind in _PAGE_FIELDS:
            segments.append(Segment(text=PAGE_NUMBER))

    def _read_drawing(self, element: Element, segments: list[Segment]) -> None:
        if element.tag == "mc_AlternateContent":
            for child in choose_alternative(element):
                self._read_drawing(child, segments)
            return
        boxes = list(element.iter("txbxContent"))
        for box in boxes:
            self._add_text_box(box)
        if not boxes and (description := _find_description(element)):
            segments.append(Segment(text=f" {description} "))


def choose_alternative(element: Element) -> Element:
    """Return the part of alternative content to read: the first choice with text, else the fallback."""
    choices = [child for child in element if child.tag == "mc_Choice"]
    fallback = element.find("mc_Fallback")
    for choice in choices:
        if fallback is None or next(choice.iter("t"), None) is not None:
            return choice
    if fallback is not None:
        return fallback
    return element


def _get_switch(properties: Element | None, name: str, default: bool) -> bool:
    found = properties.find(name) if properties is not None else None
    return default if found is None else is_on(found)


def _find_description(element: Element) -> str:
    for picture in element.iter():
        if picture.tag.endswith("_docPr") or picture.tag.endswith("_shape"):
            text = " ".join((picture.get("descr") or picture.get("alt") or "").split())
            if text and not _NO_DESCRIPTION.search(text):
                return text
    return ""


def join_segments(segments: list[Segment]) -> str:
    """Return the text of segments; neighbours of the same position are one superscript."""
    parts: list[str] = []
    index = 0
    while index < len(segments):
        position = segments[index].position
        end = index + 1
        while end < len(segments) and segments[end].position == position and position != "note":
            end += 1
        text = "".join(segment.text for segment in segments[index:end])
        before = "".join(parts[-8:])[-_CONTEXT_CHARS:]
        if not text.strip() or not position:
            parts.append(text)
        elif position == "note":
            parts.append(format_note_mark(text, before))
        elif position == "subscript":
            parts.append(format_subscript(text, before))
        else:
            after = "".join(segment.text for segment in segments[end : end + 3])
            trailing = text[len(text.rstrip()) :]
            parts.append(format_superscript(text, before, after) + trailing)
        index = end
    return "".join(parts)
