"""Many readers or one writer: a FAISS index may be searched from many threads, but not while it changes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class ReadWriteLock:
    """Held by any number of readers or by one writer.

    A writer that waits goes before readers that come after it, so that it is not starved. Neither side is re-entrant:
    no code of the user may run under this lock.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._waiting = 0
        self._written = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Keeps writers out."""
        with self._changed:
            while self._written or self._waiting:
                self._changed.wait()
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                if not self._readers:
                    self._changed.notify_all()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Keeps everybody else out."""
        with self._changed:
            self._waiting += 1
            try:
                while self._written or self._readers:
                    self._changed.wait()
                self._written = True
            finally:
                self._waiting -= 1
                if not self._written:
                    self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._written = False
                self._changed.notify_all()
