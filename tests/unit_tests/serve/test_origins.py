"""Requests of other sites' pages and of other host names are refused; programs and own pages are not."""

from typing import Any

import pytest

from langchain_gptoss.serve import Keys, ServerSettings
from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.origins import check_origin

LOOPBACK, NETWORK = ("127.0.0.1", 8000), ("192.0.2.7", 8000)
KEYS = Keys([])


def get_status(
    method: str, headers: dict[str, str], server: tuple[str, int | None] | None = LOOPBACK, **options: Any
) -> int:
    scope = {"type": "http", "method": method, "server": server, "path": "/"}
    lowered = {name.lower().encode(): value for name, value in headers.items()}
    try:
        check_origin(scope, lowered, ServerSettings(**options))
    except RequestRefused as refused:
        return refused.response.status_code
    return 200


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", "BREW"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:9000"},  # another program on this machine
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:8000.evil.example"},
        {"Origin": "http://evil.example/127.0.0.1:8000"},
        {"Origin": "http://127.0.0.1:8000@evil.example"},
        {"Origin": "http://localhost:8000"},
        {"Origin": "file://"},
        {"Origin": "chrome-extension://127.0.0.1:8000"},
        {"Origin": "http://[::1"},
        {"Origin": "//127.0.0.1:8000"},
        {"Referer": "http://evil.example/page?x=http://127.0.0.1:8000/"},
        {"Origin": "http://evil.example", "Referer": "http://127.0.0.1:8000/"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "unknown"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8000"},
    ],
    ids=str,
)
def test_requests_of_other_sites_are_refused(method, headers):
    assert get_status(method, {"Host": "127.0.0.1:8000"} | headers) == 403
    assert get_status("GET", {"Host": "127.0.0.1:8000"} | headers) == 200  # the browser hides the answer
    with_keys = {"Host": "127.0.0.1:8000"} | headers
    assert get_status(method, with_keys, keys=KEYS) == 403
    assert get_status(method, with_keys, server=NETWORK) == 403


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("127.0.0.1:8000", {}),
        ("127.0.0.1:8000", {"Origin": "http://127.0.0.1:8000"}),
        ("LocalHost:8000", {"Origin": "http://localhost:8000"}),
        ("[::1]:8000", {"Origin": "http://[::1]:8000"}),
        ("127.0.0.1:8000", {"Referer": "http://127.0.0.1:8000/help?q=1"}),
        ("127.0.0.1:8000", {"Sec-Fetch-Site": "same-origin"}),
        ("127.0.0.1:8000", {"Sec-Fetch-Site": "none"}),
        ("127.0.0.1:8000", {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8000"}),
    ],
)
def test_programs_and_own_pages_are_not_refused(host, headers):
    assert get_status("POST", {"Host": host} | headers) == 200


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("bot.example", "https://bot.example"),  # TLS ends at a proxy
        ("bot.example:443", "https://bot.example"),
        ("bot.example", "https://bot.example:443"),
        ("bot.example:80", "http://bot.example"),
        ("BOT.example", "https://bot.example"),
    ],
)
def test_the_own_origin_behind_a_proxy_is_not_refused(host, origin):
    assert get_status("POST", {"Host": host, "Origin": origin}, server=NETWORK) == 200
    assert get_status("POST", {"Host": host, "Origin": origin}, allowed_hosts=("bot.example",)) == 200
    assert get_status("POST", {"Host": host, "Origin": "https://shop.example"}, server=NETWORK) == 403


def test_listed_origins_are_allowed():
    listed = ("https://intranet.example", "http://localhost:3000")
    for origin in listed:
        for site in ({}, {"Sec-Fetch-Site": "cross-site"}):
            assert get_status("POST", {"Host": "127.0.0.1", "Origin": origin, **site}, cors_origins=listed) == 200
    for origin in ("http://intranet.example", "https://intranet.example.evil.example", "null"):
        assert get_status("POST", {"Host": "127.0.0.1", "Origin": origin}, cors_origins=listed) == 403


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("server", [LOOPBACK, ("127.8.8.8", 80), ("::1", 8000), ("::ffff:127.0.0.1", 8000)])
@pytest.mark.parametrize("host", ["evil.example:8000", "evil.example", "127.0.0.1.evil.example", "localhost.evil", ""])
def test_a_rebound_host_name_does_not_reach_a_local_server_without_keys(method, server, host):
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert get_status(method, headers, server=server) == 421
    assert get_status(method, headers, server=server, keys=KEYS) == 200  # the page has no key
    assert get_status(method, headers, server=server, allowed_hosts=("*",)) == 200
    assert get_status(method, headers, server=NETWORK) == 200
    assert get_status(method, headers, server=NETWORK, allowed_hosts=("bot.example",)) == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost", "LOCALHOST:1", "localhost.:80", "[::1]", "[::1]:8"])  # fmt: skip
def test_names_of_this_machine_are_allowed(host):
    assert get_status("GET", {"Host": host}) == 200


@pytest.mark.parametrize("server", [None, ("/run/gptoss.sock", None), ("testserver", 80)])
def test_servers_without_an_ip_address_allow_every_name(server):
    assert get_status("GET", {"Host": "bot.example"}, server=server) == 200
