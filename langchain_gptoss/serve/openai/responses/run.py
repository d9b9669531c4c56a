"""One response, created at once or as a stream of events, and stored at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

from langchain_gptoss.serve.openai.error_form import build_openai_error
from langchain_gptoss.serve.openai.responses.answers import Pieces
from langchain_gptoss.serve.openai.responses.output import Event, OutputEnd, ResponseBuilder


class ResponseRun:
    """The creation of one response. It is used once, by `create` or by `stream`.

    Args:
        builder: Builds the response.
        pieces: The answer; closed at the end.
        save: Stores the complete response.
    """

    def __init__(
        self, builder: ResponseBuilder, pieces: Pieces, save: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        self._builder, self._pieces, self._save = builder, pieces, save

    async def create(self) -> dict[str, Any]:
        """Return the whole response."""
        async for _ in self._build_events():
            pass
        return self._builder.response

    async def stream(self) -> AsyncIterator[Event]:
        """Yield the response as events.

        An error before the first piece of the answer is raised. A later one becomes the last event, as in OpenAI's API.
        """
        has_started = False
        try:
            async with aclosing(cast("Any", self._build_events())) as events:
                async for event in events:
                    has_started = True
                    yield event
        except Exception as error:
            if not has_started:
                raise
            response = build_openai_error(error)
            code = "invalid_prompt" if response.status_code < 500 else "server_error"
            for event in self._builder.fail(response.message, code):
                yield event

    async def _build_events(self) -> AsyncIterator[Event]:
        builder, has_started = self._builder, False
        async with aclosing(cast("Any", self._pieces)) as pieces:
            async for piece in pieces:
                if not has_started:
                    has_started = True
                    for event in builder.start():
                        yield event
                if isinstance(piece, OutputEnd):
                    for event in builder.close(piece):
                        yield event
                    await self._save(builder.response)  # before the client learns the id of a complete response
                    yield builder.finish()
                else:
                    for event in builder.add(piece):
                        yield event
