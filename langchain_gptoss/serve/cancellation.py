"""Cancels the work on a request when its client disconnects, its time is over, or the server stops.

LangServe's `/invoke` would finish an answer for a client that has disconnected, and sse-starlette would cut streams off
when the server stops. Here the work is cancelled, and a stream that cannot be completed ends with an error event.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

from langchain_gptoss.serve.error_responses import SERVER_ERROR, ErrorResponse
from langchain_gptoss.serve.html_headers import get_missing_headers

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LAST_EVENT_TIMEOUT_S = 2.0  # the client may not be reading
_CLIENT_CLOSED_REQUEST = 499  # nginx's status code for a client that disconnected before the response
_SECURITY_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_STOPPING = ErrorResponse(status_code=503, message="The server is stopping. Ask again later.")


class TrackedResponse:
    """The response to one request, and how much of it has been sent.

    Attributes:
        status_code: The status code that was sent; 499 before that.
        has_started: True after the headers are sent.
        is_complete: True after the whole body is sent.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status_code = _CLIENT_CLOSED_REQUEST
        self.has_started, self.is_complete = False, False
        self._is_event_stream, self._is_closed = False, False

    async def forward(self, message: Message) -> None:
        """Send a message of the application, unless the response is closed to it."""
        if not self._is_closed:
            await self.send(message)

    async def send(self, message: Message) -> None:
        """Send a message and note the progress."""
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            self.has_started, self.status_code = True, message["status"]
            self._is_event_stream = any(
                name.lower() == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers
            )
            message = {**message, "headers": [*headers, *_SECURITY_HEADERS, *get_missing_headers(headers)]}
        elif message["type"] == "http.response.body":
            self.is_complete = not message.get("more_body", False)
        await self._send(message)

    def close_to_application(self) -> None:
        """Ignore everything that the application sends from now on."""
        self._is_closed = True

    async def send_error(self, path: str, error: ErrorResponse) -> None:
        """Send an error response, or end a stream that has started with an error event."""
        if not self.has_started:
            body = json.dumps(error.to_body(path)).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            headers += [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
            await self.send({"type": "http.response.start", "status": error.status_code, "headers": headers})
            await self.send({"type": "http.response.body", "body": body})
        elif self._is_event_stream and not self.is_complete:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_EVENT_TIMEOUT_S):
                    await self.send({"type": "http.response.body", "body": error.to_last_events(path)})


async def cancel_on_disconnect(
    app: ASGIApp, scope: Scope, body: bytes, receive: Receive, response: TrackedResponse, *, timeout_s: float
) -> None:
    """Run an application until it has responded, its time is over, its client disconnects, or the server stops.

    Args:
        app: The application.
        scope: The request.
        body: The body of the request, already read.
        receive: Yields the disconnection of the client.
        response: Receives the application's messages.
        timeout_s: Seconds until the application is cancelled.
    """
    work = asyncio.ensure_future(app(scope, replay_body(body, _wait_forever), response.forward))
    disconnection = asyncio.ensure_future(_wait_for_disconnection(receive))
    error: ErrorResponse | None = None
    try:
        await asyncio.wait({work, disconnection}, timeout=timeout_s, return_when="FIRST_COMPLETED")
        if work.done() or response.is_complete:  # background tasks after the response may finish
            await work
            error = _STOPPING  # sent only if the application left its stream open
        elif not disconnection.done():
            message = f"There was no answer within {timeout_s:g} s. Ask for less, or try again later."
            error = ErrorResponse(status_code=504, message=message)
    except asyncio.CancelledError:  # uvicorn cancels requests when the time to shut down is over
        error = _STOPPING
    except Exception:
        if response.has_started:
            await response.send_error(scope["path"], ErrorResponse(status_code=500, message=SERVER_ERROR))
        raise
    finally:
        response.close_to_application()
        # The client first: a server that stops does not wait for the clean-up.
        if error is not None and not response.is_complete:
            await response.send_error(scope["path"], error)
        for task in (work, disconnection):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


def replay_body(body: bytes, receive_next: Receive) -> Receive:
    """Return a `receive` that returns a body that was already read, and then calls `receive_next`."""
    is_replayed = False

    async def receive() -> Message:
        nonlocal is_replayed
        if is_replayed:
            return await receive_next()
        is_replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _wait_for_disconnection(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _wait_forever() -> Message:
    """Never return: an application notices the disconnection of its client by being cancelled."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError
