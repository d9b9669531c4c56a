"""The decoder in C against transformers' modules."""

import copy

import pytest
import torch
from transformers import DynamicCache

from langchain_gptoss.engine import GenerationRequest, SamplingParams
from langchain_gptoss.engine.kernels.native import get_kernel_status
from langchain_gptoss.engine.runners import local, native_decode
from langchain_gptoss.engine.runners.local import LocalEngine
from langchain_gptoss.errors import KernelError


@pytest.fixture
def int8_model(load_packed):
    if (status := get_kernel_status()).level == "none":
        pytest.skip(f"there is no CPU kernel: {status.reason}")
    return load_packed()


@pytest.mark.parametrize("prompt_length", [1, 15, 16, 17, 40])
def test_decoder_gives_the_logits_of_transformers_modules(int8_model, draw_ids, monkeypatch, prompt_length):
    """The answer exceeds several windows of 16, and the cache grows several times."""
    monkeypatch.setattr(native_decode, "MIN_GROWTH_TOKENS", 7)
    decoder, prompt_cache = native_decode.create_decoder(int8_model), DynamicCache(config=int8_model.config)
    options = {local._find_cache_argument(int8_model): prompt_cache}
    with torch.inference_mode():
        int8_model(input_ids=draw_ids(prompt_length), **options)
        cache = decoder.create_cache(copy.deepcopy(prompt_cache), max_tokens=prompt_length + 40)
        for token_id in draw_ids(40)[0].tolist():
            expected = int8_model(input_ids=torch.tensor([[token_id]]), **options).logits[0, -1]
            logits = decoder.decode_token(cache, token_id)
            assert (logits - expected).norm() < 1e-3 * expected.norm()
    assert cache.position == prompt_length + 40


def test_only_packed_int8_models_have_a_decoder(load_packed, int8_model, monkeypatch):
    assert native_decode.create_decoder(load_packed(dtype="float32")) is None
    assert native_decode.create_decoder(int8_model) is not None
    monkeypatch.setattr(native_decode, "get_cpu_kernel", lambda: None)
    assert native_decode.create_decoder(int8_model) is None


def test_engine_with_the_decoder_makes_no_forward_pass_per_token(int8_model, draw_ids, monkeypatch):
    """Both ways agree within rounding, so the likeliest token may differ only where two are nearly as likely."""
    request = GenerationRequest(
        prompt_ids=tuple(draw_ids(21)[0].tolist()), sampling=SamplingParams(temperature=0, max_tokens=30, logprobs=2)
    )
    answers = []
    for create_decoder in (native_decode.create_decoder, lambda _: None):
        monkeypatch.setattr(local, "create_decoder", create_decoder)
        engine = LocalEngine(int8_model, context_length=512)
        stream = engine.submit(request)
        answers.append([(token_id, stream.logprobs) for token_id in stream])
        assert engine.steps == 30
        engine.close()
    for (native_id, native), (module_id, module) in zip(*answers, strict=True):
        assert native.chosen == pytest.approx(module.chosen, abs=0.05)
        if native_id != module_id:
            assert module.top[0][1] == pytest.approx(module.top[1][1], abs=0.05)
            break  # the answers are different texts from here on


def test_engine_on_packed_weights_repeats_its_greedy_answer(packed_checkpoint, int8_model):
    engine = LocalEngine(int8_model, context_length=512)
    request = GenerationRequest(prompt_ids=(5, 9, 44), sampling=SamplingParams(temperature=0, max_tokens=20))
    assert list(engine.submit(request)) == list(engine.submit(request))
    engine.close()


def create_filled_cache(decoder, model, draw_ids):
    prompt_cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        model(input_ids=draw_ids(20), **{local._find_cache_argument(model): prompt_cache})
    return decoder.create_cache(prompt_cache, max_tokens=60)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        *(("model", field, 0) for field in ("layer_count", "heads", "kv_heads", "head_dim", "expert_count", "active")),
        *(("model", field, 48) for field in ("hidden_size", "intermediate_size", "head_dim", "active")),
        ("model", "kv_heads", 3),
        ("model", "expert_count", 1025),
        ("model", "vocabulary", 5),
        ("cache", "position", -1),
        ("cache", "position", 10_000),
        ("cache", "rotation_size", 1),
        ("cache", "rotation_size", 16),
        ("cache", "logit_count", 1),
    ],
)
def test_the_c_code_refuses_sizes_that_do_not_fit_together(int8_model, draw_ids, monkeypatch, part, field, value):
    decoder = native_decode.create_decoder(int8_model)
    cache = create_filled_cache(decoder, int8_model, draw_ids)
    if part == "model":
        setattr(decoder._arguments, field, value)
    else:
        decode = decoder._kernel.decode_token

        def decode_with_wrong_size(model, arguments, token_id, logits):
            setattr(arguments._obj, field, value)
            decode(model, arguments, token_id, logits)

        monkeypatch.setattr(decoder._kernel, "decode_token", decode_with_wrong_size)
    with pytest.raises(KernelError, match="sizes of a model's parts do not fit together"):
        decoder.decode_token(cache, 5)


@pytest.mark.parametrize("token_id", [-1, 200, 2**40])
def test_tokens_without_an_embedding_are_refused(int8_model, draw_ids, token_id):
    decoder = native_decode.create_decoder(int8_model)
    with pytest.raises(KernelError, match="do not fit together"):
        decoder.decode_token(create_filled_cache(decoder, int8_model, draw_ids), token_id)


@pytest.mark.parametrize(
    ("field", "value"),
    [("num_attention_heads", 8), ("num_key_value_heads", 1), ("num_local_experts", 8), ("hidden_size", 96)],
)
def test_a_config_that_differs_from_the_weights_is_refused(int8_model, monkeypatch, field, value):
    monkeypatch.setattr(int8_model.config, field, value)
    with pytest.raises(KernelError, match=r"expects .* of shape \["):
        native_decode.create_decoder(int8_model)
