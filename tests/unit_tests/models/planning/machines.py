"""Machines to plan for, from a laptop to a server with GPUs."""

from dataclasses import replace
from typing import Any

from langchain_gptoss.models.catalog import resolve_model
from langchain_gptoss.models.planning.hardware import Gpu, Hardware
from langchain_gptoss.models.planning.plan import Plan, make_plan

GB = 10**9


def build_machine(ram: float, *gpus: float, **changes: Any) -> Hardware:
    """Return a machine with free memory and GPUs of the given sizes, in GB."""
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


def plan_model(model: str, hardware: Hardware, **options: Any) -> Plan:
    """Return the plan of a model."""
    return make_plan(resolve_model(model), hardware, **options)


LAPTOP_8, LAPTOP_16, PC_24, SERVER_64 = build_machine(6.5), build_machine(14.6), build_machine(22), build_machine(60)
GPU_24, GPU_80, GPU_2X80, GPU_8 = (
    build_machine(28, 23.5),
    build_machine(120, 79),
    build_machine(120, 79, 79),
    build_machine(28, 7.6),
)
OLD_GPU = build_machine(
    28, 15, gpus=(Gpu(index=0, name="T4", total_bytes=15 * GB, free_bytes=15 * GB, capability=(7, 5)),)
)
MAC_16 = build_machine(12, system="Darwin arm64", simd="neon", mps=True, has_triton=False, cpu_kernel="portable")
MAC_96 = replace(MAC_16, ram_total=96 * GB, ram_free=80 * GB)
