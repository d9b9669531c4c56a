"""A server that is told to stop: what is being written ends properly, in time or with an error that says why."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import httpx
import pytest
from langserve import RemoteRunnable

from tests.integration_tests.serve.test_langserve_routes import FIRST, QUESTION, wait_until

SERVER = """
from tests.integration_tests.serve.test_langserve_routes import SlowEngine, chatbot_over, harmony
from langchain_gptoss.serve import ServerSettings, create_app, serve

engine = SlowEngine([harmony("word " * {words})] * 3)
bot, settings = chatbot_over(engine, strict=False), ServerSettings(grace_seconds={grace})
if {whole}:
    serve(bot, port={port}, settings=settings)
else:
    import uvicorn
    uvicorn.run(create_app(bot, settings=settings), port={port}, timeout_graceful_shutdown=settings.grace_seconds)
"""
COMPLETION = {"model": "gpt-oss-20b", "messages": [{"role": "user", "content": "Hello"}], "stream": True}


@contextmanager
def served(*, words: int, grace: float, whole: bool = True) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    code = SERVER.format(words=words, grace=grace, whole=whole, port=port)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{address}/healthz").status_code == 200
        except httpx.ConnectError:
            return False

    try:
        wait_until(lambda: process.poll() is not None or answers(), 90)
        yield address, process
    finally:
        process.kill()
        process.communicate()


class Listener(Thread):
    """Reads an answer to its end, as far as it comes."""

    def __init__(self, listen: Any) -> None:
        super().__init__(daemon=True)
        self._listen, self.pieces, self.error = listen, [], None
        self.start()

    def run(self) -> None:
        try:
            for piece in self._listen():
                self.pieces.append(piece)
        except Exception as error:
            self.error = error

    def end(self) -> None:
        self.join(60)
        assert not self.is_alive()


def lines_of(address: str) -> Iterator[str]:
    with httpx.stream("POST", f"{address}/v1/chat/completions", json=COMPLETION, timeout=60) as stream:
        yield from (line for line in stream.iter_lines() if line)


def test_what_can_end_in_time_does():
    with served(words=200, grace=30) as (address, process):
        foreign = httpx.get(f"{address}/healthz", headers={"Host": "evil.example"})
        assert foreign.status_code == 421  # on this machine, and without keys, only its own names are answered
        remote = Listener(lambda: RemoteRunnable(f"{address}/chatbot", timeout=60).stream(QUESTION))
        openai = Listener(lambda: lines_of(address))
        whole = Listener(lambda: [RemoteRunnable(f"{address}/chatbot", timeout=60).invoke(QUESTION)])
        wait_until(lambda: len(remote.pieces) > 3 and len(openai.pieces) > 3, 60)
        process.send_signal(signal.SIGTERM)
        for listener in (remote, openai, whole):
            listener.end()
            assert listener.error is None
        assert set(remote.pieces[0]) == FIRST
        assert "citations" in remote.pieces[-1]
        assert openai.pieces[-1] == "data: [DONE]"
        assert json.loads(openai.pieces[-2][6:])["choices"][0]["finish_reason"] == "stop"
        assert whole.pieces[0]["answer"].count("word") == 200
        process.wait(30)


@pytest.mark.parametrize("whole", [True, False], ids=["serve", "another server's command"])
def test_what_cannot_end_in_time_ends_with_an_error(whole):
    with served(words=6000, grace=1, whole=whole) as (address, process):
        remote = Listener(lambda: RemoteRunnable(f"{address}/chatbot", timeout=60).stream(QUESTION))
        openai = Listener(lambda: lines_of(address))
        invoked = Listener(lambda: [RemoteRunnable(f"{address}/chatbot", timeout=60).invoke(QUESTION)] if whole else [])
        wait_until(lambda: len(remote.pieces) > 3 and len(openai.pieces) > 3, 60)
        process.send_signal(signal.SIGTERM)
        for listener in (remote, openai, invoked):
            listener.end()
        assert isinstance(remote.error, httpx.HTTPStatusError)
        assert (remote.error.response.status_code, remote.error.response.text[:23]) == (503, "The server is stopping.")
        assert openai.error is None
        assert openai.pieces[-1] == "data: [DONE]"
        assert "The server is stopping." in json.loads(openai.pieces[-2][6:])["error"]["message"]
        if whole:
            assert invoked.error.response.status_code == 503
        process.wait(30)
        assert b"Traceback" not in process.stderr.read()
