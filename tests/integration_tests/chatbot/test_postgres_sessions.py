"""Sessions in a real PostgreSQL, which is started for the test; skipped if it is not installed."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.retrievers import BaseRetriever

from langchain_gptoss import create_chatbot
from langchain_gptoss.chatbot import open_checkpointer
from langchain_gptoss.errors import StorageError

pytest.importorskip("langgraph.checkpoint.postgres", reason="the extra postgres is not installed")
pytest.importorskip("psycopg_pool", reason="the extra postgres is not installed")

QUESTION = "How much does standard delivery cost?"


def find_program(name: str) -> str | None:
    paths = [*map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), shutil.which(name)]
    return next((path for path in paths if path), None)


@pytest.fixture(scope="module")
def address():
    initdb, postgres = find_program("initdb"), find_program("pg_ctl")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL's server is not installed")
    folder = Path(tempfile.mkdtemp(prefix="gptoss-postgres-"))
    user_prefix: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        if shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL does not run as root, and setpriv is not installed")
        user_prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        shutil.chown(folder, "nobody", "nogroup")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(*command: str) -> None:
        subprocess.run([*user_prefix, *command], check=True, capture_output=True, timeout=120, cwd=folder)

    data = str(folder / "data")
    run(initdb, "-D", data, "-U", "gptoss", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
    options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off"
    run(postgres, "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql://gptoss@127.0.0.1:{port}/postgres"
    finally:
        run(postgres, "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


class FixedRetriever(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return [Document("Standard delivery costs 4.90 euros.", metadata={"source": "s.md"})]


async def test_two_servers_share_sessions_in_postgres(address):
    checkpointer = open_checkpointer(address)
    llm = GenericFakeChatModel(messages=iter([AIMessage("Standard delivery costs 4.90 euros.")] * 4))
    bot = create_chatbot(llm, FixedRetriever(), sessions=checkpointer)
    ada, bob = ({"configurable": {"user_id": name}} for name in ("ada", "bob"))
    bot.invoke({"question": QUESTION, "session_id": "a"}, ada)
    await bot.ainvoke({"question": QUESTION, "session_id": "a"}, ada)
    await bot.ainvoke({"question": QUESTION, "session_id": "a"}, bob)
    second_bot = create_chatbot(llm, FixedRetriever(), sessions=address)  # another server beside the first
    assert len(second_bot.sessions.get_messages("ada", "a")) == 4
    assert [summary.session_id for summary in await second_bot.sessions.alist("bob")] == ["a"]
    await second_bot.sessions.adelete("ada", "a")
    assert bot.sessions.list("ada") == []
    assert len(bot.sessions.get_messages("bob", "a")) == 2
    bot.sessions.close()
    second_bot.close()


def test_an_unreachable_database_raises_an_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(StorageError, match="database of the sessions cannot be reached"):
            open_checkpointer(f"postgresql://{getpass.getuser()}@127.0.0.1:{port}/none")
