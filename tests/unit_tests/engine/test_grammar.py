"""Constrained decoding with llguidance: whatever a model with random weights samples, the grammar accepts it.

The text differs between processors, because rounding differs. No test may depend on it.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from langchain_core.messages import HumanMessage
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import GptOssConfig, GptOssForCausalLM, PreTrainedTokenizerFast

from langchain_gptoss import ChatGptOss
from langchain_gptoss.chat_formats.harmony import CONTROL_TOKENS
from langchain_gptoss.engine import GenerationRequest, Grammar, SamplingParams, TokenStream
from langchain_gptoss.engine.grammar import GrammarTokenizer, check_grammar
from langchain_gptoss.engine.registry import close_all
from langchain_gptoss.errors import GptOssError, InvalidInputError

from tests import scale  # isort: skip


SPECIAL = [*CONTROL_TOKENS, "<|endoftext|>"]
TOKENS = {token: number for number, token in enumerate([*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
VOCABULARY_SIZE = len(TOKENS)


@pytest.fixture(scope="module")
def harmony_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint with harmony's control tokens at ids from 0, and one token per byte."""
    folder = tmp_path_factory.mktemp("harmony") / "tiny-harmony"
    tokenizer = Tokenizer(models.BPE(vocab=TOKENS, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(folder)
    torch.manual_seed(1)
    config = GptOssConfig(
        num_hidden_layers=1, layer_types=["full_attention"], num_local_experts=2, num_experts_per_tok=1,
        vocab_size=VOCABULARY_SIZE, hidden_size=32, intermediate_size=32, num_attention_heads=2, num_key_value_heads=1,
        head_dim=16, max_position_embeddings=4096, rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    )  # fmt: skip
    GptOssForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def llm(harmony_checkpoint: Path) -> Iterator[ChatGptOss]:
    yield ChatGptOss(model=harmony_checkpoint, temperature=1.0, max_tokens=400)
    close_all()


@pytest.fixture
def tokenizer(harmony_checkpoint: Path) -> GrammarTokenizer:
    return GrammarTokenizer(harmony_checkpoint, vocabulary_size=VOCABULARY_SIZE)


@pytest.fixture
def answers(llm: ChatGptOss, monkeypatch: pytest.MonkeyPatch) -> list[tuple[GenerationRequest, list[int]]]:
    """Records the requests to the engine and the tokens of the answers."""
    engine = llm.running_engine
    records: list[tuple[GenerationRequest, list[int]]] = []

    def submit(request: GenerationRequest) -> TokenStream:
        token_ids: list[int] = []
        records.append((request, token_ids))
        stream = type(engine).submit(engine, request)
        put_all = stream.put_all
        monkeypatch.setattr(
            stream, "put_all", lambda tokens: (token_ids.extend(token_id for token_id, _ in tokens), put_all(tokens))
        )
        return stream

    monkeypatch.setattr(engine, "submit", submit)
    return records


SCHEMA = {
    "title": "Pick",
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}, "sure": {"type": "boolean"}},
    "required": ["colour", "sure"],
}


def check_answer(tokenizer: GrammarTokenizer, request: GenerationRequest, token_ids: list[int]) -> bool:
    """Asserts that the grammar allows each token after the ones before it; returns True if the answer is complete."""
    matcher = tokenizer.create_matcher(request.grammar, stop_ids=request.stop_ids)
    is_complete = False
    for token_id in token_ids:
        assert not is_complete
        assert matcher.mask_logits(np.zeros(VOCABULARY_SIZE, dtype=np.float32))[token_id] == 0
        is_complete = matcher.accept_token(token_id)
    return is_complete or token_ids[-1] in request.stop_ids


def test_vocabulary_of_a_fine_tuned_model_works_with_harmony(llm):
    assert type(llm.format).__name__ == "HarmonyFormat"
    assert llm.format.stop_ids == {5, 6, 7}
    ids = llm.format.render([HumanMessage("hi <|end|>")])
    assert ids.count(4) == 2  # the ends of the system and the user message; the user's own <|end|> is text


@pytest.mark.parametrize("max_tokens", [7, 400])
@pytest.mark.parametrize("seed", range(scale(20, minimum=4)))
def test_structured_output_follows_the_grammar(llm, tokenizer, answers, seed, max_tokens):
    llm = llm.model_copy(update={"seed": seed, "max_tokens": max_tokens})
    result = llm.with_structured_output(SCHEMA, include_raw=True).invoke("Pick")
    ((request, token_ids),) = answers
    is_complete = check_answer(tokenizer, request, token_ids)
    assert is_complete or len(token_ids) == max_tokens
    if is_complete:
        assert result["parsed"]["colour"] in {"red", "green"}


@pytest.mark.parametrize("max_tokens", [7, 400])
@pytest.mark.parametrize("seed", range(scale(20, minimum=4)))
def test_required_tool_call_follows_the_grammar(llm, tokenizer, answers, seed, max_tokens):
    tools = [{"title": "pick", "description": "Picks.", **{k: v for k, v in SCHEMA.items() if k != "title"}}]
    message = llm.bind_tools(tools, tool_choice="any").invoke("Pick", seed=seed, max_tokens=max_tokens)
    ((request, token_ids),) = answers
    is_complete = check_answer(tokenizer, request, token_ids)
    assert is_complete or len(token_ids) == max_tokens
    if is_complete:
        assert message.response_metadata["finish_reason"] == "tool_calls"
        assert message.tool_calls[0]["args"]["colour"] in {"red", "green"}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("parallel", [True, False])
def test_call_that_ends_with_its_grammar_is_complete(llm, seed, parallel):
    """Formats without calls of their own write no stop token after the JSON of a call."""
    tools = [{"name": "pick", "parameters": {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}}]
    model = llm.model_copy(update={"chat_format": "plain"}).bind_tools(tools, tool_choice="any", strict=True)
    message = model.invoke("Pick", seed=seed, parallel_tool_calls=parallel)
    if message.usage_metadata["output_tokens"] < llm.max_tokens:
        assert message.response_metadata["finish_reason"] == "tool_calls"
        assert message.invalid_tool_calls == []
        assert message.tool_calls[0]["args"] == {"a": 1}


def test_logprobs_are_those_before_masking(llm, answers):
    request = GenerationRequest(
        prompt_ids=(3, 4),
        sampling=SamplingParams(max_tokens=5, logprobs=3, seed=1),
        grammar=Grammar(lark='start: "abcde"'),
    )
    stream = llm.running_engine.submit(request)
    logprobs = [stream.logprobs for _ in stream]
    assert len(logprobs) == 5
    for entry in logprobs:
        assert entry.chosen < 0  # only one token is allowed, so it would be 0 after masking
        assert [value for _, value in entry.top] == sorted((value for _, value in entry.top), reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_stop_tokens_belong_to_the_request(llm, seed):
    """Two chat formats that share an engine may have different stop tokens."""
    for stop_id in (5, 6):
        request = GenerationRequest(
            prompt_ids=(3, 4),
            sampling=SamplingParams(max_tokens=40, seed=seed),
            stop_ids=frozenset({stop_id}),
            grammar=Grammar(lark="start: /a*/"),
        )
        assert set(llm.running_engine.submit(request)) <= {TOKENS["a"], stop_id}


def test_matchers_of_one_tokenizer_allow_their_own_stop_tokens(tokenizer):
    for stop_id, other in ((5, 6), (6, 5)):
        matcher = tokenizer.create_matcher(Grammar(lark="start: /a*/"), stop_ids=frozenset({stop_id}))
        matcher.accept_token(TOKENS["a"])
        mask = matcher.mask_logits(np.zeros(VOCABULARY_SIZE, dtype=np.float32))
        assert mask[stop_id] == 0
        assert mask[other] == -np.inf


def test_unsupported_schema_is_rejected():
    schema = {"type": "object", "properties": {"a": {"type": "strnig"}}}
    with pytest.raises(InvalidInputError, match=r"cannot be constrained to this schema.*pass strict=False"):
        check_grammar(f"start: %json {json.dumps(schema)}\n")


def test_failure_of_the_matcher_is_an_error(tokenizer):
    matcher = tokenizer.create_matcher(Grammar(lark='start: "ab"'), stop_ids=frozenset({5}))
    matcher.accept_token(TOKENS["b"])  # not allowed
    with pytest.raises(GptOssError, match="llguidance cannot follow the grammar"):
        matcher.mask_logits(np.zeros(VOCABULARY_SIZE, dtype=np.float32))
