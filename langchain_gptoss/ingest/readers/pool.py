"""Read files: small plain texts in this process, all others in worker processes with limits.

Threads of a `ThreadPoolExecutor` drive one worker process each. Processes use all cores, and a file that crashes its
parser, exhausts it or makes it hang costs that file only. The processes are started with `subprocess`, because
`multiprocessing`, and every pool built on it, runs the caller's script again in each process or forks a process that
has threads.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Self

from langchain_core.documents import Document

from langchain_gptoss._process import build_environment, build_python_command, get_working_folder
from langchain_gptoss.errors import InvalidInputError, MissingDependencyError
from langchain_gptoss.ingest.file_contents import FileContents, ReadOptions, read_file
from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.budget import compute_text_limit
from langchain_gptoss.ingest.readers.process_limits import (
    compute_memory_limit,
    compute_processor_time,
    compute_wall_time,
)
from langchain_gptoss.ingest.readers.registry import is_plain
from langchain_gptoss.ingest.sources import SourceFile

_FILES_PER_WORKER = 8  # fewer files do not repay the start of another process, which takes about a second
_MAX_PLAIN_BYTES = 100_000  # of a text that is read in this process, which takes at most some seconds
_MIN_RESPONSE_CHARS = 2_000_000
_END_TIMEOUT_S = 10.0
_MAX_BYTES_PER_CHAR = 4  # in UTF-8
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
    jobs_here: list[ReadJob] = []
    worker_jobs: list[ReadJob] = []
    for job in jobs:
        (worker_jobs if _needs_worker(job, options) else jobs_here).append(job)
    if not worker_jobs:
        yield from ((job, _read_here(job, options)) for job in jobs_here)
        return
    worker_count = min(len(worker_jobs), workers or min(_count_cores(), max(1, len(worker_jobs) // _FILES_PER_WORKER)))
    with _WorkerPool(worker_jobs, options, worker_count) as pool:
        yield from ((job, _read_here(job, options)) for job in jobs_here)
        yield from pool.iterate_results()


def _needs_worker(job: ReadJob, options: ReadOptions) -> bool:
    suffix = job.file.path.suffix.lower()
    if suffix in options.loaders:
        return False  # loaders of the user run in the user's process
    return not is_plain(suffix) or _get_size(job.file) > _MAX_PLAIN_BYTES


def _get_size(file: SourceFile) -> int:
    """Return the size of a file in bytes, 0 if it is unknown: reading it then fails."""
    try:
        return file.path.stat().st_size
    except OSError:
        return 0


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read_here(job: ReadJob, options: ReadOptions) -> FileContents | UnreadableFileError:
    if job.file.path.suffix.lower() not in options.loaders:
        options = replace(options, max_bytes=min(options.max_bytes, _MAX_PLAIN_BYTES))  # the file may have grown
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
        self._start_error = ""
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
        try:
            worker = self._acquire_worker()
        except UnreadableFileError as error:
            return error
        try:
            return worker.read(job, self._options.max_bytes)
        finally:
            self._release_worker(worker)

    def _acquire_worker(self) -> _Worker:
        """Return an idle or a new worker.

        Raises:
            CancelledError: The pool is closed.
            UnreadableFileError: Processes cannot be started, as in some frozen programs.
        """
        with self._lock:
            self._check_open()
            if self._idle_workers:
                return self._idle_workers.pop()
            if self._start_error:
                raise _create_start_error(self._start_error)
            try:
                worker = _Worker()
            except OSError as error:
                self._start_error = error.strerror or str(error)
                raise _create_start_error(self._start_error) from error
            self._workers.append(worker)
        if worker.wait_until_ready():
            return worker
        with self._lock:
            self._check_open()
            self._start_error = "it ends at once"
        raise _create_start_error(self._start_error)

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


def _create_start_error(detail: str) -> UnreadableFileError:
    return UnreadableFileError(
        f"the process that parses such files, {sys.executable or 'Python'}, cannot be started ({detail}); "
        "files are parsed nowhere else, because a damaged one may crash the program",
        is_permanent=False,
    )


class _Worker:
    """One worker process, which reads one file at a time.

    Attributes:
        is_usable: False after the process has crashed or was killed.
    """

    def __init__(self) -> None:
        self.is_usable = True
        self._is_late = False
        if not sys.executable:
            raise FileNotFoundError("the path of Python is unknown")
        self._process = subprocess.Popen(
            build_python_command("langchain_gptoss.ingest.readers.worker", str(compute_memory_limit())),
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
        size = min(_get_size(job.file), max_bytes)
        time_limit_s, max_chars = compute_processor_time(size), _compute_response_chars(size, max_bytes)
        request = {
            "source": job.file.source,
            "path": str(job.file.path),
            "max_bytes": max_bytes,
            "known_hash": job.known_hash,
            "time_limit_s": time_limit_s,
            "max_response_chars": max_chars,
        }
        timer = threading.Timer(compute_wall_time(size), self._kill_late)
        timer.start()
        try:
            response = self._exchange(request, _MAX_BYTES_PER_CHAR * max_chars)
        finally:
            timer.cancel()
            timer.join()
        # After a lack of memory the process may hold on to it.
        self.is_usable = response is not None and not self._is_late and not response.get("is_last", False)
        if response is not None:
            return _parse_response(response)
        if self._is_late or self._has_used_its_time():
            return UnreadableFileError(
                f"reading it took longer than {time_limit_s:.0f} s of processor time; "
                "split it or save it in another format"
            )
        return UnreadableFileError(
            "it crashed the program that reads it or needs too much memory; open it and save it again"
        )

    def _has_used_its_time(self) -> bool:
        """Return True if the system has ended the process because of its limit of processor time."""
        try:
            return self._process.wait(_END_TIMEOUT_S) == -getattr(signal, "SIGXCPU", 0) != 0
        except subprocess.TimeoutExpired:
            return False

    def _exchange(self, request: dict[str, Any], max_bytes: int) -> dict[str, Any] | None:
        """Return the response, None if the process ends before it is complete, or answers with too much."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline(max_bytes)
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


def _compute_response_chars(size_bytes: int, max_bytes: int) -> int:
    """Return the characters that the response for a file may have: its text, metadata, and the marks of JSON."""
    return _MIN_RESPONSE_CHARS + 2 * compute_text_limit(size_bytes, max_bytes)


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
