"""Reader of JSON and JSON lines: one line "path.to.key: value" per value, one paragraph per record."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from langchain_gptoss.ingest.readers.base import ExtractedText, UnreadableFileError
from langchain_gptoss.ingest.readers.text import decode_text


def read_json(data: bytes, max_bytes: int) -> ExtractedText:
    """Read a JSON document; the items of a top-level list become paragraphs."""
    value = _parse_json(decode_text(data))
    return ExtractedText([_format_records(value if isinstance(value, list) else [value])])


def read_jsonl(data: bytes, max_bytes: int) -> ExtractedText:
    """Read JSON lines; each line becomes a paragraph."""
    lines = enumerate(decode_text(data).split("\n"), 1)
    values = (_parse_json(line, place=f"line {number}: ") for number, line in lines if line.strip())
    return ExtractedText([_format_records(values)])


def _parse_json(text: str, *, place: str = "") -> Any:
    if not text.strip():
        raise UnreadableFileError("it is empty")
    try:
        return json.loads(text)
    except RecursionError:
        raise UnreadableFileError(f"its JSON is nested too deeply ({place}more than 1,000 levels)") from None
    except ValueError as error:
        raise UnreadableFileError(f"it is not valid JSON ({place}{error}); correct it or export it again") from None


def _format_records(values: Iterable[Any]) -> str:
    try:
        paragraphs = ["\n".join(_format_lines("", value)) for value in values]
    except RecursionError:
        raise UnreadableFileError("its JSON is nested too deeply") from None
    return "\n\n".join(filter(None, paragraphs))


def _format_lines(name: str, value: Any) -> Iterator[str]:
    """Yield "path.to.key: value" for each value that is not empty."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _format_lines(f"{name}.{key}" if name else str(key), item)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for number, item in enumerate(value, 1):
            yield from _format_lines(f"{name}[{number}]", item)
    else:
        text = ", ".join(map(_format_scalar, value)) if isinstance(value, list) else _format_scalar(value)
        if text.strip():
            yield f"{name}: {text}" if name else text


def _format_scalar(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)
