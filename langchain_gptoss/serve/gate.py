"""The gate in front of every route: keys, rate limits, size limits, origins, and cancellation.

It is an ASGI middleware, because it must also cover LangServe's routes and routes of the user's own application. It
reads the body before the application runs, so that from then on the disconnection of a client is noticed at once.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from langchain_gptoss.chatbot.caller import Caller
from langchain_gptoss.serve.cancellation import TrackedResponse, cancel_on_disconnect, replay_body
from langchain_gptoss.serve.error_responses import RETRY_AFTER_S, RequestRefused
from langchain_gptoss.serve.keys import ApiKey
from langchain_gptoss.serve.origins import check_origin
from langchain_gptoss.serve.rate_limiter import RateLimiter
from langchain_gptoss.serve.settings import ServerSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from langchain_gptoss.serve.metrics import Metrics

_MAX_DISCARDED = 8  # times the size limit; larger uploads are cut off


class Gate:
    """Middleware that checks each request before the application sees it.

    Args:
        app: The application.
        settings: Keys and limits.
        metrics: Counts the requests.
        open_paths: Paths that need no key; a path that ends with a slash includes all paths below it.
    """

    def __init__(
        self, app: ASGIApp, settings: ServerSettings, metrics: Metrics, open_paths: Collection[str] = ()
    ) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._open_paths = frozenset(open_paths)
        self._open_prefixes = tuple(path for path in open_paths if path.endswith("/") and path != "/")
        self._rate_limiter = RateLimiter()
        self._active_count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # FastAPI routes accept GET only; uvicorn omits the body
        start, response = time.perf_counter(), TrackedResponse(send)
        try:
            await self._handle_request(scope, receive, response)
        except RequestRefused as refused:
            await response.send_error(scope["path"], refused.response)
        except Exception:
            if not response.has_started:
                response.status_code = 500  # Starlette's outermost middleware sends it
            raise
        finally:
            self._metrics.count_request(_get_route(scope), response.status_code, time.perf_counter() - start)

    async def _handle_request(self, scope: Scope, receive: Receive, response: TrackedResponse) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        check_origin(scope, headers, self._settings)
        key = None
        if not self._is_open(scope):
            key = self._find_key(headers)
            self._check_rate(scope, key)
        scope.setdefault("state", {})["caller"] = Caller() if key is None else key.caller
        body = await self._read_body(headers, receive)
        if body is None:
            return
        if scope["method"] != "POST":
            await self._app(scope, replay_body(body, receive), response.forward)
            return
        if self._active_count >= self._settings.max_concurrent:
            raise RequestRefused(
                503,
                "The server is answering as many questions as it can. Try again.",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        self._active_count += 1
        self._metrics.answering.inc()
        try:
            await cancel_on_disconnect(
                self._app, scope, body, receive, response, timeout_s=self._settings.timeout_seconds
            )
        finally:
            self._active_count -= 1
            self._metrics.answering.dec()

    def _is_open(self, scope: Scope) -> bool:
        path = scope["path"]
        return scope["method"] == "OPTIONS" or path in self._open_paths or path.startswith(self._open_prefixes)

    def _find_key(self, headers: dict[bytes, str]) -> ApiKey | None:
        """Return the key of a request, or None if the server needs no keys.

        Raises:
            RequestRefused: The key is missing, unknown or expired.
        """
        keys = self._settings.keys
        if keys is None:
            return None
        scheme, _, token = headers.get(b"authorization", "").partition(" ")
        secret = token.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", "")
        challenge = {"WWW-Authenticate": "Bearer"}
        if not secret:
            raise RequestRefused(401, 'A key is needed: send "Authorization: Bearer KEY".', headers=challenge)
        key = keys.find_key(secret)
        if key is None:
            raise RequestRefused(401, "The key is unknown.", headers=challenge)
        if key.is_expired:
            raise RequestRefused(401, f"The key expired on {key.expires}. Ask for a new one.", headers=challenge)
        return key

    def _check_rate(self, scope: Scope, key: ApiKey | None) -> None:
        limit = (key and key.requests_per_minute) or self._settings.requests_per_minute
        if limit is None:
            return
        name = key.name if key is not None else str((scope.get("client") or ("",))[0])
        wait_s = math.ceil(self._rate_limiter.take(name, limit))
        if wait_s > 0:
            message = f"More than {limit} requests a minute. Try again in {wait_s} s."
            raise RequestRefused(429, message, headers={"Retry-After": str(wait_s)})

    async def _read_body(self, headers: dict[bytes, str], receive: Receive) -> bytes | None:
        """Return the body, or None if the client disconnected before it was complete.

        Raises:
            RequestRefused: The body is too long or arrives too slowly.
        """
        limit, parts, size, has_more = self._settings.max_body_bytes, [], 0, True
        stated_size = int(headers.get(b"content-length", "") or 0)  # uvicorn has checked that it is a number
        max_read = _MAX_DISCARDED * limit
        close = {"Connection": "close"}
        try:
            async with asyncio.timeout(self._settings.upload_seconds):
                # A body that is a little too long is read and discarded: a client that is still sending would not
                # see the response.
                while has_more and size <= max_read and stated_size <= max_read:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    size += len(message.get("body", b""))
                    if size <= limit:
                        parts.append(message.get("body", b""))
                    has_more = message.get("more_body", False)
        except TimeoutError:
            raise RequestRefused(408, "The request did not arrive in time.", headers=close) from None
        if has_more or size > limit:
            raise RequestRefused(413, f"The request is longer than {limit:,} bytes. Send less.", headers=close)
        return b"".join(parts)


def _get_route(scope: Scope) -> str:
    """Return the pattern of the route: metrics by address would grow without a limit."""
    route = scope.get("route")
    return str(getattr(route, "path", "")) or "unmatched"
