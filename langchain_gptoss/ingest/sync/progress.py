"""Progress of a synchronization, reported to a function or on a progress bar."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Self

from langchain_gptoss._progress import ProgressBar, show_progress
from langchain_gptoss.ingest.sync.apply import Change
from langchain_gptoss.ingest.sync.diff import Candidate


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of a synchronization.

    Attributes:
        files_done: Files that are indexed or found unusable.
        files_total: Files that are new or changed.
        bytes_done: Bytes of the files that are done.
        bytes_total: Bytes of all these files.
    """

    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int


class ProgressReporter:
    """Reporter that counts files and bytes; use it in a `with` block.

    Args:
        candidates: The files to index.
        on_progress: Called after each step; None for a progress bar on standard error.
    """

    def __init__(self, candidates: Iterable[Candidate], on_progress: Callable[[Progress], None] | None) -> None:
        sizes = [candidate.entry.size_bytes for candidate in candidates]
        self._progress = Progress(files_done=0, files_total=len(sizes), bytes_done=0, bytes_total=sum(sizes))
        self._on_progress = on_progress
        self._bar: ProgressBar | None = None
        self._stack = ExitStack()
        self._files_done = 0.0
        self._bytes_done = 0.0

    def __enter__(self) -> Self:
        if self._on_progress is None and self._progress.files_total:
            self._bar = self._stack.enter_context(show_progress(self._progress.bytes_total, "Indexing"))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def count_written(self, change: Change, share: float) -> None:
        """Count a written share of a file; removals do not count."""
        if change.chunks and change.entry is not None:
            self.advance(change.entry.size_bytes, share)

    def advance(self, size_bytes: int, share: float = 1.0) -> None:
        """Count a share of a file of this size."""
        self._files_done += share
        self._bytes_done += size_bytes * share
        bytes_before = self._progress.bytes_done
        self._progress = replace(self._progress, files_done=round(self._files_done), bytes_done=round(self._bytes_done))
        if self._bar is not None:
            self._bar.update(self._progress.bytes_done - bytes_before)
        if self._on_progress is not None:
            self._on_progress(self._progress)
