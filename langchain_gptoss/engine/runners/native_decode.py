"""Decode with one C call per token, for packed models on a CPU.

Through transformers' modules, a token of gpt-oss-20b spends 15 % of its time in Python, while the memory is idle. The
prompt still runs through these modules; the decoder then takes over its KV cache. Both ways give the same logits within
the kernel's rounding.
"""

import ctypes
from typing import Any

import torch

from langchain_gptoss.engine.kernels.dense import Int8Linear, StoredEmbedding
from langchain_gptoss.engine.kernels.mxfp4 import BLOCK
from langchain_gptoss.engine.kernels.native import Kernel, check_shape, check_tensor, describe_experts, get_cpu_kernel

_POINTER, _LONG, _FLOAT, _INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float, ctypes.c_int32
MIN_GROWTH_TOKENS = 256
"""A full cache grows by at least this many tokens."""
_MAX_EXPERTS = 1024  # src/decode.h has the same limit


class _Matrix(ctypes.Structure):
    """`Matrix` in src/decode.h."""

    _fields_ = [("weights", _POINTER), ("scales", _POINTER), ("bias", _POINTER), ("rows", _LONG), ("k", _LONG)]


class _Layer(ctypes.Structure):
    """`Layer` in src/decode.h."""

    _fields_ = [
        *((name, _POINTER) for name in ("input_norm", "post_norm")),
        *((name, _Matrix) for name in ("query", "key", "value", "output")),
        *((name, _POINTER) for name in ("sinks", "router", "router_bias")),
        *((name, _POINTER) for name in ("gate_up_blocks", "gate_up_scales", "down_blocks", "down_scales")),
        *((name, _POINTER) for name in ("gate_up_bias", "down_bias")),
        ("window", _LONG),
    ]


class _Model(ctypes.Structure):
    """`Model` in src/decode.h."""

    _fields_ = [
        *((name, _POINTER) for name in ("layers", "embedding", "norm")),
        ("head", _Matrix),
        *((name, _LONG) for name in ("layer_count", "hidden_size", "intermediate_size", "heads", "kv_heads")),
        *((name, _LONG) for name in ("head_dim", "expert_count", "active", "vocabulary")),
        *((name, _FLOAT) for name in ("epsilon", "scaling", "alpha", "limit")),
        *((name, _INT) for name in ("threads", "level")),
    ]


class _KVCache(ctypes.Structure):
    """`KVCache` in src/decode.h."""

    _fields_ = [
        *((name, _POINTER) for name in ("keys", "values", "capacities")),
        ("position", _LONG),
        *((name, _POINTER) for name in ("cos", "sin")),
        *((name, _LONG) for name in ("rotation_size", "logit_count")),
    ]


class Decoder:
    """A loaded model in the form of the C code; it shares the model's weights."""

    def __init__(self, model: Any, kernel: Kernel) -> None:
        """Collect the pointers to the weights.

        Args:
            model: A model that `create_decoder` accepts.
            kernel: The CPU kernel.

        Raises:
            KernelError: A weight has another size than the config says.
        """
        config, layers = model.config, model.model.layers
        self._model, self._kernel = model, kernel
        windows = [layer.self_attn.sliding_window or 0 for layer in layers]
        self._layers = (_Layer * len(layers))(
            *(_describe_layer(config, *each) for each in zip(layers, windows, strict=True))
        )
        self._windows = tuple(windows)
        first, embedding = layers[0], model.model.embed_tokens.weight
        self._arguments = _Model(
            layers=ctypes.addressof(self._layers),
            embedding=check_tensor("the embedding", embedding, torch.bfloat16, embedding.shape[0], config.hidden_size),
            norm=check_tensor("the norm", model.model.norm.weight, torch.float32, config.hidden_size),
            head=_describe_matrix(model.lm_head, model.lm_head.weight.shape[0], config.hidden_size),
            layer_count=len(layers),
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_dim=first.self_attn.head_dim,
            expert_count=config.num_local_experts,
            active=config.num_experts_per_tok,
            vocabulary=embedding.shape[0],
            epsilon=config.rms_norm_eps,
            scaling=first.self_attn.scaling,
            alpha=first.mlp.experts.packed.alpha,
            limit=first.mlp.experts.packed.limit,
            threads=torch.get_num_threads(),
            level=kernel.level_number,
        )

    def create_cache(self, prompt_cache: Any, *, max_tokens: int) -> "KVCache":
        """Move the keys and values of a prompt into a new cache.

        Args:
            prompt_cache: transformers' cache after the prompt; it is empty afterwards.
            max_tokens: Maximum length of the cache.

        Raises:
            KernelError: The keys or values have another size than the config says.
        """
        heads, width = self._arguments.kv_heads, self._arguments.head_dim
        for layer in prompt_cache.layers:
            for name, tensor in (("keys", layer.keys), ("values", layer.values)):
                check_shape(f"the cache's {name}", tensor, 1, heads, tensor.shape[2], width)
        return KVCache(prompt_cache, self._windows, max_tokens=max_tokens)

    def decode_token(self, cache: "KVCache", token_id: int) -> torch.Tensor:
        """Return the logits after one more token, shape [vocabulary]; append its keys and values to the cache.

        Raises:
            GptOssMemoryError: Memory ran out.
        """
        logits = torch.empty(self._arguments.head.rows)
        cos, sin = self._model.model.rotary_emb(logits, torch.tensor([[cache.position]]))
        arguments = cache.prepare_arguments(cos, sin)
        arguments.logit_count = logits.shape[0]
        self._kernel.decode_token(ctypes.byref(self._arguments), ctypes.byref(arguments), token_id, logits)
        cache.position += 1
        return logits


class KVCache:
    """Keys and values of one answer so far. Sliding layers overwrite their oldest token.

    Attributes:
        position: Number of tokens in the cache.
    """

    def __init__(self, prompt_cache: Any, windows: tuple[int, ...], *, max_tokens: int) -> None:
        """Move the keys and values of a prompt.

        Args:
            prompt_cache: transformers' cache after the prompt; it is empty afterwards.
            windows: Window of each layer in tokens; 0 means that a layer attends to all tokens.
            max_tokens: Maximum length of the cache.
        """
        self._windows, self._max_tokens = windows, max_tokens
        self.position = int(prompt_cache.get_seq_length())
        capacity = self._choose_capacity()
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        for layer, window in zip(prompt_cache.layers, windows, strict=True):
            self._keys.append(_copy_from(layer.keys, self.position, window, capacity))
            self._values.append(_copy_from(layer.values, self.position, window, capacity))
            layer.keys = layer.values = None  # a long cache must not be in memory twice
        self._refresh_pointers()

    def _choose_capacity(self) -> int:
        return min(self.position + max(self.position // 4, MIN_GROWTH_TOKENS), self._max_tokens)

    def prepare_arguments(self, cos: torch.Tensor, sin: torch.Tensor) -> _KVCache:
        """Return the argument of the C code for the next token; grow the cache if it is full.

        Args:
            cos: Rotation of the position, [1, 1, head_dim / 2].
            sin: As `cos`.
        """
        if any(
            not window and self.position >= keys.shape[1]
            for window, keys in zip(self._windows, self._keys, strict=True)
        ):
            self._grow()
        self._rotation = cos.contiguous(), sin.contiguous()
        size = cos.numel()
        return _KVCache(
            keys=ctypes.addressof(self._key_pointers),
            values=ctypes.addressof(self._value_pointers),
            capacities=ctypes.addressof(self._capacities),
            position=self.position,
            cos=check_tensor("cos", self._rotation[0], torch.float32, 1, 1, size),
            sin=check_tensor("sin", self._rotation[1], torch.float32, 1, 1, size),
            rotation_size=size,
        )

    def _grow(self) -> None:
        capacity = self._choose_capacity()
        for tensors in (self._keys, self._values):
            for index, window in enumerate(self._windows):
                if not window:
                    larger = torch.empty(tensors[index].shape[0], capacity, tensors[index].shape[2])
                    larger[:, : self.position] = tensors[index][:, : self.position]
                    tensors[index] = larger
        self._refresh_pointers()

    def _refresh_pointers(self) -> None:
        count = len(self._keys)
        self._key_pointers = (_POINTER * count)(*(keys.data_ptr() for keys in self._keys))
        self._value_pointers = (_POINTER * count)(*(values.data_ptr() for values in self._values))
        self._capacities = (_LONG * count)(*(keys.shape[1] for keys in self._keys))


def _copy_from(source: torch.Tensor, position: int, window: int, capacity: int) -> torch.Tensor:
    """Return the keys or values of a layer, [kv_heads, window or capacity, head_dim].

    Args:
        source: The last tokens of the layer, [1, kv_heads, tokens, head_dim].
        position: Number of tokens so far; a sliding layer may have kept fewer.
        window: Window of the layer; 0 means all tokens.
        capacity: Capacity of a layer without a window, in tokens.
    """
    target = torch.empty(source.shape[1], window or capacity, source.shape[3])
    slots = torch.arange(position - source.shape[2], position)
    target[:, slots % window if window else slots] = source[0]
    return target


def create_decoder(model: Any) -> Decoder | None:
    """Return a decoder for a model with packed experts and int8 matrices on a CPU; None for any other model."""
    layers = model.model.layers
    is_supported = (
        isinstance(model.lm_head, Int8Linear)
        and isinstance(model.model.embed_tokens, StoredEmbedding)
        and model.model.embed_tokens.weight.dtype == torch.bfloat16
        and all(hasattr(layer.mlp.experts, "packed") for layer in layers)
        and layers[0].self_attn.head_dim % 16 == 0
        and model.config.hidden_size % 32 == 0
        and model.config.num_local_experts <= _MAX_EXPERTS
    )
    kernel = get_cpu_kernel() if is_supported else None  # last, because the first call compiles the kernel
    return None if kernel is None else Decoder(model, kernel)


def _describe_matrix(module: Any, rows: int, k: int) -> _Matrix:
    return _Matrix(
        weights=check_tensor("weights", module.weight, torch.int8, rows, k),
        scales=check_tensor("scales", module.scales, torch.bfloat16, rows, k // BLOCK),
        bias=None if module.bias is None else check_tensor("bias", module.bias, torch.float32, rows),
        rows=rows,
        k=k,
    )


def _describe_layer(config: Any, layer: Any, window: int) -> _Layer:
    attention, router = layer.self_attn, layer.mlp.router
    hidden, experts = config.hidden_size, config.num_local_experts
    query_size = config.num_attention_heads * attention.head_dim
    key_size = config.num_key_value_heads * attention.head_dim
    return _Layer(
        input_norm=check_tensor("input_layernorm", layer.input_layernorm.weight, torch.float32, hidden),
        post_norm=check_tensor(
            "post_attention_layernorm", layer.post_attention_layernorm.weight, torch.float32, hidden
        ),
        query=_describe_matrix(attention.q_proj, query_size, hidden),
        key=_describe_matrix(attention.k_proj, key_size, hidden),
        value=_describe_matrix(attention.v_proj, key_size, hidden),
        output=_describe_matrix(attention.o_proj, hidden, query_size),
        sinks=check_tensor("sinks", attention.sinks, torch.float32, config.num_attention_heads),
        router=check_tensor("router", router.weight, torch.float32, experts, hidden),
        router_bias=check_tensor("the router's bias", router.bias, torch.float32, experts),
        window=window,
        **describe_experts(layer.mlp.experts.packed, experts, hidden, config.intermediate_size),
    )
