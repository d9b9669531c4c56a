"""Values of the form fields of a page, which are no part of its text."""

from collections.abc import Iterator
from ctypes import POINTER, byref, c_ushort, cast, create_string_buffer
from typing import Any, NamedTuple

from langchain_gptoss._optional import require
from langchain_gptoss.ingest.readers.pdf.lines import Line, rebuild_line
from langchain_gptoss.ingest.readers.pdf.words import Box, Word

_HIDDEN_FLAGS = 1 << 1 | 1 << 5  # PDF 32000-1, table 165: hidden, no view
_PASSWORD_FLAG = 1 << 13  # table 228
_MAX_FIELDS = 5_000
_MAX_DISTANCE_POINTS = 250.0  # from a field to the text on its line
_MIN_OVERLAP = 0.4  # of the text's height


class FieldValue(NamedTuple):
    """Value of a form field.

    Attributes:
        text: The value; "[x]" and "[ ]" for a box that is ticked or not.
        label: The field's name for people, "" if it has none.
        box: Its place.
    """

    text: str
    label: str
    box: Box


def read_field_values(document: Any, page: Any) -> Iterator[FieldValue]:
    """Yield the values of the visible form fields of a page.

    Args:
        document: The open `pypdfium2.PdfDocument`, after `init_forms()`.
        page: The open `pypdfium2.PdfPage`.
    """
    raw = require("pypdfium2.raw", extra="rag")
    if document.formenv is None:
        return
    form = document.formenv.raw
    for index in range(min(raw.FPDFPage_GetAnnotCount(page.raw), _MAX_FIELDS)):
        annotation = raw.FPDFPage_GetAnnot(page.raw, index)
        if not annotation:
            continue
        try:
            value = _read_field_value(raw, form, annotation)
        finally:
            raw.FPDFPage_CloseAnnot(annotation)
        if value is not None:
            left, bottom, _, _ = page.get_cropbox()
            box = value.box
            yield value._replace(box=Box(box.left - left, box.bottom - bottom, box.right - left, box.top - bottom))


def _read_field_value(raw: Any, form: Any, annotation: Any) -> FieldValue | None:
    if raw.FPDFAnnot_GetSubtype(annotation) != raw.FPDF_ANNOT_WIDGET:
        return None
    if raw.FPDFAnnot_GetFlags(annotation) & _HIDDEN_FLAGS:
        return None
    kind = raw.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in (raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON):
        text = "[x]" if raw.FPDFAnnot_IsChecked(form, annotation) else "[ ]"
    elif kind in (raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX):
        if raw.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD_FLAG:
            return None
        text = _read_string(raw.FPDFAnnot_GetFormFieldValue, form, annotation)
    else:
        return None
    rect = raw.FS_RECTF()
    if not text or not raw.FPDFAnnot_GetRect(annotation, byref(rect)):
        return None
    label = _read_string(raw.FPDFAnnot_GetFormFieldAlternateName, form, annotation)
    bottom, top = sorted((rect.bottom, rect.top))
    return FieldValue(text, label, Box(rect.left, bottom, rect.right, top))


def _read_string(function: Any, form: Any, annotation: Any) -> str:
    size = function(form, annotation, None, 0)
    buffer = create_string_buffer(size + 2)
    function(form, annotation, cast(buffer, POINTER(c_ushort)), size)
    return " ".join(buffer.raw[:size].decode("utf-16-le", "ignore").replace("\0", "").split())


def add_field_values(text: str, lines: list[Line], values: list[FieldValue]) -> tuple[str, list[Line]]:
    """Return a page's text and lines with the values of its fields beside their labels.

    A value without text on its line gets a line of its own below the text above it.

    Args:
        text: The text of the page.
        lines: Its lines.
        values: The values of its fields.
    """
    lines = list(lines)
    for value in values:
        place = _find_line(lines, value.box)
        shown = value.text
        if place is None and value.label:
            shown = f"{value.label.rstrip(' :')}: {value.text}"
        start = len(text) + 1
        text = f"{text}\n{shown}"
        height = lines[place].box.height if place is not None else min(value.box.height, 12.0)
        middle = (value.box.bottom + value.box.top) / 2
        box = Box(value.box.left, middle - height / 2, value.box.right, middle + height / 2)
        word = Word(start, len(text), box, True)
        if place is None:
            below = [number for number, line in enumerate(lines) if line.box.bottom >= value.box.top]
            lines.insert(below[-1] + 1 if below else 0, rebuild_line(text, [word]))
        else:
            words = sorted([*lines[place].words, word], key=lambda word: word.box.left)
            lines[place] = rebuild_line(text, words)._replace(is_bold=lines[place].is_bold)
    return text, lines


def _find_line(lines: list[Line], box: Box) -> int | None:
    """Return the number of the line with the nearest text beside a field."""
    best, best_distance = None, _MAX_DISTANCE_POINTS
    for number, line in enumerate(lines):
        overlap = min(line.box.top, box.top) - max(line.box.bottom, box.bottom)
        if overlap < _MIN_OVERLAP * line.box.height:
            continue
        for word in line.words:
            distance = max(box.left - word.box.right, word.box.left - box.right, 0.0)
            if distance < best_distance:
                best, best_distance = number, distance
    return best
