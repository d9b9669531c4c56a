"""Reads many files: those that are slow to parse in processes of their own, the others at once."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.documents import Document

from langchain_gptoss.errors import InvalidInputError, MissingDependencyError
from langchain_gptoss.ingest.load import Contents, Options, read_file
from langchain_gptoss.ingest.readers.formats import UnusableError
from langchain_gptoss.ingest.sources import Found

_SLOW = {".pdf", ".docx", ".pptx", ".xlsx", ".epub", ".html", ".htm"}
_FILES_PER_WORKER = 8  # a process takes about a second to start
_SECONDS = 300.0  # for one file


@dataclass(frozen=True)
class Job:
    """A file to read.

    Attributes:
        found: The file.
        known_hash: SHA-256 of what it held when it was read before, or None.
    """

    found: Found
    known_hash: str | None = None


Result = tuple[Job, "Contents | UnusableError"]


def read_all(jobs: Sequence[Job], options: Options, workers: int | None = None) -> Generator[Result, None, None]:
    """Yields what each file holds, or why it cannot be used, in any order.

    Args:
        jobs: The files.
        options: How they are read.
        workers: Processes that parse; by default one for each core, fewer where there are few files.

    Raises:
        InvalidInputError: `workers` is below 1.
        MissingDependencyError: A file needs an extra that is not installed.
    """
    if workers is not None and workers < 1:
        raise InvalidInputError(f"workers is {workers} and must be at least 1.")
    slow = [job for job in jobs if _is_slow(job, options)]
    count = min(len(slow), workers or min(_cores(), len(slow) // _FILES_PER_WORKER))
    if count < 2 or not sys.executable:
        yield from ((job, _read(job, options)) for job in jobs)
        return
    with _Pool(slow, options, count) as pool:
        yield from ((job, _read(job, options)) for job in jobs if not _is_slow(job, options))
        yield from pool.results()


def _is_slow(job: Job, options: Options) -> bool:
    # A loader of the user's runs where the user's code runs.
    suffix = job.found.path.suffix.lower()
    return suffix in _SLOW and suffix not in options.loaders


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read(job: Job, options: Options) -> Contents | UnusableError:
    try:
        return read_file(job.found, options, known_hash=job.known_hash)
    except UnusableError as unusable:
        return unusable


class _Pool:
    """Some processes, each driven by a thread."""

    def __init__(self, jobs: Sequence[Job], options: Options, count: int) -> None:
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for job in jobs:
            self._jobs.put(job)
        self._left = len(jobs)
        self._results: queue.Queue[Result | BaseException] = queue.Queue(2 * count)
        self._options = options
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._drive, daemon=True) for _ in range(count)]

    def __enter__(self) -> _Pool:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        while any(thread.is_alive() for thread in self._threads):
            with_room = True
            while with_room:
                try:
                    self._results.get_nowait()
                except queue.Empty:
                    with_room = False
            for thread in self._threads:
                thread.join(0.01)

    def results(self) -> Iterator[Result]:
        while self._left:
            result = self._results.get()
            if isinstance(result, BaseException):
                raise result
            self._left -= 1
            yield result

    def _drive(self) -> None:
        worker: _Worker | None = None
        startable = True
        try:
            while not self._stopping.is_set():
                job = self._jobs.get_nowait()
                if startable and (worker is None or not worker.alive):
                    worker = _Worker()
                    startable = worker.alive
                read: Contents | UnusableError | None
                if startable and worker is not None:
                    read = worker.read(job, self._options.max_bytes, self._stopping)
                else:  # no process can be started, as in some frozen programs
                    read = _read(job, self._options)
                if read is None:
                    return
                self._results.put((job, read))
        except queue.Empty:
            pass
        except BaseException as error:  # it is raised where the results are awaited
            self._results.put(error)
        finally:
            if worker is not None:
                worker.close()


class _Worker:
    """One process."""

    def __init__(self) -> None:
        path = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "langchain_gptoss.ingest.readers.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert self._process.stdout is not None
        self.alive = bool(self._process.stdout.readline())

    def read(self, job: Job, max_bytes: int, stopping: threading.Event) -> Contents | UnusableError | None:
        """Returns what a file holds; None when told to stop meanwhile."""
        question = {
            "source": job.found.source,
            "path": str(job.found.path),
            "max_bytes": max_bytes,
            "known_hash": job.known_hash,
        }
        answer, late = self._asked(question, stopping)
        if answer is not None:
            return _contents(answer)
        self.alive = False
        self.close()
        if stopping.is_set():
            return None
        if late:
            return UnusableError(f"reading it took longer than {_SECONDS:g} s; split it or save it in another format")
        return UnusableError("it crashed the program that reads it; open it and save it again")

    def _asked(self, question: dict[str, Any], stopping: threading.Event) -> tuple[dict[str, Any] | None, bool]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        answered = threading.Event()
        late = False

        def watch() -> None:
            nonlocal late
            for _ in range(round(_SECONDS * 10)):
                if answered.wait(0.1) or stopping.is_set():
                    break
            late = not answered.is_set() and not stopping.is_set()
            if not answered.is_set():
                self._process.kill()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = b""
        finally:
            answered.set()
            watcher.join()
        return (json.loads(line) if line.endswith(b"\n") else None), late

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


def _contents(answer: dict[str, Any]) -> Contents | UnusableError:
    if "missing" in answer:
        raise MissingDependencyError(answer["missing"])
    if "reason" in answer:
        unusable = UnusableError(answer["reason"], lasting=answer["lasting"])
        unusable.file_hash = answer["hash"]
        return unusable
    texts = answer["documents"]
    documents = None if texts is None else [Document(page_content=text, metadata=metadata) for text, metadata in texts]
    return Contents(documents, answer["hash"])
