"""Plans of a synchronization: which sources are new, changed or unchanged."""

import os
import time

import pytest

from langchain_gptoss.errors import DocumentsError, InvalidInputError
from langchain_gptoss.ingest.sync import diff
from langchain_gptoss.ingest.sync.manifest import Manifest
from tests.unit_tests.ingest.sync_helpers import LONG_AGO, HashEmbeddings, synchronize, write_file


def test_file_with_a_new_time_is_hashed_and_not_embedded(docs, place):
    synchronize(docs, place)
    os.utime(docs / "a.md", (LONG_AGO + 5, LONG_AGO + 5))
    embeddings = HashEmbeddings()
    assert synchronize(docs, place, embeddings=embeddings).unchanged == ("a.md", "c.csv", "sub/b.txt")
    assert embeddings.embedded == 0
    with Manifest(place / "sync.sqlite") as manifest:
        assert manifest.read_entries()["a.md"].mtime_ns == (LONG_AGO + 5) * 10**9


def test_change_within_one_tick_of_the_clock_is_found(docs, place, monkeypatch):
    monkeypatch.setattr(diff, "_MTIME_RESOLUTION_NS", 10**12)  # the run may be slow
    now = time.time()
    write_file(docs / "a.md", "old text", at=now)
    synchronize(docs, place)
    write_file(docs / "a.md", "new text", at=now)
    assert synchronize(docs, place).changed == ("a.md",)


def test_wrong_folder_does_not_empty_the_index(docs, place, tmp_path):
    synchronize(docs, place)
    write_file(tmp_path / "other" / "x.md", "x")
    with pytest.raises(InvalidInputError, match="has none of its files"):
        synchronize(tmp_path / "other", place)
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "gone"):
        with pytest.raises(DocumentsError):
            synchronize(folder, place)
    docs.rename(tmp_path / "moved")
    assert len(synchronize(tmp_path / "moved", place).unchanged) == 3
    with pytest.raises(InvalidInputError, match="contains other files than a synchronized index"):
        synchronize(tmp_path / "moved", tmp_path / "other")
