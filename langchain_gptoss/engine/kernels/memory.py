"""Memory of weights in huge pages, which a processor reads faster: it looks up 512 times fewer addresses."""

import math
import mmap
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import torch

_HUGE_PAGE_BYTES = 2 << 20  # of x86-64, and of Arm with pages of 4 kB
_PIECE_BYTES = 64 << 20  # reserved at a time; what is never written takes no memory
_ALIGNMENT = 64  # a line of the cache


class WeightMemory:
    """Allocates the weights of one model side by side, so that small ones lie in huge pages too.

    Each tensor keeps the piece of memory that it lies in. Where the system has no huge pages, the pages are ordinary.
    """

    def __init__(self) -> None:
        """Start without memory."""
        self._piece: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
        self._used = 0

    def allocate(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Return a tensor; its numbers are undefined.

        Args:
            shape: Its shape.
            dtype: Its type.
        """
        size_bytes = math.prod(shape) * dtype.itemsize
        if not size_bytes:
            return torch.empty(shape, dtype=dtype)
        if self._used + size_bytes > len(self._piece):
            self._piece, self._used = _reserve_piece(max(size_bytes, _PIECE_BYTES)), 0
        values = self._piece[self._used : self._used + size_bytes]
        self._used += -(-size_bytes // _ALIGNMENT) * _ALIGNMENT
        return torch.from_numpy(values).view(dtype).view(shape)


def allocate_weights(memory: WeightMemory | None, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Return a tensor in the memory of a model, or in memory of its own if that is None."""
    return torch.empty(shape, dtype=dtype) if memory is None else memory.allocate(shape, dtype)


def advise_huge_pages(memory: mmap.mmap, *, is_wanted: bool) -> None:
    """Tell the system whether memory should lie in huge pages; one that has none needs no advice."""
    name = "MADV_HUGEPAGE" if is_wanted else "MADV_NOHUGEPAGE"
    if hasattr(mmap, name):
        with suppress(OSError):  # a kernel that was built without them
            memory.madvise(getattr(mmap, name))


def _reserve_piece(size_bytes: int) -> npt.NDArray[np.uint8]:
    size_bytes = -(-size_bytes // _HUGE_PAGE_BYTES) * _HUGE_PAGE_BYTES
    try:
        memory = mmap.mmap(-1, size_bytes + _HUGE_PAGE_BYTES, flags=mmap.MAP_PRIVATE)
    except OSError as error:
        raise MemoryError(f"{size_bytes:,} bytes cannot be reserved.") from error
    advise_huge_pages(memory, is_wanted=True)
    start = -np.frombuffer(memory, np.uint8).ctypes.data % _HUGE_PAGE_BYTES
    return np.frombuffer(memory, np.uint8, size_bytes, start)  # keeps the memory
