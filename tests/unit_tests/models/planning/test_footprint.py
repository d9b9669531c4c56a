"""Memory footprints are computed part by part and are near the measured ones."""

from dataclasses import replace

import pytest

from langchain_gptoss.models.planning.footprint import estimate_memory, estimate_working_bytes
from langchain_gptoss.models.planning.plan import make_plan
from langchain_gptoss.models.shapes import SHAPES
from tests.unit_tests.models.planning.machines import GB, GPU_8, GPU_24, PC_24, SERVER_64, build_machine, plan_model


def test_footprint_of_20b_on_a_cpu():
    memory = plan_model("gpt-oss-20b", PC_24, context=4096).memory
    assert memory.experts == 24 * 32 * 3 * 2880 * 2880 * 17 // 32
    attention = 24 * 2 * 2880 * 64 * (64 + 8)
    small = 24 * (32 * 2881 + 64 * 80 + 2880 + 2 * 2880 + 64) + 2880 + 24 * 32 * 3 * 2880
    assert memory.dense == int((attention + 201_088 * 2880) * 1.0625) + small * 4
    assert memory.embeddings == 8 * 4096 * (2880 * 2 + 4096)  # the rows that 8 contexts can look up, by pages
    assert memory.cache == 8 * 4096 * 24 * 2 * 8 * 64 * 2
    assert memory.total == sum(
        (memory.experts, memory.dense, memory.embeddings, memory.cache, memory.working, memory.runtime)
    )
    assert 13 * GB < memory.peak < 15 * GB


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
    [("demo", 2560, 0.54), ("20b", 1024, 11.78)],
)
def test_footprint_is_near_the_measured_peak(shape, context, measured):
    plan = make_plan(SHAPES[shape], replace(PC_24, ram_total=0), context=context)  # a cache of one context
    assert plan.memory.peak / GB == pytest.approx(measured, rel=0.1)


def test_footprint_of_transformers_modules_is_near_the_measured_peak():
    without_kernel = replace(PC_24, ram_total=0, cpu_kernel="none")
    assert make_plan(SHAPES["demo"], without_kernel, context=2560).memory.peak / GB == pytest.approx(1.23, rel=0.1)


def test_the_cache_holds_the_contexts_of_all_users():
    one, four = (
        plan_model("gpt-oss-20b", replace(SERVER_64, ram_total=0), context=8192, users=users).memory for users in (1, 4)
    )
    assert four.cache == 4 * one.cache
    assert four.experts == one.experts


def test_the_cache_has_two_bytes_per_number_on_every_device():
    on_cpu, on_gpu = (plan_model("gpt-oss-20b", machine, context=8192, cache_gb=1) for machine in (PC_24, GPU_24))
    assert on_cpu.memory.cache == on_gpu.memory.cache == GB


def test_tied_embeddings_are_copied_only_for_int8():
    tied = replace(SHAPES["1.0b"], tied_embeddings=True)
    options = {"device": "cpu", "gpus": 0, "experts": "packed", "runner": "native"}
    options |= {"context": 512, "cache_bytes": 10**8}
    shared, copied = (estimate_memory(tied, dtype=dtype, **options) for dtype in ("bfloat16", "int8"))
    assert shared.dense < tied.embedding_weights < copied.dense
    assert shared.embeddings > copied.embeddings  # the output matrix uses the whole table


def test_scores_of_a_long_context_take_no_more_memory():
    shape = SHAPES["20b"]
    shorter, longer = (estimate_working_bytes(shape, n, width=2, flash=False) for n in (65_536, 131_072))
    keys_and_values = 2 * 8 * 64 * (2 + 2)  # of one layer, as they are in the cache and in the type of the activations
    assert longer - shorter == 65_536 * keys_and_values
    assert estimate_working_bytes(shape, 65_536, width=2, flash=True) < shorter


def test_offloaded_experts_count_in_the_memory_of_the_machine():
    plan = plan_model("gpt-oss-20b", GPU_8, context=4096)
    gpu, ram = plan.demands
    assert ram.needed_bytes > plan.memory.experts
    assert gpu.needed_bytes < plan.memory.peak - plan.memory.experts
    assert not plan_model("gpt-oss-20b", build_machine(9, 7.6)).fits
