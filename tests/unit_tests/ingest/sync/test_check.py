"""check_index: all differences are found and repaired."""

from pathlib import Path

import pytest
from langchain_core.documents import Document

from langchain_gptoss.errors import IndexStoreError
from langchain_gptoss.ingest import check_index
from langchain_gptoss.ingest.sync.manifest import Manifest
from langchain_gptoss.vectorstores import FaissStore
from tests.unit_tests.ingest.sync_helpers import (
    HashEmbeddings,
    describe_index,
    describe_new_index,
    synchronize,
    write_file,
)


def list_differences(place: Path, docs: Path, **options) -> dict[str, str]:
    report = check_index(place, docs, embeddings=HashEmbeddings(), on_progress=lambda _: None, **options)
    return {difference.source: difference.description for difference in report.differences}


def test_all_differences_are_found_and_repaired(docs, place, tmp_path):
    for name in ("gone", "changed", "cut", "altered", "broken"):
        write_file(docs / f"{name}.md", f"# {name}\n\nText of {name}.\n\n## Second\n\nmore")
    synchronize(docs, place)
    report = check_index(place, docs, embeddings=HashEmbeddings())
    assert report.is_consistent
    assert str(report).startswith("8 files, 15 chunks: 0 differences (")
    (docs / "gone.md").unlink()
    write_file(docs / "changed.md", "# changed\n\nTEXT of changed.\n\n## Second\n\nmore")
    write_file(docs / "new.md", "new")
    write_file(docs / "broken.md", b"\xff")
    with Manifest(place / "sync.sqlite") as manifest:
        entries = manifest.read_entries()
    store = FaissStore.load(place / "store", HashEmbeddings())
    store.delete([entries["cut.md"].chunk_ids[0]])
    (wrong,) = store.get_by_ids([entries["altered.md"].chunk_ids[0]])
    store.add_with_vectors([Document(id=wrong.id, page_content="forged", metadata=wrong.metadata)], [[1.0] * 8])
    store.save(place / "store")
    expected = {
        "altered.md": "1 of its 2 chunks are altered in the index",
        "broken.md": "it cannot be used any more: it is not UTF-8 text (byte 1), nor text in another known encoding; "
        "save it as UTF-8",
        "changed.md": "it has changed since it was indexed",
        "cut.md": "1 of its 2 chunks are missing in the index",
        "gone.md": "it no longer exists",
        "new.md": "it is not in the index",
    }
    assert list_differences(place, docs) == expected
    assert list_differences(place, docs, repair=True) == expected
    assert list_differences(place, docs) == {}
    assert describe_index(place) == describe_new_index(docs, tmp_path)


def test_stores_with_stray_chunks_or_damage_are_rebuilt(docs, place, tmp_path):
    synchronize(docs, place)
    store = FaissStore.load(place / "store", HashEmbeddings())
    store.add_with_vectors([Document(page_content="stray")], [[1.0] * 8])
    store.save(place / "store")
    assert list_differences(place, docs) == {"": "it has 1 chunks that belong to no file"}
    write_file(docs / "d.md", "four")
    assert set(list_differences(place, docs, repair=True)) == {"", "d.md"}
    assert list_differences(place, docs) == {}
    for part in (place / "store").iterdir():
        part.write_bytes(part.read_bytes()[:-9])
    write_file(docs / "e.md", "five")
    with pytest.raises(IndexStoreError):
        synchronize(docs, place)
    assert list_differences(place, docs)[""].startswith("its chunks cannot be read (")
    list_differences(place, docs, repair=True)
    assert list_differences(place, docs) == {}
    assert describe_index(place) == describe_new_index(docs, tmp_path)
    assert not (place / "store.damaged").exists()
    with pytest.raises(IndexStoreError, match="made with the embedding model"):
        check_index(place, docs, embeddings=HashEmbeddings("other"), repair=True)
