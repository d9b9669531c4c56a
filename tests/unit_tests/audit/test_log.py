"""Writing: nothing acknowledged is lost, whoever else writes, whatever dies, and a full disk is said by policy."""

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

KEY = b"0123456789abcdef0123456789abcdef"
HERE = Path(__file__).parent
RECORD = AnswerRecord(question="Where is it?", answer="On its way.")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "audit.jsonl"


def opened(path, **options) -> AuditLog:
    return AuditLog(path, **{"sync": "never", **options})


def kinds(path, **options):
    return [problem.kind for problem in verify(path, **options).problems]


def events(path):
    return [entry.record["event"] for entry in read_entries(path)]


def test_a_receipt_says_where_the_record_stands(path):
    with opened(path) as log:
        receipts = [log.append(RECORD), log.append({"event": "login", "user": "ada"})]
    entries = list(read_entries(path))
    assert [(entry.seq, entry.hash, entry.record["id"]) for entry in entries[1:]] == [
        (receipt.seq, receipt.hash, receipt.id) for receipt in receipts
    ]
    assert all(receipt.written for receipt in receipts)
    assert events(path) == ["created", "answer", "login"]


def test_only_the_owner_can_read_the_files(path):
    with opened(path) as log:
        log.append(AnswerRecord(user="ada"))
    assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == dict.fromkeys(
        ("audit.jsonl", "audit.jsonl.head", "audit.jsonl.lock", "audit.jsonl.pseudonyms"), 384
    )


def test_the_raw_values_never_reach_the_disk(path):
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
    with opened(path) as log:
        log.append(record)
    content = b"".join(file.read_bytes() for file in path.parent.iterdir()).decode()
    for raw in ("ada@example.org", "session-of-ada", "34 56 78", "0612345678", "Secret", "pw1", "itself", "h@exa"):
        assert raw not in content
    kept = list(read_entries(path))[1].record
    assert kept["question"] == "I am [email-1], [phone-1]"
    assert kept["answer"] == "Thank you, [phone-1]."
    assert kept["citations"] == [{"quote": "[phone-1]", "source": "a.md"}]
    assert kept["passages"][0]["source"] == "https://[credentials-1]@h/x"


def test_masking_and_pseudonyms_are_settings(path):
    options = {"mask": None, "pseudonymise": False, "reasoning": True}
    with opened(path, **options) as log:
        log.append(AnswerRecord(user="ada", question="a@example.org", reasoning="Because."))
    kept = list(read_entries(path))[1].record
    assert (kept["user"], kept["question"], kept["reasoning"]) == ("ada", "a@example.org", "Because.")
    with opened(path, mask=Masker(kinds=[], patterns={"word": "Hello"})) as log:
        log.append(AnswerRecord(question="Hello a@example.org"))
    assert list(read_entries(path))[2].record["question"] == "[word-1] a@example.org"


def test_a_pseudonym_is_the_same_in_one_log_and_another_in_the_next(tmp_path):
    def users(name, **options):
        for _ in range(2):
            with opened(tmp_path / name, **options) as log:
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


def test_a_damaged_key_of_pseudonyms_is_said(path):
    with opened(path) as log:
        log.append(AnswerRecord(user="ada"))
    files.beside(path, "pseudonyms").write_bytes(b"short")
    with opened(path) as log, pytest.raises(StorageError, match="damaged"):
        log.append(AnswerRecord(user="ada"))


def test_many_threads(path):
    def work():
        receipts.extend([log.append(RECORD) for _ in range(25)])

    receipts: list = []
    with opened(path) as log:
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(receipt.seq for receipt in receipts) == list(range(1, 151))
    assert verify(path).ok


def test_two_logs_on_one_file_take_turns(path):
    with opened(path) as one, opened(path) as two:
        seqs = [log.append(RECORD).seq for log in (one, two, two, one, two)]
    assert seqs == [1, 2, 3, 4, 5]
    assert verify(path).ok


def test_many_processes(path):
    code = (
        "import sys; from langchain_gptoss.audit import AuditLog, AnswerRecord\n"
        "with AuditLog(sys.argv[1]) as log:\n"
        "    for _ in range(40): log.append(AnswerRecord(question='x' * 3000))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    found = verify(path)
    assert found.ok
    assert found.records == 121


async def test_from_an_event_loop(path):
    with opened(path) as log:
        receipts = await asyncio.gather(*(log.aappend(RECORD) for _ in range(10)))
    assert sorted(receipt.seq for receipt in receipts) == list(range(1, 11))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills children that it forked")
def test_processes_that_are_killed_lose_nothing_that_was_acknowledged(tmp_path):
    ran = subprocess.run(
        [sys.executable, str(HERE / "crashes.py"), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert len(found) > 30
    for crash in found:
        assert crash["lost"] == [], crash
        assert crash["after"] == [], crash
        assert set(crash["before"]) <= {"torn", "removed", "head"}, crash
        assert crash["notes"] == crash["torn"], crash
    torn = [crash["point"] for crash in found if crash["torn"]]
    assert len(torn) == 12  # four lines, each torn at three places
    assert sum(crash["receipts"] for crash in found) > 100


@pytest.mark.parametrize("key", [None, KEY], ids=["sha256", "hmac"])
def test_a_line_torn_anywhere_is_moved_aside_and_recorded(path, key):
    with opened(path, key=key) as log:
        log.append(RECORD)
    whole, head = path.read_bytes(), files.beside(path, "head").read_bytes()
    with opened(path, key=key) as log:
        log.append(RECORD)
    line = path.read_bytes()[len(whole) :]
    for cut in {1, 2, 75, len(line) // 2, len(line) - 1}:
        path.write_bytes(whole + line[:cut])
        files.beside(path, "head").write_bytes(head)
        assert kinds(path, key=key) == ["torn"]
        opened(path, key=key).close()
        found = verify(path, key=key)
        assert found.ok
        assert f"{cut} bytes" in found.notes[0]
        (torn,) = path.parent.glob("*.torn-*")
        assert torn.read_bytes() == line[:cut]
        torn.unlink()


def test_a_line_that_was_acknowledged_and_then_torn_off_stays_said(path):
    with opened(path) as log:
        log.append(RECORD)
        log.append(RECORD)
    path.write_bytes(path.read_bytes()[:-20])
    assert "removed" in kinds(path)
    with opened(path) as log:
        log.append(RECORD)
    assert events(path) == ["created", "answer", "repaired", "mismatch", "answer"]
    assert kinds(path) == ["recorded"]


@pytest.mark.parametrize("spoil", ["cut", "head", "damaged head", "other head", "log"])
def test_going_on_does_not_wipe_out_a_trace(path, tmp_path, spoil):
    with opened(path) as log:
        for _ in range(4):
            log.append(RECORD)
        lines = path.read_bytes().splitlines(keepends=True)
        head = files.beside(path, "head")
        if spoil == "cut":
            path.write_bytes(b"".join(lines[:-2]))
        elif spoil == "head":
            head.unlink()
        elif spoil == "damaged head":
            head.write_bytes(b"?")
        elif spoil == "other head":
            opened(tmp_path / "other").close()
            shutil.copy(tmp_path / "other.head", head)
        else:
            path.unlink()
        log.append(RECORD)
    assert kinds(path) == ["recorded"]
    opened(path).close()
    assert kinds(path) == ["recorded"]


def test_a_log_whose_last_line_is_altered_is_not_continued(path):
    with opened(path) as log:
        log.append(RECORD)
    content = path.read_bytes().replace(b"On its way", b"On the way")
    path.write_bytes(content)
    for on_error in ("stop", "continue"):
        with pytest.raises(StorageError, match=r"altered.*new log"):
            opened(path, on_error=on_error)
    assert path.read_bytes() == content


def test_a_file_that_is_no_log_is_not_written_to(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_bytes(b"my notes\n")
    with pytest.raises(StorageError, match="does not begin as an audit log"):
        opened(file)
    assert file.read_bytes() == b"my notes\n"


@pytest.mark.parametrize(("first", "second"), [(None, KEY), (KEY, None), (KEY, b"another key of some length")])
def test_a_log_goes_on_with_its_own_key_only(path, first, second):
    opened(path, key=first).close()
    with pytest.raises(InvalidInputError, match="was begun with"):
        opened(path, key=second)
    opened(path, key=first).close()


def test_keys_from_files_and_the_environment(path, tmp_path, monkeypatch):
    file = tmp_path / "key"
    file.write_bytes(KEY + b"\n")
    opened(path, key=file).close()
    monkeypatch.setenv("GPTOSS_AUDIT_KEY", KEY.decode())
    opened(path).close()
    assert verify(path).keyed
    for key, message in ((b"short", "16"), (tmp_path / "none", "cannot be read"), ("text", "Path")):
        with pytest.raises((InvalidInputError, StorageError), match=message):
            opened(tmp_path / "other", key=key)


@pytest.mark.parametrize(
    ("options", "message"), [({"on_error": "ignore"}, "on_error"), ({"sync": "sometimes"}, "'batch'")]
)
def test_options_that_cannot_work(path, options, message):
    with pytest.raises(InvalidInputError, match=message):
        AuditLog(path, **options)
    assert not path.exists()


def test_records_that_cannot_be_written_down(path):
    with opened(path) as log:
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
    """Has the log's lines written to a device that is full, for as long as it is."""
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full on this system")
    whole, state = files.write_all, {"full": False}

    def write(fd, data):
        if not state["full"]:
            whole(fd, data)
            return
        whole(fd, data[:10])
        device = os.open("/dev/full", os.O_WRONLY)
        try:
            whole(device, data[10:])
        finally:
            os.close(device)

    monkeypatch.setattr(files, "write_all", write)
    return state


def test_a_full_disk_stops_answers(path, full_disk):
    with opened(path) as log:
        log.append(RECORD)
        full_disk["full"] = True
        with pytest.raises(StorageError, match="no space left on device"):
            log.append(RECORD)
        assert verify(path).ok
        full_disk["full"] = False
        assert log.append(RECORD).seq == 2
    assert verify(path).ok


def test_a_full_disk_lets_answers_through_and_the_gap_is_told(path, full_disk, caplog):
    with opened(path, on_error="continue") as log:
        log.append(RECORD)
        full_disk["full"] = True
        receipts = [log.append(RECORD) for _ in range(3)]
        assert [(receipt.written, receipt.seq, receipt.hash) for receipt in receipts] == [(False, None, None)] * 3
        assert log.gap == 3
        assert caplog.text.count("unrecorded") == 1
        full_disk["full"] = False
        assert log.append(RECORD).seq == 3
        assert log.gap == 0
    assert events(path) == ["created", "answer", "gap", "answer"]
    found = verify(path)
    assert found.ok
    assert "3 records could not be written" in found.notes[0]


def test_a_gap_is_told_at_the_end_too(path, full_disk, caplog):
    log = opened(path, on_error="continue")
    full_disk["full"] = True
    log.append(RECORD)
    full_disk["full"] = False
    log.close()
    assert events(path) == ["created", "gap"]
    log = opened(path, on_error="continue")
    full_disk["full"] = True
    log.append(RECORD)
    log.close()
    assert "1 records are missing" in caplog.text
    assert verify(path).ok


def test_a_log_that_cannot_be_made(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="on_error"):
        opened(tmp_path / "file" / "audit.jsonl")
    with opened(tmp_path / "file" / "audit.jsonl", on_error="continue") as log:
        assert not log.append(RECORD).written
        assert not log.append(AnswerRecord(user="ada")).written  # nor can a key for the pseudonym be made
        assert log.gap == 2
    assert "cannot be written" in caplog.text


def test_the_systems_own_limit_leaves_no_half_line(path):
    resource = pytest.importorskip("resource")
    with opened(path, on_error="continue") as log:
        log.append(RECORD)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = path.stat().st_size
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 300, hard))
            assert not log.append(RECORD).written
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.stat().st_size == size
        assert log.append(RECORD).written
    assert events(path)[-2:] == ["gap", "answer"]
    assert verify(path).ok


ON_TMPFS = """
import sys
from pathlib import Path
from langchain_gptoss.audit import AnswerRecord, AuditLog, verify
path, ballast = Path(sys.argv[1], "audit.jsonl"), Path(sys.argv[1], "ballast")
log = AuditLog(path, on_error="continue", pseudonymise=False)
ballast.write_bytes(b"x" * 100_000)
written = 0
while log.append(AnswerRecord(question="x" * 5000)).written:
    written += 1
assert 0 < written < 60, written
assert verify(path).ok
ballast.unlink()
assert log.append(AnswerRecord()).written
log.close()
found = verify(path)
assert found.ok and "1 records could not be written" in found.notes[0] and "No space left" in path.read_text(), found
"""


def test_a_disk_that_is_really_full(tmp_path):
    shell = 'mount -t tmpfs -o size=256k tmpfs "$1" || exit 77; exec "$2" -c "$3" "$1"'
    command = ["unshare", "-m", "sh", "-c", shell, "sh", str(tmp_path), sys.executable, ON_TMPFS]
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare, to mount a small disk")
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode == 77 or "unshare:" in ran.stderr:
        pytest.skip("may not mount a small disk here")
    assert ran.returncode == 0, ran.stderr


def test_somebody_who_holds_the_lock_is_an_error_by_policy(path, monkeypatch):
    monkeypatch.setattr("langchain_gptoss.audit.ledger.LOCK_SECONDS", 0.05)
    with opened(path) as log, opened(path, on_error="continue") as other, files.lock_of(path, seconds=1):
        with pytest.raises(StorageError, match="lock"):
            log.append(RECORD)
        assert not other.append(RECORD).written


@pytest.mark.parametrize("sync", ["always", "batch", "never"])
def test_what_the_disk_is_asked_to_confirm(path, monkeypatch, sync):
    synced = []
    monkeypatch.setattr(files, "synced", lambda file: synced.append(file.name))
    monkeypatch.setattr("langchain_gptoss.audit.log._SYNC_SECONDS", 60)
    with AuditLog(path, sync=sync) as log:
        synced.clear()
        log.append(RECORD)
        log.append(RECORD)
        at_once = list(synced)
    both = ["audit.jsonl", "audit.jsonl.head"]
    assert at_once == (both * 2 if sync == "always" else [])
    assert synced == {"always": both * 2, "batch": both, "never": []}[sync]


def test_the_background_confirms_within_its_time(path, monkeypatch):
    monkeypatch.setattr("langchain_gptoss.audit.log._SYNC_SECONDS", 0.01)
    confirmed = threading.Event()
    monkeypatch.setattr(files, "synced", lambda file: confirmed.set())
    with AuditLog(path) as log:
        log.append(RECORD)
        assert confirmed.wait(10)


def test_a_disk_that_does_not_confirm_is_an_error_by_policy(path, monkeypatch, caplog):
    def fails(file):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files, "synced", fails)
    monkeypatch.setattr("langchain_gptoss.audit.log._SYNC_SECONDS", 0.0)
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


def test_a_log_goes_on_after_it_was_pruned_elsewhere(path):
    from datetime import timedelta

    from langchain_gptoss.audit import prune

    with opened(path) as log:
        log.append(RECORD)
        prune(path, older_than=timedelta())
        assert log.append(RECORD).seq == 3
    assert events(path) == ["checkpoint", "pruned", "answer"]
    assert verify(path).ok
