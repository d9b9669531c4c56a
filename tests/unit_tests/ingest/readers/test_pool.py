"""read_files: worker processes, and the cost of crashes, hangs and processes that cannot be started."""

import sys
import threading
from pathlib import Path

import pytest

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.ingest.file_contents import FileContents, create_read_options
from langchain_gptoss.ingest.readers import pool
from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.pool import ReadJob, read_files
from langchain_gptoss.ingest.sources import SourceFile

OPTIONS = create_read_options(None, 1_000_000)
# Replaces Python: it follows the protocol of the worker and starts in milliseconds.
STUB_WORKER = """#!/bin/sh
echo '{}'
while IFS= read -r line; do
  case "$line" in
    */crash*) exit 1;;
    */hang*) exec sleep 1000;;
    */missing*) echo '{"missing_dependency": "No parser.", "hint": "Install it."}';;
    */broken*) echo '{"reason": "it is broken", "is_permanent": true, "file_hash": "1"}';;
    *) echo '{"documents": [["text", {"page": 1}]], "file_hash": "2", "warnings": []}';;
  esac
done
"""


def write_jobs(folder: Path, names: list[str]) -> list[ReadJob]:
    for name in names:
        (folder / name).write_text(f"<h1>{name[0]}</h1> text")
    return [ReadJob(SourceFile(name.encode("utf-8", "replace").decode(), folder / name)) for name in names]


@pytest.fixture
def jobs(tmp_path) -> list[ReadJob]:
    return write_jobs(tmp_path, [f"{n}.html" for n in range(6)] + ["a.md", "bad.pdf", "caf\udce9.html"])


@pytest.fixture
def stub_worker(tmp_path, monkeypatch) -> None:
    path = tmp_path / "python"
    path.write_text(STUB_WORKER)
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


@pytest.mark.parametrize("executable", ["/bin/false", "/does/not/exist", ""])
def test_files_are_read_here_if_no_process_can_be_started(jobs, monkeypatch, executable):
    monkeypatch.setattr(sys, "executable", executable)
    results = {job.file.source: contents for job, contents in read_files(jobs, OPTIONS, 2)}
    assert set(results) == {job.file.source for job in jobs}
    assert isinstance(results.pop("bad.pdf"), UnreadableFileError)
    for source, contents in results.items():
        assert isinstance(contents, FileContents)
        assert source[0] in contents.documents[0].page_content
        assert contents.documents[0].metadata["source"] == source


def test_crash_skips_only_one_file(tmp_path, stub_worker):
    jobs = write_jobs(tmp_path, ["crash.html", "broken.html", *(f"{n}.html" for n in range(6))])
    results = {job.file.source: contents for job, contents in read_files(jobs, OPTIONS, 2)}
    crash, broken = results.pop("crash.html"), results.pop("broken.html")
    assert str(crash) == "it crashed the program that reads it; open it and save it again"
    assert (str(broken), broken.is_permanent, broken.file_hash) == ("it is broken", True, "1")
    assert len(results) == 6
    assert all(contents.documents[0].metadata == {"page": 1} for contents in results.values())


def test_hang_skips_only_one_file(tmp_path, stub_worker, monkeypatch):
    monkeypatch.setattr(pool, "_FILE_TIMEOUT_S", 3.0)
    jobs = write_jobs(tmp_path, ["hang.html", *(f"{n}.html" for n in range(6))])
    results = {job.file.source: contents for job, contents in read_files(jobs, OPTIONS, 2)}
    assert str(results.pop("hang.html")).startswith("reading it took longer than 3 s; split it or")
    assert all(isinstance(contents, FileContents) for contents in results.values())


def test_missing_dependency_is_raised(tmp_path, stub_worker):
    jobs = write_jobs(tmp_path, ["missing.html", "1.html"])
    with pytest.raises(ImportError, match="No parser"):
        list(read_files(jobs, OPTIONS, 2))


@pytest.mark.parametrize("names", [["1.html", "2.html", "3.html"], ["hang1.html", "hang2.html", "a.md"]])
def test_closing_early_leaves_no_process(tmp_path, stub_worker, monkeypatch, names):
    processes = []
    create = pool._Worker.__init__
    monkeypatch.setattr(pool._Worker, "__init__", lambda worker: create(worker) or processes.append(worker._process))
    results = read_files(write_jobs(tmp_path, names), OPTIONS, 2)
    next(results)
    results.close()
    assert processes
    assert all(process.poll() is not None for process in processes)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-files")]


def test_few_files_need_no_process(jobs, monkeypatch):
    monkeypatch.setattr(pool, "_Worker", None)
    assert len(list(read_files(jobs, OPTIONS))) == len(jobs)


def test_workers_must_be_positive(jobs):
    with pytest.raises(InvalidInputError, match="workers is 0"):
        list(read_files(jobs, OPTIONS, 0))
