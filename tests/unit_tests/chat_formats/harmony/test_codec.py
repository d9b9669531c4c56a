"""Vocabularies of harmony: the published one, and that of a checkpoint."""

import pytest

from langchain_gptoss.chat_formats.harmony.codec import CONTROL_TOKENS, TokenizerCodec, load_gpt_oss_codec
from tests.unit_tests.chat_formats.byte_tokenizer import build_tokenizer

CODEC = load_gpt_oss_codec()


def test_control_ids_are_the_published_ones():
    assert CODEC.control_ids == {
        "<|start|>": 200006,
        "<|message|>": 200008,
        "<|channel|>": 200005,
        "<|end|>": 200007,
        "<|return|>": 200002,
        "<|call|>": 200012,
        "<|constrain|>": 200003,
        "<|endoftext|>": 199999,
    }
    assert CODEC.stop_ids == {200002, 200012, 199999}


def test_control_tokens_and_unknown_ids_have_no_bytes():
    assert CODEC.decode_token(200006) is None
    assert CODEC.decode_token(5_000_000) is None
    assert CODEC.decode_token(CODEC.encode("Hi")[0]) == b"Hi"


@pytest.mark.parametrize("unit", ["^", " ", "a", "\n", "é", "🙂"])
def test_long_runs_of_one_character_are_encoded_in_linear_time(unit):
    """The library alone needs seconds to a minute for each of these and fails at a million characters."""
    text = unit * 50_000
    ids = CODEC.encode(text)
    assert b"".join(CODEC.decode_token(token_id) for token_id in ids).decode() == text


def test_codec_of_a_checkpoint_uses_its_own_ids():
    codec = TokenizerCodec(build_tokenizer(special=[*CONTROL_TOKENS, "<|endoftext|>", "<|other|>"]))
    assert codec.control_ids == {name: index for index, name in enumerate([*CONTROL_TOKENS, "<|endoftext|>"])}
    assert codec.stop_ids == {5, 6, 7}
    ids = codec.encode("été <|end|>")
    assert not set(ids) & set(range(9))
    assert b"".join(codec.decode_token(token_id) for token_id in ids).decode() == "été <|end|>"
    assert codec.decode_token(8) is None
    assert codec.decode_token(5_000_000) is None
