"""Server-sent events in the form of OpenAI's API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from langchain_gptoss.serve.event_stream import stream_events
from langchain_gptoss.serve.openai.error_form import build_openai_error

_LAST_EVENT = "data: [DONE]\n\n"


async def stream_chunks(
    chunks: AsyncIterator[dict[str, Any]], request: Request, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response that sends chunks as events, with `[DONE]` after the last one.

    Args:
        chunks: The chunks.
        request: The request.
        headers: Further headers of the response.

    Raises:
        Exception: The error of `chunks`, if it comes before the first chunk.
    """
    response = await stream_events(
        chunks,
        path=request.url.path,
        format_chunk=_format_event,
        last_event=_LAST_EVENT,
        build_error=build_openai_error,
    )
    response.headers.update(headers or {})
    return response


def _format_event(chunk: dict[str, Any]) -> str:
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"
