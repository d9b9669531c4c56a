"""What goes wrong in the middle of a synchronisation: nothing is lost, and the message says what to do."""

import json
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from langchain_gptoss.errors import GptOssError, IndexStoreError, InvalidInputError
from langchain_gptoss.ingest import check_index, open_store, sync_documents
from langchain_gptoss.ingest.load import read_file
from langchain_gptoss.ingest.sync import apply as writer
from tests.unit_tests.ingest.sync_helpers import Hashed, picture


@pytest.fixture
def docs(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(writer, "BATCH", 2)
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.0)
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.md").write_text(f"# Title\n\ntext of {number}")
    return folder


def run(docs: Path, place: Path, embeddings: Hashed | None = None):
    return sync_documents(docs, place, embeddings=embeddings or Hashed(), on_progress=lambda _: None)


class Spoilt(Hashed):
    """Is well for two passages and then is not."""

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
        ("failing", r"hashed failed on 2 passages, of \d.md and others \(ConnectionError: connection reset\).*kept"),
        ("nan", r"NaN or infinity of a passage of 2\.md \(characters 9 to 18\)"),
        ("infinite", r"NaN or infinity of a passage of 2\.md"),
        ("longer", "9 dimensions and the store's have 8. Use the embedding model"),
        ("uneven", "all of one length. Check the embedding model"),
        ("fewer", "returned 1 vectors for 2 texts. It must return one each"),
        ("none", "returned 0 vectors for 2 texts"),
    ],
)
def test_embeddings_that_go_wrong_halfway(docs, tmp_path, kind, message):
    place = tmp_path / "index"
    with pytest.raises(GptOssError, match=message):
        run(docs, place, Spoilt(kind))
    kept = open_store(place, Hashed())
    assert len(kept) == 2
    embeddings = Hashed()
    assert run(docs, place, embeddings).passages == 6
    assert embeddings.embedded == 4
    run(docs, tmp_path / "fresh")
    assert picture(place) == picture(tmp_path / "fresh")


def test_files_that_change_while_they_are_taken_in(docs, tmp_path, monkeypatch):
    """One vanishes after it was listed, one is replaced by other text, one loses its permissions."""
    place = tmp_path / "index"

    def reading(found, options, **more):
        if found.source == "1.md":
            found.path.unlink()
        elif found.source == "2.md":
            found.path.write_text("# Title\n\nother")
        elif found.source == "3.md":
            raise_denied = PermissionError(13, "Permission denied")
            monkeypatch.setattr(Path, "read_bytes", lambda _: (_ for _ in ()).throw(raise_denied))
        try:
            return read_file(found, options, **more)
        finally:
            monkeypatch.setattr(Path, "read_bytes", read_bytes)

    read_bytes = Path.read_bytes
    monkeypatch.setattr("langchain_gptoss.ingest.readers.pool.read_file", reading)
    report = run(docs, place)
    assert [str(skip) for skip in report.skipped] == [
        "Skipped 1.md: it no longer exists.",
        "Skipped 3.md: it cannot be read (Permission denied).",
    ]
    assert report.added == ("0.md", "2.md", "4.md", "5.md")
    monkeypatch.setattr("langchain_gptoss.ingest.readers.pool.read_file", read_file)
    assert run(docs, place).added == ("3.md",)
    assert check_index(place, docs, embeddings=Hashed()).differences == ()


def manifest_of(place: Path) -> Path:
    return place / "store" / "manifest.json"


def truncated(place: Path) -> None:
    for part in (place / "store").glob("*.faiss"):
        part.write_bytes(part.read_bytes()[:-9])


def altered(place: Path) -> None:
    for part in (place / "store").glob("*.sqlite"):
        data = bytearray(part.read_bytes())
        data[len(data) // 2] ^= 1
        part.write_bytes(data)


def newer(place: Path) -> None:
    told = json.loads(manifest_of(place).read_text())
    told["format"] = 99
    manifest_of(place).write_text(json.dumps(told))


def lost(place: Path) -> None:
    manifest_of(place).unlink()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (truncated, r"is damaged: .* bytes instead of .* Build the index again"),
        (altered, r"is damaged: .* Build the index again"),
        (newer, r"99.*(?i:upgrade|newer)"),
        (lost, "There is no saved index in .* Check the path"),
    ],
)
def test_an_index_that_was_harmed(docs, tmp_path, harm, message):
    place = tmp_path / "index"
    run(docs, place)
    expected = picture(place)
    harm(place)
    (docs / "new.md").write_text("new")
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and path.name[0] != "."}
    with pytest.raises(IndexStoreError, match=message):
        run(docs, place)
    after = {path: path.read_bytes() for path in before if path.exists()}
    assert {path.suffix for path in before if after.get(path) != before[path]} <= {".sqlite"}  # the manifest of files
    (docs / "new.md").unlink()
    assert check_index(place, docs, embeddings=Hashed(), mend=True, on_progress=lambda _: None).mended
    assert picture(place) == expected


def test_an_index_that_is_locked(docs, tmp_path, monkeypatch):
    run(docs, tmp_path / "index")
    monkeypatch.setattr("langchain_gptoss.ingest.sync.target._LOCK_SECONDS", 0.01)
    with FileLock(tmp_path / "index" / ".sync.sqlite.lock"):
        for action in (run, lambda docs, place: check_index(place, docs, embeddings=Hashed())):
            with pytest.raises(IndexStoreError, match=r"Another process is at work .* Wait until it ends, or stop it"):
                action(docs, tmp_path / "index")


def test_what_is_passed_over_is_said(docs, tmp_path):
    for name in ("old.doc", "mail.msg", "picture.PNG", ".hidden.doc"):
        (docs / name).write_bytes(b"x")
    assert run(docs, tmp_path / "index").others == ("mail.msg", "old.doc", "picture.PNG")


def test_no_space_is_said(docs, tmp_path, monkeypatch):
    run(docs, tmp_path / "index")
    (docs / "new.md").write_text("new")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(GptOssError, match=r"the disk is full\. Free some space"):
            run(docs, tmp_path / "index")
    assert run(docs, tmp_path / "index").passages == 7
    shutil.rmtree(docs)
    with pytest.raises(GptOssError, match="There is no file or folder"):
        run(docs, tmp_path / "index")


def test_workers_and_limits_are_checked_before_anything_is_made(docs, tmp_path):
    with pytest.raises(InvalidInputError):
        sync_documents(docs, tmp_path / "index", embeddings=Hashed(), max_bytes=0)
    assert not (tmp_path / "index").exists()
