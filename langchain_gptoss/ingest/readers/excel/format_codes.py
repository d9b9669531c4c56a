"""Parser of number formats, such as `#,##0.00 "€";[Red]-#,##0.00 "€"` (ECMA-376 part 1, 18.8.30 and 18.8.31)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from operator import eq, ge, gt, le, lt, ne
from typing import Literal

TokenKind = Literal[
    "literal", "digit", "point", "comma", "percent", "exponent", "slash", "date", "elapsed", "text", "general"
]

_TOKEN = re.compile(
    r"""(?P<quoted>"[^"]*"?)|\\(?P<escaped>.)|(?P<blank>_.)|(?P<fill>\*.)|\[(?P<bracket>[^\]]*)\]"""
    r"""|(?P<general>General|Standard)|(?P<ampm>AM/PM|A/P)|(?P<exponent>E[+-])"""
    r"""|(?P<date>y+|m+|d+|h+|s+|e+|b+|g+)|(?P<digit>[0#?])|(?P<point>\.)|(?P<comma>,)|(?P<percent>%)|(?P<slash>/)"""
    r"""|(?P<text>@)|(?P<other>.)""",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?\d+(?:\.\d+)?)")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge, "=": eq, "<>": ne}
_CURRENCY = re.compile(r"\$([^-]*)(?:-([0-9A-Fa-f]+))?")
_ELAPSED = re.compile(r"h+|m+|s+", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Token:
    """A part of a format.

    Attributes:
        kind: Its kind.
        text: Its text, in lower case for dates.
    """

    kind: TokenKind
    text: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """The format for one range of values.

    Attributes:
        tokens: Its parts.
        locale: Windows language code of its currency or date names, 0 if it has none.
        operator: Operator of its condition, "" if it has none.
        operand: The number that the condition compares with.
    """

    tokens: tuple[Token, ...]
    locale: int = 0
    operator: str = ""
    operand: float = 0.0

    @property
    def is_date(self) -> bool:
        """True if it formats a date, a time or a duration."""
        return any(token.kind in ("date", "elapsed") for token in self.tokens)

    @property
    def is_text(self) -> bool:
        """True if it formats texts."""
        return any(token.kind == "text" for token in self.tokens)

    @property
    def literal(self) -> str:
        """Its literal text."""
        return "".join(token.text for token in self.tokens if token.kind == "literal")

    def is_met(self, value: float) -> bool:
        """Return True if a value meets the condition."""
        return _OPERATORS[self.operator](value, self.operand)


@lru_cache(maxsize=1000)
def parse_format(code: str) -> tuple[Section, ...]:
    """Return the sections of a number format."""
    return tuple(_parse_section(part) for part in _split_sections(code))


def _split_sections(code: str) -> list[str]:
    parts = [""]
    for match in _TOKEN.finditer(code):
        if match["other"] == ";":
            parts.append("")
        else:
            parts[-1] += match[0]
    return parts


def _parse_section(code: str) -> Section:
    tokens: list[Token] = []
    locale, operator, operand = 0, "", 0.0
    for match in _TOKEN.finditer(code):
        kind = match.lastgroup or "other"
        if kind == "bracket":
            content = match["bracket"]
            if currency := _CURRENCY.fullmatch(content):
                locale = int(currency[2] or "0", 16) & 0xFFFF
                tokens.append(Token(kind="literal", text=currency[1]))
            elif condition := _CONDITION.fullmatch(content):
                operator, operand = condition[1], float(condition[2])
            elif _ELAPSED.fullmatch(content):
                tokens.append(Token(kind="elapsed", text=content.lower()))
        else:
            tokens.append(_create_token(kind, match))
    return Section(tokens=tuple(tokens), locale=locale, operator=operator, operand=operand)


def _create_token(kind: str, match: re.Match[str]) -> Token:
    text = match[0]
    if kind == "quoted":
        return Token(kind="literal", text=text.strip('"'))
    if kind == "escaped":
        return Token(kind="literal", text=match["escaped"])
    if kind in ("blank", "fill"):
        return Token(kind="literal", text=" " if kind == "blank" else "")
    if kind in ("date", "ampm"):
        return Token(kind="date", text=text.lower())
    if kind == "exponent":
        return Token(kind="exponent", text=text.upper())
    kinds: dict[str, TokenKind] = {
        "general": "general", "digit": "digit", "point": "point", "comma": "comma",
        "percent": "percent", "slash": "slash", "text": "text",
    }  # fmt: skip
    return Token(kind=kinds.get(kind, "literal"), text=text)
