"""The product of one matrix with float32 vectors, whose bits do not depend on the level or the number of vectors."""

import ctypes

import torch

from langchain_gptoss.engine.kernels.calls import CHECK_CHECKPOINT, check_return_code, check_tensor
from langchain_gptoss.engine.kernels.mxfp4 import BLOCK
from langchain_gptoss.errors import KernelError

_MXFP4, _INT8, _BFLOAT16 = 0, 1, 2  # `WeightFormat` in src/common.h

_POINTER, _LONG = ctypes.c_void_p, ctypes.c_int64


class WeightMatrix(ctypes.Structure):
    """`WeightMatrix` in src/common.h."""

    _fields_ = [
        *((name, _POINTER) for name in ("weights", "scales")),
        *((name, _LONG) for name in ("rows", "k")),
        ("format", ctypes.c_int32),
        ("bits", ctypes.c_int32),
    ]


class _Product(ctypes.Structure):
    """`Product` in src/product.h."""

    _fields_ = [
        ("matrix", WeightMatrix),
        ("x", _POINTER),
        ("out", _POINTER),
        ("tokens", _LONG),
        ("threads", ctypes.c_int32),
        ("level", ctypes.c_int32),
    ]


def describe_matrix(
    weights: torch.Tensor, scales: torch.Tensor | None, k: int, *, activation_bits: int
) -> WeightMatrix:
    """Return the C code's description of a matrix with rows of `k` numbers; see `Kernel.multiply`.

    The description does not keep the tensors alive.

    Raises:
        KernelError: A tensor has the wrong type or shape.
    """
    if k % BLOCK or activation_bits not in {8, 16}:
        raise KernelError(
            f"The CPU kernel cannot multiply rows of {k} numbers with activations of {activation_bits} bits.",
            hint="The length of a row is a multiple of 32, and activations have 8 or 16 bits.",
        )
    rows, blocks = weights.shape[0], k // BLOCK
    shapes: dict[torch.dtype, tuple[int, tuple[int, ...], torch.dtype]] = {
        torch.uint8: (_MXFP4, (rows, blocks, BLOCK // 2), torch.uint8),
        torch.int8: (_INT8, (rows, k), torch.bfloat16),
    }
    number, shape, scale_type = shapes.get(weights.dtype, (_BFLOAT16, (rows, k), torch.bfloat16))
    has_scales = number != _BFLOAT16
    return WeightMatrix(
        weights=check_tensor("weights", weights, weights.dtype if has_scales else torch.bfloat16, *shape),
        scales=check_tensor("scales", _require_scales(scales), scale_type, rows, blocks) if has_scales else None,
        rows=rows,
        k=k,
        format=number,
        bits=activation_bits,
    )


def _require_scales(scales: torch.Tensor | None) -> torch.Tensor:
    if scales is None:
        raise KernelError("The CPU kernel expects scales for MXFP4 and int8 weights.", hint=CHECK_CHECKPOINT)
    return scales


def multiply(
    library: ctypes.CDLL,
    level: int,
    x: torch.Tensor,
    weights: torch.Tensor,
    scales: torch.Tensor | None,
    activation_bits: int,
) -> torch.Tensor:
    """Return `x @ weights.T`, computed with the instructions of a level; see `native.Kernel.multiply`."""
    x = x.contiguous()
    (tokens, k), rows = x.shape, weights.shape[0]
    out = torch.empty(tokens, rows)
    call = _Product(
        matrix=describe_matrix(weights, scales, k, activation_bits=activation_bits),
        x=check_tensor("x", x, torch.float32, tokens, k),
        out=out.data_ptr(),
        tokens=tokens,
        threads=torch.get_num_threads(),
        level=level,
    )
    check_return_code(library.gptoss_multiply(ctypes.byref(call)))
    return out
