"""Keeps an index in step with a folder for as long as it runs, by looking at sizes and times every few seconds."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_gptoss.errors import GptOssError, InvalidInputError
from langchain_gptoss.ingest.load import MAX_BYTES, Source, options_of, parted, supported_files
from langchain_gptoss.ingest.sync.synchronize import SyncReport, sync_documents
from langchain_gptoss.ingest.sync.target import embeddings_for

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore

_State = frozenset[tuple[str, int, int]]


def watch_documents(
    sources: Source | Sequence[Source],
    store: str | Path | VectorStore,
    *,
    on_report: Callable[[SyncReport], None],
    on_problem: Callable[[GptOssError], None] | None = None,
    interval: float = 2.0,
    stop: threading.Event | None = None,
    **options: Any,
) -> None:
    """Synchronises now, and again after each change, once nothing has changed for an interval.

    Args:
        sources: Files, folders and patterns, as for `sync`.
        store: The index, as for `sync`.
        on_report: Called after each synchronisation.
        on_problem: Called when a later one fails, for instance because the folder is gone for a moment; watching goes
            on. By default the error is raised. The first one's is raised always.
        interval: Seconds between looks.
        stop: Ends it when set; without it, only an exception such as Ctrl-C does.
        **options: As for `sync`.

    Raises:
        InvalidInputError: `interval` is not above 0, or a source is a LangChain loader, which cannot be watched.
        GptOssError: As from `sync`.
    """
    if interval <= 0:
        raise InvalidInputError(f"interval is {interval} and must be above 0.")
    places, foreign = parted(sources)
    if foreign:
        raise InvalidInputError("A LangChain loader cannot be watched. Give files, folders or patterns.")
    stop = stop or threading.Event()
    suffixes = options_of(options.get("loaders"), options.get("max_bytes", MAX_BYTES))
    exclude = None
    if isinstance(store, str | Path):
        exclude = Path(os.path.abspath(os.path.expanduser(store)))
        # Loaded once, and not for every change.
        options["embeddings"] = embeddings_for(exclude, options.get("embeddings"))

    def look() -> _State:
        found = supported_files(places, suffixes, exclude=exclude).files
        return frozenset(_seen(file.source, file.path) for file in found)

    synced = before = look()
    on_report(sync_documents(places, store, **options))
    while not stop.wait(interval):
        try:
            now = look()
            if now != synced and now == before:
                on_report(sync_documents(places, store, **options))
                synced = now
            before = now
        except GptOssError as error:
            if on_problem is None:
                raise
            on_problem(error)
            stop.wait(10 * interval)


def _seen(source: str, path: Path) -> tuple[str, int, int]:
    try:
        told = path.stat()
    except OSError:
        return source, -1, -1
    return source, told.st_size, told.st_mtime_ns
