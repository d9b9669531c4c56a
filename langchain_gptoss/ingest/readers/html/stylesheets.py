"""Style rules of a page, as far as they decide what it shows: hidden, struck and raised text, and blocks.

A page's own `<style>` elements and `style` attributes count. Files of styles are not read, nor are rules for print, for
a width of the window or for a state such as `:hover`: the page is read as it stands on a wide screen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_PROPERTIES = ("display", "visibility", "vertical-align", "text-decoration", "text-decoration-line")
_COMMENT = re.compile(r"/\*.*?\*/|<!--|-->", re.DOTALL)
_BRACE = re.compile(r"[{}]")
_APPLIED_AT_RULE = re.compile(r"@(?:media\s+(?:only\s+)?(?:screen|all)\s*$|supports\b|layer\b)", re.IGNORECASE)
_DECLARATION = re.compile(r"([\w-]+)\s*:\s*([^;]+)")
_COMPOUND = re.compile(r"(?P<tag>\*|[a-zA-Z][\w-]*)?(?P<rest>(?:[.#][\w-]+|\[[\w-]+(?:=[\"']?[\w-]+[\"']?)?\])*)")
_PART = re.compile(r"([.#])([\w-]+)|\[([\w-]+)(?:=[\"']?([\w-]+)[\"']?)?\]")
_NO_SCRIPT = re.compile(r"\bno-?js\b", re.IGNORECASE)  # such rules hold until the page's script has run
_MAX_RULES_PER_KEY = 200  # for one class, id or tag; each is compared with every such element
_MAX_STYLE_CHARS = 5_000_000


@dataclass(frozen=True, kw_only=True)
class _Compound:
    """A selector of one element, such as `div.note[hidden]`."""

    tag: str
    id: str
    classes: frozenset[str]
    attributes: tuple[tuple[str, str], ...]

    def matches(self, element: Any) -> bool:
        """Return True if an element has all that the selector names."""
        return (
            (not self.tag or element.tag == self.tag)
            and (not self.id or element.get("id") == self.id)
            and (not self.classes or self.classes <= set((element.get("class") or "").split()))
            and all(
                element.get(name) is not None if not value else element.get(name) == value
                for name, value in self.attributes
            )
        )


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """A rule for elements that match the last compound and have ancestors that match the others, in order."""

    compounds: tuple[_Compound, ...]
    values: Mapping[str, tuple[bool, str]]  # by property: whether it is important, and its value
    specificity: tuple[int, int, int]
    number: int

    def matches(self, element: Any) -> bool:
        """Return True if the rule is about an element."""
        if not self.compounds[-1].matches(element):
            return False
        remaining = list(self.compounds[:-1])
        for ancestor in element.iterancestors() if remaining else ():
            if remaining[-1].matches(ancestor):
                remaining.pop()
                if not remaining:
                    break
        return not remaining


class Stylesheet:
    """The rules of a page.

    Args:
        styles: The texts of its `<style>` elements.
    """

    def __init__(self, styles: Iterable[str]) -> None:
        self._rules: dict[str, list[_Rule]] = {}
        text = "\n".join(styles)
        number = 0
        if len(text) <= _MAX_STYLE_CHARS:
            for selector, body in _iterate_rules(_COMMENT.sub(" ", text)):
                values = _parse_declarations(body)
                for part in selector.split(",") if values else ():
                    number += 1
                    if rule := _parse_rule(part, values, number):
                        rules = self._rules.setdefault(_get_key(rule.compounds[-1]), [])
                        if len(rules) < _MAX_RULES_PER_KEY:
                            rules.append(rule)

    def compute(self, element: Any) -> dict[str, str]:
        """Return the properties that decide what an element shows, in lower case."""
        rules = [rule for key in _list_keys(element) for rule in self._rules.get(key, ()) if rule.matches(element)]
        inline = element.get("style")
        if not rules and not inline:
            return {}
        winners: dict[str, tuple[tuple[Any, ...], str]] = {}
        for rule in rules:
            for name, (is_important, value) in rule.values.items():
                _put_stronger(winners, name, (is_important, False, rule.specificity, rule.number), value)
        for name, (is_important, value) in _parse_declarations(inline).items() if inline else ():
            _put_stronger(winners, name, (is_important, True, (0, 0, 0), 0), value)
        return {name: value for name, (_, value) in winners.items()}


def parse_style_attribute(style: str) -> dict[str, str]:
    """Return all declarations of a `style` attribute, in lower case."""
    return {
        name.lower(): value.lower().removesuffix("!important").strip() for name, value in _DECLARATION.findall(style)
    }


def _put_stronger(
    winners: dict[str, tuple[tuple[Any, ...], str]], name: str, strength: tuple[Any, ...], value: str
) -> None:
    if name not in winners or strength >= winners[name][0]:
        winners[name] = (strength, value)


def _iterate_rules(text: str) -> Iterator[tuple[str, str]]:
    """Yield selectors and bodies, of at-rules only those in `@media screen`, `@supports` and `@layer`."""
    start, open_blocks = 0, [True]  # whether each open block applies
    selector = ""
    for brace in _BRACE.finditer(text):
        between = text[start : brace.start()].strip()
        start = brace.end()
        if brace[0] == "{":
            selector = between.rpartition(";")[2].strip()
            is_group = selector.startswith("@")
            open_blocks.append(open_blocks[-1] and (not is_group or bool(_APPLIED_AT_RULE.match(selector))))
        elif len(open_blocks) > 1:
            applies = open_blocks.pop()
            if applies and selector and not selector.startswith("@"):
                yield selector, between
            selector = ""


def _parse_declarations(body: str) -> dict[str, tuple[bool, str]]:
    values = {}
    for name, value in _DECLARATION.findall(body):
        if name.lower() in _PROPERTIES:
            text = value.strip().lower()
            is_important = text.endswith("!important")
            values[name.lower()] = (is_important, text.removesuffix("!important").strip())
    return values


def _parse_rule(selector: str, values: Mapping[str, tuple[bool, str]], number: int) -> _Rule | None:
    if _NO_SCRIPT.search(selector) or len(selector) > 1000:
        return None
    compounds = []
    for part in selector.replace(">", " ").split():
        match = _COMPOUND.fullmatch(part)
        if match is None:  # a pseudo-class, sibling or other selector that is not known here
            return None
        compounds.append(_parse_compound(match))
    if not compounds:
        return None
    specificity = (
        sum(bool(compound.id) for compound in compounds),
        sum(len(compound.classes) + len(compound.attributes) for compound in compounds),
        sum(bool(compound.tag) for compound in compounds),
    )
    return _Rule(compounds=tuple(compounds), values=values, specificity=specificity, number=number)


def _parse_compound(match: re.Match[str]) -> _Compound:
    tag = (match["tag"] or "").lower()
    parts = _PART.findall(match["rest"])
    return _Compound(
        tag="" if tag == "*" else tag,
        id=next((name for mark, name, _, _ in parts if mark == "#"), ""),
        classes=frozenset(name for mark, name, _, _ in parts if mark == "."),
        attributes=tuple((attribute.lower(), value) for _, _, attribute, value in parts if attribute),
    )


def _get_key(compound: _Compound) -> str:
    if compound.id:
        return f"#{compound.id}"
    return f".{min(compound.classes)}" if compound.classes else compound.tag or "*"


def _list_keys(element: Any) -> list[str]:
    return [
        "*",
        element.tag,
        f"#{element.get('id')}",
        *(f".{name}" for name in (element.get("class") or "").split()),
    ]
