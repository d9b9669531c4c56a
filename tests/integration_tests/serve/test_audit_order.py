"""Clients that disconnect and disks that are full, on every route that streams: what was shown is in the audit log."""

import json
import time
from pathlib import Path

import pytest
from langchain_core.documents import Document

from langchain_gptoss.audit import AuditLog, read_entries, verify
from langchain_gptoss.engine import ScriptedEngine
from tests.integration_tests.serve.helpers import (
    QUESTION,
    encode_answer,
    make_chatbot,
    make_engine,
    open_connection,
    serve_chatbot,
    wait_until,
)

FIRST = "The express delivery costs 12.90 euros."
LAST = "The express delivery takes two days."
TEXT = f"{FIRST} {LAST}"
DOCUMENTS = [Document(TEXT, metadata={"source": "prices.md"})]
ASKED = {"input": {"question": QUESTION}}
MESSAGES = [{"role": "user", "content": QUESTION}]
STREAMS = [
    ("/chatbot/ask", {"question": QUESTION}),
    ("/chatbot/stream", ASKED),
    ("/chatbot/stream_events", ASKED),
    ("/chatbot/stream_log", ASKED),
    ("/v1/chat/completions", {"model": "chatbot", "stream": True, "messages": MESSAGES}),
    ("/v1/responses", {"model": "chatbot", "stream": True, "input": QUESTION}),
]
AT_ONCE = [
    ("/chatbot/invoke", ASKED),
    ("/chatbot/batch", {"inputs": [ASKED["input"]]}),
    ("/v1/chat/completions", {"model": "chatbot", "messages": MESSAGES}),
    ("/v1/responses", {"model": "chatbot", "input": QUESTION}),
]


class EndlessEngine(ScriptedEngine):
    """Gives its tokens, and then pauses before each further one until the client has disconnected."""

    def _replay(self, completion, request, limit):
        replay = super()._replay(completion, request, limit)
        while True:
            if self.steps > 30:
                time.sleep(0.01)
            try:
                yield next(replay)
            except StopIteration as end:
                return end.value


def read_answers(path: Path) -> list[dict]:
    return [entry.record for entry in read_entries(path) if entry.record["event"] == "answer"]


def fail_to_write(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def read_until(connection, text: str) -> str:
    received = b""
    while text.encode() not in received:
        piece = connection.recv(65536)
        assert piece, received
        received += piece
    return received.decode()


def ask_until(client, path: str, body: dict, text: str) -> str:
    """Return what arrives until a text; then the connection is closed."""
    content = json.dumps(body).encode()
    with open_connection(client, {"Content-Length": str(len(content))}, path) as connection:
        connection.sendall(content)
        return read_until(connection, text)


@pytest.mark.parametrize(("path", "body"), STREAMS)
def test_what_a_client_saw_before_it_disconnected_is_recorded(tmp_path, path, body):
    log_path = tmp_path / "audit.jsonl"
    engine = EndlessEngine([encode_answer(f"{TEXT} {'and so on ' * 3000}")], context_length=20_000)
    with (
        AuditLog(log_path) as log,
        serve_chatbot(make_chatbot(engine, DOCUMENTS, audit=log), langserve=True) as client,
    ):
        ask_until(client, path, body, "12.90 euros. [1]")
        wait_until(lambda: read_answers(log_path))
        [record] = read_answers(log_path)
        assert record["status"] == "abandoned"
        assert record["answer"].startswith(f"{FIRST} [1]")
        assert record["question"] == QUESTION
    assert len(read_answers(log_path)) == 1
    assert verify(log_path).ok


@pytest.mark.parametrize(("path", "body"), STREAMS)
def test_the_record_is_there_when_the_last_sentence_arrives(tmp_path, path, body):
    log_path = tmp_path / "audit.jsonl"
    with (
        AuditLog(log_path) as log,
        serve_chatbot(make_chatbot(make_engine(TEXT), DOCUMENTS, audit=log), langserve=True) as client,
    ):
        last = LAST.rpartition(" ")[2]
        ask_until(client, path, body, f"takes two {last} [")
        [record] = read_answers(log_path)
    assert record["status"] == "complete"
    assert LAST in record["answer"]


@pytest.mark.parametrize(("path", "body"), [*STREAMS, *AT_ONCE])
def test_no_answer_leaves_unrecorded_on_a_full_disk(tmp_path, path, body, monkeypatch):
    log_path = tmp_path / "audit.jsonl"
    with (
        AuditLog(log_path) as log,
        serve_chatbot(make_chatbot(make_engine(FIRST, FIRST), DOCUMENTS, audit=log), langserve=True) as client,
    ):
        monkeypatch.setattr(log._ledger, "add", fail_to_write)  # full at the record
        at_record = client.post(path, json=body)
        monkeypatch.undo()
        monkeypatch.setattr("langchain_gptoss.audit.files.write_all", fail_to_write)  # full from the start
        at_start = client.post(path, json=body)
        monkeypatch.undo()
    assert f"{FIRST} [1]" not in at_record.text
    assert "error" in at_record.text or at_record.status_code >= 500
    assert FIRST not in at_start.text
    assert at_start.status_code >= 500
    for response in (at_record, at_start):
        assert "audit.jsonl" not in response.text
        assert '"citations"' not in response.text
