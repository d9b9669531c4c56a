"""A lock for many readers or one writer: FAISS indexes can be searched from many threads, but not while they change."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class ReadWriteLock:
    """A lock for any number of readers or one writer.

    A waiting writer has precedence over readers that come after it, so that readers cannot keep it out forever. The
    lock is not re-entrant, so no user code may run while it is held.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._reader_count = 0
        self._waiting_writer_count = 0
        self._has_writer = False

    @contextlib.contextmanager
    def lock_reading(self) -> Iterator[None]:
        """Keep writers out during the block."""
        with self._changed:
            while self._has_writer or self._waiting_writer_count:
                self._changed.wait()
            self._reader_count += 1
        try:
            yield
        finally:
            with self._changed:
                self._reader_count -= 1
                if not self._reader_count:
                    self._changed.notify_all()

    @contextlib.contextmanager
    def lock_writing(self) -> Iterator[None]:
        """Keep readers and other writers out during the block."""
        with self._changed:
            self._waiting_writer_count += 1
            try:
                while self._has_writer or self._reader_count:
                    self._changed.wait()
                self._has_writer = True
            finally:
                self._waiting_writer_count -= 1
                if not self._has_writer:
                    self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._has_writer = False
                self._changed.notify_all()
