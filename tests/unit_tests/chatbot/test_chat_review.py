"""What a demanding user of LangChain found: each test is a case that once went wrong."""

import asyncio
import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import OutputParserException
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, ToolMessage
from llguidance import LLMatcher, LLTokenizer
from openai_harmony import HarmonyEncodingName, load_harmony_encoding
from pydantic import BaseModel
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from langchain_gptoss import ChatGptOss, GptOssLLM
from langchain_gptoss.chat_formats.answer_grammar import build_harmony_grammar, build_tagged_grammar
from langchain_gptoss.chat_formats.base import PromptOptions, ResponseFormat, Tool
from langchain_gptoss.chat_formats.harmony import CONTROL_TOKENS
from langchain_gptoss.engine import GenerationRequest, ScriptedEngine, TokenLogprobs, TokenStream
from langchain_gptoss.errors import InvalidInputError

ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
THOUGHT = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant"
PREAMBLE = "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"


def get_weather(city: str) -> str:
    """Returns the weather in a city."""
    return f"It rains in {city}."


def get_time(city: str) -> str:
    """Returns the time in a city."""
    return "noon"


def called(name: str, arguments: str, end: str = "<|call|>") -> str:
    return f"{THOUGHT}<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}{end}"


def final(text: str, end: str = "<|return|>") -> str:
    return f"{THOUGHT}<|channel|>final<|message|>{text}{end}"


TWO_CALLS = f"{THOUGHT}{PREAMBLE}{called('get_weather', '{}', '<|end|>')}<|start|>assistant{called('get_time', '{}')}"


def ids_of(text: str) -> list[int]:
    return ENCODING.encode(text, allowed_special="all")


def model(*completions: str, **options: Any) -> ChatGptOss:
    return ChatGptOss(model="gpt-oss-20b", engine=ScriptedEngine([ids_of(text) for text in completions]), **options)


def completer(*completions: str, **options: Any) -> GptOssLLM:
    return GptOssLLM(model="gpt-oss-20b", engine=ScriptedEngine([ids_of(text) for text in completions]), **options)


def prompt(llm: ChatGptOss) -> str:
    return ENCODING.decode(llm.engine.requests[0].prompt_ids)


def tool_named(name: str, **parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", **parameters}}}


@pytest.mark.parametrize("name", ["get.weather", "get-weather", "a:b", "a/b", "wetter_für", "天気", "get weather"])
def test_tools_of_odd_names_are_called(name):
    others = [tool_named("a"), tool_named("get")]
    message = model(called(name, "{}")).bind_tools([*others, tool_named(name)]).invoke("x")
    assert [call["name"] for call in message.tool_calls] == [name]


@pytest.mark.parametrize("name", ["get_weather:evil", "get_weather/evil", "get_weather.evil", "get_weather()"])
def test_a_name_that_only_begins_like_a_tool_s_calls_nothing(name):
    assert not model(called(name, "{}")).bind_tools([get_weather]).invoke("x").tool_calls


def test_a_header_without_its_channel_token_is_no_text():
    written = f"commentary to=assistant<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant{final('A')}"
    message = model(written).invoke("x")
    assert message.content == "A"
    assert message.additional_kwargs["reasoning_content"] == "Hm.\n\nLet me see."


def test_thoughts_between_calls_keep_apart_from_them_under_v1():
    chunks = list(model(TWO_CALLS, output_version="v1").bind_tools([get_weather, get_time]).stream("x"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert [block["type"] for block in whole.content_blocks] == [
        "reasoning", "text", "reasoning", "tool_call", "reasoning", "tool_call",
    ]  # fmt: skip
    assert "args" not in whole.content_blocks[2]


PAYMENTS: list[str] = []


def pay(recipient: str) -> str:
    """Pays."""
    PAYMENTS.append(recipient)
    return "paid"


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")  # v3 is experimental
@pytest.mark.parametrize("way", ["invoke", "messages", "events", "v3"])
def test_an_agent_never_makes_a_call_that_was_cut_off(way):
    PAYMENTS.clear()
    agent = create_agent(model(called("pay", '{"recipient":"Al', ""), final("x")), [pay])
    asked = {"messages": [HumanMessage("Pay Alice")]}

    async def events() -> None:
        async for _ in agent.astream_events(asked, version="v2"):
            pass

    if way == "invoke":
        (invalid,) = agent.invoke(asked)["messages"][-1].invalid_tool_calls
        assert invalid["args"] == '{"recipient":"Al'
    elif way == "messages":
        list(agent.stream(asked, stream_mode="messages"))
    elif way == "v3":
        list(agent.stream_events(asked, version="v3"))
    else:
        asyncio.run(events())
    assert PAYMENTS == []


def test_a_call_that_was_cut_off_under_v1_and_in_a_stream():
    cut = called("pay", '{"recipient":"Al', "")
    message = model(cut, output_version="v1").bind_tools([pay]).invoke("x")
    assert [block["type"] for block in message.content] == ["reasoning", "invalid_tool_call"]
    last = list(model(cut).bind_tools([pay]).stream("x"))[-1]
    assert list(last.response_metadata["broken_calls"].values()) == ['{"recipient":"Al']


class City(BaseModel):
    name: str


@pytest.mark.parametrize("schema", [City, {"title": "City", "type": "object"}])
def test_an_answer_that_was_cut_off_is_not_completed(schema):
    with pytest.raises(OutputParserException, match="raise max_tokens"):
        model(final('{"name":"Nan', "")).with_structured_output(schema).invoke("x")
    raw = model(final('{"name":"Nan', "")).with_structured_output(schema, include_raw=True).invoke("x")
    assert raw["parsed"] is None
    assert list(model(final('{"name":"N"}')).with_structured_output(schema).stream("x"))


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
@pytest.mark.parametrize("strict", [None, True, False])
@pytest.mark.parametrize("form", ["bare", "named"])
def test_schemas_without_a_title_and_in_openai_s_form(method, strict, form):
    bare = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    schema, name = (bare, "answer") if form == "bare" else ({"name": "City", "schema": bare}, "City")
    answer = '{"name":"Nantes"}'
    llm = model(called(name, answer) if method == "function_calling" else final(answer))
    assert llm.with_structured_output(schema, method=method, strict=strict).invoke("x") == {"name": "Nantes"}
    grammar = llm.engine.requests[0].grammar
    if method == "function_calling":  # a call is demanded; strict=False does not hold its arguments
        assert ('"name": {"type": "string"}' in grammar.lark) == (strict is not False)


def test_parallel_calls_can_be_forbidden():
    message = model(TWO_CALLS).bind_tools([get_weather, get_time], parallel_tool_calls=False).invoke("x")
    assert [call["name"] for call in message.tool_calls] == ["get_weather"]
    assert message.response_metadata["finish_reason"] == "tool_calls"


def test_strict_of_a_call_is_not_dropped():
    llm = model(final("x"), final("x"))
    llm.bind_tools([get_weather]).invoke("x", strict=True)
    llm.invoke("x", response_format={"title": "X", "type": "object"}, strict=False)
    held, free = llm.engine.requests
    assert '"city": {"type": "string"}' in held.grammar.lark
    assert free.grammar is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tools": [{"type": "web_search"}]}, "a tool that its provider runs"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]}, "must be a JSON schema"),
        ({"stop": [5]}, "it must be a list of strings"),
    ],
)
def test_bad_input_that_once_raised_something_else(options, message):
    with pytest.raises(InvalidInputError, match=message):
        model(final("x")).invoke("x", **options)


def test_one_stop_string_needs_no_list():
    assert model(final("hello abc")).invoke("x", stop="abc").content == "hello "


def test_the_space_between_two_messages_is_no_stop_string():
    assert model(PREAMBLE + final("A\n\nB")).invoke("x", stop=["\n\n"]).content == "I look.\n\nA"


CALL = {"name": "get_weather", "args": {}, "id": "1"}


@pytest.mark.parametrize(
    ("blocks", "written"),
    [
        ([{"type": "thinking", "thinking": "T"}, {"type": "redacted_thinking", "data": "x"}], "<|message|>T<|end|>"),
        (
            [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "S"}]},
                {"type": "function_call", "name": "get_weather", "arguments": "{}", "call_id": "1"},
            ],
            "<|channel|>analysis<|message|>S<|end|>",
        ),
        ([{"type": "refusal", "refusal": "No."}], "<|message|>No.<|end|>"),
        ([{"type": "non_standard", "value": {}}, {"type": "text", "text": "A"}], "<|message|>A<|end|>"),
        ([{"type": "tool_use", "id": "1", "name": "get_weather", "input": '{"a":1}'}], '<|message|>{"a":1}<|call|>'),
    ],
)
def test_messages_of_other_providers(blocks, written):
    calls = [] if blocks[0]["type"] == "tool_use" else [CALL]
    llm = model(final("x"))
    llm.invoke([HumanMessage("q"), AIMessage(blocks, tool_calls=calls), ToolMessage("rain", tool_call_id="1")])
    assert written in prompt(llm)


def test_a_tool_result_of_anthropic_s_without_content():
    llm = model(final("x"))
    result = HumanMessage([{"type": "tool_result", "tool_use_id": "1", "content": None}])
    llm.invoke([HumanMessage("q"), AIMessage("", tool_calls=[CALL]), result])
    assert "commentary to=assistant<|message|><|end|>" in prompt(llm)


def test_chat_messages_by_their_role():
    llm = model(final("x"))
    roles = {"developer": "Be brief.", "user": "Hi", "assistant": "Hello."}
    llm.invoke([ChatMessage(role=role, content=text) for role, text in roles.items()])
    assert prompt(llm).endswith(
        "# Instructions\n\nBe brief.<|end|><|start|>user<|message|>Hi<|end|>"
        "<|start|>assistant<|channel|>final<|message|>Hello.<|end|><|start|>assistant"
    )
    strange: list[BaseMessage] = [ChatMessage(role="critic", content="Hm")]
    with pytest.raises(InvalidInputError, match="cannot be written"):
        llm.invoke(strange)


@pytest.mark.parametrize("unit", ["^", " ", "a", "\n", "é", "🙂"])
def test_endless_runs_of_one_character_take_no_quadratic_time(unit):
    llm = model()
    text = unit * 100_000  # the library alone takes seconds to a minute, and panics at a million
    ids = llm.get_token_ids(text)
    assert b"".join(llm.format.decode_token(i) for i in ids).decode() == text


def test_copies_and_pickles():
    llm = ChatGptOss(model="gpt-oss-20b", temperature=0.5)
    _ = llm.card, llm.format
    again = pickle.loads(pickle.dumps(llm))
    assert (again.temperature, again.card.name) == (0.5, "gpt-oss-20b")
    assert llm.model_copy(update={"model": "demo"}).card.name == "demo"
    running = model(final("a"), final("b"))
    running.invoke("x")
    assert copy.deepcopy(running).invoke("x").content == "b"
    llm.model = "demo"
    assert llm.card.name == "demo"


def test_a_model_per_call_follows_the_constructor_s_options():
    llm = model(final("a"), final("b"), final("c"))
    llm.invoke("x", model="gpt-oss-120b")
    llm.temperature = 0.1
    llm.invoke("x", model="gpt-oss-120b")
    llm.model_copy(update={"temperature": 0.2}).invoke("x", model="gpt-oss-120b")
    assert [request.sampling.temperature for request in llm.engine.requests] == [1.0, 0.1, 0.2]


@pytest.mark.parametrize("kind", [ChatGptOss, GptOssLLM])
def test_models_are_serialised_without_key_or_weights(kind, tmp_path):
    written = dumpd(kind(model=Path(tmp_path), temperature=0.5, api_key="hidden"))
    assert written["id"] == [*kind.__module__.split("."), kind.__name__]
    assert written["kwargs"]["model"] == str(tmp_path)
    assert written["kwargs"]["temperature"] == 0.5
    assert "hidden" not in str(written)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"echo": False}, {"echo": True}),
        ({"base_url": None}, {"base_url": "http://host:8000/v1"}),
        ({"logprobs": False}, {"logprobs": True}),
    ],
)
def test_the_cache_keeps_completions_of_different_options_apart(one, other):
    cache = InMemoryCache()
    models = [completer(final("A"), cache=cache, **options) for options in (one, other)]
    for llm in models:
        llm.invoke("q")
    assert [len(llm.engine.requests) for llm in models] == [1, 1]


async def test_the_cache_sees_the_options_of_a_call():
    llm = completer(*(final(letter) for letter in "ABC"), cache=InMemoryCache())
    assert [llm.invoke("q", seed=1), llm.invoke("q", seed=2), llm.invoke("q", seed=1)] == ["A", "B", "A"]
    assert await llm.ainvoke("q", seed=3) == "C"


class Tokens(BaseCallbackHandler):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self.texts.append(token)


async def test_callbacks_of_completions_get_what_was_held_back():
    handler = Tokens()
    completer(final("Hello the")).with_config(callbacks=[handler]).invoke("x")
    list(completer(final("Hello the")).stream("x", stop=["there"], config={"callbacks": [handler]}))
    assert "".join(handler.texts) == "Hello the"
    async for _ in completer(final("Hello the")).astream("x", stop=["there"], config={"callbacks": [handler]}):
        pass
    assert "".join(handler.texts) == "Hello the" * 2


class Measured(ScriptedEngine):
    """Reports a log-probability with each token."""

    def submit(self, request: GenerationRequest) -> TokenStream:
        stream = TokenStream()
        for token_id in super().submit(request):
            stream.put(token_id, TokenLogprobs(chosen=-0.5))
        stream.finish("stop")
        return stream


@pytest.mark.parametrize("stop", [None, ["over!"]])
@pytest.mark.parametrize("text", ["Hé 🦜🦜", "Hello ove", "🦜 over and over"])
def test_no_token_of_the_answer_lacks_its_log_probability(text, stop):
    def spelled(content: list[dict[str, Any]]) -> str:
        return bytes(byte for entry in content for byte in entry["bytes"]).decode()

    message = ChatGptOss(model="gpt-oss-20b", engine=Measured([ids_of(final(text))]), logprobs=True).invoke(
        "x", stop=stop
    )
    assert spelled(message.response_metadata["logprobs"]["content"]) == message.content == text
    llm = GptOssLLM(model="gpt-oss-20b", engine=Measured([ids_of(final(text))]), logprobs=True)
    ((generation,),) = llm.generate(["x"], stop=stop).generations
    assert spelled(generation.generation_info["logprobs"]["content"]) == generation.text == text


PAIR = [{"type": "object", "properties": {key: {"type": "integer"}}, "required": [key]} for key in "ab"]
NODE = {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/N"}}}
SCHEMAS = {
    "reference": ({"$ref": "#/$defs/N", "$defs": {"N": NODE}}, '{"v":1,"next":{"v":2}}'),
    "root": ({"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}}, '{"kids":[{}]}'),
    "any": ({"anyOf": PAIR}, '{"b":1}'),
    "all": ({"allOf": PAIR}, '{"a":1,"b":1}'),
    "names": ({"type": "object", "properties": {"definitions": {"type": "integer"}}}, '{"definitions":1}'),
}


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("way", ["answer", "call", "template answer", "template call", "template strict call"])
def test_schemas_of_every_shape_are_held(schema, way):
    described, value = SCHEMAS[schema]
    tool = Tool(name="f", parameters=described, strict=True if "strict" in way else None)
    answer = PromptOptions(response_format=ResponseFormat(name="x", schema=described))
    task = answer if "answer" in way else PromptOptions(tools=(tool,), tool_choice="auto" if "strict" in way else "f")
    call = f'{{"name": "f", "arguments": {value}}}'
    written = {
        "answer": f"<|channel|>final<|message|>{value}<|return|>",
        "call": f"<|channel|>commentary to=functions.f <|constrain|>json<|message|>{value}<|call|>",
        "template answer": value,
        "template call": call,
        "template strict call": f"<tool_call>{call}</tool_call>",
    }[way]
    constraint = build_tagged_grammar(task) if "template" in way else build_harmony_grammar(task, CONTROL_IDS)
    matcher = LLMatcher(TOKENIZER, LLMatcher.grammar_from_lark(constraint.lark))
    assert matcher.consume_tokens(BYTES.encode(written).ids), matcher.get_error()


def byte_tokenizer() -> Tokenizer:
    vocabulary = {token: i for i, token in enumerate([*CONTROL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in CONTROL_TOKENS])
    return tokenizer


BYTES = byte_tokenizer()
CONTROL_IDS = {token: BYTES.token_to_id(token) for token in CONTROL_TOKENS}
TOKENIZER = LLTokenizer(BYTES.to_str(), eos_token=[CONTROL_IDS["<|return|>"], CONTROL_IDS["<|call|>"]])


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@pytest.mark.parametrize("schema", [{"anyOf": PAIR}, {"$ref": "#/$defs/N", "$defs": {"N": PAIR[1]}}])
def test_schemas_without_properties_keep_what_they_say(method, schema):
    answer = called("either", '{"b":1}') if method == "function_calling" else final('{"b":1}')
    llm = model(answer)
    structured = llm.with_structured_output({"title": "either", "description": "Either.", **schema}, method=method)
    assert structured.invoke("x") == {"b": 1}
    assert '"b": {"type": "integer"}' in llm.engine.requests[0].grammar.lark
    assert "type either = () => any" not in prompt(llm)
    assert "// Either." in prompt(llm)


def test_a_list_can_be_the_answer():
    llm = model(final("[1,2]"))
    schema = {"title": "L", "type": "array", "items": {"type": "integer"}}
    assert llm.with_structured_output(schema).invoke("x") == [1, 2]
    assert '"items": {"type": "integer"}' in llm.engine.requests[0].grammar.lark


@pytest.mark.parametrize("stop", [5, [5], {"a"}])
def test_a_stop_that_is_no_list_of_strings_is_refused(stop):
    with pytest.raises(InvalidInputError, match="must be a list of strings"):
        ChatGptOss(model="gpt-oss-20b", engine=ScriptedEngine([])).invoke("hi", stop=stop)
