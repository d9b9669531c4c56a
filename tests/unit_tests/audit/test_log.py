"""Writing a log: concurrent writers, crashes, full disks, keys, masking."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from langchain_gptoss.audit import AnswerRecord, AuditLog, Masker, files, read_entries, verify
from langchain_gptoss.errors import InvalidInputError, StorageError
from tests import scale

KEY = b"0123456789abcdef0123456789abcdef"
HERE = Path(__file__).parent
RECORD = AnswerRecord(question="Where is it?", answer="On its way.")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "audit.jsonl"


def open_log(path, **options) -> AuditLog:
    return AuditLog(path, **{"sync": "never", **options})


def find_problem_kinds(path, **options):
    return [problem.kind for problem in verify(path, **options).problems]


def list_events(path):
    return [entry.record["event"] for entry in read_entries(path)]


def test_receipt_has_number_and_hash_of_the_record(path):
    with open_log(path) as log:
        receipts = [log.append(RECORD), log.append({"event": "login", "user": "ada"})]
    entries = list(read_entries(path))
    assert [(entry.seq, entry.hash, entry.record["id"]) for entry in entries[1:]] == [
        (receipt.seq, receipt.hash, receipt.id) for receipt in receipts
    ]
    assert all(receipt.is_written for receipt in receipts)
    assert list_events(path) == ["created", "answer", "login"]


def test_files_are_private_to_the_owner(path):
    with open_log(path) as log:
        log.append(AnswerRecord(user="ada"))
    assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == dict.fromkeys(
        ("audit.jsonl", "audit.jsonl.head", "audit.jsonl.lock", "audit.jsonl.pseudonyms"), 384
    )


def test_personal_data_is_masked_before_it_is_written(path):
    record = AnswerRecord(
        user="ada@example.org",
        session="session-of-ada",
        question="I am ada@example.org, 06 12 34 56 78",
        answer="Thank you, 0612345678.",
        reasoning="Secret thoughts.",
        passages=[{"source": "https://me:pw1@h/x", "text": "The passage itself.", "heading": "h@example.org"}],
        citations=[{"quote": "06 12 34 56 78", "source": "a.md"}],
        guard=[{"finding": "ada@example.org"}],
    )
    with open_log(path) as log:
        log.append(record)
    content = b"".join(file.read_bytes() for file in path.parent.iterdir()).decode()
    for raw in ("ada@example.org", "session-of-ada", "34 56 78", "0612345678", "Secret", "pw1", "itself", "h@exa"):
        assert raw not in content
    kept = list(read_entries(path))[1].record
    assert kept["question"] == "I am [email-1], [phone-1]"
    assert kept["answer"] == "Thank you, [phone-1]."
    assert kept["citations"] == [{"quote": "[phone-1]", "source": "a.md"}]
    assert kept["passages"][0]["source"] == "https://[credentials-1]@h/x"


def test_masking_and_pseudonyms_can_be_switched_off(path):
    options = {"mask": None, "pseudonymize": False, "keep_reasoning": True}
    with open_log(path, **options) as log:
        log.append(AnswerRecord(user="ada", question="a@example.org", reasoning="Because."))
    kept = list(read_entries(path))[1].record
    assert (kept["user"], kept["question"], kept["reasoning"]) == ("ada", "a@example.org", "Because.")
    with open_log(path, mask=Masker(kinds=[], patterns={"word": "Hello"})) as log:
        log.append(AnswerRecord(question="Hello a@example.org"))
    assert list(read_entries(path))[2].record["question"] == "[word-1] a@example.org"


def test_pseudonyms_are_equal_within_a_log_and_differ_between_logs(tmp_path):
    def users(name, **options):
        for _ in range(2):
            with open_log(tmp_path / name, **options) as log:
                log.append(AnswerRecord(user="ada", session="ada"))
        return {(e.record["user"], e.record["session"]) for e in read_entries(tmp_path / name) if e.seq}

    one, two = users("one"), users("two")
    assert len(one) == len(two) == 1
    assert one != two
    ((user, session),) = one
    assert user.startswith("user-")
    assert session.startswith("session-")
    assert user[5:] != session[8:]
    assert users("three", pseudonym_key=KEY) == users("four", pseudonym_key=KEY)


def test_damaged_pseudonym_key_raises_an_error(path):
    with open_log(path) as log:
        log.append(AnswerRecord(user="ada"))
    files.get_companion_path(path, "pseudonyms").write_bytes(b"short")
    with open_log(path) as log, pytest.raises(StorageError, match="damaged"):
        log.append(AnswerRecord(user="ada"))


def test_many_threads_append_to_one_log(path):
    def append_records():
        receipts.extend([log.append(RECORD) for _ in range(10)])

    receipts: list = []
    with open_log(path) as log:
        threads = [threading.Thread(target=append_records) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(receipt.seq for receipt in receipts) == list(range(1, 61))
    assert verify(path).ok


def test_two_logs_append_to_one_file_in_turn(path):
    with open_log(path) as one, open_log(path) as two:
        seqs = [log.append(RECORD).seq for log in (one, two, two, one, two)]
    assert seqs == [1, 2, 3, 4, 5]
    assert verify(path).ok


def test_many_processes_append_to_one_log(path):
    code = (
        "import sys; from langchain_gptoss.audit import AuditLog, AnswerRecord\n"
        "with AuditLog(sys.argv[1]) as log:\n"
        "    for _ in range(20): log.append(AnswerRecord(question='x' * 3000))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    verification = verify(path)
    assert verification.ok
    assert verification.records == 61


async def test_async_append(path):
    with open_log(path) as log:
        receipts = await asyncio.gather(*(log.aappend(RECORD) for _ in range(10)))
    assert sorted(receipt.seq for receipt in receipts) == list(range(1, 11))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills children that it forked")
def test_killed_processes_lose_no_record_with_a_receipt(tmp_path):
    process = subprocess.run(
        [sys.executable, str(HERE / "crashes.py"), str(tmp_path), str(scale(40))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    crashes = json.loads(process.stdout)
    assert len(crashes) > 25
    for crash in crashes:
        assert crash["lost"] == [], crash
        assert crash["after"] == [], crash
        assert set(crash["before"]) <= {"torn", "removed", "head"}, crash
        assert crash["notes"] == crash["torn"], crash
    torn = [crash["point"] for crash in crashes if crash["torn"]]
    assert len(torn) == 12  # four lines, each torn at three places
    assert sum(crash["receipts"] for crash in crashes) > 20


@pytest.mark.parametrize("key", [None, KEY], ids=["sha256", "hmac"])
def test_torn_line_is_moved_aside_and_recorded(path, key):
    with open_log(path, key=key) as log:
        log.append(RECORD)
    whole, head = path.read_bytes(), files.get_companion_path(path, "head").read_bytes()
    with open_log(path, key=key) as log:
        log.append(RECORD)
    line = path.read_bytes()[len(whole) :]
    for cut in {1, 2, 75, len(line) // 2, len(line) - 1}:
        path.write_bytes(whole + line[:cut])
        files.get_companion_path(path, "head").write_bytes(head)
        assert find_problem_kinds(path, key=key) == ["torn"]
        open_log(path, key=key).close()
        verification = verify(path, key=key)
        assert verification.ok
        assert f"{cut} bytes" in verification.notes[0]
        (torn,) = path.parent.glob("*.torn-*")
        assert torn.read_bytes() == line[:cut]
        torn.unlink()


def test_lost_line_with_a_receipt_stays_recorded(path):
    with open_log(path) as log:
        log.append(RECORD)
        log.append(RECORD)
    path.write_bytes(path.read_bytes()[:-20])
    assert "removed" in find_problem_kinds(path)
    with open_log(path) as log:
        log.append(RECORD)
    assert list_events(path) == ["created", "answer", "repaired", "mismatch", "answer"]
    assert find_problem_kinds(path) == ["recorded"]


@pytest.mark.parametrize("spoil", ["cut", "head", "damaged head", "other head", "log"])
def test_appending_does_not_hide_a_change(path, tmp_path, spoil):
    with open_log(path) as log:
        for _ in range(4):
            log.append(RECORD)
        lines = path.read_bytes().splitlines(keepends=True)
        head = files.get_companion_path(path, "head")
        if spoil == "cut":
            path.write_bytes(b"".join(lines[:-2]))
        elif spoil == "head":
            head.unlink()
        elif spoil == "damaged head":
            head.write_bytes(b"?")
        elif spoil == "other head":
            open_log(tmp_path / "other").close()
            shutil.copy(tmp_path / "other.head", head)
        else:
            path.unlink()
        log.append(RECORD)
    assert find_problem_kinds(path) == ["recorded"]
    open_log(path).close()
    assert find_problem_kinds(path) == ["recorded"]


def test_log_with_an_altered_last_line_is_not_continued(path):
    with open_log(path) as log:
        log.append(RECORD)
    content = path.read_bytes().replace(b"On its way", b"On the way")
    path.write_bytes(content)
    for on_error in ("stop", "continue"):
        with pytest.raises(StorageError, match=r"altered.*new log"):
            open_log(path, on_error=on_error)
    assert path.read_bytes() == content


def test_file_that_is_not_a_log_is_not_changed(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_bytes(b"my notes\n")
    with pytest.raises(StorageError, match="does not start like an audit log"):
        open_log(file)
    assert file.read_bytes() == b"my notes\n"


@pytest.mark.parametrize(("first", "second"), [(None, KEY), (KEY, None), (KEY, b"another key of some length")])
def test_log_is_continued_only_with_its_own_key(path, first, second):
    open_log(path, key=first).close()
    with pytest.raises(InvalidInputError, match="was started with"):
        open_log(path, key=second)
    open_log(path, key=first).close()


def test_key_is_read_from_file_and_environment(path, tmp_path, monkeypatch):
    file = tmp_path / "key"
    file.write_bytes(KEY + b"\n")
    open_log(path, key=file).close()
    monkeypatch.setenv("GPTOSS_AUDIT_KEY", KEY.decode())
    open_log(path).close()
    assert verify(path).is_keyed
    for key, message in ((b"short", "16"), (tmp_path / "none", "cannot be read"), ("text", "Path")):
        with pytest.raises((InvalidInputError, StorageError), match=message):
            open_log(tmp_path / "other", key=key)


@pytest.mark.parametrize(
    ("options", "message"), [({"on_error": "ignore"}, "on_error"), ({"sync": "sometimes"}, "'batch'")]
)
def test_invalid_options_are_rejected(path, options, message):
    with pytest.raises(InvalidInputError, match=message):
        AuditLog(path, **options)
    assert not path.exists()


def test_invalid_records_are_rejected(path):
    with open_log(path) as log:
        for record in ({"event": "x", "n": float("nan")}, {"event": "x", "o": object()}, {"n": 1}, {"event": "pruned"}):
            with pytest.raises(InvalidInputError):
                log.append(record)
        receipt = log.append({"event": "odd", "text": "half \ud800 a pair, \u2028 and \x00 and \n"})
    assert verify(path).ok
    assert list(read_entries(path))[receipt.seq].record["text"] == "half ? a pair, \u2028 and \x00 and \n"
    with pytest.raises(InvalidInputError, match="closed"):
        log.append(RECORD)
    log.close()


@pytest.fixture
def full_disk(monkeypatch):
    """Return a switch that makes writes fail as on a full disk."""
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full on this system")
    original, state = files.write_all, {"full": False}

    def write(fd, data):
        if not state["full"]:
            original(fd, data)
            return
        original(fd, data[:10])
        device = os.open("/dev/full", os.O_WRONLY)
        try:
            original(device, data[10:])
        finally:
            os.close(device)

    monkeypatch.setattr(files, "write_all", write)
    return state


def test_full_disk_raises_an_error(path, full_disk):
    with open_log(path) as log:
        log.append(RECORD)
        full_disk["full"] = True
        with pytest.raises(StorageError, match="no space left on device"):
            log.append(RECORD)
        assert verify(path).ok
        full_disk["full"] = False
        assert log.append(RECORD).seq == 2
    assert verify(path).ok


def test_full_disk_with_continue_records_the_gap_later(path, full_disk, caplog):
    with open_log(path, on_error="continue") as log:
        log.append(RECORD)
        full_disk["full"] = True
        receipts = [log.append(RECORD) for _ in range(3)]
        assert [(receipt.is_written, receipt.seq, receipt.hash) for receipt in receipts] == [(False, None, None)] * 3
        assert log.gap_count == 3
        assert caplog.text.count("unrecorded") == 1
        full_disk["full"] = False
        assert log.append(RECORD).seq == 3
        assert log.gap_count == 0
    assert list_events(path) == ["created", "answer", "gap", "answer"]
    verification = verify(path)
    assert verification.ok
    assert "3 records could not be written" in verification.notes[0]


def test_gap_is_recorded_when_the_log_is_closed(path, full_disk, caplog):
    log = open_log(path, on_error="continue")
    full_disk["full"] = True
    log.append(RECORD)
    full_disk["full"] = False
    log.close()
    assert list_events(path) == ["created", "gap"]
    log = open_log(path, on_error="continue")
    full_disk["full"] = True
    log.append(RECORD)
    log.close()
    assert "1 records are missing" in caplog.text
    assert verify(path).ok


def test_log_that_cannot_be_created(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="on_error"):
        open_log(tmp_path / "file" / "audit.jsonl")
    with open_log(tmp_path / "file" / "audit.jsonl", on_error="continue") as log:
        assert not log.append(RECORD).is_written
        assert not log.append(AnswerRecord(user="ada")).is_written  # nor can a key for the pseudonym be made
        assert log.gap_count == 2
    assert "cannot be written" in caplog.text


def test_file_size_limit_leaves_no_torn_line(path):
    resource = pytest.importorskip("resource")
    with open_log(path, on_error="continue") as log:
        log.append(RECORD)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = path.stat().st_size
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 300, hard))
            assert not log.append(RECORD).is_written
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.stat().st_size == size
        assert log.append(RECORD).is_written
    assert list_events(path)[-2:] == ["gap", "answer"]
    assert verify(path).ok


ON_TMPFS = """
import sys
from pathlib import Path
from langchain_gptoss.audit import AnswerRecord, AuditLog, verify
path, ballast = Path(sys.argv[1], "audit.jsonl"), Path(sys.argv[1], "ballast")
log = AuditLog(path, on_error="continue", pseudonymize=False)
ballast.write_bytes(b"x" * 100_000)
written = 0
while log.append(AnswerRecord(question="x" * 5000)).is_written:
    written += 1
assert 0 < written < 60, written
assert verify(path).ok
ballast.unlink()
assert log.append(AnswerRecord()).is_written
log.close()
verification = verify(path)
assert verification.ok and "1 records could not be written" in verification.notes[0] and "No space left" in path.read_text(), verification
"""


def test_real_full_disk(tmp_path):
    shell = 'mount -t tmpfs -o size=256k tmpfs "$1" || exit 77; exec "$2" -c "$3" "$1"'
    command = ["unshare", "-m", "sh", "-c", shell, "sh", str(tmp_path), sys.executable, ON_TMPFS]
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare, to mount a small disk")
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode == 77 or "unshare:" in process.stderr:
        pytest.skip("may not mount a small disk here")
    assert process.returncode == 0, process.stderr


def test_locked_log_raises_an_error_or_continues(path, monkeypatch):
    monkeypatch.setattr("langchain_gptoss.audit.ledger.LOCK_TIMEOUT_S", 0.05)
    with open_log(path) as log, open_log(path, on_error="continue") as other, files.create_lock(path, timeout_s=1):
        with pytest.raises(StorageError, match="lock"):
            log.append(RECORD)
        assert not other.append(RECORD).is_written


@pytest.mark.parametrize("sync", ["always", "batch", "never"])
def test_sync_mode_decides_when_the_disk_confirms(path, monkeypatch, sync):
    synced = []
    monkeypatch.setattr("langchain_gptoss.audit.ledger.sync_to_disk", lambda file: synced.append(file.name))
    monkeypatch.setattr("langchain_gptoss.audit.log.SYNC_INTERVAL_S", 60)
    with AuditLog(path, sync=sync) as log:
        synced.clear()
        log.append(RECORD)
        log.append(RECORD)
        at_once = list(synced)
    both = ["audit.jsonl", "audit.jsonl.head"]
    assert at_once == (both * 2 if sync == "always" else [])
    assert synced == {"always": both * 2, "batch": both, "never": []}[sync]


def test_background_sync_runs_after_its_interval(path, monkeypatch):
    monkeypatch.setattr("langchain_gptoss.audit.log.SYNC_INTERVAL_S", 0.01)
    confirmed = threading.Event()
    monkeypatch.setattr("langchain_gptoss.audit.ledger.sync_to_disk", lambda file: confirmed.set())
    with AuditLog(path) as log:
        log.append(RECORD)
        assert confirmed.wait(10)


def test_failed_sync_raises_an_error_at_the_next_append(path, monkeypatch, caplog):
    def fail(file):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("langchain_gptoss.audit.ledger.sync_to_disk", fail)
    monkeypatch.setattr("langchain_gptoss.audit.log.SYNC_INTERVAL_S", 0.0)
    with AuditLog(path) as log:
        log.append(RECORD)
        thread = log._syncer._thread
        if thread is not None:
            thread.join()
        with pytest.raises(StorageError, match="input/output error"):
            log.append(RECORD)
    monkeypatch.undo()
    assert "does not confirm" in caplog.text
    assert verify(path).ok


def test_log_is_continued_after_another_process_pruned_it(path):
    from datetime import timedelta

    from langchain_gptoss.audit import prune

    with open_log(path) as log:
        log.append(RECORD)
        prune(path, older_than=timedelta())
        assert log.append(RECORD).seq == 3
    assert list_events(path) == ["checkpoint", "pruned", "answer"]
    assert verify(path).ok
