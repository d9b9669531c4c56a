"""Pruning and retention."""

import json
from datetime import timedelta

import pytest

from langchain_gptoss.audit import AuditLog, prune, verify
from langchain_gptoss.audit.line_format import Hasher, build_line, parse_line
from langchain_gptoss.errors import InvalidInputError, StorageError
from tests.unit_tests.audit.audit_helpers import KEY, backdate, find_problem_kinds, read_lines, write_log


@pytest.fixture(params=[None, KEY], ids=["sha256", "hmac"])
def old(request, tmp_path):
    path = write_log(tmp_path / "a.jsonl", 8, key=request.param)
    backdate(path, Hasher(request.param), 5)
    assert verify(path, key=request.param).ok
    return path, request.param


YEAR = timedelta(days=365)


def test_pruning_removes_old_lines_and_keeps_the_others_unchanged(old):
    path, key = old
    before, head = read_lines(path), verify(path, key=key).head
    done = prune(path, older_than=YEAR, key=key, reason="six months are over")
    assert (done.removed, done.through, done.kept) == (5, 4, 6)
    after = read_lines(path)
    assert after[1:-1] == before[5:]
    verification = verify(path, key=key, head=head)
    assert verification.ok
    assert "six months are over" in verification.notes[0]
    assert not list(path.parent.glob(".partial-*"))


def test_log_can_be_pruned_twice_and_continued(old):
    path, key = old
    prune(path, older_than=YEAR, key=key)
    assert prune(path, older_than=YEAR, key=key).removed == 0
    write_log(path, 2, key=key)
    done = prune(path, older_than=timedelta(), key=key)
    assert done.removed == 7  # four answers, the record of the first pruning, and the two new ones
    verification = verify(path, key=key)
    assert verification.ok
    assert verification.records == 2
    assert parse_line(read_lines(path)[0][:-1]).record["count"] == 12
    write_log(path, 2, key=key)
    assert verify(path, key=key).ok


def test_head_kept_before_pruning_is_compared_if_its_line_remains(old):
    path, key = old
    early = [parse_line(line[:-1]) for line in read_lines(path)]
    prune(path, older_than=YEAR, key=key)
    assert find_problem_kinds(path, key, head=f"4:{early[4].hash}") == []
    assert find_problem_kinds(path, key, head=f"5:{early[5].hash}") == []
    assert find_problem_kinds(path, key, head=f"4:{'0' * 64}") == ["replaced"]
    assert find_problem_kinds(path, key, head=f"2:{early[2].hash}") == ["head"]


def test_forged_checkpoint_is_detected(old):
    path, key = old
    lines = read_lines(path)
    first, fourth = parse_line(lines[0][:-1]), parse_line(lines[4][:-1])
    record = first.record | {"event": "checkpoint", "hash": fourth.hash, "count": 5}
    written_as = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    _, line = build_line(Hasher(key), seq=4, time=first.time, previous="0" * 64, record=written_as)
    path.write_bytes(b"".join([line, *lines[5:]]))
    assert find_problem_kinds(path, key) == ["pruning"]


def test_altered_log_is_not_pruned(old):
    path, key = old
    content = path.read_bytes().replace(b"Question 1", b"Question 9")
    path.write_bytes(content)
    with pytest.raises(StorageError, match="destroy evidence"):
        prune(path, older_than=YEAR, key=key)
    assert path.read_bytes() == content


def test_failed_pruning_leaves_the_log_unchanged(old, monkeypatch):
    path, key = old
    content = path.read_bytes()

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(StorageError, match="no space left"):
        prune(path, older_than=YEAR, key=key)
    assert path.read_bytes() == content
    assert not list(path.parent.glob(".partial-*"))
    assert verify(path, key=key).ok


def test_pruning_killed_before_the_head_is_written_is_valid(old, monkeypatch):
    path, key = old

    def interrupt(log, head):
        raise KeyboardInterrupt

    monkeypatch.setattr("langchain_gptoss.audit.files.write_head", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prune(path, older_than=YEAR, key=key)
    monkeypatch.undo()
    assert verify(path, key=key).ok
    write_log(path, 1, key=key)
    assert verify(path, key=key).ok


def test_retention(old):
    path, key = old
    with AuditLog(path, key=key, retention=YEAR, sync="never") as log:
        assert verify(path, key=key).records == 6
        log.append({"event": "restart"})
        assert log.prune(timedelta(days=1)).removed == 0
    with AuditLog(path, key=key, sync="never") as log, pytest.raises(InvalidInputError, match="age of the records"):
        log.prune()
    with pytest.raises(InvalidInputError, match="negative"):
        prune(path, older_than=timedelta(days=-1), key=key)
    with pytest.raises(InvalidInputError, match="no audit log"):
        prune(path.with_name("none"), older_than=YEAR)


def test_retention_of_an_altered_log_raises_an_error_or_continues(old, caplog):
    path, key = old
    path.write_bytes(path.read_bytes().replace(b"Question 1", b"Question 9"))
    with pytest.raises(StorageError, match="destroy evidence"):
        AuditLog(path, key=key, retention=YEAR, sync="never")
    AuditLog(path, key=key, retention=YEAR, sync="never", on_error="continue").close()
    assert "destroy evidence" in caplog.text
