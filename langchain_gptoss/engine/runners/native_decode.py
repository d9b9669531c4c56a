"""Decode in one call a token: what a packed model on a CPU does between reading its weights, done in C.

Through transformers' modules a token of gpt-oss-20b spends 15 % of its time in Python, where memory has nothing to do.
The prompt still goes through them; its KV cache is then taken over. Both ways give the same logits within the kernel's
rounding.
"""

import ctypes
from typing import Any

import torch

from langchain_gptoss.engine.kernels.dense import Int8Linear, StoredEmbedding
from langchain_gptoss.engine.kernels.native import Kernel, cpu_kernel

_POINTER, _LONG, _FLOAT, _INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float, ctypes.c_int32
_ROOM = 256  # tokens by which a cache grows at least
_MOST_EXPERTS = 1024  # in src/decode.h


class _Matrix(ctypes.Structure):
    """`Matrix` in src/decode.h."""

    _fields_ = [("weights", _POINTER), ("scales", _POINTER), ("bias", _POINTER), ("rows", _LONG)]


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
        *((name, _LONG) for name in ("head_dim", "expert_count", "active")),
        *((name, _FLOAT) for name in ("epsilon", "scaling", "alpha", "limit")),
        *((name, _INT) for name in ("threads", "level")),
    ]


class _Past(ctypes.Structure):
    """`Past` in src/decode.h."""

    _fields_ = [
        *((name, _POINTER) for name in ("keys", "values", "capacities")),
        ("position", _LONG),
        *((name, _POINTER) for name in ("cos", "sin")),
    ]


class Decoder:
    """A loaded model as the C code wants it; it shares the model's weights."""

    def __init__(self, model: Any, kernel: Kernel) -> None:
        """Takes a model for which `decoder_of` found that this works."""
        config, layers = model.config, model.model.layers
        self._model, self._kernel = model, kernel
        windows = [layer.self_attn.sliding_window or 0 for layer in layers]
        self._layers = (_Layer * len(layers))(*map(_layer, layers, windows))
        self.windows = tuple(windows)
        first = layers[0]
        self._call = _Model(
            layers=ctypes.addressof(self._layers),
            embedding=model.model.embed_tokens.weight.data_ptr(),
            norm=model.model.norm.weight.data_ptr(),
            head=_matrix(model.lm_head),
            layer_count=len(layers),
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_dim=first.self_attn.head_dim,
            expert_count=config.num_local_experts,
            active=config.num_experts_per_tok,
            epsilon=config.rms_norm_eps,
            scaling=first.self_attn.scaling,
            alpha=first.mlp.experts.packed.alpha,
            limit=first.mlp.experts.packed.limit,
            threads=torch.get_num_threads(),
            level=kernel.level_number,
        )

    def past(self, cache: Any, *, most: int) -> "Past":
        """Takes over the KV cache of a prompt, which is empty then; `most` tokens are the longest it can become."""
        return Past(cache, self.windows, most=most)

    def step(self, past: "Past", token_id: int) -> torch.Tensor:
        """Returns the logits after one more token, shape [vocabulary]; extends the past.

        Raises:
            MemoryError: The working space could not be had.
        """
        logits = torch.empty(self._call.head.rows)
        cos, sin = self._model.model.rotary_emb(logits, torch.tensor([[past.position]]))
        self._kernel.decode(ctypes.byref(self._call), ctypes.byref(past.call(cos, sin)), token_id, logits)
        past.position += 1
        return logits


class Past:
    """The keys and values of one answer so far. Sliding layers overwrite their oldest token.

    Attributes:
        position: How many tokens there are.
    """

    def __init__(self, cache: Any, windows: tuple[int, ...], *, most: int) -> None:
        """Takes transformers' cache after a prompt, each layer's window (0: all), and the longest past there can be."""
        self._windows, self._most = windows, most
        self.position = int(cache.get_seq_length())
        capacity = self._capacity()
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        for layer, window in zip(cache.layers, windows, strict=True):
            self._keys.append(_taken(layer.keys, self.position, window, capacity))
            self._values.append(_taken(layer.values, self.position, window, capacity))
            layer.keys = layer.values = None  # a long past must not be in memory twice
        self._point()

    def _capacity(self) -> int:
        return min(self.position + max(self.position // 4, _ROOM), self._most)

    def call(self, cos: torch.Tensor, sin: torch.Tensor) -> _Past:
        """Returns the argument for the next token, with the position's rotation ([1, 1, head_dim / 2])."""
        if any(not w and self.position >= room.shape[1] for w, room in zip(self._windows, self._keys, strict=True)):
            self._grow()
        self._rotation = cos.contiguous(), sin.contiguous()
        return _Past(
            keys=ctypes.addressof(self._key_pointers),
            values=ctypes.addressof(self._value_pointers),
            capacities=ctypes.addressof(self._capacities),
            position=self.position,
            cos=self._rotation[0].data_ptr(),
            sin=self._rotation[1].data_ptr(),
        )

    def _grow(self) -> None:
        capacity = self._capacity()
        for rooms in (self._keys, self._values):
            for index, window in enumerate(self._windows):
                if not window:
                    larger = torch.empty(rooms[index].shape[0], capacity, rooms[index].shape[2])
                    larger[:, : self.position] = rooms[index][:, : self.position]
                    rooms[index] = larger
        self._point()

    def _point(self) -> None:
        count = len(self._keys)
        self._key_pointers = (_POINTER * count)(*(room.data_ptr() for room in self._keys))
        self._value_pointers = (_POINTER * count)(*(room.data_ptr() for room in self._values))
        self._capacities = (_LONG * count)(*(room.shape[1] for room in self._keys))


def _taken(kept: torch.Tensor, position: int, window: int, capacity: int) -> torch.Tensor:
    """Returns [kv_heads, capacity or window, head_dim] with what was kept as [1, kv_heads, tokens, head_dim]."""
    room = torch.empty(kept.shape[1], window or capacity, kept.shape[3])
    places = torch.arange(position - kept.shape[2], position)
    room[:, places % window if window else places] = kept[0]
    return room


def decoder_of(model: Any) -> Decoder | None:
    """Returns a decoder for a model that is loaded packed with int8 matrices on a CPU; None for any other."""
    layers = model.model.layers
    fits = (
        isinstance(model.lm_head, Int8Linear)
        and isinstance(model.model.embed_tokens, StoredEmbedding)
        and model.model.embed_tokens.weight.dtype == torch.bfloat16
        and all(hasattr(layer.mlp.experts, "packed") for layer in layers)
        and layers[0].self_attn.head_dim % 16 == 0
        and model.config.hidden_size % 32 == 0
        and model.config.num_local_experts <= _MOST_EXPERTS
    )
    kernel = cpu_kernel() if fits else None  # asked last: the first to ask waits for a compiler
    return None if kernel is None else Decoder(model, kernel)


def _matrix(module: Any) -> _Matrix:
    return _Matrix(
        weights=module.weight.data_ptr(),
        scales=module.scales.data_ptr(),
        bias=None if module.bias is None else module.bias.data_ptr(),
        rows=module.weight.shape[0],
    )


def _layer(layer: Any, window: int) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    packed = mlp.experts.packed
    names = ("gate_up_blocks", "gate_up_scales", "gate_up_bias", "down_blocks", "down_scales", "down_bias")
    return _Layer(
        input_norm=layer.input_layernorm.weight.data_ptr(),
        post_norm=layer.post_attention_layernorm.weight.data_ptr(),
        query=_matrix(attention.q_proj),
        key=_matrix(attention.k_proj),
        value=_matrix(attention.v_proj),
        output=_matrix(attention.o_proj),
        sinks=attention.sinks.data_ptr(),
        router=mlp.router.weight.data_ptr(),
        router_bias=mlp.router.bias.data_ptr(),
        window=window,
        **{name: getattr(packed, name).data_ptr() for name in names},
    )
