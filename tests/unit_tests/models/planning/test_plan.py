"""Shapes, memory tables, and what is planned on laptops, servers and GPUs."""

import math
from dataclasses import replace
from typing import Any

import pytest

from langchain_gptoss.errors import CheckpointError, GptOssMemoryError, InvalidInputError
from langchain_gptoss.models.catalog import CATALOG, ModelCard, resolve_model
from langchain_gptoss.models.demo_conversion import build_config
from langchain_gptoss.models.planning.footprint import SCORES_BYTES, compute_prefill_tokens, estimate_memory
from langchain_gptoss.models.planning.hardware import Gpu, Hardware
from langchain_gptoss.models.planning.plan import MIN_AUTOMATIC_CONTEXT, Plan, make_plan, require_fits
from langchain_gptoss.models.shapes import SHAPES, Shape, parse_shape

GB = 10**9


def machine(ram: float, *gpus: float, **changes: Any) -> Hardware:
    """A machine with so many free GB, and GPUs with so many."""
    values: dict[str, Any] = {
        "system": "Linux x86_64",
        "cpu": "a CPU",
        "physical_cores": 8,
        "usable_cores": 16,
        "simd": "avx2",
        "fast_bfloat16": False,
        "ram_total": int(ram * 1.1 * GB),
        "ram_free": int(ram * GB),
        "bandwidth": 40.0,
        "gpus": tuple(
            Gpu(index=index, name="a GPU", total_bytes=int(size * GB), free_bytes=int(size * GB), capability=(9, 0))
            for index, size in enumerate(gpus)
        ),
        "has_triton": True,
        "cpu_kernel": "avx2",
    }
    return Hardware(**(values | changes))


def planned(model: str, hardware: Hardware, **wishes: Any) -> Plan:
    return make_plan(resolve_model(model), hardware, **wishes)


# Shapes


@pytest.mark.parametrize(
    ("name", "total", "active", "packed"),
    # Total and active: the model card of gpt-oss. Packed: 17 bytes for every 32 of 24 * 32 * 3 * 2880 * 2880 weights.
    [("20b", 20.91, 3.61, 10.152), ("120b", 116.83, 5.13, 60.914)],
)
def test_published_counts(name, total, active, packed):
    shape = SHAPES[name]
    assert shape.parameters / 1e9 == pytest.approx(total, abs=0.006)
    assert shape.active_parameters / 1e9 == pytest.approx(active, abs=0.006)
    assert shape.packed_expert_bytes / 1e9 == pytest.approx(packed, abs=0.001)


@pytest.mark.parametrize(("name", "size"), [("1.0b", 1.0), ("3.6b", 3.6)])
def test_shapes_of_the_article(name, size):
    shape = SHAPES[name]
    assert shape.parameters / 1e9 == pytest.approx(size, rel=0.02)
    assert shape.hidden_size % 32 == shape.intermediate_size % 32 == 0
    assert shape.vocabulary == 201_088
    assert shape.heads % shape.kv_heads == 0


def test_the_cache_of_20b():
    one, many = (SHAPES["20b"].compute_cache_bytes(tokens, width=2) for tokens in (10_000, 10_001))
    assert many - one == 24_576  # only the 12 full layers grow: keys and values of 8 heads of 64
    assert one - 10_000 * 24_576 == 128 * 24_576  # the windows of the 12 sliding layers
    assert SHAPES["20b"].compute_cache_bytes(100, width=2) == 100 * 2 * 24_576


def test_rows_that_are_no_multiple_of_32_are_padded():
    shape = replace(SHAPES["1.0b"], layers=1, experts=1, hidden_size=33, intermediate_size=32)
    assert shape.packed_expert_bytes == 17 * (64 * 2 + 33 * 1)


def config(shape: Shape, **changes: Any) -> dict[str, Any]:
    """A config.json as published."""
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
def test_shape_of_a_config(name):
    assert parse_shape(config(SHAPES[name])) == SHAPES[name]


def test_shape_of_the_demo_model_is_what_its_conversion_writes():
    fields = {
        "llama.block_count": 30,
        "llama.embedding_length": 576,
        "llama.feed_forward_length": 1536,
        "llama.attention.head_count": 9,
        "llama.attention.head_count_kv": 3,
        "llama.rope.dimension_count": 64,
        "llama.context_length": 8192,
        "tokenizer.ggml.tokens": ["x"] * 49_152,
    }
    others = ("attention.layer_norm_rms_epsilon", "rope.freq_base")
    fields |= {f"llama.{name}": 1.0 for name in others}
    fields |= {f"tokenizer.ggml.{name}_token_id": 0 for name in ("bos", "eos", "padding")}
    assert parse_shape(build_config(fields)) == SHAPES["demo"]


def test_a_config_with_nothing_in_it_is_transformers_default():
    assert parse_shape({"model_type": "gpt_oss"}) == replace(SHAPES["120b"], checkpoint_experts="bfloat16")


@pytest.mark.parametrize(
    ("changes", "stored"),
    [
        ({}, "mxfp4"),
        ({"quantization_config": None, "dtype": "float32"}, "float32"),
        ({"quantization_config": None, "torch_dtype": "torch.bfloat16"}, "bfloat16"),
        ({"quantization_config": None}, "bfloat16"),
    ],
)
def test_how_the_experts_are_stored(changes, stored):
    assert parse_shape(config(SHAPES["20b"], **changes)).checkpoint_experts == stored


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": "2880"}, "hidden_size = '2880'"),
        ({"num_local_experts": 0}, "num_local_experts = 0"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantized as 'awq'"),
    ],
)
def test_a_config_that_cannot_be(changes, message):
    with pytest.raises(CheckpointError, match=message):
        parse_shape(config(SHAPES["20b"], **changes))


def test_every_catalogued_model_has_a_shape_of_its_size():
    for card in CATALOG:
        assert card.shape is not None
        assert card.shape.parameters == pytest.approx(card.parameters, rel=0.005)
        assert card.shape.max_positions == card.context_length


# Plans, unasked

LAPTOP_8, LAPTOP_16, PC_24, SERVER_64 = machine(6.5), machine(14.6), machine(22), machine(60)
GPU_24, GPU_80, GPU_2X80, GPU_8 = machine(28, 23.5), machine(120, 79), machine(120, 79, 79), machine(28, 7.6)
OLD_GPU = machine(28, 15, gpus=(Gpu(index=0, name="T4", total_bytes=15 * GB, free_bytes=15 * GB, capability=(7, 5)),))
MAC_16 = machine(12, system="Darwin arm64", simd="neon", mps=True, has_triton=False, cpu_kernel="portable")
MAC_96 = replace(MAC_16, ram_total=96 * GB, ram_free=80 * GB)


@pytest.mark.parametrize(
    ("model", "hardware", "expected"),
    # device, GPUs, offload, experts, dtype, fits
    [
        ("gpt-oss-20b", LAPTOP_8, ("cpu", (), False, "packed", "int8", False)),
        ("gpt-oss-20b", LAPTOP_16, ("cpu", (), False, "packed", "int8", True)),
        ("gpt-oss-20b", PC_24, ("cpu", (), False, "packed", "int8", True)),
        ("gpt-oss-20b", SERVER_64, ("cpu", (), False, "packed", "int8", True)),
        ("gpt-oss-20b", GPU_24, ("cuda", (0,), False, "packed", "bfloat16", True)),
        ("gpt-oss-20b", GPU_80, ("cuda", (0,), False, "packed", "bfloat16", True)),
        ("gpt-oss-20b", GPU_2X80, ("cuda", (0,), False, "packed", "bfloat16", True)),
        ("gpt-oss-20b", GPU_8, ("cuda", (0,), True, "packed", "bfloat16", True)),
        ("gpt-oss-20b", OLD_GPU, ("cuda", (0,), True, "packed", "bfloat16", True)),
        ("gpt-oss-20b", replace(GPU_80, has_triton=False), ("cuda", (0,), False, "unpacked", "bfloat16", True)),
        ("gpt-oss-20b", MAC_16, ("cpu", (), False, "packed", "int8", False)),
        ("gpt-oss-20b", MAC_96, ("mps", (), False, "unpacked", "bfloat16", True)),
        ("gpt-oss-120b", SERVER_64, ("cpu", (), False, "packed", "int8", False)),
        ("gpt-oss-120b", machine(90), ("cpu", (), False, "packed", "int8", True)),
        ("gpt-oss-120b", machine(90, 23.5), ("cuda", (0,), True, "packed", "bfloat16", True)),
        ("gpt-oss-120b", GPU_80, ("cuda", (0,), False, "packed", "bfloat16", True)),
        ("gpt-oss-120b", machine(64, 47, 47), ("cuda", (0, 1), False, "packed", "bfloat16", True)),
        ("gpt-oss-120b", MAC_96, ("cpu", (), False, "packed", "int8", True)),
        ("demo", LAPTOP_8, ("cpu", (), False, "unpacked", "float32", True)),
        ("demo", machine(1.2), ("cpu", (), False, "unpacked", "bfloat16", True)),
        ("demo", GPU_24, ("cuda", (0,), False, "unpacked", "bfloat16", True)),
        ("demo", MAC_16, ("mps", (), False, "unpacked", "bfloat16", True)),
    ],
)
def test_what_is_planned(model, hardware, expected):
    made = planned(model, hardware)
    assert (made.device, made.gpus, made.offload, made.experts, made.dtype, made.fits) == expected
    assert made.fits == (not made.advice)
    assert all(sentence.endswith(".") for sentence in made.reasons)


def test_it_is_pure():
    assert planned("gpt-oss-20b", LAPTOP_8) == planned("gpt-oss-20b", LAPTOP_8)


def test_the_fewest_gpus_with_the_most_room_are_taken():
    hardware = machine(64, 10, 30, 20)
    assert planned("gpt-oss-20b", hardware).gpus == (1,)
    assert planned("gpt-oss-20b", machine(64, 2, 9, 8)).gpus == (1, 2)


def test_more_room_gives_a_longer_context():
    contexts = [planned("gpt-oss-20b", machine(ram)).context for ram in (12.6, 13.5, 16, 18, 30)]
    assert contexts == sorted(contexts)
    assert contexts[0] == MIN_AUTOMATIC_CONTEXT
    assert contexts[-1] == 131_072


def test_a_system_that_does_not_tell_its_memory_is_not_stood_in_the_way_of():
    assert planned("gpt-oss-120b", replace(LAPTOP_8, ram_total=0, ram_free=0)).fits


# Memory


def test_the_table_of_20b_on_a_cpu():
    memory = planned("gpt-oss-20b", PC_24, context=4096).memory
    assert memory.experts == 24 * 32 * 3 * 2880 * 2880 * 17 // 32
    attention = 24 * 2 * 2880 * 64 * (64 + 8)
    small = 24 * (32 * 2881 + 64 * 80 + 2880 + 2 * 2880 + 64) + 2880 + 24 * 32 * 3 * 2880
    assert memory.dense == int((attention + 201_088 * 2880) * 1.0625) + small * 4
    assert memory.embeddings == 4096 * (2880 * 2 + 4096)  # the rows that 4,096 tokens can look up, by pages
    assert memory.cache == 12 * (4096 + 128) * 2 * 8 * 64 * 4
    assert memory.total == sum(
        (memory.experts, memory.dense, memory.embeddings, memory.cache, memory.working, memory.runtime)
    )
    assert 12 * GB < memory.peak < 13 * GB


@pytest.mark.parametrize(("dtype", "gigabytes"), [("int8", 1.30), ("bfloat16", 2.44), ("float32", 4.87)])
def test_dense_weights_by_type(dtype, gigabytes):
    memory = planned("gpt-oss-20b", SERVER_64, dtype=dtype).memory
    biases = 4 * (SHAPES["20b"].other_weights + SHAPES["20b"].expert_biases)
    assert (memory.dense - biases) / GB == pytest.approx(gigabytes, abs=0.01)


def test_unpacked_takes_what_was_measured():
    made = planned("gpt-oss-20b", machine(80), device="cpu", experts="unpacked", dtype="bfloat16", context=1024)
    weights = made.memory.experts + made.memory.dense + made.memory.embeddings
    assert weights / GB == pytest.approx(41.8, abs=0.1)  # transformers on a CPU
    assert made.memory.peak_loading - weights - made.memory.runtime < 2 * GB  # tensor by tensor, not layer by layer


@pytest.mark.parametrize(
    ("shape", "context", "measured"),  # benchmarks/memory.py, 2 cores, 24 GiB
    [("demo", 2560, 1.23), ("demo", 8192, 1.52), ("1.0b", 2560, 1.24), ("3.6b", 2560, 2.79), ("20b", 2560, 12.45)],
)
def test_a_plan_takes_what_was_measured(shape, context, measured):
    made = make_plan(SHAPES[shape], PC_24, context=context)
    assert made.memory.peak / GB == pytest.approx(measured, rel=0.1)


def test_users_have_a_cache_each():
    one, four = (planned("gpt-oss-20b", SERVER_64, context=8192, users=users).memory for users in (1, 4))
    assert four.cache == 4 * one.cache
    assert four.experts == one.experts


def test_a_cache_is_kept_in_the_type_of_the_arithmetic():
    on_cpu, on_gpu = (planned("gpt-oss-20b", hardware, context=8192).memory for hardware in (PC_24, GPU_24))
    assert on_cpu.cache == 2 * on_gpu.cache


def test_a_tied_table_is_there_once_or_copied_in_int8():
    tied = replace(SHAPES["1.0b"], tied_embeddings=True)
    way = {"device": "cpu", "gpus": 0, "experts": "packed", "context": 512, "users": 1}
    kept, copied = (estimate_memory(tied, dtype=dtype, **way) for dtype in ("bfloat16", "int8"))
    assert kept.dense < tied.embedding_weights < copied.dense


@pytest.mark.parametrize("context", [1, 100, 512, 4096, 131_072])
def test_pieces_of_a_prompt_shorten_with_the_context(context):
    piece = compute_prefill_tokens(SHAPES["20b"], context, width=4, flash=False)
    assert 1 <= piece <= min(context, 512)
    assert piece == 16 or piece * 3 * 64 * context * 4 <= SCORES_BYTES
    assert compute_prefill_tokens(SHAPES["20b"], context, width=4, flash=True) == min(context, 512)


def test_experts_beside_a_gpu_count_in_the_estimate_memory_the_machine():
    made = planned("gpt-oss-20b", GPU_8, context=4096)
    gpu, ram = made.demands
    assert ram.needed_bytes > made.memory.experts
    assert gpu.needed_bytes < made.memory.peak - made.memory.experts
    assert not planned("gpt-oss-20b", machine(9, 7.6)).fits


# Overrides


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({"device": "cpu"}, ("cpu", "packed", "int8")),
        ({"device": "cpu", "dtype": "float32"}, ("cpu", "packed", "float32")),
        ({"device": "cpu", "experts": "unpacked"}, ("cpu", "unpacked", "float32")),
        ({"experts": "unpacked"}, ("cuda", "unpacked", "bfloat16")),
        ({"experts": "unpacked", "dtype": "float16"}, ("cuda", "unpacked", "float16")),
        ({"dtype": "int8"}, ("cpu", "packed", "int8")),
        ({}, ("cuda", "packed", "bfloat16")),
    ],
)
def test_what_is_asked_for_is_done(wishes, expected):
    made = planned("gpt-oss-20b", machine(120, 79), **wishes)
    assert (made.device, made.experts, made.dtype) == expected
    assert made.fits


def test_bfloat16_is_said_to_be_slow_where_it_is():
    slow = planned("demo", PC_24, dtype="bfloat16")
    fast = planned("demo", replace(PC_24, fast_bfloat16=True), dtype="bfloat16")
    assert any("slow" in sentence for sentence in slow.reasons)
    assert not any("slow" in sentence for sentence in fast.reasons)
    assert slow.estimate.prefill < fast.estimate.prefill / 5


def test_the_reason_names_what_is_missing():
    assert any(
        "triton is not installed" in why for why in planned("gpt-oss-20b", replace(GPU_80, has_triton=False)).reasons
    )
    no_kernel = replace(PC_24, cpu_kernel="none", cpu_kernel_reason="no compiler was found")
    assert any("no compiler was found" in why for why in planned("gpt-oss-20b", no_kernel).reasons)
    assert "too little" in planned("demo", machine(8, 0.1)).reasons[0]


@pytest.mark.parametrize(
    ("model", "wishes", "message"),
    [
        ("demo", {"device": "cuda"}, "no CUDA GPU here. Use device='cpu'"),
        ("demo", {"device": "mps"}, "no Apple GPU here. Use device='cpu'"),
        ("demo", {"device": "tpu"}, "one of 'cuda', 'cpu', 'mps'"),
        ("demo", {"dtype": "fp8"}, "one of 'float32', 'bfloat16', 'float16', 'int8'"),
        ("demo", {"experts": "zipped"}, "one of 'packed', 'unpacked'"),
        ("demo", {"experts": "packed"}, "in bfloat16, not in MXFP4. Use experts='unpacked'"),
        ("demo", {"dtype": "int8"}, "device='cpu' with experts='unpacked' and dtype='float32'"),
        ("gpt-oss-20b", {"dtype": "float16"}, "device='cpu' with experts='packed' and dtype='int8'"),
        ("demo", {"context": 0}, "between 1 and 8192"),
        ("demo", {"context": 8193}, "between 1 and 8192"),
        ("demo", {"users": 0}, "users is 0; it must be 1 or more"),
        ("demo", {"users": -1}, "1 or more"),
    ],
)
def test_what_cannot_work_says_what_would(model, wishes, message):
    with pytest.raises(InvalidInputError, match=message):
        planned(model, PC_24, **wishes)


def test_packed_experts_on_a_gpu_need_triton():
    with pytest.raises(InvalidInputError, match="device='mps' with experts='unpacked'"):
        planned("gpt-oss-20b", MAC_96, device="mps", experts="packed")
    offloaded = planned("gpt-oss-20b", replace(GPU_24, has_triton=False), device="cuda", experts="packed")
    assert offloaded.offload


def test_a_card_without_a_shape_asks_for_its_config():
    with pytest.raises(InvalidInputError, match=r"config\.json"):
        make_plan(ModelCard(name="a/b", source="a/b"), PC_24)
    assert make_plan(SHAPES["1.0b"], PC_24).fits


# What does not fit


def test_an_error_says_needed_free_and_three_things_that_would_do():
    made = planned("gpt-oss-20b", LAPTOP_16, context=131_072, users=2)
    with pytest.raises(GptOssMemoryError) as caught:
        require_fits(made)
    message = str(caught.value)
    assert message.startswith(
        f"gpt-oss-20b needs {made.tightest_demand.needed_bytes / GB:.1f} GB of memory (experts packed"
    )
    assert "14.6 GB are free" in message
    assert len(made.advice) == 3
    assert all(thing in message for thing in made.advice)
    require_fits(planned("gpt-oss-20b", LAPTOP_16))


@pytest.mark.parametrize(
    ("hardware", "wishes", "advice"),
    [
        (LAPTOP_16, {"context": 131_072}, "a context of 32,768 tokens (now 131,072)"),
        (PC_24, {"context": 65_536, "users": 8}, "one user at a time (now 8)"),
        (LAPTOP_16, {"dtype": "float32", "context": 4096}, "dtype='int8'"),
        (PC_24, {"experts": "unpacked"}, "experts='packed' with dtype='int8'"),
        (machine(28, 4), {"device": "cuda"}, "device='cpu'"),
        (LAPTOP_8, {}, "model='demo'"),
        (LAPTOP_8, {}, "a machine with 12.5 GB of free memory"),
        (machine(12), {}, "close other programs to free 0.5 GB more"),
    ],
)
def test_advice(hardware, wishes, advice):
    made = planned("gpt-oss-20b", hardware, **wishes)
    assert not made.fits
    assert advice in made.advice
    assert len(made.advice) == 3


def test_advice_works():
    made = planned("gpt-oss-20b", PC_24, context=131_072, users=4)
    context = int(made.advice[0].split()[3].replace(",", ""))
    assert planned("gpt-oss-20b", PC_24, context=context, users=4).fits
    assert not planned("gpt-oss-20b", PC_24, context=2 * context, users=4).fits


# Estimates


@pytest.mark.parametrize(
    ("hardware", "decode", "prefill"),
    # Measured: benchmarks/cpu.py on two cores with AVX-512, and a published RTX 4090 (without Python in between).
    [
        (
            machine(22, physical_cores=2, bandwidth=29.7, cpu_kernel="avx512-vnni", fast_bfloat16=True),
            (8.5, 11),
            (50, 62),
        ),
        (machine(64, gpus=(replace(GPU_24.gpus[0], capability=(8, 9), bandwidth=1008.0),)), (40, 191), (1_000, 20_000)),
    ],
)
def test_estimates_are_near_what_was_measured(hardware, decode, prefill):
    estimate = planned("gpt-oss-20b", hardware).estimate
    assert decode[0] <= estimate.decode <= decode[1]
    assert prefill[0] * 0.8 <= estimate.prefill <= prefill[1] * 1.25


def test_the_estimate_of_the_demo_model():
    estimate = planned("demo", machine(22, physical_cores=2, bandwidth=20.9)).estimate
    assert estimate.decode == pytest.approx(9, rel=0.25)
    assert estimate.prefill == pytest.approx(147, rel=0.25)


@pytest.mark.parametrize("hardware", [LAPTOP_8, GPU_8, GPU_2X80, MAC_96, OLD_GPU, machine(22, bandwidth=0.0)])
def test_every_estimate_is_a_speed(hardware):
    for card in CATALOG:
        estimate = make_plan(card, hardware).estimate
        assert 0 < estimate.decode < estimate.prefill < math.inf
