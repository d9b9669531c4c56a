"""`gptoss audit`: checks, shows, lists and prunes a log of answers."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_gptoss.cli.console import clean_exit, note

if TYPE_CHECKING:
    from langchain_gptoss.audit.line_format import Entry

audit_app = typer.Typer(
    name="audit", help="Check and read a log of answers.", no_args_is_help=True, pretty_exceptions_enable=False
)

_SHOWN = 50  # problems; the rest is counted
_ALTERED = 1  # exit status
_AGE = re.compile(r"(\d{1,6})\s*([hdwy])")
_HOURS = {"h": 1, "d": 24, "w": 168, "y": 8_766}

Log = Annotated[Path, typer.Argument(help="The log, as given to AuditLog.")]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", help="Holds the log's key; else GPTOSS_AUDIT_KEY, if it has one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Head = Annotated[str | None, typer.Option("--head", help="A head that was kept elsewhere, SEQ:HASH.")]
Which = Annotated[str, typer.Argument(help="The record's number, its id, or the first digits of its id.")]
Count = Annotated[int, typer.Option("-n", "--last", help="How many.", min=1)]
Age = Annotated[str, typer.Option("--older-than", help="An age: 12h, 180d, 8w, 2y.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


@audit_app.command("verify")
def verify_log(log: Log, *, key_file: KeyFile = None, head: Head = None, as_json: AsJson = False) -> None:
    """Check that nothing was changed, removed, added or moved; exit status 1 if something was."""
    with clean_exit():
        from langchain_gptoss.audit.verification import verify

        found = verify(log, key=key_file, head=head)
        if as_json:
            values = {**found.__dict__, "problems": [problem.__dict__ for problem in found.problems]}
            typer.echo(json.dumps(values, ensure_ascii=False, indent=2))
        else:
            for problem in found.problems[:_SHOWN]:
                typer.echo(str(problem))
            if len(found.problems) > _SHOWN:
                typer.echo(f"... and {len(found.problems) - _SHOWN:,} more.")
            for told in found.notes:
                note(f"note: {told}")
            how = "hashed with a key" if found.keyed else "hashed without a key"
            state = "as written" if found.ok else "NOT as written"
            typer.echo(f"{found.records:,} records, {how}: {state}." + (f" Head {found.head}" if found.head else ""))
        if not found.ok:
            raise typer.Exit(_ALTERED)


@audit_app.command("show")
def show(log: Log, which: Which, *, key_file: KeyFile = None, as_json: AsJson = False) -> None:
    """Show how an answer came about: question, passages, prompts, model, answer, citations."""
    with clean_exit():
        from langchain_gptoss.audit.queries import find, history, is_keyed, own_hash

        entry = find(log, which)
        right = own_hash(entry, key=key_file, keyed=is_keyed(log))
        if as_json:
            typer.echo(json.dumps(_plain(entry) | {"hash_matches": right}, ensure_ascii=False, indent=2))
        else:
            for line in history(entry):
                typer.echo(line)
            said = {
                True: "matches the record",
                False: "DOES NOT MATCH the record",
                None: "not checked: it needs the key",
            }
            typer.echo(f"Hash: {entry.hash} ({said[right]})")
        if right is False:
            note("The record is not what was written. `gptoss audit verify` checks the whole log.")
            raise typer.Exit(_ALTERED)


@audit_app.command("list")
def list_records(log: Log, *, count: Count = 20, as_json: AsJson = False) -> None:
    """List the last records."""
    with clean_exit():
        from langchain_gptoss.audit.queries import last, summary

        found = last(log, count)
        if as_json:
            typer.echo(json.dumps([_plain(entry) for entry in found], ensure_ascii=False, indent=2))
            return
        for entry in found:
            typer.echo(summary(entry))


@audit_app.command("prune")
def prune_log(log: Log, *, older_than: Age, key_file: KeyFile = None, reason: Reason = "retention") -> None:
    """Remove old records, and record that; the log stays verifiable."""
    with clean_exit():
        from langchain_gptoss.audit.pruning import prune

        done = prune(log, older_than=_age(older_than), key=key_file, reason=reason)
        typer.echo(f"Removed {done.removed:,} records; the log has {done.kept:,} lines.")


def _age(text: str) -> timedelta:
    from langchain_gptoss.errors import InvalidInputError

    found = _AGE.fullmatch(text.strip().lower())
    if found is None:
        raise InvalidInputError(f"--older-than is {text!r}; write a number and h, d, w or y, as in 180d.")
    return timedelta(hours=int(found[1]) * _HOURS[found[2]])


def _plain(entry: "Entry") -> dict[str, Any]:
    values = {"seq": entry.seq, "time": entry.time, "previous": entry.previous, "hash": entry.hash}
    return values | {"record": entry.record}
