"""The order of an answer under an audit log: intent, pieces, record, last piece."""

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import time
from contextlib import aclosing
from pathlib import Path

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_gptoss import create_chatbot
from langchain_gptoss.audit import AuditLog, read_entries, verify
from langchain_gptoss.errors import StorageError
from tests.unit_tests.chatbot.fakes import build_model, build_retriever

QUESTION = "How much does delivery cost?"
TEXT = "Standard delivery costs 4.90 euros. Express delivery costs 12.90 euros. Delivery to islands costs 20 euros."
SENTENCES = [f"{sentence.rstrip('.')}." for sentence in TEXT.split(". ")]
FIRST, _, LAST = SENTENCES


class BrokenModel(type(build_model())):
    """Fails after its text."""

    def _stream(self, *args, **kwargs):
        yield from super()._stream(*args, **kwargs)
        raise RuntimeError("lost")


class EndlessModel(type(build_model())):
    """Never ends after its text, until its caller stops reading. It has begun another sentence."""

    def _stream(self, *args, **kwargs):
        yield from super()._stream(*args, **kwargs)
        yield ChatGenerationChunk(message=AIMessageChunk(content="The"))
        while True:
            time.sleep(0.002)
            yield ChatGenerationChunk(message=AIMessageChunk(content=""))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "audit.jsonl"


def build_bot(log: AuditLog | Path | None, *, model=None, **options):
    return create_chatbot(model or build_model(TEXT), build_retriever(TEXT), audit=log, **options)


def read_answers(path: Path) -> list[dict]:
    return [entry.record for entry in read_entries(path) if entry.record["event"] == "answer"]


def fail_to_write(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


async def collect_async(bot, shown: list) -> None:
    async for chunk in bot.astream(QUESTION):
        shown.append(chunk)  # noqa: PERF401 (what came before an error is kept)


def collect(bot, shown: list, *, is_async: bool = False) -> None:
    """Add the chunks of an answer to a list, also those before an error."""
    if is_async:
        asyncio.run(collect_async(bot, shown))
    else:
        shown.extend(bot.stream(QUESTION))


def join(chunks: list) -> str:
    return "".join(chunk.answer for chunk in chunks)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
def test_the_record_is_there_before_the_last_piece_and_the_same_chunks_come(path, strict, is_async):
    def drop_audit(chunks: list) -> list:
        for chunk in chunks:
            chunk.metadata.pop("audit", None)
            chunk.timings.clear()
        return chunks

    without = list(build_bot(None, strict=strict).stream(QUESTION))
    recorded: list[tuple[str, int]] = []
    with AuditLog(path) as log:
        bot = build_bot(log, strict=strict)
        if is_async:

            async def read() -> list:
                chunks = []
                async with aclosing(bot.astream(QUESTION)) as stream:
                    async for chunk in stream:
                        recorded.append((chunk.answer, len(read_answers(path))))
                        chunks.append(chunk)
                return chunks

            chunks = asyncio.run(read())
        else:
            chunks = []
            for chunk in bot.stream(QUESTION):
                recorded.append((chunk.answer, len(read_answers(path))))
                chunks.append(chunk)
    assert drop_audit(chunks) == drop_audit(without)
    pieces = [count for text, count in recorded if text]
    assert len(pieces) > 1
    assert pieces[-1] == 1
    assert read_answers(path)[0]["answer"] == "".join(text for text, _ in recorded)
    assert read_answers(path)[0]["status"] == "complete"


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(("pieces", "status"), [(0, "abandoned"), (1, "abandoned"), (2, "abandoned"), (3, "complete")])
def test_an_abandoned_answer_is_recorded_with_what_was_shown(path, is_async, pieces, status):
    shown: list[str] = []

    async def read_async(bot) -> None:
        async with aclosing(bot.astream(QUESTION)) as stream:
            async for chunk in stream:
                shown.append(chunk.answer)
                if len([text for text in shown if text]) == pieces:
                    break

    # One more sentence than those that are shown, because the last one is kept back until the record is written.
    text = " ".join(SENTENCES[: pieces + 1])
    model = None if status == "complete" else EndlessModel(messages=build_model(text).messages)
    with AuditLog(path) as log:
        bot = build_bot(log, model=model)
        if is_async:
            asyncio.run(read_async(bot))
        else:
            stream = bot.stream(QUESTION)
            for chunk in stream:
                shown.append(chunk.answer)
                if len([text for text in shown if text]) == pieces:
                    break
            stream.close()
        [record] = read_answers(path)
    assert record["status"] == status
    assert record["question"] == QUESTION
    assert [passage["source"] for passage in record["passages"]] == ["prices.md"]
    if status == "abandoned":
        assert record["answer"] == "".join(shown)
        assert len(record["citations"]) == pieces
        assert "stopped reading" in record["reason"]
    else:
        assert LAST in record["answer"]
    assert verify(path).ok


def test_nothing_is_recorded_of_an_answer_before_its_first_chunk(path):
    with AuditLog(path) as log:
        stream = build_bot(log).stream(QUESTION)
        stream.close()
    assert read_answers(path) == []
    assert not (path.parent / "audit.jsonl.intents").exists()


def test_a_cancelled_task_is_recorded(path):
    async def run(bot) -> None:
        reached = asyncio.Event()

        async def read() -> None:
            async for chunk in bot.astream(QUESTION):
                if chunk.answer:
                    reached.set()
                    await asyncio.sleep(60)

        task = asyncio.create_task(read())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gc.collect()
        for _ in range(1000):  # the loop closes the generator that nobody holds
            if read_answers(path):
                return
            await asyncio.sleep(0.01)

    with AuditLog(path) as log:
        text = " ".join(SENTENCES[:2])
        asyncio.run(run(build_bot(log, model=EndlessModel(messages=build_model(text).messages))))
        [record] = read_answers(path)
    assert (record["status"], record["answer"]) == ("abandoned", f"{FIRST} [1]")


def test_a_generator_that_nobody_closes_is_recorded_when_it_is_collected(path):
    with AuditLog(path) as log:
        model = EndlessModel(messages=build_model(" ".join(SENTENCES[:2])).messages)
        for chunk in build_bot(log, model=model).stream(QUESTION):
            if chunk.answer:
                break
        gc.collect()
        assert [record["status"] for record in read_answers(path)] == ["abandoned"]


@pytest.mark.parametrize("is_async", [True, False])
def test_an_answer_that_fails_is_recorded_with_what_was_shown(path, is_async):
    with AuditLog(path) as log:
        bot = build_bot(log, model=BrokenModel(messages=build_model(TEXT).messages))
        with pytest.raises(RuntimeError):
            collect(bot, [], is_async=is_async)
        [record] = read_answers(path)
    assert record["status"] == "failed"
    assert record["answer"].startswith(f"{FIRST} [1]")
    assert LAST not in record["answer"]


@pytest.mark.parametrize("is_async", [True, False])
def test_a_full_disk_at_the_intent_shows_nothing(path, monkeypatch, is_async):
    chunks = []
    with AuditLog(path) as log:
        bot = build_bot(log)
        monkeypatch.setattr("langchain_gptoss.audit.files.write_all", fail_to_write)
        with pytest.raises(StorageError, match="no space left"):
            collect(bot, chunks, is_async=is_async)
        monkeypatch.undo()
    assert chunks == []
    assert read_answers(path) == []


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("strict", [True, False])
def test_a_full_disk_at_the_record_keeps_the_last_piece(path, is_async, strict):
    shown: list = []
    with AuditLog(path) as log:
        bot = build_bot(log, strict=strict)
        log._ledger.add = fail_to_write
        with pytest.raises(StorageError, match="no space left"):
            collect(bot, shown, is_async=is_async)
        del log._ledger.add
        text = join(shown)
        assert text.startswith(FIRST)
        assert LAST not in text or not strict
        assert not any("citations" in chunk for chunk in shown)
        assert read_answers(path) == []
        # What was shown is recorded as soon as the log can be written.
        build_bot(log).invoke(QUESTION)
        answers = {record["status"]: record["answer"] for record in read_answers(path)}
    assert set(answers) == {"complete", "interrupted"}
    assert answers["interrupted"] == text


def test_one_sentence_is_not_shown_on_a_full_disk(path):
    with AuditLog(path) as log:
        bot = build_bot(log, model=build_model(FIRST))
        log._ledger.add = fail_to_write
        shown = []
        with pytest.raises(StorageError):
            collect(bot, shown)
        del log._ledger.add
    assert join(shown) == ""


def test_a_log_that_continues_without_records_shows_the_answer(path):
    with AuditLog(path, on_error="continue") as log:
        bot = build_bot(log)
        log._ledger.add = fail_to_write
        chunks = list(bot.stream(QUESTION))
        del log._ledger.add
        assert log.gap_count == 1
    assert LAST in "".join(chunk.answer for chunk in chunks)
    assert [entry.record["event"] for entry in read_entries(path)][-1] == "gap"
    assert not (path.parent / "audit.jsonl.intents").exists()


def test_invoke_and_batch_record_before_they_return(path):
    with AuditLog(path) as log:
        bot = build_bot(log, model=build_model(TEXT, TEXT, TEXT))
        log._ledger.add = fail_to_write
        with pytest.raises(StorageError):
            bot.invoke(QUESTION)
        outputs = bot.batch([QUESTION], return_exceptions=True)
        del log._ledger.add
        assert isinstance(outputs[0], StorageError)
        assert read_answers(path) == []
        bot.invoke(QUESTION)
    assert [record["status"] for record in read_answers(path)] == ["complete"]


def test_an_answer_of_a_policy_model_is_shown_after_its_record(path):
    guard = build_model(*['{"violation": 0, "category": "", "rationale": ""}'] * 4)
    with AuditLog(path) as log:
        bot = build_bot(log, guard_model=guard, domain="support", language="en")
        log._ledger.add = fail_to_write
        shown = []
        with pytest.raises(StorageError):
            collect(bot, shown)
        del log._ledger.add
    assert join(shown) == ""


def test_a_refused_question_is_recorded_before_the_refusal(path):
    guard = build_model('{"violation": 1, "category": "x", "rationale": "no"}')
    with AuditLog(path) as log:
        stream = build_bot(log, guard_model=guard, domain="support", language="en").stream(QUESTION)
        counts = [(bool(chunk.answer), len(read_answers(path))) for chunk in stream]
    assert (True, 1) in counts
    assert (True, 0) not in counts


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("pieces", [0, 1, 2])
def test_a_killed_process_leaves_a_record_of_what_it_had_shown(path, pieces):
    script = f"""
        import os, signal
        from tests.unit_tests.chatbot.test_recorder import *
        shown = []
        text = " ".join(SENTENCES[:{pieces + 1}])
        model = EndlessModel(messages=build_model(text).messages)
        for chunk in build_bot({str(path)!r}, model=model).stream(QUESTION):
            shown.append(chunk.answer)
            if len([text for text in shown if text]) == {pieces}:
                print("".join(shown), flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
    """
    child = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert child.returncode == -9, child.stderr
    AuditLog(path).close()
    [record] = read_answers(path)
    assert record["status"] == "interrupted"
    assert record["answer"] == child.stdout.removesuffix("\n")
    assert record["passages"]
    assert verify(path).ok
