"""Prompts by a checkpoint's chat template."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage

from langchain_gptoss.chat_formats.template import TemplateFormat
from tests import scale
from tests.unit_tests.chat_formats.byte_tokenizer import SPECIAL_TOKENS, build_tokenizer

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
