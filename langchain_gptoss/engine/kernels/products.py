"""The product of one matrix with float32 vectors, whose bits do not depend on the level or the number of vectors."""

import ctypes

import torch

from langchain_gptoss.engine.kernels.calls import CHECK_CHECKPOINT, check_return_code, check_tensor
from langchain_gptoss.engine.kernels.memory import WeightMemory, allocate_weights
from langchain_gptoss.engine.kernels.mxfp4 import BLOCK
from langchain_gptoss.errors import KernelError

_MXFP4, _INT8, _BFLOAT16, _INT4 = 0, 1, 2, 3  # `WeightFormat` in src/common.h
GROUP_ROWS = 16
"""Rows of an int8 or int4 matrix that are stored together; src/common.h has the same number."""

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
    weights: torch.Tensor,
    scales: torch.Tensor | None,
    k: int,
    *,
    activation_bits: int = 16,
    rows: int | None = None,
    name: str = "weights",
) -> WeightMatrix:
    """Return the C code's description of a matrix with rows of `k` numbers; see `Kernel.multiply`.

    The description does not keep the tensors alive.

    Args:
        weights: As for `Kernel.multiply`.
        scales: As for `Kernel.multiply`.
        k: Length of a row.
        activation_bits: As for `Kernel.multiply`.
        rows: As for `Kernel.multiply`.
        name: Name of the matrix in errors.

    Raises:
        KernelError: A tensor has the wrong type or shape.
    """
    if k % BLOCK or activation_bits not in {8, 16}:
        raise KernelError(
            f"The CPU kernel cannot multiply rows of {k} numbers with activations of {activation_bits} bits.",
            hint="The length of a row is a multiple of 32, and activations have 8 or 16 bits.",
        )
    blocks = k // BLOCK
    is_int8 = weights.dtype == torch.int8
    is_int4 = weights.dtype == torch.uint8 and scales is not None and scales.dtype == torch.float16
    if rows is None:
        rows = weights.shape[0] * (GROUP_ROWS if is_int8 or is_int4 else 1)
    groups = -(-rows // GROUP_ROWS)
    shape: tuple[int, ...]
    scales_shape: tuple[int, ...]
    if is_int4:
        kind, shape, scales_shape = _INT4, (groups, blocks, 4, GROUP_ROWS, 4), (groups, blocks, 2, GROUP_ROWS)
        scales_type = torch.float16
    elif weights.dtype == torch.uint8:
        kind, shape, scales_shape, scales_type = _MXFP4, (rows, blocks, BLOCK // 2), (rows, blocks), torch.uint8
    elif is_int8:
        kind, shape, scales_shape = _INT8, (groups, k // 2, GROUP_ROWS, 2), (groups, blocks, GROUP_ROWS)
        scales_type = torch.bfloat16
    else:
        address = check_tensor(name, weights, torch.bfloat16, rows, k)
        return WeightMatrix(weights=address, rows=rows, k=k, format=_BFLOAT16, bits=activation_bits)
    return WeightMatrix(
        weights=check_tensor(name, weights, weights.dtype, *shape),
        scales=check_tensor(f"scales of {name}", _require_scales(scales), scales_type, *scales_shape),
        rows=rows,
        k=k,
        format=kind,
        bits=activation_bits,
    )


def arrange_int8(
    values: torch.Tensor, scales: torch.Tensor, *, memory: WeightMemory | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return int8 weights and scales as `Kernel.multiply` takes them, from a matrix with rows one after another.

    Args:
        values: int8 [rows, k]; rows is a multiple of 16.
        scales: bfloat16 [rows, k / 32].
        memory: Where the result lies; None means in memory of its own.
    """
    groups, k = values.shape[0] // GROUP_ROWS, values.shape[1]
    pairs = values.contiguous().view(torch.int16).view(groups, GROUP_ROWS, k // 2)  # two columns stay together
    weights = allocate_weights(memory, (groups, k // 2, GROUP_ROWS), torch.int16).copy_(pairs.transpose(1, 2))
    turned = scales.reshape(groups, GROUP_ROWS, k // BLOCK).transpose(1, 2)
    arranged = allocate_weights(memory, (groups, k // BLOCK, GROUP_ROWS), torch.bfloat16).copy_(turned)
    return weights.view(torch.int8).view(groups, k // 2, GROUP_ROWS, 2), arranged


def arrange_int4(
    values: torch.Tensor, scales: torch.Tensor, minimums: torch.Tensor, *, memory: WeightMemory | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return int4 weights and scales as `Kernel.multiply` takes them, from a matrix with rows one after another.

    Args:
        values: uint8 [rows, k / 32, 16]; rows is a multiple of 16.
        scales: float16 [rows, k / 32].
        minimums: float16 [rows, k / 32].
        memory: As for `arrange_int8`.
    """
    rows, blocks = scales.shape
    groups = rows // GROUP_ROWS
    parts = values.contiguous().view(torch.int32).view(groups, GROUP_ROWS, blocks, 4)  # four bytes stay together
    weights = allocate_weights(memory, (groups, blocks, 4, GROUP_ROWS), torch.int32).copy_(parts.permute(0, 2, 3, 1))
    pairs = allocate_weights(memory, (groups, blocks, 2, GROUP_ROWS), torch.float16)
    for number, part in enumerate((scales, minimums)):
        pairs[:, :, number].copy_(part.view(groups, GROUP_ROWS, blocks).transpose(1, 2))
    return weights.view(torch.uint8).view(groups, blocks, 4, GROUP_ROWS, 4), pairs


def _require_scales(scales: torch.Tensor | None) -> torch.Tensor:
    if scales is None:
        raise KernelError("The CPU kernel expects scales for MXFP4, int8 and int4 weights.", hint=CHECK_CHECKPOINT)
    return scales


def multiply(
    library: ctypes.CDLL,
    level: int,
    x: torch.Tensor,
    weights: torch.Tensor,
    scales: torch.Tensor | None,
    activation_bits: int,
    rows: int | None = None,
) -> torch.Tensor:
    """Return `x @ weights.T`, computed with the instructions of a level; see `native.Kernel.multiply`."""
    x = x.contiguous()
    tokens, k = x.shape
    matrix = describe_matrix(weights, scales, k, activation_bits=activation_bits, rows=rows)
    out = torch.empty(tokens, matrix.rows)
    call = _Product(
        matrix=matrix,
        x=check_tensor("x", x, torch.float32, tokens, k),
        out=out.data_ptr(),
        tokens=tokens,
        threads=torch.get_num_threads(),
        level=level,
    )
    check_return_code(library.gptoss_multiply(ctypes.byref(call)))
    return out
