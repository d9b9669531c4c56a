"""Synchronize an index with its sources: unchanged files stay, changed ones are replaced, missing ones are removed.

The manifest stores each file's size, time and hash, its settings, and the ids of its chunks. A run that is stopped,
even by a kill, is continued by the next one and ends in the same index as a fresh run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss.ingest.file_contents import MAX_BYTES, FileContents, Loader, ReadOptions, create_read_options
from langchain_gptoss.ingest.lengths import TokenCounter, create_token_counter
from langchain_gptoss.ingest.load import Source
from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.pool import read_files
from langchain_gptoss.ingest.sources import FileWarning, SkippedFile
from langchain_gptoss.ingest.split import ChunkLimits, split_documents
from langchain_gptoss.ingest.sync.apply import BatchWriter, Change
from langchain_gptoss.ingest.sync.diff import (
    Candidate,
    SyncPlan,
    choose_label_options,
    choose_limits,
    create_plan,
    save_settings,
)
from langchain_gptoss.ingest.sync.manifest import Entry
from langchain_gptoss.ingest.sync.progress import Progress, ProgressReporter
from langchain_gptoss.ingest.sync.target import Target, get_embeddings_name, open_target

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore

_NO_TEXT = "it has no text besides headings"
_KEPT = "; its earlier contents stay in the index"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SyncReport:
    """Result of a synchronization.

    Attributes:
        added: Sources that are new in the index.
        changed: Sources whose chunks were replaced.
        removed: Sources that left the index.
        unchanged: Sources that stayed as they were.
        skipped: Files that cannot be used, with the reasons.
        chunk_count: Number of chunks in the index now.
        duration_s: Duration of the synchronization in seconds.
        unsupported: Files in formats that are not supported, such as pictures.
        warnings: What a user should know about files that were added or changed, such as a guessed encoding.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    skipped: tuple[SkippedFile, ...]
    chunk_count: int
    duration_s: float
    unsupported: tuple[str, ...] = ()
    warnings: tuple[FileWarning, ...] = ()

    def __str__(self) -> str:
        counts = (("added", self.added), ("changed", self.changed), ("removed", self.removed))
        changes = ", ".join(f"{len(sources):,} {name}" for name, sources in counts)
        return (
            f"{changes}, {len(self.unchanged):,} unchanged, {len(self.skipped):,} skipped; "
            f"{self.chunk_count:,} chunks in the index ({self.duration_s:.1f} s)."
        )


def sync_documents(
    sources: Source | Sequence[Source],
    store: str | Path | VectorStore,
    *,
    embeddings: Embeddings | str | None = None,
    max_chars: int | None = None,
    max_tokens: int | None = None,
    overlap: int | None = None,
    loaders: Mapping[str, Loader] | None = None,
    max_bytes: int = MAX_BYTES,
    follow_links: bool = False,
    access: str | None = None,
    labels: Sequence[str] | None = None,
    workers: int | None = None,
    manifest: str | Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> SyncReport:
    """Synchronize an index with its sources.

    A file with the same size and time is not read; one with the same bytes is not parsed. If nothing changed, neither
    the vectors nor the embedding model are loaded.

    Args:
        sources: A folder, a file, a pattern or a LangChain loader, or several: all documents of the index.
        store: The index's folder, which is created if it is missing; or a LangChain vector store, with `manifest`.
        embeddings: The embedding model or its name; by default the one that the index was made with, and for a new
            index the one that `load_embeddings()` chooses.
        max_chars: Maximum number of characters in one chunk.
        max_tokens: Maximum number of tokens of the embedding model in one chunk, in place of `max_chars`.
        overlap: Maximum length that a chunk repeats of the previous chunk. Limits that are not given stay as they
            are; a new index gets chunks of 700 characters without overlap.
        loaders: Functions that read files with some suffixes, as in `load_documents`.
        max_bytes: The largest file that is read, in bytes.
        follow_links: Follow links that lead out of a given folder, and links to folders; each folder is read once.
        access: Metadata field with access labels, as in `load_documents`; by default that of the index.
        labels: Labels of files without their own, as in `load_documents`; by default those of the index. A file whose
            labels change is indexed again.
        workers: Maximum number of worker processes that parse files; by default one per core, and none for few files.
        manifest: The file that lists the contents of a LangChain vector store.
        on_progress: Called as files are indexed; by default there is a progress bar on standard error.

    Returns:
        The changes.

    Raises:
        DocumentsError: There is nothing at `sources`.
        IndexStoreError: The index is damaged, was made with another embedding model, or another process writes to it.
        InvalidInputError: An option is out of range, or the index was made from another folder.
        MissingDependencyError: A file needs an extra that is not installed.
        StorageError: The index cannot be written.
    """
    started = time.monotonic()
    options = create_read_options(loaders, max_bytes, follow_links=follow_links)
    with open_target(store, embeddings=embeddings, manifest=manifest) as target:
        limits = choose_limits(target.manifest, max_chars, max_tokens, overlap)
        options = replace(options, labels=choose_label_options(target.manifest, access, labels))
        _check_embeddings(target, embeddings)
        plan = create_plan(sources, target.manifest, options, limits, exclude=target.folder)
        report = run_plan(plan, target, options, limits, workers=workers, on_progress=on_progress)
        return replace(report, duration_s=time.monotonic() - started)


def _check_embeddings(target: Target, embeddings: Embeddings | str | None) -> None:
    """Load the store if the model may be a wrong one: loading rejects it, even if nothing else needs the store."""
    if embeddings is None or target.folder is None:
        return
    name = embeddings if isinstance(embeddings, str) else get_embeddings_name(embeddings)
    saved_names = [target.manifest.get_setting(setting) for setting in ("embeddings", "model")]
    if name and any(saved_names) and name not in saved_names:
        _ = target.store


def run_plan(
    plan: SyncPlan,
    target: Target,
    options: ReadOptions,
    limits: ChunkLimits,
    *,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> SyncReport:
    """Carry out a plan; the arguments are those of `sync_documents`."""
    started = time.monotonic()
    run = _SyncRun(plan, target, options, limits)
    if plan.candidates or plan.removed:
        run.write(workers, on_progress)
    save_settings(target.manifest, plan, limits, options.labels)
    return SyncReport(
        added=tuple(sorted(run.added)),
        changed=tuple(sorted(run.changed)),
        removed=tuple(sorted(run.removed)),
        unchanged=tuple(sorted(plan.unchanged)),
        skipped=tuple(sorted(plan.skipped, key=lambda skipped: skipped.source)),
        chunk_count=sum(len(entry.chunk_ids) for entry in target.manifest.read_entries().values()),
        duration_s=time.monotonic() - started,
        unsupported=tuple(plan.unsupported),
        warnings=tuple(sorted(run.warnings, key=lambda warning: warning.source)),
    )


class _SyncRun:
    """Run of one plan."""

    def __init__(self, plan: SyncPlan, target: Target, options: ReadOptions, limits: ChunkLimits) -> None:
        self._plan = plan
        self._target = target
        self._options = options
        self._limits = limits
        self._updated_entries: list[Entry] = []  # rows that change while their chunks stay
        self._obsolete_sources: list[str] = []  # rows without chunks that are deleted
        self._count_tokens: TokenCounter | None = None
        self._is_writing = False
        self.added: list[str] = []
        self.changed: list[str] = []
        self.removed: list[str] = []
        self.warnings: list[FileWarning] = []

    def write(self, workers: int | None, on_progress: Callable[[Progress], None] | None) -> None:
        """Read, split and write the files of the plan."""
        candidates = self._plan.candidates
        with ExitStack() as stack:
            reporter = stack.enter_context(ProgressReporter(candidates.values(), on_progress))
            writer = BatchWriter(self._target, reporter.count_written)
            stack.callback(_save_after_error, writer)
            for entry in self._plan.removed:
                self._remove(entry, None, writer)
            for candidate in candidates.values():
                if candidate.file is None:
                    self._label_and_add(candidate, candidate.documents, writer)
            results = stack.enter_context(closing(read_files(self._plan.create_read_jobs(), self._options, workers)))
            for job, contents in results:
                candidate = candidates[job.file.source]
                if not self._add_contents(candidate, contents, writer):
                    reporter.advance(candidate.entry.size_bytes)
            self._target.manifest.put(self._updated_entries)
            self._target.manifest.remove(self._obsolete_sources)
            writer.finish()

    def _add_change(self, change: Change, writer: BatchWriter) -> None:
        if not self._is_writing:
            self._is_writing = True
            self._warn_of_wrong_count()
        writer.add(change)

    def _warn_of_wrong_count(self) -> None:
        if not self._target.is_saved:
            return
        counts = {"done": 0, "pending": 0, "skipped": 0}
        for entry in self._target.manifest.read_entries().values():
            counts[entry.state] += len(entry.chunk_ids)
        stored_count = self._target.count_chunks()
        if stored_count is not None and not counts["done"] <= stored_count <= counts["done"] + counts["pending"]:
            _logger.warning(
                "The index has %d chunks and its manifest lists %d. Repair it: check_index(..., repair=True), or "
                "gptoss index ... --repair.",
                stored_count,
                counts["done"],
            )

    def _add_contents(
        self, candidate: Candidate, contents: FileContents | UnreadableFileError, writer: BatchWriter
    ) -> bool:
        """Process a file that was read; return True if there are chunks to write."""
        if isinstance(contents, UnreadableFileError):
            self._skip_unreadable(candidate, contents, writer)
            return False
        if contents.documents is None:
            assert candidate.previous is not None
            size_bytes, mtime_ns = candidate.entry.size_bytes, candidate.entry.mtime_ns
            self._updated_entries.append(replace(candidate.previous, size_bytes=size_bytes, mtime_ns=mtime_ns))
            self._plan.skip(candidate.previous)
            return False
        candidate = replace(candidate, entry=replace(candidate.entry, file_hash=contents.file_hash))
        is_added = self._label_and_add(candidate, contents.documents, writer)
        if is_added:
            self.warnings += (FileWarning(candidate.entry.source, message) for message in contents.warnings)
        return is_added

    def _label_and_add(self, candidate: Candidate, documents: Sequence[Document], writer: BatchWriter) -> bool:
        labelled, messages = self._plan.labeller.label_documents(documents, candidate.file)
        is_added = self._add_documents(candidate, labelled, writer)
        if is_added:
            self.warnings += (FileWarning(candidate.entry.source, message) for message in messages)
        return is_added

    def _add_documents(self, candidate: Candidate, documents: Sequence[Document], writer: BatchWriter) -> bool:
        chunks = self._split(documents)
        if not chunks:
            error = UnreadableFileError(_NO_TEXT)
            error.file_hash = candidate.entry.file_hash
            self._skip_unreadable(candidate, error, writer)
            return False
        entry = replace(candidate.entry, chunk_ids=tuple(str(chunk.id) for chunk in chunks))
        previous = candidate.previous
        is_change = previous is not None and previous.file_hash and previous.chunk_ids
        (self.changed if is_change else self.added).append(entry.source)
        self._add_change(Change(entry=entry, previous=previous, chunks=chunks), writer)
        return True

    def _split(self, documents: Sequence[Document]) -> list[Document]:
        limits = self._limits
        if limits.max_tokens is not None and self._count_tokens is None:
            self._count_tokens = create_token_counter(self._target.embeddings)
        return split_documents(
            documents,
            max_chars=limits.max_chars,
            max_tokens=limits.max_tokens,
            count_tokens=self._count_tokens,
            overlap=limits.overlap,
        )

    def _skip_unreadable(self, candidate: Candidate, error: UnreadableFileError, writer: BatchWriter) -> None:
        previous, source, reason = candidate.previous, candidate.entry.source, str(error)
        if not error.is_permanent:
            note = _KEPT if previous and previous.chunk_ids else ""
            self._plan.skipped.append(SkippedFile(source, reason + note))
            return
        self._plan.skipped.append(SkippedFile(source, reason))
        entry = None
        if error.file_hash is not None:
            entry = replace(candidate.entry, file_hash=error.file_hash, state="skipped", reason=reason)
        if previous is not None and previous.chunk_ids:
            self._remove(previous, entry, writer)
        elif entry is not None:
            self._updated_entries.append(entry)
        elif previous is not None:
            self._obsolete_sources.append(source)

    def _remove(self, previous: Entry, replacement: Entry | None, writer: BatchWriter) -> None:
        if previous.chunk_ids:
            self.removed.append(previous.source)
            self._add_change(Change(entry=replacement, previous=previous), writer)
        else:
            self._obsolete_sources.append(previous.source)


def _save_after_error(writer: BatchWriter) -> None:
    # Keep finished work. A second error must not replace the one that is on its way to the caller.
    with suppress(Exception):
        writer.save()
