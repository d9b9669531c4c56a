"""Converted checkpoints have the logits of the dense model; stopped conversions go on; other models are refused."""

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, GptOssForCausalLM

from langchain_gptoss.engine.batch import Batch, SequenceChunk
from langchain_gptoss.engine.checkpoint_tensors import dequantize_int8
from langchain_gptoss.engine.kernels.mxfp4 import dequantize_mxfp4
from langchain_gptoss.engine.kernels.native import get_cpu_kernel
from langchain_gptoss.engine.loading import load_model, plan_checkpoint
from langchain_gptoss.engine.runners.native import NativeRunner
from langchain_gptoss.engine.runners.native_weights import NativeFormats
from langchain_gptoss.errors import CheckpointError, DamagedCheckpointError, InvalidInputError
from langchain_gptoss.models.checkpoint import check_checkpoint
from langchain_gptoss.models.conversion import convert as convert_module
from langchain_gptoss.models.conversion.convert import convert_checkpoint
from langchain_gptoss.models.packing.unpacking import unpack_int4
from langchain_gptoss.models.shapes import parse_shape
from tests.unit_tests.models.checkpoint_files import change_json
from tests.unit_tests.models.conversion.dense_models import (
    IDS,
    TOKENS,
    build_llama,
    build_qwen2,
    round_weights,
    save_folder,
    save_gguf,
)

LLAMA3_ROTATION = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
MODELS = {
    "llama": lambda: build_llama(),
    "llama, tied, one KV head": lambda: build_llama(tie_word_embeddings=True, num_key_value_heads=1),
    "llama, all biases": lambda: build_llama(attention_bias=True, mlp_bias=True),
    "llama, heads of another width": lambda: build_llama(head_dim=32),
    "llama, rotation of 3.2": lambda: build_llama(rope_parameters=LLAMA3_ROTATION),
    "qwen2": lambda: build_qwen2(),
    "qwen2, tied": lambda: build_qwen2(tie_word_embeddings=True),
    "qwen2, a width that experts cannot share": lambda: build_qwen2(intermediate_size=250),
}


def compute_logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(IDS).logits[0]


def load_converted(folder: Path) -> GptOssForCausalLM:
    check_checkpoint(folder)
    return GptOssForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()


def load_unpacked(folder: Path) -> GptOssForCausalLM:
    """Load a checkpoint with the engine's loader for transformers' modules, in float32."""
    return load_model(folder, plan_checkpoint(folder, device="cpu", dtype="float32"))


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def assert_logits_are_equal(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert expected.abs().max() > 1
    assert (found - expected).abs().max() < 2e-5 * expected.abs().max()


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(1)
    return MODELS[request.param]()


@pytest.fixture
def qwen2() -> Any:
    torch.manual_seed(1)
    return build_qwen2()


def test_a_folder_is_converted_without_loss(model, tmp_path):
    folder = convert_checkpoint(save_folder(model, tmp_path / "dense"), tmp_path / "new", experts="float32")
    assert_logits_are_equal(compute_logits(load_converted(folder)), compute_logits(model))


def test_bfloat16_weights_are_converted_without_loss(model, tmp_path):
    source = save_folder(model, tmp_path / "dense", torch.bfloat16)  # this rounds the model's weights
    folder = convert_checkpoint(source, tmp_path / "new", experts="bf16")
    assert {tensor.dtype for tensor in load_weights(folder).values()} == {torch.bfloat16}
    if model.config.model_type == "llama" and model.config.mlp_bias:
        # The bias of up, less 1, is rounded.
        torch.testing.assert_close(compute_logits(load_converted(folder)), compute_logits(model), atol=0.05, rtol=0.05)
    else:
        assert_logits_are_equal(compute_logits(load_converted(folder)), compute_logits(model))


@pytest.mark.parametrize("kind", ["F32", "F16"])
@pytest.mark.parametrize("build", [build_llama, build_qwen2])
@pytest.mark.parametrize("tied", [True, False])
def test_a_gguf_file_is_converted_without_loss(build, tied, kind, tmp_path):
    torch.manual_seed(1)
    model = build(tie_word_embeddings=tied)
    if kind == "F16":
        round_weights(model, torch.float16)
    file = save_gguf(model, tmp_path / "dense.gguf", gguf.GGMLQuantizationType[kind])
    converted = load_converted(convert_checkpoint(file, tmp_path / "new", experts="float32"))
    assert converted.config.tie_word_embeddings == tied
    assert_logits_are_equal(compute_logits(converted), compute_logits(model))


def test_a_gguf_file_with_quantized_matrices_is_converted(qwen2, tmp_path):
    kind = gguf.GGMLQuantizationType.Q8_0
    file = save_gguf(qwen2, tmp_path / "dense.gguf", kind)
    with torch.no_grad():
        for parameter in qwen2.parameters():
            if parameter.ndim > 1:
                values = gguf.quantize(parameter.numpy(), kind)
                parameter.copy_(torch.from_numpy(gguf.dequantize(values, kind)))
    converted = load_converted(convert_checkpoint(file, tmp_path / "new", experts="float32"))
    assert_logits_are_equal(compute_logits(converted), compute_logits(qwen2))


def test_two_roundings_of_a_tied_table_become_the_finer_one(tmp_path):
    model = build_qwen2(tie_word_embeddings=True)
    table = model.state_dict()["model.embed_tokens.weight"]
    kind = gguf.GGMLQuantizationType.Q4_0
    file = save_gguf(model, tmp_path / "dense.gguf", kind, extra={"output.weight": table})
    folder = convert_checkpoint(file, tmp_path / "new", experts="float32")
    weights = load_weights(folder)
    assert "lm_head.weight" not in weights
    assert torch.equal(weights["model.embed_tokens.weight"], table)


@pytest.mark.parametrize("build", [build_llama, build_qwen2])
def test_mxfp4_experts_have_the_layout_of_published_checkpoints(build, tmp_path):
    source = save_folder(build(), tmp_path / "dense")
    exact = load_weights(convert_checkpoint(source, tmp_path / "exact", experts="float32"))
    folder = convert_checkpoint(source, tmp_path / "packed", experts="mxfp4")
    check_checkpoint(folder)
    packed = load_weights(folder)
    for layer in range(2):
        for name in ("gate_up_proj", "down_proj"):
            name = f"model.layers.{layer}.mlp.experts.{name}"
            matrices = dequantize_mxfp4(packed[f"{name}_blocks"], packed[f"{name}_scales"]).transpose(1, 2)
            expected = exact[name]
            assert matrices.shape == expected.shape
            assert (matrices - expected).norm() < 0.13 * expected.norm()
            assert torch.equal(packed[f"{name}_bias"].float(), exact[f"{name}_bias"])
    others = {name for name in exact if ".experts." not in name}
    assert all(torch.equal(packed[name], exact[name].bfloat16()) for name in others)


def test_int8_experts_are_near_the_exact_ones(qwen2, tmp_path):
    source = save_folder(qwen2, tmp_path / "dense")
    folder = convert_checkpoint(source, tmp_path / "int8", experts="int8")
    check_checkpoint(folder)
    exact = load_weights(convert_checkpoint(source, tmp_path / "exact", experts="float32"))
    rounded = load_weights(folder)
    for name in ("gate_up_proj", "down_proj"):
        name = f"model.layers.1.mlp.experts.{name}"
        matrices = dequantize_int8(rounded[f"{name}_int8"], rounded[f"{name}_scales"]).transpose(1, 2)
        assert (matrices - exact[name]).norm() < 0.01 * exact[name].norm()
    logits, expected = compute_logits(load_unpacked(folder)), compute_logits(qwen2)
    assert (logits - expected).norm() < 0.05 * expected.norm()


@pytest.mark.skipif(get_cpu_kernel() is None, reason="this machine has no CPU kernel")
def test_the_native_runner_keeps_the_values_of_int8_experts(qwen2, tmp_path):
    source = save_folder(qwen2, tmp_path / "dense")
    folder = convert_checkpoint(source, tmp_path / "int8", experts="int8")
    # The same numbers in float32, which the runner rounds to int8 itself.
    model = load_unpacked(folder)
    model.save_pretrained(tmp_path / "unpacked")
    shutil.copy(folder / "tokenizer.json", tmp_path / "unpacked")
    results = []
    for each in (folder, tmp_path / "unpacked"):
        with closing(NativeRunner(each, formats=NativeFormats())) as runner:
            runner.allocate_cache(1)
            part = SequenceChunk(token_ids=IDS[0].tolist(), start=0, block_table=range(1), logit_count=IDS.shape[1])
            results.append(runner.forward(Batch(chunks=(part,))).clone())
    assert torch.equal(*results)
    expected = compute_logits(qwen2)
    assert (results[0] - expected).norm() < 0.1 * expected.norm()


def test_int4_experts_are_near_the_exact_ones(qwen2, tmp_path):
    source = save_folder(qwen2, tmp_path / "dense")
    folder = convert_checkpoint(source, tmp_path / "int4", experts="int4")
    check_checkpoint(folder)
    exact = load_weights(convert_checkpoint(source, tmp_path / "exact", experts="float32"))
    rounded = load_weights(folder)
    for name in ("gate_up_proj", "down_proj"):
        name = f"model.layers.1.mlp.experts.{name}"
        parts = (rounded[f"{name}_{part}"] for part in ("int4", "scales", "minimums"))
        matrices = unpack_int4(*parts).transpose(1, 2)
        assert (matrices - exact[name]).norm() < 0.08 * exact[name].norm()
    logits, expected = compute_logits(load_unpacked(folder)), compute_logits(qwen2)
    assert (logits - expected).norm() < 0.4 * expected.norm()


def save_mixed_gguf(model: Any, file: Path) -> Path:
    """Save a model in four bits, with the down matrices in five, as llama.cpp's files in Q4_K_M have some in six."""
    types = gguf.GGMLQuantizationType
    return save_gguf(model, file, types.Q4_1, types={"down_proj.weight": types.Q5_0})


@pytest.mark.parametrize("width", [256, 320])  # experts cannot share the second one
def test_matrices_in_five_bits_stay_int8_beside_int4(tmp_path, width):
    torch.manual_seed(1)
    file = save_mixed_gguf(build_qwen2(intermediate_size=width), tmp_path / "dense.gguf")
    folder = convert_checkpoint(file, tmp_path / "int4", experts="int4")
    down = [f"model.layers.{layer}.mlp.experts.down_proj" for layer in range(2)]
    config = json.loads((folder / "config.json").read_text())
    assert config["quantization_config"] == {
        "quant_method": "gptoss_int4",
        "version": 1,
        "block_size": 32,
        "int8_modules": down,
    }
    weights = load_weights(folder)
    assert {name for name in weights if name.endswith("_int8")} == {f"{name}_int8" for name in down}
    assert not any(name.endswith("down_proj_int4") for name in weights)
    shape = parse_shape(config)
    stored = [name for name in weights if ".experts." in name and not name.endswith("_bias")]
    assert sum(weights[name].nbytes for name in stored) == shape.int4_expert_bytes
    # The numbers are those of the file: the engine's loader and the exact conversion have nearly the same logits.
    exact = load_converted(convert_checkpoint(file, tmp_path / "exact", experts="float32"))
    logits, expected = compute_logits(load_unpacked(folder)), compute_logits(exact)
    assert (logits - expected).norm() < 0.02 * expected.norm()


@pytest.mark.skipif(get_cpu_kernel() is None, reason="this machine has no CPU kernel")
@pytest.mark.parametrize("bits", [8, 16])
def test_the_native_runner_multiplies_with_the_values_of_int4_experts(tmp_path, bits):
    torch.manual_seed(1)
    file = save_mixed_gguf(build_qwen2(), tmp_path / "dense.gguf")
    folder = convert_checkpoint(file, tmp_path / "int4", experts="int4")
    expected = compute_logits(load_unpacked(folder))
    formats = NativeFormats(dense="bfloat16", experts="int8", expert_bits=bits)
    results = {}
    for tokens in (1, IDS.shape[1]):  # one token at a time, and all at once
        with closing(NativeRunner(folder, formats=formats)) as runner:
            runner.allocate_cache(1)
            rows = []
            for start in range(0, IDS.shape[1], tokens):
                ids = IDS[0, start : start + tokens].tolist()
                part = SequenceChunk(token_ids=ids, start=start, block_table=range(1), logit_count=tokens)
                rows.append(runner.forward(Batch(chunks=(part,))).clone())
            results[tokens] = torch.cat(rows)
    assert torch.equal(*results.values())
    error = (results[1] - expected).norm() / expected.norm()
    assert error < (0.03 if bits == 8 else 0.005)
    with closing(NativeRunner(folder, formats=NativeFormats(dense="bfloat16", experts="bfloat16"))) as runner:
        runner.allocate_cache(1)
        part = SequenceChunk(token_ids=IDS[0].tolist(), start=0, block_table=range(1), logit_count=IDS.shape[1])
        unpacked = runner.forward(Batch(chunks=(part,)))
    assert (unpacked - expected).norm() < 0.02 * expected.norm()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, r"int4 in version 2 .*reads version 1"),
        ({"block_size": 64}, "blocks of 32"),
        ({"int8_modules": "all"}, "int8_modules = 'all', which is not a list"),
    ],
)
def test_other_forms_of_the_int4_format_are_refused(qwen2, tmp_path, changes, message):
    folder = convert_checkpoint(save_folder(qwen2, tmp_path / "dense"), tmp_path / "int4", experts="int4")
    config = json.loads((folder / "config.json").read_text())
    change_json(folder / "config.json", quantization_config=config["quantization_config"] | changes)
    with pytest.raises(CheckpointError, match=message):
        plan_checkpoint(folder)


def test_other_versions_of_the_int8_format_are_refused(qwen2, tmp_path):
    folder = convert_checkpoint(save_folder(qwen2, tmp_path / "dense"), tmp_path / "int8", experts="int8")
    config = json.loads((folder / "config.json").read_text())
    assert config["quantization_config"] == {"quant_method": "gptoss_int8", "version": 1, "block_size": 32}
    change_json(folder / "config.json", quantization_config=config["quantization_config"] | {"version": 2})
    with pytest.raises(CheckpointError, match=r"version 2 .*reads version 1"):
        plan_checkpoint(folder)


def test_mxfp4_experts_run_in_the_engine(qwen2, tmp_path):
    folder = convert_checkpoint(save_folder(qwen2, tmp_path / "dense"), tmp_path / "new")
    engine_model = load_model(folder, plan_checkpoint(folder, device="cpu", dtype="float32", experts="packed"))
    logits, expected = compute_logits(engine_model), compute_logits(qwen2)
    assert torch.corrcoef(torch.stack((logits.flatten(), expected.flatten())))[0, 1] > 0.9


def test_tokenizer_template_and_end_tokens_are_kept(qwen2, tmp_path):
    source = save_folder(qwen2, tmp_path / "dense")
    change_json(source / "generation_config.json", temperature=0.3)
    folder = convert_checkpoint(source, tmp_path / "new", experts="bf16")
    assert json.loads((folder / "generation_config.json").read_text())["temperature"] == 0.3
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer("été")["input_ids"] == AutoTokenizer.from_pretrained(source)("été")["input_ids"]
    assert tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False) == "x"


def test_a_stopped_conversion_goes_on(qwen2, tmp_path, monkeypatch):
    source, target = save_folder(qwen2, tmp_path / "dense"), tmp_path / "new"
    converted = []
    convert_part = convert_module._Converter._convert_part

    def stop_at_the_last_layer(self: Any, number: int) -> Any:
        if number == 2:
            raise KeyboardInterrupt
        converted.append(number)
        return convert_part(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(convert_module._Converter, "_convert_part", stop_at_the_last_layer)
        with pytest.raises(KeyboardInterrupt):
            convert_checkpoint(source, target)
    assert not target.exists()
    (workspace,) = (path for path in tmp_path.iterdir() if path.name.startswith(".converting-"))
    with pytest.raises(DamagedCheckpointError):
        check_checkpoint(workspace)
    # What a killed run may leave: a file that was being written, and one that lost its end.
    (workspace / ".partial-model-00003-of-00003.safetensors-x").write_bytes(b"x")
    second = workspace / "model-00002-of-00003.safetensors"
    second.write_bytes(second.read_bytes()[:-1])

    def note_part(self: Any, number: int) -> Any:
        converted.append(number)
        return convert_part(self, number)

    monkeypatch.setattr(convert_module._Converter, "_convert_part", note_part)
    convert_checkpoint(source, target)
    assert converted == [0, 1, 1, 2]
    assert not workspace.exists()
    assert not list(target.glob(".*"))
    check_checkpoint(target)
    whole = load_weights(convert_checkpoint(source, tmp_path / "whole"))
    assert all(torch.equal(tensor, whole[name]) for name, tensor in load_weights(target).items())


def test_other_options_begin_again(qwen2, tmp_path, monkeypatch):
    source, target = save_folder(qwen2, tmp_path / "dense"), tmp_path / "new"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(convert_module._Converter, "_build_config", stop)
        with pytest.raises(KeyboardInterrupt):
            convert_checkpoint(source, target, experts="mxfp4")
    convert_checkpoint(source, target, experts="float32")
    assert not any(name.endswith("_blocks") for name in load_weights(target))


def test_an_existing_folder_is_not_touched(qwen2, tmp_path):
    (tmp_path / "new").mkdir()
    with pytest.raises(InvalidInputError, match="exists already"):
        convert_checkpoint(save_folder(qwen2, tmp_path / "dense"), tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_unknown_formats_and_missing_sources_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="'int5'"):
        convert_checkpoint(tmp_path, tmp_path / "new", experts="int5")  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="does not exist"):
        convert_checkpoint(tmp_path / "missing", tmp_path / "new")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "qwen3"}, r"'qwen3', which cannot be converted: .*QK norm"),
        ({"model_type": "gemma2"}, "GELU"),
        ({"model_type": "unheard_of"}, "'unheard_of', which cannot be converted"),
        ({"model_type": "gpt_oss"}, "already"),
        ({"hidden_act": "gelu"}, "activation 'gelu'"),
        ({"use_sliding_window": True, "sliding_window": 16}, "last 16 tokens"),
        ({"rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4}}, "'longrope'"),
        ({"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}, "rotates 0.5 of each head"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantized as 'awq'"),
        ({"auto_map": {"AutoModel": "x.py"}}, "auto_map"),
        ({"num_hidden_layers": 3}, "lacks"),
        ({"num_hidden_layers": 1}, "no place for"),
        ({"num_hidden_layers": "2"}, "num_hidden_layers is '2'"),
    ],
)
def test_models_that_gpt_oss_cannot_express_are_refused(qwen2, tmp_path, changes, message):
    source = save_folder(qwen2, tmp_path / "dense")
    change_json(source / "config.json", **changes)
    with pytest.raises(CheckpointError, match=message):
        convert_checkpoint(source, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_weights_without_a_place_are_refused(qwen2, tmp_path):
    source = save_folder(qwen2, tmp_path / "dense")
    save_file({"model.layers.0.self_attn.q_norm.weight": torch.ones(16)}, source / "more.safetensors")
    with pytest.raises(CheckpointError, match="no place for 1 of its weights"):
        convert_checkpoint(source, tmp_path / "new")


def test_sizes_that_mxfp4_cannot_store_are_refused(tmp_path):
    source = save_folder(build_qwen2(hidden_size=48), tmp_path / "dense")
    with pytest.raises(CheckpointError, match="multiple of 32"):
        convert_checkpoint(source, tmp_path / "new")
    convert_checkpoint(source, tmp_path / "new", experts="bf16")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"qwen2.expert_count": 8}, "experts already"),
        ({"split.count": 3}, "one of 3 parts"),
        ({"qwen2.rope.scaling.type": "longrope"}, "'longrope'"),
        ({"qwen2.rope.dimension_count": 8}, "rotates 0.5 of each head"),
    ],
)
def test_gguf_files_that_gpt_oss_cannot_express_are_refused(qwen2, tmp_path, fields, message):
    file = save_gguf(qwen2, tmp_path / "dense.gguf", fields=fields)
    with pytest.raises(CheckpointError, match=message):
        convert_checkpoint(file, tmp_path / "new")


def test_rotations_of_llama3_are_recognized_in_gguf_files(tmp_path):
    torch.manual_seed(1)
    model = build_llama(rope_parameters=LLAMA3_ROTATION)
    frequencies = model.model.rotary_emb.inv_freq
    plain = build_llama(rope_parameters={"rope_type": "default", "rope_theta": 500_000.0}).model.rotary_emb.inv_freq
    file = save_gguf(model, tmp_path / "dense.gguf", extra={"rope_freqs.weight": plain / frequencies})
    converted = load_converted(convert_checkpoint(file, tmp_path / "new", experts="float32"))
    assert_logits_are_equal(compute_logits(converted), compute_logits(model))
    file = save_gguf(model, tmp_path / "other.gguf", extra={"rope_freqs.weight": torch.full((8,), 3.0)})
    with pytest.raises(CheckpointError, match="rotation frequencies"):
        convert_checkpoint(file, tmp_path / "other")


def test_tokenizers_of_gguf_files_split_as_qwen2_does(qwen2, tmp_path):
    folder = convert_checkpoint(save_gguf(qwen2, tmp_path / "dense.gguf"), tmp_path / "new", experts="bf16")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "the cafe\u0301  12\n\n<|im_end|>"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids)[-1] == "<|im_end|>"
    assert tokenizer.decode(ids) == "the café  12\n\n<|im_end|>"  # NFC joins the accent
    assert max(ids) < len(TOKENS) + 2
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == [1]
