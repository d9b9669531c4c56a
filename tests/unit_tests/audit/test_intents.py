"""Intents of answers that are not recorded yet."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from langchain_gptoss.audit import AnswerRecord, AuditLog, files, intents, read_entries, verify
from langchain_gptoss.audit.intents import read_intent
from langchain_gptoss.errors import InvalidInputError, StorageError
from tests.unit_tests.forked import call_forked, needs_fork

QUESTION = "Who is ada@example.org?"


def build_partial(**fields) -> AnswerRecord:
    return AnswerRecord(user="ada", question=QUESTION, **fields)


def list_intents(log: Path) -> list[Path]:
    folder = files.get_companion_path(log, "intents")
    return [path for path in sorted(folder.glob("*")) if path.suffix != ".lock"]


def read_answers(log: Path) -> list[dict]:
    return [entry.record for entry in read_entries(log) if entry.record["event"] == "answer"]


def run_child(log: Path, script: str) -> None:
    """Run a script that kills itself; `log` and `record` are defined."""
    start = f"""
        import os, signal
        from langchain_gptoss.audit import AnswerRecord, AuditLog
        log = AuditLog({str(log)!r})
        record = AnswerRecord(user="ada", question={QUESTION!r})
    """
    code = textwrap.dedent(start) + textwrap.dedent(script) + "\nos.kill(os.getpid(), signal.SIGKILL)\n"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "audit.jsonl"


def test_an_intent_is_written_at_once_and_deleted_after_the_record(path):
    with AuditLog(path) as log:
        record = build_partial()
        intent = log.begin(record)
        [file] = list_intents(path)
        assert read_intent(file)["id"] == record.id
        log.add_piece(intent, "It is Ada.")
        assert read_intent(file)["answer"] == "It is Ada."
        log.append(record.model_copy(update={"answer": "It is Ada. [1]"}), intent=intent)
        assert list_intents(path) == []
    assert [record["answer"] for record in read_answers(path)] == ["It is Ada. [1]"]
    assert not files.get_companion_path(path, "intents").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_an_intent_is_private_and_masked(path):
    with AuditLog(path) as log:
        intent = log.begin(build_partial())
        for piece in ("Write to ada@exa", "mple.org or cal", "l 06 12 34 ", "56 78."):
            log.add_piece(intent, piece)
        [file] = list_intents(path)
        assert read_intent(file)["answer"] == "Write to [email-1] or call [phone-1]."
        assert (file.stat().st_mode | file.parent.stat().st_mode) & 0o077 == 0
        content = file.read_text()
        for private in ("ada@example.org", '"ada"', "06 12 34 56 78"):
            assert private not in content


def test_long_answers_are_joined_from_their_pieces(path):
    text = "".join(f"Sentence {number} is here. " for number in range(400))
    with AuditLog(path) as log:
        intent = log.begin(build_partial())
        for start in range(0, len(text), 7):
            log.add_piece(intent, text[start : start + 7])
        [file] = list_intents(path)
        assert read_intent(file)["answer"] == text
        assert file.stat().st_size < 12 * len(text)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize(
    ("script", "answers"),
    [
        ("log.begin(record)", [""]),
        ("i = log.begin(record); log.add_piece(i, 'One. '); log.add_piece(i, 'Two.')", ["One. Two."]),
        ("i = log.begin(record); log.add_piece(i, 'I am bob@example.org')", ["I am [email-2]"]),
        ("a, b = log.begin(record), log.begin(AnswerRecord()); log.add_piece(b, 'B')", ["", "B"]),
        ("pass", []),
    ],
)
def test_the_next_start_records_what_a_killed_process_has_shown(path, script, answers):
    run_child(path, script)
    AuditLog(path).close()
    AuditLog(path).close()
    records = read_answers(path)
    assert sorted(record["answer"] for record in records) == sorted(answers)
    assert {record["status"] for record in records} <= {"interrupted"}
    assert all(record["user"] != "ada" and "process ended" in record["reason"] for record in records)
    assert list_intents(path) == []
    assert not files.get_companion_path(path, "intents").exists()
    assert verify(path).ok


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_an_answer_that_was_recorded_before_the_crash_is_not_recorded_again(path):
    run_child(path, "i = log.begin(record); log.add_piece(i, 'One.'); log.append(record)")
    assert len(list_intents(path)) == 1
    AuditLog(path).close()
    [record] = read_answers(path)
    assert record["status"] == "complete"
    assert list_intents(path) == []


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 1.0])
def test_a_torn_line_costs_only_that_line(path, kept):
    log = AuditLog(path)
    intent = log.begin(build_partial())
    log.add_piece(intent, "One. ")
    [file] = list_intents(path)
    size = file.stat().st_size
    log.add_piece(intent, "Two.")
    whole = file.read_bytes()
    file.write_bytes(whole[: size + int(kept * (len(whole) - size))])
    assert read_intent(file)["answer"] == ("One. Two." if kept == 1 else "One. ")
    file.write_bytes(whole[: int(kept * (size // 3))])
    assert read_intent(file) is None
    log.close()


def test_another_log_leaves_the_intents_of_a_running_one_alone(path):
    with AuditLog(path) as first:
        record = build_partial()
        intent = first.begin(record)
        first.add_piece(intent, "One.")
        with AuditLog(path) as second:
            assert len(list_intents(path)) == 1
            second.append(AnswerRecord(question="Other"))
        first.append(record, intent=intent)
    assert [record["status"] for record in read_answers(path)] == ["complete", "complete"]


def test_closing_a_log_records_answers_without_an_end(path):
    log = AuditLog(path)
    log.add_piece(log.begin(build_partial()), "One.")
    log.close()
    [record] = read_answers(path)
    assert (record["answer"], record["status"]) == ("One.", "interrupted")
    with pytest.raises(InvalidInputError, match="closed"):
        log.begin(build_partial())


def test_a_discarded_intent_leaves_no_record(path):
    with AuditLog(path) as log:
        intent = log.begin(build_partial())
        intent.discard()
        intent.discard()
        log.add_piece(intent, "late")
    assert read_answers(path) == []


@needs_fork
def test_a_forked_child_has_intents_of_its_own(path):
    with AuditLog(path) as log:
        log.begin(build_partial())

        def answer_in_child() -> None:
            record = build_partial()
            log.append(record.model_copy(update={"answer": "child"}), intent=log.begin(record))

        assert call_forked(answer_in_child) is None
        AuditLog(path).close()
        assert [record["answer"] for record in read_answers(path)] == ["child"]
        assert len(list_intents(path)) == 1


@pytest.mark.parametrize("on_error", ["stop", "continue"])
def test_a_full_disk_stops_before_the_first_piece_or_goes_on_with_a_warning(path, monkeypatch, on_error, caplog):
    with AuditLog(path, on_error=on_error) as log:
        intent = log.begin(build_partial())
        monkeypatch.setattr(intents.files, "write_all", raise_full)
        if on_error == "stop":
            with pytest.raises(StorageError, match="no space left"):
                log.begin(build_partial())
            with pytest.raises(StorageError, match="no space left"):
                log.add_piece(intent, "One.")
        else:
            assert log.begin(build_partial()) is None
            log.add_piece(intent, "One.")
            log.add_piece(None, "One.")
            assert "without an intent" in caplog.text
        monkeypatch.undo()
        assert len(list_intents(path)) == 1


def raise_full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_postponed_answer_is_recorded_with_the_next_record(path):
    with AuditLog(path) as log:
        intent = log.begin(build_partial())
        log.add_piece(intent, "One.")
        log.keep_intent(intent)
        assert read_answers(path) == []
        log.append(AnswerRecord(question="Other"))
        assert [record["status"] for record in read_answers(path)] == ["complete", "interrupted"]
        assert list_intents(path) == []


def test_a_file_that_is_no_intent_is_left_out(path):
    folder = files.get_companion_path(path, "intents")
    folder.mkdir()
    for name, content in {"a-1": b"\xff\xfe", "b-2": b"[]\n", "c-3": b"", "d-4": json.dumps({"x": 1}).encode()}.items():
        (folder / name).write_bytes(content)
    AuditLog(path).close()
    assert verify(path).ok
