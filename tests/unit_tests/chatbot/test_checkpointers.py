"""The SQLite checkpointer: one state per session, and connections that are closed."""

import gc
import sqlite3

import pytest
from langchain_core.documents import Document

from langchain_gptoss import create_chatbot
from langchain_gptoss.chatbot import Sessions, open_checkpointer
from langchain_gptoss.errors import StorageError
from tests.unit_tests.chatbot.fakes import STANDARD, FixedRetriever, build_model, build_retriever


def test_sqlite_keeps_one_state_of_each_session_and_survives_the_process(tmp_path):
    path = tmp_path / "sessions.sqlite"
    with create_chatbot(build_model(*["4.90 euros."] * 3), build_retriever(), sessions=path) as bot:
        for _ in range(3):
            bot.invoke({"question": STANDARD, "session_id": "a"})
        connection = bot.sessions.checkpointer.conn
        assert connection.execute("SELECT count(*) FROM checkpoints").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM writes").fetchone()[0] <= 1
    reopened = Sessions(open_checkpointer(path))
    assert len(reopened.get_messages("anonymous", "a")) == 6
    reopened.close()


def test_passages_are_not_saved_with_a_session(tmp_path):
    secret = Document("Standard delivery costs 4.90 euros. The vault code is 7421-alpha.", metadata={"source": "s"})
    retriever, path = FixedRetriever(documents=[secret]), tmp_path / "sessions.sqlite"
    with create_chatbot(build_model("4.90 euros."), retriever, sessions=path) as bot:
        assert bot.invoke({"question": STANDARD, "session_id": "a"})["sources"][0]["text"] == secret.page_content
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"4.90 euros." in content
    assert b"7421-alpha" not in content


def test_closing_a_chatbot_closes_what_it_opened_and_nothing_else(tmp_path):
    shared = Sessions(open_checkpointer(tmp_path / "shared.sqlite"))
    create_chatbot(build_model(), build_retriever(), sessions=shared).close()
    assert shared.list("ada") == []
    bot = create_chatbot(
        build_model(), build_retriever(), sessions=tmp_path / "own.sqlite", audit=tmp_path / "audit.jsonl"
    )
    bot.close()
    bot.close()
    for sessions in (bot.sessions, shared):
        sessions.close()
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            sessions.list("ada")


def test_a_garbage_collected_checkpointer_closes_its_connection(tmp_path):
    saver = open_checkpointer(tmp_path / "sessions.sqlite")
    connection = saver.conn
    del saver
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_file_that_is_no_database_raises_an_error(tmp_path):
    path = tmp_path / "notes.sqlite"
    path.write_text("this is no database, and long enough to be read as one " * 50)
    with pytest.raises(StorageError, match="cannot be opened"):
        open_checkpointer(path)
