"""Faults in the middle of a synchronization: nothing is lost, and the message says what to do."""

import json
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from langchain_gptoss.errors import GptOssError, IndexStoreError, InvalidInputError
from langchain_gptoss.ingest import check_index, file_contents, open_store, sync_documents
from langchain_gptoss.ingest.file_contents import read_file
from langchain_gptoss.ingest.sync import apply as apply
from tests.unit_tests.ingest.sync_helpers import HashEmbeddings, describe_index, synchronize


@pytest.fixture
def docs(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(apply, "BATCH_SIZE", 2)
    monkeypatch.setattr(apply, "SAVE_INTERVAL_S", 0.0)
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.md").write_text(f"# Title\n\ntext of {number}")
    return folder


class FailingEmbeddings(HashEmbeddings):
    """Work for two chunks and then fail."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def embed_documents(self, texts):
        vectors = super().embed_documents(texts)
        if self.embedded <= 2:
            return vectors
        if self.kind == "failing":
            raise ConnectionError("connection reset")
        return {
            "nan": [[float("nan"), *vector[1:]] for vector in vectors],
            "infinite": [[float("inf"), *vector[1:]] for vector in vectors],
            "longer": [[*vector, 0.5] for vector in vectors],
            "uneven": [vectors[0], vectors[1][:3]],
            "fewer": vectors[:1],
            "none": [],
        }[self.kind]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("failing", r"hashed failed on 2 chunks, of \d.md and others \(ConnectionError: connection reset\).*kept"),
        ("nan", r"NaN or infinity for a chunk of 2\.md \(characters 9 to 18\)"),
        ("infinite", r"NaN or infinity for a chunk of 2\.md"),
        ("longer", "9 dimensions,? and the store's have 8.* Use the embedding model"),
        ("uneven", "one length.* Check the embedding model"),
        ("fewer", "returned 1 vectors for 2 texts. It must return one per text"),
        ("none", "returned 0 vectors for 2 texts"),
    ],
)
def test_run_after_failing_embeddings_continues(docs, tmp_path, kind, message):
    place = tmp_path / "index"
    with pytest.raises(GptOssError, match=message):
        synchronize(docs, place, FailingEmbeddings(kind))
    kept = open_store(place, HashEmbeddings())
    assert len(kept) == 2
    embeddings = HashEmbeddings()
    assert synchronize(docs, place, embeddings).chunk_count == 6
    assert embeddings.embedded == 4
    synchronize(docs, tmp_path / "fresh")
    assert describe_index(place) == describe_index(tmp_path / "fresh")


def test_files_that_change_during_the_run(docs, tmp_path, monkeypatch):
    """One file is deleted after it was listed, one is replaced, one loses its permissions."""
    place = tmp_path / "index"

    def read_changed_file(file, options, **more):
        if file.source == "1.md":
            file.path.unlink()
        elif file.source == "2.md":
            file.path.write_text("# Title\n\nother")
        elif file.source == "3.md":
            denied = PermissionError(13, "Permission denied")
            monkeypatch.setattr(file_contents, "_open_without_waiting", lambda *_: (_ for _ in ()).throw(denied))
        try:
            return read_file(file, options, **more)
        finally:
            monkeypatch.setattr(file_contents, "_open_without_waiting", open_file)

    open_file = file_contents._open_without_waiting
    monkeypatch.setattr("langchain_gptoss.ingest.readers.pool.read_file", read_changed_file)
    report = synchronize(docs, place)
    assert [str(skip) for skip in report.skipped] == [
        "Skipped 1.md: it no longer exists.",
        "Skipped 3.md: it cannot be read (Permission denied).",
    ]
    assert report.added == ("0.md", "2.md", "4.md", "5.md")
    monkeypatch.setattr("langchain_gptoss.ingest.readers.pool.read_file", read_file)
    assert synchronize(docs, place).added == ("3.md",)
    assert check_index(place, docs, embeddings=HashEmbeddings()).differences == ()


def find_store_manifest(place: Path) -> Path:
    return place / "store" / "manifest.json"


def truncate_vectors(place: Path) -> None:
    for part in (place / "store").glob("*.faiss"):
        part.write_bytes(part.read_bytes()[:-9])


def alter_documents(place: Path) -> None:
    for part in (place / "store").glob("*.sqlite"):
        data = bytearray(part.read_bytes())
        data[len(data) // 2] ^= 1
        part.write_bytes(data)


def raise_format(place: Path) -> None:
    values = json.loads(find_store_manifest(place).read_text())
    values["format"] = 99
    find_store_manifest(place).write_text(json.dumps(values))


def delete_manifest(place: Path) -> None:
    find_store_manifest(place).unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate_vectors, r"is damaged: .* bytes instead of .* Build the index again"),
        (alter_documents, r"is damaged: .* Build the index again"),
        (raise_format, r"99.*(?i:upgrade|newer)"),
        (delete_manifest, "There is no saved index in .* Check the path"),
    ],
)
def test_damaged_index_is_rejected_and_can_be_repaired(docs, tmp_path, damage, message):
    place = tmp_path / "index"
    synchronize(docs, place)
    expected = describe_index(place)
    damage(place)
    (docs / "new.md").write_text("new")
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and path.name[0] != "."}
    with pytest.raises(IndexStoreError, match=message):
        synchronize(docs, place)
    after = {path: path.read_bytes() for path in before if path.exists()}
    assert {path.suffix for path in before if after.get(path) != before[path]} <= {".sqlite"}  # the manifest of files
    (docs / "new.md").unlink()
    assert check_index(place, docs, embeddings=HashEmbeddings(), repair=True, on_progress=lambda _: None).is_repaired
    assert describe_index(place) == expected


def test_locked_index_is_rejected(docs, tmp_path, monkeypatch):
    synchronize(docs, tmp_path / "index")
    monkeypatch.setattr("langchain_gptoss.ingest.sync.target._LOCK_TIMEOUT_S", 0.01)
    with FileLock(tmp_path / "index" / ".sync.sqlite.lock"):
        for action in (synchronize, lambda docs, place: check_index(place, docs, embeddings=HashEmbeddings())):
            with pytest.raises(IndexStoreError, match=r"Another process writes to .* Wait until it ends, or stop it"):
                action(docs, tmp_path / "index")


def test_unsupported_files_are_reported(docs, tmp_path):
    for name in ("old.doc", "mail.msg", "picture.PNG", ".hidden.doc"):
        (docs / name).write_bytes(b"x")
    assert synchronize(docs, tmp_path / "index").unsupported == ("mail.msg", "old.doc", "picture.PNG")


def test_full_disk_is_reported(docs, tmp_path, monkeypatch):
    synchronize(docs, tmp_path / "index")
    (docs / "new.md").write_text("new")

    def raise_disk_full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", raise_disk_full)
        with pytest.raises(GptOssError, match=r"the disk is full\. Free some space"):
            synchronize(docs, tmp_path / "index")
    assert synchronize(docs, tmp_path / "index").chunk_count == 7
    shutil.rmtree(docs)
    with pytest.raises(GptOssError, match="There is no file or folder"):
        synchronize(docs, tmp_path / "index")


def test_options_are_checked_before_the_folder_is_created(docs, tmp_path):
    with pytest.raises(InvalidInputError):
        sync_documents(docs, tmp_path / "index", embeddings=HashEmbeddings(), max_bytes=0)
    assert not (tmp_path / "index").exists()
