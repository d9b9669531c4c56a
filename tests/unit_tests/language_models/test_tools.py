"""Tools, structured output, reasoning and log-probabilities of ChatGptOss, on harmony as gpt-oss emits it."""

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import ConfigurableField
from openai_harmony import HarmonyEncodingName, load_harmony_encoding
from pydantic import BaseModel

from langchain_gptoss import ChatGptOss
from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.errors import InvalidInputError

ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
THOUGHT = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant"


def get_weather(city: str) -> str:
    """Returns the weather in a city."""
    return f"It rains in {city}."


def get_time(city: str) -> str:
    """Returns the time in a city."""
    return "noon"


def called(name: str, arguments: str, end: str = "<|call|>") -> str:
    return f"{THOUGHT}<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}{end}"


def final(text: str) -> str:
    return f"{THOUGHT}<|channel|>final<|message|>{text}<|return|>"


def model(*completions: str, **options: Any) -> ChatGptOss:
    ids = [ENCODING.encode(text, allowed_special="all") for text in completions]
    return ChatGptOss(model="gpt-oss-20b", engine=ScriptedEngine(ids), **options)


def prompt(llm: ChatGptOss, call: int = 0) -> str:
    return ENCODING.decode(llm.engine.requests[call].prompt_ids)


def test_an_agent_through_a_whole_loop():
    llm = model(
        called("get_weather", '{"city":"Nantes"}'), called("get_time", '{"city":"Nantes"}'), final("It rains at noon.")
    )
    agent = create_agent(llm, [get_weather, get_time])
    messages = agent.invoke({"messages": [HumanMessage("Weather and time in Nantes?")]})["messages"]
    kinds = [message.type for message in messages]
    assert kinds == ["human", "ai", "tool", "ai", "tool", "ai"]
    assert messages[-1].content == "It rains at noon."
    # The whole loop stands in the last prompt, reasoning included.
    assert prompt(llm, 2).count("<|channel|>analysis<|message|>Let me see.") == 2
    assert "<|start|>functions.get_weather<|channel|>commentary to=assistant<|message|>It rains in Nantes.<|end|>" in (
        prompt(llm, 2)
    )


async def test_an_agent_that_streams():
    llm = model(called("get_weather", '{"city":"Nantes"}'), final("It rains."))
    agent = create_agent(llm, [get_weather])
    texts = [
        chunk.text
        async for chunk, _ in agent.astream({"messages": [HumanMessage("Weather?")]}, stream_mode="messages")
        if chunk.type == "AIMessageChunk"
    ]
    assert "".join(texts) == "It rains."


def test_streamed_calls_come_in_pieces():
    chunks = list(model(called("get_weather", '{"city":"Nantes"}')).bind_tools([get_weather]).stream("Weather?"))
    pieces = [piece for chunk in chunks for piece in chunk.tool_call_chunks]
    assert pieces[0]["name"] == "get_weather"
    assert pieces[0]["id"].startswith("call_")
    assert len(pieces) > 3
    assert "".join(piece["args"] for piece in pieces) == '{"city":"Nantes"}'
    assert all(piece["index"] >= 2 for piece in pieces)  # 0 and 1 are reasoning and text under v1


def test_two_calls_in_one_answer():
    both = called("get_weather", '{"city":"Nantes"}', "<|end|>") + "<|start|>assistant" + called("get_time", "{}")
    message = model(both).bind_tools([get_weather, get_time]).invoke("Both?")
    assert [call["name"] for call in message.tool_calls] == ["get_weather", "get_time"]
    assert len({call["id"] for call in message.tool_calls}) == 2


@pytest.mark.parametrize("arguments", ['{"city":"Na', "Nantes", "[1]", '{"city": Nantes}'])
def test_arguments_that_are_no_object_are_invalid_calls(arguments):
    message = model(called("get_weather", arguments)).bind_tools([get_weather]).invoke("Weather?")
    assert message.tool_calls == []
    (invalid,) = message.invalid_tool_calls
    assert (invalid["name"], invalid["args"]) == ("get_weather", arguments)


def test_v1_content_blocks():
    text = f"{THOUGHT}<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"
    llm = model(text + called("get_weather", '{"city":"N"}'), output_version="v1")
    message = llm.bind_tools([get_weather]).invoke("Weather?")
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text", "tool_call"]
    assert message.tool_calls[0]["args"] == {"city": "N"}


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (None, None),
        ("auto", None),
        ("any", "functions.get_weather or functions.get_time"),
        ("required", "functions.get_weather or functions.get_time"),
        (True, "functions.get_weather or functions.get_time"),
        ("get_time", "a call to functions.get_time."),
        ({"type": "function", "function": {"name": "get_time"}}, "a call to functions.get_time."),
        ("none", "without calling a function"),
        (False, "without calling a function"),
    ],
)
def test_tool_choice(choice, told):
    llm = model(final("x"))
    llm.bind_tools([get_weather, get_time], tool_choice=choice).invoke("Weather?")
    (request,) = llm.engine.requests
    assert (told in prompt(llm)) if told else "Answer this message" not in prompt(llm)
    assert (request.grammar is not None) == bool(told and told.startswith(("functions", "a call")))


def test_no_call_where_none_is_allowed():
    message = model(called("get_weather", "{}")).bind_tools([get_weather], tool_choice="none").invoke("Weather?")
    assert message.tool_calls == []
    assert message.content == "{}"


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_include_raw(method):
    class City(BaseModel):
        name: str

    answers = {"function_calling": called("City", '{"name":"Nantes"}')}
    llm = model(answers.get(method, final('{"name":"Nantes"}'))).with_structured_output(
        City, method=method, include_raw=True
    )
    result = llm.invoke("Which city?")
    assert result["parsed"] == City(name="Nantes")
    assert result["raw"].additional_kwargs["reasoning_content"] == "Let me see."
    assert result["parsing_error"] is None
    broken = model(final("no JSON")).with_structured_output(City, include_raw=True).invoke("Which city?")
    assert broken["parsed"] is None
    assert broken["parsing_error"] is not None


def test_not_held_without_strict():
    llm = model(final("{}"), final("{}"))
    llm.with_structured_output({"title": "X", "type": "object"}, strict=False).invoke("x")
    llm.with_structured_output({"title": "X", "type": "object"}).invoke("x")
    free, held = llm.engine.requests
    assert free.grammar is None
    assert held.grammar is not None


def test_reasoning_can_be_left_out():
    llm = model(final("Hi"), final("Hi"), include_reasoning=False)
    message = llm.invoke("Hello")
    assert "reasoning_content" not in message.additional_kwargs
    assert message.usage_metadata["output_token_details"]["reasoning"] > 0
    assert llm.bind(include_reasoning=True).invoke("Hello").additional_kwargs["reasoning_content"] == "Let me see."


def test_configurable_fields_and_bind():
    llm = model(final("a"), final("b")).configurable_fields(reasoning_effort=ConfigurableField(id="effort"))
    llm.with_config(configurable={"effort": "high"}).invoke("x")
    engine = llm.default.engine
    assert "Reasoning: high" in ENCODING.decode(engine.requests[0].prompt_ids)
    (llm.default.bind(reasoning_effort="low", temperature=0.1) | StrOutputParser()).invoke("x")
    assert "Reasoning: low" in ENCODING.decode(engine.requests[1].prompt_ids)
    assert engine.requests[1].sampling.temperature == 0.1


def test_langchain_s_cache_and_rate_limiter():
    llm = model(final("Hi"), cache=InMemoryCache(), rate_limiter=InMemoryRateLimiter(requests_per_second=1000))
    assert llm.invoke("Hello").content == llm.invoke("Hello").content == "Hi"
    assert len(llm.engine.requests) == 1


def test_exact_counting_of_messages_with_tools():
    llm = model(final("x"))
    messages = [HumanMessage("Weather?")]
    counted = llm.get_num_tokens_from_messages(messages, tools=[get_weather])
    assert llm.bind_tools([get_weather]).invoke(messages).usage_metadata["input_tokens"] == counted
    assert counted > llm.get_num_tokens_from_messages(messages)


def test_the_profile():
    profile = ChatGptOss(model="gpt-oss-20b").profile
    assert profile["max_input_tokens"] == 131_072
    assert profile["tool_calling"]
    assert profile["reasoning_output"]
    assert not profile["image_inputs"]


SAME = {"title": "get_weather", "description": "Other.", "type": "object", "properties": {"x": {"type": "string"}}}
NEGATED = {"title": "X", "type": "object", "properties": {"a": {"not": {"type": "string"}}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.bind_tools([get_weather, SAME]).invoke("x"), "Two tools are called 'get_weather'"),
        (lambda m: m.bind_tools([get_weather], tool_choice="get_wether"), "Did you mean 'get_weather'"),
        (lambda m: m.bind_tools([], tool_choice="any"), "no tools are offered"),
        (lambda m: m.bind_tools([42]), "42 is not a tool"),
        (lambda m: m.with_structured_output(NEGATED).invoke("x"), "cannot be held to this schema"),
        (lambda m: m.with_structured_output(None), "needs a schema"),
        (lambda m: m.with_structured_output(SAME, method="jsn"), "method is 'jsn'"),
        (lambda m: m.invoke("x", response_format={"type": "json_schema"}), "response_format is"),
        (lambda m: m.invoke("x", resoning_effort="low"), "Did you mean 'reasoning_effort'"),
        (lambda m: m.invoke("x", temperature="hot"), "temperature is 'hot'; it must be a number"),
        (lambda m: m.invoke("x", max_tokens=1.5), "max_tokens is 1.5; it must be a whole number"),
        (lambda m: m.invoke("x", top_logprobs=50), "logprobs is 50; it must be between 0 and 20"),
        (lambda m: m.invoke([ToolMessage("4", tool_call_id="1")]), "no AI message before it makes that call"),
    ],
)
def test_bad_input_is_refused_before_anything_is_generated(call, message):
    llm = model(final("x"))
    with pytest.raises(InvalidInputError, match=message):
        call(llm)
    assert llm.engine.requests == []


def test_an_unknown_argument_of_the_constructor_is_named():
    with pytest.raises(ValueError, match=r"Unknown argument 'temprature'. Did you mean 'temperature'"):
        ChatGptOss(model="gpt-oss-20b", temprature=1)


def test_tool_results_with_blocks_and_invalid_calls_in_the_history():
    broken = {"name": "get_time", "args": "{oops", "id": "2", "error": None, "type": "invalid_tool_call"}
    ai = AIMessage("", tool_calls=[{"name": "get_weather", "args": {}, "id": "1"}], invalid_tool_calls=[broken])
    results = [ToolMessage([{"type": "text", "text": "rain"}], tool_call_id="1"), ToolMessage("?", tool_call_id="2")]
    llm = model(final("x"))
    llm.bind_tools([get_weather, get_time]).invoke([HumanMessage("Both?"), ai, *results])
    assert "to=functions.get_time <|constrain|>json<|message|>{oops<|call|>" in prompt(llm)
    assert "<|message|>rain<|end|>" in prompt(llm)


def test_json_arguments_are_not_encoded_twice():
    llm = model(final("x"))
    ai = AIMessage("", tool_calls=[{"name": "get_weather", "args": {"city": "Ny-Ålesund"}, "id": "1"}])
    llm.bind_tools([get_weather]).invoke([HumanMessage("x"), ai, ToolMessage("cold", tool_call_id="1")])
    assert json.dumps({"city": "Ny-Ålesund"}, ensure_ascii=False, separators=(",", ":")) in prompt(llm)
