"""`gptoss index`: brings an index in step with folders of documents, once or for as long as it runs."""

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_gptoss.cli.console import clean_exit, note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_gptoss.ingest import CheckReport, Skipped, SyncReport

_SHOWN = 20  # lines of one kind; the rest is counted
_KINDS = 6  # of files that are not read are named
_DIFFERENT = 1  # exit status of a check that found differences and was not told to mend them

Places = Annotated[list[str], typer.Argument(help="Folders, files or patterns: all that the index shall hold.")]
Store = Annotated[str, typer.Option("--store", help="The index's folder; made if it is not there.")]
Watch = Annotated[bool, typer.Option("--watch", help="Go on, and synchronise after each change; Ctrl-C ends.")]
Check = Annotated[bool, typer.Option("--check", help="Compare files, records and vectors, and change nothing.")]
Mend = Annotated[bool, typer.Option("--mend", help="Compare as --check does, and put right what differs.")]
Name = Annotated[str | None, typer.Option("--embeddings", help="A sentence-transformers model: a folder or a hub id.")]
Workers = Annotated[int | None, typer.Option(help="Processes that parse files; else one for each core.", min=1)]
MaxChars = Annotated[int | None, typer.Option(help="The most characters in a passage; else as before, or 700.", min=1)]
MaxTokens = Annotated[int | None, typer.Option(help="The most tokens in a passage, in place of characters.", min=1)]
Overlap = Annotated[int | None, typer.Option(help="How much a passage repeats of the one before it.", min=0)]
MaxMb = Annotated[float, typer.Option("--max-mb", help="The largest file that is read, in MB.", min=0.001)]


def index(
    places: Places,
    *,
    store: Store,
    watch: Watch = False,
    check: Check = False,
    mend: Mend = False,
    embeddings: Name = None,
    workers: Workers = None,
    max_chars: MaxChars = None,
    max_tokens: MaxTokens = None,
    overlap: Overlap = None,
    max_mb: MaxMb = 100.0,
) -> None:
    """Index documents, or bring an index in step with them."""
    options: dict[str, Any] = {"embeddings": embeddings, "workers": workers, "max_bytes": round(max_mb * 1e6)}
    limits: dict[str, Any] = {"max_chars": max_chars, "max_tokens": max_tokens, "overlap": overlap}
    with clean_exit():
        _refuse(watch=watch, check=check or mend, limits=any(limit is not None for limit in limits.values()))
        if check or mend:
            _check(places, store, options, mend=mend)
        elif watch:
            _watch(places, store, options | limits)
        else:
            from langchain_gptoss.ingest import sync_documents

            _show(sync_documents(places, store, **options, **limits))


def _refuse(*, watch: bool, check: bool, limits: bool) -> None:
    from langchain_gptoss.errors import InvalidInputError

    if watch and check:
        raise InvalidInputError("--watch does not go with --check or --mend. Run one after the other.")
    if check and limits:
        raise InvalidInputError("An index is checked with the limits it was made with. Leave them out.")


def _check(places: list[str], store: str, options: dict[str, Any], *, mend: bool) -> None:
    from langchain_gptoss.errors import IndexStoreError
    from langchain_gptoss.ingest import check_index

    if not Path(store).expanduser().exists():
        raise IndexStoreError(f"There is no index in {store}. Leave out --check and --mend to make one.")
    report: CheckReport = check_index(store, places, mend=mend, **options)
    _listed([str(difference) for difference in report.differences], "differences")
    typer.echo(str(report))
    if not report.ok:
        note("Mend it with --mend.")
        raise typer.Exit(_DIFFERENT)


def _watch(places: list[str], store: str, options: dict[str, Any]) -> None:
    from langchain_gptoss.ingest import watch_documents

    try:
        note("Watching; Ctrl-C ends.")
        watch_documents(places, store, on_report=_show, on_problem=lambda error: note(f"gptoss: {error}"), **options)
    except KeyboardInterrupt:
        note("\nStopped watching; the index is as of the last line above.")


def _show(report: "SyncReport") -> None:
    skipped: Sequence[Skipped] = report.skipped
    _listed([str(file) for file in skipped], "skipped files")
    if report.others:
        kinds = Counter(PurePosixPath(source).suffix.lower() or "without a suffix" for source in report.others)
        shown = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(_KINDS))
        more = ", ..." if len(kinds) > _KINDS else ""
        note(f"Passed over {len(report.others):,} files of kinds that are not read ({shown}{more}).")
    typer.echo(str(report)[0].upper() + str(report)[1:])


def _listed(lines: list[str], what: str) -> None:
    for line in lines[:_SHOWN]:
        note(line)
    if len(lines) > _SHOWN:
        note(f"... and {len(lines) - _SHOWN:,} more {what}.")
