"""The route for embeddings, with scripted models."""

import base64
import struct
from typing import Any

import openai
import pytest

from langchain_gptoss.serve import Keys, ServerSettings, add_key
from tests.integration_tests.serve.helpers import (
    MODEL,
    WordEmbeddings,
    connect,
    make_app,
    make_chatbot,
    make_engine,
    run_server,
)

NAME = "WordEmbeddings"
TEXTS = ["a b", "c"]


@pytest.fixture(scope="module")
def client():
    """A client of a server whose retriever has an embedding model."""
    with run_server(make_app(make_chatbot(make_engine()))) as address, connect(address) as client:
        yield client


def embed(client, **fields: Any) -> Any:
    return client.post("/v1/embeddings", json={"model": NAME, "input": TEXTS, **fields})


def test_the_vectors_are_those_of_the_retrievers_model(client):
    answer = embed(client).json()
    assert [each["embedding"] for each in answer["data"]] == WordEmbeddings().embed_documents(TEXTS)
    assert [(each["index"], each["object"]) for each in answer["data"]] == [(0, "embedding"), (1, "embedding")]
    assert (answer["object"], answer["model"]) == ("list", NAME)
    assert answer["usage"] == {"prompt_tokens": 2, "total_tokens": 2}


def test_base64_holds_little_endian_floats(client):
    data = embed(client, input="a b", encoding_format="base64").json()["data"]
    numbers = struct.unpack("<64f", base64.b64decode(data[0]["embedding"]))
    assert list(numbers) == WordEmbeddings().embed_query("a b")


@pytest.mark.parametrize("field", ["encoding_format", "dimensions", "user", "input_type"])
def test_null_means_the_default(client, field):
    assert embed(client, **{field: None}).json() == embed(client).json()


def test_unknown_fields_are_named(client):
    assert embed(client, truncate=True).headers["X-Ignored-Fields"] == "truncate"
    assert "X-Ignored-Fields" not in embed(client, truncate=None).headers


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a", None]}, "input[1]"),
        ({"input": ["a", True]}, "input[1]"),
        ({"input": 5}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 3}, "dimensions"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "64"}, "dimensions"),
        ({"model": MODEL}, "model"),
        ({"model": "chatbot"}, "model"),
    ],
)
def test_a_wrong_value_is_refused_by_name(client, fields, param):
    answer = embed(client, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("ids", [[1820, 8415], [[1820], [8415]]])
def test_token_ids_are_refused_with_advice(client, ids):
    answer = embed(client, input=ids)
    assert answer.status_code == 400
    assert "check_embedding_ctx_length=False" in answer.json()["error"]["message"]


def test_all_texts_of_a_large_request_keep_their_order(client):
    texts = [f"word{number}" for number in range(200)]
    data = embed(client, input=texts).json()["data"]
    assert [each["embedding"] for each in data] == WordEmbeddings().embed_documents(texts)


def test_without_model_routes_there_are_no_embeddings():
    app = make_app(make_chatbot(make_engine()), settings=ServerSettings(serve_chat_model=False))
    with run_server(app) as address, connect(address) as client:
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["chatbot"]
        for path in ("embeddings", "completions"):
            answer = client.post(f"/v1/{path}", json={})
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "unknown_url"


def test_a_key_and_limits_hold(tmp_path):
    key = add_key(tmp_path / "keys.toml", "shop")
    settings = ServerSettings(keys=Keys.load(tmp_path / "keys.toml"), requests_per_minute=1)
    with run_server(make_app(make_chatbot(make_engine()), settings=settings)) as address:
        with openai.OpenAI(base_url=f"{address}/v1", api_key="wrong", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError):
                client.embeddings.create(model=NAME, input="a")
            with pytest.raises(openai.AuthenticationError):
                client.completions.create(model=MODEL, prompt="a")
        with openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0) as client:
            client.embeddings.create(model=NAME, input="a")
            with pytest.raises(openai.RateLimitError):
                client.embeddings.create(model=NAME, input="a")
