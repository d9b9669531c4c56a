"""Plans for laptops, servers and GPUs: the automatic choice, the options, and the advice if nothing fits."""

from dataclasses import replace

import pytest

from langchain_gptoss.errors import GptOssMemoryError, InvalidInputError
from langchain_gptoss.models.catalog import ModelCard
from langchain_gptoss.models.planning.plan import MIN_AUTOMATIC_CONTEXT, make_plan, require_fits
from langchain_gptoss.models.shapes import SHAPES
from tests.unit_tests.models.planning.machines import (
    GB,
    GPU_2X80,
    GPU_8,
    GPU_24,
    GPU_80,
    LAPTOP_8,
    LAPTOP_16,
    MAC_16,
    MAC_96,
    OLD_GPU,
    PC_24,
    SERVER_64,
    build_machine,
    plan_model,
)


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
        ("gpt-oss-120b", build_machine(90), ("cpu", (), False, "packed", "int8", True)),
        ("gpt-oss-120b", build_machine(90, 23.5), ("cuda", (0,), True, "packed", "bfloat16", True)),
        ("gpt-oss-120b", GPU_80, ("cuda", (0,), False, "packed", "bfloat16", True)),
        ("gpt-oss-120b", build_machine(64, 47, 47), ("cuda", (0, 1), False, "packed", "bfloat16", True)),
        ("gpt-oss-120b", MAC_96, ("cpu", (), False, "packed", "int8", True)),
        ("demo", LAPTOP_8, ("cpu", (), False, "unpacked", "int8", True)),
        ("demo", replace(LAPTOP_8, cpu_kernel="none"), ("cpu", (), False, "unpacked", "float32", True)),
        ("demo", build_machine(1.2, cpu_kernel="none"), ("cpu", (), False, "unpacked", "bfloat16", True)),
        ("gpt-oss-20b", replace(PC_24, cpu_kernel="none"), ("cpu", (), False, "packed", "float32", True)),
        ("demo", GPU_24, ("cuda", (0,), False, "unpacked", "bfloat16", True)),
        ("demo", MAC_16, ("mps", (), False, "unpacked", "bfloat16", True)),
    ],
)
def test_device_experts_and_type_are_chosen_by_hardware(model, hardware, expected):
    plan = plan_model(model, hardware)
    assert (plan.device, plan.gpus, plan.offload, plan.experts, plan.dtype, plan.fits) == expected
    assert plan.fits == (not plan.advice)
    assert all(sentence.endswith(".") for sentence in plan.reasons)


def test_equal_arguments_give_equal_plans():
    assert plan_model("gpt-oss-20b", LAPTOP_8) == plan_model("gpt-oss-20b", LAPTOP_8)


def test_the_fewest_gpus_with_the_most_memory_are_used():
    hardware = build_machine(64, 10, 30, 20)
    assert plan_model("gpt-oss-20b", hardware).gpus == (1,)
    assert plan_model("gpt-oss-20b", build_machine(64, 2, 9, 8)).gpus == (1, 2)


def test_more_memory_gives_a_longer_context():
    contexts = [plan_model("gpt-oss-20b", build_machine(ram)).context for ram in (12.3, 13.2, 16, 18, 30)]
    assert contexts == sorted(contexts)
    assert contexts[0] == MIN_AUTOMATIC_CONTEXT
    assert contexts[-1] == 131_072


def test_unknown_memory_does_not_block_loading():
    assert plan_model("gpt-oss-120b", replace(LAPTOP_8, ram_total=0, ram_free=0)).fits


# Options


@pytest.mark.parametrize(
    ("options", "expected"),
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
def test_options_are_respected(options, expected):
    plan = plan_model("gpt-oss-20b", build_machine(120, 79), **options)
    assert (plan.device, plan.experts, plan.dtype) == expected
    assert plan.fits


@pytest.mark.parametrize(
    ("model", "options", "runner"),
    [
        ("gpt-oss-20b", {}, "native"),
        ("gpt-oss-20b", {"dtype": "bfloat16"}, "native"),
        ("gpt-oss-20b", {"dtype": "float32"}, "torch"),
        ("gpt-oss-20b", {"experts": "unpacked", "dtype": "bfloat16"}, "torch"),
        ("demo", {}, "native"),
        ("demo", {"dtype": "bfloat16"}, "native"),
        ("demo", {"dtype": "float16"}, "torch"),
    ],
)
def test_the_native_runner_computes_what_it_can(model, options, runner):
    plan = plan_model(model, PC_24, **options)
    assert plan.runner == runner
    assert any("native runner" in reason for reason in plan.reasons)
    assert plan_model(model, replace(PC_24, cpu_kernel="none"), device="cpu").runner == "torch"
    assert plan_model(model, GPU_24, device="cuda").runner == "torch"


@pytest.mark.parametrize(("hardware", "is_experimental"), [(PC_24, False), (GPU_24, True), (MAC_96, True)])
def test_devices_without_measurements_are_called_experimental(hardware, is_experimental):
    reasons = plan_model("gpt-oss-20b", hardware).reasons
    assert any("experimental" in reason for reason in reasons) == is_experimental


def test_precise_rounds_less():
    assert "8 bits" in " ".join(plan_model("gpt-oss-20b", PC_24).reasons)
    plan = plan_model("gpt-oss-20b", PC_24, precise=True)
    assert plan.precise
    assert "rounded to 16 bits per block of 32, as requested" in " ".join(plan.reasons)


def test_the_reasons_warn_of_slow_bfloat16():
    no_kernel = replace(PC_24, cpu_kernel="none")
    slow = plan_model("demo", no_kernel, dtype="bfloat16")
    fast = plan_model("demo", replace(no_kernel, fast_bfloat16=True), dtype="bfloat16")
    assert any("slow" in sentence for sentence in slow.reasons)
    assert not any("slow" in sentence for sentence in fast.reasons)
    assert slow.estimate.prefill < fast.estimate.prefill / 5


def test_the_reasons_name_missing_parts():
    assert any(
        "triton is not installed" in reason
        for reason in plan_model("gpt-oss-20b", replace(GPU_80, has_triton=False)).reasons
    )
    no_kernel = replace(PC_24, cpu_kernel="none", cpu_kernel_reason="no compiler was found")
    assert any("no compiler was found" in reason for reason in plan_model("gpt-oss-20b", no_kernel).reasons)
    assert "too little" in plan_model("demo", build_machine(8, 0.1)).reasons[0]


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("demo", {"device": "cuda"}, "no CUDA GPU here. Use device='cpu'"),
        ("demo", {"device": "mps"}, "no Apple GPU here. Use device='cpu'"),
        ("demo", {"device": "tpu"}, "one of 'cuda', 'cpu', 'mps'"),
        ("demo", {"dtype": "fp8"}, "one of 'float32', 'bfloat16', 'float16', 'int8'"),
        ("demo", {"experts": "zipped"}, "one of 'packed', 'int4', 'unpacked'"),
        ("demo", {"experts": "packed"}, "in bfloat16, not in MXFP4. Use experts='unpacked'"),
        ("demo", {"dtype": "int8", "device": "mps"}, "no Apple GPU"),
        ("gpt-oss-20b", {"dtype": "int8", "experts": "unpacked"}, "with experts='unpacked' and dtype='float32'"),
        ("gpt-oss-20b", {"dtype": "float16"}, "device='cpu' with experts='packed' and dtype='int8'"),
        ("demo", {"context": 0}, "between 1 and 8192"),
        ("demo", {"context": 8193}, "between 1 and 8192"),
        ("demo", {"users": 0}, "users is 0; it must be 1 or more"),
        ("demo", {"users": -1}, "1 or more"),
        ("demo", {"cache_gb": 0}, "cache_gb is 0; it must be above 0 and below"),
        ("demo", {"cache_gb": float("nan")}, "cache_gb is nan"),
        ("demo", {"cache_gb": 1e300}, r"cache_gb is 1e\+300; it must be above 0 and below"),
        ("gpt-oss-20b", {"cache_gb": 0.1}, r"cache_gb is 0\.1; a context of 4,096 tokens needs 0\.201 GB"),
        ("gpt-oss-20b", {"cache_gb": 0.1, "context": 1024, "users": 3}, "3 contexts of 1,024 tokens need 0.151 GB"),
    ],
)
def test_impossible_options_list_possible_ones(model, options, message):
    with pytest.raises(InvalidInputError, match=message):
        plan_model(model, PC_24, **options)


def test_packed_experts_on_a_gpu_need_triton_or_offload():
    with pytest.raises(InvalidInputError, match="device='mps' with experts='unpacked'"):
        plan_model("gpt-oss-20b", MAC_96, device="mps", experts="packed")
    offloaded = plan_model("gpt-oss-20b", replace(GPU_24, has_triton=False), device="cuda", experts="packed")
    assert offloaded.offload


def test_models_without_a_shape_are_refused():
    with pytest.raises(InvalidInputError, match=r"config\.json"):
        make_plan(ModelCard(name="a/b", source="a/b"), PC_24)
    assert make_plan(SHAPES["1.0b"], PC_24).fits


# The KV cache


def test_the_cache_holds_eight_contexts_if_there_is_much_memory():
    plan = plan_model("gpt-oss-20b", PC_24, context=4096)
    assert plan.cache_bytes == plan.memory.cache == 8 * 4096 * 49_152
    assert plan.memory.peak < 16 * GB
    assert any("32,768 tokens, 8 full contexts" in reason for reason in plan.reasons)


def test_the_cache_takes_a_quarter_of_the_memory_that_is_left():
    sizes = [plan_model("gpt-oss-20b", build_machine(ram), context=8192).cache_bytes for ram in (20, 21)]
    assert sizes[1] - sizes[0] == pytest.approx(0.25 * GB, rel=0.01)


def test_the_cache_holds_one_context_at_least():
    plan = plan_model("gpt-oss-20b", PC_24)
    assert (plan.context, plan.cache_bytes) == (131_072, 131_072 * 49_152)
    assert any("one full context" in reason for reason in plan.reasons)
    assert plan_model("gpt-oss-20b", PC_24, context=8192, users=20).cache_bytes == 20 * 8192 * 49_152


def test_a_cache_of_unknown_memory_holds_one_context():
    assert plan_model("gpt-oss-20b", replace(PC_24, ram_total=0), context=8192).cache_bytes == 8192 * 49_152


def test_the_cache_can_be_set_and_limits_the_context():
    plan = plan_model("gpt-oss-20b", PC_24, cache_gb=1)
    assert (plan.cache_bytes, plan.context) == (GB, 16_384)
    assert any("A KV cache of 1.0 GB, as requested" in reason for reason in plan.reasons)


# What does not fit


def test_the_memory_error_has_needed_and_free_bytes_and_advice():
    plan = plan_model("gpt-oss-20b", LAPTOP_16, context=131_072, users=2)
    with pytest.raises(GptOssMemoryError) as caught:
        require_fits(plan)
    message = str(caught.value)
    assert message.startswith(
        f"gpt-oss-20b needs {plan.tightest_demand.needed_bytes / GB:.1f} GB of memory (experts packed"
    )
    assert "14.6 GB are free" in message
    assert len(plan.advice) == 3
    assert all(thing in message for thing in plan.advice)
    require_fits(plan_model("gpt-oss-20b", LAPTOP_16))


@pytest.mark.parametrize(
    ("hardware", "options", "advice"),
    [
        (LAPTOP_16, {"context": 131_072}, "a context of 32,768 tokens (now 131,072)"),
        (PC_24, {"context": 65_536, "users": 8}, "one user at a time (now 8)"),
        (LAPTOP_16, {"dtype": "float32", "context": 4096}, "dtype='int8'"),
        (LAPTOP_16, {"cache_gb": 9, "context": 16_384}, "cache_gb=0.81 (now 9)"),
        (PC_24, {"experts": "unpacked"}, "experts='packed' with dtype='int8'"),
        (build_machine(28, 4), {"device": "cuda"}, "device='cpu'"),
        (LAPTOP_8, {}, "model='demo'"),
        (LAPTOP_8, {}, "a machine with 12.2 GB of free memory"),
        (build_machine(12), {}, "close other programs to free 0.2 GB more"),
    ],
)
def test_advice_names_the_nearest_change(hardware, options, advice):
    plan = plan_model("gpt-oss-20b", hardware, **options)
    assert not plan.fits
    assert advice in plan.advice
    assert len(plan.advice) == 3


def test_advised_contexts_fit():
    plan = plan_model("gpt-oss-20b", PC_24, context=131_072, users=4)
    context = int(plan.advice[0].split()[3].replace(",", ""))
    assert plan_model("gpt-oss-20b", PC_24, context=context, users=4).fits
    assert not plan_model("gpt-oss-20b", PC_24, context=2 * context, users=4).fits


INT4_SHAPE = SHAPES["demo-large"]


@pytest.mark.parametrize(
    ("hardware", "options", "expected"),
    [
        (LAPTOP_8, {}, ("cpu", "int4", "int8", "native")),
        (LAPTOP_8, {"experts": "int4"}, ("cpu", "int4", "int8", "native")),
        (LAPTOP_8, {"dtype": "bfloat16"}, ("cpu", "unpacked", "bfloat16", "native")),
        (LAPTOP_8, {"experts": "unpacked"}, ("cpu", "unpacked", "bfloat16", "native")),
        (LAPTOP_16, {"dtype": "float32"}, ("cpu", "unpacked", "float32", "torch")),
        (replace(LAPTOP_16, cpu_kernel="none"), {}, ("cpu", "unpacked", "float32", "torch")),
        (GPU_24, {}, ("cuda", "unpacked", "bfloat16", "torch")),
    ],
)
def test_int4_experts_stay_so_where_the_kernel_runs(hardware, options, expected):
    plan = make_plan(ModelCard(name="x", source="x", shape=INT4_SHAPE), hardware, **options)
    assert (plan.device, plan.experts, plan.dtype, plan.runner) == expected
    if plan.experts == "int4":
        assert plan.memory.experts == INT4_SHAPE.int4_expert_bytes
        assert "Experts stay in int4, four bits with a scale and a minimum for every 32: 0.8 GB." in plan.reasons
        assert any("8 bits per block of 32 before experts" in reason for reason in plan.reasons)


def test_int4_is_refused_for_other_checkpoints():
    with pytest.raises(InvalidInputError, match=r"experts is 'int4', but .* in bfloat16, not in int4"):
        plan_model("demo", LAPTOP_8, experts="int4")
