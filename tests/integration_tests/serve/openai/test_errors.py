"""Unknown paths and methods under /v1 have OpenAI's error form, with and without a key."""

import httpx
import openai
import pytest

from langchain_gptoss.serve import Keys, ServerSettings, add_key
from tests.integration_tests.serve.helpers import connect, make_app, make_chatbot, make_engine, run_server


@pytest.fixture(scope="module")
def client():
    """A client of a server without keys."""
    settings = ServerSettings(requests_per_minute=None)
    with run_server(make_app(make_chatbot(make_engine()), settings=settings)) as address, connect(address) as client:
        yield client


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/engines", "/v1/chat", "/v1/images/generations", "/v1/a/b/c"])
def test_an_unknown_path_is_not_found(client, method, path):
    answer = client.request(method, path)
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "unknown_url", None)
    assert f"{method} {path}" in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("DELETE", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/embeddings", "POST"),
        ("GET", "/v1/completions", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/chatbot", "GET"),
    ],
)
def test_another_method_is_not_allowed(client, method, path, allowed):
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == allowed
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "method_not_allowed")
    assert f"Use {allowed}" in error["message"]


def test_other_paths_keep_their_form(client):
    assert client.get("/nothing").json() == {"detail": "Not Found"}
    assert client.get("/v10/models").json() == {"detail": "Not Found"}


def test_without_a_key_the_answer_does_not_tell_which_paths_exist(tmp_path):
    key = add_key(tmp_path / "keys.toml", "shop")
    settings = ServerSettings(keys=Keys.load(tmp_path / "keys.toml"))
    with run_server(make_app(make_chatbot(make_engine()), settings=settings)) as address:
        for path in ("/v1/engines", "/v1/chat/completions", "/v1"):
            answer = httpx.get(f"{address}{path}")
            assert answer.status_code == 401
            assert answer.json()["error"]["type"] == "authentication_error"
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{address}/v1/engines", headers=headers).json()["error"]["code"] == "unknown_url"


def test_the_official_client_reads_the_error(client):
    with (
        openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0) as official,
        pytest.raises(openai.NotFoundError, match="Invalid URL") as raised,
    ):
        official.images.generate(prompt="a cat")
    assert raised.value.code == "unknown_url"
