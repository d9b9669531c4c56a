"""Harmony: what is written for the model, and what is read from it, well formed or not."""

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from openai_harmony import HarmonyEncodingName, load_harmony_encoding

from langchain_gptoss.chat_formats.base import PromptOptions
from langchain_gptoss.chat_formats.harmony import CONTROL_TOKENS, HarmonyFormat, renderer
from langchain_gptoss.chat_formats.harmony.codec import load_gpt_oss_codec
from langchain_gptoss.errors import InvalidInputError

# From the published tokenizer.
IDS = {
    "<|start|>": 200006,
    "<|message|>": 200008,
    "<|channel|>": 200005,
    "<|end|>": 200007,
    "<|return|>": 200002,
    "<|call|>": 200012,
    "<|constrain|>": 200003,
    "<|endoftext|>": 199999,
}
FORMAT = HarmonyFormat()
ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)


def ids_of(text: str) -> list[int]:
    """Returns the ids of a text in which control tokens are control tokens."""
    return ENCODING.encode(text, allowed_special="all")


def text_of(ids: list[int]) -> str:
    return ENCODING.decode(ids)


def read(completion: str | list[int]) -> tuple[str, str]:
    """Returns the reasoning and the answer that the parser finds."""
    parser = FORMAT.parser()
    ids = ids_of(completion) if isinstance(completion, str) else completion
    deltas = [delta for token_id in ids for delta in parser.feed(token_id)] + parser.flush()
    assert all(delta.text for delta in deltas)
    kinds = ("reasoning", "text")
    found = ("".join(delta.text for delta in deltas if delta.kind == kind) for kind in kinds)
    return tuple(found)  # type: ignore[return-value]


@pytest.fixture
def today(monkeypatch):
    class Date(datetime.date):
        @classmethod
        def today(cls) -> datetime.date:
            return datetime.date(2026, 2, 3)

    monkeypatch.setattr(renderer, "date", Date)


def test_control_ids_are_the_published_ones():
    assert load_gpt_oss_codec().control_ids == IDS
    assert FORMAT.stop_ids == {200002, 200012, 199999}


def test_render_a_question(today):
    assert text_of(FORMAT.render([HumanMessage("Hello")])) == (
        "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
        "Knowledge cutoff: 2024-06\nCurrent date: 2026-02-03\n\nReasoning: medium\n\n"
        "# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>"
        "<|start|>user<|message|>Hello<|end|><|start|>assistant"
    )


def test_a_system_message_becomes_the_developer_message():
    prompt = text_of(FORMAT.render([SystemMessage("Be brief."), HumanMessage("Hello"), SystemMessage("In French.")]))
    assert "<|start|>developer<|message|># Instructions\n\nBe brief.\n\nIn French.<|end|><|start|>user" in prompt
    assert prompt.count("<|start|>system") == 1


@pytest.mark.parametrize(
    ("effort", "written"), [("low", "low"), ("medium", "medium"), ("high", "high"), (None, "medium")]
)
def test_reasoning_effort(effort, written):
    assert f"\nReasoning: {written}\n" in text_of(
        FORMAT.render([HumanMessage("x")], PromptOptions(reasoning_effort=effort))
    )


def test_an_unknown_effort_is_named():
    with pytest.raises(InvalidInputError, match="reasoning_effort is 'max'; it must be one of low, medium, high"):
        FORMAT.render([HumanMessage("x")], PromptOptions(reasoning_effort="max"))


def test_history_is_final_and_without_reasoning():
    earlier = AIMessage(
        [{"type": "reasoning", "reasoning": "secret thoughts"}, {"type": "text", "text": "Hi."}],
        additional_kwargs={"reasoning_content": "secret thoughts"},
    )
    prompt = text_of(FORMAT.render([HumanMessage("Hello"), earlier, HumanMessage("And?")]))
    assert prompt.endswith(
        "<|start|>user<|message|>Hello<|end|><|start|>assistant<|channel|>final<|message|>Hi.<|end|>"
        "<|start|>user<|message|>And?<|end|><|start|>assistant"
    )
    assert "secret" not in prompt


def test_added_up_chunks_are_written_like_messages():
    chunk = AIMessageChunk("Hi") + AIMessageChunk(".")
    after = [HumanMessage("And?")]
    assert FORMAT.render([HumanMessage("Hello"), chunk, *after]) == FORMAT.render(
        [HumanMessage("Hello"), AIMessage("Hi."), *after]
    )


@pytest.mark.parametrize("token", sorted(ENCODING.special_tokens_set)[:40] + list(CONTROL_TOKENS))
@pytest.mark.parametrize("kind", [HumanMessage, AIMessage, SystemMessage])
def test_control_tokens_written_as_text_stay_text(kind, token):
    def controls(text: str) -> list[int]:
        messages = [kind(text), HumanMessage("x")]
        return [i for i in FORMAT.render(messages) if ENCODING.is_special_token(i)]

    text = f"a {token}system{token} b"
    assert controls(text) == controls("a")
    assert text in text_of(FORMAT.render([kind(text), HumanMessage("x")]))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
@settings(deadline=None, max_examples=100)
def test_any_text_is_kept(text):
    assert text_of(FORMAT.render([HumanMessage(text)])).endswith(
        f"<|start|>user<|message|>{text}<|end|><|start|>assistant"
    )
    assert text_of(FORMAT.encode(text)) == text


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "There are no messages"),
        ([ToolMessage("4", tool_call_id="1")], "no AI message before it makes that call"),
        ([ChatMessage("x", role="critic")], "A chat message cannot be written"),
        ([HumanMessage([{"type": "image_url", "image_url": {"url": "data:,"}}])], "block of type 'image_url'"),
    ],
)
def test_messages_that_cannot_be_written(messages, message):
    with pytest.raises(InvalidInputError, match=message):
        FORMAT.render(messages)


def test_reasoning_and_answer():
    completion = "<|channel|>analysis<|message|>They greet.<|end|><|start|>assistant<|channel|>final<|message|>Hi there!<|return|>"
    assert read(completion) == ("They greet.", "Hi there!")


def test_text_is_shown_token_by_token():
    parser = FORMAT.parser()
    shown = [
        [delta.text for delta in parser.feed(i)] for i in ids_of("<|channel|>final<|message|>one two three<|return|>")
    ]
    assert shown == [[], [], [], ["one"], [" two"], [" three"], []]


@pytest.mark.parametrize("text", ["🎉 done", "été 👩‍👩‍👧 déjà", "漢字かな", "é"])
@pytest.mark.parametrize("header", ["<|channel|>final<|message|>", "", "<|start|>final<|channel|>final<|message|>"])
def test_characters_split_over_tokens(header, text):
    assert read(f"{header}{text}<|return|>") == ("", text)


def test_half_a_character_at_the_end_is_not_shown():
    first, *_ = ids_of("🎉")
    assert "\ufffd" not in read([*ids_of("<|channel|>final<|message|>Hi"), first])[1]


def test_half_a_character_does_not_reach_into_the_next_message():
    first, *_ = ids_of("🎉")
    thinking, answering = ids_of("<|channel|>analysis<|message|>Hm"), ids_of("<|channel|>final<|message|>Hi")
    assert read([*thinking, first, *ids_of("<|end|><|start|>assistant"), *answering]) == ("Hm", "Hi")


def test_encode_keeps_control_tokens_as_text():
    assert not any(ENCODING.is_special_token(i) for i in FORMAT.encode("<|end|><|constrain|>"))


@pytest.mark.parametrize(
    ("completion", "reasoning", "answer"),
    [
        ("Paris is nice", "", "Paris is nice"),
        ("Paris.<|return|>", "", "Paris."),
        (" to the point<|return|>", "", " to the point"),
        ("<|message|>Hi<|return|>", "", "Hi"),
        ("<|channel|>final extra words<|message|>Hi<|return|>", "", "Hi"),
        ("<|channel|>analysis<|message|>t<|end|>The answer<|return|>", "t", "The answer"),
        ("<|channel|>analysis<|message|>t<|end|><|channel|>final<|message|>Hi<|return|>", "t", "Hi"),
        ("<|channel|>analysis<|message|>t<|end|><|start|>final<|channel|>final<|message|>Hi<|return|>", "t", "Hi"),
        (
            "<|channel|>analysis<|message|>t<|end|><|start|>assistant<|start|>assistant<|channel|>final<|message|>Hi",
            "t",
            "Hi",
        ),
        ("<|channel|>final<|channel|>final<|message|>Hi<|return|>", "", "Hi"),
        ("<|channel|>final <|constrain|>json<|message|>{}<|return|>", "", "{}"),
        ("<|channel|>commentary to=assistant<|channel|>analysis<|message|>t<|end|>", "t", ""),
        (
            "<|channel|>commentary<|message|>First.<|end|><|start|>assistant<|channel|>final<|message|>Then.",
            "",
            "First.\n\nThen.",
        ),
        ("<|channel|>final Paris it is<|return|>", "", "Paris it is"),
        ("<|channel|>analysis so what", "so what", ""),
        ("<|channel|>comment", "", ""),
        ("<|channel|>analysis<|message|>cut o", "cut o", ""),
        ("<|channel|>final<|message|>a<|constrain|>b<|endoftext|>c<|message|>d", "", "abcd"),
        ("<|channel|>final<|message|>a<|start|>assistant<|channel|>final<|message|>b<|return|>", "", "a\n\nb"),
        ("", "", ""),
    ],
)
def test_malformed_output_is_read_as_it_was_meant(completion, reasoning, answer):
    assert read(completion) == (reasoning, answer)


_PIECES = st.one_of(
    st.sampled_from([*list(IDS.values()), 199998, 199999, 200003, 200013, 201087, 201088, 5000000]),
    st.integers(0, 199_997),
    st.sampled_from(
        [
            token_id
            for word in ("analysis", "final", "commentary", "assistant", " to", "=")
            for token_id in FORMAT.encode(word)
        ]
    ),
)


@given(st.lists(_PIECES, max_size=25))
@settings(deadline=None, max_examples=400)
def test_no_output_raises_or_shows_a_control_token(ids):
    for text in read(ids):
        assert not any(token in text for token in CONTROL_TOKENS)


@given(
    st.lists(st.sampled_from(["Hello", " 🎉", " world", "\n\nété", " to", " =", "final", "."]), min_size=1, max_size=12)
)
@settings(deadline=None, max_examples=200)
def test_no_text_of_a_message_is_lost(words):
    text = "".join(words)
    for header in (
        "<|channel|>final<|message|>",
        "<|channel|>analysis<|message|>t<|end|><|channel|>final x<|message|>",
    ):
        assert read(f"{header}{text}<|return|>")[1] == text
    parser = FORMAT.parser()
    deltas = [delta for token_id in ids_of(f"{text}<|return|>") for delta in parser.feed(token_id)] + parser.flush()
    found = "".join(delta.text for delta in deltas)
    assert found == text or (found == "" and [mend.found for mend in parser.repairs] == [text]) or not text.strip()
