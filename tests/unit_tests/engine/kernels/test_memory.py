"""Memory of weights: tensors side by side in aligned pieces."""

import gc
import itertools
import weakref

import pytest
import torch

from langchain_gptoss.engine.kernels import memory as memory_module
from langchain_gptoss.engine.kernels.memory import WeightMemory, allocate_weights

SHAPES = [((3, 5), torch.int8), ((7,), torch.bfloat16), ((2, 3, 4), torch.float16), ((1000,), torch.int32)]


def find_range(tensor: torch.Tensor) -> tuple[int, int]:
    return tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes


def test_tensors_have_their_own_aligned_memory():
    memory = WeightMemory()
    tensors = [memory.allocate(shape, dtype) for shape, dtype in SHAPES for _ in range(3)]
    for number, tensor in enumerate(tensors):
        tensor.fill_(number)
        assert tensor.is_contiguous()
        assert tensor.data_ptr() % 64 == 0
    assert [(tuple(tensor.shape), tensor.dtype) for tensor in tensors[::3]] == SHAPES
    ranges = sorted(map(find_range, tensors))
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ranges))
    assert ranges[-1][1] - ranges[0][0] < 1 << 20  # side by side
    assert all((tensor == number).all() for number, tensor in enumerate(tensors))


def test_a_piece_begins_with_a_huge_page_and_another_one_follows_a_full_one(monkeypatch):
    monkeypatch.setattr(memory_module, "_PIECE_BYTES", 2 << 20)
    memory = WeightMemory()
    first, second = memory.allocate((2 << 20,), torch.uint8), memory.allocate((5 << 20,), torch.uint8)
    assert first.data_ptr() % (2 << 20) == second.data_ptr() % (2 << 20) == 0
    second.fill_(1)
    assert second.sum() == 5 << 20


def test_tensors_keep_their_memory_and_free_it():
    memory = WeightMemory()
    tensor = memory.allocate((1000,), torch.float32).fill_(7)
    piece = weakref.ref(memory._piece.base)
    del memory
    gc.collect()
    assert (tensor == 7).all()
    assert piece() is not None
    del tensor
    gc.collect()
    assert piece() is None


@pytest.mark.parametrize("memory", [None, WeightMemory()])
def test_empty_tensors_and_tensors_without_a_model_are_allocated(memory):
    assert allocate_weights(memory, (0, 4), torch.int8).shape == (0, 4)
    assert allocate_weights(memory, (2, 4), torch.int8).shape == (2, 4)


def test_memory_that_cannot_be_reserved_is_an_error():
    with pytest.raises(MemoryError, match="cannot be reserved"):
        WeightMemory().allocate((1 << 50,), torch.int64)


def test_a_system_without_huge_pages_gives_ordinary_ones(monkeypatch):
    class Memory(memory_module.mmap.mmap):
        def madvise(self, *_: int) -> None:
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(memory_module.mmap, "mmap", Memory)
    assert (WeightMemory().allocate((1000,), torch.int32).fill_(3) == 3).all()
