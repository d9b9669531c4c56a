"""Memory footprints are computed part by part and are near the measured ones."""

from dataclasses import replace

import pytest

from langchain_gptoss.models.planning.footprint import SCORES_BYTES, compute_prefill_tokens, estimate_memory
from langchain_gptoss.models.planning.plan import make_plan
from langchain_gptoss.models.shapes import SHAPES
from tests.unit_tests.models.planning.machines import GB, GPU_8, GPU_24, PC_24, SERVER_64, build_machine, plan_model


def test_footprint_of_20b_on_a_cpu():
    memory = plan_model("gpt-oss-20b", PC_24, context=4096).memory
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
    memory = plan_model("gpt-oss-20b", SERVER_64, dtype=dtype).memory
    biases = 4 * (SHAPES["20b"].other_weights + SHAPES["20b"].expert_biases)
    assert (memory.dense - biases) / GB == pytest.approx(gigabytes, abs=0.01)


def test_footprint_of_unpacked_20b_is_near_the_measured_one():
    plan = plan_model(
        "gpt-oss-20b", build_machine(80), device="cpu", experts="unpacked", dtype="bfloat16", context=1024
    )
    weights = plan.memory.experts + plan.memory.dense + plan.memory.embeddings
    assert weights / GB == pytest.approx(41.8, abs=0.1)  # transformers on a CPU
    assert plan.memory.peak_loading - weights - plan.memory.runtime < 2 * GB  # tensor by tensor, not layer by layer


@pytest.mark.parametrize(
    ("shape", "context", "measured"),  # benchmarks/memory.py, 2 cores, 24 GiB
    [("demo", 2560, 1.23), ("demo", 8192, 1.52), ("1.0b", 2560, 1.24), ("3.6b", 2560, 2.79), ("20b", 2560, 12.45)],
)
def test_footprint_is_near_the_measured_peak(shape, context, measured):
    plan = make_plan(SHAPES[shape], PC_24, context=context)
    assert plan.memory.peak / GB == pytest.approx(measured, rel=0.1)


def test_every_user_has_a_cache():
    one, four = (plan_model("gpt-oss-20b", SERVER_64, context=8192, users=users).memory for users in (1, 4))
    assert four.cache == 4 * one.cache
    assert four.experts == one.experts


def test_the_cache_has_the_type_of_the_arithmetic():
    on_cpu, on_gpu = (plan_model("gpt-oss-20b", hardware, context=8192).memory for hardware in (PC_24, GPU_24))
    assert on_cpu.cache == 2 * on_gpu.cache


def test_tied_embeddings_are_copied_only_for_int8():
    tied = replace(SHAPES["1.0b"], tied_embeddings=True)
    options = {"device": "cpu", "gpus": 0, "experts": "packed", "context": 512, "users": 1}
    shared, copied = (estimate_memory(tied, dtype=dtype, **options) for dtype in ("bfloat16", "int8"))
    assert shared.dense < tied.embedding_weights < copied.dense


@pytest.mark.parametrize("context", [1, 100, 512, 4096, 131_072])
def test_prefill_chunks_shorten_with_the_context(context):
    chunk = compute_prefill_tokens(SHAPES["20b"], context, width=4, flash=False)
    assert 1 <= chunk <= min(context, 512)
    assert chunk == 16 or chunk * 3 * 64 * context * 4 <= SCORES_BYTES
    assert compute_prefill_tokens(SHAPES["20b"], context, width=4, flash=True) == min(context, 512)


def test_offloaded_experts_count_in_the_memory_of_the_machine():
    plan = plan_model("gpt-oss-20b", GPU_8, context=4096)
    gpu, ram = plan.demands
    assert ram.needed_bytes > plan.memory.experts
    assert gpu.needed_bytes < plan.memory.peak - plan.memory.experts
    assert not plan_model("gpt-oss-20b", build_machine(9, 7.6)).fits
