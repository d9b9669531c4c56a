"""Write chunks into an index in batches, so that a kill at any point costs the last batch only.

A file takes three steps. Its row becomes "pending" and lists its old and new chunks; its vectors are put into the
store; the store is saved and the row becomes "done". Everything that a killed run leaves behind is listed in a row.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from langchain_core.documents import Document

from langchain_gptoss.ingest.sync.manifest import Entry
from langchain_gptoss.ingest.sync.target import Target

BATCH_SIZE = 1024
"""Chunks that are embedded together: enough for the model to sort them by length."""

SAVE_INTERVAL_S = 30.0
_SAVE_SHARE = 10  # saving takes at most a tenth of the time


@dataclass(frozen=True, kw_only=True)
class Change:
    """Change of one file.

    Attributes:
        entry: Its row after the change, or None if it leaves the index.
        previous: Its row before, or None.
        chunks: Its new chunks.
    """

    entry: Entry | None
    previous: Entry | None
    chunks: Sequence[Document] = ()


class BatchWriter:
    """Writer that applies changes in batches.

    Args:
        target: The index.
        on_written: Called with a change and the share of it, in (0, 1], that is written now.
    """

    def __init__(self, target: Target, on_written: Callable[[Change, float], None]) -> None:
        self._target = target
        self._on_written = on_written
        self._batch: list[Change] = []
        self._batch_chunks = 0
        self._unsaved: list[Change] = []
        self._saved_at = time.monotonic()
        self._save_duration_s = 0.0

    def add(self, change: Change) -> None:
        """Add a change, which may be written later."""
        self._batch.append(change)
        self._batch_chunks += len(change.chunks)
        if self._batch_chunks >= BATCH_SIZE:
            self._write_batch()
            if time.monotonic() - self._saved_at >= max(SAVE_INTERVAL_S, _SAVE_SHARE * self._save_duration_s):
                self.save()

    def finish(self) -> None:
        """Write and save all remaining changes."""
        self._write_batch()
        self.save()

    def save(self) -> None:
        """Save the changes that are written."""
        if not self._unsaved:
            return
        started = time.monotonic()
        self._target.save()
        manifest = self._target.manifest
        manifest.put(change.entry for change in self._unsaved if change.entry is not None)
        manifest.remove(change.previous.source for change in self._unsaved if change.entry is None and change.previous)
        self._unsaved = []
        self._saved_at = time.monotonic()
        self._save_duration_s = self._saved_at - started

    def _write_batch(self) -> None:
        batch, self._batch, self._batch_chunks = self._batch, [], 0
        self._target.manifest.put(_create_pending_entry(change) for change in batch)
        new_ids = {chunk.id for change in batch for chunk in change.chunks}
        old_ids = [id_ for change in batch if change.previous for id_ in change.previous.chunk_ids]
        self._target.delete([id_ for id_ in old_ids if id_ not in new_ids])
        for part in _split_batch(batch):
            chunks = [chunk for _, part_chunks in part for chunk in part_chunks]
            self._put_chunks(chunks, is_resumed=any(_is_resumed(change) for change, _ in part))
            for change, part_chunks in part:
                self._on_written(change, len(part_chunks) / len(change.chunks) if change.chunks else 1.0)
        self._unsaved += batch

    def _put_chunks(self, chunks: list[Document], *, is_resumed: bool) -> None:
        if is_resumed:
            stored = self._target.fetch_chunks([str(chunk.id) for chunk in chunks])
            chunks = [chunk for chunk in chunks if not _is_same(chunk, stored.get(str(chunk.id)))]
        if chunks:
            self._target.put(chunks)


def _create_pending_entry(change: Change) -> Entry:
    if change.previous is not None:
        entry = change.previous
    else:
        assert change.entry is not None
        entry = replace(change.entry, file_hash="", chunk_ids=())
    new_ids = tuple(str(chunk.id) for chunk in change.chunks)
    return replace(entry, state="pending", chunk_ids=tuple(dict.fromkeys((*entry.chunk_ids, *new_ids))))


def _is_resumed(change: Change) -> bool:
    return change.previous is not None and change.previous.state == "pending"


def _is_same(chunk: Document, stored: Document | None) -> bool:
    return stored is not None and (stored.page_content, stored.metadata) == (chunk.page_content, chunk.metadata)


def _split_batch(batch: Sequence[Change]) -> Iterator[list[tuple[Change, Sequence[Document]]]]:
    """Yield changes with as many of their chunks as are embedded together; a large file comes in several parts."""
    part: list[tuple[Change, Sequence[Document]]] = []
    remaining = BATCH_SIZE
    for change in batch:
        start = 0
        while start < len(change.chunks) or start == 0:
            chunks = change.chunks[start : start + remaining]
            part.append((change, chunks))
            remaining -= len(chunks)
            start += max(1, len(chunks))
            if remaining <= 0:
                yield part
                part, remaining = [], BATCH_SIZE
    if part:
        yield part
