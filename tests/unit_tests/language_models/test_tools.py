"""Tools of ChatGptOss, on harmony as gpt-oss writes it."""

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage

from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.scripted_models import (
    PREAMBLE,
    REASONING,
    build_chat_model,
    get_time,
    get_weather,
    read_prompt,
    write_answer,
    write_call,
)


def test_agent_calls_a_tool_and_answers():
    llm = build_chat_model(
        write_call("get_weather", '{"city":"Nantes"}'),
        write_call("get_time", '{"city":"Nantes"}'),
        write_answer("It rains at noon."),
    )
    agent = create_agent(llm, [get_weather, get_time])
    messages = agent.invoke({"messages": [HumanMessage("Weather and time in Nantes?")]})["messages"]
    kinds = [message.type for message in messages]
    assert kinds == ["human", "ai", "tool", "ai", "tool", "ai"]
    assert messages[-1].content == "It rains at noon."
    # The last prompt contains the whole loop, reasoning included.
    assert read_prompt(llm, 2).count("<|channel|>analysis<|message|>Let me see.") == 2
    assert "<|start|>functions.get_weather to=assistant<|channel|>commentary<|message|>It rains in Nantes.<|end|>" in (
        read_prompt(llm, 2)
    )


async def test_agent_streams_its_answer():
    llm = build_chat_model(write_call("get_weather", '{"city":"Nantes"}'), write_answer("It rains."))
    agent = create_agent(llm, [get_weather])
    texts = [
        chunk.text
        async for chunk, _ in agent.astream({"messages": [HumanMessage("Weather?")]}, stream_mode="messages")
        if chunk.type == "AIMessageChunk"
    ]
    assert "".join(texts) == "It rains."


def test_calls_are_streamed_in_pieces():
    chunks = list(
        build_chat_model(write_call("get_weather", '{"city":"Nantes"}')).bind_tools([get_weather]).stream("Weather?")
    )
    pieces = [piece for chunk in chunks for piece in chunk.tool_call_chunks]
    assert pieces[0]["name"] == "get_weather"
    assert pieces[0]["id"].startswith("call_")
    assert len(pieces) > 3
    assert "".join(piece["args"] for piece in pieces) == '{"city":"Nantes"}'
    assert all(piece["index"] >= 2 for piece in pieces)  # 0 and 1 are reasoning and text under v1


def test_one_answer_may_have_two_calls():
    both = (
        write_call("get_weather", '{"city":"Nantes"}', "<|end|>") + "<|start|>assistant" + write_call("get_time", "{}")
    )
    message = build_chat_model(both).bind_tools([get_weather, get_time]).invoke("Both?")
    assert [call["name"] for call in message.tool_calls] == ["get_weather", "get_time"]
    assert len({call["id"] for call in message.tool_calls}) == 2


TWO_CALLS = (
    f"{REASONING}{PREAMBLE}{write_call('get_weather', '{}', '<|end|>')}<|start|>assistant{write_call('get_time', '{}')}"
)


def test_parallel_calls_can_be_forbidden():
    message = build_chat_model(TWO_CALLS).bind_tools([get_weather, get_time], parallel_tool_calls=False).invoke("x")
    assert [call["name"] for call in message.tool_calls] == ["get_weather"]
    assert message.response_metadata["finish_reason"] == "tool_calls"


def build_tool(name: str, **parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", **parameters}}}


@pytest.mark.parametrize("name", ["get.weather", "get-weather", "a:b", "a/b", "wetter_für", "天気", "get weather"])
def test_tools_with_unusual_names_are_called(name):
    others = [build_tool("a"), build_tool("get")]
    message = build_chat_model(write_call(name, "{}")).bind_tools([*others, build_tool(name)]).invoke("x")
    assert [call["name"] for call in message.tool_calls] == [name]


@pytest.mark.parametrize("name", ["get_weather:evil", "get_weather/evil", "get_weather.evil"])
def test_name_that_extends_a_tool_name_calls_nothing(name):
    assert not build_chat_model(write_call(name, "{}")).bind_tools([get_weather]).invoke("x").tool_calls


def test_header_without_its_channel_token_is_not_text():
    written = f"commentary to=assistant<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant{write_answer('A')}"
    message = build_chat_model(written).invoke("x")
    assert message.content == "A"
    assert message.additional_kwargs["reasoning_content"] == "Hm.\n\nLet me see."


@pytest.mark.parametrize("arguments", ['{"city":"Na', "Nantes", "[1]", '{"city": Nantes}'])
def test_arguments_that_are_not_an_object_become_invalid_calls(arguments):
    message = build_chat_model(write_call("get_weather", arguments)).bind_tools([get_weather]).invoke("Weather?")
    assert message.tool_calls == []
    (invalid,) = message.invalid_tool_calls
    assert (invalid["name"], invalid["args"]) == ("get_weather", arguments)


def test_v1_content_blocks_are_in_order():
    text = f"{REASONING}<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"
    llm = build_chat_model(text + write_call("get_weather", '{"city":"N"}'), output_version="v1")
    message = llm.bind_tools([get_weather]).invoke("Weather?")
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text", "tool_call"]
    assert message.tool_calls[0]["args"] == {"city": "N"}


def test_reasoning_between_calls_is_separate_in_v1_blocks():
    chunks = list(build_chat_model(TWO_CALLS, output_version="v1").bind_tools([get_weather, get_time]).stream("x"))
    message = chunks[0]
    for chunk in chunks[1:]:
        message += chunk
    assert [block["type"] for block in message.content_blocks] == [
        "reasoning", "text", "reasoning", "tool_call", "reasoning", "tool_call",
    ]  # fmt: skip
    assert "args" not in message.content_blocks[2]


PAYMENTS: list[str] = []


def pay(recipient: str) -> str:
    """Pays."""
    PAYMENTS.append(recipient)
    return "paid"


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")  # v3 is experimental
@pytest.mark.parametrize("way", ["invoke", "messages", "events", "v3"])
def test_agent_never_makes_a_truncated_call(way):
    PAYMENTS.clear()
    agent = create_agent(build_chat_model(write_call("pay", '{"recipient":"Al', ""), write_answer("x")), [pay])
    question = {"messages": [HumanMessage("Pay Alice")]}

    async def consume_events() -> None:
        async for _ in agent.astream_events(question, version="v2"):
            pass

    if way == "invoke":
        (invalid,) = agent.invoke(question)["messages"][-1].invalid_tool_calls
        assert invalid["args"] == '{"recipient":"Al'
    elif way == "messages":
        list(agent.stream(question, stream_mode="messages"))
    elif way == "v3":
        list(agent.stream_events(question, version="v3"))
    else:
        asyncio.run(consume_events())
    assert PAYMENTS == []


def test_truncated_call_is_marked_in_v1_blocks_and_streams():
    cut = write_call("pay", '{"recipient":"Al', "")
    message = build_chat_model(cut, output_version="v1").bind_tools([pay]).invoke("x")
    assert [block["type"] for block in message.content] == ["reasoning", "invalid_tool_call"]
    last = list(build_chat_model(cut).bind_tools([pay]).stream("x"))[-1]
    (invalid,) = last.response_metadata["invalid_calls"].values()
    assert (invalid["name"], invalid["args"]) == ("pay", '{"recipient":"Al')


@pytest.mark.parametrize(
    ("choice", "instruction"),
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
def test_tool_choice_is_written_and_enforced(choice, instruction):
    llm = build_chat_model(write_answer("x"))
    llm.bind_tools([get_weather, get_time], tool_choice=choice).invoke("Weather?")
    (request,) = llm.engine.requests
    assert (instruction in read_prompt(llm)) if instruction else "Answer this message" not in read_prompt(llm)
    assert (request.grammar is not None) == bool(instruction and instruction.startswith(("functions", "a call")))


ALLOWED_TIME = [
    {"mode": "auto", "tools": [{"type": "function", "function": {"name": "get_time"}}]},
    {"mode": "auto", "tools": [{"type": "function", "name": "get_time"}, "get_time"]},
    {"tools": ["get_time"]},
]


@pytest.mark.parametrize("allowed", ALLOWED_TIME)
@pytest.mark.parametrize("is_flat", [True, False])
@pytest.mark.parametrize("mode", ["auto", "required"])
def test_allowed_tools_limit_the_calls_and_leave_the_prompt(allowed, is_flat, mode):
    allowed = {**allowed, "mode": mode} if mode == "required" else allowed
    choice = {"type": "allowed_tools"} | (allowed if is_flat else {"allowed_tools": allowed})
    llm = build_chat_model(write_call("get_time", "{}"), write_call("get_weather", "{}"))
    bound = llm.bind_tools([get_weather, get_time], tool_choice=choice)
    assert [call["name"] for call in bound.invoke("Time?").tool_calls] == ["get_time"]
    assert bound.invoke("Weather?").tool_calls == []
    assert "type get_weather" in read_prompt(llm)
    assert "type get_time" in read_prompt(llm)
    assert ("a call to functions.get_time." in read_prompt(llm)) == (mode == "required")


@pytest.mark.parametrize(
    ("allowed", "message"),
    [
        ({"mode": "auto", "tools": []}, "it must list one or more tools"),
        ({"mode": "auto", "tools": None}, "it must list one or more tools"),
        ({"mode": "auto", "tools": "get_time"}, "it must list one or more tools"),
        ({"mode": "auto"}, "it must list one or more tools"),
        ({"mode": "never", "tools": ["get_time"]}, "has the mode 'never'; it must be 'auto' or 'required'"),
        ({"mode": ["auto"], "tools": ["get_time"]}, "has the mode"),
        ({"mode": "auto", "tools": ["get_tome"]}, "allowed_tools names 'get_tome'.*Did you mean 'get_time'"),
        ({"mode": "auto", "tools": [{"type": "web_search"}]}, "allowed_tools names 'web_search'"),
        ({"mode": "auto", "tools": [{"type": "function", "function": {}}]}, "allowed_tools names None"),
        ({"mode": "auto", "tools": [5]}, "allowed_tools names 5"),
    ],
)
def test_invalid_allowed_tools_are_rejected(allowed, message):
    llm = build_chat_model()
    for choice in ({"type": "allowed_tools", "allowed_tools": allowed}, {"type": "allowed_tools", **allowed}):
        with pytest.raises(InvalidInputError, match=message):
            llm.bind_tools([get_weather, get_time], tool_choice=choice)


def test_tool_choice_none_allows_no_call():
    message = (
        build_chat_model(write_call("get_weather", "{}"))
        .bind_tools([get_weather], tool_choice="none")
        .invoke("Weather?")
    )
    assert (message.tool_calls, message.content) == ([], "")
    (invalid,) = message.invalid_tool_calls
    assert (
        invalid["error"] == "The tool 'get_weather' may not be called in this answer, because tool_choice excludes it."
    )


@pytest.mark.parametrize("options", [{"strict": True}, {"tool_choice": "any"}])
def test_several_calls_of_one_answer_are_read_under_a_grammar(options):
    between = "<|channel|>analysis<|message|>And the time.<|end|><|start|>assistant"
    first = write_call("get_weather", '{"city":"Nantes"}', "<|end|>") + "<|start|>assistant"
    answer = first + between + write_call("get_time", '{"city":"Nantes"}')
    llm = build_chat_model(answer)
    message = llm.bind_tools([get_weather, get_time], **options).invoke("Weather and time?")
    assert [call["name"] for call in message.tool_calls] == ["get_weather", "get_time"]
    assert message.response_metadata["finish_reason"] == "tool_calls"
    (request,) = llm.engine.requests
    assert request.grammar is not None


def test_token_count_of_messages_includes_tools():
    llm = build_chat_model(write_answer("x"))
    messages = [HumanMessage("Weather?")]
    token_count = llm.get_num_tokens_from_messages(messages, tools=[get_weather])
    assert llm.bind_tools([get_weather]).invoke(messages).usage_metadata["input_tokens"] == token_count
    assert token_count > llm.get_num_tokens_from_messages(messages)


SAME_NAME = {"title": "get_weather", "description": "Other.", "type": "object", "properties": {"x": {"type": "string"}}}


IMPOSSIBLE = {"title": "X", "type": "object", "properties": {"a": {"type": "string", "const": 1}}, "required": ["a"]}


@pytest.mark.filterwarnings("ignore::langchain_gptoss.errors.SchemaWarning")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.bind_tools([get_weather, SAME_NAME]).invoke("x"), "Two tools are called 'get_weather'"),
        (lambda m: m.bind_tools([get_weather], tool_choice="get_wether"), "Did you mean 'get_weather'"),
        (lambda m: m.bind_tools([get_weather], tool_choice=["get_weather"]), "tool_choice is"),
        (lambda m: m.bind_tools([get_weather], tool_choice={"name": ["get_weather"]}), "tool_choice is"),
        (lambda m: m.bind_tools([], tool_choice="any"), "no tools are offered"),
        (lambda m: m.bind_tools([42]), "42 is not a tool"),
        (lambda m: m.with_structured_output(IMPOSSIBLE).invoke("x"), "cannot be constrained to this schema"),
        (lambda m: m.with_structured_output(None), "needs a schema"),
        (lambda m: m.with_structured_output(SAME_NAME, method="jsn"), "method is 'jsn'"),
        (lambda m: m.invoke("x", response_format={"type": "json_schema"}), "response_format is"),
        (lambda m: m.invoke("x", resoning_effort="low"), "Did you mean 'reasoning_effort'"),
        (lambda m: m.invoke("x", temperature="hot"), "temperature is 'hot'; it must be a number"),
        (lambda m: m.invoke("x", max_tokens=1.5), "max_tokens is 1.5; it must be a whole number"),
        (lambda m: m.invoke("x", top_logprobs=50), "logprobs is 50; it must be between 0 and 20"),
        (lambda m: m.invoke([ToolMessage("4", tool_call_id="1")]), "no AI message before it makes that call"),
    ],
)
def test_invalid_input_is_rejected_before_generation(call, message):
    llm = build_chat_model(write_answer("x"))
    with pytest.raises(InvalidInputError, match=message):
        call(llm)
    assert llm.engine.requests == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tools": [{"type": "web_search"}]}, "a tool that its provider runs"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]}, "must be a JSON schema"),
    ],
)
def test_invalid_tools_are_rejected(options, message):
    with pytest.raises(InvalidInputError, match=message):
        build_chat_model(write_answer("x")).invoke("x", **options)


def test_strict_may_be_given_per_call():
    llm = build_chat_model(write_answer("x"), write_answer("x"))
    llm.bind_tools([get_weather]).invoke("x", strict=True)
    llm.invoke("x", response_format={"title": "X", "type": "object"}, strict=False)
    enforced, free = llm.engine.requests
    assert '"city": {"type": "string"}' in enforced.grammar.lark
    assert free.grammar is None


TAGS = {
    "name": "tag",
    "parameters": {
        "type": "object",
        "properties": {"tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}},
        "required": ["tags"],
    },
}


@pytest.mark.filterwarnings("ignore::langchain_gptoss.errors.SchemaWarning")
@pytest.mark.parametrize(("choice", "strict"), [("any", None), ("tag", None), ("auto", True)])
@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_enforced_call_that_violates_the_rest_of_its_schema_is_invalid(choice, strict, way):
    written = '{"tags":["a","a"]}'
    llm = build_chat_model(write_call("tag", written)).bind_tools(
        [TAGS, get_weather], tool_choice=choice, strict=strict
    )
    message = llm.invoke("x") if way == "invoke" else sum_chunks(llm.stream("x"))
    assert message.tool_calls == []
    (invalid,) = message.invalid_tool_calls
    assert (invalid["name"], invalid["args"]) == ("tag", written)
    assert "$.tags: uniqueItems is violated" in invalid["error"]
    assert message.response_metadata["finish_reason"] == "tool_calls"


@pytest.mark.filterwarnings("ignore::langchain_gptoss.errors.SchemaWarning")
@pytest.mark.parametrize(("choice", "strict"), [("auto", None), ("auto", False), ("any", False)])
def test_call_without_enforcement_is_left_to_its_tool(choice, strict):
    llm = build_chat_model(write_call("tag", '{"tags":["a","a"]}')).bind_tools(
        [TAGS], tool_choice=choice, strict=strict
    )
    assert llm.invoke("x").tool_calls[0]["args"] == {"tags": ["a", "a"]}


@pytest.mark.filterwarnings("ignore::langchain_gptoss.errors.SchemaWarning")
def test_enforced_call_that_follows_its_schema_is_made():
    llm = build_chat_model(write_call("tag", '{"tags":["a","b"]}')).bind_tools([TAGS], tool_choice="any")
    assert llm.invoke("x").tool_calls[0]["args"] == {"tags": ["a", "b"]}


def sum_chunks(chunks: Any) -> Any:
    first, *others = chunks
    for chunk in others:
        first += chunk
    return first
