"""Brings passages into an index in batches, so that a kill at any point costs the last batch and nothing else.

A file goes through three steps: its row says "pending" and names its old and new passages; its vectors are put into
the store; the store is saved and the row says "done". Whatever a killed run left behind therefore stands in a row.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from langchain_core.documents import Document

from langchain_gptoss.ingest.sync.manifest import Entry
from langchain_gptoss.ingest.sync.target import Target

BATCH = 1024
"""Passages that are embedded together: enough for the model to sort them by length."""

SAVE_SECONDS = 30.0
_SAVE_SHARE = 10  # saving may take a tenth of the time


@dataclass(frozen=True)
class Change:
    """What happens to one file.

    Attributes:
        entry: Its row when it is done, or None if it leaves the index.
        before: Its row now, or None.
        chunks: Its passages.
    """

    entry: Entry | None
    before: Entry | None
    chunks: Sequence[Document] = ()


class Writer:
    """Carries out changes.

    Args:
        target: The index.
        on_written: Called with a change and the share of it, in (0, 1], that was brought in now.
    """

    def __init__(self, target: Target, on_written: Callable[[Change, float], None]) -> None:
        self._target = target
        self._on_written = on_written
        self._batch: list[Change] = []
        self._chunks = 0
        self._unsaved: list[Change] = []
        self._saved_at = time.monotonic()
        self._save_took = 0.0

    def add(self, change: Change) -> None:
        """Takes a change; it may be carried out later."""
        self._batch.append(change)
        self._chunks += len(change.chunks)
        if self._chunks >= BATCH:
            self._write()
            if time.monotonic() - self._saved_at >= max(SAVE_SECONDS, _SAVE_SHARE * self._save_took):
                self.save()

    def finish(self) -> None:
        """Carries out and saves what is left."""
        self._write()
        self.save()

    def save(self) -> None:
        """Saves what was carried out."""
        if not self._unsaved:
            return
        began = time.monotonic()
        self._target.save()
        manifest = self._target.manifest
        manifest.put(change.entry for change in self._unsaved if change.entry is not None)
        manifest.remove(change.before.source for change in self._unsaved if change.entry is None and change.before)
        self._unsaved = []
        self._saved_at = time.monotonic()
        self._save_took = self._saved_at - began

    def _write(self) -> None:
        batch, self._batch, self._chunks = self._batch, [], 0
        self._target.manifest.put(_pending(change) for change in batch)
        new = {chunk.id for change in batch for chunk in change.chunks}
        old = [id_ for change in batch if change.before for id_ in change.before.chunk_ids]
        self._target.delete([id_ for id_ in old if id_ not in new])
        for part in _parts(batch):
            self._put([chunk for _, chunks in part for chunk in chunks], resumed=any(_is_resumed(c) for c, _ in part))
            for change, chunks in part:
                self._on_written(change, len(chunks) / len(change.chunks) if change.chunks else 1.0)
        self._unsaved += batch

    def _put(self, chunks: list[Document], *, resumed: bool) -> None:
        if resumed:
            there = self._target.present([str(chunk.id) for chunk in chunks])
            chunks = [chunk for chunk in chunks if not _same(chunk, there.get(str(chunk.id)))]
        if chunks:
            self._target.put(chunks)


def _pending(change: Change) -> Entry:
    new = tuple(str(chunk.id) for chunk in change.chunks)
    known = change.before or replace(_entry(change), file_hash="", chunk_ids=())
    return replace(known, state="pending", chunk_ids=tuple(dict.fromkeys((*known.chunk_ids, *new))))


def _entry(change: Change) -> Entry:
    assert change.entry is not None
    return change.entry


def _is_resumed(change: Change) -> bool:
    return change.before is not None and change.before.state == "pending"


def _same(chunk: Document, there: Document | None) -> bool:
    return there is not None and (there.page_content, there.metadata) == (chunk.page_content, chunk.metadata)


def _parts(batch: Sequence[Change]) -> Iterator[list[tuple[Change, Sequence[Document]]]]:
    """Yields changes with so many of their passages as are embedded together; a large file comes in several parts."""
    part: list[tuple[Change, Sequence[Document]]] = []
    room = BATCH
    for change in batch:
        at = 0
        while at < len(change.chunks) or at == 0:
            taken = change.chunks[at : at + room]
            part.append((change, taken))
            room -= len(taken)
            at += max(1, len(taken))
            if room <= 0:
                yield part
                part, room = [], BATCH
    if part:
        yield part
