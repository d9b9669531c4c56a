"""The manifest file."""

import json
import sqlite3
from contextlib import closing

import pytest

from langchain_gptoss.errors import IndexStoreError, StorageError
from tests.unit_tests.ingest.sync_helpers import synchronize, write_file


def test_damaged_and_newer_manifests_are_rejected(docs, place, tmp_path):
    synchronize(docs, place)
    with closing(sqlite3.connect(place / "sync.sqlite")) as db, db:
        db.execute("UPDATE settings SET value = '9' WHERE name = 'format'")
    with pytest.raises(IndexStoreError, match="has format 9 and this version reads format 1"):
        synchronize(docs, place)
    (place / "sync.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(IndexStoreError, match=r"is damaged .* Delete the folder"):
        synchronize(docs, place)
    write_file(tmp_path / "file", "x")
    with pytest.raises(StorageError):
        synchronize(docs, tmp_path / "file" / "index")


def test_manifest_can_be_read_with_sqlite_and_json(docs, place):
    synchronize(docs, place)
    with closing(sqlite3.connect(place / "sync.sqlite")) as db, db:
        rows = db.execute("SELECT source, state, chunk_ids FROM files ORDER BY source").fetchall()
    assert [row[:2] for row in rows] == [("a.md", "done"), ("c.csv", "done"), ("sub/b.txt", "done")]
    assert all(json.loads(row[2]) for row in rows)
