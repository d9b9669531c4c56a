"""Keeps an index in step with a folder: what is unchanged is left alone, what is gone leaves.

The manifest remembers each file's size, time and hash, how it was split, and the ids of its passages. A run that is
stopped, even by a kill, is taken up by the next one, and ends in the index that a fresh one would have made.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss._progress import ProgressBar, show_progress
from langchain_gptoss.ingest.lengths import Count, token_counter
from langchain_gptoss.ingest.load import MAX_BYTES, Contents, Loader, Options, Source, options_of
from langchain_gptoss.ingest.readers.formats import UnusableError
from langchain_gptoss.ingest.readers.pool import Job, read_all
from langchain_gptoss.ingest.sources import Skipped
from langchain_gptoss.ingest.split import split_documents
from langchain_gptoss.ingest.sync.apply import Change, Writer
from langchain_gptoss.ingest.sync.diff import Candidate, Limits, Plan, limits_of, make_plan, note_settings
from langchain_gptoss.ingest.sync.manifest import Entry
from langchain_gptoss.ingest.sync.target import Target, embeddings_name, opened

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore

_NO_TEXT = "it holds no text besides headings"
_KEPT = "; what was indexed of it before is kept"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SyncReport:
    """What a synchronisation did.

    Attributes:
        added: Sources that are new in the index.
        changed: Sources whose passages were replaced.
        removed: Sources that left the index.
        unchanged: Sources that were left alone.
        skipped: Files that could not be used, and why.
        passages: Passages in the index now.
        seconds: How long it took.
        others: Files of kinds that are not read, such as pictures, which were passed over.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    passages: int
    seconds: float
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = (("added", self.added), ("changed", self.changed), ("removed", self.removed))
        did = ", ".join(f"{len(sources):,} {name}" for name, sources in counts)
        return (
            f"{did}, {len(self.unchanged):,} unchanged, {len(self.skipped):,} skipped; "
            f"{self.passages:,} passages in the index ({self.seconds:.1f} s)."
        )


@dataclass(frozen=True)
class Progress:
    """How far a synchronisation is.

    Attributes:
        files: Files that are brought in or found unusable.
        files_total: Files that are new or changed.
        bytes: Bytes of these files that are done.
        bytes_total: Bytes in all.
    """

    files: int
    files_total: int
    bytes: int
    bytes_total: int


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
    workers: int | None = None,
    manifest: str | Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> SyncReport:
    """Brings an index in step with its sources.

    A file whose size and time are as they were is not read; one whose bytes are as they were is not parsed. When
    nothing changed, neither the vectors nor the embedding model are loaded.

    Args:
        sources: A folder, a file, a pattern or a LangChain loader, or several: all that the index shall hold.
        store: The index's folder, made if it is not there; or a LangChain vector store, with `manifest`.
        embeddings: The embedding model or its name; by default the one that the index was made with, and for a new
            one what `load_embeddings()` picks.
        max_chars: The most characters in one chunk.
        max_tokens: The most tokens of the embedding model in one chunk, in place of `max_chars`.
        overlap: How much of the chunk before it a chunk repeats. Limits and overlap that are not given stay as the
            index was made; a new one gets chunks of 700 characters without overlap.
        loaders: Functions that read files of some suffixes, as in `load_documents`.
        max_bytes: The largest file that is read.
        workers: Processes that parse; by default one for each core, and none for few files.
        manifest: The file that says what is in a vector store of the caller's.
        on_progress: Called as files come in; by default there is a progress bar on standard error.

    Returns:
        What was done.

    Raises:
        DocumentsError: There is nothing at `sources`.
        IndexStoreError: The index is damaged, was made with another embedding model, or another process is at it.
        InvalidInputError: An option cannot work, or the sources have nothing in common with those of the index.
        MissingDependencyError: A file needs an extra that is not installed.
        StorageError: The index cannot be written.
    """
    began = time.monotonic()
    options = options_of(loaders, max_bytes)
    with opened(store, embeddings=embeddings, manifest=manifest) as target:
        limits = limits_of(target.manifest, max_chars, max_tokens, overlap)
        _refuse_other_embeddings(target, embeddings)
        plan = make_plan(sources, target.manifest, options, limits, exclude=target.folder)
        done = carry_out(plan, target, options, limits, workers=workers, on_progress=on_progress)
        return replace(done, seconds=time.monotonic() - began)


def _refuse_other_embeddings(target: Target, embeddings: Embeddings | str | None) -> None:
    """Has the store say so, even where nothing changed and it would not be opened."""
    if embeddings is None or target.folder is None:
        return
    asked = embeddings if isinstance(embeddings, str) else embeddings_name(embeddings)
    noted = [target.manifest.setting(name) for name in ("embeddings", "model")]
    if asked and any(noted) and asked not in noted:
        _ = target.store


def carry_out(
    plan: Plan,
    target: Target,
    options: Options,
    limits: Limits,
    *,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> SyncReport:
    """Does what a plan says; the arguments are those of `sync`. The report's `seconds` count from here."""
    began = time.monotonic()
    run = _Run(plan, target, options, limits)
    if plan.candidates or plan.removed:
        run.write(workers, on_progress)
    note_settings(target.manifest, plan, limits)
    return SyncReport(
        added=tuple(sorted(run.added)),
        changed=tuple(sorted(run.changed)),
        removed=tuple(sorted(run.removed)),
        unchanged=tuple(sorted(plan.unchanged)),
        skipped=tuple(sorted(plan.skipped, key=lambda skipped: skipped.source)),
        passages=sum(len(entry.chunk_ids) for entry in target.manifest.entries().values()),
        seconds=time.monotonic() - began,
        others=tuple(plan.others),
    )


class _Run:
    """Carries out one plan."""

    def __init__(self, plan: Plan, target: Target, options: Options, limits: Limits) -> None:
        self._plan = plan
        self._target = target
        self._options = options
        self._limits = limits
        self._touched: list[Entry] = []  # rows that change and passages that do not
        self._forgotten: list[str] = []  # rows without passages that go
        self._count: Count | None = None
        self._begun = False
        self.added: list[str] = []
        self.changed: list[str] = []
        self.removed: list[str] = []

    def write(self, workers: int | None, on_progress: Callable[[Progress], None] | None) -> None:
        candidates = self._plan.candidates
        with ExitStack() as stack:
            meter = stack.enter_context(_Meter(candidates.values(), on_progress))
            writer = Writer(self._target, meter.written)
            stack.callback(_save_what_is_done, writer)
            for entry in self._plan.removed:
                self._leaves(entry, None, writer)
            for candidate in candidates.values():
                if candidate.found is None:
                    self._comes(candidate, candidate.documents, writer)
            jobs = [
                Job(candidate.found, candidate.entry.file_hash or None)
                for candidate in candidates.values()
                if candidate.found is not None
            ]
            for job, read in stack.enter_context(closing(read_all(jobs, self._options, workers))):
                candidate = candidates[job.found.source]
                if not self._take(candidate, read, writer):
                    meter.advance(candidate.entry.size, 1)
            self._target.manifest.put(self._touched)
            self._target.manifest.remove(self._forgotten)
            writer.finish()

    def _add(self, change: Change, writer: Writer) -> None:
        if not self._begun:
            self._begun = True
            self._warn_of_difference()
        writer.add(change)

    def _warn_of_difference(self) -> None:
        if not self._target.is_saved:
            return
        entries = self._target.manifest.entries().values()
        done, pending = (
            sum(len(entry.chunk_ids) for entry in entries if entry.state == state) for state in ("done", "pending")
        )
        size = self._target.size()
        if size is not None and not done <= size <= done + pending:
            _logger.warning(
                "The index holds %d passages and its manifest names %d. Mend it: check(..., mend=True), or "
                "gptoss index ... --mend.",
                size,
                done,
            )

    def _take(self, candidate: Candidate, read: Contents | UnusableError, writer: Writer) -> bool:
        """Returns whether there is something to write."""
        if isinstance(read, UnusableError):
            self._unusable(candidate, read, writer)
            return False
        candidate = replace(candidate, entry=replace(candidate.entry, file_hash=read.file_hash))
        if read.documents is None:
            assert candidate.known is not None
            size, mtime = candidate.entry.size, candidate.entry.mtime_ns
            self._touched.append(replace(candidate.known, size=size, mtime_ns=mtime))
            self._plan.leave(candidate.known)
            return False
        return self._comes(candidate, read.documents, writer)

    def _comes(self, candidate: Candidate, documents: Sequence[Document], writer: Writer) -> bool:
        chunks = self._split(documents)
        if not chunks:
            reason = UnusableError(_NO_TEXT)
            reason.file_hash = candidate.entry.file_hash
            self._unusable(candidate, reason, writer)
            return False
        entry = replace(candidate.entry, chunk_ids=tuple(str(chunk.id) for chunk in chunks))
        known = candidate.known
        (self.changed if known and known.file_hash and known.chunk_ids else self.added).append(entry.source)
        self._add(Change(entry, known, chunks), writer)
        return True

    def _split(self, documents: Sequence[Document]) -> list[Document]:
        limits = self._limits
        if limits.max_tokens is None:
            return split_documents(documents, max_chars=limits.max_chars, overlap=limits.overlap)
        if self._count is None:
            self._count = token_counter(self._target.embeddings)
        return split_documents(documents, max_tokens=limits.max_tokens, count=self._count, overlap=limits.overlap)

    def _unusable(self, candidate: Candidate, unusable: UnusableError, writer: Writer) -> None:
        known, source, reason = candidate.known, candidate.entry.source, str(unusable)
        if not unusable.lasting:
            self._plan.skipped.append(Skipped(source, reason + (_KEPT if known and known.chunk_ids else "")))
            return
        self._plan.skipped.append(Skipped(source, reason))
        skipped = None
        if unusable.file_hash is not None:
            skipped = replace(candidate.entry, file_hash=unusable.file_hash, state="skipped", reason=reason)
        if known is not None and known.chunk_ids:
            self._leaves(known, skipped, writer)
        elif skipped is not None:
            self._touched.append(skipped)
        elif known is not None:
            self._forgotten.append(source)

    def _leaves(self, known: Entry, instead: Entry | None, writer: Writer) -> None:
        if known.chunk_ids:
            self.removed.append(known.source)
            self._add(Change(instead, known), writer)
        else:
            self._forgotten.append(known.source)


def _save_what_is_done(writer: Writer) -> None:
    # After a failure, which is on its way to the caller and must not be replaced by another.
    with suppress(Exception):
        writer.save()


class _Meter:
    """Tells how far a run is, to a function or on a bar."""

    def __init__(self, candidates: Iterable[Candidate], on_progress: Callable[[Progress], None] | None) -> None:
        sizes = [candidate.entry.size for candidate in candidates]
        self._progress = Progress(0, len(sizes), 0, sum(sizes))
        self._tell = on_progress
        self._bar: ProgressBar | None = None
        self._stack = ExitStack()
        self._shares = 0.0
        self._bytes = 0.0

    def __enter__(self) -> Self:
        if self._tell is None and self._progress.files_total:
            self._bar = self._stack.enter_context(show_progress(self._progress.bytes_total, "Indexing"))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def written(self, change: Change, share: float) -> None:
        """Counts a part of a file."""
        if change.chunks and change.entry is not None:
            self.advance(change.entry.size, share)

    def advance(self, size: int, share: float) -> None:
        """Counts a share of a file of so many bytes."""
        self._shares += share
        self._bytes += size * share
        now = replace(self._progress, files=round(self._shares), bytes=round(self._bytes))
        if self._bar is not None:
            self._bar.update(now.bytes - self._progress.bytes)
        self._progress = now
        if self._tell is not None:
            self._tell(now)
