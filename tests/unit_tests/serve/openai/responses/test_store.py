"""Stored responses: limits, owners, and the file of the sessions."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from langchain_gptoss.chatbot import Sessions
from langchain_gptoss.chatbot.sessions import open_checkpointer
from langchain_gptoss.errors import StorageError
from langchain_gptoss.serve.openai.responses import store as store_module
from langchain_gptoss.serve.openai.responses.store import (
    MemoryResponseStore,
    ResponseStore,
    SqliteResponseStore,
    StoredResponse,
    open_response_store,
)


def make_stored(number: int, text: str = "é") -> StoredResponse:
    return StoredResponse(response={"id": f"resp_{number}", "text": text}, input_items=[{"id": "a"}])


@pytest.fixture
def saver(tmp_path) -> Iterator[Any]:
    checkpointer: Any = open_checkpointer(tmp_path / "sessions.sqlite")
    yield checkpointer
    checkpointer.close()


@pytest.fixture(params=["memory", "file"])
def store(request, saver) -> ResponseStore:
    """A store that keeps three responses of each user."""
    return (
        MemoryResponseStore(max_per_user=3) if request.param == "memory" else SqliteResponseStore(saver, max_per_user=3)
    )


async def list_kept(store: ResponseStore, user_id: str = "ann") -> list[int]:
    return [number for number in range(9) if await store.load(user_id, f"resp_{number}") is not None]


async def test_a_response_is_saved_replaced_and_deleted(store):
    await store.save("ann", make_stored(1))
    assert await store.load("ann", "resp_1") == make_stored(1)
    await store.save("ann", make_stored(1, "new"))
    assert await store.load("ann", "resp_1") == make_stored(1, "new")
    assert await store.delete("ann", "resp_1")
    assert not await store.delete("ann", "resp_1")
    assert await store.load("ann", "resp_1") is None


async def test_a_response_belongs_to_its_user(store):
    await store.save("ann", make_stored(1))
    await store.save("bob", make_stored(1, "other"))
    assert await store.load("eve", "resp_1") is None
    assert not await store.delete("eve", "resp_1")
    assert await store.delete("bob", "resp_1")
    assert await store.load("ann", "resp_1") == make_stored(1)


async def test_the_response_that_was_not_used_for_the_longest_time_goes_first(store, monkeypatch):
    times = iter(range(1_000_000_000, 1_000_000_100))
    monkeypatch.setattr(time, "time", lambda: float(next(times)))
    await store.save("bob", make_stored(0))
    for number in range(3):
        await store.save("ann", make_stored(number))
    assert await store.load("ann", "resp_0") is not None
    await store.save("ann", make_stored(3))
    assert await list_kept(store) == [0, 2, 3]
    assert await list_kept(store, "bob") == [0]


async def test_memory_has_a_limit_in_bytes():
    size = len(make_stored(1, "a" * 1000).to_json().encode())
    store = MemoryResponseStore(max_bytes=2 * size)
    for number in range(3):
        await store.save(f"user{number}", make_stored(1, "a" * 1000))
    kept = [await store.load(f"user{number}", "resp_1") is not None for number in range(3)]
    assert kept == [False, True, True]
    await store.save("user4", make_stored(1, "a" * 10_000))
    assert await store.load("user4", "resp_1") is None
    assert await store.load("user2", "resp_1") is None


async def test_a_file_forgets_responses_that_nobody_uses(saver, monkeypatch):
    store, now = SqliteResponseStore(saver), time.time()
    await store.save("ann", make_stored(1))
    monkeypatch.setattr(time, "time", lambda: now + store_module.MAX_UNUSED_S + 60)
    await store.save("bob", make_stored(2))
    assert await store.load("ann", "resp_1") is None
    assert await store.load("bob", "resp_2") is not None


async def test_a_file_keeps_responses_after_it_was_closed(tmp_path):
    for round_number in range(2):
        sessions = Sessions(open_checkpointer(tmp_path / "sessions.sqlite"))
        store = open_response_store(sessions)
        if round_number == 0:
            await store.save("ann", make_stored(1))
        assert await store.load("ann", "resp_1") == make_stored(1)
        assert await sessions.alist("ann") == []
        sessions.close()
    with pytest.raises(StorageError, match="cannot be read or written"):
        await store.load("ann", "resp_1")


def test_without_a_file_responses_are_in_memory():
    assert isinstance(open_response_store(None), MemoryResponseStore)
    assert isinstance(open_response_store(Sessions(open_checkpointer())), MemoryResponseStore)
