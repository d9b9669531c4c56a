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
from langchain_gptoss.ingest.readers.registry import SUPPORTED_SUFFIXES, is_plain
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


@pytest.mark.parametrize(
    ("executable", "detail"),
    [("/bin/false", "it ends at once"), ("/does/not/exist", "No such file or directory"), ("", "Python is unknown")],
)
def test_files_are_parsed_nowhere_else_if_no_process_can_be_started(jobs, monkeypatch, executable, detail):
    monkeypatch.setattr(sys, "executable", executable)
    results = {job.file.source: contents for job, contents in read_files(jobs, OPTIONS, 2)}
    assert set(results) == {job.file.source for job in jobs}
    assert isinstance(results.pop("a.md"), FileContents)
    for error in results.values():
        assert isinstance(error, UnreadableFileError)
        assert detail in str(error)
        assert not error.is_permanent


def test_processes_read_all_formats(jobs):
    results = {job.file.source: contents for job, contents in read_files(jobs, OPTIONS, 2)}
    assert set(results) == {job.file.source for job in jobs}
    assert str(results.pop("bad.pdf")).startswith("it is not a readable PDF")
    for source, contents in results.items():
        assert isinstance(contents, FileContents)
        assert source[0] in contents.documents[0].page_content
        assert contents.documents[0].metadata["source"] == source


def test_crash_skips_only_one_file(tmp_path, stub_worker):
    jobs = write_jobs(tmp_path, ["crash.html", "broken.html", *(f"{n}.html" for n in range(6))])
    results = {job.file.source: contents for job, contents in read_files(jobs, OPTIONS, 2)}
    crash, broken = results.pop("crash.html"), results.pop("broken.html")
    assert str(crash) == "it crashed the program that reads it or needs too much memory; open it and save it again"
    assert (str(broken), broken.is_permanent, broken.file_hash) == ("it is broken", True, "1")
    assert len(results) == 6
    assert all(contents.documents[0].metadata == {"page": 1} for contents in results.values())


def test_hang_skips_only_one_file(tmp_path, stub_worker, monkeypatch):
    monkeypatch.setattr(pool, "compute_wall_time", lambda _: 3.0)
    jobs = write_jobs(tmp_path, ["hang.html", *(f"{n}.html" for n in range(6))])
    results = {job.file.source: contents for job, contents in read_files(jobs, OPTIONS, 2)}
    assert str(results.pop("hang.html")).startswith("reading it took longer than 30 s of processor time; split it or")
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


@pytest.mark.parametrize(
    ("name", "size", "needs_worker"),
    [
        ("a.md", 10, False),
        ("a.markdown", 100_000, False),
        ("a.TXT", 10, False),
        ("a.md", 100_001, True),
        ("a.txt", 100_001, True),
        *((f"a{suffix}", 10, True) for suffix in (".html", ".pdf", ".docx", ".csv", ".tsv", ".json", ".jsonl", ".eml")),
        *((f"a{suffix}", 10, True) for suffix in (".htm", ".pptx", ".xlsx", ".epub", ".PDF")),
        ("a.own", 10, False),
    ],
)
def test_only_small_plain_texts_and_loaders_of_the_user_need_no_process(tmp_path, name, size, needs_worker):
    path = tmp_path / name
    path.write_bytes(b"x" * size)
    options = create_read_options({".own": lambda path: path.read_text()}, 10_000_000)
    assert pool._needs_worker(ReadJob(SourceFile(name, path)), options) == needs_worker


def test_every_supported_format_but_plain_text_needs_a_process():
    plain = {suffix for suffix in SUPPORTED_SUFFIXES if is_plain(suffix)}
    assert plain == {".md", ".markdown", ".txt"}


def test_plain_texts_start_no_process(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "_WorkerPool", None)
    assert len(list(read_files(write_jobs(tmp_path, ["a.md", "b.txt"]), OPTIONS))) == 2


def test_a_single_file_is_parsed_in_a_process(tmp_path, stub_worker):
    results = dict(read_files(write_jobs(tmp_path, ["crash.html", "a.md"]), OPTIONS, 1))
    assert [str(contents)[:10] for job, contents in results.items() if job.file.source == "crash.html"] == [
        "it crashed"
    ]
    assert len(results) == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system does not limit it")
@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("while True: pass", "reading it took longer than 1 s of processor time"),
        ("[bytearray(1 << 20) for _ in range(1 << 20)]", "reading it needs more memory than it may use; split it"),
        ("import ctypes; ctypes.string_at(0)", "it crashed the program that reads it or needs too much memory"),
        ("import os; os.kill(os.getpid(), 9)", "it crashed the program that reads it or needs too much memory"),
        ("raise LookupError('unknown encoding: undefined')", "it cannot be parsed (LookupError: unknown encoding"),
        ("import sys; print('{}'); sys.stdout.flush(); raise SystemExit", "it crashed the program that reads it"),
    ],
)
def test_limits_hold_in_real_processes(tmp_path, monkeypatch, behaviour, reason):
    """A reader that does harm costs its file only, and the file behind it is read by another process."""
    starter = tmp_path / "harmful.py"
    starter.write_text(
        "import sys\n"
        "from langchain_gptoss.ingest.readers import pdf, worker\n"
        f"def read_pdf(data, max_bytes):\n    {behaviour}\n"
        "pdf.read_pdf = read_pdf\n"
        "worker.main()\n"
    )
    monkeypatch.setattr(pool, "compute_processor_time", lambda _: 1.0)
    monkeypatch.setattr(pool, "compute_memory_limit", lambda: 300_000_000)
    command = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; exec(open({str(starter)!r}).read())"]
    monkeypatch.setattr(pool, "build_python_command", lambda _, *arguments: [*command, *arguments])
    jobs = write_jobs(tmp_path, ["bad.pdf", "good.html"])
    results = {job.file.source: contents for job, contents in read_files(jobs, OPTIONS, 1)}
    assert str(results["bad.pdf"]).startswith(reason)
    assert isinstance(results["good.html"], FileContents)


def test_a_response_without_an_end_is_cut_off(tmp_path, monkeypatch):
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\necho '{}'\nread line\nexec cat /dev/zero\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    monkeypatch.setattr(pool, "_compute_response_chars", lambda *_: 1000)
    monkeypatch.setattr(pool, "_END_TIMEOUT_S", 0.1)
    ((_, error),) = read_files(write_jobs(tmp_path, ["a.html"]), OPTIONS)
    assert str(error).startswith("it crashed the program")


def test_workers_must_be_positive(jobs):
    with pytest.raises(InvalidInputError, match="workers is 0"):
        list(read_files(jobs, OPTIONS, 0))
