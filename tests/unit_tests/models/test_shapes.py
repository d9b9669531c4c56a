"""Shapes agree with the published parameter counts, and are read from configurations."""

from dataclasses import replace
from typing import Any

import pytest

from langchain_gptoss.engine.batch import CacheLayout
from langchain_gptoss.errors import CheckpointError
from langchain_gptoss.models.conversion.dense_config import DenseConfig
from langchain_gptoss.models.conversion.mapping import build_config, compute_expert_width
from langchain_gptoss.models.shapes import SHAPES, Shape, parse_shape


@pytest.mark.parametrize(
    ("name", "total", "active", "packed"),
    # Total and active: the model card of gpt-oss. Packed: 17 bytes for every 32 of 24 * 32 * 3 * 2880 * 2880 weights.
    [("20b", 20.91, 3.61, 10.152), ("120b", 116.83, 5.13, 60.914)],
)
def test_parameter_counts_are_the_published_ones(name, total, active, packed):
    shape = SHAPES[name]
    assert shape.parameters / 1e9 == pytest.approx(total, abs=0.006)
    assert shape.active_parameters / 1e9 == pytest.approx(active, abs=0.006)
    assert shape.packed_expert_bytes / 1e9 == pytest.approx(packed, abs=0.001)


@pytest.mark.parametrize(("name", "size"), [("1.0b", 1.0), ("3.6b", 3.6)])
def test_unpublished_shapes_have_the_size_of_their_name(name, size):
    shape = SHAPES[name]
    assert shape.parameters / 1e9 == pytest.approx(size, rel=0.02)
    assert shape.hidden_size % 32 == shape.intermediate_size % 32 == 0
    assert shape.vocabulary == 201_088
    assert shape.heads % shape.kv_heads == 0


def test_every_layer_stores_the_context_in_whole_blocks():
    shape = SHAPES["20b"]
    bytes_per_token = 49_152  # keys and values of 8 heads of 64 in 24 layers, two bytes each
    assert shape.cache_token_bytes == bytes_per_token
    assert [shape.compute_cache_bytes(tokens) for tokens in (1, 16, 17)] == [bytes_per_token * n for n in (16, 16, 32)]


def test_blocks_of_the_cache_are_those_of_the_engine():
    layout = CacheLayout(layers=24, kv_heads=8, head_dim=64)
    assert SHAPES["20b"].compute_cache_bytes(1) == layout.block_bytes


def test_packed_rows_are_padded_to_whole_blocks():
    shape = replace(SHAPES["1.0b"], layers=1, experts=1, hidden_size=33, intermediate_size=32)
    assert shape.packed_expert_bytes == 17 * (64 * 2 + 33 * 1)


def build_published_config(shape: Shape, **changes: Any) -> dict[str, Any]:
    return {
        "model_type": "gpt_oss",
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "num_hidden_layers": shape.layers,
        "num_local_experts": shape.experts,
        "num_experts_per_tok": 4,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": 64,
        "vocab_size": shape.vocabulary,
        "sliding_window": 128,
        "layer_types": ["sliding_attention", "full_attention"] * (shape.layers // 2),
        "tie_word_embeddings": False,
        "max_position_embeddings": 131_072,
        "quantization_config": {"quant_method": "mxfp4"},
    } | changes


@pytest.mark.parametrize("name", ["20b", "120b", "1.0b", "3.6b"])
def test_parse_shape_reads_a_published_config(name):
    assert parse_shape(build_published_config(SHAPES[name])) == SHAPES[name]


def test_demo_shape_matches_the_converted_config():
    dense = DenseConfig(
        family="Llama",
        layers=30,
        hidden_size=576,
        intermediate_size=1536,
        heads=9,
        kv_heads=3,
        head_dim=64,
        vocabulary=49_152,
        max_positions=8_192,
        epsilon=1e-5,
        rotation={"rope_type": "default", "rope_theta": 1e5},
        tied_embeddings=True,
    )
    config = build_config(dense, expert_width=compute_expert_width(dense, block=8), alpha=1.0)
    assert parse_shape(config | {"dtype": "bfloat16"}) == SHAPES["demo"]


def test_missing_keys_get_the_defaults_of_transformers():
    assert parse_shape({"model_type": "gpt_oss"}) == replace(SHAPES["120b"], checkpoint_experts="bfloat16")


@pytest.mark.parametrize(
    ("changes", "dtype"),
    [
        ({}, "mxfp4"),
        ({"quantization_config": None, "dtype": "float32"}, "float32"),
        ({"quantization_config": None, "torch_dtype": "torch.bfloat16"}, "bfloat16"),
        ({"quantization_config": None}, "bfloat16"),
    ],
)
def test_parse_shape_reads_the_type_of_the_experts(changes, dtype):
    assert parse_shape(build_published_config(SHAPES["20b"], **changes)).checkpoint_experts == dtype


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": "2880"}, "hidden_size = '2880'"),
        ({"num_local_experts": 0}, "num_local_experts = 0"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantized as 'awq'"),
    ],
)
def test_invalid_configs_are_refused(changes, message):
    with pytest.raises(CheckpointError, match=message):
        parse_shape(build_published_config(SHAPES["20b"], **changes))
