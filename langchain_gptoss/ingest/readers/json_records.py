"""Reader of JSON and JSON lines: one line "path.to.key: value" per value, one paragraph per record."""

import json
from collections.abc import Iterator
from typing import Any

from langchain_gptoss.ingest.readers.base import ExtractedText, SizeLimitError, UnreadableFileError
from langchain_gptoss.ingest.readers.budget import SizeBudget, create_text_budget
from langchain_gptoss.ingest.readers.decoder import DecodedText, decode_text

_PARAGRAPH_BREAK = "\n\n"
_SHOWN_LINES = 10  # line numbers that a warning names


def read_json(data: bytes, max_bytes: int) -> ExtractedText:
    """Read a JSON document; the items of a top-level list become paragraphs."""
    decoded = decode_text(data)
    try:
        paragraphs = _format_document(decoded.text, create_text_budget(data, max_bytes))
    except SizeLimitError:
        raise
    except UnreadableFileError:
        # JSON lines are often named .json.
        paragraphs, broken = _format_json_lines(decoded.text, create_text_budget(data, max_bytes))
        if broken or len(paragraphs) < 2:
            raise
    return _create_extracted(paragraphs, decoded)


def read_jsonl(data: bytes, max_bytes: int) -> ExtractedText:
    """Read JSON lines; each line becomes a paragraph. Broken lines are named and left out."""
    lines_with_nul: list[int] = []
    try:
        decoded = decode_text(data)
    except UnreadableFileError:
        # A program that was killed while it wrote may leave NUL bytes.
        lines = data.split(b"\n")
        lines_with_nul = [number for number, line in enumerate(lines, 1) if b"\0" in line]
        if not lines_with_nul:
            raise
        decoded = decode_text(b"\n".join(b"" if b"\0" in line else line for line in lines))
    paragraphs, broken = _format_json_lines(decoded.text, create_text_budget(data, max_bytes))
    errors = {**dict.fromkeys(lines_with_nul, "it contains NUL bytes"), **broken}
    if not errors:
        return _create_extracted(paragraphs, decoded)
    try:
        # one document on several lines
        return _create_extracted(_format_document(decoded.text, create_text_budget(data, max_bytes)), decoded)
    except SizeLimitError:
        raise
    except UnreadableFileError as error:
        if not decoded.text.strip():
            raise
        if not any(paragraphs):
            first = min(errors)
            raise UnreadableFileError(
                f"none of its lines is valid JSON (line {first}: {errors[first]}); correct it or export it again"
            ) from error
    return _create_extracted(paragraphs, decoded, _describe_broken_lines(errors))


def _create_extracted(paragraphs: list[str], decoded: DecodedText, *warnings: str) -> ExtractedText:
    return ExtractedText(
        [_PARAGRAPH_BREAK.join(filter(None, paragraphs))],
        metadata=decoded.metadata,
        warnings=(*decoded.warnings, *warnings),
    )


def _describe_broken_lines(errors: dict[int, str]) -> str:
    numbers = sorted(errors)
    shown = ", ".join(map(str, numbers[:_SHOWN_LINES])) + (
        f" and {len(numbers) - _SHOWN_LINES} more" if len(numbers) > _SHOWN_LINES else ""
    )
    noun, verb = ("line", "is") if len(numbers) == 1 else ("lines", "are")
    return f"{noun} {shown} {verb} not valid JSON ({errors[numbers[0]]}) and {verb} left out"


def _format_json_lines(text: str, budget: SizeBudget) -> tuple[list[str], dict[int, str]]:
    """Return the paragraphs of the valid lines, and the errors of the others by line number."""
    paragraphs: list[str] = []
    errors: dict[int, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            paragraphs.append(_format_record(json.loads(line), budget))
        except RecursionError:
            errors[number] = "more than 1,000 levels"
        except ValueError as error:
            errors[number] = str(error)
    return paragraphs, errors


def _format_document(text: str, budget: SizeBudget) -> list[str]:
    if not text.strip():
        raise UnreadableFileError("it is empty")
    try:
        value = json.loads(text)
        return [_format_record(item, budget) for item in (value if isinstance(value, list) else [value])]
    except RecursionError:
        raise UnreadableFileError("its JSON is nested too deeply (more than 1,000 levels)") from None
    except ValueError as error:
        raise UnreadableFileError(f"it is not valid JSON ({error}); correct it or export it again") from None


def _format_record(value: Any, budget: SizeBudget) -> str:
    return "\n".join(_format_lines("", value, budget))


def _format_lines(name: str, value: Any, budget: SizeBudget) -> Iterator[str]:
    """Yield "path.to.key: value" for each value that is not empty. Each path counts toward the budget."""
    budget.charge(len(name))
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _format_lines(f"{name}.{key}" if name else str(key), item, budget)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for number, item in enumerate(value, 1):
            yield from _format_lines(f"{name}[{number}]", item, budget)
    else:
        text = ", ".join(map(_format_scalar, value)) if isinstance(value, list) else _format_scalar(value)
        if text.strip():
            yield f"{name}: {text}" if name else text


def _format_scalar(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)
