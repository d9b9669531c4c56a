"""Loads a checkpoint for the C forward pass.

MXFP4 experts, the embedding table and bfloat16 matrices are mapped from the checkpoint's files where their layout
allows it. All other matrices are rounded to int8, or to bfloat16, while they are read. Sizes that are not multiples of
32 are padded with zeros, which changes no result.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from langchain_gptoss.engine.checkpoint_tensors import dequantize_int8, iterate_tensors
from langchain_gptoss.engine.kernels.forward import Layer, Matrix, Model
from langchain_gptoss.engine.kernels.memory import WeightMemory
from langchain_gptoss.engine.kernels.mxfp4 import BLOCK
from langchain_gptoss.engine.kernels.native import Kernel
from langchain_gptoss.engine.kernels.products import arrange_int4, arrange_int8
from langchain_gptoss.engine.runners.native_config import NativeConfig
from langchain_gptoss.errors import CheckpointError
from langchain_gptoss.models.packing.unpacking import unpack_int4

_COPY_AGAIN = "Copy or fetch the checkpoint again."
_HEAD_MULTIPLE = 16  # the C code rotates and adds up 16 dimensions at once
WeightType = Literal["int8", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class NativeFormats:
    """Types of the stored weights, and bits of the activations before experts of four bits; int8 always has 16.

    Attributes:
        dense: Type of the matrices of attention and of the output matrix.
        experts: Type of the experts of a checkpoint that is not packed; MXFP4 experts stay as they are, and beside
            int8 those in int4 too.
        expert_bits: Bits of the activations that MXFP4 and int4 experts are multiplied with, 8 or 16.
    """

    dense: WeightType = "int8"
    experts: WeightType = "int8"
    expert_bits: int = 8

    def describe(self) -> str:
        """Return a name of the arithmetic; results of equal names are equal."""
        return f"dense {self.dense}, experts {self.experts} or MXFP4 with {self.expert_bits} bits"


def load_native_model(
    folder: Path, config: NativeConfig, formats: NativeFormats, kernel: Kernel, report: Callable[[int], object]
) -> Model:
    """Load the weights of a checkpoint.

    Args:
        folder: The checkpoint; its files are checked.
        config: Its configuration.
        formats: Types of the weights.
        kernel: The CPU kernel, which rounds them.
        report: Called with the number of bytes read since the last call.

    Raises:
        CheckpointError: Weights are missing or superfluous, or their shapes contradict the config.
    """
    return _Loader(folder, config, formats, kernel, report).load()


class _Loader:
    def __init__(
        self,
        folder: Path,
        config: NativeConfig,
        formats: NativeFormats,
        kernel: Kernel,
        report: Callable[[int], object],
    ) -> None:
        self._folder, self._config, self._shape = folder, config, config.shape
        self._formats, self._kernel, self._report = formats, kernel, report
        self._tensors = dict(iterate_tensors(folder))
        self._memory = WeightMemory()
        shape = config.shape
        self._hidden = _round_up(shape.hidden_size, BLOCK)
        self._intermediate = _round_up(shape.intermediate_size, BLOCK)
        self._head_dim = _round_up(shape.head_dim, _HEAD_MULTIPLE)
        self._is_packed = any(name.endswith("_blocks") for name in self._tensors)

    def load(self) -> Model:
        """Return the model; see `load_native_model`."""
        shape, config = self._shape, self._config
        layers = [self._load_layer(f"model.layers.{index}.", window) for index, window in enumerate(config.windows)]
        embedding = self._take("model.embed_tokens.weight", shape.vocabulary, shape.hidden_size)
        head = embedding
        if not shape.tied_embeddings or "lm_head.weight" in self._tensors:
            head = self._take("lm_head.weight", shape.vocabulary, shape.hidden_size)
        model = Model(
            layers=layers,
            embedding=embedding if embedding.dtype == torch.bfloat16 else embedding.float(),
            norm=self._take_vector("model.norm.weight", shape.hidden_size, self._hidden),
            head=self._store_dense(_pad(head, shape.vocabulary, self._hidden)),
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            head_dim=self._head_dim,
            active=shape.experts_per_token,
            epsilon=config.epsilon,
            scaling=shape.head_dim**-0.5,
            alpha=config.alpha,
            limit=config.limit,
        )
        if self._tensors:
            self._refuse(len(self._tensors), "has", "does not need", min(self._tensors))
        return model

    def _refuse(self, count: int, verb: str, relation: str, example: str) -> None:
        raise CheckpointError(
            f"{str(self._folder)!r} {verb} {count} weights that its config {relation}, such as {example!r}.",
            hint=_COPY_AGAIN,
        )

    def _take(self, name: str, *expected: int) -> torch.Tensor:
        """Return a tensor of the checkpoint after checking its shape."""
        if name not in self._tensors:
            self._refuse(1, "lacks", "needs", name)
        tensor = self._tensors.pop(name)
        if tuple(tensor.shape) != expected:
            raise CheckpointError(
                f"{name!r} has the shape {tuple(tensor.shape)} and the config requires {expected}.", hint=_COPY_AGAIN
            )
        self._report(tensor.nbytes)
        return tensor

    def _take_vector(self, name: str, count: int, padded: int) -> torch.Tensor:
        return _pad_vector(self._take(name, count).float(), padded)

    def _load_layer(self, prefix: str, window: int) -> Layer:
        shape, hidden = self._shape, self._hidden
        router = self._take(f"{prefix}mlp.router.weight", shape.experts, shape.hidden_size)
        return Layer(
            input_norm=self._take_vector(f"{prefix}input_layernorm.weight", shape.hidden_size, hidden),
            post_norm=self._take_vector(f"{prefix}post_attention_layernorm.weight", shape.hidden_size, hidden),
            query=self._load_heads(f"{prefix}self_attn.q_proj", shape.heads),
            key=self._load_heads(f"{prefix}self_attn.k_proj", shape.kv_heads),
            value=self._load_heads(f"{prefix}self_attn.v_proj", shape.kv_heads),
            output=self._load_output(f"{prefix}self_attn.o_proj"),
            sinks=self._take_vector(f"{prefix}self_attn.sinks", shape.heads, shape.heads),
            router=_pad(router.float(), shape.experts, hidden).contiguous(),
            router_bias=self._take_vector(f"{prefix}mlp.router.bias", shape.experts, shape.experts),
            gate_up=self._load_experts(f"{prefix}mlp.experts.gate_up_proj", 2 * shape.intermediate_size),
            down=self._load_experts(f"{prefix}mlp.experts.down_proj", shape.hidden_size),
            window=window,
        )

    def _load_heads(self, name: str, heads: int) -> Matrix:
        """Return a query, key or value matrix. Both halves of a head are padded, because they are rotated in pairs."""
        shape = self._shape
        weight = self._take(f"{name}.weight", heads * shape.head_dim, shape.hidden_size)
        bias = self._tensors.get(f"{name}.bias")
        if bias is not None:
            bias = self._take(f"{name}.bias", heads * shape.head_dim).float()
            bias = self._pad_heads(bias[:, None], heads).reshape(-1).contiguous()
        padded = _pad(self._pad_heads(weight, heads), heads * self._head_dim, self._hidden)
        return self._store_dense(padded, bias)

    def _pad_heads(self, weight: torch.Tensor, heads: int) -> torch.Tensor:
        half, padded = self._shape.head_dim // 2, self._head_dim // 2
        if half == padded:
            return weight
        result = weight.new_zeros(heads, 2, padded, weight.shape[1])
        result[:, :, :half] = weight.view(heads, 2, half, weight.shape[1])
        return result.view(heads * 2 * padded, weight.shape[1])

    def _load_output(self, name: str) -> Matrix:
        """Return the output matrix of attention, whose columns are the heads."""
        shape = self._shape
        weight = self._take(f"{name}.weight", shape.hidden_size, shape.heads * shape.head_dim)
        width = shape.heads // shape.kv_heads * self._head_dim
        if self._head_dim != shape.head_dim or width % BLOCK:
            columns = self._pad_heads(weight.T.contiguous(), shape.heads).view(shape.kv_heads, width, -1)
            group = columns.new_zeros(shape.kv_heads, _round_up(width, BLOCK), columns.shape[2])
            group[:, :width] = columns
            weight = group.view(-1, columns.shape[2]).T
        bias = None
        if f"{name}.bias" in self._tensors:
            bias = self._take_vector(f"{name}.bias", shape.hidden_size, self._hidden)
        return self._store_dense(_pad(weight, self._hidden, weight.shape[1]), bias)

    def _store_dense(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Matrix:
        return self._store(weight, bias, self._formats.dense)

    def _store(self, weight: torch.Tensor, bias: torch.Tensor | None, kind: WeightType) -> Matrix:
        if kind == "bfloat16":
            return Matrix(weights=weight.bfloat16().contiguous(), bias=bias)
        numbers = weight if weight.dtype == torch.bfloat16 else weight.float()
        weights, scales = self._kernel.quantize_int8(numbers, memory=self._memory)
        return Matrix(weights=weights, scales=scales, bias=bias, rows=weight.shape[0])

    def _load_experts(self, name: str, rows: int) -> Matrix:
        """Return one matrix of all experts of a layer, one expert below the other."""
        shape = self._shape
        is_down = name.endswith("down_proj")
        columns = shape.intermediate_size if is_down else shape.hidden_size
        padded_rows = self._hidden if is_down else 2 * self._intermediate
        bias = self._take(f"{name}_bias", shape.experts, rows).float()
        bias = _pad(bias, shape.experts, padded_rows).reshape(-1).contiguous()
        if self._is_packed:
            blocks = self._take(f"{name}_blocks", shape.experts, rows, columns // BLOCK, BLOCK // 2)
            scales = self._take(f"{name}_scales", shape.experts, rows, columns // BLOCK)
            return Matrix(
                weights=blocks.flatten(0, 1), scales=scales.flatten(0, 1), bias=bias, bits=self._formats.expert_bits
            )
        if f"{name}_int8" in self._tensors:
            return self._load_int8_experts(name, rows, columns, bias)
        if f"{name}_int4" in self._tensors:
            return self._load_int4_experts(name, rows, columns, bias)
        stored = self._take(name, shape.experts, columns, rows)
        # Not on the heap, where glibc cannot use the place of a freed aligned tensor for the next one of the same size.
        size = (shape.experts, padded_rows, _round_up(columns, BLOCK))
        stacked = WeightMemory().allocate(size, stored.dtype).zero_()
        stacked[:, :rows, :columns] = stored.transpose(1, 2)
        return self._store(stacked.flatten(0, 1), bias, self._formats.experts)

    def _load_int8_experts(self, name: str, rows: int, columns: int, bias: torch.Tensor) -> Matrix:
        values = self._take(f"{name}_int8", self._shape.experts, rows, columns).flatten(0, 1)
        scales = self._take(f"{name}_scales", self._shape.experts, rows, columns // BLOCK).flatten(0, 1)
        if self._formats.experts != "int8":
            return self._store(dequantize_int8(values, scales), bias, self._formats.experts)
        weights, arranged_scales = arrange_int8(values, scales, memory=self._memory)
        return Matrix(weights=weights, scales=arranged_scales, bias=bias)

    def _load_int4_experts(self, name: str, rows: int, columns: int, bias: torch.Tensor) -> Matrix:
        groups = (self._shape.experts, rows, columns // BLOCK)
        values = self._take(f"{name}_int4", *groups, BLOCK // 2).flatten(0, 1)
        scales, minimums = (self._take(f"{name}_{part}", *groups).flatten(0, 1) for part in ("scales", "minimums"))
        if self._formats.experts != "int8":
            return self._store(unpack_int4(values, scales, minimums), bias, self._formats.experts)
        weights, arranged_scales = arrange_int4(values, scales, minimums, memory=self._memory)
        return Matrix(weights=weights, scales=arranged_scales, bias=bias, bits=self._formats.expert_bits)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _pad(matrix: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    if matrix.shape == (rows, columns):
        return matrix
    result = matrix.new_zeros(rows, columns)
    result[: matrix.shape[0], : matrix.shape[1]] = matrix
    return result


def _pad_vector(vector: torch.Tensor, count: int) -> torch.Tensor:
    return _pad(vector[None], 1, count)[0].contiguous()
