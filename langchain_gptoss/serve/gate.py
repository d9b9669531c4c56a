"""The gate before every route: who is it, how much have they sent and asked, and are they still there?

An ASGI middleware, because it has to hold for LangServe's routes as well as for ours. The body is read before the
application sees it, so that from then on a client that leaves is noticed at once, and what was begun for it is ended.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Collection
from typing import TYPE_CHECKING

from langchain_gptoss.serve.cancellation import Reply, replayed, watched
from langchain_gptoss.serve.error_responses import Refused
from langchain_gptoss.serve.keys import ANONYMOUS, Caller
from langchain_gptoss.serve.settings import ServerSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from langchain_gptoss.serve.metrics import Metrics

_DROPPED = 8  # times the longest request
_REMEMBERED = 10_000  # callers whose rate is known at a time

# The page asks nobody else for anything, and may not be framed by others.
_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
PAGE_HEADERS = {"Content-Security-Policy": _POLICY, "X-Frame-Options": "DENY", "Cache-Control": "no-cache"}


class Gate:
    """Lets requests through to an application, one by one or not at all.

    Args:
        app: The application.
        settings: What is allowed.
        metrics: Where it is counted.
        open_paths: What is answered without a key; a path that ends with a slash stands for all below it.
    """

    def __init__(
        self, app: ASGIApp, settings: ServerSettings, metrics: Metrics, open_paths: Collection[str] = ()
    ) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._open = frozenset(open_paths)
        self._below = tuple(path for path in open_paths if path.endswith("/") and path != "/")
        self._rates = Rates()
        self._answering = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # FastAPI answers GET alone; the server leaves the body out
        started, reply = time.perf_counter(), Reply(send)
        try:
            await self._let_through(scope, receive, reply)
        except Refused as refused:
            await reply.refuse(scope["path"], refused)
        except Exception:
            reply.status = reply.status if reply.begun else 500  # written by the application's outermost layer
            raise
        finally:
            self._metrics.request(_route(scope), reply.status, time.perf_counter() - started)

    async def _let_through(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        self._check_origin(scope, headers)
        caller = ANONYMOUS
        if not self._is_open(scope):
            caller = self._caller(headers)
            self._check_rate(scope, caller)
        scope.setdefault("state", {})["caller"] = caller
        body = await self._body(headers, receive)
        if body is None:
            return
        if scope["method"] != "POST":
            await self._app(scope, replayed(body, receive), reply.relay)
            return
        if self._answering >= self._settings.max_concurrent:
            raise Refused(503, "The server is answering as many questions as it can. Try again.", Retry_After="5")
        self._answering += 1
        self._metrics.answering.inc()
        try:
            await watched(self._app, scope, body, receive, reply, self._settings.timeout_seconds)
        finally:
            self._answering -= 1
            self._metrics.answering.dec()

    def _check_origin(self, scope: Scope, headers: dict[bytes, str]) -> None:
        """Refuses what a page of somebody else's, opened in a user's browser, sends behind that user's back.

        CORS alone keeps such a page from reading the answer, not from asking.

        Raises:
            Refused: It comes from there, or to a name that is not ours (DNS rebinding).
        """
        hosts, name = self._settings.hosts, headers.get(b"host", "")
        if hosts and name.rpartition(":")[0] not in hosts and name not in hosts:
            raise Refused(421, f"This server is not called {name!r}. Allow the name with --allow-host.")
        elsewhere = headers.get(b"sec-fetch-site") in ("cross-site", "same-site")
        reads = scope["method"] in ("GET", "OPTIONS")
        if elsewhere and not reads and headers.get(b"origin") not in self._settings.cors_origins:
            raise Refused(403, "Pages of other sites may not use this server. Allow an origin with --cors.")

    def _is_open(self, scope: Scope) -> bool:
        path = scope["path"]
        return scope["method"] == "OPTIONS" or path in self._open or path.startswith(self._below)

    def _caller(self, headers: dict[bytes, str]) -> Caller:
        """Returns who it is.

        Raises:
            Refused: The key is missing, unknown or expired.
        """
        keys = self._settings.keys
        if keys is None:
            return ANONYMOUS
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

    def _check_rate(self, scope: Scope, caller: Caller) -> None:
        limit = caller.requests_per_minute or self._settings.requests_per_minute
        if limit is None:
            return
        who = caller.name if self._settings.keys is not None else str((scope.get("client") or ("",))[0])
        wait = self._rates.wait(who, limit)
        if wait > 0:
            seconds = str(math.ceil(wait))
            raise Refused(429, f"More than {limit} requests a minute. Try again in {seconds} s.", Retry_After=seconds)

    async def _body(self, headers: dict[bytes, str], receive: Receive) -> bytes | None:
        """Returns the body; None where the client left before it was complete.

        Raises:
            Refused: It is too long, or too slow.
        """
        limit, parts, size, more = self._settings.max_body_bytes, [], 0, True
        stated = headers.get(b"content-length", "")  # digits: the server has checked it
        try:
            async with asyncio.timeout(self._settings.upload_seconds):
                # What is somewhat too long is taken in and dropped: a client that is still sending hears no answer.
                while more and size <= _DROPPED * limit and int(stated or 0) <= _DROPPED * limit:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    size += len(message.get("body", b""))
                    if size <= limit:
                        parts.append(message.get("body", b""))
                    more = message.get("more_body", False)
        except TimeoutError:
            raise Refused(408, "The request did not arrive in time.", Connection="close") from None
        if more or size > limit:
            raise Refused(413, f"The request is longer than {limit:,} bytes. Send less.", Connection="close")
        return b"".join(parts)


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


def _route(scope: Scope) -> str:
    """Returns the route's pattern: names in addresses must not become as many time series."""
    route = scope.get("route")
    return str(getattr(route, "path", "")) or "unmatched"
