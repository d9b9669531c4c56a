"""The gate before every route: who is it, how much have they sent and asked, and are they still there?

An ASGI middleware, because it has to hold for LangServe's routes as well as for ours. The body is read before the
application sees it, so that from then on a client that leaves is noticed at once, and what was begun for it is ended:
LangServe's own `/invoke` would go on to the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from langchain_gptoss.serve.keys import ANONYMOUS, Caller
from langchain_gptoss.serve.settings import ServerSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from langchain_gptoss.serve.metrics import Metrics

_OPEN = ("/healthz", "/readyz", "/favicon.ico")
_ASSETS = "/assets/"
_REMEMBERED = 10_000  # callers whose rate is known at a time
_LEAVING_SECONDS = 2.0


class Refused(Exception):  # noqa: N818 (an answer, not a fault)
    """A request that is answered with a status and a message."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Gate:
    """Lets requests through to an application, one by one or not at all.

    Args:
        app: The application.
        settings: What is allowed.
        metrics: Where it is counted.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._rates = Rates()
        self._answering = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 499  # as web servers note a client that left before the answer

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *_SECURITY]
            await send(message)

        try:
            await self._let_through(scope, receive, sending)
        except Refused as refused:
            await _answer(sending, scope, refused)
        finally:
            self._metrics.request(_route(scope), status, time.perf_counter() - started)

    async def _let_through(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._caller(scope)
        scope.setdefault("state", {})["caller"] = caller
        body = await self._body(scope, receive)
        if scope["method"] != "POST":
            await self._app(scope, _Replay(body).receive, send)
            return
        self._within_rate(scope, caller)
        if self._answering >= self._settings.max_concurrent:
            raise Refused(503, "The server is answering as many questions as it can. Try again.", Retry_After="5")
        self._answering += 1
        self._metrics.answering.inc()
        try:
            await self._watched(scope, body, receive, send)
        finally:
            self._answering -= 1
            self._metrics.answering.dec()

    def _caller(self, scope: Scope) -> Caller:
        """Returns who it is.

        Raises:
            Refused: The key is missing, unknown or expired.
        """
        keys, path = self._settings.keys, scope["path"]
        if keys is None or path in ("/", *_OPEN) or path.startswith(_ASSETS) or scope["method"] == "OPTIONS":
            return ANONYMOUS
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        scheme, _, token = headers.get(b"authorization", "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", "")
        if not key:
            raise Refused(401, 'A key is needed: send "Authorization: Bearer KEY".', WWW_Authenticate="Bearer")
        caller = keys.caller(key)
        if caller is None:
            raise Refused(401, "The key is not known here.", WWW_Authenticate="Bearer")
        if caller.expired:
            raise Refused(401, f"The key expired on {caller.expires}. Ask for a new one.", WWW_Authenticate="Bearer")
        return caller

    def _within_rate(self, scope: Scope, caller: Caller) -> None:
        limit = caller.requests_per_minute or self._settings.requests_per_minute
        if limit is None:
            return
        who = caller.name if self._settings.keys is not None else str((scope.get("client") or ("",))[0])
        wait = self._rates.wait(who, limit)
        if wait > 0:
            seconds = str(math.ceil(wait))
            raise Refused(429, f"More than {limit} requests a minute. Try again in {seconds} s.", Retry_After=seconds)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Returns the body.

        Raises:
            Refused: It is too long.
        """
        limit, parts, size = self._settings.max_body_bytes, [], 0
        stated = next((value for name, value in scope["headers"] if name.lower() == b"content-length"), b"0")
        more = True
        while more:
            if size > limit or (stated.isdigit() and int(stated) > limit):
                raise Refused(413, f"The request is longer than {limit:,} bytes. Send less.", Connection="close")
            try:
                message = await asyncio.wait_for(receive(), self._settings.timeout_seconds)
            except TimeoutError:
                raise Refused(408, "The request did not arrive in time.", Connection="close") from None
            if message["type"] == "http.disconnect":
                raise asyncio.CancelledError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
        if size > limit:
            raise Refused(413, f"The request is longer than {limit:,} bytes. Send less.", Connection="close")
        return b"".join(parts)

    async def _watched(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Runs the application until it has answered, its time is over, or the client has left."""
        replay, begun = _Replay(body), False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        work = asyncio.ensure_future(self._app(scope, replay.receive, sending))
        leave = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({work, leave}, timeout=self._settings.timeout_seconds, return_when="FIRST_COMPLETED")
            if work.done():
                await work
                return
            replay.left.set()  # what listens for this, such as a stream, ends by itself
            if leave.done():
                await asyncio.wait({work}, timeout=_LEAVING_SECONDS)
            elif not begun:
                seconds = f"{self._settings.timeout_seconds:g}"
                raise Refused(504, f"There was no answer within {seconds} s. Ask for less, or try again later.")
        finally:
            for task in (work, leave):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task


class Rates:
    """Token buckets: as many requests at once as a minute allows, and then one whenever its time has come."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, who: str, per_minute: int, now: float | None = None) -> float:
        """Returns 0 and counts a request, or how many seconds it would have to wait."""
        now = time.monotonic() if now is None else now
        left, before = self._known.pop(who, (float(per_minute), now))
        left = min(float(per_minute), left + (now - before) * per_minute / 60)
        allowed = left >= 1
        self._known[who] = (left - 1 if allowed else left, now)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return 0.0 if allowed else (1 - left) * 60 / per_minute


class _Replay:
    """Gives an application a body that was read already, and says when the client leaves."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self.left = asyncio.Event()

    async def receive(self) -> Message:
        """The application's `receive`."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


# The page asks nobody else for anything, and may not be framed by others.
_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
_SECURITY = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
PAGE_HEADERS = {"Content-Security-Policy": _POLICY, "X-Frame-Options": "DENY", "Cache-Control": "no-cache"}


async def _answer(send: Send, scope: Scope, refused: Refused) -> None:
    content: Any = {"detail": refused.message}
    if scope["path"].startswith("/v1/"):
        kind = (
            "rate_limit_error"
            if refused.status == 429
            else "authentication_error"
            if refused.status == 401
            else "error"
        )
        content = {"error": {"message": refused.message, "type": kind, "param": None, "code": None}}
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in refused.headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _route(scope: Scope) -> str:
    """Returns the route's pattern: names in addresses must not become as many time series."""
    route = scope.get("route")
    return str(getattr(route, "path", "")) or "unmatched"
