"""Verification: changes of a log are detected, with and without a key, also at its end."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_gptoss.audit import verify
from langchain_gptoss.audit.files import Head, get_companion_path, write_head
from langchain_gptoss.audit.line_format import Hasher, build_line, parse_line
from langchain_gptoss.errors import InvalidInputError
from tests import scale
from tests.unit_tests.audit.audit_helpers import KEY, find_problem_kinds, read_lines, write_log


@pytest.fixture(scope="module", params=[None, KEY], ids=["sha256", "hmac"])
def original(request, tmp_path_factory):
    return write_log(tmp_path_factory.mktemp("log") / "audit.jsonl", key=request.param), request.param


@pytest.fixture
def log(original, tmp_path):
    path, key = original
    for file in path.parent.iterdir():
        shutil.copy(file, tmp_path / file.name)
    return tmp_path / path.name, key


def test_unchanged_log_is_verified(log):
    path, key = log
    verification = verify(path, key=key)
    assert verification.ok
    assert verification.records == 7
    assert verification.is_keyed == (key is not None)
    last = parse_line(read_lines(path)[-1][:-1])
    assert verification.head == f"6:{last.hash}"


def test_lines_are_canonical_json(log):
    path, _ = log
    for line in read_lines(path):
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
def test_changed_lines_are_detected(log, change, expected):
    path, key = log
    path.write_bytes(b"".join(change(read_lines(path))))
    kinds = find_problem_kinds(path, key)
    assert kinds[: len(expected)] == expected


@settings(max_examples=scale(200), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_detected(log, data):
    path, key = log
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[place]))
    path.write_bytes(content[:place] + bytes([byte]) + content[place + 1 :])
    try:
        assert find_problem_kinds(path, key)
    except InvalidInputError:
        assert place < len(read_lines(path)[0])  # the first line says another algorithm
    finally:
        path.write_bytes(content)


@settings(max_examples=scale(150), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_truncation_is_detected(log, data):
    path, key = log
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    try:
        assert find_problem_kinds(path, key)
    finally:
        path.write_bytes(content)


@settings(max_examples=scale(150), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(order=st.permutations(range(7)) | st.lists(st.integers(0, 6), max_size=9))
def test_any_other_order_is_detected(log, order):
    path, key = log
    lines = read_lines(path)
    if order == list(range(7)):
        return
    path.write_bytes(b"".join(lines[number] for number in order))
    try:
        assert find_problem_kinds(path, key)
    finally:
        path.write_bytes(b"".join(lines))


def forge_line(hasher: Hasher, line: bytes, *, previous: str, **changes) -> tuple[str, bytes]:
    entry = parse_line(line[:-1])
    record = json.dumps(entry.record | changes, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return build_line(hasher, seq=entry.seq, time=entry.time, previous=previous, record=record)


def rewrite_chain(path: Path, place: int) -> None:
    """Change a record, and recompute the rest of the chain and the head without a key."""
    lines = read_lines(path)
    kept, previous = lines[:place], parse_line(lines[place][:-1]).previous
    for line in lines[place:]:
        previous, line = forge_line(Hasher(), line, previous=previous, answer="Forged.")
        kept.append(line)
    path.write_bytes(b"".join(kept))
    log = json.loads(get_companion_path(path, "head").read_bytes())["log"]
    write_head(path, Head.create(Hasher(), log, len(kept) - 1, previous))


def test_recomputed_chain_is_detected_by_key_or_kept_head(log):
    path, key = log
    kept = verify(path, key=key).head
    rewrite_chain(path, 3)
    if key is None:
        assert find_problem_kinds(path, None) == []
        assert find_problem_kinds(path, None, head=kept) == ["replaced"]
    else:
        assert find_problem_kinds(path, key).count("altered") == 4
        assert "head" in find_problem_kinds(path, key)


def test_forged_line_in_the_middle_is_detected(log):
    path, key = log
    lines = read_lines(path)
    _, line = forge_line(Hasher(key), lines[3], previous=parse_line(lines[3][:-1]).previous, answer="Forged.")
    path.write_bytes(b"".join([*lines[:3], line, *lines[4:]]))
    assert find_problem_kinds(path, key) == ["replaced"]


def test_log_without_a_key_is_rejected_if_a_key_is_given(tmp_path):
    path = write_log(tmp_path / "a.jsonl")
    assert find_problem_kinds(path, KEY) == ["key"]


def test_head_written_without_the_key_is_detected(tmp_path):
    path = write_log(tmp_path / "a.jsonl", key=KEY)
    lines = read_lines(path)
    path.write_bytes(b"".join(lines[:-2]))
    last = parse_line(lines[-3][:-1])
    log = json.loads(get_companion_path(path, "head").read_bytes())["log"]
    write_head(path, Head(log, last.seq, last.hash, "0" * 64))
    assert find_problem_kinds(path, KEY) == ["head"]


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b"\xff" * 512])
def test_missing_or_damaged_head_is_detected(log, content):
    path, key = log
    get_companion_path(path, "head").unlink()
    if content is not None:
        get_companion_path(path, "head").write_bytes(content)
    assert find_problem_kinds(path, key) == ["head"]


def test_swapped_files_are_detected(tmp_path):
    one, two = write_log(tmp_path / "one.jsonl"), write_log(tmp_path / "two.jsonl")
    shutil.copy(two, one)
    assert "head" in find_problem_kinds(one, None)
    shutil.copy(get_companion_path(two, "head"), get_companion_path(one, "head"))
    assert find_problem_kinds(one, None) == []  # another log: only a head kept elsewhere detects it
    assert find_problem_kinds(two, None) == []


def test_lines_of_another_log_are_detected(tmp_path):
    one, two = write_log(tmp_path / "one.jsonl"), write_log(tmp_path / "two.jsonl")
    one.write_bytes(b"".join([*read_lines(one)[:4], *read_lines(two)[4:]]))
    assert find_problem_kinds(one, None)[0] == "replaced"


def test_removed_log_is_detected(log):
    path, key = log
    path.unlink()
    assert find_problem_kinds(path, key) == ["removed"]


def test_kept_head_is_valid_after_more_lines(tmp_path):
    path = write_log(tmp_path / "a.jsonl")
    kept = verify(path).head
    write_log(path)
    assert verify(path, head=kept).ok
    seq, _, line_hash = kept.partition(":")
    assert find_problem_kinds(path, None, head=f"99:{line_hash}") == ["removed"]
    assert find_problem_kinds(path, None, head=f"{seq}:{'0' * 64}") == ["replaced"]


def test_verification_errors(tmp_path):
    with pytest.raises(InvalidInputError, match="no audit log"):
        verify(tmp_path / "none.jsonl")
    path = write_log(tmp_path / "a.jsonl", key=KEY)
    with pytest.raises(InvalidInputError, match="--key-file"):
        verify(path)
    with pytest.raises(InvalidInputError, match="SEQ:HASH"):
        verify(path, key=KEY, head="12")
    assert find_problem_kinds(path, b"another key of some length") == ["key"]


def test_number_of_problems_is_limited(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"nonsense\n" * 1500)
    assert len(verify(path).problems) == 1000
