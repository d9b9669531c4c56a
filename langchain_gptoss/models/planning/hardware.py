"""Hardware of this machine, as far as it matters to a model. Probing never fails; missing parts are marked missing."""

import ctypes
import importlib.util
import os
import platform
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from langchain_gptoss.models.planning import operating_system as machine
from langchain_gptoss.models.planning.operating_system import Simd

CpuKernel = Literal["avx512-vnni", "avx2", "neon", "portable", "none"]

_PROBE_BYTES = 256_000_000  # several times the caches of most processors
_MIN_PROBE_BYTES = 1_000_000

# Published memory bandwidth in GB/s (NVIDIA's data sheets); the first entry that is part of the GPU's name is used.
_GPU_BANDWIDTH_GB_S = (
    ("B200", 8000),
    ("H200", 4800),
    ("H100 PCIe", 2000),
    ("H100 NVL", 3900),
    ("H100", 3350),
    ("A100-SXM4-80GB", 2039),
    ("A100", 1555),
    ("RTX 5090", 1792),
    ("RTX 4090", 1008),
    ("RTX 3090", 936),
    ("L40S", 864),
    ("V100", 900),
    ("A10", 600),
    ("T4", 320),
    ("L4", 300),
)
_DEFAULT_GPU_BANDWIDTH_GB_S = 400.0


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A CUDA GPU, or a ROCm GPU, which torch presents in the same way.

    Attributes:
        index: Number of the GPU in torch.
        name: Name that the driver reports.
        total_bytes: Total memory.
        free_bytes: Memory that no process uses now.
        capability: Compute capability, such as (9, 0).
        bandwidth: Published memory bandwidth in GB/s; a conservative estimate for a GPU that is not in the table.
    """

    index: int
    name: str
    total_bytes: int
    free_bytes: int
    capability: tuple[int, int]
    bandwidth: float = _DEFAULT_GPU_BANDWIDTH_GB_S


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Processors, memory, GPUs and optional packages of a machine.

    Attributes:
        system: Operating system and architecture, such as `"Linux x86_64"`.
        cpu: Name of the processor.
        physical_cores: Cores of the machine; two threads of one core count once.
        usable_cores: Processors that this process may use (affinity, cgroup quota).
        simd: Best vector instructions that the kernels of this package use.
        fast_bfloat16: True if the CPU has instructions for bfloat16 products.
        ram_total: Total memory in bytes, at most the limit of the cgroup; 0 if unknown.
        ram_free: Memory in bytes that can be used without swapping; file caches count as free.
        bandwidth: Speed at which all threads together read memory, in GB/s; 0 if it was not measured.
        gpus: CUDA GPUs.
        mps: True if torch can use an Apple GPU.
        has_triton: True if `triton` can be imported.
        has_kernels: True if `kernels`, with which transformers fetches kernels from the hub, can be imported.
        cpu_kernel: The kernel that multiplies with packed experts on the CPU; `"portable"` is slow C, and `"none"`
            means that torch does the work.
        cpu_kernel_reason: The reason for this kernel.
    """

    system: str
    cpu: str
    physical_cores: int
    usable_cores: int
    simd: Simd
    fast_bfloat16: bool
    ram_total: int
    ram_free: int
    bandwidth: float = 0.0
    gpus: tuple[Gpu, ...] = ()
    mps: bool = False
    has_triton: bool = False
    has_kernels: bool = False
    cpu_kernel: CpuKernel = "none"
    cpu_kernel_reason: str = ""

    @property
    def threads(self) -> int:
        """Number of threads for arithmetic; a second thread on the same core does not make it faster."""
        return max(1, min(self.physical_cores, self.usable_cores))


def probe_hardware(
    *, cpu_kernel: CpuKernel = "none", cpu_kernel_reason: str = "not checked", measure: bool = True
) -> Hardware:
    """Return the hardware of this machine, in less than half a second if torch need not be imported.

    The function imports torch only if it finds a GPU driver, or if torch is imported already.

    Args:
        cpu_kernel: The kernel that the engine uses for packed experts on this CPU.
        cpu_kernel_reason: The reason for this kernel.
        measure: True to measure the memory bandwidth, which takes about 0.2 s.
    """
    flags = machine.read_cpu_flags()
    ram_total, ram_free = machine.read_memory()
    usable_cores = machine.count_usable_cores()
    bandwidth = 0.0
    if measure:
        bandwidth = measure_bandwidth(threads=usable_cores, size_bytes=min(_PROBE_BYTES, ram_free // 8))
    return Hardware(
        system=f"{platform.system()} {platform.machine()}",
        cpu=machine.read_cpu_name(),
        physical_cores=machine.count_physical_cores(),
        usable_cores=usable_cores,
        simd=machine.parse_simd(flags),
        fast_bfloat16=machine.parse_fast_bfloat16(flags),
        ram_total=ram_total,
        ram_free=ram_free,
        bandwidth=bandwidth,
        gpus=tuple(_iterate_gpus()),
        mps=_has_mps(),
        has_triton=_is_installed("triton"),
        has_kernels=_is_installed("kernels"),
        cpu_kernel=cpu_kernel,
        cpu_kernel_reason=cpu_kernel_reason,
    )


def measure_bandwidth(*, threads: int, size_bytes: int = _PROBE_BYTES) -> float:
    """Return how fast some threads read memory together, in GB/s, or 0 if this cannot be measured.

    The C library searches for a byte that does not occur: this only reads, is as fast as memory, and releases the GIL.

    Args:
        threads: Number of threads.
        size_bytes: Number of bytes to read in all.
    """
    if size_bytes < _MIN_PROBE_BYTES:
        return 0.0
    try:
        library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
        find_byte = library.memchr
        find_byte.argtypes, find_byte.restype = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t], ctypes.c_void_p
        buffer = ctypes.create_string_buffer(size_bytes)
        part_bytes = size_bytes // threads
        starts = [ctypes.addressof(buffer) + index * part_bytes for index in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            # The buffer is written first, because pages that were never written all map to one page of zeros.
            list(pool.map(lambda start: ctypes.memset(start, 1, part_bytes), starts))
            began_at = time.perf_counter()
            list(pool.map(lambda start: find_byte(start, 0, part_bytes), starts))
            return round(part_bytes * threads / (time.perf_counter() - began_at) / 1e9, 1)
    except (OSError, AttributeError, MemoryError, RuntimeError, ZeroDivisionError):
        return 0.0


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _iterate_gpus() -> Iterator[Gpu]:
    """Yield the GPUs that torch can use."""
    if not _has_gpu_driver():
        return
    try:
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    except Exception:  # a broken driver or torch raises many kinds of errors, and none may stop the probe
        return
    for index in range(count):
        try:
            free, total = torch.cuda.mem_get_info(index)
            name, capability = torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index)
        except Exception:  # one GPU may be lost or forbidden while the others still work
            continue
        yield Gpu(
            index=index,
            name=name,
            total_bytes=total,
            free_bytes=free,
            capability=capability,
            bandwidth=find_gpu_bandwidth(name),
        )


def _has_gpu_driver() -> bool:
    """Return True if there may be CUDA or ROCm GPUs; only then importing torch, which takes seconds, is worth it."""
    if "torch" in sys.modules or os.path.exists("/dev/kfd"):
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def find_gpu_bandwidth(name: str) -> float:
    """Return a GPU's published memory bandwidth in GB/s, or a conservative estimate if its name is not in the table."""
    return float(next((speed for part, speed in _GPU_BANDWIDTH_GB_S if part in name), _DEFAULT_GPU_BANDWIDTH_GB_S))


def _has_mps() -> bool:
    if platform.system() != "Darwin" or platform.machine() != "arm64":
        return False
    try:
        import torch

        return bool(torch.backends.mps.is_available())
    except Exception:  # as for CUDA
        return False
