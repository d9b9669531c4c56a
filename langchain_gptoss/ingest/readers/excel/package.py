"""Parts of an .xlsx file: XML in a zip file, connected by relationships (ECMA-376 parts 1 and 2)."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from typing import IO
from xml.etree import ElementTree

from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.notation import format_subscript, format_superscript

_DOCTYPE = b"<!DOCTYPE"
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")  # ECMA-376 part 1, 22.4.2.4: characters that XML cannot hold


def get_local_name(tag: str) -> str:
    """Return a name without its namespace, which differs in the strict variant of the format."""
    return tag.rpartition("}")[2]


def get_attribute(element: ElementTree.Element, name: str) -> str:
    """Return an attribute whatever its namespace is, "" if it is missing."""
    return next((value for key, value in element.items() if get_local_name(key) == name), "")


def parse_part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    """Return the root element of a part."""
    _check_name(name)
    data = archive.read(name)
    if _DOCTYPE in data:
        raise UnreadableFileError("its XML has a document type, which no workbook needs; save it again")
    return ElementTree.fromstring(data)


def iterate_elements(archive: zipfile.ZipFile, name: str) -> Iterator[ElementTree.Element]:
    """Yield each element of a part when it is complete. The caller clears the elements that it has used."""
    if _DOCTYPE in read_beginning(archive, name, 4096):
        raise UnreadableFileError("its XML has a document type, which no workbook needs; save it again")
    with archive.open(name) as part:
        yield from _iterate(part)


def read_beginning(archive: zipfile.ZipFile, name: str, size_bytes: int) -> bytes:
    """Return the first bytes of a part."""
    _check_name(name)
    with archive.open(name) as part:
        return part.read(size_bytes)


def _check_name(name: str) -> None:
    # Parts of other kinds may be large, and are none that a sheet needs.
    if not name.lower().endswith((".xml", ".rels")):
        raise ValueError(f"its part {name} is not XML")


def _iterate(part: IO[bytes]) -> Iterator[ElementTree.Element]:
    for _, element in ElementTree.iterparse(part):
        yield element


def read_relationships(archive: zipfile.ZipFile, name: str) -> dict[str, tuple[str, str]]:
    """Return the kind and the name of the parts that a part refers to, by id."""
    folder, base = posixpath.split(name)
    relationships_name = posixpath.join(folder, "_rels", f"{base}.rels")
    if relationships_name not in archive.namelist():
        return {}
    targets = {}
    for element in parse_part(archive, relationships_name):
        target = element.get("Target", "")
        path = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
        targets[element.get("Id", "")] = (element.get("Type", "").rpartition("/")[2], path)
    return targets


def read_rich_text(element: ElementTree.Element) -> str:
    """Return the text of a string, which may have several runs. Raised digits are marked: 10⁴ is not 104."""
    text = ""
    for child in element:
        name = get_local_name(child.tag)
        if name == "t":
            text += child.text or ""
        elif name == "r":
            text = _append_run(text, child)
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def _append_run(before: str, run: ElementTree.Element) -> str:
    text, alignment = "", ""
    for element in run.iter():
        name = get_local_name(element.tag)
        if name == "t":
            text += element.text or ""
        elif name == "vertAlign":
            alignment = element.get("val", "")
    if alignment == "superscript":
        return before + format_superscript(text, before)
    return before + (format_subscript(text, before) if alignment == "subscript" else text)
