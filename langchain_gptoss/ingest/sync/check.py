"""Check an index: compare files, their rows in the manifest and the chunks in the store, and repair differences."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss.errors import IndexStoreError
from langchain_gptoss.ingest.file_contents import MAX_BYTES, Loader, ReadOptions, create_read_options
from langchain_gptoss.ingest.load import Source
from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.pool import read_files
from langchain_gptoss.ingest.split import ChunkLimits, compute_chunk_id
from langchain_gptoss.ingest.sync.diff import Candidate, SyncPlan, choose_label_options, choose_limits, create_plan
from langchain_gptoss.ingest.sync.manifest import Entry
from langchain_gptoss.ingest.sync.progress import Progress
from langchain_gptoss.ingest.sync.synchronize import run_plan
from langchain_gptoss.ingest.sync.target import Target, get_embeddings_name, open_target

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Difference between an index and its sources.

    Attributes:
        source: The file that differs, "" for the index as a whole.
        description: The difference, as a clause without a full stop.
    """

    source: str
    description: str

    def __str__(self) -> str:
        return f"{self.source or 'The index'}: {self.description}."


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """Result of a check.

    Attributes:
        differences: The differences, ordered by source.
        file_count: Number of files in the index, before a repair.
        chunk_count: Number of chunks of these files.
        is_repaired: True if there were differences and all are repaired.
        duration_s: Duration of the check in seconds.
    """

    differences: tuple[Difference, ...]
    file_count: int
    chunk_count: int
    is_repaired: bool
    duration_s: float

    @property
    def is_consistent(self) -> bool:
        """True if the index matches its sources now."""
        return not self.differences or self.is_repaired

    def __str__(self) -> str:
        differences = f"{len(self.differences):,} differences" + (", repaired" if self.is_repaired else "")
        return f"{self.file_count:,} files, {self.chunk_count:,} chunks: {differences} ({self.duration_s:.1f} s)."


def check_index(
    store: str | Path | VectorStore,
    sources: Source | Sequence[Source],
    *,
    repair: bool = False,
    embeddings: Embeddings | str | None = None,
    loaders: Mapping[str, Loader] | None = None,
    max_bytes: int = MAX_BYTES,
    follow_links: bool = False,
    access: str | None = None,
    labels: Sequence[str] | None = None,
    workers: int | None = None,
    manifest: str | Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> CheckReport:
    """Compare every file, by its contents, with the index, and every row of the index with its chunks.

    Args:
        store: The index, as in `sync_documents`.
        sources: The sources of the index.
        repair: True to repair differences; a store that cannot be read is rebuilt from the files.
        embeddings: The embedding model or its name; by default the one that the index was made with.
        loaders: The loaders that `sync_documents` was called with.
        max_bytes: As in `sync_documents`.
        follow_links: As in `sync_documents`.
        access: As in `sync_documents`.
        labels: As in `sync_documents`.
        workers: As in `sync_documents`.
        manifest: As in `sync_documents`.
        on_progress: As in `sync_documents`, during a repair.

    Returns:
        The differences.

    Raises:
        DocumentsError: There is nothing at `sources`.
        IndexStoreError: The index was made with another embedding model, or another process writes to it.
    """
    started = time.monotonic()
    options = create_read_options(loaders, max_bytes, follow_links=follow_links)
    with open_target(store, embeddings=embeddings, manifest=manifest) as target:
        limits = choose_limits(target.manifest, None, None, None)
        options = replace(options, labels=choose_label_options(target.manifest, access, labels))
        entries = {source: entry for source, entry in target.manifest.read_entries().items() if entry.chunk_ids}
        checker = _IndexChecker(target, entries, options)
        plan = create_plan(sources, target.manifest, options, limits, exclude=target.folder, rehash=True)
        checker.check_store()
        checker.check_files(plan, workers)
        if repair and checker.differences:
            checker.repair(sources, limits, workers, on_progress)
        return CheckReport(
            differences=tuple(sorted(checker.differences, key=lambda difference: difference.source)),
            file_count=len(entries),
            chunk_count=sum(len(entry.chunk_ids) for entry in entries.values()),
            is_repaired=repair and bool(checker.differences),
            duration_s=time.monotonic() - started,
        )


class _IndexChecker:
    def __init__(self, target: Target, entries: Mapping[str, Entry], options: ReadOptions) -> None:
        self._target = target
        self._entries = entries
        self._options = options
        self._damaged_entries: list[Entry] = []  # rows whose chunks are missing or altered
        self._needs_rebuild = False
        self.differences: list[Difference] = []

    def check_store(self) -> None:
        """Compare rows with chunks."""
        if not self._target.is_saved and not self._entries:
            return
        try:
            stored_count = self._target.count_chunks()
        except IndexStoreError as error:
            model = self._target.manifest.get_setting("model")
            if model and model != get_embeddings_name(self._target.embeddings):
                raise
            self._require_rebuild(f"its chunks cannot be read ({str(error).rstrip('.')})")
            return
        listed_count = sum(self._check_entry(entry) for entry in self._entries.values())
        if stored_count is not None and stored_count > listed_count:
            self._require_rebuild(f"it has {stored_count - listed_count:,} chunks that belong to no file")

    def _record(self, source: str, description: str) -> None:
        self.differences.append(Difference(source=source, description=description))

    def _require_rebuild(self, description: str) -> None:
        self._record("", description)
        self._needs_rebuild = True

    def _check_entry(self, entry: Entry) -> int:
        """Check the chunks of a row and return how many of them are stored."""
        stored = self._target.fetch_chunks(entry.chunk_ids)
        if entry.state == "pending":
            return len(stored)
        missing = len(entry.chunk_ids) - len(stored)
        altered = sum(not _has_own_id(entry.source, document) for document in stored.values())
        for count, description in ((missing, "missing in the index"), (altered, "altered in the index")):
            if count:
                self._record(entry.source, f"{count:,} of its {len(entry.chunk_ids):,} chunks are {description}")
        if missing or altered:
            self._damaged_entries.append(entry)
        return len(stored)

    def check_files(self, plan: SyncPlan, workers: int | None) -> None:
        """Compare files with rows."""
        for entry in plan.removed:
            if entry.chunk_ids:
                self._record(entry.source, "it no longer exists")
        for candidate in plan.candidates.values():
            if candidate.file is None:
                self._record(candidate.entry.source, _describe_difference(candidate))
        with closing(read_files(plan.create_read_jobs(), self._options, workers)) as results:
            for job, contents in results:
                candidate = plan.candidates[job.file.source]
                if isinstance(contents, UnreadableFileError):
                    if candidate.previous is not None and candidate.previous.chunk_ids:
                        self._record(job.file.source, f"it cannot be used any more: {contents}")
                elif contents.documents is not None:
                    self._record(job.file.source, _describe_difference(candidate))

    def repair(
        self,
        sources: Source | Sequence[Source],
        limits: ChunkLimits,
        workers: int | None,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        """Index the files that differ again."""
        target = self._target
        entries: Iterable[Entry] = self._entries.values() if self._needs_rebuild else self._damaged_entries
        with target.rebuild() if self._needs_rebuild else nullcontext():
            # A pending row is indexed again. Altered chunks are deleted, or they would be taken for the right ones.
            target.manifest.put(replace(entry, state="pending") for entry in entries)
            if not self._needs_rebuild:
                target.delete([id_ for entry in entries for id_ in entry.chunk_ids])
            plan = create_plan(sources, target.manifest, self._options, limits, exclude=target.folder, rehash=True)
            run_plan(plan, target, self._options, limits, workers=workers, on_progress=on_progress)


def _has_own_id(source: str, chunk: Document) -> bool:
    """Return True if a chunk's id matches its text and place."""
    metadata = chunk.metadata
    try:
        start, end = int(metadata["start"]), int(metadata["end"])
    except (KeyError, TypeError, ValueError):
        return False
    return chunk.id == compute_chunk_id(source, start, end, chunk.page_content)


def _describe_difference(candidate: Candidate) -> str:
    previous = candidate.previous
    if previous is None or previous.state == "skipped":
        return "it is not in the index"
    if previous.state == "pending":
        return "an interrupted run indexed it only in part"
    if previous.recipe != candidate.entry.recipe:
        return "it was indexed with other settings"
    return "it has changed since it was indexed"
