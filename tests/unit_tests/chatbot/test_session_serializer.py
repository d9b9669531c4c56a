"""Saved sessions: messages are read again, and nothing that a file names is run."""

import pickle
import sqlite3
import stat

import ormsgpack
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langchain_gptoss import create_chatbot
from langchain_gptoss.chatbot import Sessions, open_checkpointer
from langchain_gptoss.chatbot.session_serializer import SessionSerializer
from langchain_gptoss.errors import StorageError
from tests.unit_tests.chatbot.fakes import STANDARD, build_model, build_retriever

OPTION = ormsgpack.OPT_NON_STR_KEYS


def pack(value) -> bytes:
    return ormsgpack.packb(value, option=OPTION)


def pack_extension(code: int, *fields) -> bytes:
    return pack({"messages": ormsgpack.Ext(code, pack(fields))})


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"bytes",
        {"v": 4, "channel_values": {"summary": "été", "n": [1, 2.5, True, None]}},
        [HumanMessage("Combien ?"), AIMessage("4.90 euros [1].", usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3})],
        [SystemMessage("x"), ToolMessage("y", tool_call_id="1"), AIMessage("", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "1"}])],
    ],
)  # fmt: skip
def test_values_of_a_conversation_survive(value):
    serializer = SessionSerializer()
    assert serializer.loads_typed(serializer.dumps_typed(value)) == value
    # Files of earlier versions were written by LangGraph's own serializer.
    assert serializer.loads_typed(JsonPlusSerializer().dumps_typed(value)) == value


def attacks(mark) -> dict[str, tuple[str, bytes]]:
    command = f"touch {mark}"
    nested = ormsgpack.Ext(5, pack(("langchain_core.messages.human", "HumanMessage", {"content": ormsgpack.Ext(0, pack(("os", "system", command)))}, "x")))  # fmt: skip

    class Evil:
        def __reduce__(self):
            import os

            return os.system, (command,)

    json_constructor = b'{"lc": 2, "type": "constructor", "id": ["os", "system"], "args": ["%s"]}' % command.encode()
    return {
        "one argument": ("msgpack", pack_extension(0, "os", "system", command)),
        "arguments": ("msgpack", pack_extension(1, "subprocess", "call", [["touch", str(mark)]])),
        "keywords": ("msgpack", pack_extension(2, "subprocess", "call", {"args": ["touch", str(mark)]})),
        "method": ("msgpack", pack_extension(3, "pathlib", "Path", str(mark), "touch")),
        "pydantic 1": ("msgpack", pack_extension(4, "os", "system", {"command": command})),
        "pydantic 2": ("msgpack", pack_extension(5, "os", "system", {"command": command}, "x")),
        "safe type of LangGraph": ("msgpack", pack_extension(1, "re", "compile", ["(a+)+$", 0])),
        "array": ("msgpack", pack_extension(6, "<f8", [1], "C", b"\0" * 8)),
        "unknown extension": ("msgpack", pack_extension(99, "os", "system", command)),
        "extension without fields": ("msgpack", pack({"messages": ormsgpack.Ext(5, pack("os"))})),
        "extension of no MessagePack": ("msgpack", pack({"messages": ormsgpack.Ext(5, b"\xc1")})),
        "inside a message": ("msgpack", pack({"messages": [nested]})),
        "damaged message": ("msgpack", pack_extension(5, "langchain_core.messages.human", "HumanMessage", {}, "x")),
        "truncated": ("msgpack", pack({"a": "b" * 100})[:50]),
        "JSON constructor": ("json", json_constructor),
        "plain JSON": ("json", b"{}"),
        "pickle": ("pickle", pickle.dumps(Evil())),
        "unknown kind": ("\x1b[2Jyaml", b""),
    }


@pytest.mark.parametrize("name", attacks("x"))
def test_everything_else_is_refused_and_nothing_runs(tmp_path, name):
    mark = tmp_path / "RAN"
    with pytest.raises(StorageError, match=r"The saved sessions (hold|are damaged)"):
        SessionSerializer().loads_typed(attacks(mark)[name])
    assert not mark.exists()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "sessions.sqlite"
    with create_chatbot(build_model("4.90 euros."), build_retriever(), sessions=path) as bot:
        bot.invoke({"question": STANDARD, "session_id": "s"})
    return path


def replace_state(path, kind: str, content: bytes, metadata: bytes | None = None) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE checkpoints SET type = ?, checkpoint = ?", (kind, content))
    if metadata is not None:
        connection.execute("UPDATE checkpoints SET metadata = ?", (metadata,))
    connection.commit()
    connection.close()


STATE = {"v": 4, "id": "1f0", "ts": "2026-01-01T00:00:00+00:00", "channel_versions": {}, "versions_seen": {}}


@pytest.mark.parametrize("name", ["one argument", "pickle", "JSON constructor", "truncated"])
def test_a_planted_file_is_refused_by_every_method(tmp_path, saved, name):
    mark = tmp_path / "RAN"
    replace_state(saved, *attacks(mark)[name])
    sessions = Sessions(open_checkpointer(saved))
    for use in (lambda: sessions.list("anonymous"), lambda: sessions.get_messages("anonymous", "s"), lambda: sessions.export("anonymous", "s")):  # fmt: skip
        with pytest.raises(StorageError):
            use()
    sessions.close()
    with (
        create_chatbot(build_model("4.90 euros."), build_retriever(), sessions=saved) as bot,
        pytest.raises(StorageError),
    ):
        bot.invoke({"question": STANDARD, "session_id": "s"})
    assert not mark.exists()


@pytest.mark.parametrize(
    "state",
    [
        "a text",
        [],
        {},
        STATE,
        {**STATE, "channel_values": {"messages": "a text"}},
        {**STATE, "channel_values": {"messages": [{"content": "x"}]}},
        {**STATE, "channel_values": {"messages": [], "summary": 5}},
        {**STATE, "ts": None, "channel_values": {}},
    ],
)
def test_a_state_of_another_form_names_the_file(saved, state):
    replace_state(saved, "msgpack", pack(state))
    sessions = Sessions(open_checkpointer(saved))
    with pytest.raises(StorageError, match=r"The sessions in .*sessions\.sqlite are damaged"):
        sessions.list("anonymous")
    sessions.close()


def test_files_of_sessions_are_private(tmp_path, saved):
    folder = tmp_path / "new"
    saver = open_checkpointer(folder / "sessions.sqlite")
    saver.conn.execute("CREATE TABLE x (y)")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    saver.close()
    assert modes.pop("new") == 0o700
    assert len(modes) >= 2
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o640, 0o640), (0o600, 0o600)])
def test_a_file_with_the_former_mode_becomes_private(saved, before, after):
    saved.chmod(before)
    open_checkpointer(saved).close()
    assert stat.S_IMODE(saved.stat().st_mode) == after
