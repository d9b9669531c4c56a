"""A rough forecast of speed from memory bandwidth and arithmetic; an estimate, good to a factor of about two.

The constants were measured on two cores of an AMD EPYC with 20 to 33 GB/s, or are published peak figures times the
share of them that runs of this kind reach.
"""

from dataclasses import dataclass

from langchain_gptoss.models.planning.footprint import PREFILL_TOKENS, WIDTHS
from langchain_gptoss.models.planning.hardware import Gpu, Hardware
from langchain_gptoss.models.shapes import Shape

_BANDWIDTH_UNKNOWN = 15.0  # GB/s: two channels of DDR4, as in a laptop, less what is lost
_MPS_BANDWIDTH = 100.0  # GB/s: the smallest Apple chips have 68 to 120

# Packed experts on the CPU: share of the bandwidth that decoding reaches, and GFLOP/s per core of prefill, measured
# with benchmarks/cpu.py on two cores of an AMD EPYC with AVX-512 (AVX2 and plain C: the kernel alone, there as well).
_PACKED = {"avx512-vnni": (0.9, 180.0), "avx2": (0.75, 100.0), "portable": (0.1, 5.0), "none": (0.02, 5.0)}
# Unpacked through transformers: the demo model's 147 and 9 tokens/s in float32, 7 and 3 in bfloat16 without
# instructions for it.
_UNPACKED, _SLOW_BFLOAT16 = (0.8, 16.0), (0.05, 0.75)
_LAYER_SECONDS = {"cpu": 2e-3, "cuda": 4e-4, "mps": 1e-3}  # Python between the kernels of a layer
_PACKED_LAYER_SECONDS = 1e-4  # on a CPU, where decode does not return to Python

_GPU_SHARE, _GPU_FLOP_SHARE = 0.6, 0.2
# Dense bfloat16 TFLOP/s by compute capability, rounded down (NVIDIA's data sheets).
_GPU_TFLOPS = (((9, 0), 900.0), ((8, 9), 150.0), ((8, 6), 70.0), ((8, 0), 300.0), ((7, 0), 50.0))
_MPS_GFLOPS = 1500.0  # of the 2.6 to 27 TFLOP/s of Apple GPUs, the smallest at a bit more than half


@dataclass(frozen=True, kw_only=True)
class Speed:
    """An estimate in tokens per second, for one user and a short context.

    Attributes:
        prefill: Reading a prompt.
        decode: Writing an answer.
    """

    prefill: float
    decode: float


@dataclass(frozen=True)
class _Rate:
    """How fast a device reads weights (bytes/s) and computes (FLOP/s)."""

    bytes: float
    flops: float


def speed_of(
    shape: Shape, hardware: Hardware, *, device: str, gpus: tuple[Gpu, ...], offload: bool, dtype: str, experts: str
) -> Speed:
    """Returns the estimate for one way of running a model."""
    packed = experts == "packed"
    cpu = _cpu_rate(hardware, packed=packed, dtype=dtype)
    dense_rate = _gpu_rate(gpus) if device == "cuda" else _mps_rate(hardware) if device == "mps" else cpu
    expert_rate = cpu if offload else dense_rate

    dense_weights = shape.attention_weights + shape.other_weights
    dense_bytes = (dense_weights + shape.embedding_weights) * WIDTHS[dtype]
    expert_bytes = shape.packed_expert_bytes if packed else shape.expert_weights * WIDTHS[dtype]
    active = shape.experts_per_token / shape.experts
    overhead = shape.layers * (_PACKED_LAYER_SECONDS if packed and device == "cpu" else _LAYER_SECONDS[device])

    decode = overhead + dense_bytes / dense_rate.bytes + active * expert_bytes / expert_rate.bytes
    arithmetic = dense_weights / dense_rate.flops + shape.active_expert_weights / expert_rate.flops
    # A piece of a prompt passes through nearly every expert, so all are read once per piece.
    reading = overhead + dense_bytes / dense_rate.bytes + expert_bytes / expert_rate.bytes
    prefill = max(2 * PREFILL_TOKENS * arithmetic, reading) / PREFILL_TOKENS
    return Speed(prefill=_rounded(1 / prefill), decode=_rounded(1 / decode))


def _rounded(value: float) -> float:
    """Returns two significant digits: more would pretend to know."""
    return float(f"{value:.2g}")


def _cpu_rate(hardware: Hardware, *, packed: bool, dtype: str) -> _Rate:
    share, gflops = _PACKED[hardware.cpu_kernel] if packed else _UNPACKED
    if not packed and dtype != "float32" and not hardware.fast_bfloat16:
        share, gflops = _SLOW_BFLOAT16
    return _Rate((hardware.bandwidth or _BANDWIDTH_UNKNOWN) * share * 1e9, gflops * hardware.threads * 1e9)


def _gpu_rate(gpus: tuple[Gpu, ...]) -> _Rate:
    # Layers are spread, so the GPUs work one after another: the slowest counts.
    flops = min(next((peak for least, peak in _GPU_TFLOPS if gpu.capability >= least), 10.0) for gpu in gpus)
    return _Rate(min(gpu.bandwidth for gpu in gpus) * _GPU_SHARE * 1e9, flops * _GPU_FLOP_SHARE * 1e12)


def _mps_rate(hardware: Hardware) -> _Rate:
    return _Rate(max(hardware.bandwidth, _MPS_BANDWIDTH) * _GPU_SHARE * 1e9, _MPS_GFLOPS * 1e9)
