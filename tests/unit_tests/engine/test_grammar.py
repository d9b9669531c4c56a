"""Constrained decoding on real llguidance: a model with random weights keeps to harmony and to the schema."""

import json
from pathlib import Path

import pytest
import torch
from langchain_core.messages import HumanMessage
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import GptOssConfig, GptOssForCausalLM, PreTrainedTokenizerFast

from langchain_gptoss import ChatGptOss
from langchain_gptoss.chat_formats.harmony import CONTROL_TOKENS
from langchain_gptoss.engine.grammar import check_grammar
from langchain_gptoss.engine.registry import close_all
from langchain_gptoss.errors import InvalidInputError


@pytest.fixture(scope="module")
def harmony_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint that speaks harmony at ids of its own: one byte a token, controls from 0."""
    folder = tmp_path_factory.mktemp("harmony") / "tiny-harmony"
    special = [*CONTROL_TOKENS, "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(folder)
    torch.manual_seed(1)
    config = GptOssConfig(
        num_hidden_layers=1, layer_types=["full_attention"], num_local_experts=2, num_experts_per_tok=1,
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=32, num_attention_heads=2, num_key_value_heads=1,
        head_dim=16, max_position_embeddings=4096, rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    )  # fmt: skip
    GptOssForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(harmony_checkpoint: Path):
    yield ChatGptOss(model=harmony_checkpoint, temperature=1.0, max_tokens=400)
    close_all()


SCHEMA = {
    "title": "Pick",
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}, "sure": {"type": "boolean"}},
    "required": ["colour", "sure"],
}


def test_a_fine_tune_s_own_vocabulary_speaks_harmony(tiny):
    assert type(tiny.format).__name__ == "HarmonyFormat"
    assert tiny.format.stop_ids == {5, 6, 7}
    ids = tiny.format.render([HumanMessage("hi <|end|>")])
    assert ids.count(4) == 2  # system and user end; what the user wrote is text
    parser = tiny.format.parser(["f"])
    written = [2, *tiny.format.encode("commentary to=functions.f"), 1, *tiny.format.encode("{}"), 6]
    deltas = [delta for token_id in written for delta in parser.feed(token_id)]
    assert "".join(delta.text for delta in deltas) == "{}"
    assert deltas[0].name == "f"


@pytest.mark.parametrize("seed", range(5))
def test_random_weights_keep_to_the_schema(tiny, seed):
    result = tiny.with_structured_output(SCHEMA, include_raw=True).invoke("Pick", seed=seed)
    raw = result["raw"]
    assert "repairs" not in raw.response_metadata
    if raw.response_metadata["finish_reason"] == "stop":
        assert result["parsed"], raw
        assert result["parsed"]["colour"] in {"red", "green"}


@pytest.mark.parametrize("seed", range(5))
def test_random_weights_keep_to_a_demanded_call(tiny, seed):
    tools = [{"title": "pick", "description": "Picks.", **{k: v for k, v in SCHEMA.items() if k != "title"}}]
    message = tiny.bind_tools(tools, tool_choice="any").invoke("Pick", seed=seed)
    if message.response_metadata["finish_reason"] != "length":
        assert message.response_metadata["finish_reason"] == "tool_calls"
        assert message.tool_calls[0]["args"]["colour"] in {"red", "green"}


def test_log_probabilities_are_the_model_s(tiny):
    message = tiny.with_structured_output(SCHEMA, include_raw=True).invoke("Pick", seed=1, top_logprobs=3)["raw"]
    for entry in message.response_metadata.get("logprobs", {}).get("content", []):
        assert entry["logprob"] <= 0
        assert [other["logprob"] for other in entry["top_logprobs"]] == sorted(
            (other["logprob"] for other in entry["top_logprobs"]), reverse=True
        )


def test_a_grammar_that_cannot_be_followed_is_said():
    with pytest.raises(InvalidInputError, match="cannot be held to this schema"):
        check_grammar(f"start: %json {json.dumps({'type': 'object', 'properties': {'a': {'type': 'strnig'}}})}\n")
