"""sync, check, watch: an index in step with a folder, whatever happened to either."""

import json
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock
from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_gptoss.errors import DocumentsError, IndexStoreError, InvalidInputError, StorageError
from langchain_gptoss.ingest import check_index, open_store, sync_documents, watch_documents
from langchain_gptoss.ingest.sync import apply as writer
from langchain_gptoss.ingest.sync.manifest import Manifest
from langchain_gptoss.vectorstores import FaissStore
from tests.unit_tests.ingest.office_files import docx
from tests.unit_tests.ingest.sync_helpers import Hashed, picture

LONG_AGO = 1_600_000_000


def write(path: Path, text: str | bytes, *, at: float = LONG_AGO) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    os.utime(path, (at, at))


@pytest.fixture
def docs(tmp_path) -> Path:
    folder = tmp_path / "docs"
    write(folder / "a.md", "# A\n\none\n\n## B\n\ntwo")
    write(folder / "sub" / "b.txt", "".join(f"three {i:03}. " for i in range(110)))
    write(folder / "c.csv", "Name,City\nAnna,Paris\n")
    return folder


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / "index"


def run(docs, place, **options):
    return sync_documents(
        docs, place, embeddings=options.pop("embeddings", None) or Hashed(), on_progress=lambda _: None, **options
    )


def fresh(docs: Path, tmp_path: Path, **options) -> dict:
    run(docs, tmp_path / "fresh", **options)
    return picture(tmp_path / "fresh")


def test_a_first_run_and_one_with_nothing_to_do(docs, place, monkeypatch):
    report = run(docs, place)
    assert report.added == ("a.md", "c.csv", "sub/b.txt")
    assert (report.changed, report.removed, report.unchanged, report.skipped) == ((), (), (), ())
    assert report.passages == len(open_store(place, Hashed())) == 5
    assert str(report).startswith("3 added, 0 changed, 0 removed, 0 unchanged, 0 skipped; 5 passages in the index (")

    def untouchable(*_: object) -> None:
        pytest.fail("nothing changed, so neither files nor vectors are read")

    monkeypatch.setattr(Path, "read_bytes", untouchable)
    monkeypatch.setattr(FaissStore, "load", untouchable)
    report = run(docs, place)
    assert report.unchanged == ("a.md", "c.csv", "sub/b.txt")
    assert report.passages == 5


def test_changed_added_and_removed(docs, place, tmp_path):
    run(docs, place)
    write(docs / "a.md", "# A\n\none\n\n## B\n\nother", at=LONG_AGO + 1)
    write(docs / "d.md", "four")
    (docs / "c.csv").unlink()
    report = run(docs, place)
    assert (report.added, report.changed, report.removed) == (("d.md",), ("a.md",), ("c.csv",))
    assert report.unchanged == ("sub/b.txt",)
    assert picture(place) == fresh(docs, tmp_path)


def test_a_touched_file_is_hashed_and_not_embedded(docs, place):
    run(docs, place)
    os.utime(docs / "a.md", (LONG_AGO + 5, LONG_AGO + 5))
    embeddings = Hashed()
    assert run(docs, place, embeddings=embeddings).unchanged == ("a.md", "c.csv", "sub/b.txt")
    assert embeddings.embedded == 0
    with Manifest(place / "sync.sqlite") as manifest:
        assert manifest.entries()["a.md"].mtime_ns == (LONG_AGO + 5) * 10**9


def test_a_change_within_one_tick_of_the_clock_is_seen(docs, place):
    now = time.time()
    write(docs / "a.md", "old text", at=now)
    run(docs, place)
    write(docs / "a.md", "new text", at=now)
    assert run(docs, place).changed == ("a.md",)


def test_what_is_skipped_is_remembered_and_said_again(docs, place, tmp_path, monkeypatch):
    write(docs / "bad.docx", b"junk")
    write(docs / "head.md", "# Only\n")
    report = run(docs, place)
    assert {skip.source: skip.reason.split(" (")[0] for skip in report.skipped} == {
        "bad.docx": "it is not a readable Word document",
        "head.md": "it holds no text besides headings",
    }
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it is known to be unusable"))
    assert run(docs, place).skipped == report.skipped
    monkeypatch.undo()
    write(docs / "a.md", b"\xff", at=LONG_AGO + 1)
    report = run(docs, place)
    assert report.removed == ("a.md",)
    assert [skip.source for skip in report.skipped] == ["a.md", "bad.docx", "head.md"]
    assert picture(place) == fresh(docs, tmp_path)
    write(docs / "a.md", "well again", at=LONG_AGO + 2)
    assert run(docs, place).added == ("a.md",)
    assert picture(place)["rows"]["a.md"][1] == "done"


def test_what_cannot_be_read_for_now_is_kept(docs, place, monkeypatch):
    run(docs, place)
    before = picture(place)
    os.utime(docs / "a.md", (LONG_AGO + 5, LONG_AGO + 5))
    read_bytes, scandir = Path.read_bytes, os.scandir

    def denied(path: Path) -> bytes:
        if path.name == "a.md":
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    def denied_folder(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(Path, "read_bytes", denied)
    monkeypatch.setattr(os, "scandir", denied_folder)
    report = run(docs, place)
    assert [str(skip) for skip in report.skipped] == [
        "Skipped a.md: it cannot be read (Permission denied); what was indexed of it before is kept.",
        "Skipped sub: the folder cannot be read (Permission denied).",
    ]
    assert report.removed == ()
    monkeypatch.undo()
    assert picture(place) == before


def test_a_file_that_grew_too_large_leaves(docs, place):
    run(docs, place)
    write(docs / "a.md", "x" * 5000, at=LONG_AGO + 1)
    report = run(docs, place, max_bytes=4000)
    assert report.removed == ("a.md",)
    assert "raise max_bytes" in report.skipped[0].reason
    assert run(docs, place).added == ("a.md",)


def test_slips_of_the_hand_empty_no_index(docs, place, tmp_path):
    run(docs, place)
    write(tmp_path / "other" / "x.md", "x")
    with pytest.raises(InvalidInputError, match="holds none of its files"):
        run(tmp_path / "other", place)
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "gone"):
        with pytest.raises(DocumentsError):
            run(folder, place)
    docs.rename(tmp_path / "moved")
    assert len(run(tmp_path / "moved", place).unchanged) == 3
    with pytest.raises(InvalidInputError, match="holds something else than a synchronised index"):
        run(tmp_path / "moved", tmp_path / "other")


def test_limits_stay_as_the_index_was_made(docs, place):
    run(docs, place, max_chars=50, overlap=10)
    small = picture(place)
    assert len(run(docs, place).unchanged) == 3
    assert picture(place) == small
    assert len(run(docs, place, max_chars=700, overlap=0).changed) == 3
    assert len(picture(place)["documents"]) == 5

    class Counting(Hashed):
        def get_num_tokens(self, text: str) -> int:
            return len(text.split())

    assert len(run(docs, place, max_tokens=20, embeddings=Counting()).changed) == 3
    assert all(len(text.split()) <= 20 for text, _ in picture(place)["documents"].values())
    with pytest.raises(InvalidInputError, match="max_chars is 0"):
        run(docs, place, max_chars=0)


def test_another_embedding_model_is_refused(docs, place):
    run(docs, place)
    with pytest.raises(IndexStoreError, match="made with the embedding model hashed and other was given"):
        run(docs, place, embeddings=Hashed("other"))


def test_the_embedding_model_of_the_index_is_the_default(docs, place, monkeypatch):
    asked = []
    monkeypatch.setattr("langchain_gptoss.embeddings.load_embeddings", lambda name: asked.append(name) or Hashed())
    sync_documents(docs, place, embeddings="some/model")
    write(docs / "d.md", "four")
    sync_documents(docs, place)
    assert len(open_store(place)) == 6
    assert asked == ["some/model", "some/model", "some/model"]


def test_the_index_may_be_inside_the_folder(docs):
    for _ in range(2):
        report = run(docs, docs / "index")
        assert {*report.added, *report.unchanged} == {"a.md", "c.csv", "sub/b.txt"}


def test_progress(docs, place, capsys):
    seen = []
    write(docs / "bad.md", b"\xff")
    sync_documents(docs, place, embeddings=Hashed(), on_progress=seen.append)
    assert (seen[-1].files, seen[-1].files_total) == (4, 4)
    assert seen[-1].bytes == seen[-1].bytes_total == sum(file.stat().st_size for file in docs.rglob("*.*"))
    write(docs / "d.md", "four")
    sync_documents(docs, place, embeddings=Hashed())
    assert "Indexing" in capsys.readouterr().err


def test_batches_that_end_inside_a_file(docs, place, tmp_path, monkeypatch):
    write(docs / "large.txt", "".join(f"Sentence {i}. " for i in range(2000)))
    whole = fresh(docs, tmp_path)
    monkeypatch.setattr(writer, "BATCH", 4)
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.0)
    run(docs, place)
    assert picture(place) == whole


def test_a_failure_keeps_what_was_done_and_the_next_run_goes_on(docs, place, tmp_path, monkeypatch):
    class Failing(Hashed):
        def embed_documents(self, texts):
            if self.embedded >= 3:
                raise RuntimeError("out of memory")
            return super().embed_documents(texts)

    monkeypatch.setattr(writer, "BATCH", 2)
    with pytest.raises(
        IndexStoreError, match=r"hashed failed on 1 passages, of .* \(RuntimeError: out of memory\)"
    ) as e:
        run(docs, place, embeddings=Failing())
    assert "synchronise again, which goes on from there" in str(e.value)
    kept = len(open_store(place, Hashed()))
    assert kept > 0
    embeddings = Hashed()
    report = run(docs, place, embeddings=embeddings)
    assert embeddings.embedded == 5 - kept
    assert report.passages == 5
    assert picture(place) == fresh(docs, tmp_path)


def test_vectors_that_cannot_be_used_spoil_nothing(docs, place, tmp_path):
    class Nan(Hashed):
        def embed_documents(self, texts):
            return [[float("nan")] * 8 for _ in texts]

    run(docs, place)
    before = picture(place)["documents"]
    write(docs / "d.md", "four")
    with pytest.raises(InvalidInputError, match="NaN"):
        run(docs, place, embeddings=Nan())
    store = open_store(place, Hashed())
    assert {d.id for d in store.get_by_ids(list(before))} == set(before)
    run(docs, place)
    assert picture(place) == fresh(docs, tmp_path)


def test_files_are_parsed_in_processes(docs, place, tmp_path):
    pytest.importorskip("mammoth")
    for number in range(6):
        write(docs / f"w{number}.docx", docx((1, f"Title {number}"), f"text of {number}"))
    write(docs / "bad.docx", b"junk")
    report = run(docs, place, workers=2)
    assert len(report.added) == 9
    assert report.skipped[0].reason.startswith("it is not a readable Word document")
    assert picture(place) == fresh(docs, tmp_path, workers=1)
    write(docs / "z.md", "z")
    with pytest.raises(InvalidInputError, match="workers is 0"):
        run(docs, place, workers=0)


def test_another_process_at_work(docs, place, monkeypatch):
    run(docs, place)
    monkeypatch.setattr("langchain_gptoss.ingest.sync.target._LOCK_SECONDS", 0.1)
    with FileLock(place / ".sync.sqlite.lock"), pytest.raises(IndexStoreError, match="Another process is at work"):
        run(docs, place)


def test_a_manifest_that_is_damaged_or_newer(docs, place, tmp_path):
    run(docs, place)
    with sqlite3.connect(place / "sync.sqlite") as db:
        db.execute("UPDATE settings SET value = '9' WHERE name = 'format'")
    with pytest.raises(IndexStoreError, match="has format 9 and this version reads format 1"):
        run(docs, place)
    (place / "sync.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(IndexStoreError, match=r"is damaged .* Delete the folder"):
        run(docs, place)
    write(tmp_path / "file", "x")
    with pytest.raises(StorageError):
        run(docs, tmp_path / "file" / "index")


class Given(BaseLoader):
    def __init__(self, *documents: tuple[str, str]) -> None:
        self.documents = documents

    def lazy_load(self):
        for source, text in self.documents:
            yield Document(page_content=text, metadata={"source": source})


def test_langchain_loaders_are_synchronised(place):
    run(Given(("x", "page one"), ("x", "page two"), ("y", "other")), place)
    before = picture(place)
    assert [entry[1] for entry in before["rows"].values()] == ["done", "done"]
    assert run(Given(("x", "page one"), ("x", "page two"), ("y", "other")), place).unchanged == ("x", "y")
    report = run(Given(("x", "page one"), ("x", "page 2"), ("z", "new")), place)
    assert (report.added, report.changed, report.removed) == (("z",), ("x",), ("y",))
    assert {text for text, _ in picture(place)["documents"].values()} == {"page one", "page 2", "new"}


def test_any_vector_store(docs, tmp_path):
    store = InMemoryVectorStore(Hashed())
    with pytest.raises(InvalidInputError, match="needs manifest="):
        sync_documents(docs, store)
    rows = tmp_path / "rows.sqlite"
    assert sync_documents(docs, store, manifest=rows, on_progress=lambda _: None).passages == 5
    assert len(store.store) == 5
    (docs / "c.csv").unlink()
    sync_documents(docs, store, manifest=rows, on_progress=lambda _: None)
    assert {document["metadata"]["source"] for document in store.store.values()} == {"a.md", "sub/b.txt"}
    store.delete([next(iter(store.store))])
    assert len(check_index(store, docs, manifest=rows).differences) == 1
    assert check_index(store, docs, manifest=rows, mend=True, on_progress=lambda _: None).mended
    assert len(store.store) == 4
    with pytest.raises(InvalidInputError, match="goes with a vector store"):
        sync_documents(docs, tmp_path / "index", manifest=rows)


def looked(place: Path, docs: Path, **options) -> dict[str, str]:
    report = check_index(place, docs, embeddings=Hashed(), on_progress=lambda _: None, **options)
    return {difference.source: difference.what for difference in report.differences}


def test_a_check_finds_every_difference_and_mends_it(docs, place, tmp_path):
    for name in ("gone", "changed", "cut", "altered", "broken"):
        write(docs / f"{name}.md", f"# {name}\n\nText of {name}.\n\n## Second\n\nmore")
    run(docs, place)
    report = check_index(place, docs, embeddings=Hashed())
    assert report.ok
    assert str(report).startswith("8 files, 15 passages: 0 differences (")
    (docs / "gone.md").unlink()
    write(docs / "changed.md", "# changed\n\nTEXT of changed.\n\n## Second\n\nmore")
    write(docs / "new.md", "new")
    write(docs / "broken.md", b"\xff")
    with Manifest(place / "sync.sqlite") as manifest:
        entries = manifest.entries()
    store = FaissStore.load(place / "store", Hashed())
    store.delete([entries["cut.md"].chunk_ids[0]])
    (wrong,) = store.get_by_ids([entries["altered.md"].chunk_ids[0]])
    store.add_with_vectors([Document(id=wrong.id, page_content="forged", metadata=wrong.metadata)], [[1.0] * 8])
    store.save(place / "store")
    expected = {
        "altered.md": "1 of its 2 passages are not what was indexed",
        "broken.md": "it cannot be used any more: it is not UTF-8 text (byte 1); save it as UTF-8",
        "changed.md": "it has changed since it was indexed",
        "cut.md": "1 of its 2 passages are missing from the index",
        "gone.md": "it no longer exists",
        "new.md": "it is not in the index",
    }
    assert looked(place, docs) == expected
    assert looked(place, docs, mend=True) == expected
    assert looked(place, docs) == {}
    assert picture(place) == fresh(docs, tmp_path)


def test_passages_of_no_file_and_a_damaged_store_are_built_anew(docs, place, tmp_path):
    run(docs, place)
    store = FaissStore.load(place / "store", Hashed())
    store.add_with_vectors([Document(page_content="stray")], [[1.0] * 8])
    store.save(place / "store")
    assert looked(place, docs) == {"": "it holds 1 passages that belong to no file"}
    write(docs / "d.md", "four")
    assert set(looked(place, docs, mend=True)) == {"", "d.md"}
    assert looked(place, docs) == {}
    for part in (place / "store").iterdir():
        part.write_bytes(part.read_bytes()[:-9])
    write(docs / "e.md", "five")
    with pytest.raises(IndexStoreError):
        run(docs, place)
    assert looked(place, docs)[""].startswith("its passages cannot be read (")
    looked(place, docs, mend=True)
    assert looked(place, docs) == {}
    assert picture(place) == fresh(docs, tmp_path)
    assert not (place / "store.damaged").exists()
    with pytest.raises(IndexStoreError, match="made with the embedding model"):
        check_index(place, docs, embeddings=Hashed("other"), mend=True)


def test_a_run_warns_of_an_incomplete_index(docs, place, caplog):
    run(docs, place)
    store = FaissStore.load(place / "store", Hashed())
    with Manifest(place / "sync.sqlite") as manifest:
        store.delete([manifest.entries()["a.md"].chunk_ids[0]])
    store.save(place / "store")
    write(docs / "d.md", "four")
    run(docs, place)
    assert "The index holds 4 passages and its manifest names 5. Mend it" in caplog.text


def test_opening_an_index(docs, place, tmp_path):
    with pytest.raises(IndexStoreError, match="gptoss index FOLDER --store"):
        open_store(place)
    run(docs, place)
    assert len(open_store(place, Hashed())) == 5
    assert len(open_store(place / "store", Hashed())) == 5
    with Manifest(tmp_path / "empty.sqlite"):
        pass
    (tmp_path / "begun").mkdir()
    (tmp_path / "empty.sqlite").rename(tmp_path / "begun" / "sync.sqlite")
    with pytest.raises(IndexStoreError, match="is not complete yet"):
        open_store(tmp_path / "begun", Hashed())


def test_watching(docs, place):
    reports, problems, stop = [], [], threading.Event()
    options = {"embeddings": Hashed(), "interval": 0.02, "stop": stop, "on_progress": lambda _: None}
    thread = threading.Thread(
        target=lambda: watch_documents(docs, place, on_report=reports.append, on_problem=problems.append, **options)
    )
    thread.start()

    def until(condition) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)

    until(lambda: reports)
    write(docs / "d.md", "four")
    until(lambda: len(reports) == 2)
    assert reports[1].added == ("d.md",)
    write(docs / "d.md", "four and five")
    until(lambda: len(reports) == 3)
    assert reports[2].changed == ("d.md",)
    docs.rename(docs.with_name("away"))
    until(lambda: problems)
    docs.with_name("away").rename(docs)
    (docs / "d.md").unlink()
    until(lambda: reports[-1].removed == ("d.md",))
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    for bad in ({"interval": 0}, {}):
        with pytest.raises(InvalidInputError):
            watch_documents(Given(("x", "y")) if not bad else docs, place, on_report=reports.append, **bad)


def test_the_manifest_is_json_and_sqlite(docs, place):
    run(docs, place)
    with sqlite3.connect(place / "sync.sqlite") as db:
        rows = db.execute("SELECT source, state, chunk_ids FROM files ORDER BY source").fetchall()
    assert [row[:2] for row in rows] == [("a.md", "done"), ("c.csv", "done"), ("sub/b.txt", "done")]
    assert all(json.loads(row[2]) for row in rows)
