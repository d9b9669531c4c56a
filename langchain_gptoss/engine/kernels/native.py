"""The CPU kernel in Python: loaded once, and tested against plain C.

The kernel has functions for each level of instructions: plain C, AVX2, AVX-512 with VNNI and VBMI, and on Arm NEON with
dot products. It uses the best level that the processor has. The environment variable `GPTOSS_KERNEL_LEVEL` lowers it:
`portable`, `avx2`, `avx512-vnni` and `neon` are the best level to use, and `none` uses torch.
`GPTOSS_KERNEL_LEVEL=portable pytest` runs the tests as on a processor without AVX2, AVX-512 and NEON.
"""

import ctypes
import os
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import torch

from langchain_gptoss.engine.kernels.build import build_kernel
from langchain_gptoss.engine.kernels.calls import check_return_code, check_tensor
from langchain_gptoss.engine.kernels.memory import WeightMemory, allocate_weights
from langchain_gptoss.engine.kernels.mxfp4 import BLOCK, quantize_mxfp4
from langchain_gptoss.engine.kernels.products import GROUP_ROWS, arrange_int4, multiply
from langchain_gptoss.errors import InvalidInputError, KernelError
from langchain_gptoss.models.conversion.int4 import round_to_int4

Level = Literal["none", "portable", "avx2", "avx512-vnni", "neon"]
LEVELS: tuple[Level, ...] = ("portable", "avx2", "avx512-vnni", "neon")
"""The levels in ascending order; the C code numbers them from 0. A processor has NEON or the other two."""
LEVEL_VARIABLE = "GPTOSS_KERNEL_LEVEL"

# Largest allowed errors of the self-test for MXFP4, int4, int8 and bfloat16, root mean square; rounding the weights to
# MXFP4 causes about 0.1, to int4 0.07, to int8 0.006.
_TOLERANCES = (0.2, 0.15, 0.02, 0.01)

_POINTER, _LONG = ctypes.c_void_p, ctypes.c_int64


class _Quantization(ctypes.Structure):
    """`Quantization` in src/kernel.c."""

    _fields_ = [
        *((name, _POINTER) for name in ("source", "weights", "scales")),
        *((name, _LONG) for name in ("rows", "k")),
        *((name, ctypes.c_int32) for name in ("is_bfloat16", "threads", "level")),
    ]


@dataclass(frozen=True, kw_only=True)
class KernelStatus:
    """The CPU kernel of this machine.

    Attributes:
        level: The level of instructions; `"none"` means that torch computes.
        reason: The reason, as a clause for display.
    """

    level: Level
    reason: str


def read_max_level() -> Level:
    """Return the best level that `GPTOSS_KERNEL_LEVEL` allows; without the variable, the best level of all.

    Raises:
        InvalidInputError: The variable has another value.
    """
    value = os.environ.get(LEVEL_VARIABLE) or LEVELS[-1]
    for level in get_args(Level):
        if value == level:
            return level  # type: ignore[no-any-return]
    raise InvalidInputError(
        f"The environment variable {LEVEL_VARIABLE} is {value!r}.", hint=f"Use one of {', '.join(get_args(Level))}."
    )


class Kernel:
    """The loaded kernel. Calls release the interpreter lock, and any thread may make them."""

    def __init__(self, library: Path, *, max_level: Level = LEVELS[-1]) -> None:
        """Load the library, choose the level, and run a self-test.

        Args:
            library: The compiled kernel.
            max_level: The best level to use.

        Raises:
            KernelError: The library cannot be loaded, or it computes wrong results on this processor.
        """
        try:
            self._library = ctypes.CDLL(str(library))
        except OSError as error:
            raise KernelError(f"The CPU kernel cannot be loaded: {error}.") from error
        self._library.gptoss_multiply.argtypes = [_POINTER]
        self._library.gptoss_quantize_int8.argtypes = [_POINTER]
        available = int(self._library.gptoss_find_levels())
        self._level = max(number for number in range(LEVELS.index(max_level) + 1) if available >> number & 1)
        self._run_self_test()

    @property
    def level(self) -> Level:
        """The level of instructions that the kernel uses."""
        return LEVELS[self._level]

    @property
    def level_number(self) -> int:
        """The level as the C code numbers it."""
        return self._level

    @property
    def library(self) -> ctypes.CDLL:
        """The loaded library; see `forward`."""
        return self._library

    def multiply(
        self,
        x: torch.Tensor,
        weights: torch.Tensor,
        scales: torch.Tensor | None = None,
        *,
        activation_bits: int = 8,
        rows: int | None = None,
    ) -> torch.Tensor:
        """Return `x @ weights.T`, float32 [tokens, rows].

        A row of the result has the same bits at every level of instructions, for any number of tokens.

        Args:
            x: float32 [tokens, k]; k is a multiple of 32.
            weights: MXFP4 as uint8 [rows, k / 32, 16], int8 [rows / 16, k / 2, 16, 2] as `quantize_int8` returns it,
                int4 as uint8 [rows / 16, k / 32, 4, 16, 4] as `products.arrange_int4` returns it, or bfloat16
                [rows, k].
            scales: uint8 [rows, k / 32] for MXFP4, bfloat16 [rows / 16, k / 32, 16] for int8, float16
                [rows / 16, k / 32, 2, 16] for int4; None for bfloat16.
            activation_bits: 8 or 16: `x` is rounded to so many bits per block of 32 for MXFP4 and int4 weights. For
                int8 weights it always has 16 bits, and for bfloat16 weights it is not rounded.
            rows: Rows of the matrix; None means all that the tensors have. int8 and int4 tensors are padded to a
                multiple of 16.

        Raises:
            GptOssMemoryError: Memory ran out.
            KernelError: A tensor has the wrong type or shape.
        """
        return multiply(self._library, self._level, x, weights, scales, activation_bits, rows)

    def quantize_int8(
        self, matrix: torch.Tensor, *, memory: WeightMemory | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return int8 weights and scales, as `multiply` takes them: rounded, with one scale for 32 numbers of a row.

        Args:
            matrix: bfloat16 or float32 [rows, k]; k is a multiple of 32.
            memory: Where the result lies; None means in memory of its own.

        Raises:
            KernelError: The matrix has another type or shape.
        """
        matrix = matrix.contiguous()
        dtype = torch.bfloat16 if matrix.dtype == torch.bfloat16 else torch.float32
        source = check_tensor("matrix", matrix, dtype, *matrix.shape[:2])
        (rows, k), groups = matrix.shape, -(-matrix.shape[0] // GROUP_ROWS)
        weights = allocate_weights(memory, (groups, k // 2, GROUP_ROWS, 2), torch.int8)
        scales = allocate_weights(memory, (groups, k // BLOCK, GROUP_ROWS), torch.bfloat16)
        call = _Quantization(
            source=source,
            weights=weights.data_ptr(),
            scales=scales.data_ptr(),
            rows=rows,
            k=k,
            is_bfloat16=dtype == torch.bfloat16,
            threads=torch.get_num_threads(),
            level=self._level,
        )
        check_return_code(self._library.gptoss_quantize_int8(ctypes.byref(call)))
        return weights, scales

    def _run_self_test(self) -> None:
        """Compare products with those of torch, and their bits with those of plain C.

        Raises:
            KernelError: A result is wrong.
        """
        generator = torch.Generator().manual_seed(0)
        matrix, x = torch.randn(64, 96, generator=generator), torch.randn(7, 96, generator=generator)
        int4 = round_to_int4(matrix)
        matrices = (
            quantize_mxfp4(matrix),
            arrange_int4(int4.values, int4.scales, int4.minimums),
            self.quantize_int8(matrix),
            (matrix.bfloat16(), None),
        )
        expected = x @ matrix.T
        for (weights, scales), tolerance in zip(matrices, _TOLERANCES, strict=True):
            error = (self.multiply(x, weights, scales) - expected).norm() / expected.norm()
            if not error < tolerance:
                raise KernelError(
                    f"The CPU kernel ({self.level}) computes wrong results on this processor (error {error:.3g})."
                )
        self._compare_products_with_plain_c(x, *matrices)

    def _compare_products_with_plain_c(
        self, x: torch.Tensor, *matrices: tuple[torch.Tensor, torch.Tensor | None]
    ) -> None:
        for weights, scales in matrices:
            for bits in (8, 16):
                plain, result = (multiply(self._library, level, x, weights, scales, bits) for level in (0, self._level))
                if not torch.equal(plain, result):
                    raise KernelError(
                        f"The CPU kernel ({self.level}) does not compute the same as plain C on this processor."
                    )


_lock = threading.Lock()


@cache
def _load() -> tuple[Kernel | None, KernelStatus]:
    max_level = read_max_level()
    if max_level == "none":
        return None, KernelStatus(level="none", reason=f"{LEVEL_VARIABLE} is none")
    try:
        library = build_kernel()
    except KernelError as error:
        return None, KernelStatus(level="none", reason=_format_clause(error))
    return _load_best_level(library, max_level)


def _load_best_level(library: Path, max_level: Level) -> tuple[Kernel | None, KernelStatus]:
    """Return the kernel at the best level that passes the self-test."""
    problem: KernelError | None = None
    for level in reversed(LEVELS[: LEVELS.index(max_level) + 1]):
        try:
            kernel = Kernel(library, max_level=level)
        except KernelError as error:
            problem = problem or error
            continue
        reason = f"compiled here, for {kernel.level} instructions"
        if problem is not None:
            reason += f", because {_format_clause(problem)}"
        return kernel, KernelStatus(level=kernel.level, reason=reason)
    return None, KernelStatus(level="none", reason=_format_clause(problem) if problem else "there is no level")


def _format_clause(error: KernelError) -> str:
    """Return an error's text without the capital letter and the last period."""
    text = str(error).rstrip(".")
    return text[:1].lower() + text[1:]


def get_cpu_kernel() -> Kernel | None:
    """Return the CPU kernel, compiled and loaded on first use; None if it cannot be used on this machine."""
    with _lock:
        return _load()[0]


def get_kernel_status() -> KernelStatus:
    """Return the level of the CPU kernel and its reason; the kernel is compiled on first use."""
    with _lock:
        return _load()[1]
