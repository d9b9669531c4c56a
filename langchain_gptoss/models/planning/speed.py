"""Speed estimates from memory bandwidth and arithmetic, accurate to a factor of about two.

The constants were measured on two cores of an AMD EPYC with 20 to 33 GB/s, or they are published peak values times the
share that runs of this kind reach.
"""

from dataclasses import dataclass

from langchain_gptoss.models.planning.footprint import PREFILL_TOKENS, WIDTHS, compute_expert_bytes
from langchain_gptoss.models.planning.hardware import Gpu, Hardware
from langchain_gptoss.models.shapes import Shape

_DEFAULT_BANDWIDTH_GB_S = 15.0  # two channels of DDR4 in a laptop, minus losses
_MPS_BANDWIDTH_GB_S = 100.0  # the smallest Apple chips have 68 to 120

# The native runner, and packed experts elsewhere, by kernel: share of the bandwidth that decode reaches, and GFLOP/s
# per core in prefill. Measured with benchmarks/cpu.py on two cores of an AMD EPYC with AVX-512; AVX2 and plain C on one
# without. NEON is a cautious guess: it has only run in an emulator.
_KERNEL = {
    "avx512-vnni": (0.9, 180.0),
    "avx2": (0.65, 100.0),
    "neon": (0.5, 40.0),
    "portable": (0.1, 5.0),
    "none": (0.02, 5.0),
}
# Unpacked experts in transformers' modules, from the demo model: prefill and decode at 147 and 9 tokens/s in float32,
# and at 7 and 3 tokens/s in bfloat16 on a CPU without instructions for it.
_UNPACKED, _SLOW_BFLOAT16 = (0.8, 16.0), (0.05, 0.75)
_LAYER_SECONDS = {"cpu": 2e-3, "cuda": 4e-4, "mps": 1e-3}  # time of Python between the kernels of a layer
_NATIVE_LAYER_SECONDS = 1e-5  # the native runner calls C once per pass

_GPU_SHARE, _GPU_FLOP_SHARE = 0.6, 0.2
# Dense bfloat16 TFLOP/s by compute capability, rounded down (NVIDIA's data sheets).
_GPU_TFLOPS = (((9, 0), 900.0), ((8, 9), 150.0), ((8, 6), 70.0), ((8, 0), 300.0), ((7, 0), 50.0))
_DEFAULT_GPU_TFLOPS = 10.0
_MPS_GFLOPS = 1500.0  # a bit more than half of 2.6 TFLOP/s; Apple GPUs have 2.6 to 27


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Estimated speed in tokens per second, for one user and a short context.

    Attributes:
        prefill: Speed of reading a prompt.
        decode: Speed of writing an answer.
    """

    prefill: float
    decode: float


@dataclass(frozen=True, kw_only=True)
class _Rate:
    """Speed of a device: bytes of weights that it reads per second, and floating-point operations per second."""

    bytes_per_s: float
    flop_per_s: float


def estimate_speed(
    shape: Shape,
    hardware: Hardware,
    *,
    device: str,
    gpus: tuple[Gpu, ...],
    offload: bool,
    dtype: str,
    experts: str,
    runner: str,
) -> Speed:
    """Return the estimated speed of a model.

    Args:
        shape: Shape of the model.
        hardware: The machine.
        device: `"cuda"`, `"cpu"` or `"mps"`.
        gpus: CUDA GPUs that hold the layers.
        offload: True if the experts are on the CPU while the rest is on the GPUs.
        dtype: Type of the dense weights, and of the experts if they are unpacked.
        experts: `"packed"`, `"int4"` or `"unpacked"`.
        runner: `"native"` or `"torch"`.
    """
    is_packed, is_native = experts == "packed", runner == "native"
    cpu_rate = _estimate_cpu_rate(hardware, has_kernel=is_native or is_packed, dtype=dtype)
    if device == "cuda":
        dense_rate = _estimate_gpu_rate(gpus)
    else:
        dense_rate = _estimate_mps_rate(hardware) if device == "mps" else cpu_rate
    expert_rate = cpu_rate if offload else dense_rate

    dense_weights = shape.attention_weights + shape.other_weights
    dense_bytes = (dense_weights + shape.embedding_weights) * WIDTHS[dtype]
    expert_bytes = compute_expert_bytes(shape, dtype=dtype, experts=experts)
    active_share = shape.experts_per_token / shape.experts
    layer_s = _NATIVE_LAYER_SECONDS if is_native else _LAYER_SECONDS[device]
    overhead_s = shape.layers * layer_s

    dense_read_s = dense_bytes / dense_rate.bytes_per_s
    expert_read_s = expert_bytes / expert_rate.bytes_per_s
    decode_s = overhead_s + dense_read_s + active_share * expert_read_s
    multiply_s = dense_weights / dense_rate.flop_per_s + shape.active_expert_weights / expert_rate.flop_per_s
    # The tokens of a chunk use nearly every expert, so all experts are read once per chunk.
    chunk_read_s = overhead_s + dense_read_s + expert_read_s
    prefill_s = max(2 * PREFILL_TOKENS * multiply_s, chunk_read_s) / PREFILL_TOKENS
    return Speed(prefill=_round_to_two_digits(1 / prefill_s), decode=_round_to_two_digits(1 / decode_s))


def _round_to_two_digits(value: float) -> float:
    """Return a number with two significant digits; the estimate is not more accurate."""
    return float(f"{value:.2g}")


def _estimate_cpu_rate(hardware: Hardware, *, has_kernel: bool, dtype: str) -> _Rate:
    share, gflops = _KERNEL[hardware.cpu_kernel] if has_kernel else _UNPACKED
    if not has_kernel and dtype != "float32" and not hardware.fast_bfloat16:
        share, gflops = _SLOW_BFLOAT16
    bandwidth_gb_s = hardware.bandwidth or _DEFAULT_BANDWIDTH_GB_S
    return _Rate(bytes_per_s=bandwidth_gb_s * share * 1e9, flop_per_s=gflops * hardware.threads * 1e9)


def _estimate_gpu_rate(gpus: tuple[Gpu, ...]) -> _Rate:
    # The layers are spread over the GPUs, which work one after another, so the slowest GPU decides.
    tflops = min(
        next((peak for capability, peak in _GPU_TFLOPS if gpu.capability >= capability), _DEFAULT_GPU_TFLOPS)
        for gpu in gpus
    )
    bandwidth_gb_s = min(gpu.bandwidth for gpu in gpus)
    return _Rate(bytes_per_s=bandwidth_gb_s * _GPU_SHARE * 1e9, flop_per_s=tflops * _GPU_FLOP_SHARE * 1e12)


def _estimate_mps_rate(hardware: Hardware) -> _Rate:
    bandwidth_gb_s = max(hardware.bandwidth, _MPS_BANDWIDTH_GB_S)
    return _Rate(bytes_per_s=bandwidth_gb_s * _GPU_SHARE * 1e9, flop_per_s=_MPS_GFLOPS * 1e9)
