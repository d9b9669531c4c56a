"""`gptoss audit`: verify, show, list and prune a log of answers."""

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_gptoss.cli.console import clean_exit, note, show, show_json
from langchain_gptoss.text.terminal import clean_line

if TYPE_CHECKING:
    from langchain_gptoss.audit.line_format import Entry

audit_app = typer.Typer(
    name="audit", help="Check and read a log of answers.", no_args_is_help=True, pretty_exceptions_enable=False
)

MAX_PRINTED_PROBLEMS = 50
EXIT_ALTERED = 1
_AGE = re.compile(r"(\d{1,6})\s*([hdwy])")
_HOURS_BY_UNIT = {"h": 1, "d": 24, "w": 168, "y": 8_766}

Log = Annotated[Path, typer.Argument(help="The log, as given to AuditLog.")]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", help="File with the key of the log; without it GPTOSS_AUDIT_KEY is used.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Head = Annotated[str | None, typer.Option("--head", help="A head that was saved elsewhere, as SEQ:HASH.")]
Name = Annotated[str, typer.Argument(help="The record's number, its id, or the first digits of its id.")]
Count = Annotated[int, typer.Option("-n", "--last", help="Number of records.", min=1)]
Age = Annotated[str, typer.Option("--older-than", help="An age: 12h, 180d, 8w, 2y.")]
Reason = Annotated[str, typer.Option("--reason", help="The reason, for the record.")]


@audit_app.command("verify")
def verify_log(log: Log, *, key_file: KeyFile = None, head: Head = None, as_json: AsJson = False) -> None:
    """Check that no line was changed, removed, added or moved; exit status 1 if one was."""
    with clean_exit():
        from langchain_gptoss.audit.verification import verify

        result = verify(log, key=key_file, head=head)
        if as_json:
            values = {**result.__dict__, "problems": [problem.__dict__ for problem in result.problems]}
            show_json(values)
        else:
            for problem in result.problems[:MAX_PRINTED_PROBLEMS]:
                show(clean_line(str(problem)))
            if len(result.problems) > MAX_PRINTED_PROBLEMS:
                show(f"... and {len(result.problems) - MAX_PRINTED_PROBLEMS:,} more.")
            for text in result.notes:
                note(f"note: {text}")
            method = "hashed with a key" if result.is_keyed else "hashed without a key"
            state = "as written" if result.ok else "NOT as written"
            show(f"{result.records:,} records, {method}: {state}." + (f" Head {result.head}" if result.head else ""))
        if not result.ok:
            raise typer.Exit(EXIT_ALTERED)


@audit_app.command("show")
def show_record(log: Log, name: Name, *, key_file: KeyFile = None, as_json: AsJson = False) -> None:
    """Show how an answer was produced: question, passages, prompts, model, answer, citations."""
    with clean_exit():
        from langchain_gptoss.audit.queries import describe_entry, find_entry, has_key, has_valid_hash

        entry = find_entry(log, name)
        is_valid = has_valid_hash(entry, key=key_file, is_keyed=has_key(log))
        if as_json:
            show_json(_to_dict(entry) | {"hash_matches": is_valid})
        else:
            for line in describe_entry(entry):
                show(line.replace("\n", "\n    "))  # so that a text cannot look like another line of the record
            statements = {
                True: "matches the record",
                False: "DOES NOT MATCH the record",
                None: "not checked: this needs the key",
            }
            show(f"Hash: {entry.hash} ({statements[is_valid]})")
        if is_valid is False:
            note("The record is not what was written. `gptoss audit verify` checks the whole log.")
            raise typer.Exit(EXIT_ALTERED)


@audit_app.command("list")
def list_records(log: Log, *, count: Count = 20, as_json: AsJson = False) -> None:
    """List the last records."""
    with clean_exit():
        from langchain_gptoss.audit.queries import read_last_entries, summarize_entry

        entries = read_last_entries(log, count)
        if as_json:
            show_json([_to_dict(entry) for entry in entries])
            return
        for entry in entries:
            show(clean_line(summarize_entry(entry)))


@audit_app.command("prune")
def prune_log(log: Log, *, older_than: Age, key_file: KeyFile = None, reason: Reason = "retention") -> None:
    """Remove old records, and record the removal; the log can still be verified."""
    with clean_exit():
        from langchain_gptoss.audit.pruning import prune

        result = prune(log, older_than=_parse_age(older_than), key=key_file, reason=reason)
        show(f"Removed {result.removed:,} records; the log has {result.kept:,} lines.")


def _parse_age(text: str) -> timedelta:
    from langchain_gptoss.errors import InvalidInputError

    match = _AGE.fullmatch(text.strip().lower())
    if match is None:
        raise InvalidInputError(f"--older-than is {text!r}.", hint="Write a number and h, d, w or y, such as 180d.")
    return timedelta(hours=int(match[1]) * _HOURS_BY_UNIT[match[2]])


def _to_dict(entry: "Entry") -> dict[str, Any]:
    values = {"seq": entry.seq, "time": entry.time, "previous": entry.previous, "hash": entry.hash}
    return values | {"record": entry.record}
