"""The parser of output that is no conversation."""

import pytest

from langchain_gptoss.chat_formats import load_chat_format

HARMONY = load_chat_format(None, "harmony")


def encode(text: str) -> list[int]:
    from openai_harmony import HarmonyEncodingName, load_harmony_encoding

    return load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS).encode(text, allowed_special="all")


def parse(token_ids: list[int]) -> str:
    parser = HARMONY.build_text_parser()
    deltas = [delta for token_id in token_ids for delta in parser.feed(token_id)] + parser.flush()
    assert {delta.kind for delta in deltas} <= {"text"}
    assert (dict(parser.call_errors), parser.is_call_cut, parser.repairs) == ({}, False, [])
    return "".join(delta.text for delta in deltas)


@pytest.mark.parametrize(
    "text",
    [
        "Once upon a time",
        '{"name": "find", "arguments": {}}',
        "assistantfinal",
        "é 👩‍👩‍👧 日本語",
        "<|start|>assistant<|channel|>analysis<|message|>Hm.<|end|><|start|>user<|message|>Hi",
        "<|channel|>commentary to=functions.find<|message|>{}",
    ],
)
def test_everything_is_text(text):
    assert parse(encode(text)) == text


def test_the_token_that_ends_the_turn_is_left_out():
    assert parse(encode("a<|return|>")) == "a"
    assert parse(encode("a<|call|>")) == "a"


def test_an_incomplete_character_is_marked():
    token_ids = encode("👩‍👩‍👧")
    cut = parse(token_ids[:1])
    assert cut == "\ufffd" or "👩‍👩‍👧".startswith(cut)
    assert parse([*token_ids[:1], *encode("<|end|>")]).endswith("<|end|>")
