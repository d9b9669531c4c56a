"""Styles of a Word document, as far as they decide what it says: headings, hidden and raised text, lists."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from langchain_gptoss.ingest.readers.word.package import get_value, is_on

_HEADING = re.compile(r"heading ([1-9])", re.IGNORECASE)
_MAX_BASES = 20  # a style may be based on itself by mistake


@dataclass(frozen=True, kw_only=True)
class Style:
    """Properties of a style, with those that it inherits.

    Attributes:
        name: Its name in lower case; the names of built-in styles are English in every language.
        heading_level: 1 to 9, 0 for other text.
        is_hidden: True if its text is not shown.
        is_struck: True if its text is struck.
        position: "superscript", "subscript" or "".
        number_id: The list that it belongs to, "" if none.
        number_level: The level in the list.
    """

    name: str = ""
    heading_level: int = 0
    is_hidden: bool = False
    is_struck: bool = False
    position: str = ""
    number_id: str = ""
    number_level: int = 0


class Styles:
    """The styles of a document.

    Args:
        root: The part with the styles, None if there is none.
    """

    def __init__(self, root: Element | None) -> None:
        self._elements = {} if root is None else {style.get("styleId", ""): style for style in root.findall("style")}
        self._styles: dict[str, Style] = {}

    def get(self, identifier: str) -> Style:
        """Return a style by its identifier."""
        if identifier not in self._styles:
            self._styles[identifier] = self._resolve(identifier)
        return self._styles[identifier]

    def _resolve(self, identifier: str) -> Style:
        chain: list[Element] = []
        while identifier in self._elements and len(chain) < _MAX_BASES:
            chain.append(self._elements[identifier])
            identifier = get_value(chain[-1], "basedOn")
        names = [get_value(style, "name") for style in chain]
        return Style(
            name=names[0].lower() if names else "",
            heading_level=_find_heading_level(chain, names),
            is_hidden=_find_switch(chain, "vanish"),
            is_struck=_find_switch(chain, "strike") or _find_switch(chain, "dstrike"),
            position=next((value for style in chain if (value := get_value(style, "rPr/vertAlign"))), ""),
            number_id=next((value for style in chain if (value := get_value(style, "pPr/numPr/numId"))), ""),
            number_level=next(
                (int(value) for style in chain if (value := get_value(style, "pPr/numPr/ilvl")).isdigit()), 0
            ),
        )


def _find_heading_level(chain: list[Element], names: list[str]) -> int:
    for style, name in zip(chain, names, strict=True):
        if name.lower() == "title":
            return 1
        if heading := _HEADING.fullmatch(name):
            return int(heading[1])
        level = get_value(style, "pPr/outlineLvl")
        if level.isdigit():
            return int(level) + 1 if int(level) < 9 else 0
    return 0


def _find_switch(chain: list[Element], name: str) -> bool:
    return next((is_on(element) for style in chain if (element := style.find(f"rPr/{name}")) is not None), False)
