"""Labels of numbered paragraphs, which Word computes: "3.", "1.2.1", "Article 4"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from langchain_gptoss.ingest.readers.word.package import get_value, is_on
from langchain_gptoss.ingest.readers.word.styles import Styles

BULLET = "-"
_PLACEHOLDER = re.compile(r"%([1-9])")
_ROMAN = (
    *(("m", 1000), ("cm", 900), ("d", 500), ("cd", 400), ("c", 100), ("xc", 90), ("l", 50), ("xl", 40)),
    *(("x", 10), ("ix", 9), ("v", 5), ("iv", 4), ("i", 1)),
)
_MAX_LINKS = 5


@dataclass(frozen=True, kw_only=True)
class _Level:
    start: int
    format: str
    text: str
    is_legal: bool
    restart: int | None  # the level, counted from 1, whose items restart this one; 0 means never


class Numbering:
    """The lists of a document and their counters.

    Args:
        root: The part with the numbering, None if there is none.
        styles: The styles of the document.
    """

    def __init__(self, root: Element | None, styles: Styles) -> None:
        self._styles = styles
        self._abstract: dict[str, Element] = {}
        self._lists: dict[str, Element] = {}
        if root is not None:
            self._abstract = {item.get("abstractNumId", ""): item for item in root.findall("abstractNum")}
            self._lists = {item.get("numId", ""): item for item in root.findall("num")}
        self._levels: dict[tuple[str, int], _Level | None] = {}
        self._counters: dict[str, list[int | None]] = {}
        self._seen: set[str] = set()

    def create_label(self, number_id: str, level: int) -> str:
        """Return the label of the next paragraph of a list: `BULLET`, a text, or "" for none."""
        if number_id not in self._lists or not 0 <= level <= 8:
            return ""
        rules = self._find_level(number_id, level)
        if rules is None:
            return ""
        key = self._find_abstract_id(number_id)
        counters = self._counters.setdefault(key, [None] * 9)
        if number_id not in self._seen:
            self._seen.add(number_id)
            self._restart(number_id, counters)
        current = counters[level]
        counters[level] = rules.start if current is None else current + 1
        for deeper in range(level + 1, 9):
            deeper_rules = self._find_level(number_id, deeper)
            restart = None if deeper_rules is None else deeper_rules.restart
            if restart is None or (restart and level < restart):
                counters[deeper] = None
        return self._format_label(number_id, rules, counters)

    def _restart(self, number_id: str, counters: list[int | None]) -> None:
        for override in self._lists[number_id].findall("lvlOverride"):
            level = override.get("ilvl", "")
            if level.isdigit() and int(level) < 9 and override.find("startOverride") is not None:
                counters[int(level)] = None

    def _format_label(self, number_id: str, rules: _Level, counters: list[int | None]) -> str:
        if rules.format == "bullet":
            return BULLET
        if rules.format == "none" and not _PLACEHOLDER.search(rules.text):
            return rules.text.strip()

        def format_counter(match: re.Match[str]) -> str:
            level = int(match[1]) - 1
            other = self._find_level(number_id, level)
            if other is None:
                return ""
            counter = counters[level]
            value = other.start if counter is None else counter
            return format_number(value, "decimal" if rules.is_legal else other.format)

        return _PLACEHOLDER.sub(format_counter, rules.text).strip()

    def _find_abstract_id(self, number_id: str) -> str:
        """Return the definition of a list; a list may take it from a style."""
        identifier = get_value(self._lists.get(number_id), "abstractNumId")
        for _ in range(_MAX_LINKS):
            link = get_value(self._abstract.get(identifier), "numStyleLink")
            linked = self._styles.get(link).number_id if link else ""
            if linked not in self._lists:
                break
            identifier = get_value(self._lists[linked], "abstractNumId")
        return identifier

    def _find_level(self, number_id: str, level: int) -> _Level | None:
        key = (number_id, level)
        if key not in self._levels:
            self._levels[key] = self._read_level(number_id, level)
        return self._levels[key]

    def _read_level(self, number_id: str, level: int) -> _Level | None:
        override = self._lists[number_id].find(f"lvlOverride[@ilvl='{level}']")
        element = override.find("lvl") if override is not None else None
        if element is None:
            abstract = self._abstract.get(self._find_abstract_id(number_id))
            element = abstract.find(f"lvl[@ilvl='{level}']") if abstract is not None else None
        if element is None:
            return None
        start = get_value(override, "startOverride") or get_value(element, "start", "1")
        restart = get_value(element, "lvlRestart")
        return _Level(
            start=int(start) if start.isdigit() else 1,
            format=get_value(element, "numFmt", "decimal"),
            text=get_value(element, "lvlText"),
            is_legal=is_on(element.find("isLgl")),
            restart=int(restart) if restart.isdigit() else None,
        )


def format_number(number: int, kind: str) -> str:
    """Return a number in a format of Word; formats that are not known are decimal."""
    if kind == "none":
        return ""
    if kind == "decimalZero":
        return f"{number:02}"
    if kind in ("lowerLetter", "upperLetter") and number > 0:
        letters = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
        return letters.upper() if kind == "upperLetter" else letters
    if kind in ("lowerRoman", "upperRoman") and 0 < number < 4000:
        roman = ""
        for sign, value in _ROMAN:
            roman += sign * (number // value)
            number %= value
        return roman.upper() if kind == "upperRoman" else roman
    return str(number)
