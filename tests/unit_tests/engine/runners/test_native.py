"""The native runner: the runner contract, all formats, shapes and kinds of layers, against transformers in float32."""

import copy
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from langchain_gptoss.engine.kernels.mxfp4 import BLOCK
from langchain_gptoss.engine.kernels.native import get_cpu_kernel
from langchain_gptoss.engine.runners.native import NativeRunner
from langchain_gptoss.engine.runners.native_weights import NativeFormats
from tests.unit_tests.engine.runners.runner_contract import BLOCKS, RunnerContract

FORMATS = {
    "int8": NativeFormats(dense="int8", experts="int8", dense_bits=16, expert_bits=16),
    "bfloat16": NativeFormats(dense="bfloat16", experts="bfloat16"),
}
TOLERANCE = 0.02  # of logits up to 4; the cache has 11 significant bits, and 8-bit activations would cause 0.4


def create_runner(folder: Path, formats: NativeFormats | None = None, **options: Any) -> NativeRunner:
    runner = NativeRunner(folder, formats=formats, **options)
    runner.allocate_cache(BLOCKS)
    return runner


def round_weights(model: Any, kind: str, *, only_dense: bool = False) -> Any:
    """Returns a copy of a model with its matrices rounded as the native runner rounds them."""
    rounded = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in rounded.named_parameters():
            is_dense = name.endswith(("proj.weight", "lm_head.weight"))
            if is_dense or (name.endswith(("gate_up_proj", "down_proj")) and not only_dense):
                matrix = weight if is_dense else weight.transpose(1, 2)
                matrix.copy_(round_matrix(matrix, kind))
    return rounded


def round_matrix(matrix: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == "bfloat16":
        return matrix.bfloat16().float()
    padded = torch.nn.functional.pad(matrix, (0, -matrix.shape[-1] % BLOCK))
    weights, scales = get_cpu_kernel().quantize_int8(padded.flatten(0, -2).contiguous())
    rounded = weights.unflatten(-1, (-1, BLOCK)) * scales.float().unsqueeze(-1)
    return rounded.reshape(padded.shape)[..., : matrix.shape[-1]]


@pytest.fixture(scope="module", params=FORMATS)
def unpacked(tiny_checkpoint, transformers_model, request) -> Any:
    with closing(create_runner(tiny_checkpoint, FORMATS[request.param])) as runner:
        yield runner, round_weights(transformers_model, request.param)


@pytest.fixture(scope="module")
def packed(packed_checkpoint, dequantized_model) -> Any:
    with closing(create_runner(packed_checkpoint, NativeFormats(expert_bits=16))) as runner:
        yield runner, round_weights(dequantized_model, "int8", only_dense=True)


class TestUnpackedCheckpoint(RunnerContract):
    tolerance = TOLERANCE

    @pytest.fixture
    def runner(self, unpacked) -> Any:
        return unpacked[0]

    @pytest.fixture
    def reference(self, unpacked) -> Any:
        return unpacked[1]


class TestPackedCheckpoint(RunnerContract):
    tolerance = TOLERANCE

    @pytest.fixture
    def runner(self, packed) -> Any:
        return packed[0]

    @pytest.fixture
    def reference(self, packed) -> Any:
        return packed[1]
