"""Counting of prompts in every chat format."""

import pytest
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_gptoss.chat_formats.base import PromptOptions, Tool
from langchain_gptoss.chat_formats.harmony import HarmonyFormat
from langchain_gptoss.chat_formats.plain import PlainFormat
from langchain_gptoss.chat_formats.template import TemplateFormat
from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.chat_formats.byte_tokenizer import build_tokenizer

ALTERNATING = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('order') }}"
    "{% endif %}{{ m.content }};{% endfor %}"
)
FORMATS = {
    "harmony": HarmonyFormat(),
    "template": TemplateFormat(build_tokenizer(), stop_ids=frozenset({2})),
    "alternating template": TemplateFormat(build_tokenizer(template=ALTERNATING), stop_ids=frozenset({2})),
    "plain": PlainFormat(build_tokenizer(), stop_ids=frozenset({0})),
}
QUESTION = HumanMessage("What is the weather?")
CALLING = AIMessage(
    "",
    tool_calls=[{"name": "get_weather", "args": {"city": "Nantes"}, "id": "1"}],
    additional_kwargs={"reasoning_content": "I should look."},
)
RESULT = ToolMessage("rain", tool_call_id="1")
ANSWER = AIMessage("It rains.")


@pytest.mark.parametrize("name", FORMATS)
def test_count_of_a_question_is_the_length_of_its_prompt(name):
    assert FORMATS[name].count_tokens([QUESTION]) == len(FORMATS[name].render([QUESTION]))


@pytest.mark.parametrize("name", ["harmony", "template", "plain"])
def test_count_includes_the_tools(name):
    options = PromptOptions(tools=(Tool(name="get_weather"),))
    assert FORMATS[name].count_tokens([QUESTION], options) == len(FORMATS[name].render([QUESTION], options))


@pytest.mark.parametrize("name", ["harmony", "template", "plain"])
def test_count_of_a_conversation_is_the_length_of_its_prompt(name):
    messages = [SystemMessage("Be brief."), QUESTION, CALLING, RESULT, ANSWER, QUESTION, CALLING, RESULT]
    assert FORMATS[name].count_tokens(messages) == len(FORMATS[name].render(messages))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "messages",
    [
        [],
        [RESULT],
        [RESULT, ANSWER],
        [RESULT, CALLING],
        [ANSWER, RESULT, CALLING, QUESTION],
        [SystemMessage("Be brief."), RESULT, QUESTION],
        [QUESTION, QUESTION],
        [ChatMessage("No.", role="critic"), QUESTION],
        [HumanMessage([{"type": "image_url", "image_url": {"url": "data:,"}}])],
        [HumanMessage([{"type": "tool_result", "tool_use_id": "7", "content": [{"type": "image"}]}])],
        [AIMessage([{"type": "image"}]), AIMessage(""), AIMessage([])],
    ],
)
def test_any_part_of_a_conversation_is_counted(name, messages):
    tokens = FORMATS[name].count_tokens(messages)
    assert FORMATS[name].count_tokens([*messages, HumanMessage("A longer question")]) > tokens


@pytest.mark.parametrize("messages", [[], [RESULT], [ChatMessage("No.", role="critic")]])
def test_rendering_refuses_what_is_only_counted(messages):
    for chat_format in FORMATS.values():
        with pytest.raises(InvalidInputError):
            chat_format.render(messages)


@pytest.mark.parametrize("name", ["harmony", "template"])
def test_system_message_and_the_rest_add_up(name):
    system, rest = [SystemMessage("Be brief.")], [QUESTION, CALLING, RESULT]
    count = FORMATS[name].count_tokens
    assert count(system) + count(rest) == count([*system, *rest])
    assert count([]) == 0


def test_tool_loop_counts_the_same_backwards():
    """`trim_messages` counts the last messages first; the reasoning before them must not be forgotten."""
    messages = [QUESTION, ANSWER, QUESTION, CALLING, RESULT, CALLING, RESULT]
    count = FORMATS["harmony"].count_tokens
    assert count(messages[::-1]) == count(messages)
    assert count([QUESTION, *messages][::-1]) > count(messages)


@pytest.mark.parametrize("name", ["harmony", "template", "plain"])
def test_prompts_with_the_same_instructions_share_them_and_nothing_else(name):
    chat_format, rules = FORMATS[name], SystemMessage("Be brief.")
    one, other = ([rules, HumanMessage(text)] for text in ("Is it hot?", "And tomorrow?"))
    prompts = [chat_format.render(messages) for messages in (one, other)]
    counts = [
        chat_format.count_shared_tokens(ids, messages) for ids, messages in zip(prompts, (one, other), strict=True)
    ]
    assert counts[0] == counts[1] > len(chat_format.encode("Be brief.")) - 1
    assert prompts[0][: counts[0]] == prompts[1][: counts[0]]
    assert prompts[0][: counts[0] + 1] != prompts[1][: counts[0] + 1]


@pytest.mark.parametrize("name", ["harmony", "template", "plain"])
def test_later_system_messages_are_not_shared(name):
    chat_format, rules = FORMATS[name], SystemMessage("Be brief.")
    alone, with_summary = [rules, QUESTION], [rules, SystemMessage("It is about Nantes."), QUESTION]
    count = chat_format.count_shared_tokens(chat_format.render(with_summary), with_summary)
    assert 0 < count <= chat_format.count_shared_tokens(chat_format.render(alone), alone)


def test_a_template_that_refuses_the_beginning_alone_shares_nothing():
    chat_format = FORMATS["alternating template"]
    assert chat_format.count_shared_tokens([1, 2, 3], [SystemMessage("Be brief."), QUESTION]) == 0
