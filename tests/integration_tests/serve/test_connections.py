"""Silent, broken and too many connections to a real server, over real sockets."""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from langchain_gptoss.serve import ServerSettings
from langchain_gptoss.serve.connections import build_server
from tests.integration_tests.serve.helpers import (
    INPUT,
    LONG_ANSWER,
    TIMEOUT_S,
    SlowEngine,
    connect,
    find_free_port,
    make_app,
    make_chatbot,
    make_engine,
    wait_until,
)

DESCRIPTORS = 128
FEW_DESCRIPTORS = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}))
from langchain_core.runnables import RunnableLambda
from langchain_gptoss.serve import ServerSettings, serve
from tests.integration_tests.serve.helpers import disable_langserve

with disable_langserve():
    serve(RunnableLambda(dict), port=int(sys.argv[1]), settings=ServerSettings(requests_per_minute=None))
"""


@contextmanager
def run_limited_server(engine: Any = None, **settings: Any) -> Iterator[str]:
    """Yield the address of a server with limits on its connections."""
    options = ServerSettings(requests_per_minute=None, **settings)
    app, port = make_app(make_chatbot(engine or make_engine(), strict=False), settings=options), find_free_port()
    server = build_server(app, host="127.0.0.1", port=port, settings=options)
    server.config.log_level = "critical"
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()


def open_socket(address: str, content: bytes = b"") -> socket.socket:
    """Return a connection on which bytes are sent."""
    parts = urlsplit(address)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT_S)
    connection.sendall(content)
    return connection


def read_all(connection: socket.socket) -> bytes:
    """Return everything that a server sends until it closes the connection."""
    received = b""
    try:
        while data := connection.recv(65_536):
            received += data
    except ConnectionError:
        pass
    return received


HEAD = b"POST /chatbot/ask HTTP/1.1\r\nHost: 127.0.0.1\r\n"
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [b"", b"G", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", HEAD, WHOLE + b"GET /he"],
    ids=repr,
)
def test_unfinished_headers_end_after_the_timeout(sent):
    with run_limited_server(upload_seconds=0.5) as address, open_socket(address, sent) as connection:
        received = read_all(connection)
        assert received.count(b"HTTP/1.1 200 OK") == sent.startswith(WHOLE)


def test_headers_that_arrive_byte_by_byte_end_after_the_timeout():
    with run_limited_server(upload_seconds=0.5) as address, open_socket(address) as connection:

        def send_byte() -> bool:
            try:
                connection.sendall(b"X")
            except ConnectionError:
                return True
            return False

        wait_until(send_byte)


@pytest.mark.parametrize("headers", [b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("body", [b"", b"5\r\n{"])
def test_unfinished_bodies_end_after_the_timeout(headers, body):
    with (
        run_limited_server(upload_seconds=0.5) as address,
        open_socket(address, HEAD + headers + b"\r\n" + body) as connection,
    ):
        assert b" 408 " in read_all(connection).splitlines()[0]


def test_a_client_that_does_not_read_is_disconnected():
    engine = make_engine("word " * 30_000, context_length=100_000)
    with run_limited_server(engine, upload_seconds=0.5) as address, connect(address) as client:
        body = b'{"question": "How much does the express delivery cost?"}'
        request = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
        with socket.socket() as silent:
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            parts = urlsplit(address)
            silent.connect((parts.hostname, parts.port))
            silent.sendall(request)
            wait_until(lambda: engine.requests)
            wait_until(lambda: "gptoss_answering 0.0" in client.get("/metrics").text)


def test_a_long_answer_is_not_cut_off():
    engine = SlowEngine([LONG_ANSWER])
    with (
        run_limited_server(engine, upload_seconds=0.3) as address,
        connect(address) as client,
        client.stream("POST", "/chatbot/ask", json=INPUT) as response,
    ):
        lines = [line for line in response.iter_lines() if line]
    assert lines[-2] == "event: end"


def test_idle_connections_give_way_to_new_ones():
    with run_limited_server(max_connections=10) as address, ExitStack() as stack:
        idle = [stack.enter_context(open_socket(address)) for _ in range(40)]
        assert httpx.get(f"{address}/healthz").status_code == 200
        assert read_all(idle[0]) == b""  # closed long before its time


async def test_connections_are_refused_while_all_are_being_answered():
    engine = SlowEngine([LONG_ANSWER] * 2)
    with run_limited_server(engine, max_connections=2) as address:
        async with httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S) as client:
            answers = [asyncio.create_task(client.post("/chatbot/ask", json=INPUT)) for _ in range(2)]
            while len(engine.requests) < 2:
                await asyncio.sleep(0.01)
            with open_socket(address) as third:
                assert read_all(third).startswith(b"HTTP/1.1 503 ")
            assert [answer.status_code for answer in await asyncio.gather(*answers)] == [200, 200]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_more_connections_than_descriptors_leave_the_server_usable(tmp_path: Path):
    log, port = tmp_path / "log", find_free_port()
    address = f"http://127.0.0.1:{port}"
    with log.open("wb") as output, ExitStack() as stack:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", FEW_DESCRIPTORS, str(port)], stdout=output, stderr=output
        )
        stack.callback(process.wait, TIMEOUT_S)
        stack.callback(process.kill)

        def is_healthy() -> bool:
            try:
                return httpx.get(f"{address}/healthz", timeout=5).status_code == 200
            except httpx.HTTPError:
                return False

        wait_until(lambda: process.poll() is not None or is_healthy(), timeout_s=120)
        for number in range(2 * DESCRIPTORS):
            stack.enter_context(open_socket(address, b"GET /healthz HT" if number % 2 else b""))
        wait_until(is_healthy)
        time.sleep(1.5)  # asyncio tries to accept again after a second
        assert is_healthy()
    assert log.stat().st_size < 20_000
