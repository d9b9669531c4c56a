"""Shapes of gpt_oss models: the sizes in a configuration, and the weights and bytes of each part that follow."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_gptoss.errors import CheckpointError

# MXFP4 (OCP Microscaling Formats 1.0): 32 weights share 16 bytes of 4-bit values and one byte of exponent.
PACKED_BLOCK_WEIGHTS = 32
PACKED_BLOCK_BYTES = 17
# The engine's KV cache: blocks of 16 tokens, two bytes per number on every device; the native runner pads heads.
CACHE_BLOCK_TOKENS = 16
_CACHE_HEAD_MULTIPLE = 16
_CACHE_WIDTH = 2

INT8_METHOD = "gptoss_int8"
"""The `quant_method` of this package's own format: int8 experts with one scale for 32 weights (see docs/convert.md)."""

INT8_VERSION = 1
"""The version of that format that this package writes and reads."""

INT4_METHOD = "gptoss_int4"
"""The same for experts of four bits with a scale and a minimum for 32 weights, some of whose matrices may be int8."""

INT4_VERSION = 1
"""The version of that format that this package writes and reads."""

BLOCK_BYTES_PER_WEIGHT = {"mxfp4": 17 / 32, "int4": 20 / 32, "int8": 34 / 32}
"""Bytes per weight of the formats in which 32 weights share a scale."""

_OWN_FORMATS = {INT8_METHOD: ("int8", INT8_VERSION), INT4_METHOD: ("int4", INT4_VERSION)}
_UNPACKED_MODULES = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
_UNPACKED_DTYPES = ("bfloat16", "float16", "float32")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a gpt_oss model, from which its memory and arithmetic follow.

    Attributes:
        hidden_size: Width of the residual stream.
        intermediate_size: Width of one expert.
        layers: Number of layers.
        experts: Number of experts in each layer.
        experts_per_token: Number of experts that each token passes through.
        heads: Number of query heads.
        kv_heads: Number of key and value heads.
        head_dim: Width of one head.
        vocabulary: Number of tokens in the vocabulary.
        sliding_window: Number of previous tokens that a sliding layer attends to.
        sliding_layers: Number of sliding layers; the other layers attend to all tokens.
        tied_embeddings: True if the output matrix is the embedding table.
        max_positions: Longest context of the model, in tokens.
        checkpoint_experts: Type of the experts in the checkpoint: `"mxfp4"`, `"int4"`, `"int8"`, `"bfloat16"`,
            `"float16"` or `"float32"`.
        int8_weights: Weights of the experts' matrices that are int8 in a checkpoint of int4.
    """

    hidden_size: int
    intermediate_size: int
    layers: int
    experts: int
    experts_per_token: int = 4
    heads: int
    kv_heads: int
    head_dim: int = 64
    vocabulary: int
    sliding_window: int = 128
    sliding_layers: int
    tied_embeddings: bool = False
    max_positions: int = 131_072
    checkpoint_experts: str = "mxfp4"
    int8_weights: int = 0

    @property
    def expert_weights(self) -> int:
        """Weights in the matrices of all experts (gate, up and down), without biases."""
        return self.layers * self.experts * 3 * self.hidden_size * self.intermediate_size

    @property
    def active_expert_weights(self) -> int:
        """Weights in the matrices of the experts that one token passes through."""
        return self.expert_weights * self.experts_per_token // self.experts

    @property
    def attention_weights(self) -> int:
        """Weights of the q, k, v and o matrices of all layers, without biases."""
        return self.layers * 2 * self.hidden_size * self.head_dim * (self.heads + self.kv_heads)

    @property
    def embedding_weights(self) -> int:
        """Weights of the embedding table."""
        return self.vocabulary * self.hidden_size

    @property
    def head_weights(self) -> int:
        """Weights of a separate output matrix; 0 if the embedding table is used."""
        return 0 if self.tied_embeddings else self.embedding_weights

    @property
    def expert_biases(self) -> int:
        """Biases of all experts."""
        return self.layers * self.experts * (2 * self.intermediate_size + self.hidden_size)

    @property
    def other_weights(self) -> int:
        """Weights of the small parts: routers, norms, the biases of attention, sinks."""
        router = self.experts * (self.hidden_size + 1)
        biases = self.head_dim * (self.heads + 2 * self.kv_heads) + self.hidden_size
        norms = 2 * self.hidden_size
        return self.layers * (router + biases + norms + self.heads) + self.hidden_size

    @property
    def parameters(self) -> int:
        """Number of all weights."""
        return (
            self.expert_weights
            + self.expert_biases
            + self.attention_weights
            + self.other_weights
            + self.embedding_weights
            + self.head_weights
        )

    @property
    def active_parameters(self) -> int:
        """Weights that are multiplied for one token: its experts, attention, the output matrix; not the table."""
        biases = self.expert_biases * self.experts_per_token // self.experts
        return (
            self.active_expert_weights + biases + self.attention_weights + self.other_weights + self.embedding_weights
        )

    @property
    def packed_expert_bytes(self) -> int:
        """Bytes of all experts' matrices in MXFP4; rows are padded to a multiple of 32 weights."""
        gate_up = 2 * self.intermediate_size * _count_blocks(self.hidden_size)
        down = self.hidden_size * _count_blocks(self.intermediate_size)
        return self.layers * self.experts * (gate_up + down) * PACKED_BLOCK_BYTES

    @property
    def int4_expert_bytes(self) -> int:
        """Bytes of all experts' matrices in a checkpoint of int4."""
        int8_bytes = self.int8_weights * BLOCK_BYTES_PER_WEIGHT["int8"]
        return int((self.expert_weights - self.int8_weights) * BLOCK_BYTES_PER_WEIGHT["int4"] + int8_bytes)

    @property
    def cache_token_bytes(self) -> int:
        """Size of one token in the KV cache, in bytes; sliding layers store all tokens, as full layers do."""
        head_dim = -(-self.head_dim // _CACHE_HEAD_MULTIPLE) * _CACHE_HEAD_MULTIPLE
        return self.layers * 2 * self.kv_heads * head_dim * _CACHE_WIDTH

    def compute_cache_bytes(self, tokens: int) -> int:
        """Return the size of one conversation's KV cache, in bytes.

        Args:
            tokens: Length of the conversation; the cache holds it in whole blocks.
        """
        blocks = -(-tokens // CACHE_BLOCK_TOKENS)
        return blocks * CACHE_BLOCK_TOKENS * self.cache_token_bytes


def _count_blocks(row_weights: int) -> int:
    return -(-row_weights // PACKED_BLOCK_WEIGHTS)


def parse_shape(config: Mapping[str, Any]) -> Shape:
    """Return the shape that a checkpoint's `config.json` describes.

    A missing key gets the default of transformers' `GptOssConfig`.

    Args:
        config: The parsed file.

    Raises:
        CheckpointError: A value is not a positive whole number, or the weights have another quantization than MXFP4.
    """
    layers = _read_positive(config, "num_hidden_layers", 36)
    layer_types = config.get("layer_types")
    if layer_types is None:
        sliding_layers = (layers + 1) // 2  # GptOssConfig's default alternates and starts with a sliding layer
    else:
        sliding_layers = sum(layer_type == "sliding_attention" for layer_type in layer_types)
    return Shape(
        hidden_size=_read_positive(config, "hidden_size", 2880),
        intermediate_size=_read_positive(config, "intermediate_size", 2880),
        layers=layers,
        experts=_read_positive(config, "num_local_experts", 128),
        experts_per_token=_read_positive(config, "num_experts_per_tok", 4),
        heads=_read_positive(config, "num_attention_heads", 64),
        kv_heads=_read_positive(config, "num_key_value_heads", 8),
        head_dim=_read_positive(config, "head_dim", 64),
        vocabulary=_read_positive(config, "vocab_size", 201_088),
        sliding_window=_read_positive(config, "sliding_window", 128),
        sliding_layers=sliding_layers,
        tied_embeddings=bool(config.get("tie_word_embeddings", False)),
        max_positions=_read_positive(config, "max_position_embeddings", 131_072),
        checkpoint_experts=_read_expert_dtype(config),
        int8_weights=_count_int8_weights(config),
    )


def build_quantization_config(block_format: str, *, int8_matrices: Sequence[str] = ()) -> dict[str, Any]:
    """Return the `quantization_config` of a checkpoint.

    Args:
        block_format: Format of its experts: `"mxfp4"`, `"int4"` or `"int8"`.
        int8_matrices: Names of the experts' matrices that are int8 beside int4.
    """
    if block_format == "mxfp4":
        return {"quant_method": "mxfp4", "modules_to_not_convert": _UNPACKED_MODULES}
    if block_format == "int8":
        return {"quant_method": INT8_METHOD, "version": INT8_VERSION, "block_size": PACKED_BLOCK_WEIGHTS}
    return {
        "quant_method": INT4_METHOD,
        "version": INT4_VERSION,
        "block_size": PACKED_BLOCK_WEIGHTS,
        "int8_modules": list(int8_matrices),
    }


def read_int8_matrices(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the experts' matrices that a checkpoint of int4 stores in int8.

    Args:
        config: The parsed `config.json`.

    Raises:
        CheckpointError: They are not a list of names.
    """
    quantization = config.get("quantization_config")
    if not isinstance(quantization, Mapping) or quantization.get("quant_method") != INT4_METHOD:
        return []
    names = quantization.get("int8_modules", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(
            f"config.json has int8_modules = {names!r}, which is not a list of names.",
            hint="Copy or fetch the checkpoint again.",
        )
    return names


def _count_int8_weights(config: Mapping[str, Any]) -> int:
    matrices = sum(2 if name.endswith("gate_up_proj") else 1 for name in read_int8_matrices(config))
    experts, sizes = _read_positive(config, "num_local_experts", 128), ("hidden_size", "intermediate_size")
    return matrices * experts * math.prod(_read_positive(config, name, 2880) for name in sizes)


def _read_positive(config: Mapping[str, Any], key: str, default: int) -> int:
    value = config.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CheckpointError(
            f"config.json has {key} = {value!r}, which is not a positive whole number.",
            hint="Copy or fetch the checkpoint again.",
        )
    return value


def _read_expert_dtype(config: Mapping[str, Any]) -> str:
    quantization = config.get("quantization_config")
    if quantization:
        method = quantization.get("quant_method") if isinstance(quantization, Mapping) else quantization
        if method in _OWN_FORMATS:
            return _check_own_format(quantization)
        if method != "mxfp4":
            raise CheckpointError(
                f"config.json says that the weights are quantized as {method!r}; this package runs MXFP4 and "
                f"unquantized weights ({', '.join(_UNPACKED_DTYPES)}).",
                hint="Use the unquantized checkpoint that it was made from.",
            )
        return "mxfp4"
    dtype = str(config.get("dtype") or config.get("torch_dtype") or "bfloat16").removeprefix("torch.")
    return dtype if dtype in _UNPACKED_DTYPES else "bfloat16"


def _check_own_format(quantization: Mapping[str, Any]) -> str:
    method, version = quantization["quant_method"], quantization.get("version")
    name, known_version = _OWN_FORMATS[method]
    if version != known_version or quantization.get("block_size", PACKED_BLOCK_WEIGHTS) != PACKED_BLOCK_WEIGHTS:
        raise CheckpointError(
            f"config.json says that the experts are {name} in version {version!r} of the format {method!r}; this "
            f"package reads version {known_version} with blocks of {PACKED_BLOCK_WEIGHTS}.",
            hint="Convert the model again, or install a newer version of langchain-gptoss.",
        )
    return name


def _build_published_shape(*, layers: int, experts: int) -> Shape:
    # The configurations of openai/gpt-oss-20b and openai/gpt-oss-120b differ only in these two numbers.
    return Shape(
        hidden_size=2880,
        intermediate_size=2880,
        layers=layers,
        experts=experts,
        heads=64,
        kv_heads=8,
        vocabulary=201_088,
        sliding_layers=layers // 2,
    )


# No checkpoints are published for the last two; an article named their sizes. They have the published vocabulary, so
# that the published tokenizer fits, and like the published 20b model 32 experts of which 4 are active.
SHAPES: Mapping[str, Shape] = {
    "demo": Shape(
        hidden_size=576,
        intermediate_size=384,
        layers=30,
        experts=4,
        heads=9,
        kv_heads=3,
        vocabulary=49_152,
        sliding_layers=0,
        tied_embeddings=True,
        max_positions=8_192,
        checkpoint_experts="bfloat16",
    ),
    "demo-large": Shape(
        hidden_size=1536,
        intermediate_size=2240,
        layers=28,
        experts=4,
        heads=12,
        kv_heads=2,
        head_dim=128,
        vocabulary=151_936,
        sliding_layers=0,
        tied_embeddings=True,
        max_positions=32_768,
        checkpoint_experts="int4",
        int8_weights=14 * 4 * 1536 * 2240,  # the down matrices of 14 layers have six bits in the GGUF file
    ),
    "20b": _build_published_shape(layers=24, experts=32),
    "120b": _build_published_shape(layers=36, experts=128),
    "1.0b": Shape(
        hidden_size=768,
        intermediate_size=768,
        layers=12,
        experts=32,
        heads=16,
        kv_heads=4,
        vocabulary=201_088,
        sliding_layers=6,
    ),
    "3.6b": Shape(
        hidden_size=1440,
        intermediate_size=1312,
        layers=16,
        experts=32,
        heads=32,
        kv_heads=8,
        vocabulary=201_088,
        sliding_layers=8,
    ),
}
