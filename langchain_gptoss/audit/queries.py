"""Finds records in a log, and puts an answer's history into words."""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from langchain_gptoss.audit import files
from langchain_gptoss.audit.line_format import Entry, Seal, Unreadable, load_key, parse
from langchain_gptoss.audit.verification import read_entries
from langchain_gptoss.errors import InvalidInputError

_SHORTEST_ID = 6


def find(path: str | Path, which: str) -> Entry:
    """Returns a record by its place, its id, or the first digits of its id.

    Raises:
        InvalidInputError: There is no log, no such record, or several.
    """
    wanted = which.strip().lower()
    place = int(wanted) if wanted.isdecimal() and len(wanted) < 16 else None
    by_name = re.fullmatch(rf"[0-9a-z_-]{{{_SHORTEST_ID},}}", wanted) is not None
    if place is None and not by_name:
        raise InvalidInputError(f"{which!r} is neither a record's number nor an id (or its first 6 digits or more).")
    found: list[Entry] = []
    for entry in read_entries(path):
        name = str(entry.record.get("id", "")).lower()
        if entry.seq == place or name == wanted:
            return entry
        if by_name and name.startswith(wanted):
            found.append(entry)
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} records have ids that start with" if found else "No record has the number or id"
    raise InvalidInputError(f"{what} {which!r} in {str(path)!r}. `gptoss audit list` shows them.")


def last(path: str | Path, count: int) -> list[Entry]:
    """Returns the last records that can be read, the oldest first.

    Raises:
        InvalidInputError: There is no log.
    """
    log = Path(path)
    if not log.exists():
        return list(read_entries(log))  # which says so
    found: deque[Entry] = deque()
    for _, line in files.lines_backwards(log):
        if len(found) >= count:
            break
        try:
            found.appendleft(parse(line))
        except Unreadable:
            continue
    return list(found)


def own_hash(entry: Entry, *, key: bytes | Path | None = None, keyed: bool = False) -> bool | None:
    """Returns whether a line is what was hashed; None where that needs a key and there is none.

    Args:
        entry: The line.
        key: The log's key; else the environment variable `GPTOSS_AUDIT_KEY`.
        keyed: Whether the log has one.
    """
    seal = Seal(load_key(key) if keyed else None)
    return None if keyed and seal.key is None else seal.hash(entry.body) == entry.hash


def is_keyed(path: str | Path) -> bool:
    """Returns whether a log says that its lines are hashed with a key."""
    first = next(read_entries(path), None)
    return first is not None and first.record.get("algorithm", "sha256") != "sha256"


def summary(entry: Entry) -> str:
    """Returns a record in one line."""
    record = entry.record
    event = str(record.get("event", "?"))
    if event != "answer":
        more = ", ".join(f"{key} {value}" for key, value in record.items() if key in {"count", "what", "through"})
        return f"{entry.seq:>6}  {entry.time[:19]}  {event}" + (f" ({more})" if more else "")
    mark = "declined" if record.get("abstained") else "answered"
    return f"{entry.seq:>6}  {entry.time[:19]}  {record.get('id')}  {mark}  {_short(record.get('question'), 60)}"


def history(entry: Entry) -> Iterator[str]:
    """Yields the lines that tell how an answer came about."""
    record = entry.record
    yield f"Record {entry.seq}, {entry.time}, {record.get('event')} {record.get('id', '')}".rstrip()
    if record.get("event") != "answer":
        yield from _pairs({key: value for key, value in record.items() if key not in {"event", "id"}})
        return
    yield from _pairs({key: record.get(key) for key in ("user", "session", "domain")})
    yield f"Question: {record.get('question', '')}"
    if record.get("standalone_question"):
        yield f"Searched for: {record['standalone_question']}"
    passages = record.get("passages") or []
    yield f"Passages: {len(passages)}"
    for number, passage in enumerate(passages, start=1):
        yield f"  [{number}] {_place(passage)}"
        yield f"      sha256 {passage.get('sha256')}"
    yield f"Prompt version: {record.get('prompt_version') or '-'}"
    model = record.get("model") or {}
    yield f"Model: {model.get('line') or model.get('id') or '-'}"
    yield from _pairs({key: value for key, value in model.items() if key != "line"}, indent="  ")
    yield from _pairs(record.get("sampling") or {}, indent="  sampling ")
    if record.get("reasoning"):
        yield f"Reasoning: {record['reasoning']}"
    yield f"{'Declined' if record.get('abstained') else 'Answer'}: {record.get('answer', '')}"
    if record.get("reason"):
        yield f"Why: {record['reason']}"
    yield from _citations(record)
    yield from _pairs({key: record.get(key) for key in ("usage", "timings")})


def _citations(record: Mapping[str, Any]) -> Iterator[str]:
    for citation in record.get("citations") or []:
        yield f"  [{citation.get('number', '?')}] {citation.get('verdict', '')}: {_place(citation)}"
        if citation.get("quote"):
            yield f"      “{citation['quote']}”"
    for sentence in record.get("unsupported") or []:
        yield f"  unsupported: {sentence}"
    for finding in record.get("guard") or []:
        yield f"  guard: {', '.join(f'{key} {value}' for key, value in finding.items())}"


def _place(where: Mapping[str, Any]) -> str:
    page = f", page {where['page']}" if where.get("page") is not None else ""
    span = f", characters {where['start']} to {where['end']}" if where.get("end") is not None else ""
    heading = f" · {where['heading']}" if where.get("heading") else ""
    return f"{where.get('source', '?')}{page}{heading}{span}"


def _pairs(values: Mapping[str, Any], *, indent: str = "") -> Iterator[str]:
    for key, value in values.items():
        if value not in (None, "", {}, []):
            yield f"{indent}{key.replace('_', ' ') if indent else key.replace('_', ' ').capitalize()}: {value}"


def _short(text: object, length: int) -> str:
    line = " ".join(str(text or "").split())
    return line if len(line) <= length else line[: length - 1] + "…"
