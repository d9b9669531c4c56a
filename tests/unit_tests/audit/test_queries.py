"""Reading entries of a log."""

import pytest

from langchain_gptoss.audit import AuditLog, find_entry, read_entries, read_last_entries
from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.audit.audit_helpers import build_record


def test_entry_is_found_by_number_id_and_start_of_id(tmp_path):
    path = tmp_path / "a.jsonl"
    with AuditLog(path, sync="never") as log:
        log.append(build_record(id="b" * 32))
        log.append(build_record(id="a" * 31 + "1"))
        log.append(build_record(id="a" * 31 + "2"))
    assert find_entry(path, "b" * 32).seq == 1
    assert find_entry(path, "bbbbbb").seq == 1
    assert find_entry(path, "2").seq == 2
    assert find_entry(path, "A" * 31 + "2").seq == 3
    for name, message in (("999", "No record"), ("abc", "neither"), ("ffffff", "No record"), ("aaaaaa", "2 records")):
        with pytest.raises(InvalidInputError, match=message):
            find_entry(path, name)


def test_last_entries_are_read_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("langchain_gptoss.audit.files.BLOCK_BYTES", 37)
    path = tmp_path / "a.jsonl"
    with AuditLog(path, sync="never") as log:
        for _ in range(5):
            log.append(build_record())
    assert read_last_entries(path, 99) == list(read_entries(path))
    assert [entry.seq for entry in read_last_entries(path, 3)] == [3, 4, 5]


def test_malformed_lines_are_skipped(tmp_path):
    path = tmp_path / "a.jsonl"
    with AuditLog(path, sync="never") as log:
        log.append(build_record())
    path.write_bytes(path.read_bytes() + b"nonsense\n")
    assert [entry.seq for entry in read_entries(path)] == [0, 1]
    assert [entry.seq for entry in read_last_entries(path, 2)] == [0, 1]
