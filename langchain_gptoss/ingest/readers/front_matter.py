"""Front matter of Markdown files: the YAML or TOML block at the top, which is metadata and no text."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The opening fence is the first line of the file. YAML may also end with three points.
_YAML_FENCE = re.compile(r"---[ \t]*\r?\n")
_YAML_END = re.compile(r"^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.MULTILINE)
_TOML_FENCE = re.compile(r"\+\+\+[ \t]*\r?\n")
_TOML_END = re.compile(r"^\+\+\+[ \t]*(?:\r?\n|\Z)", re.MULTILINE)
_BLANK_LINES = re.compile(r"(?:[ \t]*\r?\n)*")
_INTEGER = re.compile(r"-?[1-9]\d{0,15}|0")
_MAX_TOML_CHARS = 10_000  # Python's parser takes time with the square of the parts of a dotted key
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class FrontMatter:
    """Front matter of a text.

    Attributes:
        values: Its simple values and lists of simple values, as JSON values.
        end: Offset in the text where the text proper begins; 0 if there is no front matter.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    end: int = 0


def parse_front_matter(text: str) -> FrontMatter:
    """Return the front matter of a Markdown text. A block that is no valid YAML or TOML mapping stays text."""
    for opening, ending, parse in ((_YAML_FENCE, _YAML_END, _parse_yaml), (_TOML_FENCE, _TOML_END, _parse_toml)):
        start = opening.match(text)
        end = ending.search(text, start.end()) if start else None
        if start is None or end is None:
            continue
        values = parse(text[start.end() : end.start()])
        if isinstance(values, dict):
            return FrontMatter(values=_keep_simple_values(values), end=_skip_blank_lines(text, end.end()))
    return FrontMatter()


def _skip_blank_lines(text: str, start: int) -> int:
    blank = _BLANK_LINES.match(text, start)
    return blank.end() if blank else start


def _parse_yaml(block: str) -> Any:
    import yaml  # takes 20 ms, which files without front matter need not pay

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        # The base loader leaves every value a text: YAML's own types turn 3.10 into 3.1, 12:30 into 750, no into false.
        values = yaml.load(block, Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    # A block without a value, such as comments alone, is front matter; a plain text between two rules is none.
    return {} if values in (None, "") else values


def _parse_toml(block: str) -> Any:
    if len(block) > _MAX_TOML_CHARS:
        return None
    try:
        return tomllib.loads(block.replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _keep_simple_values(values: Mapping[Any, Any]) -> dict[str, Any]:
    simple: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, list) and value and not any(isinstance(item, dict | list) for item in value):
            simple[str(name)] = [_convert_scalar(item) for item in value]
        elif not isinstance(value, dict | list) and value not in (None, ""):
            simple[str(name)] = _convert_scalar(value)
    return simple


def _convert_scalar(value: Any) -> Any:
    """Return a JSON value: a number or truth value only if it is written as JSON writes it, else the text."""
    if isinstance(value, bool | int | float):
        return value
    text = str(value).strip()
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    return int(text) if _INTEGER.fullmatch(text) else text
