"""Parts of a Word file: the document, its styles, numbering, notes, headers and footers.

Elements and attributes lose the namespace of WordprocessingML, and others get a short prefix, so that strict files
(ISO/IEC 29500) and transitional ones read the same.
"""

from __future__ import annotations

import posixpath
import zipfile
from dataclasses import dataclass
from functools import cached_property
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from langchain_gptoss.ingest.readers.base import UnreadableFileError

_PREFIXES = {
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main": "",
    "http://purl.oclc.org/ooxml/wordprocessingml/main": "",
    "http://schemas.openxmlformats.org/officeDocument/2006/math": "m_",
    "http://purl.oclc.org/ooxml/officeDocument/math": "m_",
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc_",
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships": "r_",
    "http://purl.oclc.org/ooxml/officeDocument/relationships": "r_",
}
_OTHER = "x_"  # a colon would have a meaning in a search for elements


@dataclass(frozen=True, kw_only=True)
class Relationship:
    """A part that another one refers to.

    Attributes:
        kind: The last part of its type, such as "styles".
        target: Its name in the zip file.
    """

    kind: str
    target: str


class WordPackage:
    """A Word file.

    Args:
        archive: The zip file.

    Raises:
        KeyError: The file has no document.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self._names = set(archive.namelist())
        roots = self._read_relationships("").values()
        name = next((root.target for root in roots if root.kind == "officeDocument"), "word/document.xml")
        if name not in self._names:
            raise KeyError("it has no document part")
        self.document = self.read_part(name)
        self.relationships = self._read_relationships(name)

    def find_part(self, kind: str) -> Element | None:
        """Return the root element of the document's only part of a kind, None if there is none."""
        name = next((other.target for other in self.relationships.values() if other.kind == kind), "")
        return self.read_part(name) if name in self._names else None

    def find_related(self, identifier: str) -> Element | None:
        """Return the root element of the part that the document refers to by an identifier."""
        relationship = self.relationships.get(identifier)
        return self.read_part(relationship.target) if relationship and relationship.target in self._names else None

    def read_related_bytes(self, identifier: str) -> tuple[str, bytes]:
        """Return the name and the bytes of the part that the document refers to by an identifier."""
        relationship = self.relationships.get(identifier)
        if relationship is None or relationship.target not in self._names:
            return "", b""
        return relationship.target, self.archive.read(relationship.target)

    def read_part(self, name: str) -> Element:
        """Return the root element of a part with plain names."""
        root = self._parse_xml(name)
        for element in root.iter():
            element.tag = _shorten(element.tag)
            if element.attrib:
                attributes = {_shorten(key): value for key, value in element.attrib.items()}
                element.attrib.clear()
                element.attrib.update(attributes)
        return root

    def _read_relationships(self, part: str) -> dict[str, Relationship]:
        folder, name = posixpath.split(part)
        path = posixpath.join(folder, "_rels", f"{name}.rels")
        if path not in self._names:
            return {}
        relationships = {}
        for item in self._parse_xml(path):
            target = item.get("Target", "")
            path = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
            relationships[item.get("Id", "")] = Relationship(kind=item.get("Type", "").rpartition("/")[2], target=path)
        return relationships

    def _parse_xml(self, name: str) -> Element:
        data = self.archive.read(name)
        if b"<!ENTITY" in data:
            raise UnreadableFileError("its XML defines entities, which no document needs; open it and save it again")
        return ElementTree.fromstring(data)

    @cached_property
    def settings(self) -> frozenset[str]:
        """Names of the settings that are on."""
        settings = self.find_part("settings")
        return frozenset() if settings is None else frozenset(child.tag for child in settings if is_on(child))


def _shorten(name: str) -> str:
    namespace, closing, local = name[1:].partition("}") if name.startswith("{") else ("", "", name)
    return _PREFIXES.get(namespace, _OTHER) + local if closing else local


def is_on(element: Element | None) -> bool:
    """Return True if an element that switches something on is present and does not say "off"."""
    return element is not None and element.get("val", "true") not in ("0", "false", "off")


def get_value(element: Element | None, path: str, default: str = "") -> str:
    """Return the value of a descendant."""
    found = element.find(path) if element is not None else None
    return default if found is None else found.get("val", default)
