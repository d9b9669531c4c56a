"""What this machine offers to a model. Reading it never fails: what is missing is said to be missing."""

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

CpuKernel = Literal["avx512-vnni", "avx2", "portable", "none"]

_PROBED_BYTES = 256_000_000  # several times the caches of most processors

# Published memory bandwidth in GB/s (NVIDIA's data sheets); the first name that is part of the GPU's name counts.
_GPU_BANDWIDTH = (
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
_GPU_BANDWIDTH_UNKNOWN = 400.0


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A CUDA GPU (or one of ROCm, which torch shows alike).

    Attributes:
        index: Its number in torch.
        name: As the driver names it.
        total_bytes: Its memory.
        free_bytes: What nobody uses of it now.
        capability: Compute capability, such as (9, 0).
        bandwidth: Published memory bandwidth in GB/s; a careful guess for a GPU that is not in the table.
    """

    index: int
    name: str
    total_bytes: int
    free_bytes: int
    capability: tuple[int, int]
    bandwidth: float = _GPU_BANDWIDTH_UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a machine offers.

    Attributes:
        system: Operating system and architecture, such as `"Linux x86_64"`.
        cpu: The processor's name.
        physical_cores: The machine's cores; two threads of one core count once.
        usable_cores: Processors that this process may use (affinity, cgroup quota).
        simd: The best vector instructions that the kernels of this package use.
        fast_bfloat16: Whether the CPU has instructions for bfloat16 products.
        ram_total: Bytes, no more than the cgroup allows.
        ram_free: Bytes to be had without swapping; caches of files count as free.
        bandwidth: How fast all threads together read memory, in GB/s; 0 where it was not measured.
        gpus: CUDA GPUs.
        mps: Whether torch can use an Apple GPU.
        has_triton: Whether `triton` can be imported.
        has_kernels: Whether `kernels`, with which transformers fetches kernels from the hub, can be imported.
        cpu_kernel: Which kernel multiplies with packed experts on the CPU; `"portable"` is slow C, `"none"` is torch.
        cpu_kernel_reason: Why that one.
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
        """How many threads arithmetic should use: the second thread of a core adds nothing to it."""
        return max(1, min(self.physical_cores, self.usable_cores))


def probe(
    *, cpu_kernel: CpuKernel = "none", cpu_kernel_reason: str = "it was not looked for", measure: bool = True
) -> Hardware:
    """Returns what this machine offers, in less than half a second where torch need not be imported.

    torch is imported only where there are signs of a GPU, or where it is imported already.

    Args:
        cpu_kernel: Which kernel the engine has for packed experts on this CPU.
        cpu_kernel_reason: Why that one.
        measure: Whether to measure the memory bandwidth (about 0.2 s).
    """
    flags = machine.cpu_flags()
    ram_total, ram_free = machine.memory()
    usable = machine.usable_cores()
    return Hardware(
        system=f"{platform.system()} {platform.machine()}",
        cpu=machine.cpu_name(),
        physical_cores=machine.physical_cores(),
        usable_cores=usable,
        simd=machine.parse_simd(flags),
        fast_bfloat16=machine.parse_fast_bfloat16(flags),
        ram_total=ram_total,
        ram_free=ram_free,
        bandwidth=read_bandwidth(threads=usable, size=min(_PROBED_BYTES, ram_free // 8)) if measure else 0.0,
        gpus=tuple(_gpus()),
        mps=_has_mps(),
        has_triton=_installed("triton"),
        has_kernels=_installed("kernels"),
        cpu_kernel=cpu_kernel,
        cpu_kernel_reason=cpu_kernel_reason,
    )


def read_bandwidth(*, threads: int, size: int = _PROBED_BYTES) -> float:
    """Returns how fast `threads` threads read memory together, in GB/s; 0 where it cannot be measured.

    The C library looks for a byte that is not there: a pure read that keeps up with memory and releases the GIL.

    Args:
        threads: How many.
        size: Bytes to read.
    """
    if size < 1_000_000:
        return 0.0
    try:
        library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
        find = library.memchr
        find.argtypes, find.restype = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t], ctypes.c_void_p
        buffer = ctypes.create_string_buffer(size)
        part = size // threads
        starts = [ctypes.addressof(buffer) + index * part for index in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            # Written first: pages that were never written all map to one page of zeros.
            list(pool.map(lambda start: ctypes.memset(start, 1, part), starts))
            begin = time.perf_counter()
            list(pool.map(lambda start: find(start, 0, part), starts))
            return round(part * threads / (time.perf_counter() - begin) / 1e9, 1)
    except (OSError, AttributeError, MemoryError, RuntimeError, ZeroDivisionError):
        return 0.0


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _gpus() -> Iterator[Gpu]:
    """Yields the GPUs that torch can use."""
    if not _signs_of_cuda():
        return
    try:
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    except Exception:  # a broken driver or a broken torch shows itself in many ways, and none may stop the probe
        return
    for index in range(count):
        try:
            free, total = torch.cuda.mem_get_info(index)
            name, capability = torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index)
        except Exception:  # one GPU may be lost or forbidden, and the others still work
            continue
        yield Gpu(
            index=index,
            name=name,
            total_bytes=total,
            free_bytes=free,
            capability=capability,
            bandwidth=gpu_bandwidth(name),
        )


def _signs_of_cuda() -> bool:
    """Returns whether it is worth importing torch, which takes seconds, to look for CUDA or ROCm GPUs."""
    if "torch" in sys.modules or os.path.exists("/dev/kfd"):
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def gpu_bandwidth(name: str) -> float:
    """Returns a GPU's published memory bandwidth in GB/s; a careful guess if its name is not known."""
    return float(next((known for part, known in _GPU_BANDWIDTH if part in name), _GPU_BANDWIDTH_UNKNOWN))


def _has_mps() -> bool:
    if platform.system() != "Darwin" or platform.machine() != "arm64":
        return False
    try:
        import torch

        return bool(torch.backends.mps.is_available())
    except Exception:  # as for CUDA
        return False
