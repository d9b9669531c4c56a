"""The random checkpoint of the benchmarks has the published layout, and its GGUF file is the same model."""

import importlib
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from openai_harmony import HarmonyEncodingName, load_harmony_encoding
from safetensors import safe_open
from transformers import AutoTokenizer, GptOssConfig, GptOssForCausalLM, Mxfp4Config

from langchain_gptoss.models.checkpoint import check_checkpoint
from langchain_gptoss.models.safetensors_files import list_weight_files
from langchain_gptoss.models.shapes import SHAPES, parse_shape
from tests import ROOT

BENCHMARKS = ROOT / "benchmarks"


def run_script(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "make_checkpoint.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "tiny"
    result = run_script("--shape", "tiny", "--out", str(folder), "--gguf", str(folder.with_suffix(".gguf")))
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def loaded_model(tiny):
    """The model, unpacked by transformers, and its loading report."""
    return GptOssForCausalLM.from_pretrained(
        tiny, dtype=torch.float32, quantization_config=Mxfp4Config(dequantize=True), output_loading_info=True
    )


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("make_checkpoint")


def read_tensors(folder):
    tensors = {}
    for file in list_weight_files(folder):
        with safe_open(file, framework="pt") as shard:
            tensors |= {name: shard.get_tensor(name) for name in shard.keys()}  # noqa: SIM118
    return tensors


def test_tensors_match_those_of_transformers(tiny, loaded_model):
    model, report = loaded_model
    assert not any(report.values())
    tensors, expected = read_tensors(tiny), model.state_dict()
    for name, tensor in tensors.items():
        if name.endswith(("_blocks", "_scales")):
            assert tensor.dtype == torch.uint8
            unpacked = expected[name.removesuffix("_blocks").removesuffix("_scales")]
            experts, columns, rows = unpacked.shape  # transformers keeps the experts transposed
            groups = (experts, rows, columns // 32)
            assert tensor.shape == (groups if name.endswith("_scales") else (*groups, 16))
        else:
            assert tensor.dtype == torch.bfloat16
            assert torch.equal(tensor.float(), expected[name])
    plain = {name for name in tensors if not name.endswith(("_blocks", "_scales"))}
    packed = {name.removesuffix("_blocks") for name in tensors if name.endswith("_blocks")}
    assert plain | packed == set(expected)
    assert packed == {name.removesuffix("_scales") for name in tensors if name.endswith("_scales")}


def test_activations_stay_near_one_in_all_layers(loaded_model):
    model, _ = loaded_model
    with torch.inference_mode():
        output = model(torch.arange(200)[None], output_hidden_states=True)
    assert output.logits.isfinite().all()
    assert 0.3 < output.logits.std() < 3
    assert all(0.3 < hidden.std() < 5 for hidden in output.hidden_states)


def test_files_agree_with_their_headers_and_the_index(tiny):
    check_checkpoint(tiny)
    for file in list_weight_files(tiny):
        data = file.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        offsets = [tensor["data_offsets"] for name, tensor in header.items() if name != "__metadata__"]
        assert start % 8 == 0
        assert [0, *(end for _, end in offsets)] == [*(begin for begin, _ in offsets), len(data) - start]
    index = json.loads((tiny / "model.safetensors.index.json").read_text())
    tensors = read_tensors(tiny)
    assert index["weight_map"].keys() == tensors.keys()
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in tensors.values())
    assert [file.name for file in list_weight_files(tiny)] == [f"model-0000{n}-of-00002.safetensors" for n in range(3)]
    for name, file in index["weight_map"].items():
        with safe_open(tiny / file, framework="pt") as shard:
            assert name in shard.keys()  # noqa: SIM118


@pytest.mark.parametrize("name", ["20b", "120b", "1.0b", "3.6b"])
def test_configs_and_tensors_of_the_published_shapes(script, name):
    config = script.build_config(script.AVAILABLE_SHAPES[name])
    assert parse_shape(config) == SHAPES[name]
    read = GptOssConfig(**config)
    assert read.rope_parameters["rope_theta"] == 150000
    assert read.rope_parameters["factor"] == 32.0
    assert read.layer_types[:2] == ["sliding_attention", "full_attention"]
    assert (config["eos_token_id"], config["pad_token_id"]) == (200002, 199999)
    tensors = script.list_tensors(config)
    weights = sum(t.count * (2 if t.fill == "bytes" else 1) for t in tensors if t.fill != "scales")
    assert weights == SHAPES[name].parameters
    shards = script.split_into_shards(tensors, limit_bytes=script.SHARD_BYTES)
    assert [tensor for shard in shards for tensor in shard] == tensors
    assert all(sum(tensor.nbytes for tensor in shard) <= script.SHARD_BYTES for shard in shards)


def test_equal_seeds_give_equal_bytes(script, monkeypatch):
    tensor = script.Tensor(name="a", shape=(100, 10))
    content = b"".join(script.iterate_chunks(tensor, seed=1))
    assert content == b"".join(script.iterate_chunks(tensor, seed=1))
    assert content != b"".join(script.iterate_chunks(tensor, seed=2))
    assert len(content) == tensor.nbytes
    monkeypatch.setattr(script, "CHUNK_COUNT", 300)
    assert sum(len(chunk) for chunk in script.iterate_chunks(tensor, seed=1)) == tensor.nbytes


def test_folders_with_files_are_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = run_script("--shape", "tiny", "--out", str(tmp_path))
    assert result.returncode != 0
    assert "not an empty folder" in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_too_little_disk_space_is_reported_before_writing(script, monkeypatch, tmp_path):
    monkeypatch.setattr(script.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 60_000_000_000}))
    with pytest.raises(OSError, match=r"needs 65\.2 GB and 60\.0 GB of disk are free"):
        script.write_checkpoint(script.build_config(script.AVAILABLE_SHAPES["120b"]), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_partial_folders_are_replaced(script, tmp_path):
    partial = tmp_path / "out.partial"
    partial.mkdir()
    (partial / "half").write_text("half")
    (tmp_path / "out").mkdir()
    script.write_checkpoint(script.build_config(script.TINY), tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    assert not (tmp_path / "out" / "half").exists()


def test_the_full_tokenizer_gives_the_ids_of_the_codec(script, tmp_path):
    script.write_tokenizer(tmp_path, vocabulary=201_088)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    codec = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
    readme = (BENCHMARKS.parent / "README.md").read_text(encoding="utf-8")
    texts = [readme, "<|start|>user<|message|>Été 12345?\r\n\n  日本語 👩‍👧 DON'T don't<|end|>", " \t\n x  ", ""]
    for text in texts:
        assert tokenizer.encode(text) == codec.encode(text, allowed_special="all")
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, len(tokenizer)) == (200002, 199999, 200019)


def test_small_vocabularies_have_the_control_tokens(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    config = json.loads((tiny / "config.json").read_text())
    assert len(tokenizer) == config["vocab_size"] == 512
    assert tokenizer.convert_tokens_to_ids("<|return|>") == config["eos_token_id"]
    assert tokenizer.decode(tokenizer.encode("Été <|end|>")) == "Été <|end|>"


def test_the_gguf_file_has_the_same_weights(tiny, loaded_model):
    gguf = pytest.importorskip("gguf")
    reader = gguf.GGUFReader(tiny.with_suffix(".gguf"))
    found = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    model, _ = loaded_model
    for number, layer in enumerate(model.model.layers):
        experts, prefix = layer.mlp.experts, f"blk.{number}."
        gate_up = experts.gate_up_proj.detach().transpose(1, 2).numpy()
        bias = experts.gate_up_proj_bias.detach().numpy()
        for first, name in enumerate(("gate", "up")):
            np.testing.assert_array_equal(found[f"{prefix}ffn_{name}_exps.weight"], gate_up[:, first::2])
            np.testing.assert_array_equal(found[f"{prefix}ffn_{name}_exps.bias"], bias[:, first::2])
        down = experts.down_proj.detach().transpose(1, 2).numpy()
        np.testing.assert_array_equal(found[f"{prefix}ffn_down_exps.weight"], down)
        query = layer.self_attn.q_proj.weight.detach().numpy()
        np.testing.assert_allclose(found[f"{prefix}attn_q.weight"], query, atol=np.abs(query).max() / 250)
    assert len(found) == 3 + 17 * len(model.model.layers) + 2 * len(model.model.layers)
