"""OpenAI's API as its official client sees it: a real server on a loopback port, the `openai` package against it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest
from openai_harmony import HarmonyEncodingName, load_harmony_encoding
from pydantic import BaseModel

from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.serve import Keys, ServerSettings, add_key, create_app
from tests.integration_tests.serve.test_langserve_routes import ANSWER, TEXTS, chatbot_over, harmony, running, scripted

ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
THOUGHT = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant"
CALL = '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"Nantes"}<|call|>'
QUESTION = [{"role": "user", "content": "How much does the express delivery cost?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Returns the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
MODEL = "gpt-oss-20b"


def engine(*completions: str) -> ScriptedEngine:
    return ScriptedEngine([ENCODING.encode(text, allowed_special="all") for text in completions])


def final(text: str) -> str:
    return f"<|channel|>final<|message|>{text}<|return|>"


@contextmanager
def client_of(engine: ScriptedEngine, **options: Any) -> Iterator[openai.OpenAI]:
    with (
        running(create_app(chatbot_over(engine, **options))) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def idle_address() -> Iterator[str]:
    """A server whose model must not be asked."""
    unused = scripted()
    with running(create_app(chatbot_over(unused))) as address:
        yield address
    assert unused.requests == []


@pytest.fixture
def create(idle_address) -> Iterator[Any]:
    """What asks that server."""
    with openai.OpenAI(base_url=f"{idle_address}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client.chat.completions.create


def test_the_models_are_listed_and_found():
    with client_of(scripted()) as client:
        assert [model.id for model in client.models.list()] == ["chatbot", MODEL]
        assert client.models.retrieve(MODEL).owned_by == "langchain-gptoss"
        with pytest.raises(openai.NotFoundError) as raised:
            client.models.retrieve("gpt-9/turbo")
    assert raised.value.code == "model_not_found"


def test_the_chatbot_answers_with_sources_and_citations():
    with client_of(scripted(ANSWER)) as client:
        answer = client.chat.completions.create(model="chatbot", messages=QUESTION)
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content) == ("assistant", f"{ANSWER} [1]")
    assert choice.finish_reason == "stop"
    extra = choice.message.model_extra
    assert extra["citations"][0]["quote"] == TEXTS[0]
    assert extra["sources"][0]["source"] == "0.md"
    assert extra["abstained"] is False
    assert extra["metadata"]["model"]
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_the_chatbot_streams_sources_then_words_then_citations():
    with client_of(scripted(ANSWER), strict=False) as client:
        asked = {"model": "chatbot", "messages": QUESTION, "stream_options": {"include_usage": True}}
        *chunks, last = client.chat.completions.create(stream=True, **asked)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert [delta.role for delta in deltas] == ["assistant", *[None] * (len(deltas) - 1)]
    assert deltas[0].model_extra["sources"][0]["text"] == TEXTS[0]
    assert "".join(delta.content or "" for delta in deltas) == f"{ANSWER} [1]"
    assert len([delta for delta in deltas if delta.content]) > 3
    assert deltas[-1].model_extra["citations"][0]["source"] == "0.md"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [*[None] * (len(chunks) - 1), "stop"]
    assert last.choices == []
    assert last.usage.completion_tokens > 0


async def test_the_async_client_gets_the_same():
    with running(create_app(chatbot_over(scripted(ANSWER, ANSWER)))) as address:
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
            whole = await client.chat.completions.create(model="chatbot", messages=QUESTION)
            stream = await client.chat.completions.create(model="chatbot", messages=QUESTION, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert whole.choices[0].message.content == "".join(pieces) == f"{ANSWER} [1]"


def test_the_conversation_before_the_question_counts_and_foreign_instructions_do_not():
    bot = scripted("How much does the express delivery cost?", ANSWER)
    history = [
        {"role": "system", "content": "Talk like a pirate."},
        {"role": "user", "content": "Is there an express delivery?"},
        {"role": "assistant", "content": "Yes."},
    ]
    with client_of(bot) as client:
        asked = [*history, {"role": "user", "content": [{"type": "text", "text": "And how much does it cost?"}]}]
        client.chat.completions.create(model="chatbot", messages=asked)
    prompts = "".join(ENCODING.decode(request.prompt_ids) for request in bot.requests)
    assert "Is there an express delivery?" in prompts
    assert "pirate" not in prompts


def test_the_model_thinks_answers_and_counts():
    with client_of(engine(THOUGHT + final("It rains."))) as client:
        answer = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "developer", "content": "Be brief."}, *QUESTION],
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
    assert message.model_extra["reasoning_content"] == "Let me see."
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0


def test_the_model_streams():
    with client_of(engine(THOUGHT + final("It rains in Nantes."))) as client:
        chunks = list(client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert deltas[0].role == "assistant"
    assert "".join((delta.model_extra or {}).get("reasoning_content", "") for delta in deltas) == "Let me see."
    assert "".join(delta.content or "" for delta in deltas) == "It rains in Nantes."
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


def test_an_answer_cut_at_its_length_says_so():
    with client_of(engine(final("one two three four five six"))) as client:
        asked = {"model": MODEL, "messages": QUESTION, "max_completion_tokens": 5}
        assert client.chat.completions.create(**asked).choices[0].finish_reason == "length"


def test_a_tool_is_called_its_result_read_and_the_question_answered():
    model = engine(THOUGHT + CALL, final("It rains in Nantes."))
    messages: list[Any] = [{"role": "user", "content": "Weather in Nantes?"}]
    with client_of(model) as client:
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


def test_a_streamed_tool_call_adds_up():
    with client_of(engine(THOUGHT + CALL)) as client:
        asked = {"model": MODEL, "messages": QUESTION, "tools": [WEATHER]}
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
    model = engine(final('{"euros": 12.9}'))
    with client_of(model) as client:
        answer = client.chat.completions.parse(model=MODEL, messages=QUESTION, response_format=Price)
    assert answer.choices[0].message.parsed == Price(euros=12.9)
    assert '"euros"' in model.requests[0].grammar.lark


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "a"}]}, "messages.0.role is 'king'"),
        ({"messages": [{"content": "a"}]}, "messages.0.role is None"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0 cannot be read"),
        ({"messages": [*QUESTION, {"role": "tool", "content": "a"}]}, "messages.1 cannot be read"),
        ({"messages": [*QUESTION, {"role": "assistant", "tool_calls": "a"}]}, "messages.1 cannot be read"),
        ({"messages": [*QUESTION, {"role": "assistant", "content": "a"}]}, "The last message must be the question"),
        ({"messages": [{"role": "user", "content": " "}]}, "The question is empty"),
        ({"messages": [{"role": "user", "content": None}]}, "The question is empty"),
        ({"n": 2}, "Supported is one answer, n=1."),
        ({"extra_body": {"colour": "red"}}, "colour: Extra inputs are not permitted"),
        ({"temperature": 3}, "temperature"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"tools": [WEATHER]}, "The chatbot takes no tools"),
        ({"response_format": {"type": "json_object"}}, "The chatbot takes no response_format"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_bad_request_is_refused_in_openais_form(create, change, part, stream):
    with pytest.raises(openai.BadRequestError) as raised:
        create(**{"model": "chatbot", "messages": QUESTION, "stream": stream} | change)
    assert part in raised.value.message
    assert raised.value.type == "invalid_request_error"


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"model": "\\ud800"}', b"[" * 100_000, b"", b"null"])
def test_what_is_no_request_is_refused_in_openais_form(idle_address, content):
    answer = httpx.post(f"{idle_address}/v1/chat/completions", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_half_a_character_in_a_question_is_refused(idle_address):
    body = '{"model": "chatbot", "messages": [{"role": "user", "content": "a \\ud800 b"}]}'
    answer = httpx.post(f"{idle_address}/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_an_unknown_model_is_not_found(create):
    with pytest.raises(openai.NotFoundError) as raised:
        create(model="gpt-9", messages=QUESTION)
    assert raised.value.code == "model_not_found"
    assert "'chatbot', 'gpt-oss-20b'" in raised.value.message


def test_an_image_is_refused(create):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(openai.BadRequestError, match="image"):
        create(model=MODEL, messages=[{"role": "user", "content": [image]}])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["chatbot", MODEL])
def test_too_long_a_conversation_has_openais_code(model, stream):
    long = [{"role": "user", "content": "How much does the express delivery cost? " * 40}]
    with (
        client_of(scripted(ANSWER, context_length=200)) as client,
        pytest.raises(openai.BadRequestError, match="context") as raised,
    ):
        client.chat.completions.create(model=model, messages=long, stream=stream)
    assert raised.value.code == "context_length_exceeded"


def test_our_own_faults_are_not_told():
    with client_of(scripted()) as client, pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model=MODEL, messages=QUESTION)
    assert "ScriptedEngine" not in raised.value.message
    assert raised.value.type == "server_error"


class Breaks(ScriptedEngine):
    """An engine that fails in the middle of an answer."""

    def _replay(self, completion, request, limit):
        replay = super()._replay(completion, request, limit)
        for _ in range(8):
            yield next(replay)
        raise RuntimeError("the card has left the slot")


def test_a_model_that_stops_in_mid_stream_is_an_error_for_the_client():
    with client_of(Breaks([harmony("one two three four five six seven eight nine")])) as client:
        stream = client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
        with pytest.raises(openai.APIError) as raised:
            for _ in stream:
                pass
    assert "slot" not in raised.value.message


def test_an_unknown_key_is_an_authentication_error(tmp_path):
    key = add_key(tmp_path / "keys.toml", "shop")
    settings = ServerSettings(keys=Keys.load(tmp_path / "keys.toml"))
    with running(create_app(chatbot_over(scripted(ANSWER)), settings=settings)) as address:
        with openai.OpenAI(base_url=f"{address}/v1", api_key="wrong", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError) as raised:
                client.models.list()
            assert raised.value.type == "authentication_error"
        with openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0) as client:
            answer = client.chat.completions.create(model="chatbot", messages=QUESTION)
    assert answer.choices[0].message.content == f"{ANSWER} [1]"
