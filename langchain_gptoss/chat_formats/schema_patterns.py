"""Regular expressions of JSON schemas, in the dialect that a grammar can follow.

llguidance's automata know no assertions other than `^` and `$`. Without its assertions, a pattern matches all that it
matched before, and perhaps more.
"""

import re
from collections.abc import Mapping

_ASSERTION_STARTS = ("(?=", "(?!", "(?<=", "(?<!")
_QUANTIFIER = re.compile(r"(?:[*+?]|\{\d*,?\d*\})[?+]?")

_DATE = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:\.\d+)?)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?"
_NUMBER = r"\d+(?:[.,]\d+)?"

# llguidance's own patterns of these formats forbid some valid values, or values that Pydantic writes: times without a
# zone, fractions in durations, IPv4 addresses within IPv6, quoted or international mail addresses.
FORMAT_PATTERNS: Mapping[str, str] = {
    "date": rf"^{_DATE}$",
    "time": rf"^{_TIME}$",
    "date-time": rf"^{_DATE}[Tt ]{_TIME}$",
    "duration": rf"^[+-]?P(?:{_NUMBER}[YMWD]){{0,4}}(?:T(?:{_NUMBER}[HMS]){{1,3}})?$",
    "ipv6": r"^[0-9A-Fa-f:.]{2,45}(?:%[0-9A-Za-z._~-]+)?$",
    "email": r'^(?:[^\s@"]+|"[^"]*")@[^\s@]+$',
    "idn-email": r'^(?:[^\s@"]+|"[^"]*")@[^\s@]+$',
}
# llguidance's patterns of these formats are those of the standards.
NATIVE_FORMATS = frozenset({"ipv4", "uuid", "hostname", "uri"})


def remove_assertions(pattern: str) -> str:
    r"""Return a pattern without lookarounds, `\b` and `\B`."""
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        if pattern.startswith(_ASSERTION_STARTS, position):
            position = _skip_quantifier(pattern, _find_group_end(pattern, position))
        elif pattern.startswith((r"\b", r"\B"), position):
            position = _skip_quantifier(pattern, position + 2)
        else:
            end = _find_item_end(pattern, position)
            parts.append(pattern[position:end])
            position = end
    return "".join(parts)


def _find_item_end(pattern: str, position: int) -> int:
    """Return the end of the escape, the character class, or the character at a position."""
    if pattern[position] == "\\":
        return min(position + 2, len(pattern))
    if pattern[position] != "[":
        return position + 1
    position += 1
    while position < len(pattern) and pattern[position] != "]":
        position += 2 if pattern[position] == "\\" else 1
    return min(position + 1, len(pattern))


def _find_group_end(pattern: str, position: int) -> int:
    depth = 0
    while position < len(pattern):
        depth += {"(": 1, ")": -1}.get(pattern[position], 0)
        position = _find_item_end(pattern, position)
        if depth == 0:
            break
    return position


def _skip_quantifier(pattern: str, position: int) -> int:
    match = _QUANTIFIER.match(pattern, position)
    return match.end() if match else position
