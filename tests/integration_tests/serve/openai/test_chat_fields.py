"""Fields of chat completions: several answers, broken calls, older forms, ignored fields; at once and streamed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.messages.tool import tool_call
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_gptoss import BM25Retriever, create_chatbot
from langchain_gptoss.engine import ScriptedEngine
from tests.integration_tests.serve.helpers import (
    ANSWER,
    ENCODING,
    MESSAGES,
    MODEL,
    SlowEngine,
    connect,
    encode_answer,
    make_app,
    make_chatbot,
    make_engine,
    post_and_disconnect,
    read_metric,
    run_server,
    serve_chatbot,
    wait_until,
)

REASONING = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
FIND = {"name": "find", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
TOOLS = [{"type": "function", "function": FIND}]
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


def write_call(arguments: str, name: str = "find", end: str = "<|call|>") -> str:
    return f"{REASONING}<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}{end}"


@contextmanager
def serve_texts(*texts: str) -> Iterator[Any]:
    """Yield a function that creates chat completions of a model that writes the texts."""
    engine = ScriptedEngine([ENCODING.encode(text, allowed_special="all") for text in texts])
    with (
        run_server(make_app(make_chatbot(engine))) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client,
    ):

        def create(**fields: Any) -> Any:
            return client.chat.completions.create(**{"model": MODEL, "messages": MESSAGES, **fields})

        create.engine = engine  # type: ignore[attr-defined]
        yield create


def add_up_calls(chunks: list[Any]) -> list[tuple[str, str]]:
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            for piece in choice.delta.tool_calls or []:
                call = calls.setdefault(piece.index, ["", ""])
                call[0] += piece.function.name or ""
                call[1] += piece.function.arguments or ""
    return [(name, arguments) for name, arguments in calls.values()]


@pytest.mark.parametrize(
    ("text", "call", "reason"),
    [
        (write_call('{"q": "a"}'), ("find", '{"q": "a"}'), "tool_calls"),
        (write_call('{"q": '), ("find", '{"q": '), "tool_calls"),
        (write_call('{"q": 1}', name="search_web"), ("search_web", '{"q": 1}'), "tool_calls"),
        (write_call('{"q": "long', end=""), ("find", '{"q": "long'), "length"),
    ],
)
def test_calls_are_delivered_as_the_model_wrote_them(text, call, reason):
    limit = {"max_tokens": len(ENCODING.encode(text, allowed_special="all"))} if reason == "length" else {}
    with serve_texts(text, text) as create:
        whole = create(tools=TOOLS, **limit).choices[0]
        chunks = list(create(tools=TOOLS, **STREAMED, **limit))
    assert [(each.function.name, each.function.arguments) for each in whole.message.tool_calls] == [call]
    assert add_up_calls(chunks) == [call]
    assert whole.message.content is None
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert [whole.finish_reason, *reasons] == [reason, reason]


def test_an_answer_without_calls_does_not_finish_with_tool_calls():
    text = "<|channel|>final<|message|>No.<|return|>"
    with serve_texts(text, text) as create:
        assert create(tools=TOOLS).choices[0].finish_reason == "stop"
        *_, last = create(tools=TOOLS, stream=True)
    assert last.choices[0].finish_reason == "stop"


def test_a_client_recovers_from_a_broken_call():
    with serve_texts(write_call('{"q": '), "<|channel|>final<|message|>Sorry.<|return|>") as create:
        message = create(tools=TOOLS).choices[0].message.model_dump()
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "The JSON is broken."}
        answer = create(tools=TOOLS, messages=[*MESSAGES, message, result])
    assert answer.choices[0].message.content == "Sorry."
    prompt = ENCODING.decode(create.engine.requests[1].prompt_ids)
    assert '{"q": <|call|>' in prompt
    assert "The JSON is broken." in prompt


def test_functions_of_the_older_form():
    with serve_texts(*[write_call('{"q": "a"}')] * 2) as create:
        whole = create(functions=[FIND], function_call="auto").choices[0]
        chunks = list(create(functions=[FIND], stream=True))
    assert (whole.message.function_call.name, whole.message.function_call.arguments) == ("find", '{"q": "a"}')
    assert whole.message.tool_calls is None
    assert whole.finish_reason == chunks[-1].choices[0].finish_reason == "function_call"
    pieces = [chunk.choices[0].delta.function_call for chunk in chunks if chunk.choices[0].delta.function_call]
    assert "".join(piece.arguments for piece in pieces) == '{"q": "a"}'


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_has_both_names(stream):
    with serve_texts(f"{REASONING}<|channel|>final<|message|>Hi.<|return|>") as create:
        answer = create(stream=stream)
        parts = [chunk.choices[0].delta for chunk in answer] if stream else [answer.choices[0].message]
    for name in ("reasoning", "reasoning_content"):
        assert "".join((part.model_extra or {}).get(name, "") for part in parts) == "Hm."


def test_several_answers_and_their_usage():
    texts = [f"{REASONING}<|channel|>final<|message|>Answer {number}.<|return|>" for number in range(3)]
    with serve_texts(*texts, *texts) as create:
        whole = create(n=3, seed=10, temperature=0.5)
        *chunks, last = create(n=3, seed=10, **STREAMED)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert {choice.message.content for choice in whole.choices} == {"Answer 0.", "Answer 1.", "Answer 2."}
    assert sorted(request.sampling.seed for request in create.engine.requests[:3]) == [10, 11, 12]
    streamed = ["", "", ""]
    for chunk in chunks:
        streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert set(streamed) == {"Answer 0.", "Answer 1.", "Answer 2."}
    roles = [chunk.choices[0].index for chunk in chunks if chunk.choices[0].delta.role]
    assert sorted(roles) == [0, 1, 2]
    for usage in (whole.usage, last.usage):
        assert usage.prompt_tokens == len(create.engine.requests[0].prompt_ids)
        assert usage.completion_tokens == sum(len(ENCODING.encode(text, allowed_special="all")) for text in texts)
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


@pytest.mark.parametrize("stream", [False, True])
def test_all_answers_stop_when_the_client_has_gone(stream):
    engine = SlowEngine([encode_answer("word " * 3000)] * 4)
    with serve_chatbot(make_chatbot(engine)) as client:
        body = {"model": MODEL, "messages": MESSAGES, "n": 4, "stream": stream}
        post_and_disconnect(client, "/v1/chat/completions", body, engine)
        wait_until(lambda: read_metric(client, "gptoss_answering") == 0)
        wait_until(engine.ended.is_set)
    assert engine.steps < 4 * 3000


def test_sampling_options_reach_the_engine():
    with serve_texts("<|channel|>final<|message|>Hi.<|return|>") as create:
        create(
            frequency_penalty=0.5,
            presence_penalty=-0.5,
            logit_bias={"17": 5},
            top_p=0,
            extra_body={"top_k": 3, "min_p": 0.25},
        )
    sampling = create.engine.requests[0].sampling
    assert (sampling.frequency_penalty, sampling.presence_penalty) == (0.5, -0.5)
    assert dict(sampling.logit_bias) == {17: 5}
    assert (sampling.top_k, sampling.min_p) == (3, 0.25)
    assert 0 < sampling.top_p < 0.001


@pytest.mark.parametrize("stream", [False, True])
def test_ignored_fields_are_named_in_a_header(stream):
    fields = {"stream": stream, "colour": "red", "mood": None, "temperature": 0.5, "seed": 1, "user": "u"}
    messages = [{**MESSAGES[0], "mood": "glad"}]
    with serve_chatbot(make_chatbot(make_engine(ANSWER, ANSWER))) as client:

        def ask(model: str) -> httpx.Response:
            return client.post("/v1/chat/completions", json={"model": model, "messages": messages, **fields})

        assert ask(MODEL).headers["X-Ignored-Fields"] == "colour, messages[].mood"
        assert ask("chatbot").headers["X-Ignored-Fields"] == "colour, messages[].mood, seed, temperature"


def test_the_chatbot_accepts_values_that_mean_the_default():
    fields = {"response_format": {"type": "text"}, "tools": [], "n": 1, "logprobs": False, "stop": []}
    with serve_chatbot(make_chatbot(make_engine(ANSWER))) as client:
        body = {"model": "chatbot", "messages": MESSAGES, **fields}
        assert client.post("/v1/chat/completions", json=body).status_code == 200


class CallingModel(BaseChatModel):
    """A chat model of another provider: it does not stream, and answers with a call or with its options."""

    @property
    def _llm_type(self) -> str:
        return "calling"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        if kwargs.get("tools"):
            calls = [tool_call(name="find", args={"q": "a"}, id="c1")]
            return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=calls))])
        return ChatResult(generations=[ChatGeneration(message=AIMessage(str(sorted(kwargs.items()))))])


def test_another_chat_model_gets_the_options_that_it_knows():
    from langchain_core.documents import Document

    retriever = BM25Retriever.from_documents([Document(ANSWER, metadata={"source": "a.md", "start": 0})])
    with (
        run_server(make_app(create_chatbot(CallingModel(), retriever))) as address,
        connect(address) as client,
    ):

        def ask(**fields: Any) -> httpx.Response:
            body = {"model": "CallingModel", "messages": MESSAGES, **fields}
            return client.post("/v1/chat/completions", json=body)

        answer = ask(top_k=3, min_p=0.1, logit_bias={"5": 1}, presence_penalty=1)
        assert answer.headers["X-Ignored-Fields"] == "top_k, min_p"
        options = "[('logit_bias', {'5': 1.0}), ('presence_penalty', 1.0)]"
        assert answer.json()["choices"][0]["message"]["content"] == options
        assert ask(tools=TOOLS).json()["choices"][0]["finish_reason"] == "tool_calls"
        streamed = ask(tools=TOOLS, stream=True).text
        assert '"name": "find"' in streamed
        assert '"finish_reason": "tool_calls"' in streamed
        assert client.get("/v1/models").json()["data"][-1]["id"] == "CallingModel"
        assert client.post("/v1/completions", json={"model": "CallingModel", "prompt": "a"}).status_code == 400
