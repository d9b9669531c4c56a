"""The CPU kernel seen from Python: loaded once, checked against the reference, called on torch's own threads."""

import ctypes
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch

from langchain_gptoss.engine.kernels.build import NoKernelError, built_kernel
from langchain_gptoss.engine.kernels.mxfp4 import BLOCK, PackedExperts, experts_reference

Level = Literal["none", "portable", "avx2", "avx512-vnni"]
LEVELS: tuple[Level, ...] = ("portable", "avx2", "avx512-vnni")
# Of what 8-bit activations leave, relative to the largest result; the checked error is about 0.006.
_TOLERANCE = 0.03

_POINTER, _LONG = ctypes.c_void_p, ctypes.c_int64


class _Experts(ctypes.Structure):
    """`Experts` in src/kernel.c."""

    _fields_ = [
        *((name, _POINTER) for name in ("hidden", "experts", "shares")),
        *((name, _POINTER) for name in ("gate_up_blocks", "gate_up_scales", "down_blocks", "down_scales")),
        *((name, _POINTER) for name in ("gate_up_bias", "down_bias", "out")),
        *((name, _LONG) for name in ("tokens", "active", "expert_count", "hidden_size", "intermediate_size")),
        ("alpha", ctypes.c_float),
        ("limit", ctypes.c_float),
        ("threads", ctypes.c_int32),
        ("level", ctypes.c_int32),
    ]


class _Narrow(ctypes.Structure):
    """`Narrow` in src/kernel.c."""

    _fields_ = [
        *((name, _POINTER) for name in ("source", "weights", "scales")),
        *((name, _LONG) for name in ("rows", "k")),
        ("bfloat16", ctypes.c_int32),
        ("threads", ctypes.c_int32),
    ]


class _Dense(ctypes.Structure):
    """`Dense` in src/kernel.c."""

    _fields_ = [
        *((name, _POINTER) for name in ("weights", "scales", "x", "bias", "out")),
        *((name, _LONG) for name in ("rows", "k", "count")),
        ("threads", ctypes.c_int32),
        ("level", ctypes.c_int32),
    ]


@dataclass(frozen=True, kw_only=True)
class KernelStatus:
    """Whether the CPU kernel can be had here.

    Attributes:
        level: `"avx512-vnni"`, `"avx2"`, `"portable"`, or `"none"`: the reference in torch does the work.
        why: The reason, for people.
    """

    level: Level
    why: str


class Kernel:
    """The loaded kernel. Calls release the interpreter lock; any thread may make them."""

    def __init__(self, library: Path, *, level: int = len(LEVELS) - 1) -> None:
        """Loads it and picks the best instructions that the processor has, up to `level`.

        Raises:
            NoKernelError: It cannot be loaded, or computes something wrong here.
        """
        try:
            self._library = ctypes.CDLL(str(library))
        except OSError as error:
            raise NoKernelError(f"the CPU kernel cannot be loaded: {error}") from error
        self._library.gptoss_init.argtypes = [_POINTER]
        self._library.gptoss_experts.argtypes = [_POINTER]
        self._library.gptoss_decode.argtypes = [_POINTER, _POINTER, _LONG, _POINTER]
        for name in ("gptoss_dense", "gptoss_widen", "gptoss_narrow"):
            getattr(self._library, name).argtypes = [_POINTER]
        self._level = min(level, int(self._library.gptoss_init(_openmp_parallel())))
        if problem := self._wrong():
            raise NoKernelError(problem)

    @property
    def level(self) -> Level:
        """The instructions that it uses."""
        return LEVELS[self._level]

    @property
    def level_number(self) -> int:
        """The same as the C code counts them."""
        return self._level

    def decode(self, model: Any, past: Any, token_id: int, logits: torch.Tensor) -> None:
        """Takes one token through a model into `logits`; see `engine.decode`, which makes the arguments.

        Raises:
            MemoryError: The working space could not be had.
        """
        if self._library.gptoss_decode(model, past, token_id, logits.data_ptr()):
            raise MemoryError("The working space of a token could not be had.")

    def experts(
        self, hidden: torch.Tensor, indices: torch.Tensor, shares: torch.Tensor, packed: PackedExperts
    ) -> torch.Tensor:
        """Returns the mixture of experts; see `experts_reference`.

        Activations are rounded to 15 bits per block of 32 for up to 64 tokens, and to 8 bits for more.

        Args:
            hidden: float32 [tokens, hidden].
            indices: int64 [tokens, active].
            shares: float32 [tokens, active].
            packed: The layer's experts, on the CPU; biases in float32.

        Raises:
            MemoryError: The working space could not be had.
        """
        hidden, indices, shares = hidden.contiguous(), indices.contiguous(), shares.contiguous()
        out = torch.empty_like(hidden)
        call = _Experts(
            hidden=hidden.data_ptr(),
            experts=indices.data_ptr(),
            shares=shares.data_ptr(),
            gate_up_blocks=packed.gate_up_blocks.data_ptr(),
            gate_up_scales=packed.gate_up_scales.data_ptr(),
            down_blocks=packed.down_blocks.data_ptr(),
            down_scales=packed.down_scales.data_ptr(),
            gate_up_bias=packed.gate_up_bias.data_ptr(),
            down_bias=packed.down_bias.data_ptr(),
            out=out.data_ptr(),
            tokens=hidden.shape[0],
            active=indices.shape[1],
            expert_count=packed.gate_up_blocks.shape[0],
            hidden_size=hidden.shape[1],
            intermediate_size=packed.down_blocks.shape[2] * BLOCK,
            alpha=packed.alpha,
            limit=packed.limit,
            threads=torch.get_num_threads(),
            level=self._level,
        )
        if self._library.gptoss_experts(ctypes.byref(call)):
            raise MemoryError("The working space of the experts could not be had.")
        return out

    def dense(
        self, x: torch.Tensor, weights: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """Returns `x @ weights.T + bias` for int8 weights, with `x` in float32 or rounded to 15 bits per block of 32.

        Args:
            x: float32 [tokens, k].
            weights: int8 [rows, k].
            scales: bfloat16 [rows, k / 32].
            bias: float32 [rows], or None.

        Returns:
            float32 [tokens, rows].
        """
        x = x.contiguous()
        out = torch.empty(x.shape[0], weights.shape[0])
        call = self._dense_call(weights, scales, out)
        call.x, call.count = x.data_ptr(), x.shape[0]
        call.bias = None if bias is None else bias.data_ptr()
        if self._library.gptoss_dense(ctypes.byref(call)):
            raise MemoryError("The working space of a product could not be had.")
        return out

    def widen(self, weights: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
        """Returns int8 weights (see `dense`) as float32 [rows, k]."""
        out = torch.empty(weights.shape)
        self._library.gptoss_widen(ctypes.byref(self._dense_call(weights, scales, out)))
        return out

    def _dense_call(self, weights: torch.Tensor, scales: torch.Tensor, out: torch.Tensor) -> _Dense:
        return _Dense(
            weights=weights.data_ptr(),
            scales=scales.data_ptr(),
            out=out.data_ptr(),
            rows=weights.shape[0],
            k=weights.shape[1],
            threads=torch.get_num_threads(),
            level=self._level,
        )

    def narrow(self, matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns a bfloat16 or float32 matrix [rows, k] as int8 weights and scales; see `dense`."""
        matrix = matrix.contiguous()
        weights = torch.empty(matrix.shape, dtype=torch.int8)
        scales = torch.empty(matrix.shape[0], matrix.shape[1] // BLOCK, dtype=torch.bfloat16)
        call = _Narrow(
            source=matrix.data_ptr(),
            weights=weights.data_ptr(),
            scales=scales.data_ptr(),
            rows=matrix.shape[0],
            k=matrix.shape[1],
            bfloat16=matrix.dtype == torch.bfloat16,
            threads=torch.get_num_threads(),
        )
        self._library.gptoss_narrow(ctypes.byref(call))
        return weights, scales

    def _wrong(self) -> str:
        """Returns what is wrong with the kernel on this processor, or nothing: experts and matrices are tried."""
        random = torch.Generator().manual_seed(0)
        packed = _random_experts(random)
        for tokens in (1, 9, 70):  # few for each expert, many, and so many that 8 bits do
            hidden = torch.randn(tokens, 96, generator=random)
            indices = torch.rand(tokens, 3, generator=random).argsort(dim=1)[:, :2].contiguous()
            shares = torch.rand(tokens, 2, generator=random)
            expected = experts_reference(hidden, indices, shares, packed)
            error = (self.experts(hidden, indices, shares, packed) - expected).abs().max() / expected.abs().max()
            if not error < _TOLERANCE:
                return f"the CPU kernel ({self.level}) computes wrong results on this processor (error {error:.3g})"
        matrix, x = torch.randn(64, 96, generator=random), torch.randn(1, 96, generator=random)
        weights, scales = self.narrow(matrix)
        for result in (self.dense(x, weights, scales, None), x @ self.widen(weights, scales).T):
            if not (result - x @ matrix.T).abs().max() < _TOLERANCE * (x @ matrix.T).abs().max():
                return f"the CPU kernel ({self.level}) multiplies matrices wrongly on this processor"
        return ""


def _random_experts(random: torch.Generator) -> PackedExperts:
    def numbers(low: int, high: int, *shape: int) -> torch.Tensor:
        return torch.randint(low, high, shape, generator=random).to(torch.uint8)

    return PackedExperts(
        gate_up_blocks=numbers(0, 256, 3, 64, 3, 16),
        gate_up_scales=numbers(120, 125, 3, 64, 3),
        gate_up_bias=torch.randn(3, 64, generator=random),
        down_blocks=numbers(0, 256, 3, 96, 1, 16),
        down_scales=numbers(120, 125, 3, 96, 1),
        down_bias=torch.randn(3, 96, generator=random),
        alpha=1.702,
        limit=7.0,
    )


def _openmp_parallel() -> int | None:
    """Returns the address of the OpenMP entry point that torch itself uses: two pools of threads would fight."""
    folder = Path(torch.__file__).parent / "lib"
    for name in [*sorted(folder.glob("libgomp*")), *sorted(folder.glob("libomp*")), *sorted(folder.glob("libiomp*"))]:
        try:
            return ctypes.cast(ctypes.CDLL(str(name)).GOMP_parallel, _POINTER).value
        except (OSError, AttributeError):
            continue
    return None


_lock = threading.Lock()


@cache
def _loaded() -> tuple[Kernel | None, KernelStatus]:
    try:
        kernel = Kernel(built_kernel())
    except NoKernelError as error:
        return None, KernelStatus(level="none", why=str(error))
    return kernel, KernelStatus(level=kernel.level, why=f"compiled here, for {kernel.level} instructions")


def cpu_kernel() -> Kernel | None:
    """Returns the CPU kernel, compiled and loaded on first use; None where it cannot be had."""
    with _lock:
        return _loaded()[0]


def get_kernel_status() -> KernelStatus:
    """Returns whether the CPU kernel can be had, compiled on first use."""
    with _lock:
        return _loaded()[1]
