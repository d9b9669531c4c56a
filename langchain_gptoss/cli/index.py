"""`gptoss index`: synchronize an index with documents, once or continuously."""

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_gptoss.cli.console import clean_exit, note, show
from langchain_gptoss.text.terminal import clean_line

if TYPE_CHECKING:
    from langchain_gptoss.ingest import CheckReport, SyncReport

_MAX_LINES = 20  # of one kind that are shown; the others are counted
_MAX_SUFFIXES = 6  # of unsupported files that are named
_EXIT_DIFFERENT = 1  # exit status of a check that found differences and did not repair them

Places = Annotated[list[str], typer.Argument(help="Folders, files or patterns: all documents of the index.")]
Store = Annotated[str, typer.Option("--store", help="The index's folder; it is created if it is missing.")]
Watch = Annotated[bool, typer.Option("--watch", help="Keep running and synchronize after each change; Ctrl-C ends.")]
Check = Annotated[bool, typer.Option("--check", help="Compare files, rows and chunks, and change nothing.")]
Repair = Annotated[bool, typer.Option("--repair", help="Compare as --check does, and repair all differences.")]
Name = Annotated[str | None, typer.Option("--embeddings", help="A sentence-transformers model: a folder or a hub id.")]
Workers = Annotated[int | None, typer.Option(help="Processes that parse files; by default one per core.", min=1)]
MaxChars = Annotated[int | None, typer.Option(help="Maximum characters in a chunk; 700 in a new index.", min=1)]
MaxTokens = Annotated[int | None, typer.Option(help="Maximum tokens in a chunk, instead of --max-chars.", min=1)]
Overlap = Annotated[int | None, typer.Option(help="Maximum length that a chunk repeats of the previous one.", min=0)]
FollowLinks = Annotated[bool, typer.Option("--follow-links", help="Follow links that lead out of the given folders.")]
AccessField = Annotated[
    str | None, typer.Option("--access", help='Metadata field with access labels; "access" in a new index.')
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", help="Access label of files that front matter and access.toml do not label; repeatable."),
]
MaxMb = Annotated[float, typer.Option("--max-mb", help="Maximum size of a file, in MB.", min=0.001)]


def index(
    places: Places,
    *,
    store: Store,
    watch: Watch = False,
    check: Check = False,
    repair: Repair = False,
    embeddings: Name = None,
    workers: Workers = None,
    max_chars: MaxChars = None,
    max_tokens: MaxTokens = None,
    overlap: Overlap = None,
    max_mb: MaxMb = 100.0,
    follow_links: FollowLinks = False,
    access: AccessField = None,
    label: Labels = None,
) -> None:
    """Index documents, or synchronize an index with them."""
    options: dict[str, Any] = {
        "embeddings": embeddings,
        "workers": workers,
        "max_bytes": round(max_mb * 1e6),
        "follow_links": follow_links,
        "access": access,
        "labels": label,
    }
    limits: dict[str, Any] = {"max_chars": max_chars, "max_tokens": max_tokens, "overlap": overlap}
    with clean_exit():
        has_limits = any(limit is not None for limit in limits.values())
        _validate_options(watch=watch, check=check or repair, has_limits=has_limits)
        if check or repair:
            _check(places, store, options, repair=repair)
        elif watch:
            _watch(places, store, options | limits)
        else:
            from langchain_gptoss.ingest import sync_documents

            _show_report(sync_documents(places, store, **options, **limits))


def _validate_options(*, watch: bool, check: bool, has_limits: bool) -> None:
    from langchain_gptoss.errors import InvalidInputError

    if watch and check:
        raise InvalidInputError("--watch cannot be combined with --check or --repair.", hint="Run one after the other.")
    if check and has_limits:
        raise InvalidInputError(
            "An index is checked with the limits that it was made with.",
            hint="Omit --max-chars, --max-tokens and --overlap.",
        )


def _check(places: list[str], store: str, options: dict[str, Any], *, repair: bool) -> None:
    from langchain_gptoss.errors import IndexStoreError
    from langchain_gptoss.ingest import check_index

    if not Path(store).expanduser().exists():
        raise IndexStoreError(f"There is no index in {store}.", hint="Omit --check and --repair to create one.")
    report: CheckReport = check_index(store, places, repair=repair, **options)
    _print_lines([str(difference) for difference in report.differences], "differences")
    show(str(report))
    if not report.is_consistent:
        note("Repair the index with --repair.")
        raise typer.Exit(_EXIT_DIFFERENT)


def _watch(places: list[str], store: str, options: dict[str, Any]) -> None:
    from langchain_gptoss.ingest import watch_documents

    try:
        note("Watching; Ctrl-C ends.")
        watch_documents(
            places, store, on_report=_show_report, on_error=lambda error: note(f"gptoss: {error}"), **options
        )
    except KeyboardInterrupt:
        note("\nStopped watching; the last line above describes the index.")


def _show_report(report: "SyncReport") -> None:
    _print_lines([str(file) for file in report.skipped], "skipped files")
    _print_lines([str(warning) for warning in report.warnings], "warnings")
    if report.unsupported:
        suffixes = Counter(PurePosixPath(source).suffix.lower() or "without a suffix" for source in report.unsupported)
        shown = ", ".join(f"{count:,} {suffix}" for suffix, count in suffixes.most_common(_MAX_SUFFIXES))
        more = ", ..." if len(suffixes) > _MAX_SUFFIXES else ""
        note(f"Ignored {len(report.unsupported):,} files in formats that are not supported ({shown}{more}).")
    show(str(report))


def _print_lines(lines: list[str], noun: str) -> None:
    for line in lines[:_MAX_LINES]:
        note(clean_line(line))
    if len(lines) > _MAX_LINES:
        note(f"... and {len(lines) - _MAX_LINES:,} more {noun}.")
