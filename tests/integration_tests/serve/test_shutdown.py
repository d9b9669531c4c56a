"""A server that stops: running answers finish within the grace period, or end with an error that says why."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import httpx
from langserve import RemoteRunnable

from langchain_gptoss.serve import ServerSettings
from tests.integration_tests.serve.helpers import (
    COMPLETION,
    FIRST_FIELDS,
    INPUT,
    SlowEngine,
    encode_answer,
    find_free_port,
    make_app,
    make_chatbot,
    start_server,
    wait_until,
)

SERVER = """
from tests.integration_tests.serve.helpers import SlowEngine, encode_answer, make_chatbot
from langchain_gptoss.serve import ServerSettings, serve

chatbot = make_chatbot(SlowEngine([encode_answer("word " * 20_000)] * 3), strict=False)
serve(chatbot, port=%d, settings=ServerSettings(grace_seconds=1))
"""


class Reader(Thread):
    """Reads an answer in a thread, until it ends or fails."""

    def __init__(self, read: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._read, self.items, self.error = read, [], None
        self.start()

    def run(self) -> None:
        try:
            for item in self._read():
                self.items.append(item)
        except Exception as error:
            self.error = error

    def wait(self) -> None:
        self.join(60)
        assert not self.is_alive()


def read_lines(address: str, path: str, body: object) -> Iterator[str]:
    with httpx.stream("POST", f"{address}{path}", json=body, timeout=60) as response:
        yield from (line for line in response.iter_lines() if line)


def read_completion(address: str) -> Iterator[str]:
    return read_lines(address, "/v1/chat/completions", COMPLETION | {"stream": True})


def get_remote(address: str) -> RemoteRunnable:
    return RemoteRunnable(f"{address}/chatbot", timeout=60)


@contextmanager
def run_serve_command() -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run `serve` in a process of its own, which receives signals."""
    port = find_free_port()
    command = [sys.executable, "-W", "error", "-c", SERVER % port]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    address = f"http://127.0.0.1:{port}"

    def is_running() -> bool:
        try:
            return httpx.get(f"{address}/healthz").status_code == 200
        except httpx.ConnectError:
            return False

    try:
        wait_until(lambda: process.poll() is not None or is_running(), timeout_s=120)
        yield address, process
    finally:
        process.kill()
        process.communicate()


def test_answers_finish_within_the_grace_period():
    engine = SlowEngine([encode_answer("word " * 100)] * 3)
    app = make_app(make_chatbot(engine, strict=False), langserve=True, settings=ServerSettings(grace_seconds=60))
    with start_server(app, grace_s=60) as (address, server):
        remote = Reader(lambda: get_remote(address).stream(INPUT))
        openai = Reader(lambda: read_completion(address))
        invoked = Reader(lambda: [get_remote(address).invoke(INPUT)])
        wait_until(lambda: len(remote.items) > 3 and len(openai.items) > 3 and len(engine.requests) == 3)
        server.should_exit = True
        for reader in (remote, openai, invoked):
            reader.wait()
            assert reader.error is None
    assert set(remote.items[0]) == FIRST_FIELDS
    assert "citations" in remote.items[-1]
    assert openai.items[-1] == "data: [DONE]"
    assert json.loads(openai.items[-2][6:])["choices"][0]["finish_reason"] == "stop"
    assert invoked.items[0]["answer"].count("word") == 100


def test_longer_answers_end_with_an_error():
    engine = SlowEngine([encode_answer("word " * 20_000)] * 4)
    app = make_app(make_chatbot(engine, strict=False), langserve=True)
    with start_server(app, grace_s=1) as (address, server):
        remote = Reader(lambda: get_remote(address).stream(INPUT))
        openai = Reader(lambda: read_completion(address))
        own = Reader(lambda: read_lines(address, "/chatbot/ask", INPUT))
        invoked = Reader(lambda: [get_remote(address).invoke(INPUT)])
        wait_until(lambda: min(len(each.items) for each in (remote, openai, own)) > 3 and len(engine.requests) == 4)
        server.should_exit = True
        for reader in (remote, openai, own, invoked):
            reader.wait()
    check_error_ends(remote, openai)
    assert own.items[-2] == "event: error"
    assert "The server is stopping." in own.items[-1]
    assert invoked.error.response.status_code == 503


def test_serve_stops_on_a_signal():
    with run_serve_command() as (address, process):
        # On this machine, and without keys, only the machine's own names are allowed.
        assert httpx.get(f"{address}/healthz", headers={"Host": "evil.example"}).status_code == 421
        remote = Reader(lambda: get_remote(address).stream(INPUT))
        openai = Reader(lambda: read_completion(address))
        wait_until(lambda: len(remote.items) > 3 and len(openai.items) > 3)
        process.send_signal(signal.SIGINT)
        for reader in (remote, openai):
            reader.wait()
        check_error_ends(remote, openai)
        output, errors = process.communicate(timeout=60)
        assert process.returncode in {0, -signal.SIGINT, 130}, errors.decode()
        assert b"LANGSERVE" not in output  # its banner
        assert b"Traceback" not in errors


def check_error_ends(remote: Reader, openai: Reader) -> None:
    """Check that both streams ended with the error of a stopping server."""
    assert isinstance(remote.error, httpx.HTTPStatusError)
    assert remote.error.response.status_code == 503
    assert remote.error.response.text.startswith("The server is stopping.")
    assert openai.error is None
    assert openai.items[-1] == "data: [DONE]"
    assert "The server is stopping." in json.loads(openai.items[-2][6:])["error"]["message"]
