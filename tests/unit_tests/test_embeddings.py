"""Embedding models by name: their prompts and options."""

import pickle
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from langchain_gptoss.embeddings import Prompts, _WaitingQuery, find_prompts, load_embeddings
from langchain_gptoss.errors import DownloadError, GptOssForkError
from tests.unit_tests.forked import call_forked, needs_fork


@pytest.mark.parametrize(
    ("model", "own", "expected"),
    [
        ("intfloat/multilingual-e5-small", {}, Prompts(query="query: ", document="passage: ")),
        ("/data/models--intfloat--e5-base-v2/snapshots/1", {}, Prompts(query="query: ", document="passage: ")),
        ("BAAI/bge-small-en-v1.5", {}, Prompts(query="Represent this sentence for searching relevant passages: ")),
        ("BAAI/bge-m3", {}, Prompts()),
        ("sentence-transformers/all-MiniLM-L6-v2", {"query": "", "document": ""}, Prompts()),
        ("nomic-ai/nomic-embed-text-v1.5", {}, Prompts(query="search_query: ", document="search_document: ")),
        ("Snowflake/snowflake-arctic-embed-m-v2.0", {}, Prompts(query="query: ")),
        ("somebody/model", {"query": "Q: ", "document": "D: "}, Prompts(query="Q: ", document="D: ")),
    ],
)
def test_prompts_are_chosen_by_model_name(model, own, expected):
    assert find_prompts(model, own) == expected


class Client:
    """Replaces a loaded sentence-transformers model."""

    prompts: dict[str, str] = {}  # noqa: RUF012
    device = "cpu"


def replace_models(monkeypatch, make) -> None:
    """Replace the model classes, and skip the import of the real ones, which takes seconds."""
    monkeypatch.setattr("langchain_gptoss.embeddings.silence_transformers_bars", nullcontext)
    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "langchain_huggingface", SimpleNamespace(HuggingFaceEmbeddings=make))


def test_models_get_their_prompts_and_options(monkeypatch):
    all_options = []

    class FakeModel:
        def __init__(self, **options):
            all_options.append(options)
            self._client = Client()

    replace_models(monkeypatch, FakeModel)
    loaded = load_embeddings("multilingual", device="cuda")
    assert all_options == [{"model_name": "intfloat/multilingual-e5-small", "model_kwargs": {"device": "cuda"}}]
    common = {"normalize_embeddings": True, "batch_size": 32}
    assert loaded.encode_kwargs == {**common, "prompt": "passage: "}
    assert loaded.query_encode_kwargs == {**common, "prompt": "query: "}
    own = load_embeddings("BAAI/bge-m3", query_prompt="Q: ", batch_size=4)
    assert own.query_encode_kwargs == {"normalize_embeddings": True, "batch_size": 4, "prompt": "Q: "}
    assert "prompt" not in load_embeddings("BAAI/bge-m3").encode_kwargs
    monkeypatch.setattr(Client, "device", "cuda:0")
    assert load_embeddings("BAAI/bge-m3").encode_kwargs["batch_size"] == 128


def test_a_loading_error_names_the_model_and_the_cause(monkeypatch):
    def fail_to_connect(**_):
        raise OSError("We couldn't connect to the hub.\nMore lines")

    replace_models(monkeypatch, fail_to_connect)
    with pytest.raises(
        DownloadError, match=r"'intfloat/x' could not be loaded: We couldn't connect to the hub\. Check"
    ):
        load_embeddings("intfloat/x")


@needs_fork
def test_a_forked_process_is_refused_at_once(monkeypatch):
    class FakeModel:
        def __init__(self, **options):
            self._client = Client()

    replace_models(monkeypatch, FakeModel)
    monkeypatch.setattr(Client, "encode", lambda self, texts, **options: [texts], raising=False)
    client = load_embeddings("multilingual")._client
    assert client.encode("a") == ["a"]
    assert isinstance(call_forked(lambda: client.encode("a")), GptOssForkError)
    assert isinstance(call_forked(lambda: load_embeddings("multilingual")), GptOssForkError)
    assert client.device == "cpu"
    assert pickle.loads(pickle.dumps(client)).encode("b") == ["b"]


class CountingClient(Client):
    """Encodes a text as its length, and keeps the lists of texts that it was asked for."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def encode(self, texts: list[str], **_: object) -> np.ndarray:
        self.calls.append(texts)
        return np.array([[len(text)] for text in texts], dtype=np.float32)


def load_counting_client(monkeypatch) -> tuple[object, CountingClient]:
    client = CountingClient()
    replace_models(monkeypatch, lambda **_: SimpleNamespace(_client=client))
    return load_embeddings("multilingual")._client, client


def test_sentences_are_encoded_once_and_questions_each_time(monkeypatch):
    encoder, client = load_counting_client(monkeypatch)
    assert encoder.encode(["a", "bb", "a"]).tolist() == [[1], [2], [1]]
    assert encoder.encode(["bb", "ccc"], prompt="passage: ").tolist() == [[2], [3]]
    assert encoder.encode(["ccc", "bb"], prompt="passage: ").tolist() == [[3], [2]]
    assert client.calls == [["a", "bb"], ["bb", "ccc"]]
    for _ in range(2):
        encoder.encode(["question"])
    assert client.calls[2:] == [["question"], ["question"]]


def test_the_oldest_sentences_are_forgotten_and_long_lists_are_not_kept(monkeypatch):
    monkeypatch.setattr("langchain_gptoss.embeddings._KEPT_VECTORS", 2)
    encoder, client = load_counting_client(monkeypatch)
    for texts in (["a", "bb"], ["a", "ccc"], ["a", "bb"]):
        assert encoder.encode(texts).tolist() == [[len(text)] for text in texts]
    assert client.calls == [["a", "bb"], ["ccc"], ["bb"]]
    many = [str(number) for number in range(65)]
    encoder.encode(many)
    encoder.encode(many)
    assert client.calls[3:] == [many, many]


def test_questions_that_wait_are_encoded_together(monkeypatch):
    encoder, client = load_counting_client(monkeypatch)
    is_first, may_end, encode = threading.Event(), threading.Event(), client.encode

    def wait_and_encode(texts, **options):
        is_first.set()
        assert may_end.wait(10)
        return encode(texts, **options)

    client.encode = wait_and_encode
    with ThreadPoolExecutor(5) as threads:
        first = threads.submit(encoder.encode, ["a"])
        assert is_first.wait(10)
        others = [threads.submit(encoder.encode, ["b" * length]) for length in (2, 3)]
        others += [threads.submit(encoder.encode, ["cccc"], prompt="query: ") for _ in range(2)]
        while len(encoder._waiting) < 4:
            time.sleep(0.001)
        may_end.set()
        assert [each.result(10).tolist() for each in [first, *others]] == [[[1]], [[2]], [[3]], [[4]], [[4]]]
    assert sorted(len(texts) for texts in client.calls) == [1, 2, 2]


def test_a_question_is_encoded_although_one_that_waits_fails(monkeypatch):
    encoder, client = load_counting_client(monkeypatch)
    encode = client.encode

    def refuse_long_texts(texts, **options):
        if any(len(text) > 5 for text in texts):
            raise ValueError("too long")
        return encode(texts, **options)

    client.encode = refuse_long_texts
    encoder._waiting.append(_WaitingQuery("too long", {"prompt": "query: "}))
    assert encoder.encode(["a"], prompt="query: ").tolist() == [[1]]
    with pytest.raises(ValueError, match="too long"):
        encoder.encode(["too long"], prompt="query: ")
