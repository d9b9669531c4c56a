"""An answer in the making, watched: it ends when its client leaves or its time is over, and never without a word.

LangServe's `/invoke` goes on to the end when nobody waits for it any more, and sse-starlette cuts its streams off when
the server stops. Here both end properly.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from langchain_gptoss.serve.error_responses import Refused, broken_end, refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ENDING_SECONDS = 2.0  # for a last event, to a client that may not be reading
_LEFT = 499  # as web servers note a client that left before the answer
_SECURITY = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_STOPPING = "The server is stopping. Ask again later."


class Reply:
    """What an application sends, and how far it has come.

    Attributes:
        status: What was sent, or 499 as long as nothing was.
        begun: Whether anything was sent.
        ended: Whether all of it was.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status, self.begun, self.ended = _LEFT, False, False
        self._streams, self._cut = False, False

    async def relay(self, message: Message) -> None:
        """The application's `send`; what it sends after `cut` is dropped."""
        if not self._cut:
            await self.send(message)

    async def send(self, message: Message) -> None:
        """Sends a message."""
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            self.begun, self.status = True, message["status"]
            self._streams = any(
                name.lower() == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers
            )
            message = {**message, "headers": [*headers, *_SECURITY]}
        elif message["type"] == "http.response.body":
            self.ended = not message.get("more_body", False)
        await self._send(message)

    def cut(self) -> None:
        """Takes nothing more from the application."""
        self._cut = True

    async def refuse(self, path: str, refused: Refused) -> None:
        """Answers in the application's place, or ends the stream that it has begun."""
        if not self.begun:
            body = refusal(path, refused)
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            headers += [(name.lower().encode(), value.encode()) for name, value in refused.headers.items()]
            await self.send({"type": "http.response.start", "status": refused.status, "headers": headers})
            await self.send({"type": "http.response.body", "body": body})
        elif self._streams and not self.ended:
            with contextlib.suppress(TimeoutError):  # a client that does not read is not waited for
                async with asyncio.timeout(_ENDING_SECONDS):
                    await self.send({"type": "http.response.body", "body": broken_end(path, refused)})


async def watched(app: ASGIApp, scope: Scope, body: bytes, receive: Receive, reply: Reply, seconds: float) -> None:
    """Runs an application until it has answered, its time is over, its client has left, or the server stops."""
    work = asyncio.ensure_future(app(scope, replayed(body, _never), reply.relay))
    leave = asyncio.ensure_future(_left(receive))
    broken: Refused | None = None
    try:
        await asyncio.wait({work, leave}, timeout=seconds, return_when="FIRST_COMPLETED")
        if work.done() or reply.ended:  # what an application does after its answer is not cut short
            await work
            broken = Refused(503, _STOPPING)  # told only where it left its stream open
        elif not leave.done():
            broken = Refused(504, f"There was no answer within {seconds:g} s. Ask for less, or try again later.")
    except asyncio.CancelledError:  # the server's way of saying that the time of grace is over
        broken = Refused(503, _STOPPING)
    except Exception:
        if reply.begun:
            await reply.refuse(scope["path"], Refused(500, "The server failed to answer. Its log says why."))
        raise
    finally:
        reply.cut()
        # The client first: a server that stops does not wait for what is cleared away.
        if broken is not None and not reply.ended:
            await reply.refuse(scope["path"], broken)
        for task in (work, leave):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


def replayed(body: bytes, after: Receive) -> Receive:
    """Returns a `receive` that gives a body which was read already, and then what `after` gives."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return await after()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _never() -> Message:
    """Waits: of a client that leaves, the application hears by being cancelled."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError
