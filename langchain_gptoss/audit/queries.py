"""Reading a log: entries, single records, and the history of an answer as text."""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from langchain_gptoss.audit import files
from langchain_gptoss.audit.line_format import Entry, Hasher, MalformedDataError, load_key, parse_line
from langchain_gptoss.errors import InvalidInputError

MIN_ID_DIGITS = 6


def read_entries(path: str | Path) -> Iterator[Entry]:
    """Yield the entries of a log, from the first line on, without verifying them. Malformed lines are skipped.

    Raises:
        InvalidInputError: There is no log.
    """
    log = Path(path)
    if not log.exists():
        raise InvalidInputError(f"There is no audit log at {str(log)!r}.", hint="Name the file that AuditLog writes.")
    yield from (entry for _, _, entry in files.scan_lines(log) if entry is not None)


def read_last_entries(path: str | Path, count: int) -> list[Entry]:
    """Return the last entries of a log, the oldest first. Malformed lines are skipped.

    Raises:
        InvalidInputError: There is no log.
    """
    log = Path(path)
    if not log.exists():
        return list(read_entries(log))  # raises the error
    entries: deque[Entry] = deque()
    for _, line in files.read_lines_backwards(log):
        if len(entries) >= count:
            break
        try:
            entries.appendleft(parse_line(line))
        except MalformedDataError:
            continue
    return list(entries)


def find_entry(path: str | Path, name: str) -> Entry:
    """Return the entry with a number, an id, or an id that starts with at least 6 given digits.

    Raises:
        InvalidInputError: There is no log, no such record, or more than one.
    """
    searched = name.strip().lower()
    seq = int(searched) if searched.isdecimal() and len(searched) < 16 else None
    is_id = re.fullmatch(rf"[0-9a-z_-]{{{MIN_ID_DIGITS},}}", searched) is not None
    if seq is None and not is_id:
        raise InvalidInputError(
            f"{name!r} is neither the number of a record nor an id.",
            hint=f"Give the number, the id, or at least the first {MIN_ID_DIGITS} digits of the id.",
        )
    matches: list[Entry] = []
    for entry in read_entries(path):
        id_ = str(entry.record.get("id", "")).lower()
        if entry.seq == seq or id_ == searched:
            return entry
        if is_id and id_.startswith(searched):
            matches.append(entry)
    if len(matches) == 1:
        return matches[0]
    problem = f"{len(matches)} records have ids that start with" if matches else "No record has the number or id"
    raise InvalidInputError(f"{problem} {name!r} in {str(path)!r}.", hint="`gptoss audit list` shows the records.")


def has_valid_hash(entry: Entry, *, key: bytes | Path | None = None, is_keyed: bool = False) -> bool | None:
    """Return True if an entry matches its hash; None if the check needs a key that is missing.

    Args:
        entry: The entry.
        key: The key of the log; None reads the environment variable `GPTOSS_AUDIT_KEY`.
        is_keyed: True if the log has a key.
    """
    hasher = Hasher(load_key(key) if is_keyed else None)
    return None if is_keyed and hasher.key is None else hasher.hash_line(entry.body) == entry.hash


def has_key(path: str | Path) -> bool:
    """Return True if the first line of a log names a key."""
    first = next(read_entries(path), None)
    return first is not None and first.record.get("algorithm", "sha256") != "sha256"


def summarize_entry(entry: Entry) -> str:
    """Return an entry in one line."""
    record = entry.record
    event = str(record.get("event", "?"))
    if event != "answer":
        details = ", ".join(f"{key} {value}" for key, value in record.items() if key in {"count", "what", "through"})
        return f"{entry.seq:>6}  {entry.time[:19]}  {event}" + (f" ({details})" if details else "")
    state = "declined" if record.get("abstained") else "answered"
    if record.get("status", "complete") != "complete":
        state = str(record["status"])
    return f"{entry.seq:>6}  {entry.time[:19]}  {record.get('id')}  {state}  {_shorten(record.get('question'), 60)}"


def describe_entry(entry: Entry) -> Iterator[str]:
    """Yield the lines of a text that explains how an answer was produced."""
    record = entry.record
    yield f"Record {entry.seq}, {entry.time}, {record.get('event')} {record.get('id', '')}".rstrip()
    if record.get("event") != "answer":
        yield from _format_pairs({key: value for key, value in record.items() if key not in {"event", "id"}})
        return
    yield from _format_pairs({key: record.get(key) for key in ("user", "session", "domain")})
    yield f"Question: {record.get('question', '')}"
    if record.get("standalone_question"):
        yield f"Searched for: {record['standalone_question']}"
    passages = record.get("passages") or []
    yield f"Passages: {len(passages)}"
    for number, passage in enumerate(passages, start=1):
        yield f"  [{number}] {_format_place(passage)}"
        yield f"      sha256 {passage.get('sha256')}"
    yield f"Prompt version: {record.get('prompt_version') or '-'}"
    model = record.get("model") or {}
    yield f"Model: {model.get('line') or model.get('id') or '-'}"
    yield from _format_pairs({key: value for key, value in model.items() if key != "line"}, indent="  ")
    yield from _format_pairs(record.get("sampling") or {}, indent="  sampling ")
    if record.get("reasoning"):
        yield f"Reasoning: {record['reasoning']}"
    yield f"{'Declined' if record.get('abstained') else 'Answer'}: {record.get('answer', '')}"
    if record.get("status", "complete") != "complete":
        yield f"Status: {record['status']}; the answer is the part that may have been read"
    if record.get("reason"):
        yield f"Reason: {record['reason']}"
    yield from _describe_checks(record)
    yield from _format_pairs({key: record.get(key) for key in ("usage", "timings")})


def _describe_checks(record: Mapping[str, Any]) -> Iterator[str]:
    for citation in record.get("citations") or []:
        yield f"  [{citation.get('number', '?')}] {citation.get('verdict', '')}: {_format_place(citation)}"
        if citation.get("quote"):
            yield f"      “{citation['quote']}”"
    for sentence in record.get("unsupported") or []:
        yield f"  unsupported: {sentence}"
    for finding in record.get("guard") or []:
        yield f"  guard: {', '.join(f'{key} {value}' for key, value in finding.items())}"


def _format_place(values: Mapping[str, Any]) -> str:
    page = f", page {values['page']}" if values.get("page") is not None else ""
    span = f", characters {values['start']} to {values['end']}" if values.get("end") is not None else ""
    heading = f" · {values['heading']}" if values.get("heading") else ""
    return f"{values.get('source', '?')}{page}{heading}{span}"


def _format_pairs(values: Mapping[str, Any], *, indent: str = "") -> Iterator[str]:
    for key, value in values.items():
        if value not in (None, "", {}, []):
            label = key.replace("_", " ")
            yield f"{indent}{label if indent else label.capitalize()}: {value}"


def _shorten(text: object, length: int) -> str:
    line = " ".join(str(text or "").split())
    return line if len(line) <= length else line[: length - 1] + "…"
