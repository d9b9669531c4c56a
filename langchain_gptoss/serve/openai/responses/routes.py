"""The routes of the Responses API.

Requests, answers and events have the form of https://platform.openai.com/docs/api-reference/responses. Responses are
stored unless a request says `store: false`, so that `previous_response_id` can continue them. They
belong to the caller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from langchain_gptoss.serve.caller import build_run_config, get_caller
from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.event_stream import stream_events
from langchain_gptoss.serve.openai.error_form import build_openai_error, respond_to_error
from langchain_gptoss.serve.openai.models import CHATBOT, ServedModels, get_client_options
from langchain_gptoss.serve.openai.requests import build_ignored_fields_header, parse_request
from langchain_gptoss.serve.openai.responses.answers import stream_chatbot_answer, stream_model_answer
from langchain_gptoss.serve.openai.responses.conversation import (
    get_response_key,
    load_conversation,
    load_response,
    make_response_id,
    refuse_unknown_response,
    resolve_references,
)
from langchain_gptoss.serve.openai.responses.items import Item, convert_items, normalize_input
from langchain_gptoss.serve.openai.responses.output import Event, ResponseBuilder
from langchain_gptoss.serve.openai.responses.request import ResponseRequest
from langchain_gptoss.serve.openai.responses.run import ResponseRun
from langchain_gptoss.serve.openai.responses.store import ResponseStore, StoredResponse

_DEFAULT_LIMIT, _MAX_LIMIT = 20, 100  # items of a page


def add_response_routes(router: APIRouter, models: ServedModels, store: ResponseStore) -> None:
    """Add the routes below `/responses`."""

    @router.post("/responses")
    async def create_response(request: Request) -> Response:
        """Answer an input."""
        response_request: ResponseRequest | None = None
        try:
            response_request = parse_request(await request.body(), ResponseRequest)
            run = await _prepare_run(request, response_request, models, store)
            headers = build_ignored_fields_header(response_request.ignored_fields)
            if not response_request.stream:
                return JSONResponse(await run.create(), headers=headers)
            return await _stream(run, request, headers)
        except Exception as error:
            return respond_to_error(error, response_request)

    @router.get("/responses/{response_id}")
    async def get_response(request: Request, response_id: str) -> Response:
        """Return a stored response of the caller."""
        try:
            stored = await load_response(store, get_caller(request).user_id, response_id)
            if request.query_params.get("stream", "false").lower() == "true":
                raise RequestRefused(400, "A stored response cannot be streamed again.", param="stream")
            return JSONResponse(stored.response)
        except Exception as error:
            return respond_to_error(error)

    @router.delete("/responses/{response_id}")
    async def delete_response(request: Request, response_id: str) -> Response:
        """Delete a stored response of the caller."""
        try:
            if not await store.delete(get_caller(request).user_id, response_id):
                raise refuse_unknown_response(response_id)
            return JSONResponse({"id": response_id, "object": "response", "deleted": True})
        except Exception as error:
            return respond_to_error(error)

    @router.get("/responses/{response_id}/input_items")
    async def list_input_items(request: Request, response_id: str) -> Response:
        """List the items of the request that a stored response answers.

        The query takes `order` (`asc`, or `desc` by default), `limit` (1 to 100, 20 by default) and `after`, an id.
        """
        try:
            page = _read_page(request.query_params)
            stored = await load_response(store, get_caller(request).user_id, response_id)
            return JSONResponse(_list_items(stored.input_items, page))
        except Exception as error:
            return respond_to_error(error)


@dataclass(frozen=True, kw_only=True)
class _Page:
    """A page of a list.

    Attributes:
        after: The id of the item before the first one of the page; None begins at the first item.
        limit: Number of items.
        is_ascending: True lists the oldest item first.
    """

    after: str | None
    limit: int
    is_ascending: bool


def _read_page(query: Mapping[str, str]) -> _Page:
    """Return the page that a query asks for. FastAPI's own checks would answer in another form than OpenAI's API.

    Raises:
        RequestRefused: A value is invalid.
    """
    limit, order = query.get("limit", str(_DEFAULT_LIMIT)), query.get("order", "desc")
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= _MAX_LIMIT):
        message = f"Invalid 'limit': {limit!r}; it must be a number from 1 to {_MAX_LIMIT}."
        raise RequestRefused(400, message, param="limit", code="invalid_value")
    if order not in ("asc", "desc"):
        raise RequestRefused(400, f"Invalid 'order': {order!r}; use asc or desc.", param="order", code="invalid_value")
    return _Page(after=query.get("after"), limit=int(limit), is_ascending=order == "asc")


async def _prepare_run(
    request: Request, response_request: ResponseRequest, models: ServedModels, store: ResponseStore
) -> ResponseRun:
    """Return the run of a request, after all checks.

    Raises:
        RequestRefused: The request is not supported, or it names something that the caller does not have.
    """
    response_request.check_support()
    model, user_id = response_request.model, get_caller(request).user_id
    llm = None if model == CHATBOT else models.get_chat_model(model)
    response_id = make_response_id()
    items = normalize_input(response_request.input, get_response_key(response_id))
    items = await resolve_references(store, user_id, items)
    earlier = await load_conversation(store, user_id, response_request.previous_response_id)
    # The instructions of earlier responses are not part of the conversation.
    messages = convert_items([*earlier, *items], response_request.instructions)
    config = build_run_config(request, cache_key=response_request.prompt_cache_key)
    if llm is None:
        _check_chatbot_request(response_request)
        pieces = stream_chatbot_answer(models.chatbot, messages, config)
    else:
        options = response_request.get_model_options() | get_client_options(llm)
        pieces = stream_model_answer(llm, messages, config, options)

    async def save(response: dict[str, Any]) -> None:
        if response_request.store:
            await store.save(user_id, StoredResponse(response=response, input_items=items))

    builder = ResponseBuilder(
        response_request.build_response(response_id),
        has_summaries=response_request.reasoning.summary is not None,
        packs_reasoning=response_request.has_encrypted_reasoning,
    )
    return ResponseRun(builder, pieces, save)


async def _stream(run: ResponseRun, request: Request, headers: Mapping[str, str]) -> Response:
    """Return the response that sends the events of a run; OpenAI's API has no `[DONE]` after them."""
    response = await stream_events(
        run.stream(),
        path=request.url.path,
        format_chunk=_format_event,
        last_event="",
        build_error=build_openai_error,
    )
    response.headers.update(headers)
    return response


def _check_chatbot_request(request: ResponseRequest) -> None:
    for name, is_used in {
        "tools": bool(request.tools),
        "text.format": request.text.format.type != "text",
        "top_logprobs": request.has_logprobs,
    }.items():
        if is_used:
            message = f"The chatbot does not support {name}: it answers from its documents only."
            raise RequestRefused(400, message, param=name)


def _list_items(items: Sequence[Item], page: _Page) -> dict[str, Any]:
    """Return a page of items, which are given in ascending order, in the form of OpenAI's API.

    Raises:
        RequestRefused: No item has the id after which the page begins.
    """
    ordered = list(items) if page.is_ascending else list(items)[::-1]
    ids = [item["id"] for item in ordered]
    if page.after is not None and page.after not in ids:
        raise RequestRefused(400, f"Item with id {page.after!r} not found.", param="after")
    start = 0 if page.after is None else ids.index(page.after) + 1
    data = ordered[start : start + page.limit]
    first_id, last_id = (data[0]["id"], data[-1]["id"]) if data else ("", "")
    has_more = start + page.limit < len(ordered)
    return {"object": "list", "data": data, "first_id": first_id, "last_id": last_id, "has_more": has_more}


def _format_event(event: Event) -> str:
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n"
