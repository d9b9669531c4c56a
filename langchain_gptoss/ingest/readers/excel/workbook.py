"""Parts that all sheets of a workbook share: their list, the texts of cells, and the styles."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from langchain_gptoss.ingest.readers.excel.display import BUILTIN_FORMATS
from langchain_gptoss.ingest.readers.excel.package import (
    get_attribute,
    get_local_name,
    iterate_elements,
    parse_part,
    read_beginning,
    read_relationships,
    read_rich_text,
)
from langchain_gptoss.text.language import identify_language

_LANGUAGE_SAMPLE_CHARS = 20_000
_LANGUAGE_SAMPLE_BYTES = 200_000
_INLINE_TEXT = re.compile(r"<(?:\w+:)?t(?:\s[^>]*)?>([^<]+)</")


@dataclass(frozen=True, kw_only=True)
class CellStyle:
    """Style of a cell.

    Attributes:
        code: Its number format.
        is_bold: True if its text is bold.
    """

    code: str = "General"
    is_bold: bool = False


@dataclass(frozen=True, kw_only=True)
class Workbook:
    """A workbook.

    Attributes:
        archive: The zip file.
        sheets: Name and part of each visible worksheet, in order.
        texts: The texts that cells refer to by number.
        styles: The styles that cells refer to by number.
        is_1904: True if dates count from 1 January 1904.
        language: ISO 639-1 code of the language of its texts, "" if it is in doubt.
    """

    archive: zipfile.ZipFile
    sheets: tuple[tuple[str, str], ...]
    texts: tuple[str, ...]
    styles: tuple[CellStyle, ...]
    is_1904: bool
    language: str


def read_workbook(archive: zipfile.ZipFile) -> Workbook:
    """Read everything of a workbook but the cells.

    Raises:
        ValueError: The file has no list of sheets.
    """
    roots = [path for kind, path in read_relationships(archive, "").values() if kind == "officeDocument"]
    if not roots:
        raise ValueError("it has no list of sheets")
    root = parse_part(archive, roots[0])
    parts = read_relationships(archive, roots[0])
    by_kind = dict(parts.values())
    texts = _read_texts(archive, by_kind["sharedStrings"]) if "sharedStrings" in by_kind else ()
    sheets = tuple(_list_sheets(root, parts))
    return Workbook(
        archive=archive,
        sheets=sheets,
        texts=texts,
        styles=_read_styles(parse_part(archive, by_kind["styles"])) if "styles" in by_kind else (),
        is_1904=any(
            get_local_name(element.tag) == "workbookPr" and element.get("date1904") in ("1", "true") for element in root
        ),
        language=identify_language(" ".join(texts or _sample_texts(archive, sheets))[:_LANGUAGE_SAMPLE_CHARS]) or "",
    )


def _list_sheets(root: ElementTree.Element, parts: dict[str, tuple[str, str]]) -> list[tuple[str, str]]:
    sheets = []
    for element in root.iter():
        if get_local_name(element.tag) == "sheet" and element.get("state", "visible") == "visible":
            kind, path = parts.get(get_attribute(element, "id"), ("", ""))
            if kind == "worksheet":  # not a chart sheet or a dialog
                sheets.append((element.get("name", ""), path))
    return sheets


def _read_texts(archive: zipfile.ZipFile, name: str) -> tuple[str, ...]:
    texts = []
    for element in iterate_elements(archive, name):
        if get_local_name(element.tag) == "si":
            texts.append(" ".join(read_rich_text(element).split()))
            element.clear()
    return tuple(texts)


def _sample_texts(archive: zipfile.ZipFile, sheets: Sequence[tuple[str, str]]) -> list[str]:
    """Return texts of the first sheet, which some programs write into the cells themselves."""
    if not sheets:
        return []
    beginning = read_beginning(archive, sheets[0][1], _LANGUAGE_SAMPLE_BYTES)
    return _INLINE_TEXT.findall(beginning.decode("utf-8", "ignore"))


def _read_styles(root: ElementTree.Element) -> tuple[CellStyle, ...]:
    codes = dict(BUILTIN_FORMATS)
    bold_fonts: list[bool] = []
    styles: list[CellStyle] = []
    for group in root:
        kind = get_local_name(group.tag)
        if kind == "numFmts":
            codes |= {int(element.get("numFmtId", "0")): element.get("formatCode", "General") for element in group}
        elif kind == "fonts":
            bold_fonts = [_is_bold(font) for font in group]
        elif kind == "cellXfs":
            for element in group:
                font = int(element.get("fontId", "0"))
                styles.append(
                    CellStyle(
                        code=codes.get(int(element.get("numFmtId", "0")), "General"),
                        is_bold=font < len(bold_fonts) and bold_fonts[font],
                    )
                )
    return tuple(styles)


def _is_bold(font: ElementTree.Element) -> bool:
    return any(get_local_name(element.tag) == "b" and element.get("val", "1") not in ("0", "false") for element in font)
