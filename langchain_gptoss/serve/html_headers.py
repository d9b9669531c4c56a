"""Headers of HTML pages: what a page may load, and that pages of other sites may not show it in a frame."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

_SELF_ONLY = "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

# The page loads nothing from other hosts, and other pages may not frame it.
PAGE_HEADERS = {
    "Content-Security-Policy": f"default-src 'self'; img-src 'self' data:; object-src 'none'; {_SELF_ONLY}",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}
"""Headers of the project's own page."""

# Pages of other applications may load scripts and styles from other hosts; those with a policy of their own keep it.
_DEFAULT_POLICY = "frame-ancestors 'none'; object-src 'none'; base-uri 'self'"
_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_CSP, _FRAMES = b"content-security-policy", b"x-frame-options"


class PlaygroundRoute(APIRoute):
    """A route whose HTML gets a Content-Security-Policy for LangServe's playgrounds."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of requests."""
        handle = super().get_route_handler()

        async def handle_and_add_headers(request: Request) -> Response:
            response = await handle(request)
            if response.headers.get("content-type", "").startswith("text/html"):
                response.headers["content-security-policy"] = build_playground_policy(bytes(response.body))
                response.headers["x-frame-options"] = "DENY"
            return response

        return handle_and_add_headers


def build_playground_policy(page: bytes) -> str:
    """Return the Content-Security-Policy for a playground's page.

    The page's own inline scripts are allowed by their hashes. The playground compiles JSON schemas to functions, which
    needs `'unsafe-eval'`, and its component library writes style elements.
    """
    digests = [hashlib.sha256(script).digest() for script in _INLINE_SCRIPT.findall(page)]
    hashes = "".join(f" 'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'self'; script-src 'self' 'unsafe-eval'{hashes}; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data:; font-src 'self' data:; object-src 'none'; {_SELF_ONLY}"
    )


def get_missing_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers against framing and injected content that an HTML response does not have; else none.

    Args:
        headers: Headers of a response, as in an ASGI message.
    """
    present = {name.lower(): value for name, value in headers}
    if not present.get(b"content-type", b"").lower().startswith((b"text/html", b"application/xhtml")):
        return []
    missing = []
    if _CSP not in present:
        missing.append((_CSP, _DEFAULT_POLICY.encode()))
    if _FRAMES not in present and b"frame-ancestors" not in present.get(_CSP, b""):
        missing.append((_FRAMES, b"DENY"))
    return missing
