"""The notation of tool calls, read from what a chat template writes."""

import pytest

from langchain_gptoss.chat_formats.template import TemplateFormat
from langchain_gptoss.chat_formats.tool_notation import PROMPT_NOTATION, ToolNotation
from langchain_gptoss.errors import CheckpointError
from tests.unit_tests.chat_formats.byte_tokenizer import CHATML, build_tokenizer
from tests.unit_tests.chat_formats.tool_templates import HERMES, LLAMA, MISTRAL, QWEN

TAGGED = {"start": "<tool_call>\n", "separator": "\n</tool_call>\n<tool_call>\n", "end": "\n</tool_call>"}


def find(template: str) -> ToolNotation | None:
    """Return the notation that a template has by itself."""
    notation = TemplateFormat(build_tokenizer(template=template), stop_ids=frozenset({2}))._notation
    return None if notation is PROMPT_NOTATION else notation


@pytest.mark.parametrize(
    ("template", "notation"),
    [
        (QWEN, ToolNotation(**TAGGED)),
        (HERMES, ToolNotation(**TAGGED, has_name_first=False)),
        (LLAMA, ToolNotation(start="", separator=None, end="", arguments_key="parameters")),
        (MISTRAL, ToolNotation(start="[TOOL_CALLS] [", separator=", ", end="]")),
    ],
)
def test_notations_of_known_families_are_recognized(template, notation):
    assert find(template) == notation


@pytest.mark.parametrize(
    ("opening", "closing", "template"),
    [("<tool_call>", "</tool_call>", QWEN), ("[TOOL_CALLS]", "", MISTRAL), ("", "", LLAMA)],
)
def test_marks_are_the_notation_without_white_space_and_brackets(opening, closing, template):
    assert (find(template).opening, find(template).closing) == (opening, closing)


NOT_LISTED = QWEN.replace("{{ tool | tojson }}", "{{ tool.function.name }}")
OTHER_KEY = QWEN.replace('"arguments": {{', '"input": {{')
NO_RESULTS = QWEN.replace("{{ message.content }}\n</tool_response>", "")
NOT_JSON = QWEN.replace('{"name": "{{ call.function.name }}", "arguments":', "{{ call.function.name }}:")
OTHER_PROMPT = QWEN.replace("{% if add_generation_prompt %}<|im_start|>assistant\n", "{% if add_generation_prompt %}=>")
NO_STOP = QWEN.replace("endfor %}<|im_end|>\n", "endfor %}")
FAILING = "{% if tools %}{{ raise_exception('no tools') }}{% endif %}" + CHATML


@pytest.mark.parametrize(
    "template",
    [CHATML, NOT_LISTED, OTHER_KEY, NO_RESULTS, NOT_JSON, OTHER_PROMPT, NO_STOP, FAILING],
    ids=["no tools", "no descriptions", "other key", "no results", "not JSON", "other prompt", "no stop", "failing"],
)
def test_other_templates_fall_back_to_our_prompt(template):
    assert template == CHATML or template != QWEN
    assert find(template) is None
    with pytest.raises(CheckpointError, match="no notation of tool calls"):
        TemplateFormat(build_tokenizer(template=template), stop_ids=frozenset({2}), tool_format="template")


def test_our_prompt_can_be_demanded():
    chat_format = TemplateFormat(build_tokenizer(template=QWEN), stop_ids=frozenset({2}), tool_format="prompt")
    assert chat_format._notation is PROMPT_NOTATION
