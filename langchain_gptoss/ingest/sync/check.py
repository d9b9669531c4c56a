"""Finds every difference between files, their rows in the manifest, and the passages in the store; and mends them."""

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
from langchain_gptoss.ingest.load import MAX_BYTES, Loader, Options, Source, options_of
from langchain_gptoss.ingest.readers.formats import UnusableError
from langchain_gptoss.ingest.readers.pool import Job, read_all
from langchain_gptoss.ingest.split import chunk_id
from langchain_gptoss.ingest.sync.diff import Candidate, Limits, Plan, limits_of, make_plan
from langchain_gptoss.ingest.sync.manifest import Entry
from langchain_gptoss.ingest.sync.synchronize import Progress, carry_out
from langchain_gptoss.ingest.sync.target import Target, embeddings_name, opened

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore


@dataclass(frozen=True)
class Difference:
    """Something that is not as it should be.

    Attributes:
        source: The file it concerns, "" for the index as a whole.
        what: What is wrong, as a clause without a full stop.
    """

    source: str
    what: str

    def __str__(self) -> str:
        return f"{self.source or 'The index'}: {self.what}."


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        differences: What it found, by source.
        files: Files in the index, before it was mended.
        passages: Passages that these files have.
        mended: All of it was put right.
        seconds: How long it took.
    """

    differences: tuple[Difference, ...]
    files: int
    passages: int
    mended: bool
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the index is in step with its sources now."""
        return not self.differences or self.mended

    def __str__(self) -> str:
        found = f"{len(self.differences):,} differences" + (", mended" if self.mended else "")
        return f"{self.files:,} files, {self.passages:,} passages: {found} ({self.seconds:.1f} s)."


def check_index(
    store: str | Path | VectorStore,
    sources: Source | Sequence[Source],
    *,
    mend: bool = False,
    embeddings: Embeddings | str | None = None,
    loaders: Mapping[str, Loader] | None = None,
    max_bytes: int = MAX_BYTES,
    workers: int | None = None,
    manifest: str | Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> CheckReport:
    """Compares every file, by its contents, with the index, and every row of the index with its passages.

    Args:
        store: The index, as for `sync`.
        sources: What it shall hold.
        mend: Differences are put right; a store that cannot be read is built anew from the files.
        embeddings: The embedding model or its name; by default the one that the index was made with.
        loaders: As for `sync`, which was given the same.
        max_bytes: As for `sync`.
        workers: As for `sync`.
        manifest: As for `sync`.
        on_progress: As for `sync`, while mending.

    Returns:
        What was found.

    Raises:
        DocumentsError: There is nothing at `sources`.
        IndexStoreError: The index was made with another embedding model, or another process is at it.
    """
    began = time.monotonic()
    options = options_of(loaders, max_bytes)
    with opened(store, embeddings=embeddings, manifest=manifest) as target:
        limits = limits_of(target.manifest, None, None, None)
        entries = {source: entry for source, entry in target.manifest.entries().items() if entry.chunk_ids}
        checked = _Checked(target, entries, options)
        plan = make_plan(sources, target.manifest, options, limits, exclude=target.folder, rehash=True)
        checked.look_at_store()
        checked.look_at_files(plan, workers)
        if mend and checked.differences:
            checked.mend(sources, limits, workers, on_progress)
        return CheckReport(
            differences=tuple(sorted(checked.differences, key=lambda difference: difference.source)),
            files=len(entries),
            passages=sum(len(entry.chunk_ids) for entry in entries.values()),
            mended=mend and bool(checked.differences),
            seconds=time.monotonic() - began,
        )


class _Checked:
    def __init__(self, target: Target, entries: Mapping[str, Entry], options: Options) -> None:
        self._target = target
        self._entries = entries
        self._options = options
        self._bad: list[Entry] = []  # rows whose passages are not as they should be
        self._anew = False
        self.differences: list[Difference] = []

    def look_at_store(self) -> None:
        """Compares rows with passages."""
        if not self._target.is_saved and not self._entries:
            return
        try:
            size = self._target.size()
        except IndexStoreError as error:
            noted = self._target.manifest.setting("model")
            if noted and noted != embeddings_name(self._target.embeddings):
                raise
            self._note("", f"its passages cannot be read ({str(error).rstrip('.')})", anew=True)
            return
        there = 0
        for entry in self._entries.values():
            there += self._look_at_row(entry)
        if size is not None and size > there:
            self._note("", f"it holds {size - there:,} passages that belong to no file", anew=True)

    def _note(self, source: str, what: str, *, anew: bool = False) -> None:
        self.differences.append(Difference(source, what))
        self._anew = self._anew or anew

    def _look_at_row(self, entry: Entry) -> int:
        """Returns how many of a row's passages there are."""
        present = self._target.present(entry.chunk_ids)
        if entry.state == "pending":
            return len(present)
        missing = len(entry.chunk_ids) - len(present)
        altered = sum(not _is_itself(entry.source, document) for document in present.values())
        for count, what in ((missing, "missing from the index"), (altered, "not what was indexed")):
            if count:
                self._note(entry.source, f"{count:,} of its {len(entry.chunk_ids):,} passages are {what}")
        if missing or altered:
            self._bad.append(entry)
        return len(present)

    def look_at_files(self, plan: Plan, workers: int | None) -> None:
        """Compares files with rows."""
        for entry in plan.removed:
            if entry.chunk_ids:
                self._note(entry.source, "it no longer exists")
        jobs = [
            Job(candidate.found, candidate.entry.file_hash or None)
            for candidate in plan.candidates.values()
            if candidate.found is not None
        ]
        for candidate in plan.candidates.values():
            if candidate.found is None:
                self._note(candidate.entry.source, _what_differs(candidate))
        with closing(read_all(jobs, self._options, workers)) as results:
            for job, read in results:
                candidate = plan.candidates[job.found.source]
                if isinstance(read, UnusableError):
                    if candidate.known is not None and candidate.known.chunk_ids:
                        self._note(job.found.source, f"it cannot be used any more: {read}")
                elif read.documents is not None:
                    self._note(job.found.source, _what_differs(candidate))

    def mend(
        self,
        sources: Source | Sequence[Source],
        limits: Limits,
        workers: int | None,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        """Indexes again what is not as it should be."""
        bad: Iterable[Entry] = self._entries.values() if self._anew else self._bad
        target = self._target
        # The row of an altered passage no longer counts as its own, or it would be taken for one that is there.
        with target.anew() if self._anew else nullcontext():
            target.manifest.put(replace(entry, state="pending") for entry in bad)
            if not self._anew:
                target.delete([id_ for entry in bad for id_ in entry.chunk_ids])
            plan = make_plan(sources, target.manifest, self._options, limits, exclude=target.folder, rehash=True)
            carry_out(plan, target, self._options, limits, workers=workers, on_progress=on_progress)


def _is_itself(source: str, document: Document) -> bool:
    told = document.metadata
    try:
        return document.id == chunk_id(source, int(told["start"]), int(told["end"]), document.page_content)
    except (KeyError, TypeError, ValueError):
        return False


def _what_differs(candidate: Candidate) -> str:
    known = candidate.known
    if known is None or known.state == "skipped":
        return "it is not in the index"
    if known.state == "pending":
        return "a run that was stopped did not bring it in completely"
    if known.recipe != candidate.entry.recipe:
        return "it was indexed with other settings"
    return "it has changed since it was indexed"
