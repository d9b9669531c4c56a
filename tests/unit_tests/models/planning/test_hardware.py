"""Probing this machine never fails; broken GPUs and drivers are left out."""

import sys

import pytest

from langchain_gptoss.models.planning import hardware
from langchain_gptoss.models.planning.hardware import (
    Hardware,
    find_gpu_bandwidth,
    measure_bandwidth,
    probe_hardware,
)


def test_probe_hardware_reads_this_machine():
    found = probe_hardware(cpu_kernel="avx2", cpu_kernel_reason="for this test")
    assert found.ram_total >= found.ram_free >= 0
    assert 1 <= found.threads <= found.usable_cores
    assert found.bandwidth >= 0
    assert (found.cpu_kernel, found.cpu_kernel_reason) == ("avx2", "for this test")
    assert probe_hardware(measure=False).bandwidth == 0


def test_bandwidth_is_measured_or_zero(monkeypatch):
    assert measure_bandwidth(threads=2, size_bytes=64_000_000) > 0
    assert measure_bandwidth(threads=1, size_bytes=10) == 0

    def refuse(_: object) -> None:
        raise OSError

    monkeypatch.setattr(hardware.ctypes, "CDLL", refuse)
    assert measure_bandwidth(threads=2) == 0


class BrokenCuda:
    """A CUDA interface of torch whose first GPU is lost."""

    is_available = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 2)
    get_device_name = staticmethod(lambda _: "NVIDIA GeForce RTX 4090")
    get_device_capability = staticmethod(lambda _: (8, 9))

    @staticmethod
    def mem_get_info(index: int) -> tuple[int, int]:
        if index == 0:
            raise RuntimeError("GPU is lost")
        return 23_000_000_000, 24_000_000_000


def test_lost_gpus_are_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", type("torch", (), {"cuda": BrokenCuda}))
    (gpu,) = probe_hardware(measure=False).gpus
    assert (gpu.index, gpu.free_bytes, gpu.total_bytes) == (1, 23_000_000_000, 24_000_000_000)
    assert (gpu.capability, gpu.bandwidth) == ((8, 9), 1008)


def test_a_broken_torch_means_no_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    found = probe_hardware(measure=False)
    assert found.gpus == ()
    assert not found.mps


def test_torch_is_not_imported_without_a_gpu_driver(monkeypatch):
    def find_no_driver(_: object) -> None:
        raise OSError

    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(hardware.ctypes, "CDLL", find_no_driver)
    monkeypatch.setattr(hardware.os.path, "exists", lambda _: False)
    assert probe_hardware(measure=False).gpus == ()
    assert "torch" not in sys.modules


@pytest.mark.parametrize("is_available", [True, False])
def test_apple_gpus_are_detected_by_torch(monkeypatch, is_available):
    monkeypatch.setattr(hardware.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(hardware.platform, "machine", lambda: "arm64")
    mps = type("mps", (), {"is_available": staticmethod(lambda: is_available)})
    backends = type("backends", (), {"mps": mps})
    monkeypatch.setitem(sys.modules, "torch", type("torch", (), {"backends": backends}))
    assert hardware._has_mps() is is_available


def test_find_gpu_bandwidth_by_name():
    assert find_gpu_bandwidth("NVIDIA H100 80GB HBM3") == 3350
    assert find_gpu_bandwidth("NVIDIA H100 PCIe") == 2000
    assert find_gpu_bandwidth("NVIDIA L40S") == 864
    assert 0 < find_gpu_bandwidth("A GPU of next year") < 1000


def test_threads_are_limited_by_physical_cores():
    found = Hardware(
        system="",
        cpu="",
        physical_cores=8,
        usable_cores=16,
        simd="none",
        fast_bfloat16=False,
        ram_total=0,
        ram_free=0,
    )
    assert found.threads == 8
