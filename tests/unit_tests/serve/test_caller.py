"""The options of the engine that a server derives from the caller of a request."""

import pytest
from fastapi import Request

from langchain_gptoss.chatbot.caller import Caller
from langchain_gptoss.serve.caller import USER_HEADER, build_engine_options


def build_request(caller=None, user=None):
    headers = [] if user is None else [(USER_HEADER.lower().encode(), user.encode())]
    state = {} if caller is None else {"caller": caller}
    return Request({"type": "http", "headers": headers, "state": state})


@pytest.mark.parametrize(
    ("caller", "user", "cache_key", "salt"),
    [
        (None, None, None, None),
        (Caller(), "browser", None, None),
        (Caller(), None, "team", "\nteam"),
        (Caller(user_id="shop"), None, None, "shop"),
        (Caller(user_id="shop"), "alice", None, "shop/alice"),
        (Caller(user_id="shop"), None, "team", "shop\nteam"),
        (Caller(user_id="shop"), None, "", "shop"),
    ],
)
def test_named_callers_share_no_cached_prompts(caller, user, cache_key, salt):
    options = build_engine_options(build_request(caller, user), cache_key=cache_key)
    assert options.get("cache_salt") == salt


def test_a_cache_key_leads_to_no_other_caller():
    victim = build_engine_options(build_request(Caller(user_id="shop"), "alice"))
    attacks = ["shop/alice", "/alice", "\nshop/alice", "alice"]
    for key in attacks:
        assert build_engine_options(build_request(), cache_key=key) != victim
        assert build_engine_options(build_request(Caller(user_id="sho")), cache_key=key) != victim


def test_the_priority_is_that_of_the_caller():
    assert build_engine_options(build_request(Caller(user_id="shop", priority=2)))["priority"] == 2
    assert "priority" not in build_engine_options(build_request(Caller(user_id="shop")))
