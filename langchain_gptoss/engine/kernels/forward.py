"""The C code's forward pass of a whole model, in Python: weights in, logits out."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from langchain_gptoss.engine.batch import Batch
from langchain_gptoss.engine.kernels.calls import check_tensor
from langchain_gptoss.engine.kernels.mxfp4 import BLOCK
from langchain_gptoss.engine.kernels.native import Kernel
from langchain_gptoss.engine.kernels.products import WeightMatrix, describe_matrix
from langchain_gptoss.engine.token_stream import Cancelled
from langchain_gptoss.errors import GptOssMemoryError, KernelError

_OUT_OF_MEMORY, _ABORTED = 1, 5  # return codes in src/common.h; any other one is a wrong argument
_POINTER, _LONG, _FLOAT, _INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float, ctypes.c_int32


class _Linear(ctypes.Structure):
    """`Linear` in src/workspace.h."""

    _fields_ = [("matrix", WeightMatrix), ("bias", _POINTER)]


class _LayerWeights(ctypes.Structure):
    """`LayerWeights` in src/workspace.h."""

    _fields_ = [
        *((name, _POINTER) for name in ("input_norm", "post_norm")),
        *((name, _Linear) for name in ("query", "key", "value", "output")),
        *((name, _POINTER) for name in ("sinks", "router", "router_bias")),
        *((name, _Linear) for name in ("gate_up", "down")),
        ("window", _LONG),
    ]


class _ModelWeights(ctypes.Structure):
    """`ModelWeights` in src/workspace.h."""

    _fields_ = [
        *((name, _POINTER) for name in ("layers", "embedding", "norm")),
        ("head", _Linear),
        *((name, _LONG) for name in ("layer_count", "hidden_size", "unpadded_size", "intermediate_size", "heads")),
        *((name, _LONG) for name in ("kv_heads", "head_dim", "expert_count", "active", "vocabulary")),
        *((name, _FLOAT) for name in ("epsilon", "scaling", "alpha", "limit")),
        *((name, _INT) for name in ("has_bfloat16_embedding", "level")),
    ]


class _PagedCache(ctypes.Structure):
    """`PagedCache` in src/workspace.h."""

    _fields_ = [
        ("memory", _POINTER),
        ("block_count", _LONG),
        *((name, _POINTER) for name in ("cos", "sin")),
        ("position_count", _LONG),
    ]


class _Chunk(ctypes.Structure):
    """`Chunk` in src/workspace.h."""

    _fields_ = [
        *((name, _LONG) for name in ("start", "length", "logit_count")),
        ("table", _POINTER),
        ("table_length", _LONG),
    ]


class _BatchArguments(ctypes.Structure):
    """`BatchArguments` in src/workspace.h."""

    _fields_ = [
        *((name, _POINTER) for name in ("chunks", "token_ids", "logits", "abort")),
        *((name, _LONG) for name in ("chunk_count", "token_count", "logit_count")),
        ("threads", _INT),
    ]


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A weight matrix [rows, k] in one of the formats of the kernel.

    Attributes:
        weights: uint8 (MXFP4 and int4), int8 or bfloat16; see `Kernel.multiply` for the shapes.
        scales: uint8 (MXFP4), bfloat16 (int8), float16 (int4), or None (bfloat16).
        bias: float32 [rows], or None.
        bits: Bits of the activations that MXFP4 and int4 weights are multiplied with, 8 or 16.
        rows: Rows of an int8 or int4 matrix; None means all that the tensors have.
    """

    weights: torch.Tensor
    scales: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    bits: int = 16
    rows: int | None = None

    @property
    def columns(self) -> int:
        """The length k of a row."""
        return self.weights.shape[1] * {torch.uint8: BLOCK, torch.int8: 2}.get(self.weights.dtype, 1)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The weights of a layer; vectors are float32.

    Attributes:
        input_norm: [hidden].
        post_norm: [hidden].
        query: [heads * head_dim, hidden].
        key: [kv_heads * head_dim, hidden].
        value: As `key`.
        output: [hidden, kv_heads * group], where a group holds the query heads of one kv head, padded to a multiple of
            32 columns.
        sinks: [heads].
        router: [experts, hidden].
        router_bias: [experts].
        gate_up: [experts * 2 * intermediate, hidden]; gate rows and up rows alternate.
        down: [experts * hidden, intermediate].
        window: Tokens that the layer attends to, the new one included; 0 means all.
    """

    input_norm: torch.Tensor
    post_norm: torch.Tensor
    query: Matrix
    key: Matrix
    value: Matrix
    output: Matrix
    sinks: torch.Tensor
    router: torch.Tensor
    router_bias: torch.Tensor
    gate_up: Matrix
    down: Matrix
    window: int


@dataclass(frozen=True, kw_only=True)
class Model:
    """The weights and numbers of a model; sizes are padded to multiples of 32, head_dim of 16.

    Attributes:
        layers: The layers.
        embedding: bfloat16 or float32 [vocabulary, hidden without padding].
        norm: float32 [hidden].
        head: [vocabulary, hidden].
        heads: Number of query heads.
        kv_heads: Number of key and value heads.
        head_dim: Width of a head.
        active: Experts of one token.
        epsilon: Added to the mean square in a norm.
        scaling: Factor of the attention scores.
        alpha: Factor inside the sigmoid of the experts' gate.
        limit: Bound of the experts' gate and up values.
    """

    layers: Sequence[Layer]
    embedding: torch.Tensor
    norm: torch.Tensor
    head: Matrix
    heads: int
    kv_heads: int
    head_dim: int
    active: int
    epsilon: float
    scaling: float
    alpha: float
    limit: float


class ForwardPass:
    """Runs batches through a model. One thread calls it, except for `abort`."""

    def __init__(self, kernel: Kernel, model: Model) -> None:
        """Collect the addresses of the weights.

        Args:
            kernel: The CPU kernel.
            model: The weights; they stay in memory as long as this object.

        Raises:
            KernelError: The sizes of the model's parts do not fit together.
            GptOssMemoryError: Memory ran out.
        """
        self._model = model
        library = self._library = kernel.library
        library.gptoss_create_workspace.argtypes = [_POINTER]
        library.gptoss_create_workspace.restype = _POINTER
        library.gptoss_free_workspace.argtypes = [_POINTER]
        library.gptoss_free_workspace.restype = None
        library.gptoss_forward.argtypes = [_POINTER] * 3
        self._layers = (_LayerWeights * len(model.layers))(*map(_describe_layer, model.layers))
        self._weights = _describe_model(model, ctypes.addressof(self._layers), kernel.level_number)
        self._aborted = ctypes.c_int32()
        self._workspace: int | None = library.gptoss_create_workspace(ctypes.byref(self._weights))
        if not self._workspace:
            raise KernelError(
                "The sizes of a model's parts do not fit together.", hint="Check the checkpoint's config."
            )

    def run(
        self, batch: Batch, cache: npt.NDArray[np.uint16], rotation: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        """Append a batch's tokens to the KV cache and return the requested logits.

        Args:
            batch: The tokens.
            cache: float16 as uint16 [layers, 2, blocks, kv_heads * 16 * head_dim].
            rotation: Cosine and sine of the angles of each position, float32 [positions, head_dim / 2].

        Returns:
            float32 [batch.logit_count, vocabulary].

        Raises:
            Cancelled: `abort` was called.
            GptOssMemoryError: Memory ran out.
            KernelError: The batch has positions, blocks or tokens that do not exist.
        """
        self._aborted.value = 0
        token_ids = np.ascontiguousarray(batch.token_ids)
        tables = [np.asarray(chunk.block_table, dtype=np.int32) for chunk in batch.chunks]
        chunks = (_Chunk * len(tables))(
            *(
                _Chunk(
                    start=chunk.start,
                    length=len(chunk.token_ids),
                    logit_count=chunk.logit_count,
                    table=table.ctypes.data,
                    table_length=len(table),
                )
                for chunk, table in zip(batch.chunks, tables, strict=True)
            )
        )
        logits = torch.empty(batch.logit_count, self._weights.vocabulary)
        arguments = _BatchArguments(
            chunks=ctypes.addressof(chunks),
            token_ids=token_ids.ctypes.data,
            logits=logits.data_ptr(),
            abort=ctypes.addressof(self._aborted),
            chunk_count=len(tables),
            token_count=batch.token_count,
            logit_count=batch.logit_count,
            threads=torch.get_num_threads(),
        )
        paged = self._describe_cache(cache, *rotation)
        self._check(self._library.gptoss_forward(self._workspace, ctypes.byref(paged), ctypes.byref(arguments)))
        return logits

    def _describe_cache(self, cache: npt.NDArray[np.uint16], cos: torch.Tensor, sin: torch.Tensor) -> _PagedCache:
        weights, positions = self._weights, cos.shape[0]
        block_size = weights.kv_heads * 16 * weights.head_dim
        expected = (weights.layer_count, 2, cache.shape[2], block_size)
        if cache.shape != expected or cache.dtype != np.uint16 or not cache.flags.c_contiguous:
            raise KernelError(f"The KV cache has the shape {cache.shape}, and the model needs {expected}.")
        return _PagedCache(
            memory=cache.ctypes.data,
            block_count=cache.shape[2],
            cos=check_tensor("cos", cos, torch.float32, positions, weights.head_dim // 2),
            sin=check_tensor("sin", sin, torch.float32, positions, weights.head_dim // 2),
            position_count=positions,
        )

    def _check(self, code: int) -> None:
        if code == _ABORTED:
            raise Cancelled
        if code == _OUT_OF_MEMORY:
            raise GptOssMemoryError(
                "The CPU kernel cannot allocate memory for intermediate results.",
                hint="Close other programs, or lower max_context.",
            )
        if code:
            raise KernelError("A batch names tokens, positions or cache blocks that do not exist.")

    def abort(self) -> None:
        """End the pass in progress before its next layer; any thread may call this."""
        self._aborted.value = 1

    def close(self) -> None:
        """Free the intermediate results; a second call does nothing."""
        workspace, self._workspace = self._workspace, None
        self._library.gptoss_free_workspace(workspace)


def _describe_matrix(matrix: Matrix, name: str) -> _Linear:
    description = describe_matrix(
        matrix.weights, matrix.scales, matrix.columns, activation_bits=matrix.bits, rows=matrix.rows, name=name
    )
    rows = description.rows
    bias = None if matrix.bias is None else check_tensor(f"the bias of {name}", matrix.bias, torch.float32, rows)
    return _Linear(matrix=description, bias=bias)


def _describe_layer(layer: Layer) -> _LayerWeights:
    hidden, experts = layer.input_norm.shape[0], layer.router.shape[0]
    vectors = {
        "input_norm": (hidden,),
        "post_norm": (hidden,),
        "sinks": (layer.sinks.shape[0],),
        "router": (experts, hidden),
        "router_bias": (experts,),
    }
    matrices = ("query", "key", "value", "output", "gate_up", "down")
    return _LayerWeights(
        **{name: check_tensor(name, getattr(layer, name), torch.float32, *shape) for name, shape in vectors.items()},
        **{name: _describe_matrix(getattr(layer, name), name) for name in matrices},
        window=layer.window,
    )


def _describe_model(model: Model, layers: int, level: int) -> _ModelWeights:
    first, embedding = model.layers[0], model.embedding
    hidden, experts = model.norm.shape[0], first.router.shape[0]
    for layer in model.layers:
        if layer.sinks.shape[0] != model.heads or layer.router.shape != first.router.shape:
            raise KernelError("The layers of a model have different sizes.", hint="Check the checkpoint's config.")
    embedding_type = torch.bfloat16 if embedding.dtype == torch.bfloat16 else torch.float32
    return _ModelWeights(
        layers=layers,
        embedding=check_tensor("the embedding", embedding, embedding_type, *embedding.shape[:2]),
        norm=check_tensor("the norm", model.norm, torch.float32, hidden),
        head=_describe_matrix(model.head, "the output matrix"),
        layer_count=len(model.layers),
        hidden_size=hidden,
        unpadded_size=embedding.shape[1],
        intermediate_size=first.down.columns,
        heads=model.heads,
        kv_heads=model.kv_heads,
        head_dim=model.head_dim,
        expert_count=experts,
        active=model.active,
        vocabulary=embedding.shape[0],
        epsilon=model.epsilon,
        scaling=model.scaling,
        alpha=model.alpha,
        limit=model.limit,
        has_bfloat16_embedding=embedding_type == torch.bfloat16,
        level=level,
    )
