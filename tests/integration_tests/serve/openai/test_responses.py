"""The Responses API with OpenAI's official client, over real sockets. Every event is validated against its types."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.serve import Keys, ServerSettings, add_key
from tests.integration_tests.serve.helpers import (
    ANSWER,
    CITED_ANSWER,
    ENCODING,
    LONG_ANSWER,
    MODEL,
    QUESTION,
    TEXTS,
    BreakingEngine,
    SlowEngine,
    connect,
    encode_answer,
    make_app,
    make_chatbot,
    make_engine,
    post_and_disconnect,
    read_metric,
    run_server,
    wait_until,
)

REASONING = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant"
FINAL = "<|channel|>final<|message|>It rains in Nantes.<|return|>"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Returns the weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
TIME = {**WEATHER, "name": "get_time", "description": "Returns the time in a city."}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def write_call(name: str, arguments: str, end: str = "<|call|>") -> str:
    return f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}{end}"


def make_raw_engine(*completions: str) -> ScriptedEngine:
    return ScriptedEngine([ENCODING.encode(text, allowed_special="all") for text in completions])


@contextmanager
def serve_openai(engine: ScriptedEngine, **options: Any) -> Iterator[openai.OpenAI]:
    """Yield a client of a server with a chatbot."""
    with (
        run_server(make_app(make_chatbot(engine, **options))) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=60) as client,
    ):
        yield client


def stream_events(client: openai.OpenAI, **options: Any) -> list[Any]:
    """Return the events of a response, after a strict check of their form and numbers."""
    body = {"model": MODEL, "input": "Weather in Nantes?", "stream": True, **options}
    text = httpx.post(f"{client.base_url}responses", json=body, timeout=60).text
    events = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        event = EVENT.validate_python(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {event.type}"
        events.append(event)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    return events


def name_events(events: list[Any]) -> list[str]:
    """Return the types of events without their common prefix; repeated deltas count once."""
    names = [event.type.removeprefix("response.") for event in events]
    return [name for number, name in enumerate(names) if not number or name != names[number - 1]]


def read_prompt(engine: ScriptedEngine, call: int = -1) -> str:
    return ENCODING.decode(engine.requests[call].prompt_ids)


def test_a_text_is_answered_with_reasoning_and_usage():
    engine = make_raw_engine(REASONING + FINAL)
    with serve_openai(engine) as client:
        response = client.responses.create(
            model=MODEL,
            input="Weather in Nantes?",
            instructions="Talk like a pirate.",
            reasoning={"effort": "low"},
            temperature=0,
            top_p=0.9,
            max_output_tokens=100,
            metadata={"topic": "weather"},
            user="u",
        )
    assert response.output_text == "It rains in Nantes."
    assert (response.status, response.object, response.model) == ("completed", "response", MODEL)
    reasoning, message = response.output
    assert (reasoning.type, reasoning.content[0].text) == ("reasoning", "Let me see.")
    assert (message.type, message.role, message.status) == ("message", "assistant", "completed")
    assert response.usage.output_tokens_details.reasoning_tokens > 0
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert (response.metadata, response.instructions, response.top_p) == (
        {"topic": "weather"},
        "Talk like a pirate.",
        0.9,
    )
    assert response.reasoning.effort == "low"
    prompt = read_prompt(engine)
    assert "Talk like a pirate." in prompt
    assert "Reasoning: low" in prompt
    Response.model_validate(response.to_dict())


def test_the_events_of_an_answer_have_openais_order():
    with serve_openai(make_raw_engine(REASONING + FINAL)) as client:
        events = stream_events(client)
    assert name_events(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert events[0].response.status == "in_progress"
    assert (
        "".join(event.delta for event in events if event.type == "response.output_text.delta") == "It rains in Nantes."
    )
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert done == events[-1].response.output
    assert events[0].response.output == []
    added = [event.item for event in events if event.type == "response.output_item.added"]
    assert [item.status for item in added] == ["in_progress", "in_progress"]


def test_the_stream_and_the_whole_response_are_the_same():
    output = REASONING + write_call("get_weather", '{"city":"Nantes"}')
    with serve_openai(make_raw_engine(output, output)) as client:
        whole = client.responses.create(model=MODEL, input="Weather in Nantes?", tools=[WEATHER])
        streamed = stream_events(client, tools=[WEATHER])[-1].response
    for response in (whole, streamed):
        for item in response.output:
            item.id = ""
            if item.type == "function_call":
                item.call_id = ""
    assert whole.output == streamed.output
    assert whole.usage == streamed.usage


def test_a_summary_that_a_client_asks_for_is_the_reasoning():
    with serve_openai(make_raw_engine(REASONING + FINAL)) as client:
        events = stream_events(client, reasoning={"summary": "auto"})
    assert name_events(events)[2:8] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    reasoning = events[-1].response.output[0]
    assert (reasoning.summary[0].text, reasoning.content) == ("Let me see.", None)


def test_the_clients_stream_helper_gives_text_and_response():
    with (
        serve_openai(make_raw_engine(REASONING + FINAL)) as client,
        client.responses.stream(model=MODEL, input="Weather?") as stream,
    ):
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        response = stream.get_final_response()
    assert text == response.output_text == "It rains in Nantes."


async def test_the_async_client_streams():
    with run_server(make_app(make_chatbot(make_raw_engine(FINAL)))) as address:
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
            stream = await client.responses.create(model=MODEL, input="Weather?", stream=True)
            events = [event async for event in stream]
    assert events[-1].response.output_text == "It rains in Nantes."


def test_a_tool_loop_keeps_reasoning_and_results():
    engine = make_raw_engine(
        REASONING + write_call("get_weather", '{"city":"Nantes"}'),
        "<|channel|>analysis<|message|>And the time.<|end|><|start|>assistant"
        + write_call("get_time", '{"city":"Nantes"}'),
        FINAL,
    )
    history: list[Any] = [{"role": "user", "content": "Weather and time in Nantes?"}]
    with serve_openai(engine) as client:
        for result in ("rain", "noon"):
            response = client.responses.create(model=MODEL, input=history, tools=[WEATHER, TIME])
            assert [item.type for item in response.output] == ["reasoning", "function_call"]
            call = response.output[1]
            assert json.loads(call.arguments) == {"city": "Nantes"}
            history += [item.to_dict() for item in response.output]
            history.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
        last = client.responses.create(model=MODEL, input=history, tools=[WEATHER, TIME])
    assert last.output_text == "It rains in Nantes."
    prompt = read_prompt(engine)
    places = [prompt.index(part) for part in ("Let me see.", "rain<|end|>", "And the time.", "noon<|end|>")]
    assert places == sorted(places)


@pytest.mark.parametrize("between", ["", REASONING])
def test_several_calls_in_one_answer_are_items_of_their_own(between):
    first_call = write_call("get_weather", '{"city":"Nantes"}', "<|end|><|start|>assistant")
    output = REASONING + first_call + between + write_call("get_time", '{"city":"Brest"}')
    with serve_openai(make_raw_engine(output)) as client:
        events = stream_events(client, tools=[WEATHER, TIME])
    calls = [item for item in events[-1].response.output if item.type == "function_call"]
    expected = [("get_weather", '{"city":"Nantes"}'), ("get_time", '{"city":"Brest"}')]
    assert [(call.name, call.arguments) for call in calls] == expected
    assert len({call.call_id for call in calls}) == len({call.id for call in calls}) == len(calls)
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert [(event.name, event.arguments) for event in done] == [(call.name, call.arguments) for call in calls]
    for call in calls:
        deltas = [e for e in events if e.type == "response.function_call_arguments.delta" and e.item_id == call.id]
        assert "".join(event.delta for event in deltas) == call.arguments
        assert len({event.output_index for event in deltas}) == 1


@pytest.mark.parametrize(
    ("name", "arguments"), [("get_tides", '{"city":"Nantes"}'), ("get_weather", '{"city":'), ("get_weather", "Nantes")]
)
def test_a_call_of_another_tool_is_delivered_as_written(name, arguments):
    output = REASONING + write_call(name, arguments)
    with serve_openai(make_raw_engine(output, output, FINAL)) as client:
        events = stream_events(client, tools=[WEATHER])
        whole = client.responses.create(model=MODEL, input="Weather?", tools=[WEATHER])
        for response in (events[-1].response, whole):
            call = response.output[-1]
            assert (call.type, call.name, call.arguments) == ("function_call", name, arguments)
            assert response.status == "completed"
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "There is no such tool."}
        last = client.responses.create(model=MODEL, input=[result], previous_response_id=whole.id, tools=[WEATHER])
    assert last.output_text == "It rains in Nantes."


def test_a_call_that_is_cut_off_is_incomplete():
    output = write_call("get_weather", '{"city": "Nantes and all the other cities of the west"}')
    with serve_openai(make_raw_engine(output)) as client:
        events = stream_events(client, tools=[WEATHER], max_output_tokens=15)
    response = events[-1].response
    assert events[-1].type == "response.incomplete"
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert [item.status for item in response.output] == ["incomplete"]


@pytest.mark.parametrize("limit", [4, 6, 12])
def test_an_answer_that_is_cut_off_is_incomplete(limit):
    with serve_openai(make_raw_engine(REASONING + FINAL)) as client:
        response = client.responses.create(model=MODEL, input="Weather?", max_output_tokens=limit)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert response.output[-1].status == "incomplete"
    assert response.usage.output_tokens == limit


class Price(BaseModel):
    """A price."""

    euros: float


def test_structured_output_is_parsed_by_the_client():
    engine = make_raw_engine('<|channel|>final<|message|>{"euros": 12.9}<|return|>')
    with serve_openai(engine) as client:
        response = client.responses.parse(model=MODEL, input="Price?", text_format=Price)
    assert response.output_parsed == Price(euros=12.9)
    assert '"euros"' in engine.requests[0].grammar.lark


def test_any_json_object_can_be_required():
    engine = make_raw_engine('<|channel|>final<|message|>{"a": 1}<|return|>')
    with serve_openai(engine) as client:
        response = client.responses.create(model=MODEL, input="JSON?", text={"format": {"type": "json_object"}})
    assert json.loads(response.output_text) == {"a": 1}
    assert engine.requests[0].grammar is not None


def test_log_probabilities_come_with_the_text():
    with serve_openai(make_raw_engine(FINAL)) as client:
        response = client.responses.create(
            model=MODEL, input="Weather?", include=["message.output_text.logprobs"], top_logprobs=2
        )
    assert response.output[0].content[0].logprobs is not None


@pytest.mark.parametrize(
    ("choice", "is_enforced"),
    [
        ("auto", False),
        ("none", False),
        ("required", True),
        ({"type": "function", "name": "get_weather"}, True),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_weather"}]},
            True,
        ),
    ],
)
def test_tool_choices_are_followed(choice, is_enforced):
    engine = make_raw_engine(write_call("get_weather", '{"city":"Nantes"}') if is_enforced else FINAL)
    with serve_openai(engine) as client:
        response = client.responses.create(model=MODEL, input="Weather?", tools=[WEATHER, TIME], tool_choice=choice)
    assert (engine.requests[0].grammar is not None) == is_enforced
    assert response.output[-1].type == ("function_call" if is_enforced else "message")
    assert response.to_dict()["tool_choice"] == choice


def test_parallel_calls_can_be_switched_off():
    calls = write_call("get_weather", '{"city":"Nantes"}', "<|end|><|start|>assistant") + write_call("get_time", "{}")
    with serve_openai(make_raw_engine(calls)) as client:
        response = client.responses.create(
            model=MODEL, input="Weather?", tools=[WEATHER, TIME], parallel_tool_calls=False
        )
    assert [item.name for item in response.output] == ["get_weather"]


def test_a_stored_response_is_continued_listed_and_deleted():
    engine = make_raw_engine(REASONING + FINAL, FINAL)
    with serve_openai(engine) as client:
        first = client.responses.create(model=MODEL, input="Weather in Nantes?", instructions="Talk like a pirate.")
        second = client.responses.create(model=MODEL, input="And in Brest?", previous_response_id=first.id)
        assert second.previous_response_id == first.id
        assert client.responses.retrieve(first.id) == first
        items = client.responses.input_items.list(second.id)
        assert [item.content[0].text for item in items] == ["And in Brest?"]
        client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError, match="not found"):
            client.responses.retrieve(first.id)
        with pytest.raises(openai.NotFoundError, match="not found"):
            client.responses.delete(first.id)
        with pytest.raises(openai.BadRequestError, match="not found") as raised:
            client.responses.create(model=MODEL, input="And?", previous_response_id=second.id)
    assert raised.value.code == "previous_response_not_found"
    prompt = read_prompt(engine)
    places = [prompt.index(part) for part in ("Weather in Nantes?", "It rains in Nantes.", "And in Brest?")]
    assert places == sorted(places)
    assert "pirate" not in prompt
    assert "Let me see." not in prompt


def test_a_tool_loop_can_use_the_stored_response():
    engine = make_raw_engine(REASONING + write_call("get_weather", '{"city":"Nantes"}'), FINAL)
    with serve_openai(engine) as client:
        first = client.responses.create(model=MODEL, input="Weather?", tools=[WEATHER])
        result = {"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "rain"}
        last = client.responses.create(model=MODEL, input=[result], tools=[WEATHER], previous_response_id=first.id)
    assert last.output_text == "It rains in Nantes."
    prompt = read_prompt(engine)
    assert "Let me see." in prompt
    assert "rain<|end|>" in prompt


def test_a_reference_stands_for_a_stored_item():
    engine = make_raw_engine(FINAL, FINAL)
    with serve_openai(engine) as client:
        first = client.responses.create(model=MODEL, input="Weather in Nantes?")
        question = next(iter(client.responses.input_items.list(first.id)))
        references: list[Any] = [{"type": "item_reference", "id": question.id}, {"id": first.output[0].id}]
        client.responses.create(model=MODEL, input=[*references, {"role": "user", "content": "And in Brest?"}])
        with pytest.raises(openai.NotFoundError, match="not found"):
            client.responses.create(model=MODEL, input=[{"type": "item_reference", "id": "msg_1"}])
    prompt = read_prompt(engine)
    places = [prompt.index(part) for part in ("Weather in Nantes?", "It rains in Nantes.", "And in Brest?")]
    assert places == sorted(places)


def test_nothing_is_stored_if_the_client_says_so():
    with serve_openai(make_raw_engine(FINAL)) as client:
        response = client.responses.create(model=MODEL, input="Weather?", store=False)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(response.id)
    assert response.store is False


def test_input_items_come_in_pages():
    items: list[Any] = [{"role": "user", "content": text} for text in ("one", "two", "three")]
    with serve_openai(make_raw_engine(FINAL)) as client:
        response = client.responses.create(model=MODEL, input=items)
        page = client.responses.input_items.list(response.id, order="asc", limit=2)
        assert [item.content[0].text for item in page.data] == ["one", "two"]
        assert page.has_more
        assert [item.content[0].text for item in page] == ["one", "two", "three"]
        newest = client.responses.input_items.list(response.id)
        assert [item.content[0].text for item in newest] == ["three", "two", "one"]
        for wrong in ({"limit": 0}, {"limit": 101}, {"limit": "ten"}, {"order": "up"}, {"after": "msg_1"}):
            with pytest.raises(openai.BadRequestError) as raised:
                client.responses.input_items.list(response.id, **wrong)
            assert raised.value.param in wrong
        with pytest.raises(openai.BadRequestError, match="cannot be streamed again"):
            client.responses.retrieve(response.id, stream=True)


def test_stored_responses_survive_a_restart_in_the_file_of_the_sessions(tmp_path):
    file, engine = tmp_path / "sessions.sqlite", make_raw_engine(FINAL, FINAL)
    with serve_openai(engine, sessions=str(file)) as client:
        first = client.responses.create(model=MODEL, input="Weather in Nantes?")
    with serve_openai(engine, sessions=str(file)) as client:
        assert client.responses.retrieve(first.id) == first
        client.responses.create(model=MODEL, input="And in Brest?", previous_response_id=first.id)
    assert "Weather in Nantes?" in read_prompt(engine)


@pytest.mark.parametrize("is_file", [False, True])
def test_each_caller_sees_only_its_own_responses(tmp_path, is_file):
    secrets = [add_key(tmp_path / "keys.toml", name) for name in ("shop", "bank")]
    settings = ServerSettings(keys=Keys.load(tmp_path / "keys.toml"))
    sessions = str(tmp_path / "sessions.sqlite") if is_file else None
    engine = make_raw_engine(FINAL, FINAL)
    chatbot = make_chatbot(engine, sessions=sessions)
    with run_server(make_app(chatbot, settings=settings)) as address:
        clients = [openai.OpenAI(base_url=f"{address}/v1", api_key=secret, max_retries=0) for secret in secrets]
        user = {"X-GptOss-User": "ann"}
        own = clients[0].responses.create(model=MODEL, input="Weather?")
        others = [(clients[1], {}), (clients[0], user)]
        for client, headers in others:
            for action in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
                with pytest.raises(openai.NotFoundError):
                    action(own.id, extra_headers=headers)
            with pytest.raises(openai.BadRequestError, match="not found"):
                client.responses.create(model=MODEL, input="?", previous_response_id=own.id, extra_headers=headers)
            with pytest.raises(openai.NotFoundError):
                client.responses.create(model=MODEL, input=[{"id": own.output[0].id}], extra_headers=headers)
        assert clients[0].responses.retrieve(own.id) == own
    assert len(engine.requests) == 1


def test_the_chatbot_answers_with_annotations_and_its_own_fields():
    with serve_openai(make_engine(ANSWER)) as client:
        response = client.responses.create(model="chatbot", input=QUESTION)
    message = response.output[-1]
    assert response.output_text == CITED_ANSWER
    [annotation] = message.content[0].annotations
    assert (annotation.type, annotation.filename, annotation.file_id) == ("file_citation", "0.md", "0.md")
    assert CITED_ANSWER[annotation.index :] == "[1]"
    assert annotation.model_extra == {"number": 1, "quote": TEXTS[0]}
    extra = message.model_extra
    assert extra["citations"][0]["quote"] == TEXTS[0]
    assert extra["sources"][0]["source"] == "0.md"
    assert extra["abstained"] is False
    assert response.usage.total_tokens > 0


def test_the_chatbot_streams_words_then_annotations():
    with serve_openai(make_engine(ANSWER)) as client:
        events = stream_events(client, model="chatbot", input=QUESTION)
    assert name_events(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == CITED_ANSWER


def test_the_chatbot_continues_a_stored_response_and_ignores_instructions():
    engine = make_engine("Yes.", "How much does the express delivery cost?", ANSWER)
    with serve_openai(engine, strict=False) as client:
        first = client.responses.create(model=MODEL, input="Is there an express delivery?")
        client.responses.create(
            model="chatbot",
            input="And how much does it cost?",
            previous_response_id=first.id,
            instructions="Be a pirate.",
        )
    prompts = "".join(read_prompt(engine, call) for call in range(1, len(engine.requests)))
    assert "Is there an express delivery?" in prompts
    assert "pirate" not in prompts


REFUSED = [
    ({"input": []}, "input must be a text or a list"),
    ({"input": " "}, "The question is empty"),
    ({"input": [5]}, r"input\[0\] is not an object"),
    ({"input": [{"role": "king", "content": "a"}]}, r"input\[0\].role is 'king'"),
    ({"input": [{"type": "web_search_call", "id": "a"}]}, r"input\[0\].type is 'web_search_call'"),
    ({"input": [{"role": "user", "content": 5}]}, r"input\[0\].content must be"),
    ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "a"}]}]}, "'input_image'"),
    ({"input": [{"type": "function_call_output", "call_id": "a", "output": "b"}]}, "No tool call found"),
    ({"input": [{"type": "function_call", "call_id": "a"}]}, r"input\[0\].name is None"),
    ({"tools": [{"type": "web_search"}]}, r"'tools\[0\].type': 'web_search'"),
    ({"tools": [WEATHER, {"type": "file_search", "vector_store_ids": ["a"]}]}, r"'tools\[1\].type': 'file_search'"),
    ({"tools": [{"type": "code_interpreter", "container": "a"}]}, "'code_interpreter'"),
    ({"tools": [{"type": "computer_use_preview"}]}, "'computer_use_preview'"),
    ({"tools": [{"type": "mcp", "server_label": "a"}]}, "'mcp'"),
    ({"tools": [{"type": "custom", "name": "a"}]}, "'custom'"),
    ({"tools": [{"type": "function", "function": {"name": "a"}}]}, r"Missing required parameter: 'tools\[0\].name'"),
    ({"tools": [WEATHER], "tool_choice": "king"}, "'king'"),
    ({"tools": [WEATHER], "tool_choice": {"type": "web_search"}}, "tool_choice"),
    ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "b"}}, "'b' is not among the offered tools"),
    ({"tool_choice": "required"}, "the request offers no tools"),
    ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
    ({"reasoning": {"effort": "extreme"}}, "reasoning.effort"),
    ({"temperature": 3}, "temperature"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"metadata": {str(number): "a" for number in range(17)}}, "metadata"),
    ({"background": True}, "background is not supported"),
    ({"conversation": "conv_1"}, "conversation is not supported"),
    ({"prompt": {"id": "a"}}, "prompt is not supported"),
    ({"previous_response_id": "resp_1"}, "Previous response with id 'resp_1' not found"),
    ({"model": "chatbot", "tools": [WEATHER]}, "The chatbot does not support tools"),
    ({"model": "chatbot", "text": {"format": {"type": "json_object"}}}, "The chatbot does not support text.format"),
    ({"model": "chatbot", "input": [{"role": "assistant", "content": "a"}]}, "The last item must be the question"),
]


@pytest.fixture(scope="module")
def idle_client() -> Iterator[openai.OpenAI]:
    """A client of a server whose model must not be used."""
    engine = make_engine()
    with serve_openai(engine) as client:
        yield client
    assert engine.requests == []


@pytest.mark.parametrize(("change", "part"), REFUSED, ids=[part for _, part in REFUSED])
@pytest.mark.parametrize("stream", [False, True])
def test_an_invalid_request_gets_an_openai_error(idle_client, change, part, stream):
    body = {"model": "chatbot" if part == "The question is empty" else MODEL, "input": "Hello", "stream": stream}
    with pytest.raises(openai.BadRequestError, match=part) as raised:
        idle_client.responses.create(**body | change)
    assert raised.value.type == "invalid_request_error"


def test_an_unknown_model_is_not_found(idle_client):
    with pytest.raises(openai.NotFoundError) as raised:
        idle_client.responses.create(model="gpt-9", input="Hello")
    assert raised.value.code == "model_not_found"


@pytest.mark.parametrize("content", [b"{", b"", b"null", b'{"model": "gpt-oss-20b", "input": "a \\ud800 b"}'])
def test_an_invalid_body_gets_an_openai_error(idle_client, content):
    answer = httpx.post(f"{idle_client.base_url}responses", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("stream", [False, True])
def test_fields_without_an_effect_are_named_in_a_header(stream):
    fields = {"colour": "red", "text": {"verbosity": "low", "mood": "good"}, "truncation": "auto", "n": 2}
    with serve_openai(make_raw_engine(FINAL)) as client:
        body = {"model": MODEL, "input": "Hello", "stream": stream, **fields}
        answer = httpx.post(f"{client.base_url}responses", json=body)
    assert answer.status_code == 200
    names = answer.headers["X-Ignored-Fields"].split(", ")
    assert sorted(names) == ["colour", "n", "text.mood", "text.verbosity", "truncation"]


def test_the_other_sampling_fields_reach_the_engine():
    engine = make_raw_engine(FINAL)
    fields = {"seed": 7, "top_k": 5, "min_p": 0.1, "frequency_penalty": 0.5, "logit_bias": {"5": -1}}
    with serve_openai(engine) as client:
        client.responses.create(model=MODEL, input="Hello", extra_body=fields)
    sampling = engine.requests[0].sampling
    assert (sampling.seed, sampling.top_k, sampling.min_p, sampling.frequency_penalty) == (7, 5, 0.1, 0.5)


def test_reasoning_returns_in_the_field_that_a_client_cannot_read():
    engine = make_raw_engine(REASONING + write_call("get_weather", "{}"), FINAL)
    with serve_openai(engine) as client:
        first = client.responses.create(
            model=MODEL, input="Weather?", tools=[WEATHER], store=False, include=["reasoning.encrypted_content"]
        )
        reasoning, call = first.output
        packed: Any = {"type": "reasoning", "summary": [], "encrypted_content": reasoning.encrypted_content}
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
        history = [{"role": "user", "content": "Weather?"}, packed, call.to_dict(), result]
        client.responses.create(model=MODEL, input=history, tools=[WEATHER])
    assert "Let me see.<|end|>" in read_prompt(engine)


@pytest.mark.parametrize("path", ["messages", "conversations", "responses/resp_1/cancel"])
def test_the_routes_that_are_missing_are_not_found(idle_client, path):
    answer = httpx.post(f"{idle_client.base_url}{path}", json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_null_means_the_default_in_every_field():
    names = "instructions previous_response_id store stream temperature top_p max_output_tokens top_logprobs include "
    names += "reasoning text tools tool_choice parallel_tool_calls metadata user truncation background conversation"
    with serve_openai(make_raw_engine(FINAL)) as client:
        nulls = dict.fromkeys(names.split())
        answer = httpx.post(f"{client.base_url}responses", json={"model": MODEL, "input": "Hello", **nulls})
    assert answer.json()["status"] == "completed"


def test_a_conversation_longer_than_the_context_has_openais_code():
    with (
        serve_openai(make_engine(ANSWER, context_length=200)) as client,
        pytest.raises(openai.BadRequestError, match="context") as raised,
    ):
        client.responses.create(model=MODEL, input=f"{QUESTION} " * 40, stream=True)
    assert raised.value.code == "context_length_exceeded"


def test_an_error_in_the_middle_ends_the_stream_with_a_failed_response():
    with serve_openai(BreakingEngine([encode_answer("one two three four five six seven eight nine")])) as client:
        events = stream_events(client)
        failed = events[-1].response
        assert events[-1].type == "response.failed"
        assert (failed.status, failed.error.code) == ("failed", "server_error")
        assert "secret" not in failed.error.message
        assert failed.output[0].status == "incomplete"
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(failed.id)


def test_an_error_of_a_whole_response_hides_its_reason():
    with (
        serve_openai(BreakingEngine([encode_answer("one two three four five six seven eight nine")])) as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        client.responses.create(model=MODEL, input="Hello")
    assert "secret" not in raised.value.message


@pytest.mark.parametrize("stream", [False, True])
def test_the_model_stops_when_the_client_disconnects(stream):
    engine = SlowEngine([LONG_ANSWER])
    with run_server(make_app(make_chatbot(engine))) as address, connect(address) as client:
        post_and_disconnect(client, "/v1/responses", {"model": MODEL, "input": "Hello", "stream": stream}, engine)
        assert engine.ended.wait(60)
        assert engine.steps < 2000
        wait_until(lambda: read_metric(client, "gptoss_answering") == 0)
