"""OpenAI's API with its official client, over real sockets."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.serve import Keys, ServerSettings, add_key
from tests.integration_tests.serve.helpers import (
    ANSWER,
    CITED_ANSWER,
    ENCODING,
    MESSAGES,
    MODEL,
    QUESTION,
    TEXTS,
    BreakingEngine,
    encode_answer,
    make_app,
    make_chatbot,
    make_engine,
    run_server,
)

REASONING = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant"
TOOL_CALL = '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"Nantes"}<|call|>'
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Returns the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def make_raw_engine(*completions: str) -> ScriptedEngine:
    return ScriptedEngine([ENCODING.encode(text, allowed_special="all") for text in completions])


def format_final(text: str) -> str:
    return f"<|channel|>final<|message|>{text}<|return|>"


def connect_openai(address: str, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", max_retries=0, timeout=60, **{"api_key": "none", **options})


@contextmanager
def serve_openai(engine: ScriptedEngine, **options: Any) -> Iterator[openai.OpenAI]:
    """Yield a client of a server with a chatbot."""
    with run_server(make_app(make_chatbot(engine, **options))) as address, connect_openai(address) as client:
        yield client


@pytest.fixture(scope="module")
def idle_address() -> Iterator[str]:
    """A server whose model must not be used."""
    engine = make_engine()
    with run_server(make_app(make_chatbot(engine))) as address:
        yield address
    assert engine.requests == []


@pytest.fixture
def create(idle_address) -> Iterator[Any]:
    """The function that creates completions on that server."""
    with connect_openai(idle_address) as client:
        yield client.chat.completions.create


def test_models_are_listed():
    with serve_openai(make_engine()) as client:
        assert [model.id for model in client.models.list()] == ["chatbot", MODEL, "WordEmbeddings"]
        assert client.models.retrieve(MODEL).owned_by == "langchain-gptoss"
        with pytest.raises(openai.NotFoundError) as raised:
            client.models.retrieve("gpt-9/turbo")
    assert raised.value.code == "model_not_found"


def test_the_chatbot_answers_with_sources_and_citations():
    with serve_openai(make_engine(ANSWER)) as client:
        answer = client.chat.completions.create(model="chatbot", messages=MESSAGES)
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content) == ("assistant", CITED_ANSWER)
    assert choice.finish_reason == "stop"
    extra = choice.message.model_extra
    assert extra["citations"][0]["quote"] == TEXTS[0]
    assert extra["sources"][0]["source"] == "0.md"
    assert extra["abstained"] is False
    assert extra["metadata"]["model"]
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_the_chatbot_streams_sources_then_words_then_citations():
    with serve_openai(make_engine(ANSWER), strict=False) as client:
        asked = {"model": "chatbot", "messages": MESSAGES, "stream_options": {"include_usage": True}}
        *chunks, last = client.chat.completions.create(stream=True, **asked)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert [delta.role for delta in deltas] == ["assistant", *[None] * (len(deltas) - 1)]
    assert deltas[0].model_extra["sources"][0]["text"] == TEXTS[0]
    assert "".join(delta.content or "" for delta in deltas) == CITED_ANSWER
    assert len([delta for delta in deltas if delta.content]) > 3
    assert deltas[-1].model_extra["citations"][0]["source"] == "0.md"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [*[None] * (len(chunks) - 1), "stop"]
    assert last.choices == []
    assert last.usage.completion_tokens > 0


async def test_the_async_client_gets_the_same_answer():
    with run_server(make_app(make_chatbot(make_engine(ANSWER, ANSWER)))) as address:
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
            whole = await client.chat.completions.create(model="chatbot", messages=MESSAGES)
            stream = await client.chat.completions.create(model="chatbot", messages=MESSAGES, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert whole.choices[0].message.content == "".join(pieces) == CITED_ANSWER


def test_the_chatbot_uses_the_conversation_and_ignores_system_messages():
    bot = make_engine("How much does the express delivery cost?", ANSWER)
    history = [
        {"role": "system", "content": "Talk like a pirate."},
        {"role": "user", "content": "Is there an express delivery?"},
        {"role": "assistant", "content": "Yes."},
    ]
    with serve_openai(bot) as client:
        asked = [*history, {"role": "user", "content": [{"type": "text", "text": "And how much does it cost?"}]}]
        client.chat.completions.create(model="chatbot", messages=asked)
    prompts = "".join(ENCODING.decode(request.prompt_ids) for request in bot.requests)
    assert "Is there an express delivery?" in prompts
    assert "pirate" not in prompts


def test_the_model_answers_with_reasoning_and_usage():
    with serve_openai(make_raw_engine(REASONING + format_final("It rains."))) as client:
        answer = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "developer", "content": "Be brief."}, *MESSAGES],
            temperature=0,
            max_tokens=50,
            seed=1,
            n=1,
            stop="stop here",
            presence_penalty=0.0,
            frequency_penalty=0,
            logit_bias={},
            user="u",
            reasoning_effort="low",
        )
    message = answer.choices[0].message
    assert message.content == "It rains."
    assert message.model_extra["reasoning_content"] == message.model_extra["reasoning"] == "Let me see."
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0


def test_the_model_streams_reasoning_and_answer():
    with serve_openai(make_raw_engine(REASONING + format_final("It rains in Nantes."))) as client:
        chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert deltas[0].role == "assistant"
    assert "".join((delta.model_extra or {}).get("reasoning_content", "") for delta in deltas) == "Let me see."
    assert "".join(delta.content or "" for delta in deltas) == "It rains in Nantes."
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


def test_an_answer_at_the_length_limit_has_its_finish_reason():
    with serve_openai(make_raw_engine(format_final("one two three four five six"))) as client:
        asked = {"model": MODEL, "messages": MESSAGES, "max_completion_tokens": 5}
        assert client.chat.completions.create(**asked).choices[0].finish_reason == "length"


def test_a_tool_call_and_its_result():
    model = make_raw_engine(REASONING + TOOL_CALL, format_final("It rains in Nantes."))
    messages: list[Any] = [{"role": "user", "content": "Weather in Nantes?"}]
    with serve_openai(model) as client:
        called = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER], tool_choice="auto")
        choice = called.choices[0]
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content is None
        [call] = choice.message.tool_calls
        assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Nantes"})
        messages += [
            choice.message.model_dump(exclude_none=True, exclude={"reasoning_content"}),
            {"role": "tool", "tool_call_id": call.id, "content": "rain"},
        ]
        answered = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    assert answered.choices[0].message.content == "It rains in Nantes."
    assert "rain<|end|>" in ENCODING.decode(model.requests[1].prompt_ids)


def test_chunks_of_a_tool_call_add_up():
    with serve_openai(make_raw_engine(REASONING + TOOL_CALL)) as client:
        asked = {"model": MODEL, "messages": MESSAGES, "tools": [WEATHER]}
        chunks = list(client.chat.completions.create(stream=True, **asked))
    pieces = [piece for chunk in chunks for piece in chunk.choices[0].delta.tool_calls or []]
    assert {piece.index for piece in pieces} == {0}
    assert [piece.function.name for piece in pieces if piece.function.name] == ["get_weather"]
    assert len([piece.id for piece in pieces if piece.id]) == 1
    assert json.loads("".join(piece.function.arguments for piece in pieces)) == {"city": "Nantes"}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


class Price(BaseModel):
    """A price."""

    euros: float


def test_structured_output_is_parsed_by_the_client():
    model = make_raw_engine(format_final('{"euros": 12.9}'))
    with serve_openai(model) as client:
        answer = client.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Price)
    assert answer.choices[0].message.parsed == Price(euros=12.9)
    assert '"euros"' in model.requests[0].grammar.lark


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "a"}]}, "Invalid value for 'messages[0].role': 'king'"),
        ({"messages": [{"content": "a"}]}, "Missing required parameter: 'messages[0].role'"),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "'messages[0].content': expected a string or an array, but got an integer",
        ),
        ({"messages": [*MESSAGES, {"role": "tool", "content": "a"}]}, "parameter: 'messages[1].tool_call_id'"),
        (
            {"messages": [*MESSAGES, {"role": "assistant", "tool_calls": "a"}]},
            "'messages[1].tool_calls': expected an array",
        ),
        ({"messages": [*MESSAGES, {"role": "assistant", "content": "a"}]}, "The last message must be the question"),
        ({"messages": [{"role": "user", "content": " "}]}, "The question is empty"),
        ({"messages": [{"role": "user", "content": None}]}, "Missing required parameter: 'messages[0].content'"),
        ({"n": 2}, "The chatbot gives one answer, n=1."),
        ({"n": 9}, "Invalid 'n': expected a value of at most 8, but got 9 instead."),
        ({"temperature": 3}, "temperature"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"tools": [WEATHER]}, "The chatbot does not support tools"),
        ({"response_format": {"type": "json_object"}}, "The chatbot does not support response_format"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_invalid_request_gets_an_openai_error(create, change, part, stream):
    with pytest.raises(openai.BadRequestError) as raised:
        create(**{"model": "chatbot", "messages": MESSAGES, "stream": stream} | change)
    assert part in raised.value.message
    assert raised.value.type == "invalid_request_error"


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"model": "\\ud800"}', b"[" * 100_000, b"", b"null"])
def test_an_invalid_body_gets_an_openai_error(idle_address, content):
    answer = httpx.post(f"{idle_address}/v1/chat/completions", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_lone_surrogate_is_refused(idle_address):
    body = '{"model": "chatbot", "messages": [{"role": "user", "content": "a \\ud800 b"}]}'
    answer = httpx.post(f"{idle_address}/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_an_unknown_model_is_not_found(create):
    with pytest.raises(openai.NotFoundError) as raised:
        create(model="gpt-9", messages=MESSAGES)
    assert raised.value.code == "model_not_found"
    assert "'chatbot', 'gpt-oss-20b'" in raised.value.message


def test_an_image_is_refused(create):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(openai.BadRequestError, match="image"):
        create(model=MODEL, messages=[{"role": "user", "content": [image]}])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["chatbot", MODEL])
def test_a_conversation_longer_than_the_context_has_openais_code(model, stream):
    long = [{"role": "user", "content": f"{QUESTION} " * 40}]
    with (
        serve_openai(make_engine(ANSWER, context_length=200)) as client,
        pytest.raises(openai.BadRequestError, match="context") as raised,
    ):
        client.chat.completions.create(model=model, messages=long, stream=stream)
    assert raised.value.code == "context_length_exceeded"


def test_server_errors_hide_their_reason():
    with serve_openai(make_engine()) as client, pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert "ScriptedEngine" not in raised.value.message
    assert raised.value.type == "server_error"


def test_a_broken_stream_is_an_error_for_the_client():
    with serve_openai(BreakingEngine([encode_answer("one two three four five six seven eight nine")])) as client:
        stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        with pytest.raises(openai.APIError) as raised:
            for _ in stream:
                pass
    assert "secret" not in raised.value.message


def test_an_unknown_key_is_an_authentication_error(tmp_path):
    key = add_key(tmp_path / "keys.toml", "shop")
    settings = ServerSettings(keys=Keys.load(tmp_path / "keys.toml"))
    with run_server(make_app(make_chatbot(make_engine(ANSWER)), settings=settings)) as address:
        with connect_openai(address, api_key="wrong") as client:
            with pytest.raises(openai.AuthenticationError) as raised:
                client.models.list()
            assert raised.value.type == "authentication_error"
        with connect_openai(address, api_key=key) as client:
            answer = client.chat.completions.create(model="chatbot", messages=MESSAGES)
    assert answer.choices[0].message.content == CITED_ANSWER
