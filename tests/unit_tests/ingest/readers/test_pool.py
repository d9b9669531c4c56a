"""Files read in processes: what a crash, a hang, or a process that cannot be started costs."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from langchain_gptoss.ingest.load import Contents, options_of
from langchain_gptoss.ingest.readers import pool
from langchain_gptoss.ingest.readers.formats import UnusableError
from langchain_gptoss.ingest.readers.pool import Job, read_all
from langchain_gptoss.ingest.sources import Found

OPTIONS = options_of(None, 1_000_000)


@pytest.fixture
def jobs(tmp_path) -> list[Job]:
    names = [f"{number}.html" for number in range(6)] + ["a.md", "bad.pdf", "caf\udce9.html"]
    for name in names:
        (tmp_path / name).write_text(f"<h1>{name[0]}</h1> text")
    return [Job(Found(name.encode("utf-8", "replace").decode(), tmp_path / name)) for name in names]


@pytest.mark.parametrize("executable", [sys.executable, "/bin/false", ""])
def test_every_file_is_read_whatever_can_be_started(jobs, monkeypatch, executable):
    monkeypatch.setattr(sys, "executable", executable)
    results = {job.found.source: read for job, read in read_all(jobs, OPTIONS, 2)}
    assert set(results) == {job.found.source for job in jobs}
    assert isinstance(results.pop("bad.pdf"), UnusableError)
    for source, read in results.items():
        assert isinstance(read, Contents)
        assert f"{source[0]}" in read.documents[0].page_content
        assert read.documents[0].metadata["source"] == source


def test_a_crash_and_a_hang_cost_one_file(jobs, monkeypatch):
    worker = pool._Worker()
    assert isinstance(worker.read(jobs[0], 1000, threading.Event()), Contents)
    worker._process.kill()
    crashed = worker.read(jobs[1], 1000, threading.Event())
    assert str(crashed) == "it crashed the program that reads it; open it and save it again"
    assert not worker.alive
    monkeypatch.setattr(pool, "_SECONDS", 0.2)
    worker = pool._Worker()
    os.kill(worker._process.pid, signal.SIGSTOP)
    hung = worker.read(jobs[1], 1000, threading.Event())
    assert str(hung).startswith("reading it took longer than 0.2 s; split it or")


def test_who_stops_early_leaves_no_process_behind(jobs, monkeypatch):
    started = []
    make = pool._Worker.__init__
    monkeypatch.setattr(pool._Worker, "__init__", lambda worker: make(worker) or started.append(worker._process))
    results = read_all(jobs, OPTIONS, 2)
    next(results)
    results.close()
    assert all(process.poll() is not None for process in started)
    assert threading.active_count() < 10


def test_few_files_need_no_process(jobs, monkeypatch):
    monkeypatch.setattr(pool, "_Worker", None)
    assert len(list(read_all(jobs, OPTIONS))) == len(jobs)


def test_a_file_that_is_known_is_not_parsed(tmp_path):
    path = Path(tmp_path / "x.html")
    path.write_text("<p>x</p>")
    worker = pool._Worker()
    assert worker.alive
    assert isinstance(worker.read(Job(Found("x.html", path)), 1000, threading.Event()), Contents)
    known = worker.read(Job(Found("x.html", path), "0" * 64), 1000, threading.Event())
    assert isinstance(known, Contents)
    assert worker.read(Job(Found("x.html", path), known.file_hash), 1000, threading.Event()).documents is None
    worker.close()
