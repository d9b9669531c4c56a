"""Chatbots with scripted models, and real servers on a free port, for the tests of the server."""

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import httpx
import uvicorn
from fastapi import FastAPI
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import Runnable
from openai_harmony import HarmonyEncodingName, load_harmony_encoding

from langchain_gptoss import ChatGptOss, FaissStore, create_chatbot
from langchain_gptoss.chatbot import ChatbotOutput
from langchain_gptoss.engine import GenerationRequest, ScriptedEngine
from langchain_gptoss.engine.runners.generator_loop import Generation
from langchain_gptoss.serve import app as app_module
from langchain_gptoss.serve import create_app

ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
MODEL = "gpt-oss-20b"
TEXTS = ["The express delivery costs 12.90 euros.", "The museum opens at noon.", "Apples are red."]
ANSWER = TEXTS[0]
CITED_ANSWER = f"{ANSWER} [1]"
QUESTION = "How much does the express delivery cost?"
INPUT = {"question": QUESTION}
UNANSWERABLE = "What is the capital of France?"
MESSAGES = [{"role": "user", "content": QUESTION}]
COMPLETION = {"model": MODEL, "messages": MESSAGES}
OUTPUT_FIELDS = set(ChatbotOutput.model_fields)
FIRST_FIELDS = {"sources", "standalone_question", "language"}
TIMEOUT_S = 60


class WordEmbeddings(Embeddings):
    """Counts words, hashed into 64 dimensions."""

    def embed_query(self, text: str) -> list[float]:
        """Return the counts of the words of a text, hashed into 64 dimensions."""
        vector = [0.0] * 64
        for word in re.findall(r"\w+", text.lower()):
            vector[hashlib.sha256(word.encode()).digest()[0] % 64] += 1.0
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        return [self.embed_query(text) for text in texts]


class SlowEngine(ScriptedEngine):
    """Pauses before each token, as a model does. `ended` is set when a generation ends, also before its last token."""

    def __init__(self, completions: Sequence[Sequence[int]], **options: Any) -> None:
        super().__init__(completions, **options)
        self.ended = threading.Event()

    def _replay(self, completion: list[int], request: GenerationRequest, limit: int) -> Generation:
        replay = super()._replay(completion, request, limit)
        try:
            while True:
                time.sleep(0.005)
                try:
                    yield next(replay)
                except StopIteration as end:
                    return end.value
        finally:
            self.ended.set()


class BreakingEngine(ScriptedEngine):
    """Fails in the middle of an answer."""

    def _replay(self, completion: list[int], request: GenerationRequest, limit: int) -> Generation:
        replay = super()._replay(completion, request, limit)
        for _ in range(8):
            yield next(replay)
        raise RuntimeError("a secret reason")


def encode_answer(text: str) -> list[int]:
    """Return the ids of an answer without reasoning."""
    return ENCODING.encode(f"<|channel|>final<|message|>{text}<|return|>", allowed_special="all")


LONG_ANSWER = encode_answer("word " * 3000)


def make_engine(*answers: str, context_length: int = 4096) -> ScriptedEngine:
    """Return an engine that gives the answers, one for each request."""
    return ScriptedEngine([encode_answer(answer) for answer in answers], context_length=context_length)


def make_chatbot(engine: ScriptedEngine, documents: Sequence[Document] = (), **options: Any) -> Runnable:
    """Return a chatbot over the given documents, or over `TEXTS`."""
    texts = [Document(page_content=text, metadata={"source": f"{i}.md"}) for i, text in enumerate(TEXTS)]
    store = FaissStore(WordEmbeddings())
    store.add_documents(list(documents) or texts)
    return create_chatbot(ChatGptOss(model=MODEL, engine=engine), store.as_retriever(), **options)


@contextmanager
def disable_langserve() -> Iterator[None]:
    """Make applications without LangServe's routes. Creating those takes most of an application's start."""
    with patch.object(app_module, "_load_langserve_routes", return_value=None):
        yield


def make_app(chatbot: Runnable, *, langserve: bool = False, **options: Any) -> FastAPI:
    """Return an application, by default without LangServe's routes."""
    if langserve:
        return create_app(chatbot, **options)
    with disable_langserve():
        return create_app(chatbot, **options)


@contextmanager
def run_server(app: FastAPI, *, send_buffer: int | None = None, grace_s: int | None = None) -> Iterator[str]:
    """Yield the address of an application, which is served until the end of the block."""
    with start_server(app, send_buffer=send_buffer, grace_s=grace_s) as (address, _):
        yield address


@contextmanager
def start_server(
    app: FastAPI, *, send_buffer: int | None = None, grace_s: int | None = None
) -> Iterator[tuple[str, uvicorn.Server]]:
    """Yield the address and the server of an application, which is served until the end of the block."""
    with socket.socket() as listener:
        if send_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=grace_s))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            assert server.started
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", server
        finally:
            server.should_exit = True
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()


@contextmanager
def serve_chatbot(chatbot: Runnable, **options: Any) -> Iterator[httpx.Client]:
    """Yield a client of a chatbot's server."""
    with run_server(make_app(chatbot, **options)) as address, connect(address) as client:
        yield client


def connect(address: str, **options: Any) -> httpx.Client:
    """Return a client of a server."""
    return httpx.Client(base_url=address, timeout=TIMEOUT_S, **options)


@contextmanager
def open_connection(
    client: httpx.Client, headers: dict[str, str], path: str = "/chatbot/ask"
) -> Iterator[socket.socket]:
    """Yield a connection on which the headers of a POST request are sent."""
    address = urlsplit(str(client.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=TIMEOUT_S) as connection:
        lines = [f"POST {path} HTTP/1.1", f"Host: {address.netloc}", *(f"{k}: {v}" for k, v in headers.items())]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        yield connection


def post_and_disconnect(client: httpx.Client, path: str, body: object, engine: ScriptedEngine) -> None:
    """Send a request and close the connection while the engine writes the answer."""
    content = json.dumps(body).encode()
    with open_connection(client, {"Content-Length": str(len(content))}, path) as connection:
        connection.sendall(content)
        wait_until(lambda: engine.steps > 5)


def wait_until(condition: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition was never met"
        time.sleep(0.01)


def find_free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def read_metric(client: httpx.Client, name: str) -> float:
    """Return a value of `/metrics`; 0 if it is missing."""
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(f"{name} ")]
    return float(lines[0].split()[-1]) if lines else 0.0
