"""Connections: silent, half a header, half a body, bytes that are no HTTP, and too many of them."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from scripts.attack.report import Report
from scripts.attack.target import Target, run_target

AREA = "connections"
_TIMEOUT_S = 1.0
_PATIENCE_S = 20.0  # of an attacker whose connection should have ended after `_TIMEOUT_S`
_HEAD = b"POST /chatbot/ask HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_UNFINISHED = (
    b"",
    b"G",
    b"GET /healthz HT",
    b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
    _HEAD,
    _HEAD + b"Content-Length: 100\r\n\r\n{",
    _HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /he",
)
_NO_HTTP = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"\r\n" * 1000,
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    _HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    _HEAD + b"Content-Length: -1\r\n\r\n",
    _HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
    _HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
)


def attack_connections(report: Report, rng: random.Random, share: float, folder: Path) -> None:
    """Open hostile connections to a real server."""
    with run_target(folder, upload_seconds=_TIMEOUT_S, max_connections=40) as target:
        with ExitStack() as stack:
            held = [(sent, stack.enter_context(_connect(target, sent))) for sent in _UNFINISHED]
            for sent, connection in held:
                report.check(AREA, _is_ended(connection), f"{sent[:40]!r} is still open after {_PATIENCE_S:g} s")
        noise = [rng.randbytes(rng.randint(1, 3000)) for _ in range(round(100 * share))]
        for sent in (*_NO_HTTP, *noise):
            with _connect(target, sent) as connection:
                with contextlib.suppress(OSError):  # the server may have ended it already
                    connection.shutdown(socket.SHUT_WR)
                report.check(AREA, _is_ended(connection), f"{sent[:40]!r} is still open")
        with ExitStack() as stack:
            for number in range(max(round(400 * share), 60)):
                stack.enter_context(_connect(target, b"GET /healthz HT" if number % 2 else b""))
                if number % 50 == 49:
                    report.check(AREA, _is_healthy(target), f"{number + 1} silent connections stop the server")
        report.check(AREA, _is_healthy(target), "the server does not answer afterwards")
        time.sleep(2 * _TIMEOUT_S)
        count = _count_descriptors()
        report.check(AREA, count < 300, f"{count} descriptors are open afterwards")


def _connect(target: Target, content: bytes) -> socket.socket:
    parts = urlsplit(target.address)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=_PATIENCE_S)
    with contextlib.suppress(ConnectionError):  # the server may have refused it already
        connection.sendall(content)
    return connection


def _is_ended(connection: socket.socket) -> bool:
    try:
        while connection.recv(65_536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def _is_healthy(target: Target) -> bool:
    with _connect(target, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n") as connection:
        return connection.recv(4096).startswith(b"HTTP/1.1 200 ")


def _count_descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.is_dir() else 0
