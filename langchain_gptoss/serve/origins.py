"""Refuses requests that pages of other sites send from a user's browser.

CORS alone prevents such a page from reading an answer, but not from sending a request that asks, plants or deletes
something. Browsers mark these requests: with `Sec-Fetch-Site`, or, on plain HTTP and in older versions, only with
`Origin` or `Referer`. A page whose host name was pointed at this machine after it was loaded (DNS rebinding) counts as
this site for the browser, but its requests carry that host name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.settings import ServerSettings

if TYPE_CHECKING:
    from starlette.types import Scope

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1", "[::1]")
"""Names by which a server is reached from its own machine only."""

_DEFAULT_PORTS = {"http": "80", "https": "443"}


def check_origin(scope: Scope, headers: Mapping[bytes, str], settings: ServerSettings) -> None:
    """Refuse a request of another site's page, and one that names a host that is not allowed.

    Args:
        scope: The request.
        headers: Its headers, with names in lower case.
        settings: The allowed hosts and origins.

    Raises:
        RequestRefused: Another site sends the request, or it names a host that is not allowed.
    """
    host = headers.get(b"host", "").lower()
    hosts = settings.allowed_hosts or _get_default_hosts(scope, settings)
    if hosts and "*" not in hosts and not _is_allowed_host(host, hosts):
        raise RequestRefused(421, f"This server does not answer for the host {host!r}. Allow it with --allow-host.")
    is_read = scope["method"] in ("GET", "HEAD", "OPTIONS")
    if not is_read and headers.get(b"origin") not in settings.cors_origins and _is_from_other_site(headers, host):
        raise RequestRefused(403, "Pages of other sites may not use this server. Allow an origin with --cors.")


def _get_default_hosts(scope: Scope, settings: ServerSettings) -> tuple[str, ...]:
    """Return this machine's names if a request came to a loopback address and the server needs no keys."""
    address = str((scope.get("server") or ("",))[0] or "")
    return LOCAL_HOSTS if settings.keys is None and _is_loopback(address) else ()


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def _is_allowed_host(host: str, allowed: Collection[str]) -> bool:
    name = host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]
    names = {each.lower() for each in allowed}
    return host in names or name in names or name.removesuffix(".") in names


def _is_from_other_site(headers: Mapping[bytes, str], host: str) -> bool:
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get(b"origin", headers.get(b"referer"))
    return origin is not None and not _is_own_origin(origin, host)


def _is_own_origin(origin: str, host: str) -> bool:
    """Return True if an origin or an address is on a host; the scheme may differ, because TLS may end at a proxy."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return False
    default_port = _DEFAULT_PORTS.get(parts.scheme)
    if default_port is None or not parts.netloc:
        return False
    return parts.netloc.removesuffix(f":{default_port}") == host.removesuffix(f":{default_port}")
