"""Verification: whatever is done to a log shows, with and without a key, also at its end."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_gptoss.audit import AnswerRecord, AuditLog, prune, verify
from langchain_gptoss.audit.files import Head, beside, write_head
from langchain_gptoss.audit.line_format import Seal, line_of, parse
from langchain_gptoss.errors import InvalidInputError, StorageError

KEY = b"0123456789abcdef0123456789abcdef"


def written(path: Path, count: int = 6, **options) -> Path:
    with AuditLog(path, sync="never", **options) as log:
        for number in range(count):
            log.append(AnswerRecord(question=f"Question {number}?", answer="Réponse.", user="ada"))
    return path


@pytest.fixture(scope="module", params=[None, KEY], ids=["sha256", "hmac"])
def original(request, tmp_path_factory):
    return written(tmp_path_factory.mktemp("log") / "audit.jsonl", key=request.param), request.param


@pytest.fixture
def log(original, tmp_path):
    path, key = original
    for file in path.parent.iterdir():
        shutil.copy(file, tmp_path / file.name)
    return tmp_path / path.name, key


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def kinds(path: Path, key: bytes | None, **options) -> list[str]:
    found = verify(path, key=key, **options)
    assert found.ok == (not found.problems)
    return [problem.kind for problem in found.problems]


def test_an_untouched_log_verifies(log):
    path, key = log
    found = verify(path, key=key)
    assert found.ok
    assert found.records == 7
    assert found.keyed == (key is not None)
    last = parse(lines_of(path)[-1][:-1])
    assert found.head == f"6:{last.hash}"


def test_lines_are_canonical_json(log):
    path, _ = log
    for line in lines_of(path):
        value = json.loads(line)
        assert list(value) == ["hash", "previous", "record", "seq", "time"]
        again = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert again.encode() + b"\n" == line


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda lines: [*lines[:2], lines[2].replace(b"Question 1", b"Question 9"), *lines[3:]], ["altered"]),
        (lambda lines: [*lines[:3], *lines[4:]], ["removed"]),
        (lambda lines: lines[1:], ["removed"]),
        (lambda lines: lines[:-1], ["removed"]),
        (lambda lines: lines[:3], ["removed"]),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], ["order"]),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], ["removed", "order"]),
        (lambda lines: [*lines[:4], b'{"a": 1}\n', *lines[4:]], ["unreadable", "order"]),
        (lambda lines: [*lines[:-1], lines[-1][:-1]], ["torn"]),
        (lambda lines: [*lines[:-1], lines[-1][:40]], ["torn"]),
        (lambda lines: [*lines[:2], lines[2][:-1] + b" \n", *lines[3:]], ["altered"]),
        (lambda lines: [], ["removed"]),
    ],
)
def test_changes_are_seen(log, change, expected):
    path, key = log
    path.write_bytes(b"".join(change(lines_of(path))))
    found = kinds(path, key)
    assert found[: len(expected)] == expected


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_seen(log, data):
    path, key = log
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[place]))
    path.write_bytes(content[:place] + bytes([byte]) + content[place + 1 :])
    try:
        assert kinds(path, key)
    except InvalidInputError:
        assert place < len(lines_of(path)[0])  # the first line says another algorithm
    finally:
        path.write_bytes(content)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_cut_is_seen(log, data):
    path, key = log
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    try:
        assert kinds(path, key)
    finally:
        path.write_bytes(content)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(order=st.permutations(range(7)) | st.lists(st.integers(0, 6), max_size=9))
def test_any_other_order_is_seen(log, order):
    path, key = log
    lines = lines_of(path)
    if order == list(range(7)):
        return
    path.write_bytes(b"".join(lines[number] for number in order))
    try:
        assert kinds(path, key)
    finally:
        path.write_bytes(b"".join(lines))


def forged(seal: Seal, line: bytes, *, previous: str, **changes) -> tuple[str, bytes]:
    entry = parse(line[:-1])
    record = json.dumps(entry.record | changes, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return line_of(seal, seq=entry.seq, time=entry.time, previous=previous, record=record)


def rewritten(path: Path, place: int) -> None:
    """Changes a record and computes the rest of the chain and the head anew, without a key."""
    lines = lines_of(path)
    kept, previous = lines[:place], parse(lines[place][:-1]).previous
    for line in lines[place:]:
        previous, line = forged(Seal(), line, previous=previous, answer="Forged.")
        kept.append(line)
    path.write_bytes(b"".join(kept))
    log = json.loads(beside(path, "head").read_bytes())["log"]
    write_head(path, Head.of(Seal(), log, len(kept) - 1, previous))


def test_without_a_key_a_whole_new_chain_is_seen_only_by_a_head_kept_elsewhere(log):
    path, key = log
    kept = verify(path, key=key).head
    rewritten(path, 3)
    if key is None:
        assert kinds(path, None) == []
        assert kinds(path, None, head=kept) == ["replaced"]
    else:
        assert kinds(path, key).count("altered") == 4
        assert "head" in kinds(path, key)


def test_a_forged_line_in_the_middle_is_seen(log):
    path, key = log
    lines = lines_of(path)
    _, line = forged(Seal(key), lines[3], previous=parse(lines[3][:-1]).previous, answer="Forged.")
    path.write_bytes(b"".join([*lines[:3], line, *lines[4:]]))
    assert kinds(path, key) == ["replaced"]


def test_a_log_rewritten_without_a_key_is_refused_by_who_has_it(tmp_path):
    path = written(tmp_path / "a.jsonl")
    assert kinds(path, KEY) == ["key"]


def test_a_head_without_the_key_is_seen(tmp_path):
    path = written(tmp_path / "a.jsonl", key=KEY)
    lines = lines_of(path)
    path.write_bytes(b"".join(lines[:-2]))
    last = parse(lines[-3][:-1])
    log = json.loads(beside(path, "head").read_bytes())["log"]
    write_head(path, Head(log, last.seq, last.hash, "0" * 64))
    assert kinds(path, KEY) == ["head"]


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b"\xff" * 512])
def test_a_head_that_is_gone_or_damaged_is_seen(log, content):
    path, key = log
    beside(path, "head").unlink()
    if content is not None:
        beside(path, "head").write_bytes(content)
    assert kinds(path, key) == ["head"]


def test_swapped_files_are_seen(tmp_path):
    one, two = written(tmp_path / "one.jsonl"), written(tmp_path / "two.jsonl")
    shutil.copy(two, one)
    assert "head" in kinds(one, None)
    shutil.copy(beside(two, "head"), beside(one, "head"))
    assert kinds(one, None) == []  # all of another log: only what was kept elsewhere tells
    assert kinds(two, None) == []


def test_lines_of_another_log_are_seen(tmp_path):
    one, two = written(tmp_path / "one.jsonl"), written(tmp_path / "two.jsonl")
    one.write_bytes(b"".join([*lines_of(one)[:4], *lines_of(two)[4:]]))
    assert kinds(one, None)[0] == "replaced"


def test_a_removed_log_is_seen(log):
    path, key = log
    path.unlink()
    assert kinds(path, key) == ["removed"]


def test_a_kept_head_that_the_log_has_outgrown_verifies(tmp_path):
    path = written(tmp_path / "a.jsonl")
    kept = verify(path).head
    written(path)
    assert verify(path, head=kept).ok
    seq, _, line_hash = kept.partition(":")
    assert kinds(path, None, head=f"99:{line_hash}") == ["removed"]
    assert kinds(path, None, head=f"{seq}:{'0' * 64}") == ["replaced"]


def test_what_cannot_be_verified_is_said(tmp_path):
    with pytest.raises(InvalidInputError, match="no audit log"):
        verify(tmp_path / "none.jsonl")
    path = written(tmp_path / "a.jsonl", key=KEY)
    with pytest.raises(InvalidInputError, match="--key-file"):
        verify(path)
    with pytest.raises(InvalidInputError, match="SEQ:HASH"):
        verify(path, key=KEY, head="12")
    assert kinds(path, b"another key of some length") == ["key"]


def test_problems_are_counted_up_to_a_limit(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"nonsense\n" * 1500)
    assert len(verify(path).problems) == 1000


def backdated(path: Path, seal: Seal, old: int) -> None:
    """Writes a log anew whose first records are of 2020."""
    previous, kept = "0" * 64, []
    for number, line in enumerate(lines_of(path)):
        entry = parse(line[:-1])
        time = "2020-01-01T00:00:00.000000Z" if number < old else entry.time
        record = json.dumps(entry.record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        previous, line = line_of(seal, seq=entry.seq, time=time, previous=previous, record=record)
        kept.append(line)
    path.write_bytes(b"".join(kept))
    log = json.loads(beside(path, "head").read_bytes())["log"]
    write_head(path, Head.of(seal, log, len(kept) - 1, previous))


@pytest.fixture(params=[None, KEY], ids=["sha256", "hmac"])
def old(request, tmp_path):
    path = written(tmp_path / "a.jsonl", 8, key=request.param)
    backdated(path, Seal(request.param), 5)
    assert verify(path, key=request.param).ok
    return path, request.param


YEAR = timedelta(days=365)


def test_pruning_removes_what_is_old_and_keeps_the_rest_as_it_is(old):
    path, key = old
    before, head = lines_of(path), verify(path, key=key).head
    done = prune(path, older_than=YEAR, key=key, reason="six months are over")
    assert (done.removed, done.through, done.kept) == (5, 4, 6)
    after = lines_of(path)
    assert after[1:-1] == before[5:]
    found = verify(path, key=key, head=head)
    assert found.ok
    assert "six months are over" in found.notes[0]
    assert not list(path.parent.glob(".*pruned*"))


def test_pruning_twice_and_going_on(old):
    path, key = old
    prune(path, older_than=YEAR, key=key)
    assert prune(path, older_than=YEAR, key=key).removed == 0
    written(path, 2, key=key)
    done = prune(path, older_than=timedelta(), key=key)
    assert done.removed == 7  # four answers, the record of the first pruning, and the two new ones
    found = verify(path, key=key)
    assert found.ok
    assert found.records == 2
    assert parse(lines_of(path)[0][:-1]).record["count"] == 12
    written(path, 2, key=key)
    assert verify(path, key=key).ok


def test_a_head_kept_before_pruning_is_compared_or_said_to_be_too_old(old):
    path, key = old
    early = [parse(line[:-1]) for line in lines_of(path)]
    prune(path, older_than=YEAR, key=key)
    assert kinds(path, key, head=f"4:{early[4].hash}") == []
    assert kinds(path, key, head=f"5:{early[5].hash}") == []
    assert kinds(path, key, head=f"4:{'0' * 64}") == ["replaced"]
    assert kinds(path, key, head=f"2:{early[2].hash}") == ["head"]


def test_a_beginning_that_was_removed_without_the_act_is_seen(old):
    path, key = old
    lines = lines_of(path)
    first, fourth = parse(lines[0][:-1]), parse(lines[4][:-1])
    record = first.record | {"event": "checkpoint", "hash": fourth.hash, "count": 5}
    written_as = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    _, line = line_of(Seal(key), seq=4, time=first.time, previous="0" * 64, record=written_as)
    path.write_bytes(b"".join([line, *lines[5:]]))
    assert kinds(path, key) == ["pruning"]


def test_an_altered_log_is_not_pruned(old):
    path, key = old
    content = path.read_bytes().replace(b"Question 1", b"Question 9")
    path.write_bytes(content)
    with pytest.raises(StorageError, match="traces"):
        prune(path, older_than=YEAR, key=key)
    assert path.read_bytes() == content


def test_pruning_that_fails_leaves_the_log_as_it_was(old, monkeypatch):
    path, key = old
    content = path.read_bytes()

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("langchain_gptoss.audit.pruning.os.replace", full)
    with pytest.raises(StorageError, match="no space left"):
        prune(path, older_than=YEAR, key=key)
    assert path.read_bytes() == content
    assert not list(path.parent.glob(".*pruned*"))
    assert verify(path, key=key).ok


def test_pruning_that_dies_before_the_head_is_written_is_whole(old, monkeypatch):
    path, key = old

    def dies(log, head):
        raise KeyboardInterrupt

    monkeypatch.setattr("langchain_gptoss.audit.files.write_head", dies)
    with pytest.raises(KeyboardInterrupt):
        prune(path, older_than=YEAR, key=key)
    monkeypatch.undo()
    assert verify(path, key=key).ok
    written(path, 1, key=key)
    assert verify(path, key=key).ok


def test_retention_and_its_arguments(old):
    path, key = old
    with AuditLog(path, key=key, retention=YEAR, sync="never") as log:
        assert verify(path, key=key).records == 6
        log.append({"event": "restart"})
        assert log.prune(timedelta(days=1)).removed == 0
    with AuditLog(path, key=key, sync="never") as log, pytest.raises(InvalidInputError, match="how old"):
        log.prune()
    with pytest.raises(InvalidInputError, match="negative"):
        prune(path, older_than=timedelta(days=-1), key=key)
    with pytest.raises(InvalidInputError, match="no audit log"):
        prune(path.with_name("none"), older_than=YEAR)


def test_retention_of_a_log_that_does_not_verify_is_an_error_by_policy(old, caplog):
    path, key = old
    path.write_bytes(path.read_bytes().replace(b"Question 1", b"Question 9"))
    with pytest.raises(StorageError, match="traces"):
        AuditLog(path, key=key, retention=YEAR, sync="never")
    AuditLog(path, key=key, retention=YEAR, sync="never", on_error="continue").close()
    assert "traces" in caplog.text
