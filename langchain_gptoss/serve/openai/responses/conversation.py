"""The conversation before a request: the stored responses that it continues, and the items that it refers to."""

from __future__ import annotations

import re
import uuid

from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.openai.responses.items import Item
from langchain_gptoss.serve.openai.responses.store import ResponseStore, StoredResponse

_ITEM_ID = re.compile(r"[a-z]+_([0-9a-f]{32})[io]\d+")


def make_response_id() -> str:
    """Return a new id of a response."""
    return f"resp_{uuid.uuid4().hex}"


def get_response_key(response_id: str) -> str:
    """Return the part of a response's id that the ids of its items contain."""
    return response_id.partition("_")[2]


async def load_response(store: ResponseStore, user_id: str, response_id: str) -> StoredResponse:
    """Return a stored response of a user.

    Raises:
        RequestRefused: This user has no such response.
    """
    stored = await store.load(user_id, response_id)
    if stored is None:
        raise refuse_unknown_response(response_id)
    return stored


def refuse_unknown_response(response_id: str) -> RequestRefused:
    """Return the refusal of a request for a response that the user does not have."""
    return RequestRefused(404, f"Response with id {response_id!r} not found.", param="response_id")


async def load_conversation(store: ResponseStore, user_id: str, response_id: str | None) -> list[Item]:
    """Return the items of a response and of all responses before it, the oldest first.

    Args:
        store: The stored responses.
        user_id: The user to whom they belong.
        response_id: The last response; None has no items.

    Raises:
        RequestRefused: This user does not have one of the responses.
    """
    exchanges: list[list[Item]] = []
    while response_id is not None:
        stored = await store.load(user_id, response_id)
        if stored is None:
            message = f"Previous response with id {response_id!r} not found."
            raise RequestRefused(400, message, param="previous_response_id", code="previous_response_not_found")
        exchanges.append([*stored.input_items, *stored.response["output"]])
        response_id = stored.response.get("previous_response_id")
    return [item for exchange in reversed(exchanges) for item in exchange]


async def resolve_references(store: ResponseStore, user_id: str, items: list[Item]) -> list[Item]:
    """Return items with each reference replaced by the stored item that it names.

    Raises:
        RequestRefused: This user has no such item.
    """
    return [
        await _load_item(store, user_id, item["id"]) if item["type"] == "item_reference" else item for item in items
    ]


async def _load_item(store: ResponseStore, user_id: str, item_id: str) -> Item:
    match = _ITEM_ID.fullmatch(item_id)
    stored = await store.load(user_id, f"resp_{match[1]}") if match else None
    items: list[Item] = [] if stored is None else [*stored.input_items, *stored.response["output"]]
    for item in items:
        if item["id"] == item_id:
            return item
    raise RequestRefused(404, f"Item with id {item_id!r} not found.", param="input")
