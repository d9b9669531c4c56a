"""Read many files: formats that are slow to parse in worker processes, the others in this process.

Threads of a `ThreadPoolExecutor` drive one worker process each. Processes use all cores, and a file that crashes its
parser or makes it hang costs that file only. The processes are started with `subprocess`, because `multiprocessing`,
and every pool built on it, runs the caller's script again in each process or forks a process that has threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

from langchain_core.documents import Document

from langchain_gptoss._process import build_environment, build_python_command, get_working_folder
from langchain_gptoss.errors import InvalidInputError, MissingDependencyError
from langchain_gptoss.ingest.file_contents import FileContents, ReadOptions, read_file
from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.registry import is_slow
from langchain_gptoss.ingest.sources import SourceFile

_FILES_PER_WORKER = 8  # fewer files do not repay the start of a process, which takes about a second
_FILE_TIMEOUT_S = 300.0
_QUEUED_PER_WORKER = 3  # bounds the documents that wait in memory while the caller embeds earlier ones


@dataclass(frozen=True)
class ReadJob:
    """A file to read.

    Attributes:
        file: The file.
        known_hash: SHA-256 of its earlier contents, or None; a file that still has it is not parsed.
    """

    file: SourceFile
    known_hash: str | None = None


ReadResult = tuple[ReadJob, "FileContents | UnreadableFileError"]


def read_files(
    jobs: Sequence[ReadJob], options: ReadOptions, workers: int | None = None
) -> Generator[ReadResult, None, None]:
    """Read files and yield their contents, or the error of those that cannot be used, in any order.

    Closing the generator ends the worker processes.

    Args:
        jobs: The files.
        options: Options of reading.
        workers: Maximum number of worker processes; by default one per core, and fewer or none for few files.

    Raises:
        InvalidInputError: `workers` is below 1.
        MissingDependencyError: A file needs an extra that is not installed.
    """
    if workers is not None and workers < 1:
        raise InvalidInputError(f"workers is {workers} and must be at least 1.")
    slow_jobs = [job for job in jobs if _needs_worker(job, options)]
    worker_count = min(len(slow_jobs), workers or min(_count_cores(), len(slow_jobs) // _FILES_PER_WORKER))
    if worker_count < 2 or not sys.executable:
        yield from ((job, _read_here(job, options)) for job in jobs)
        return
    with _WorkerPool(slow_jobs, options, worker_count) as pool:
        yield from ((job, _read_here(job, options)) for job in jobs if not _needs_worker(job, options))
        yield from pool.iterate_results()


def _needs_worker(job: ReadJob, options: ReadOptions) -> bool:
    # Loaders of the user run in the user's process.
    suffix = job.file.path.suffix.lower()
    return is_slow(suffix) and suffix not in options.loaders


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read_here(job: ReadJob, options: ReadOptions) -> FileContents | UnreadableFileError:
    try:
        return read_file(job.file, options, known_hash=job.known_hash)
    except UnreadableFileError as error:
        return error


class _WorkerPool:
    """Worker processes and the threads that drive them. Leaving the `with` block ends both."""

    def __init__(self, jobs: Sequence[ReadJob], options: ReadOptions, worker_count: int) -> None:
        self._options = options
        self._waiting = iter(jobs)
        self._max_pending = _QUEUED_PER_WORKER * worker_count
        self._pending: dict[Future[FileContents | UnreadableFileError], ReadJob] = {}
        self._threads = ThreadPoolExecutor(worker_count, thread_name_prefix="read-files")
        self._lock = threading.Lock()  # guards the fields below
        self._workers: list[_Worker] = []
        self._idle_workers: list[_Worker] = []
        self._can_start_workers = True
        self._is_closed = False

    def __enter__(self) -> Self:
        self._submit_jobs()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_closed = True
            for worker in self._workers:
                worker.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.close()

    def iterate_results(self) -> Iterator[ReadResult]:
        """Yield the results of all jobs as they come."""
        while self._pending:
            done, _ = wait(self._pending, return_when=FIRST_COMPLETED)
            for future in done:
                job = self._pending.pop(future)
                self._submit_jobs()
                yield job, future.result()

    def _submit_jobs(self) -> None:
        for job in islice(self._waiting, self._max_pending - len(self._pending)):
            self._pending[self._threads.submit(self._read, job)] = job

    def _read(self, job: ReadJob) -> FileContents | UnreadableFileError:
        worker = self._acquire_worker()
        if worker is None:
            return _read_here(job, self._options)
        try:
            return worker.read(job, self._options.max_bytes)
        finally:
            self._release_worker(worker)

    def _acquire_worker(self) -> _Worker | None:
        """Return an idle or a new worker; None if processes cannot be started, as in some frozen programs.

        Raises:
            CancelledError: The pool is closed.
        """
        with self._lock:
            self._check_open()
            if self._idle_workers:
                return self._idle_workers.pop()
            if not self._can_start_workers:
                return None
            try:
                worker = _Worker()
            except OSError:
                self._can_start_workers = False
                return None
            self._workers.append(worker)
        if worker.wait_until_ready():
            return worker
        with self._lock:
            self._check_open()
            self._can_start_workers = False
        return None

    def _check_open(self) -> None:
        if self._is_closed:
            raise CancelledError

    def _release_worker(self, worker: _Worker) -> None:
        with self._lock:
            if worker.is_usable:
                self._idle_workers.append(worker)
                return
            self._workers.remove(worker)
        worker.close()


class _Worker:
    """One worker process, which reads one file at a time.

    Attributes:
        is_usable: False after the process has crashed or was killed.
    """

    def __init__(self) -> None:
        self.is_usable = True
        self._is_late = False
        self._process = subprocess.Popen(
            build_python_command("langchain_gptoss.ingest.readers.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=get_working_folder(),
            env=build_environment(),
        )

    def wait_until_ready(self) -> bool:
        """Wait for the process to start; return False if it ends instead."""
        assert self._process.stdout is not None
        self.is_usable = bool(self._process.stdout.readline())
        return self.is_usable

    def read(self, job: ReadJob, max_bytes: int) -> FileContents | UnreadableFileError:
        """Read a file. A process that crashes or exceeds the time limit is not usable again."""
        request = {
            "source": job.file.source,
            "path": str(job.file.path),
            "max_bytes": max_bytes,
            "known_hash": job.known_hash,
        }
        timer = threading.Timer(_FILE_TIMEOUT_S, self._kill_late)
        timer.start()
        try:
            response = self._exchange(request)
        finally:
            timer.cancel()
            timer.join()
        self.is_usable = response is not None and not self._is_late
        if response is not None:
            return _parse_response(response)
        if self._is_late:
            return UnreadableFileError(
                f"reading it took longer than {_FILE_TIMEOUT_S:g} s; split it or save it in another format"
            )
        return UnreadableFileError("it crashed the program that reads it; open it and save it again")

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Return the response, None if the process ends before it is complete."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            return None
        return json.loads(line) if line.endswith(b"\n") else None

    def _kill_late(self) -> None:
        self._is_late = True
        self.kill()

    def kill(self) -> None:
        """Kill the process without waiting for its end."""
        self._process.kill()

    def close(self) -> None:
        """Kill the process and wait for its end."""
        self._process.kill()
        self._process.communicate()


def _parse_response(response: dict[str, Any]) -> FileContents | UnreadableFileError:
    if "missing_dependency" in response:
        raise MissingDependencyError(response["missing_dependency"], hint=response["hint"])
    if "reason" in response:
        error = UnreadableFileError(response["reason"], is_permanent=response["is_permanent"])
        error.file_hash = response["file_hash"]
        return error
    documents = None
    if response["documents"] is not None:
        documents = [Document(page_content=text, metadata=metadata) for text, metadata in response["documents"]]
    return FileContents(documents, response["file_hash"], tuple(response["warnings"]))
