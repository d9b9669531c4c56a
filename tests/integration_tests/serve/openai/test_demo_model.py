"""OpenAI's API with its official client and the real demo models."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from langchain_gptoss import create_chatbot
from tests.integration_tests.serve.helpers import make_app, run_server

QUESTION: list[Any] = [{"role": "user", "content": "Name a colour."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Returns the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
TIME = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "Returns the time in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def client(demo_llm, handbook_store) -> Iterator[openai.OpenAI]:
    """A client of a server with the demo model and the demo embeddings."""
    app = make_app(create_chatbot(demo_llm, handbook_store.as_retriever()))
    with (
        run_server(app) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=300) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def embedding_model(client) -> str:
    """The name of the embedding model."""
    chatbot, chat_model, name = (model.id for model in client.models.list())
    assert (chatbot, chat_model) == ("chatbot", "demo")
    assert name.startswith("all-MiniLM-L6-v2")
    return name


def ask(client: openai.OpenAI, **options: Any) -> Any:
    return client.chat.completions.create(model="demo", messages=QUESTION, **{"max_tokens": 5, **options})


def test_several_answers(client):
    options = {"n": 3, "temperature": 1.5, "seed": 5}
    answer = ask(client, **options)
    texts = [choice.message.content for choice in answer.choices]
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len(set(texts)) > 1
    # The same seed gives the same answers; the second answer has the next seed.
    assert [choice.message.content for choice in ask(client, **options).choices] == texts
    assert ask(client, temperature=1.5, seed=6).choices[0].message.content == texts[1]
    assert answer.usage.completion_tokens > ask(client, temperature=1.5, seed=5).usage.completion_tokens
    assert answer.usage.prompt_tokens == ask(client).usage.prompt_tokens


def test_several_streamed_answers_are_those_of_a_whole_completion(client):
    options = {"n": 2, "temperature": 1.5, "seed": 5}
    whole = ask(client, **options)
    *chunks, last = ask(client, stream=True, stream_options={"include_usage": True}, **options)
    texts = ["", ""]
    finished = []
    for chunk in chunks:
        [choice] = chunk.choices
        assert chunk.usage is None
        texts[choice.index] += choice.delta.content or ""
        finished += [choice.index] if choice.finish_reason else []
    assert texts == [choice.message.content for choice in whole.choices]
    assert sorted(finished) == [0, 1]
    assert last.usage.completion_tokens == whole.usage.completion_tokens


def test_a_bias_forbids_and_forces_tokens(client):
    first = ask(client, temperature=0, max_tokens=1, logprobs=True).choices[0]
    [token_id] = find_token_ids(client, first.logprobs.content[0].token)
    other = ask(client, temperature=0, max_tokens=1, logit_bias={str(token_id): -100}).choices[0]
    assert other.message.content != first.message.content
    forced = ask(client, temperature=0, max_tokens=3, logit_bias={str(token_id): 100}).choices[0]
    assert forced.message.content == first.message.content * 3


def find_token_ids(client: openai.OpenAI, text: str) -> list[int]:
    from langchain_gptoss import ChatGptOss

    return ChatGptOss(model="demo").get_token_ids(text)


def test_penalties_reduce_repetition(client):
    asked = {"temperature": 0, "max_tokens": 20}
    repeat: list[Any] = [{"role": "user", "content": "Repeat the word apple many times: apple apple apple apple"}]

    def count_repetitions(**options: Any) -> int:
        answer = client.chat.completions.create(model="demo", messages=repeat, **asked, **options)
        return max(Counter(answer.choices[0].message.content.lower().split()).values())

    assert count_repetitions(frequency_penalty=2, presence_penalty=2) < count_repetitions()


@pytest.mark.parametrize("option", [{"top_k": 1}, {"min_p": 1.0}])
def test_sampling_from_one_token_is_greedy(client, option):
    greedy = ask(client, temperature=0).choices[0].message.content
    assert ask(client, temperature=2, seed=1, extra_body=option).choices[0].message.content == greedy


@pytest.mark.parametrize("name", ["get_weather", "get_time"])
def test_only_allowed_tools_are_called(client, name):
    choice: Any = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": name}}]},
    }
    messages: list[Any] = [{"role": "user", "content": "What is it like in Nantes?"}]
    answer = client.chat.completions.create(
        model="demo", messages=messages, tools=[WEATHER, TIME], tool_choice=choice, max_tokens=60, temperature=0
    )
    calls = answer.choices[0].message.tool_calls
    assert {call.function.name for call in calls} == {name}


def test_a_text_is_continued(client):
    asked: dict[str, Any] = {"model": "demo", "prompt": "One, two, three, four,", "temperature": 0, "max_tokens": 6}
    whole = client.completions.create(**asked, logprobs=2)
    [choice] = whole.choices
    assert "five" in choice.text
    assert choice.finish_reason == "length"
    assert "".join(choice.logprobs.tokens) == choice.text
    assert [len(top) for top in choice.logprobs.top_logprobs] == [2] * 6
    assert choice.logprobs.text_offset[:2] == [0, len(choice.logprobs.tokens[0])]
    assert whole.usage.completion_tokens == 6
    chunks = list(client.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == choice.text
    assert chunks[-1].choices[0].finish_reason == "length"


def test_texts_and_token_ids_are_continued_alike(client, demo_llm):
    texts = ["One, two, three,", "The capital of France is"]
    asked: dict[str, Any] = {"model": "demo", "temperature": 0, "max_tokens": 4, "echo": True}
    by_text = client.completions.create(prompt=texts, n=2, **asked)
    by_ids = client.completions.create(prompt=[demo_llm.get_token_ids(text) for text in texts], n=2, **asked)
    assert [choice.index for choice in by_text.choices] == [0, 1, 2, 3]
    assert [choice.text for choice in by_text.choices] == [choice.text for choice in by_ids.choices]
    for number, text in enumerate(texts):
        assert by_text.choices[2 * number].text == by_text.choices[2 * number + 1].text
        assert by_text.choices[2 * number].text.startswith(text)
    assert by_text.usage.prompt_tokens == sum(len(demo_llm.get_token_ids(text)) for text in texts)
    assert by_text.usage.completion_tokens == 16


def test_embeddings_are_those_of_the_index(client, embedding_model, handbook_store):
    texts = ["express shipping", "Returned within\n14 days"]
    answer = client.embeddings.create(model=embedding_model, input=texts, encoding_format="float")
    assert [each.index for each in answer.data] == [0, 1]
    vectors = handbook_store.embeddings.embed_documents(texts)
    for each, vector in zip(answer.data, vectors, strict=True):
        assert each.embedding == pytest.approx(vector, abs=1e-5)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 4
    assert answer.model == embedding_model


def test_base64_gives_the_same_numbers(client, embedding_model):
    whole = client.embeddings.create(model=embedding_model, input="express", encoding_format="float").data[0].embedding
    # The client asks for base64 and decodes it unless another format is named.
    assert client.embeddings.create(model=embedding_model, input="express").data[0].embedding == pytest.approx(whole)
    body = {"model": embedding_model, "input": "express", "encoding_format": "base64"}
    raw = httpx.post(f"{client.base_url}embeddings", json=body, timeout=60).json()["data"][0]["embedding"]
    assert isinstance(raw, str)
    assert len(raw) == len(whole) * 4 * 4 // 3


def test_the_number_of_dimensions_is_that_of_the_model(client, embedding_model):
    client.embeddings.create(model=embedding_model, input="a", dimensions=384)
    with pytest.raises(openai.BadRequestError, match="384 dimensions") as raised:
        client.embeddings.create(model=embedding_model, input="a", dimensions=128)
    assert raised.value.param == "dimensions"


def test_a_text_that_the_embedding_model_would_cut_off_is_refused(client, embedding_model):
    with pytest.raises(openai.BadRequestError, match="the model reads 256") as raised:
        client.embeddings.create(model=embedding_model, input=["short", "word " * 400])
    assert raised.value.code == "context_length_exceeded"
    assert raised.value.param == "input[1]"
