"""Limits on connections, below the level of requests: how many, and how long one may be silent.

uvicorn waits for the headers of a request without a limit, and so does it for a client that does not read. Enough of
such connections use up the file descriptors; asyncio then logs a traceback for each attempt to accept another one.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import math
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from langchain_gptoss.serve.settings import ServerSettings

_TICKS_PER_CHECK = 5  # of a tenth of a second
_MAX_BACKLOG = 512
_MIN_BACKLOG = 16
_LOG_PAUSE_S = 60.0
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

_log = logging.getLogger("uvicorn.error")


@dataclass(frozen=True, kw_only=True)
class _State:
    """State of a connection; a connection whose state does not change is stalled."""

    request: object = None
    is_answering: bool = False
    unsent_bytes: int = 0


@dataclass(kw_only=True)
class _Progress:
    """The last state of a connection, and since when it has lasted."""

    since: float
    state: _State = _State()


class ConnectionPool:
    """The open connections of a server.

    Args:
        max_count: Number of connections. One more closes the one that has waited longest for a request; if all are
            being answered, it is refused.
        timeout_s: Seconds in which the headers of a request must arrive, and in which a client must read something of
            a response that waits for it.
    """

    def __init__(self, *, max_count: int, timeout_s: float) -> None:
        self._max_count, self._timeout_s = max_count, timeout_s
        self._progress: dict[Any, _Progress] = {}  # in the order in which the connections were opened

    def __len__(self) -> int:
        """Return the number of connections that are not being closed."""
        return sum(not _is_closing(connection) for connection in self._progress)

    def limit(self, create_protocol: Callable[..., asyncio.Protocol]) -> Callable[..., asyncio.Protocol]:
        """Return a function that makes the protocol of a new connection, or one that refuses it.

        Args:
            create_protocol: uvicorn's HTTP protocol.
        """

        def create(**options: Any) -> asyncio.Protocol:
            if not self._make_room():
                return _Refusal()
            connection = create_protocol(**options)
            self._progress[connection] = _Progress(since=asyncio.get_running_loop().time())
            return connection

        return create

    def close_stalled(self, now: float, connections: set[Any]) -> None:
        """Close the connections that make no progress.

        Args:
            now: The time of the event loop.
            connections: uvicorn's open connections.
        """
        for connection, progress in list(self._progress.items()):
            is_stalled = now - progress.since > self._timeout_s
            if connection not in connections:
                # It is closed, or uvicorn does not know it yet.
                if connection.transport is not None or is_stalled:
                    del self._progress[connection]
                continue
            state = _read_state(connection)
            if state != progress.state or (state.is_answering and not state.unsent_bytes):
                progress.state, progress.since = state, now
            elif is_stalled:
                connection.transport.abort()

    def _make_room(self) -> bool:
        """Return True if another connection may be opened, after closing others if necessary.

        Connections of the same moment do not count: uvicorn does not have them yet, so they could not be closed.
        """
        if len(self._progress) < self._max_count:
            return True
        connected = [each for each in self._progress if each.transport is not None and not _is_closing(each)]
        excess = len(connected) - self._max_count + 1
        idle = (each for each in connected if not _is_answering(each))
        for connection in itertools.islice(idle, max(excess, 0)):
            connection.transport.abort()
            excess -= 1
        return excess <= 0


class LimitedServer(uvicorn.Server):
    """A uvicorn server with limits on its connections. It keeps running, without a noise, if descriptors run out."""

    def __init__(self, config: uvicorn.Config, pool: ConnectionPool) -> None:
        super().__init__(config)
        self._pool = pool

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        asyncio.get_running_loop().set_exception_handler(AcceptErrorHandler())
        create_protocol: Any = self._pool.limit(self.config.http_protocol_class)
        self.config.http_protocol_class = create_protocol
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Do what is due every tenth of a second."""
        if counter % _TICKS_PER_CHECK == 0:
            self._pool.close_stalled(asyncio.get_running_loop().time(), self.server_state.connections)
        return await super().on_tick(counter)


class AcceptErrorHandler:
    """Logs one line a minute if connections cannot be accepted; other errors go to the default handler."""

    def __init__(self) -> None:
        self._silent_until = -math.inf

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle an error of the event loop."""
        error = context.get("exception")
        is_accept_error = "accept" in str(context.get("message", ""))
        if not (is_accept_error and isinstance(error, OSError) and error.errno in _OUT_OF_RESOURCES):
            loop.default_exception_handler(context)
        elif (now := loop.time()) >= self._silent_until:
            self._silent_until = now + _LOG_PAUSE_S
            _log.error(
                "New connections cannot be accepted (%s); the server tries again every second. "
                "Raise the limit of open files (ulimit -n), or lower max_connections.",
                error.strerror,
            )


class _Refusal(asyncio.Protocol):
    """Refuses a connection with status 503."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer and close the connection."""
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(_REFUSAL)
        transport.close()


def build_server(app: ASGIApp, *, host: str, port: int, settings: ServerSettings) -> LimitedServer:
    """Return a server of an application, with limits on its connections.

    Args:
        app: The application.
        host: Address to listen on.
        port: Port to listen on.
        settings: The limits.
    """
    max_count, backlog = _fit_to_descriptors(settings.max_connections)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http="h11",  # it limits the size of headers, which httptools does not
        ws="none",
        backlog=backlog,
        timeout_graceful_shutdown=math.ceil(settings.grace_seconds),
    )
    return LimitedServer(config, ConnectionPool(max_count=max_count, timeout_s=settings.upload_seconds))


def _fit_to_descriptors(max_connections: int) -> tuple[int, int]:
    """Return how many connections may be open, and how many may wait to be accepted.

    Half of the process's descriptors are left for files and for connections that were accepted in the same moment: as
    many as may wait are accepted before the first of them is counted.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return max_connections, _MAX_BACKLOG
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return max_connections, _MAX_BACKLOG
    backlog = min(max(descriptors // 16, _MIN_BACKLOG), _MAX_BACKLOG)
    return min(max_connections, max(descriptors // 2, 1)), backlog


def _read_state(connection: Any) -> _State:
    unsent_bytes = connection.transport.get_write_buffer_size()
    return _State(request=connection.cycle, is_answering=_is_answering(connection), unsent_bytes=unsent_bytes)


def _is_answering(connection: Any) -> bool:
    """Return True if uvicorn has read the headers of a request and not finished its response."""
    return connection.cycle is not None and not connection.cycle.response_complete


def _is_closing(connection: Any) -> bool:
    return connection.transport is not None and bool(connection.transport.is_closing())
