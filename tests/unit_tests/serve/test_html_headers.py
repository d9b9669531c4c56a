"""Pages get a policy and may not be framed, unless they bring a policy of their own."""

import base64
import hashlib

import pytest

from langchain_gptoss.serve.html_headers import PAGE_HEADERS, build_playground_policy, get_missing_headers

HTML = (b"content-type", b"text/html; charset=utf-8")


@pytest.mark.parametrize("kind", [b"text/html", b"Text/HTML; charset=utf-8", b"application/xhtml+xml"])
def test_html_without_a_policy_gets_one(kind):
    missing = dict(get_missing_headers([(b"Content-Type", kind)]))
    assert missing[b"x-frame-options"] == b"DENY"
    assert b"frame-ancestors 'none'" in missing[b"content-security-policy"]


@pytest.mark.parametrize("kind", [b"application/json", b"text/event-stream", b"text/plain", b"text/javascript", b""])
def test_other_responses_get_none(kind):
    assert get_missing_headers([(b"content-type", kind)]) == []


def test_headers_of_the_application_are_kept():
    assert [name for name, _ in get_missing_headers([HTML, (b"X-Frame-Options", b"SAMEORIGIN")])] == [
        b"content-security-policy"
    ]
    framed = (b"Content-Security-Policy", b"frame-ancestors https://intranet.example")
    assert get_missing_headers([HTML, framed]) == []
    assert get_missing_headers([HTML, (b"content-security-policy", b"default-src 'self'")]) == [
        (b"x-frame-options", b"DENY")
    ]


def test_a_playground_runs_its_own_inline_scripts_only():
    script = b'\n  window.A = {"caf\xc3\xa9": 1};\n'
    policy = build_playground_policy(b"<p></p><script>" + script + b'</script><script src="/a.js"></script>')
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    assert f"script-src 'self' 'unsafe-eval' 'sha256-{digest}';" in policy
    assert policy.count("sha256-") == 1
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "sha256-" not in build_playground_policy(b"<p>no script</p>")


def test_the_project_s_page_allows_no_inline_scripts():
    policy = PAGE_HEADERS["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
