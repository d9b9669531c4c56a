"""ChatGptOss: its LangChain methods, message metadata, callbacks and tracing."""

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    trim_messages,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import ConfigurableField

from langchain_gptoss import ChatGptOss
from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.errors import ContextLengthError, GptOssError, InvalidInputError
from tests.unit_tests.scripted_models import (
    ENCODING,
    build_chat_model,
    build_engine,
    encode,
    read_prompt,
    write_answer,
    write_final,
)

ANSWER = write_answer("Hello there, friend!")


def check_answer(message: AIMessage) -> None:
    assert message.content == "Hello there, friend!"
    assert message.additional_kwargs["reasoning_content"] == "Let me see."
    assert message.response_metadata == {
        "finish_reason": "stop",
        "model_name": "gpt-oss-20b",
        "model_provider": "gptoss",
    }
    usage = message.usage_metadata
    assert usage["output_tokens"] == len(encode(ANSWER))
    assert usage["output_token_details"] == {"reasoning": len(encode("Let me see."))}
    assert usage["input_tokens"] > 10
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def check_chunks(chunks: list[AIMessageChunk]) -> None:
    assert [chunk.content for chunk in chunks if chunk.content] == ["Hello", " there", ",", " friend", "!"]
    assert sum(chunk.usage_metadata is not None for chunk in chunks) == 1
    assert [chunk.chunk_position for chunk in chunks].index("last") == len(chunks) - 1
    message = chunks[0]
    for chunk in chunks[1:]:
        message += chunk
    check_answer(message)


def test_invoke():
    llm = build_chat_model(ANSWER)
    message = llm.invoke("Hello")
    check_answer(message)
    (request,) = llm.engine.requests
    assert request.prompt_ids == tuple(llm.format.render([HumanMessage("Hello")]))
    assert message.usage_metadata["input_tokens"] == len(request.prompt_ids)
    assert request.stop_ids == llm.format.stop_ids


async def test_ainvoke():
    check_answer(await build_chat_model(ANSWER).ainvoke("Hello"))


def test_stream():
    check_chunks(list(build_chat_model(ANSWER).stream("Hello")))


async def test_astream():
    check_chunks([chunk async for chunk in build_chat_model(ANSWER).astream("Hello")])


def test_batch():
    llm = build_chat_model(*(write_final(str(n)) for n in range(20)))
    answers = llm.batch([f"Question {n}" for n in range(20)])
    assert sorted(int(answer.content) for answer in answers) == list(range(20))


async def test_abatch():
    llm = build_chat_model(*(write_final(str(n)) for n in range(20)))
    answers = await llm.abatch(["Question"] * 20)
    assert sorted(int(answer.content) for answer in answers) == list(range(20))


def test_model_runs_in_a_chain():
    prompt = ChatPromptTemplate.from_messages([("system", "Speak {language}."), ("human", "{question}")])
    check_answer((prompt | build_chat_model(ANSWER)).invoke({"language": "French", "question": "Hello"}))


def test_messages_reach_the_prompt():
    llm = build_chat_model(ANSWER)
    llm.invoke([SystemMessage("Be brief."), HumanMessage("Hello"), AIMessage("Hi."), HumanMessage("And?")])
    assert "# Instructions\n\nBe brief." in read_prompt(llm)
    assert read_prompt(llm).endswith("<|message|>Hi.<|end|><|start|>user<|message|>And?<|end|><|start|>assistant")


@pytest.mark.parametrize(
    ("constructor_effort", "call_effort", "expected"),
    [(None, None, "medium"), ("high", None, "high"), ("high", "low", "low")],
)
def test_reasoning_effort_reaches_the_prompt(constructor_effort, call_effort, expected):
    llm = build_chat_model(ANSWER, reasoning_effort=constructor_effort)
    llm.invoke("Hello", **({"reasoning_effort": call_effort} if call_effort else {}))
    assert f"Reasoning: {expected}" in read_prompt(llm)


def test_reasoning_can_be_left_out():
    llm = build_chat_model(ANSWER, ANSWER, include_reasoning=False)
    message = llm.invoke("Hello")
    assert "reasoning_content" not in message.additional_kwargs
    assert message.usage_metadata["output_token_details"]["reasoning"] > 0
    assert llm.bind(include_reasoning=True).invoke("Hello").additional_kwargs["reasoning_content"] == "Let me see."


def test_repairs_are_reported():
    message = build_chat_model("<|channel|>final<|channel|>final<|message|>Hi<|return|>").invoke("Hello")
    assert message.content == "Hi"
    assert message.response_metadata["repairs"] == [
        {"found": "<|channel|>final<|channel|>final", "interpretation": "a message in the final channel"}
    ]


@pytest.mark.parametrize("options", [{"constructor": 5}, {"call": 5}, {"constructor": 50, "call": 5}])
def test_max_tokens_limits_the_answer(options):
    llm = build_chat_model(write_final("one two three four five six"), max_tokens=options.get("constructor"))
    message = llm.invoke("Count", **({"max_tokens": options["call"]} if "call" in options else {}))
    assert message.content == "one two"  # three tokens are the header
    assert message.response_metadata["finish_reason"] == "length"
    assert message.usage_metadata["output_tokens"] == 5


def test_images_are_rejected():
    llm = build_chat_model(ANSWER)
    with pytest.raises(InvalidInputError, match="read text only"):
        llm.invoke([HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}])])
    assert llm.engine.requests == []


async def test_long_prompt_raises_the_error_of_langchain():
    llm = ChatGptOss(model="gpt-oss-20b", engine=build_engine(ANSWER, context_length=20))
    for call in (lambda: llm.invoke("Hello " * 50), lambda: list(llm.stream("Hello " * 50))):
        with pytest.raises(ContextOverflowError, match="context holds 20") as caught:
            call()
        assert isinstance(caught.value, ContextLengthError)
    with pytest.raises(ContextOverflowError):
        await llm.ainvoke("Hello " * 50)


def test_closed_engine_raises():
    llm = build_chat_model(ANSWER)
    llm.engine.close()
    with pytest.raises(GptOssError, match="was closed"):
        llm.invoke("Hello")


class TokenCollector(BaseCallbackHandler):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def on_llm_new_token(self, token: str, **kwargs) -> None:
        self.texts.append(token)


@pytest.mark.parametrize("method", ["invoke", "stream", "ainvoke", "astream"])
async def test_callbacks_receive_every_token_once(method):
    handler = TokenCollector()
    result = getattr(build_chat_model(ANSWER), method)("Hello", config={"callbacks": [handler]})
    if method == "stream":
        list(result)
    elif method == "ainvoke":
        await result
    elif method == "astream":
        assert [chunk async for chunk in result]
    assert [text for text in handler.texts if text] == ["Hello", " there", ",", " friend", "!"]


async def test_events_stream_the_answer():
    events = [event async for event in build_chat_model(ANSWER).astream_events("Hello")]
    texts = [event["data"]["chunk"].content for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(texts) == "Hello there, friend!"


def test_tracing_parameters_name_model_and_options():
    llm = build_chat_model(ANSWER, temperature=0.5, max_tokens=9, stop=["x"])
    assert llm._get_ls_params() == {
        "ls_provider": "gptoss",
        "ls_model_type": "chat",
        "ls_model_name": "gpt-oss-20b",
        "ls_temperature": 0.5,
        "ls_max_tokens": 9,
        "ls_stop": ["x"],
    }
    params = llm._get_ls_params(stop=["y"], temperature=0, max_tokens=3)
    assert (params["ls_temperature"], params["ls_max_tokens"], params["ls_stop"]) == (0, 3, ["y"])
    assert build_chat_model(ANSWER)._get_ls_params()["ls_temperature"] == 1.0
    assert llm._llm_type == "gptoss-chat"
    assert llm._identifying_params["model"] == "gpt-oss-20b"


def test_configurable_fields_and_bound_options():
    llm = build_chat_model(ANSWER, ANSWER).configurable_fields(reasoning_effort=ConfigurableField(id="effort"))
    llm.with_config(configurable={"effort": "high"}).invoke("x")
    assert "Reasoning: high" in read_prompt(llm.default)
    (llm.default.bind(reasoning_effort="low", temperature=0.1) | StrOutputParser()).invoke("x")
    assert "Reasoning: low" in read_prompt(llm.default, 1)
    assert llm.default.engine.requests[1].sampling.temperature == 0.1


def test_cache_and_rate_limiter_of_langchain_work():
    llm = build_chat_model(ANSWER, cache=InMemoryCache(), rate_limiter=InMemoryRateLimiter(requests_per_second=1000))
    assert llm.invoke("Hello").content == llm.invoke("Hello").content == "Hello there, friend!"
    assert len(llm.engine.requests) == 1


def test_model_name_is_that_of_the_catalogue():
    message = ChatGptOss(model="OPENAI/gpt-oss-20b", engine=build_engine(write_final("Hi"))).invoke("Hello")
    assert message.response_metadata["model_name"] == "gpt-oss-20b"


def test_tokens_are_counted_with_the_vocabulary_of_the_model():
    llm = build_chat_model()
    assert llm.get_num_tokens("Hello there, friend!") == 5
    assert ENCODING.decode(llm.get_token_ids("<|end|>")) == "<|end|>"
    assert llm.get_token_ids("<|end|>") != [200007]


def build_tool_history(rounds: int) -> list[BaseMessage]:
    """Return a system message, some finished rounds with a call each, and a last one without its answer."""
    messages: list[BaseMessage] = [SystemMessage("Be brief.")]
    for number in range(rounds + 1):
        call = {"name": "get_weather", "args": {"city": f"City {number}"}, "id": str(number)}
        messages += [
            HumanMessage(f"What is the weather in city {number}?"),
            AIMessage("", tool_calls=[call], additional_kwargs={"reasoning_content": "I should look. " * 5}),
            ToolMessage("rain " * 20, tool_call_id=str(number)),
            AIMessage(f"It rains in city {number}."),
        ]
    return messages[:-1]


@pytest.mark.parametrize("max_tokens", [100, 200, 300, 400, 500, 1000])
@pytest.mark.parametrize("include_system", [True, False])
def test_trimmed_tool_histories_fit_and_can_be_answered(max_tokens, include_system):
    llm = build_chat_model(ANSWER)
    kept = trim_messages(
        build_tool_history(5),
        max_tokens=max_tokens,
        token_counter=llm,
        strategy="last",
        include_system=include_system,
        start_on="human",
    )
    rest = [message for message in kept if message.type != "system"]
    assert llm.get_num_tokens_from_messages(kept) <= max_tokens
    if rest:
        assert rest[0].type == "human"
        assert llm.invoke(kept).usage_metadata["input_tokens"] <= max_tokens
        assert read_prompt(llm).count("I should look") == 5
    assert bool(rest) == (max_tokens >= 200)
    if max_tokens == 1000:
        assert len(kept) > 10


def test_first_messages_and_parts_of_messages_are_trimmed():
    llm = build_chat_model()
    first = trim_messages(build_tool_history(3), max_tokens=250, token_counter=llm, strategy="first")
    assert [message.type for message in first][:3] == ["system", "human", "ai"]
    part = trim_messages(
        [HumanMessage("word\n" * 300)], max_tokens=150, token_counter=llm, strategy="last", allow_partial=True
    )
    assert 35 < part[0].text.count("word") < 45


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        (
            '<|channel|>commentary to=functions.search <|constrain|>json<|message|>{"q":"x"}<|call|>',
            'commentary to=functions.search <|constrain|>json<|message|>{"q":"x"}<|call|>',
        ),
        (
            '<|channel|>commentary to=functions.get_time <|constrain|>json<|message|>{"zone": "Paris<|call|>',
            'commentary to=functions.get_time <|constrain|>json<|message|>{"zone": "Paris<|call|>',
        ),
        (
            "<|channel|>commentary to=functions.get_time <|constrain|>json<|message|>[1]<|call|>",
            "commentary to=functions.get_time <|constrain|>json<|message|>[1]<|call|>",
        ),
        (
            "<|channel|>analysis to=python code<|message|>1 + 1<|call|>",
            "analysis to=python code<|message|>1 + 1<|call|>",
        ),
    ],
)
def test_invalid_calls_are_written_back_as_the_model_wrote_them(answer, written):
    llm = build_chat_model(answer, write_final("Sorry."))
    tool = {"name": "get_time", "description": "Tells the time.", "parameters": {"type": "object", "properties": {}}}
    bound = llm.bind_tools([{"type": "function", "function": tool}])
    message = bound.invoke("Hello")
    (call,) = message.invalid_tool_calls
    bound.invoke([HumanMessage("Hello"), message, ToolMessage(call["error"], tool_call_id=call["id"])])
    prompt = read_prompt(llm, 1)
    assert f"<|start|>assistant<|channel|>{written}" in prompt
    assert f"<|message|>{call['error']}<|end|><|start|>assistant" in prompt


def test_history_that_is_only_counted_is_refused_in_a_call():
    llm = build_chat_model(ANSWER)
    messages = [ToolMessage("rain", tool_call_id="1"), HumanMessage("And?")]
    assert llm.get_num_tokens_from_messages(messages) > llm.get_num_tokens_from_messages(messages[1:])
    with pytest.raises(InvalidInputError, match="no AI message before it makes that call"):
        llm.invoke(messages)


def test_profile_is_that_of_the_catalogue():
    profile = ChatGptOss(model="gpt-oss-20b").profile
    assert profile["max_input_tokens"] == 131_072
    assert profile["tool_calling"]
    assert profile["reasoning_output"]
    assert profile["reasoning_effort_levels"] == ["low", "medium", "high"]
    assert profile["reasoning_effort_default"] == "medium"
    assert profile["tool_call_streaming"]
    assert not profile["image_inputs"]


def test_profile_of_a_model_without_reasoning_names_no_effort():
    profile = ChatGptOss(model="demo").profile
    assert profile["tool_call_streaming"]
    assert not {"reasoning_output", "reasoning_effort_levels", "reasoning_effort_default"} & profile.keys()


def test_docstring_example_of_the_scripted_engine_runs():
    engine = ScriptedEngine([[200005, 17196, 200008, 12194, 200002]])
    assert ChatGptOss(model="gpt-oss-20b", engine=engine).invoke("Hello").content == "Hi"
    engine.close()
