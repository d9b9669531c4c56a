"""The chatbot's own route: a question in, an answer as server-sent events out. The page uses it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from langchain_core.runnables import Runnable
from pydantic_core import to_json

from langchain_gptoss.serve.caller import build_run_config
from langchain_gptoss.serve.error_responses import build_error_response
from langchain_gptoss.serve.event_stream import stream_events
from langchain_gptoss.serve.inputs import parse_input, read_json

_LAST_EVENT = "event: end\ndata: {}\n\n"
_EXAMPLE = {"question": "How much does express delivery cost?", "session_id": "monday"}
_INPUT_SCHEMA = {
    "type": "object",
    "required": ["question"],
    "properties": {
        "question": {"type": "string"},
        "session_id": {"type": "string"},
        "chat_history": {"type": "array", "items": {"type": "object", "required": ["type", "content"]}},
    },
    "example": _EXAMPLE,
}
_REQUEST_BODY = {"required": True, "content": {"application/json": {"schema": _INPUT_SCHEMA}}}


def build_chatbot_routes(chatbot: Runnable[Any, Any], path: str) -> APIRouter:
    """Return the route `{path}/ask`.

    Args:
        chatbot: Answers the questions.
        path: Prefix of the route.
    """
    router = APIRouter(tags=["Chatbot"])

    @router.post(f"{path}/ask", openapi_extra={"requestBody": _REQUEST_BODY})
    async def ask(request: Request) -> Response:
        """Answer a question as server-sent events.

        Each event `data` holds a part of the answer as JSON: first `sources`, then pieces of `answer`, then `citations`
        and the rest. The last event is `end`, or `error` with `status_code` and `message`.
        """
        try:
            served_input = parse_input(await read_json(request))
            chunks = chatbot.astream(served_input, build_run_config(request))
            return await stream_events(
                chunks, path=request.url.path, format_chunk=_format_chunk, last_event=_LAST_EVENT
            )
        except Exception as error:
            return respond_to_error(request, error)

    return router


def respond_to_error(request: Request, error: Exception) -> JSONResponse:
    """Return the response to an error, in the form that clients of the path expect."""
    response = build_error_response(error)
    return JSONResponse(response.to_body(request.url.path), response.status_code, dict(response.headers))


def _format_chunk(chunk: Any) -> str:
    return f"event: data\ndata: {to_json(chunk, fallback=_name_type).decode()}\n\n"


def _name_type(value: Any) -> str:
    """Return a text for a value that JSON cannot hold."""
    return f"<{type(value).__name__}>"
