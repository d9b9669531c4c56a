"""CSV, JSON, JSON lines and e-mail as text.

A row becomes "column: value; column: value": cut off from the top of its table, a row of bare values says nothing.
"""

import csv
import email
import email.policy
import io
import json
from collections.abc import Iterable, Iterator
from email.message import EmailMessage
from typing import Any

from langchain_gptoss.ingest.readers.formats import Extract, UnusableError, decoded, markdown_of

_DELIMITERS = (",", ";", "\t", "|")
_HEADERS = ("Subject", "From", "To", "Cc", "Date")


def read_csv(data: bytes, limit: int) -> Extract:
    """Returns a table, one list item a row."""
    text = decoded(data)
    try:
        rows = [[" ".join(cell.split()) for cell in row] for row in csv.reader(io.StringIO(text), _dialect(text))]
    except csv.Error as error:
        raise UnusableError(f"it is not readable CSV ({error}); export it again") from None
    return Extract([rows_as_text(rows)])


def _dialect(text: str) -> type[csv.Dialect]:
    # csv.Sniffer takes quadratic time on some input, and takes letters for delimiters.
    first = next((line for line in text.splitlines() if line.strip()), "")
    best = max(_DELIMITERS, key=lambda delimiter: len(next(csv.reader([first], delimiter=delimiter), [])))

    class Found(csv.excel):
        delimiter = best

    return Found


def rows_as_text(rows: Iterable[list[str]]) -> str:
    """Returns a table as list items, each row with the names of its columns where the first row has names."""
    kept = [row for row in rows if any(row)]
    if not kept:
        return ""
    names = kept[0] if len(kept) > 1 and _are_names(kept[0]) else None
    if names is None:
        return "\n".join(f"- {'; '.join(filter(None, row))}" for row in kept)
    return "\n".join(f"- {'; '.join(_named(names, row))}" for row in kept[1:])


def _are_names(row: list[str]) -> bool:
    names = [name for name in row if name]
    return len(set(names)) == len(names) and not any(_is_number(name) for name in names)


def _is_number(text: str) -> bool:
    return not text.strip("0123456789.,-+%/: ")


def _named(names: list[str], row: list[str]) -> Iterator[str]:
    for column, value in enumerate(row):
        if value:
            name = names[column] if column < len(names) else ""
            yield f"{name}: {value}" if name else value


def read_json(data: bytes, limit: int) -> Extract:
    """Returns a JSON document, one line for each value; the members of a list at the top are paragraphs."""
    value = _parsed(decoded(data), "")
    return Extract([_paragraphs(value if isinstance(value, list) else [value])])


def read_jsonl(data: bytes, limit: int) -> Extract:
    """Returns JSON lines, a paragraph each."""
    lines = enumerate(decoded(data).split("\n"), 1)
    return Extract([_paragraphs(_parsed(line, f"line {number}: ") for number, line in lines if line.strip())])


def _parsed(text: str, where: str) -> Any:
    if not text.strip():
        raise UnusableError("it is empty")
    try:
        return json.loads(text)
    except RecursionError:
        raise UnusableError(f"its JSON is nested too deeply ({where}more than 1,000 levels)") from None
    except ValueError as error:
        raise UnusableError(f"it is not valid JSON ({where}{error}); mend or export it again") from None


def _paragraphs(values: Iterable[Any]) -> str:
    try:
        paragraphs = ["\n".join(_lines("", value)) for value in values]
    except RecursionError:
        raise UnusableError("its JSON is nested too deeply") from None
    return "\n\n".join(filter(None, paragraphs))


def _lines(name: str, value: Any) -> Iterator[str]:
    """Yields "path.to.key: value" for each value that says something."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _lines(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        for number, inner in enumerate(value, 1):
            yield from _lines(f"{name}[{number}]", inner)
    else:
        text = ", ".join(map(_scalar, value)) if isinstance(value, list) else _scalar(value)
        if text.strip():
            yield f"{name}: {text}" if name else text


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def read_eml(data: bytes, limit: int) -> Extract:
    """Returns an e-mail: subject, sender, receivers and date, its text, and the names of what is attached."""
    try:
        message = email.message_from_bytes(data, _class=EmailMessage, policy=email.policy.default)
        headers = [f"{name}: {value}" for name in _HEADERS if (value := _header(message, name))]
        body, attached = _body(message), _attached(message)
    except UnusableError:
        raise
    except Exception as error:  # the parser's policies raise errors of several kinds on malformed headers
        raise UnusableError(f"it is not a readable e-mail ({error}); save it again as .eml") from error
    if not headers:
        raise UnusableError("it is not an e-mail: it has no headers" if data.strip() else "it is empty")
    if attached:
        headers.append(f"Attachments: {', '.join(attached)}")
    return Extract(["\n\n".join(filter(None, ["\n".join(headers), body]))], _header(message, "Subject"))


def _header(message: EmailMessage, name: str) -> str:
    return " ".join(str(message.get(name, "")).split())


def _body(message: EmailMessage) -> str:
    part: Any = message.get_body(("plain", "html"))
    if part is None:
        return ""
    try:
        text = str(part.get_content())
    except (LookupError, ValueError):  # a character set that Python does not know
        text = part.get_payload(decode=True).decode("utf-8", "replace")
    text = text.replace("\r\n", "\n")
    return (markdown_of(text) if part.get_content_subtype() == "html" else text).strip()


def _attached(message: EmailMessage) -> list[str]:
    return [part.get_filename() or part.get_content_type() for part in message.iter_attachments()]
