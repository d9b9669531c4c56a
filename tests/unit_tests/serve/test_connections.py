"""Connections that are silent are closed, and one too many closes the oldest idle one or is refused."""

import asyncio
import errno
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from langchain_gptoss.serve import ServerSettings
from langchain_gptoss.serve.connections import AcceptErrorHandler, ConnectionPool, build_server

TIMEOUT_S = 30.0


class Transport:
    def __init__(self) -> None:
        self.unsent_bytes, self.is_aborted = 0, False

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True


class Cycle:
    response_complete = False


class Connection(asyncio.Protocol):
    """The parts of uvicorn's protocols that the pool reads."""

    def __init__(self, **_: Any) -> None:
        self.transport: Any = None
        self.cycle: Any = None

    @property
    def is_closed(self) -> bool:
        return self.transport.is_aborted

    def begin(self) -> None:
        """Note that the headers of a request have arrived."""
        self.cycle = Cycle()


class Pool:
    """A pool and its connections; time passes when a test says so."""

    def __init__(self, max_count: int = 100) -> None:
        self.pool = ConnectionPool(max_count=max_count, timeout_s=TIMEOUT_S)
        self._create = self.pool.limit(Connection)
        self.connections: set[Any] = set()
        self.now = asyncio.get_running_loop().time()

    def open(self, *, is_connected: bool = True) -> Any:
        connection = self._create(config=None)
        if isinstance(connection, Connection) and is_connected:
            connection.transport = Transport()
            self.connections.add(connection)
        return connection

    def wait(self, seconds: float) -> None:
        """Check the connections once a second."""
        for _ in range(round(seconds)):
            self.now += 1
            self.pool.close_stalled(self.now, self.connections)


@pytest.fixture
async def pool() -> Pool:
    return Pool()


async def test_a_connection_without_a_request_is_closed_after_the_timeout(pool):
    connection = pool.open()
    pool.wait(TIMEOUT_S - 2)
    assert not connection.is_closed
    pool.wait(4)
    assert connection.is_closed


async def test_a_connection_that_is_being_answered_is_kept(pool):
    connection = pool.open()
    pool.wait(20)
    connection.begin()
    pool.wait(1000)
    assert not connection.is_closed


async def test_half_a_second_request_is_closed_after_the_timeout(pool):
    connection = pool.open()
    connection.begin()
    pool.wait(100)
    connection.cycle.response_complete = True
    pool.wait(TIMEOUT_S - 2)
    assert not connection.is_closed
    pool.wait(4)
    assert connection.is_closed


async def test_each_request_has_its_own_time(pool):
    connection = pool.open()
    for _ in range(5):
        pool.wait(20)
        connection.begin()
        connection.cycle.response_complete = True
    pool.wait(20)
    assert not connection.is_closed


@pytest.mark.parametrize("is_complete", [False, True])
async def test_a_client_that_reads_nothing_is_disconnected(pool, is_complete):
    connection = pool.open()
    connection.begin()
    connection.cycle.response_complete = is_complete
    connection.transport.unsent_bytes = 70_000
    pool.wait(TIMEOUT_S + 3)
    assert connection.is_closed


async def test_a_client_that_reads_slowly_is_kept(pool):
    connection = pool.open()
    connection.begin()
    for unsent_bytes in range(70_000, 0, -5_000):
        connection.transport.unsent_bytes = unsent_bytes
        pool.wait(20)
    assert not connection.is_closed


async def test_a_closed_connection_whose_client_does_not_read_is_aborted(pool):
    connection = pool.open()
    connection.transport.is_closing = lambda: True  # uvicorn has closed it; the rest is still to be sent
    connection.transport.unsent_bytes = 10
    pool.wait(TIMEOUT_S + 3)
    assert connection.is_closed


async def test_one_too_many_closes_the_connection_that_has_waited_longest():
    pool = Pool(max_count=3)
    busy, first, second = pool.open(), pool.open(), pool.open()
    busy.begin()
    third = pool.open()
    assert isinstance(third, Connection)
    assert [each.is_closed for each in (busy, first, second, third)] == [False, True, False, False]
    assert len(pool.pool) == 3


async def test_connections_of_the_same_moment_do_not_keep_each_other_out():
    pool = Pool(max_count=3)
    burst = [pool.open(is_connected=False) for _ in range(20)]
    assert all(isinstance(each, Connection) for each in burst)
    for each in burst:
        each.transport = Transport()
        pool.connections.add(each)
    last = pool.open()
    assert isinstance(last, Connection)
    assert [each for each in [*burst, last] if not each.is_closed] == [*burst[-2:], last]


async def test_a_connection_is_refused_if_all_others_are_being_answered():
    pool = Pool(max_count=2)
    for connection in (pool.open(), pool.open()):
        connection.begin()
    refusal = pool.open()
    assert not isinstance(refusal, Connection)
    written, closed = [], []

    class Sink(asyncio.Transport):
        def write(self, data: Any) -> None:
            written.append(bytes(data))

        def close(self) -> None:
            closed.append(True)

    refusal.connection_made(Sink())
    assert written[0].startswith(b"HTTP/1.1 503 ")
    assert closed


async def test_closed_connections_leave_room_and_are_forgotten():
    pool = Pool(max_count=2)
    for _ in range(100):
        connection = pool.open()
        connection.begin()
        pool.connections.discard(connection)
        pool.wait(1)
    assert len(pool.pool) == 0


async def test_connections_that_never_open_are_forgotten():
    pool = Pool(max_count=2)
    pool.open(is_connected=False)
    pool.wait(2)
    assert len(pool.pool) == 1
    pool.wait(TIMEOUT_S)
    assert len(pool.pool) == 0


def create_accept_error(number: int = errno.EMFILE) -> dict[str, Any]:
    return {"message": "socket.accept() out of system resource", "exception": OSError(number, "Too many open files")}


async def test_accept_errors_are_logged_once_a_minute(caplog):
    times = iter([float(second) for second in range(200) for _ in range(4)])
    loop: Any = SimpleNamespace(
        time=lambda: next(times), default_exception_handler=lambda _: pytest.fail("not handled")
    )
    handle = AcceptErrorHandler()
    with caplog.at_level(logging.INFO, "uvicorn.error"):
        for _ in range(800):
            handle(loop, create_accept_error())
    assert len(caplog.messages) == 4
    assert "ulimit" in caplog.messages[0]


@pytest.mark.parametrize(
    "context",
    [
        create_accept_error(errno.EPERM),
        {"message": "Task was destroyed but it is pending!"},
        {"message": "Unhandled", "exception": OSError(errno.EMFILE, "Too many open files")},
    ],
)
def test_other_errors_go_to_the_default_handler(context):
    handled: list[Any] = []
    loop: Any = SimpleNamespace(time=lambda: 0.0, default_exception_handler=handled.append)
    AcceptErrorHandler()(loop, context)
    assert handled == [context]


@pytest.mark.parametrize(("descriptors", "count", "backlog"), [(256, 128, 16), (1024, 512, 64), (1_000_000, 512, 512)])
def test_connections_leave_descriptors_for_files(monkeypatch, descriptors, count, backlog):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    server = build_server(lambda: None, host="127.0.0.1", port=0, settings=ServerSettings())
    assert (server._pool._max_count, server.config.backlog) == (count, backlog)
