"""Checks around calls of the CPU kernel: the tensors that it reads, and the code that it returns."""

import torch

from langchain_gptoss.errors import GptOssMemoryError, KernelError

_OUT_OF_MEMORY, _INVALID_SIZE = 1, 3  # return codes in src/common.h
CHECK_CHECKPOINT = "Check the checkpoint's config and weights."
"""Hint of errors about tensors that do not fit."""


def check_return_code(code: int) -> None:
    """Raise the error that a return code stands for; 0 is none.

    Raises:
        GptOssMemoryError: Memory ran out.
        KernelError: Sizes do not fit together.
    """
    if code == _OUT_OF_MEMORY:
        raise GptOssMemoryError(
            "The CPU kernel cannot allocate memory for intermediate results.",
            hint="Close other programs, or lower max_context.",
        )
    if code == _INVALID_SIZE:
        raise KernelError("The sizes of a model's parts do not fit together.", hint="Check the checkpoint's config.")


def check_tensor(name: str, tensor: torch.Tensor, dtype: torch.dtype, *shape: int) -> int:
    """Return the address of a tensor after checking that the C code can read it as it expects.

    Args:
        name: Name of the tensor in errors.
        tensor: The tensor.
        dtype: Its type.
        *shape: Its shape.

    Raises:
        KernelError: The tensor has another type, shape or layout, or is not on the CPU.
    """
    check_shape(name, tensor, *shape)
    if tensor.dtype != dtype or not tensor.is_contiguous() or tensor.device.type != "cpu":
        layout = "" if tensor.is_contiguous() else ", not contiguous"
        raise KernelError(
            f"The CPU kernel expects {name} as {dtype}, and got {tensor.dtype} on {tensor.device}{layout}.",
            hint=CHECK_CHECKPOINT,
        )
    return tensor.data_ptr()


def check_shape(name: str, tensor: torch.Tensor, *shape: int) -> None:
    """Raise an error if a tensor has another shape than the C code reads.

    Raises:
        KernelError: It has.
    """
    if tensor.shape != shape:
        raise KernelError(
            f"The CPU kernel expects {name} of shape {list(shape)}, and got {list(tensor.shape)}.",
            hint=CHECK_CHECKPOINT,
        )
