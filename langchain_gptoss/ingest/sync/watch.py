"""Watch sources and synchronize an index after each change, by polling sizes and times."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_gptoss.errors import GptOssError, InvalidInputError
from langchain_gptoss.ingest.access_labels import RULES_FILE
from langchain_gptoss.ingest.file_contents import MAX_BYTES, create_read_options
from langchain_gptoss.ingest.load import Source, list_supported_files, split_sources
from langchain_gptoss.ingest.sync.synchronize import SyncReport, sync_documents
from langchain_gptoss.ingest.sync.target import resolve_embeddings, resolve_path

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore

_PAUSE_AFTER_ERROR = 10  # intervals

_Snapshot = frozenset[tuple[str, int, int]]


def watch_documents(
    sources: Source | Sequence[Source],
    store: str | Path | VectorStore,
    *,
    on_report: Callable[[SyncReport], None],
    on_error: Callable[[GptOssError], None] | None = None,
    interval_s: float = 2.0,
    stop: threading.Event | None = None,
    **options: Any,
) -> None:
    """Synchronize an index now, and again after each change once nothing has changed for an interval.

    Args:
        sources: Files, folders and patterns, as in `sync_documents`.
        store: The index, as in `sync_documents`.
        on_report: Called after each synchronization.
        on_error: Called when a later synchronization fails, for instance because a folder is missing for a moment;
            watching goes on. By default the error is raised. An error of the first synchronization is always raised.
        interval_s: Seconds between two polls.
        stop: Ends watching when set; without it, only an exception such as KeyboardInterrupt ends it.
        **options: Options of `sync_documents`.

    Raises:
        InvalidInputError: `interval_s` is not above 0, or a source is a LangChain loader, which cannot be watched.
        GptOssError: As in `sync_documents`.
    """
    if interval_s <= 0:
        raise InvalidInputError(f"interval_s is {interval_s} and must be above 0.")
    places, loaders = split_sources(sources)
    if loaders:
        raise InvalidInputError("A LangChain loader cannot be watched.", hint="Give files, folders or patterns.")
    stop = stop or threading.Event()
    read_options = create_read_options(
        options.get("loaders"), options.get("max_bytes", MAX_BYTES), follow_links=options.get("follow_links", False)
    )
    exclude = None
    if isinstance(store, str | Path):
        exclude = resolve_path(store)
        # Load the model once instead of for every change.
        options["embeddings"] = resolve_embeddings(exclude, options.get("embeddings"))

    def take_snapshot() -> _Snapshot:
        listing = list_supported_files(places, read_options, exclude=exclude)
        folders = {folder for file in listing.files for folder in file.path.parents if folder != listing.root.parent}
        rules = [folder / RULES_FILE for folder in folders if folder.is_relative_to(listing.root)]
        files = [(file.source, file.path) for file in listing.files] + [(str(path), path) for path in rules]
        return frozenset(_describe_file(source, path) for source, path in files)

    synced = previous = take_snapshot()
    on_report(sync_documents(places, store, **options))
    while not stop.wait(interval_s):
        try:
            current = take_snapshot()
            if current != synced and current == previous:
                on_report(sync_documents(places, store, **options))
                synced = current
            previous = current
        except GptOssError as error:
            if on_error is None:
                raise
            on_error(error)
            stop.wait(_PAUSE_AFTER_ERROR * interval_s)


def _describe_file(source: str, path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return source, -1, -1
    return source, status.st_size, status.st_mtime_ns
