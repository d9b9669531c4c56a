"""Saved indexes: round trip, damaged archives, failed saves."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from langchain_core.documents import Document

from langchain_gptoss.errors import IndexStoreError, InvalidInputError, StorageError
from langchain_gptoss.retrievers import BM25Retriever
from langchain_gptoss.retrievers.bm25 import persistence
from tests.unit_tests.retrievers.bm25.helpers import DOCUMENTS, create_retriever


def test_loaded_index_returns_the_same_results(tmp_path):
    folder = tmp_path / "données" / "索引"
    bm25 = BM25Retriever.from_documents(DOCUMENTS, language="en", k=3)
    bm25.delete(["b"])
    bm25.save(folder)
    loaded = BM25Retriever.load(folder, k=3)
    assert loaded.index.language == "en"
    assert loaded.invoke("express shipping") == bm25.invoke("express shipping")
    loaded.add_documents([DOCUMENTS[1]])
    loaded.save(folder)
    assert len(BM25Retriever.load(folder).index) == 4
    assert [path.name for path in folder.iterdir()] == [persistence.ARCHIVE]
    assert b"pickle" not in (folder / persistence.ARCHIVE).read_bytes()


def test_empty_index_can_be_saved_and_loaded(tmp_path):
    BM25Retriever().save(tmp_path)
    empty = BM25Retriever.load(tmp_path)
    assert empty.invoke("x") == []
    empty.add_documents(DOCUMENTS)
    assert empty.invoke("express")[0].id == "a"


def read_members(folder) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / persistence.ARCHIVE) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(folder, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / persistence.ARCHIVE, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def encode_array(*values: int) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array(values, dtype=np.int32))
    return stream.getvalue()


def update_hashes(files: dict[str, bytes], **changed) -> dict[str, bytes]:
    """Return files with a manifest of their hashes, to reach the checks after the hashes."""
    manifest = json.loads(files["manifest.json"]) | changed
    manifest["sha256"] = {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != "manifest.json"
    }
    return files | {"manifest.json": json.dumps(manifest).encode()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files | {"documents.jsonl": b"{}\n"}, "SHA-256 differs"),
        (lambda files: {name: data for name, data in files.items() if name != "rows.npy"}, "is not an index archive"),
        (lambda files: files | {"manifest.json": b"[]"}, "not a manifest"),
        (lambda files: update_hashes(files, format=3), "has format 3 and this version reads format 2"),
        (lambda files: update_hashes(files, count=9), "numbers of documents, ids and lengths differ"),
        (lambda files: update_hashes(files | {"terms.json": b"[]"}), "do not exist"),
        (lambda files: update_hashes(files | {"rows.npy": encode_array(99)}), "not in order"),
        (lambda files: update_hashes(files | {"documents.jsonl": b"x\n" * 4}), "damaged"),
        (lambda files: update_hashes(files | {"lengths.npy": b"\x80\x04K\x01."}), "damaged"),
    ],
)
def test_a_changed_archive_is_refused(tmp_path, change, message):
    create_retriever().save(tmp_path)
    write_members(tmp_path, change(read_members(tmp_path)))
    with pytest.raises(IndexStoreError, match=message):
        BM25Retriever.load(tmp_path)


def test_a_truncated_or_missing_archive_is_refused(tmp_path):
    with pytest.raises(IndexStoreError, match="no saved index"):
        BM25Retriever.load(tmp_path / "nowhere")
    create_retriever().save(tmp_path)
    content = (tmp_path / persistence.ARCHIVE).read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 1):
        (tmp_path / persistence.ARCHIVE).write_bytes(content[:size])
        with pytest.raises(IndexStoreError, match="damaged"):
            BM25Retriever.load(tmp_path)


def test_a_failed_save_leaves_the_old_index(tmp_path, monkeypatch):
    create_retriever().save(tmp_path)

    def fail_with_full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("langchain_gptoss._io.os.fsync", fail_with_full_disk)
    with pytest.raises(StorageError, match="the disk is full"):
        BM25Retriever().save(tmp_path)
    monkeypatch.undo()
    assert len(BM25Retriever.load(tmp_path).index) == 4
    assert [path.name for path in tmp_path.iterdir()] == [persistence.ARCHIVE]
    with pytest.raises(InvalidInputError, match="cannot be saved as JSON"):
        BM25Retriever.from_documents([Document(page_content="x", metadata={"x": object})]).save(tmp_path)
    assert len(BM25Retriever.load(tmp_path).index) == 4


def test_an_index_of_an_earlier_version_is_analysed_again(tmp_path):
    create_retriever().save(tmp_path)
    old = {"terms.json": b'["' + b'", "'.join(b"x%d" % number for number in range(500)) + b'"]'}
    write_members(tmp_path, update_hashes(read_members(tmp_path) | old, format=1))
    loaded = BM25Retriever.load(tmp_path)
    fresh = create_retriever()
    query = "returned goods and the price of delivery"
    assert [d.page_content for d in loaded.invoke(query)] == [d.page_content for d in fresh.invoke(query)]
    loaded.save(tmp_path)
    assert b'"format": 2' in read_members(tmp_path)["manifest.json"]
