"""How large a gpt_oss model is, part by part, from the numbers in its configuration alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_gptoss.errors import CheckpointError

# MXFP4 (OCP Microscaling Formats 1.0): 32 weights share 16 bytes of 4-bit values and one byte of exponent.
PACKED_BLOCK_WEIGHTS = 32
PACKED_BLOCK_BYTES = 17

_UNPACKED = ("bfloat16", "float16", "float32")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The numbers that decide how much memory and arithmetic a gpt_oss model takes.

    Attributes:
        hidden_size: Width of the residual stream.
        intermediate_size: Width of one expert.
        layers: Number of layers.
        experts: Experts in each layer.
        experts_per_token: How many of them a token passes through.
        heads: Query heads.
        kv_heads: Key and value heads.
        head_dim: Width of one head.
        vocabulary: Number of tokens.
        sliding_window: Tokens that a sliding layer looks back.
        sliding_layers: How many of the layers slide; the others attend to everything.
        tied_embeddings: Whether the output matrix is the embedding table.
        max_positions: The longest context that the model was made for, in tokens.
        checkpoint_experts: How the checkpoint stores the experts: `"mxfp4"`, `"bfloat16"`, `"float16"` or `"float32"`.
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

    @property
    def expert_weights(self) -> int:
        """Weights of all experts' matrices (gate, up and down), without biases."""
        return self.layers * self.experts * 3 * self.hidden_size * self.intermediate_size

    @property
    def active_expert_weights(self) -> int:
        """Those of them that one token passes through."""
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
        """Weights of an output matrix of its own; 0 where the embedding table serves."""
        return 0 if self.tied_embeddings else self.embedding_weights

    @property
    def expert_biases(self) -> int:
        """Biases of all experts."""
        return self.layers * self.experts * (2 * self.intermediate_size + self.hidden_size)

    @property
    def other_weights(self) -> int:
        """Everything small: routers, norms, the biases of attention, sinks."""
        router = self.experts * (self.hidden_size + 1)
        biases = self.head_dim * (self.heads + 2 * self.kv_heads) + self.hidden_size
        norms = 2 * self.hidden_size
        return self.layers * (router + biases + norms + self.heads) + self.hidden_size

    @property
    def parameters(self) -> int:
        """All weights."""
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
        """Weights that one token multiplies with: its experts, attention, the output matrix; no table look-up."""
        biases = self.expert_biases * self.experts_per_token // self.experts
        return (
            self.active_expert_weights + biases + self.attention_weights + self.other_weights + self.embedding_weights
        )

    @property
    def packed_expert_bytes(self) -> int:
        """Bytes of all experts' matrices in MXFP4; a row that is no multiple of 32 long is padded."""
        gate_up = 2 * self.intermediate_size * _blocks(self.hidden_size)
        down = self.hidden_size * _blocks(self.intermediate_size)
        return self.layers * self.experts * (gate_up + down) * PACKED_BLOCK_BYTES

    def cache_bytes(self, tokens: int, *, width: int) -> int:
        """Returns the size of one conversation's KV cache, in bytes.

        Args:
            tokens: Its length. Full layers keep all of it, sliding layers their window.
            width: Bytes per number.
        """
        per_token = 2 * self.kv_heads * self.head_dim * width
        kept = (self.layers - self.sliding_layers) * tokens + self.sliding_layers * min(tokens, self.sliding_window)
        return per_token * kept


def _blocks(row: int) -> int:
    return -(-row // PACKED_BLOCK_WEIGHTS)


def shape_of(config: Mapping[str, Any]) -> Shape:
    """Returns the shape that a checkpoint's `config.json` describes.

    A key that is missing has the value that transformers' `GptOssConfig` gives it.

    Args:
        config: The parsed file.

    Raises:
        CheckpointError: A value is not a positive whole number, or the weights are quantized other than in MXFP4.
    """
    layers = _positive(config, "num_hidden_layers", 36)
    kinds = config.get("layer_types")
    # GptOssConfig's default alternates, starting with a sliding layer.
    sliding = (layers + 1) // 2 if kinds is None else sum(kind == "sliding_attention" for kind in kinds)
    return Shape(
        hidden_size=_positive(config, "hidden_size", 2880),
        intermediate_size=_positive(config, "intermediate_size", 2880),
        layers=layers,
        experts=_positive(config, "num_local_experts", 128),
        experts_per_token=_positive(config, "num_experts_per_tok", 4),
        heads=_positive(config, "num_attention_heads", 64),
        kv_heads=_positive(config, "num_key_value_heads", 8),
        head_dim=_positive(config, "head_dim", 64),
        vocabulary=_positive(config, "vocab_size", 201_088),
        sliding_window=_positive(config, "sliding_window", 128),
        sliding_layers=sliding,
        tied_embeddings=bool(config.get("tie_word_embeddings", False)),
        max_positions=_positive(config, "max_position_embeddings", 131_072),
        checkpoint_experts=_stored(config),
    )


def _positive(config: Mapping[str, Any], key: str, default: int) -> int:
    value = config.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CheckpointError(
            f"config.json has {key} = {value!r}, which is not a positive whole number. "
            "Copy or fetch the checkpoint again."
        )
    return value


def _stored(config: Mapping[str, Any]) -> str:
    """Returns how the experts are stored."""
    quantization = config.get("quantization_config")
    if quantization:
        method = quantization.get("quant_method") if isinstance(quantization, Mapping) else quantization
        if method != "mxfp4":
            raise CheckpointError(
                f"config.json says that the weights are quantized as {method!r}; this package runs MXFP4 and "
                f"unquantized weights ({', '.join(_UNPACKED)}). Use the checkpoint that it was made from."
            )
        return "mxfp4"
    dtype = str(config.get("dtype") or config.get("torch_dtype") or "bfloat16").removeprefix("torch.")
    return dtype if dtype in _UNPACKED else "bfloat16"


def _published(*, layers: int, experts: int) -> Shape:
    # The configurations of openai/gpt-oss-20b and -120b differ in these two numbers only.
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


# The last two are not published: sizes that an article named. They keep the published vocabulary, so that the
# published tokenizer fits them, and the published 32 experts of which 4 are active.
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
    "20b": _published(layers=24, experts=32),
    "120b": _published(layers=36, experts=128),
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
