"""Prompts by a checkpoint's chat template."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from llguidance import LLMatcher, LLTokenizer

from langchain_gptoss.chat_formats.base import PromptOptions, ResponseFormat, Tool
from langchain_gptoss.chat_formats.template import TemplateFormat
from langchain_gptoss.errors import InvalidInputError
from tests import scale
from tests.unit_tests.chat_formats.byte_tokenizer import CHATML, SPECIAL_TOKENS, build_tokenizer
from tests.unit_tests.chat_formats.tool_templates import HERMES, LLAMA, MISTRAL, QWEN

TOKENIZER = build_tokenizer()
FORMAT = TemplateFormat(TOKENIZER, stop_ids=frozenset({2}))
CONVERSATION = [SystemMessage("Be brief."), HumanMessage("Hello"), AIMessage("Hi."), HumanMessage("été 🎉?")]
PROMPT = (
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi.<|im_end|>\n"
    "<|im_start|>user\nété 🎉?<|im_end|>\n<|im_start|>assistant\n"
)


def find_control_ids(ids: list[int]) -> list[int]:
    return [token_id for token_id in ids if token_id < len(SPECIAL_TOKENS)]


def test_render_applies_the_template_with_control_tokens():
    assert FORMAT.render(CONVERSATION) == TOKENIZER(PROMPT, add_special_tokens=False)["input_ids"]
    assert FORMAT.render(CONVERSATION).count(1) == 5


def test_merged_chunks_are_rendered_like_messages():
    chunk = AIMessageChunk("Hi") + AIMessageChunk(".")
    assert FORMAT.render([*CONVERSATION[:2], chunk, CONVERSATION[3]]) == FORMAT.render(CONVERSATION)


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
@pytest.mark.parametrize("message_class", [SystemMessage, HumanMessage, AIMessage])
def test_control_tokens_in_messages_stay_text(message_class, token):
    text = f"a {token}{token} b<|im_{token}end|>"
    ids = FORMAT.render([message_class(text)])
    assert find_control_ids(ids) == find_control_ids(FORMAT.render([message_class("a")]))
    assert text in TOKENIZER.decode(ids)


@given(st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\ue000\ue0010<|>")), max_size=40))
@settings(deadline=None, max_examples=scale(100))
def test_any_text_is_rendered_unchanged(text):
    """The text may hold the private-use characters of the format's placeholders."""
    expected = f"<|im_start|>user\n{text.strip()}x<|im_end|>\n<|im_start|>assistant\n"
    assert TOKENIZER.decode(FORMAT.render([HumanMessage(f"{text.strip()}x")])) == expected


def test_placeholders_cannot_be_forged():
    ids = FORMAT.render([HumanMessage("<|im_end|> \ue0000\ue001 \ue0007\ue001")])
    assert "<|im_end|> \ue0000\ue001 \ue0007\ue001" in TOKENIZER.decode(ids)
    assert ids.count(2) == 1


def test_tokenizer_without_control_tokens_is_supported():
    tokenizer = build_tokenizer(special=[], template="{% for m in messages %}{{ m.content }};{% endfor %}")
    chat_format = TemplateFormat(tokenizer, stop_ids=frozenset())
    assert chat_format.render([HumanMessage("ab"), AIMessage("c")]) == tokenizer("ab;c;")["input_ids"]


WEATHER = Tool(name="get_weather", description="Return the weather.", parameters={"type": "object", "properties": {}})
TIME = Tool(name="get_time")
CALLS = [
    {"name": "get_weather", "args": {"city": "Nîmes"}, "id": "call_1"},
    {"name": "get_time", "args": {}, "id": "call_2"},
]
LOOP = [
    HumanMessage("Weather and time?"),
    AIMessage("I look.", tool_calls=CALLS),
    ToolMessage("It rains.", tool_call_id="call_1"),
    ToolMessage("noon", tool_call_id="call_2"),
]


def render(template: str, messages: list, special: list[str] = SPECIAL_TOKENS, **options: Any) -> str:
    """Return a prompt of a template as text."""
    tokenizer = build_tokenizer(template=template, special=special)
    chat_format = TemplateFormat(tokenizer, stop_ids=frozenset({2}))
    return tokenizer.decode(chat_format.render(messages, PromptOptions(**{"tools": (WEATHER, TIME), **options})))


def test_tools_calls_and_results_are_written_by_the_template():
    prompt = render(QWEN, LOOP)
    assert prompt.startswith("<|im_start|>system\nYou help.\n\n# Tools\n<tools>\n")
    assert '{"type": "function", "function": {"name": "get_weather", "description": "Return the weather."' in prompt
    assert prompt.endswith(
        '<|im_start|>assistant\nI look.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Nîmes"}}\n</tool_call>'
        '\n<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\n'
        "It rains.\n</tool_response>\n<tool_response>\nnoon\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )


def test_several_calls_become_single_ones_where_the_template_has_one_call_at_a_time():
    assert render(LLAMA, LOOP).partition("Weather and time?<|im_end|>")[2] == (
        '<|im_start|>assistant\n{"name": "get_weather", "parameters": {"city": "Nîmes"}}<|im_end|>'
        '<|im_start|>ipython\n"It rains."<|im_end|>'
        '<|im_start|>assistant\n{"name": "get_time", "parameters": {}}<|im_end|>'
        '<|im_start|>ipython\n"noon"<|im_end|><|im_start|>assistant\n'
    )


def test_results_have_the_short_ids_of_their_calls():
    results = render(MISTRAL, [*LOOP[:2], LOOP[3], LOOP[2]]).partition("<|im_end|>")[2]
    assert results == (
        '[TOOL_RESULTS] {"content": "noon", "call_id": "call00002"}[/TOOL_RESULTS]'
        '[TOOL_RESULTS] {"content": "It rains.", "call_id": "call00001"}[/TOOL_RESULTS]'
    )


def test_arguments_that_are_no_json_are_shown_as_the_model_wrote_them():
    call = {"name": "get_weather", "args": "Nîmes, please", "id": "call_1", "error": "no JSON"}
    prompt = render(QWEN, [LOOP[0], AIMessage("", invalid_tool_calls=[call]), LOOP[2]])
    assert '{"name": "get_weather", "arguments": "Nîmes, please"}' in prompt


def test_the_prompt_shows_the_tools_that_may_be_called():
    assert "<tools>" not in render(QWEN, LOOP[:1], tool_choice="none")
    chosen = render(QWEN, LOOP[:1], tool_choice="get_time")
    assert "get_time" in chosen
    assert "get_weather" not in chosen
    allowed = render(QWEN, [SystemMessage("Be brief."), LOOP[0]], allowed_tools=("get_time",))
    assert "get_weather" in allowed
    assert "Be brief.\n\nCall only get_time this time." in allowed


def test_the_response_format_stands_in_the_system_message():
    response_format = ResponseFormat(name="answer", schema={"type": "object"})
    prompt = render(QWEN, LOOP[:1], response_format=response_format)
    assert prompt.startswith(
        '<|im_start|>system\nAnswer with JSON that follows this schema, and with nothing else:\n{"type'
    )


def test_control_tokens_in_tools_and_results_stay_text():
    tool = Tool(name="f", description="a <|im_end|> b", parameters={"properties": {"<|im_start|>": {"type": "string"}}})
    tokenizer = build_tokenizer(template=QWEN)
    chat_format = TemplateFormat(tokenizer, stop_ids=frozenset({2}))
    call = {"name": "f", "args": {"x": "<|im_end|>"}, "id": "call_1"}
    messages = [LOOP[0], AIMessage("", tool_calls=[call]), ToolMessage("c <|im_start|>", tool_call_id="call_1")]
    ids = chat_format.render(messages, PromptOptions(tools=(tool,)))
    plain = [LOOP[0], AIMessage("", tool_calls=[{**call, "args": {}}]), ToolMessage("c", tool_call_id="call_1")]
    assert find_control_ids(ids) == find_control_ids(chat_format.render(plain, PromptOptions(tools=(TIME,))))
    for text in ("a <|im_end|> b", '"<|im_start|>": {"type"', '{"x": "<|im_end|>"}', "c <|im_start|>"):
        assert text in tokenizer.decode(ids)


def test_a_conversation_that_the_template_refuses_is_an_error_with_its_reason():
    template = CHATML + "{% if messages | length > 1 %}{{ raise_exception('One message only') }}{% endif %}"
    chat_format = TemplateFormat(build_tokenizer(template=template), stop_ids=frozenset({2}))
    with pytest.raises(InvalidInputError, match="refuses this conversation: One message only"):
        chat_format.render(CONVERSATION)


@pytest.mark.parametrize(
    ("template", "special", "answer"),
    [
        (QWEN, [], '<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>'),
        (LLAMA, [], '{"name": "get_time", "parameters": {}}'),
        (MISTRAL, [], '[TOOL_CALLS] [{"name": "get_time", "arguments": {}}]'),
        (MISTRAL, ["[TOOL_CALLS]"], '[TOOL_CALLS] [{"name": "get_time", "arguments": {}}]'),
        (HERMES, [], '<tool_call>\n{"arguments": {}, "name": "get_time"}\n</tool_call>'),
    ],
    ids=["qwen", "llama", "mistral", "mistral control token", "hermes"],
)
@pytest.mark.parametrize("choice", ["any", "get_time", "auto"])
@pytest.mark.parametrize("added", [[], ["<tool_call>", "</tool_call>"]], ids=["pieces", "added tokens"])
def test_the_grammar_accepts_a_call_as_the_template_writes_it(template, special, answer, choice, added):
    tokenizer = build_tokenizer(template=template, special=[*SPECIAL_TOKENS, *special])
    tokenizer.add_tokens(added)  # as in Qwen's tokenizer: one token, and yet part of texts
    chat_format = TemplateFormat(tokenizer, stop_ids=frozenset({2}))
    grammar = chat_format.build_grammar(PromptOptions(tools=(WEATHER, TIME), tool_choice=choice))
    matcher = LLMatcher(
        LLTokenizer(tokenizer.backend_tokenizer.to_str(), eos_token=2), LLMatcher.grammar_from_lark(grammar.lark)
    )
    ids = tokenizer(answer, add_special_tokens=False)["input_ids"]
    assert matcher.validate_tokens(ids) == len(ids)
    assert matcher.consume_tokens(ids)
    assert matcher.is_accepting()
    if choice == "any":
        matcher.reset()
        assert matcher.validate_tokens(chat_format.encode("I look.")) == 0
