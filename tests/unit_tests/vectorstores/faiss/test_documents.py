"""The documents of a FaissStore in SQLite."""

import errno
import gc
import sqlite3

import pytest

from langchain_gptoss.errors import StorageError
from langchain_gptoss.vectorstores.faiss.documents import DocumentTable, make_row


def test_connection_is_closed_with_its_table():
    table = DocumentTable()
    database = table._database
    del table
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")


def test_full_disk_rolls_back_a_batch():
    table = DocumentTable()
    table._database.execute("PRAGMA max_page_count = 8")
    with pytest.raises(StorageError, match=r"full.*SQLITE_TMPDIR"):
        table.insert(0, [make_row(str(number), "x" * 5000, {}) for number in range(50)])
    assert len(table.list_keys()) == 0
    table.insert(0, [make_row("a", "short", {})])
    assert table.load_documents([0])[0].page_content == "short"


def test_copy_to_a_missing_folder_raises_an_os_error(tmp_path):
    table = DocumentTable()
    with pytest.raises(OSError, match="No such file") as caught:
        table.write(tmp_path / "missing" / "copy.sqlite")
    assert caught.value.errno == errno.ENOENT
