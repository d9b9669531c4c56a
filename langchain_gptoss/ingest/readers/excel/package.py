"""Parts of an .xlsx file: XML in a zip file, connected by relationships (ECMA-376 parts 1 and 2)."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from typing import IO
from xml.etree import ElementTree

from langchain_gptoss.ingest.readers.base import UnreadableFileError

_DOCTYPE = b"<!DOCTYPE"
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")  # ECMA-376 part 1, 22.4.2.4: characters that XML cannot hold
_SUPERSCRIPTS = str.maketrans("0123456789+-−=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿ")
_SUBSCRIPTS = str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")


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
    _check_name(name)
    with archive.open(name) as start:
        if _DOCTYPE in start.read(4096):
            raise UnreadableFileError("its XML has a document type, which no workbook needs; save it again")
    with archive.open(name) as part:
        yield from _iterate(part)


def _check_name(name: str) -> None:
    # The limit of the unpacked size counts these parts only.
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
    """Return the text of a string, which may have several runs. Raised digits stay raised: 10⁴ is not 104."""
    parts = []
    for child in element:
        name = get_local_name(child.tag)
        if name == "t":
            parts.append(child.text or "")
        elif name == "r":
            parts.append(_read_run(child))
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), "".join(parts))


def _read_run(run: ElementTree.Element) -> str:
    text, alignment = "", ""
    for element in run.iter():
        name = get_local_name(element.tag)
        if name == "t":
            text += element.text or ""
        elif name == "vertAlign":
            alignment = element.get("val", "")
    if alignment == "superscript":
        return text.translate(_SUPERSCRIPTS) if not text.isalpha() else text
    return text.translate(_SUBSCRIPTS) if alignment == "subscript" else text
