"""The CPU kernel in Python: loaded once, tested against the reference, run on torch's own threads.

The kernel has one version per level of instructions: plain C, AVX2, and AVX-512 with VNNI and VBMI. It uses the best
level that the processor has. The environment variable `GPTOSS_KERNEL_LEVEL` lowers it: `portable`, `avx2` and
`avx512-vnni` are the best level to use, and `none` uses the reference in torch. `GPTOSS_KERNEL_LEVEL=portable pytest`
runs the tests as on a processor without AVX2 and AVX-512.
"""

import ctypes
import os
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from langchain_gptoss.engine.kernels.build import build_kernel
from langchain_gptoss.engine.kernels.calls import check_return_code, check_tensor
from langchain_gptoss.engine.kernels.mxfp4 import BLOCK, PackedExperts, apply_experts_reference
from langchain_gptoss.engine.kernels.products import multiply
from langchain_gptoss.errors import InvalidInputError, KernelError

Level = Literal["none", "portable", "avx2", "avx512-vnni"]
LEVELS: tuple[Level, ...] = ("portable", "avx2", "avx512-vnni")
"""The levels in ascending order; the C code numbers them from 0."""
LEVEL_VARIABLE = "GPTOSS_KERNEL_LEVEL"

# Largest allowed error of the self-test, relative to the largest result; 8-bit activations cause about 0.006.
_TOLERANCE = 0.03

_POINTER, _LONG = ctypes.c_void_p, ctypes.c_int64


class _Experts(ctypes.Structure):
    """`Experts` in src/kernel.c."""

    _fields_ = [
        *((name, _POINTER) for name in ("hidden", "experts", "weights")),
        *((name, _POINTER) for name in ("gate_up_blocks", "gate_up_scales", "down_blocks", "down_scales")),
        *((name, _POINTER) for name in ("gate_up_bias", "down_bias", "out")),
        *((name, _LONG) for name in ("tokens", "active", "expert_count", "hidden_size", "intermediate_size")),
        ("alpha", ctypes.c_float),
        ("limit", ctypes.c_float),
        ("threads", ctypes.c_int32),
        ("level", ctypes.c_int32),
    ]


class _Quantization(ctypes.Structure):
    """`Quantization` in src/kernel.c."""

    _fields_ = [
        *((name, _POINTER) for name in ("source", "weights", "scales")),
        *((name, _LONG) for name in ("rows", "k")),
        ("is_bfloat16", ctypes.c_int32),
        ("threads", ctypes.c_int32),
    ]


class _Int8Product(ctypes.Structure):
    """`Int8Product` in src/kernel.c."""

    _fields_ = [
        *((name, _POINTER) for name in ("weights", "scales", "x", "bias", "out")),
        *((name, _LONG) for name in ("rows", "k", "tokens")),
        ("threads", ctypes.c_int32),
        ("level", ctypes.c_int32),
    ]


@dataclass(frozen=True, kw_only=True)
class KernelStatus:
    """The CPU kernel of this machine.

    Attributes:
        level: The level of instructions; `"none"` means that the reference in torch is used.
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
        self._library.gptoss_init.argtypes = [_POINTER]
        self._library.gptoss_experts.argtypes = [_POINTER]
        self._library.gptoss_decode.argtypes = [_POINTER, _POINTER, _LONG, _POINTER]
        for name in ("multiply", "multiply_int8", "dequantize_int8", "quantize_int8"):
            getattr(self._library, f"gptoss_{name}").argtypes = [_POINTER]
        best = int(self._library.gptoss_init(_find_openmp_parallel()))
        self._level = min(LEVELS.index(max_level), best)
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

    def decode_token(self, model: Any, kv_cache: Any, token_id: int, logits: torch.Tensor) -> None:
        """Run one token through a model.

        Args:
            model: Pointer to a `Model` of src/decode.h; see `runners.native_decode`.
            kv_cache: Pointer to a `KVCache` of src/decode.h.
            token_id: The token.
            logits: float32 [vocabulary]; receives the result.

        Raises:
            GptOssMemoryError: Memory ran out.
        """
        check_return_code(self._library.gptoss_decode(model, kv_cache, token_id, logits.data_ptr()))

    def apply_experts(
        self, hidden: torch.Tensor, indices: torch.Tensor, weights: torch.Tensor, packed: PackedExperts
    ) -> torch.Tensor:
        """Return the output of the mixture of experts; see `apply_experts_reference`.

        Activations are rounded to 15 bits per block of 32 for up to 64 tokens, and to 8 bits for more.

        Args:
            hidden: float32 [tokens, hidden].
            indices: int64 [tokens, active].
            weights: float32 [tokens, active].
            packed: The experts of the layer, on the CPU; biases in float32.

        Raises:
            GptOssMemoryError: Memory ran out.
            KernelError: An index is not the number of an expert.
        """
        hidden, indices, weights = hidden.contiguous(), indices.contiguous(), weights.contiguous()
        tokens, hidden_size = hidden.shape
        choices = (tokens, indices.shape[-1])
        experts, intermediate_size = packed.gate_up_blocks.shape[0], packed.down_blocks.shape[2] * BLOCK
        out = torch.empty_like(hidden)
        call = _Experts(
            hidden=check_tensor("hidden", hidden, torch.float32, tokens, hidden_size),
            experts=check_tensor("indices", indices, torch.int64, *choices),
            weights=check_tensor("weights", weights, torch.float32, *choices),
            **describe_experts(packed, experts, hidden_size, intermediate_size),
            out=out.data_ptr(),
            tokens=tokens,
            active=choices[1],
            expert_count=experts,
            hidden_size=hidden_size,
            intermediate_size=intermediate_size,
            alpha=packed.alpha,
            limit=packed.limit,
            threads=torch.get_num_threads(),
            level=self._level,
        )
        check_return_code(self._library.gptoss_experts(ctypes.byref(call)))
        return out

    def multiply(
        self, x: torch.Tensor, weights: torch.Tensor, scales: torch.Tensor | None = None, *, activation_bits: int = 8
    ) -> torch.Tensor:
        """Return `x @ weights.T`, float32 [tokens, rows].

        A row of the result has the same bits at every level of instructions, for any number of tokens.

        Args:
            x: float32 [tokens, k]; k is a multiple of 32.
            weights: MXFP4 as uint8 [rows, k / 32, 16], int8 [rows, k], or bfloat16 [rows, k].
            scales: uint8 for MXFP4, bfloat16 for int8, [rows, k / 32]; None for bfloat16.
            activation_bits: 8 or 16: `x` is rounded to so many bits per block of 32, except for bfloat16 weights.

        Raises:
            GptOssMemoryError: Memory ran out.
            KernelError: A tensor has the wrong type or shape.
        """
        return multiply(self._library, self._level, x, weights, scales, activation_bits)

    def multiply_int8(
        self, x: torch.Tensor, weights: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """Return `x @ weights.T + bias`, float32 [tokens, rows].

        The AVX-512 level rounds `x` to 15 bits per block of 32; the others use float32.

        Args:
            x: float32 [tokens, k].
            weights: int8 [rows, k].
            scales: bfloat16 [rows, k / 32].
            bias: float32 [rows], or None.

        Raises:
            GptOssMemoryError: Memory ran out.
        """
        x = x.contiguous()
        out = torch.empty(x.shape[0], weights.shape[0])
        call = self._create_int8_call(weights, scales, out)
        call.x, call.tokens = check_tensor("x", x, torch.float32, x.shape[0], weights.shape[1]), x.shape[0]
        call.bias = None if bias is None else check_tensor("bias", bias, torch.float32, weights.shape[0])
        check_return_code(self._library.gptoss_multiply_int8(ctypes.byref(call)))
        return out

    def dequantize_int8(self, weights: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
        """Return int8 weights as float32 [rows, k]; see `multiply_int8` for the arguments."""
        out = torch.empty(weights.shape)
        call = self._create_int8_call(weights, scales, out)
        check_return_code(self._library.gptoss_dequantize_int8(ctypes.byref(call)))
        return out

    def _create_int8_call(self, weights: torch.Tensor, scales: torch.Tensor, out: torch.Tensor) -> _Int8Product:
        rows, k = weights.shape
        return _Int8Product(
            weights=check_tensor("weights", weights, torch.int8, rows, k),
            scales=check_tensor("scales", scales, torch.bfloat16, rows, k // BLOCK),
            out=out.data_ptr(),
            rows=rows,
            k=k,
            threads=torch.get_num_threads(),
            level=self._level,
        )

    def quantize_int8(self, matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return int8 weights and scales, as `multiply_int8` takes them.

        Args:
            matrix: bfloat16 or float32 [rows, k].
        """
        matrix = matrix.contiguous()
        dtype = torch.bfloat16 if matrix.dtype == torch.bfloat16 else torch.float32
        source = check_tensor("matrix", matrix, dtype, *matrix.shape[:2])
        weights = torch.empty(matrix.shape, dtype=torch.int8)
        scales = torch.empty(matrix.shape[0], matrix.shape[1] // BLOCK, dtype=torch.bfloat16)
        call = _Quantization(
            source=source,
            weights=weights.data_ptr(),
            scales=scales.data_ptr(),
            rows=matrix.shape[0],
            k=matrix.shape[1],
            is_bfloat16=dtype == torch.bfloat16,
            threads=torch.get_num_threads(),
        )
        check_return_code(self._library.gptoss_quantize_int8(ctypes.byref(call)))
        return weights, scales

    def _run_self_test(self) -> None:
        """Compare experts and matrices with their references.

        Raises:
            KernelError: A result is wrong.
        """
        generator = torch.Generator().manual_seed(0)
        packed = _create_random_experts(generator)
        for tokens in (1, 9, 70):  # few tokens per expert, many, and enough for 8-bit activations
            hidden = torch.randn(tokens, 96, generator=generator)
            indices = torch.rand(tokens, 3, generator=generator).argsort(dim=1)[:, :2].contiguous()
            weights = torch.rand(tokens, 2, generator=generator)
            expected = apply_experts_reference(hidden, indices, weights, packed)
            error = (self.apply_experts(hidden, indices, weights, packed) - expected).abs().max() / expected.abs().max()
            if not error < _TOLERANCE:
                raise KernelError(
                    f"The CPU kernel ({self.level}) computes wrong results on this processor (error {error:.3g})."
                )
        matrix, x = torch.randn(64, 96, generator=generator), torch.randn(1, 96, generator=generator)
        values, scales = self.quantize_int8(matrix)
        expected = x @ matrix.T
        for result in (self.multiply_int8(x, values, scales, None), x @ self.dequantize_int8(values, scales).T):
            if not (result - expected).abs().max() < _TOLERANCE * expected.abs().max():
                raise KernelError(f"The CPU kernel ({self.level}) multiplies matrices wrongly on this processor.")
        self._compare_products_with_plain_c(
            torch.randn(7, 96, generator=generator),
            (packed.gate_up_blocks[0], packed.gate_up_scales[0]),
            (values, scales),
            (matrix.bfloat16(), None),
        )

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


def describe_experts(packed: PackedExperts, experts: int, hidden_size: int, intermediate_size: int) -> dict[str, int]:
    """Return the addresses of the parts of packed experts, by name, after checking their sizes.

    Raises:
        KernelError: A part has another size.
    """
    gate_up = (experts, 2 * intermediate_size, hidden_size // BLOCK)
    down = (experts, hidden_size, intermediate_size // BLOCK)
    parts = {
        "gate_up_blocks": (torch.uint8, (*gate_up, BLOCK // 2)),
        "gate_up_scales": (torch.uint8, gate_up),
        "gate_up_bias": (torch.float32, gate_up[:2]),
        "down_blocks": (torch.uint8, (*down, BLOCK // 2)),
        "down_scales": (torch.uint8, down),
        "down_bias": (torch.float32, down[:2]),
    }
    return {name: check_tensor(name, getattr(packed, name), dtype, *shape) for name, (dtype, shape) in parts.items()}


def _create_random_experts(generator: torch.Generator) -> PackedExperts:
    def draw_bytes(low: int, high: int, *shape: int) -> torch.Tensor:
        return torch.randint(low, high, shape, generator=generator).to(torch.uint8)

    return PackedExperts(
        gate_up_blocks=draw_bytes(0, 256, 3, 64, 3, 16),
        gate_up_scales=draw_bytes(120, 125, 3, 64, 3),
        gate_up_bias=torch.randn(3, 64, generator=generator),
        down_blocks=draw_bytes(0, 256, 3, 96, 1, 16),
        down_scales=draw_bytes(120, 125, 3, 96, 1),
        down_bias=torch.randn(3, 96, generator=generator),
        alpha=1.702,
        limit=7.0,
    )


def _find_openmp_parallel() -> int | None:
    """Return the address of torch's own OpenMP entry point; two thread pools would compete for the processor."""
    folder = Path(torch.__file__).parent / "lib"
    for name in [*sorted(folder.glob("libgomp*")), *sorted(folder.glob("libomp*")), *sorted(folder.glob("libiomp*"))]:
        try:
            return ctypes.cast(ctypes.CDLL(str(name)).GOMP_parallel, _POINTER).value
        except (OSError, AttributeError):
            continue
    return None


_lock = threading.Lock()


@cache
def _load() -> tuple[Kernel | None, KernelStatus]:
    max_level = read_max_level()
    if max_level == "none":
        return None, KernelStatus(level="none", reason=f"{LEVEL_VARIABLE} is none")
    try:
        kernel = Kernel(build_kernel(), max_level=max_level)
    except KernelError as error:
        return None, KernelStatus(level="none", reason=_format_clause(error))
    return kernel, KernelStatus(level=kernel.level, reason=f"compiled here, for {kernel.level} instructions")


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
