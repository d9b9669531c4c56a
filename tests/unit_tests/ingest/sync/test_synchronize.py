"""sync_documents: the index matches its sources after each run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.ingest import (
    check_index,
    file_contents,
    open_store,
    sync_documents,
)
from langchain_gptoss.ingest.sync.manifest import Manifest
from langchain_gptoss.vectorstores import FaissStore
from tests import ROOT
from tests.unit_tests.ingest.sample_files import create_docx
from tests.unit_tests.ingest.sync_helpers import (
    LONG_AGO,
    HashEmbeddings,
    describe_index,
    describe_new_index,
    synchronize,
    write_file,
)


def test_unchanged_files_are_not_read_again(docs, place, monkeypatch):
    report = synchronize(docs, place)
    assert report.added == ("a.md", "c.csv", "sub/b.txt")
    assert (report.changed, report.removed, report.unchanged, report.skipped) == ((), (), (), ())
    assert report.chunk_count == len(open_store(place, HashEmbeddings())) == 5
    assert str(report).startswith("3 added, 0 changed, 0 removed, 0 unchanged, 0 skipped; 5 chunks in the index (")

    def fail_on_read(*_: object) -> None:
        pytest.fail("nothing changed, so neither files nor vectors are read")

    monkeypatch.setattr(Path, "read_bytes", fail_on_read)
    monkeypatch.setattr(FaissStore, "load", fail_on_read)
    report = synchronize(docs, place)
    assert report.unchanged == ("a.md", "c.csv", "sub/b.txt")
    assert report.chunk_count == 5


def test_changed_added_and_removed_files(docs, place, tmp_path):
    synchronize(docs, place)
    write_file(docs / "a.md", "# A\n\none\n\n## B\n\nother", at=LONG_AGO + 1)
    write_file(docs / "d.md", "four")
    (docs / "c.csv").unlink()
    report = synchronize(docs, place)
    assert (report.added, report.changed, report.removed) == (("d.md",), ("a.md",), ("c.csv",))
    assert report.unchanged == ("sub/b.txt",)
    assert describe_index(place) == describe_new_index(docs, tmp_path)


def test_unusable_files_are_reported_by_every_run(docs, place, tmp_path, monkeypatch):
    write_file(docs / "bad.docx", b"junk")
    write_file(docs / "head.md", "# Only\n")
    report = synchronize(docs, place)
    assert {skip.source: skip.reason.split(" (")[0] for skip in report.skipped} == {
        "bad.docx": "it is not a readable Word document",
        "head.md": "it has no text besides headings",
    }
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it is known to be unusable"))
    assert synchronize(docs, place).skipped == report.skipped
    monkeypatch.undo()
    write_file(docs / "a.md", b"\xff", at=LONG_AGO + 1)
    report = synchronize(docs, place)
    assert report.removed == ("a.md",)
    assert [skip.source for skip in report.skipped] == ["a.md", "bad.docx", "head.md"]
    assert describe_index(place) == describe_new_index(docs, tmp_path)
    write_file(docs / "a.md", "well again", at=LONG_AGO + 2)
    assert synchronize(docs, place).added == ("a.md",)
    assert describe_index(place)["rows"]["a.md"][1] == "done"


def test_temporarily_unreadable_files_stay_in_the_index(docs, place, monkeypatch):
    synchronize(docs, place)
    before = describe_index(place)
    os.utime(docs / "a.md", (LONG_AGO + 5, LONG_AGO + 5))
    open_file, scandir = file_contents._open_without_waiting, os.scandir

    def deny_file(path: str, flags: int) -> int:
        if path.endswith("a.md"):
            raise PermissionError(13, "Permission denied", path)
        return open_file(path, flags)

    def deny_folder(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(file_contents, "_open_without_waiting", deny_file)
    monkeypatch.setattr(os, "scandir", deny_folder)
    report = synchronize(docs, place)
    assert [str(skip) for skip in report.skipped] == [
        "Skipped a.md: it cannot be read (Permission denied); its earlier contents stay in the index.",
        "Skipped sub: the folder cannot be read (Permission denied).",
    ]
    assert report.removed == ()
    monkeypatch.undo()
    assert describe_index(place) == before


def test_files_that_grow_too_large_are_removed(docs, place):
    synchronize(docs, place)
    write_file(docs / "a.md", "x" * 5000, at=LONG_AGO + 1)
    report = synchronize(docs, place, max_bytes=4000)
    assert report.removed == ("a.md",)
    assert "raise max_bytes" in report.skipped[0].reason
    assert synchronize(docs, place).added == ("a.md",)


def test_limits_stay_as_the_index_was_made(docs, place):
    synchronize(docs, place, max_chars=50, overlap=10)
    small = describe_index(place)
    assert len(synchronize(docs, place).unchanged) == 3
    assert describe_index(place) == small
    assert len(synchronize(docs, place, max_chars=700, overlap=0).changed) == 3
    assert len(describe_index(place)["documents"]) == 5

    class CountingEmbeddings(HashEmbeddings):
        def get_num_tokens(self, text: str) -> int:
            return len(text.split())

    assert len(synchronize(docs, place, max_tokens=20, embeddings=CountingEmbeddings()).changed) == 3
    assert all(len(text.split()) <= 20 for text, _ in describe_index(place)["documents"].values())
    with pytest.raises(InvalidInputError, match="max_chars is 0"):
        synchronize(docs, place, max_chars=0)


def test_index_can_be_inside_the_folder(docs):
    for _ in range(2):
        report = synchronize(docs, docs / "index")
        assert {*report.added, *report.unchanged} == {"a.md", "c.csv", "sub/b.txt"}


def test_progress_is_reported_to_a_function_or_a_bar(docs, place, capsys):
    seen = []
    write_file(docs / "bad.md", b"\xff")
    sync_documents(docs, place, embeddings=HashEmbeddings(), on_progress=seen.append)
    assert (seen[-1].files_done, seen[-1].files_total) == (4, 4)
    assert seen[-1].bytes_done == seen[-1].bytes_total == sum(file.stat().st_size for file in docs.rglob("*.*"))
    write_file(docs / "d.md", "four")
    sync_documents(docs, place, embeddings=HashEmbeddings())
    assert "Indexing" in capsys.readouterr().err


# No `if __name__ == "__main__"`: scripts of users have none, and workers must not run them again.
UNGUARDED_SCRIPT = """
import sys
from pathlib import Path
from tests.unit_tests.ingest.sync_helpers import synchronize

print(synchronize(sys.argv[1], Path(sys.argv[2]), workers=2))
"""


def test_workers_give_the_same_index_and_do_not_run_the_script_again(docs, place, tmp_path):
    for number in range(3):
        write_file(docs / f"w{number}.docx", create_docx((1, f"Title {number}"), f"text of {number}"))
    write_file(docs / "bad.docx", b"junk")
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED_SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(script), str(docs), str(place)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, env=environment)
    assert result.stdout.startswith("6 added, 0 changed, 0 removed, 0 unchanged, 1 skipped")
    assert result.stdout.count("added") == 1
    assert describe_index(place) == describe_new_index(docs, tmp_path, workers=1)
    assert "it is not a readable Word document" in describe_index(place)["rows"]["bad.docx"][3]


class DocumentLoader(BaseLoader):
    def __init__(self, *documents: tuple[str, str]) -> None:
        self.documents = documents

    def lazy_load(self):
        for source, text in self.documents:
            yield Document(page_content=text, metadata={"source": source})


def test_langchain_loaders_are_synchronized(place):
    synchronize(DocumentLoader(("x", "page one"), ("x", "page two"), ("y", "other")), place)
    before = describe_index(place)
    assert [entry[1] for entry in before["rows"].values()] == ["done", "done"]
    assert synchronize(DocumentLoader(("x", "page one"), ("x", "page two"), ("y", "other")), place).unchanged == (
        "x",
        "y",
    )
    report = synchronize(DocumentLoader(("x", "page one"), ("x", "page 2"), ("z", "new")), place)
    assert (report.added, report.changed, report.removed) == (("z",), ("x",), ("y",))
    assert {text for text, _ in describe_index(place)["documents"].values()} == {"page one", "page 2", "new"}


def test_any_vector_store_can_be_synchronized(docs, tmp_path):
    store = InMemoryVectorStore(HashEmbeddings())
    with pytest.raises(InvalidInputError, match="needs manifest="):
        sync_documents(docs, store)
    rows = tmp_path / "rows.sqlite"
    assert sync_documents(docs, store, manifest=rows, on_progress=lambda _: None).chunk_count == 5
    assert len(store.store) == 5
    (docs / "c.csv").unlink()
    sync_documents(docs, store, manifest=rows, on_progress=lambda _: None)
    assert {document["metadata"]["source"] for document in store.store.values()} == {"a.md", "sub/b.txt"}
    store.delete([next(iter(store.store))])
    assert len(check_index(store, docs, manifest=rows).differences) == 1
    assert check_index(store, docs, manifest=rows, repair=True, on_progress=lambda _: None).is_repaired
    assert len(store.store) == 4
    with pytest.raises(InvalidInputError, match="only for a vector store"):
        sync_documents(docs, tmp_path / "index", manifest=rows)


def test_wrong_number_of_chunks_is_logged(docs, place, caplog):
    synchronize(docs, place)
    store = FaissStore.load(place / "store", HashEmbeddings())
    with Manifest(place / "sync.sqlite") as manifest:
        store.delete([manifest.read_entries()["a.md"].chunk_ids[0]])
    store.save(place / "store")
    write_file(docs / "d.md", "four")
    synchronize(docs, place)
    assert "The index has 4 chunks and its manifest lists 5. Repair it" in caplog.text
