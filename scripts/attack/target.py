"""The server under attack: a chatbot with a scripted model, keys, labelled documents and sessions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from langchain_core.documents import Document

from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.serve import Keys, ServerSettings, add_key, create_app
from langchain_gptoss.serve.connections import build_server
from tests.integration_tests.serve.helpers import encode_answer, find_free_port, make_chatbot, wait_until

PUBLIC = "The express delivery costs 12.90 euros."
SECRET = "The salary of the director is 987,654 euros."
QUESTION = "How much does the express delivery cost?"
SECRET_QUESTION = "What is the salary of the director?"
MARKS = ("987,654", "987.654", "987654")
"""Texts that only the key `staff` may see."""

PRIVATE_SESSION = "diary-of-staff"
_COMPLETIONS = 20_000


@dataclass(frozen=True, kw_only=True)
class Target:
    """A running server.

    Attributes:
        address: Its address.
        client: A client of it.
        keys: Secrets by the name of their owner; `staff` may see the secret document, `guest` may not.
        engine: The scripted model.
    """

    address: str
    client: httpx.Client
    keys: dict[str, str]
    engine: ScriptedEngine

    def authorize(self, name: str) -> dict[str, str]:
        """Return the headers of a caller."""
        return {"Authorization": f"Bearer {self.keys[name]}"}


@contextmanager
def run_target(folder: Path, **options: float) -> Iterator[Target]:
    """Yield a server whose key `staff` has a session of its own.

    Args:
        folder: For the keys.
        **options: Fields of `ServerSettings`.
    """
    file, port = folder / "keys.toml", find_free_port()
    keys = {"staff": add_key(file, "staff", labels=["hr"]), "guest": add_key(file, "guest")}
    documents = [
        Document(page_content=SECRET, metadata={"source": "hr.md", "access": ["hr"]}),
        Document(page_content=PUBLIC, metadata={"source": "prices.md", "access": ["public"]}),
    ]
    engine = ScriptedEngine([encode_answer(PUBLIC)] * _COMPLETIONS)
    chatbot = make_chatbot(engine, documents, access="access", sessions=":memory:", strict=False, focus=0)
    settings = ServerSettings(keys=Keys.load(file), requests_per_minute=None, **options)  # type: ignore[arg-type]
    server = build_server(create_app(chatbot, settings=settings), host="127.0.0.1", port=port, settings=settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        # A connection for each request: a long pause of the attacker would otherwise meet one that has just ended.
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, limits=limits) as client:
            target = Target(address=f"http://127.0.0.1:{port}", client=client, keys=keys, engine=engine)
            body = {"question": SECRET_QUESTION, "session_id": PRIVATE_SESSION}
            client.post("/chatbot/ask", json=body, headers=target.authorize("staff")).raise_for_status()
            yield target
    finally:
        server.should_exit = True
        thread.join(60)
