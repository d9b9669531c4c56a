"""Speed estimates are near the measured speeds."""

import math
from dataclasses import replace

import pytest

from langchain_gptoss.models.catalog import CATALOG
from langchain_gptoss.models.planning.plan import make_plan
from tests.unit_tests.models.planning.machines import (
    GPU_2X80,
    GPU_8,
    GPU_24,
    LAPTOP_8,
    MAC_96,
    OLD_GPU,
    build_machine,
    plan_model,
)


@pytest.mark.parametrize(
    ("hardware", "decode", "prefill"),
    # Measured: benchmarks/cpu.py on two cores with AVX-512, and a published RTX 4090 (without Python in between).
    [
        (
            build_machine(22, physical_cores=2, bandwidth=29.7, cpu_kernel="avx512-vnni", fast_bfloat16=True),
            (8.5, 11),
            (50, 62),
        ),
        (
            build_machine(64, gpus=(replace(GPU_24.gpus[0], capability=(8, 9), bandwidth=1008.0),)),
            (40, 191),
            (1_000, 20_000),
        ),
    ],
)
def test_estimates_are_near_the_measured_speeds(hardware, decode, prefill):
    estimate = plan_model("gpt-oss-20b", hardware).estimate
    assert decode[0] <= estimate.decode <= decode[1]
    assert prefill[0] * 0.8 <= estimate.prefill <= prefill[1] * 1.25


def test_estimates_of_the_demo_model_in_transformers_modules_are_near_the_measured_speeds():
    hardware = build_machine(22, physical_cores=2, bandwidth=20.9, cpu_kernel="none")
    estimate = plan_model("demo", hardware).estimate
    assert estimate.decode == pytest.approx(9, rel=0.25)
    assert estimate.prefill == pytest.approx(147, rel=0.25)


@pytest.mark.parametrize("hardware", [LAPTOP_8, GPU_8, GPU_2X80, MAC_96, OLD_GPU, build_machine(22, bandwidth=0.0)])
def test_estimates_are_positive_and_prefill_is_faster(hardware):
    for card in CATALOG:
        estimate = make_plan(card, hardware).estimate
        assert 0 < estimate.decode < estimate.prefill < math.inf
