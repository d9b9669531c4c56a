"""Memory footprint of a model, part by part, computed from its shape, device and types."""

from dataclasses import dataclass

from langchain_gptoss.models.shapes import PACKED_BLOCK_BYTES, PACKED_BLOCK_WEIGHTS, Shape

# Resident memory of Python, torch, transformers and this package's chat model on Linux x86_64, measured with the demo
# model loaded: 1.045 GB minus its weights of 0.539 GB, plus a few buffers that appear when it runs.
RUNTIME_BYTES = 520_000_000
# GPU memory of a process besides weights and activations: cuBLAS workspaces, the allocator's rounding.
GPU_RUNTIME_BYTES = 500_000_000
# Longest chunk of a prompt in one forward pass.
PREFILL_TOKENS = 512
# Limit for the attention scores of one chunk; chunks get shorter as the context before them gets longer.
SCORES_BYTES = 512_000_000
_MIN_CHUNK_TOKENS = 16
_PAGE_BYTES = 4096
# transformers' eager attention holds the scores, a copy with the sinks, and the probabilities.
_SCORE_COPIES = 3

WIDTHS = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "int8": 1 + 2 / PACKED_BLOCK_WEIGHTS}
"""Bytes per weight; int8 stores one bfloat16 scale for every 32 weights."""


@dataclass(frozen=True, kw_only=True)
class MemoryFootprint:
    """Memory that a model needs, by part, in bytes.

    Attributes:
        experts: Expert matrices.
        dense: Attention, a separate output matrix, routers, norms, biases.
        embeddings: Embedding table; if it is mapped from the file, only the rows that can be looked up.
        cache: KV cache of all users when their contexts are full.
        working: Activations, attention scores and logits of one forward pass.
        runtime: Python and its libraries; on GPUs also their workspaces.
        peak_loading: Peak while the model loads, without cache and activations.
    """

    experts: int
    dense: int
    embeddings: int
    cache: int
    working: int
    runtime: int
    peak_loading: int

    @property
    def total(self) -> int:
        """Memory in use while the model answers."""
        return self.experts + self.dense + self.embeddings + self.cache + self.working + self.runtime

    @property
    def peak(self) -> int:
        """Highest memory use at any time, loading included."""
        return max(self.total, self.peak_loading)


def compute_activation_width(*, device: str, dtype: str, experts: str) -> int:
    """Return the bytes per number in activations and KV cache.

    On a CPU packed experts are multiplied in float32, for every type of the dense weights.
    """
    return 4 if device == "cpu" and (experts == "packed" or dtype == "float32") else int(WIDTHS[dtype])


def has_flash_attention(device: str) -> bool:
    """Return True if attention on a device never stores its scores.

    On CPUs torch's flash kernel runs, because it returns the values that attention sinks need. On GPUs transformers'
    eager attention runs: it supports sinks and needs no package that must be downloaded.
    """
    return device == "cpu"


def compute_prefill_tokens(shape: Shape, context: int, *, width: int, flash: bool) -> int:
    """Return the longest chunk of a prompt, in tokens, whose attention scores stay within `SCORES_BYTES`.

    Args:
        shape: Shape of the model.
        context: Tokens in the KV cache, those of the chunk included.
        width: Bytes per score.
        flash: True if attention never stores its scores.
    """
    if flash:
        return min(context, PREFILL_TOKENS)
    max_tokens = SCORES_BYTES // (_SCORE_COPIES * shape.heads * context * width)
    return min(context, PREFILL_TOKENS, max(_MIN_CHUNK_TOKENS, max_tokens // _MIN_CHUNK_TOKENS * _MIN_CHUNK_TOKENS))


def estimate_working_bytes(shape: Shape, context: int, *, width: int, flash: bool) -> int:
    """Return the largest working memory of one forward pass, in bytes.

    Args:
        shape: Shape of the model.
        context: Tokens in the KV cache, those of the chunk included.
        width: Bytes per number.
        flash: True if attention never stores its scores.
    """
    chunk = compute_prefill_tokens(shape, context, width=width, flash=flash)
    # Layers run one at a time. Eager attention repeats keys and values for every query head, and a cache that grows is
    # copied to its new place.
    scores = 2 * chunk * context if flash else _SCORE_COPIES * shape.heads * chunk * context  # flash: the two masks
    keys_and_values = 2 * shape.head_dim * context * (shape.kv_heads + (0 if flash else shape.heads))
    # The residual stream, its norm and a copy; queries and their result; for each active expert the gathered input,
    # gate and up twice (before and after the clamp), their product, the output.
    numbers_per_token = 4 * shape.hidden_size + 2 * shape.heads * shape.head_dim
    numbers_per_token += shape.experts_per_token * (2 * shape.hidden_size + 5 * shape.intermediate_size)
    logits_bytes = 4 * shape.vocabulary
    return (scores + keys_and_values + chunk * numbers_per_token) * width + logits_bytes


def estimate_memory(
    shape: Shape, *, device: str, gpus: int, dtype: str, experts: str, context: int, users: int
) -> MemoryFootprint:
    """Return the memory that a model needs, by part.

    Args:
        shape: Shape of the model.
        device: `"cuda"`, `"cpu"` or `"mps"`.
        gpus: Number of CUDA GPUs; 0 for other devices.
        dtype: Type of the dense weights, and of the experts if they are unpacked.
        experts: `"packed"` or `"unpacked"`.
        context: Context of each user, in tokens.
        users: Number of users that hold a KV cache at the same time.
    """
    weight_width = WIDTHS[dtype]
    activation_width = compute_activation_width(device=device, dtype=dtype, experts=experts)
    is_packed = experts == "packed"
    dense_weights = shape.attention_weights + shape.head_weights
    if shape.tied_embeddings and dtype == "int8":
        dense_weights += shape.embedding_weights  # the table is looked up in bfloat16, so the output matrix is a copy
    small_bytes = (shape.other_weights + shape.expert_biases) * activation_width
    dense_bytes = int(dense_weights * weight_width) + small_bytes
    is_mapped = is_packed and device == "cpu"
    table_bytes = int(shape.embedding_weights * (WIDTHS["bfloat16"] if is_packed else weight_width))
    expert_bytes = shape.packed_expert_bytes if is_packed else int(shape.expert_weights * weight_width)
    runtime_bytes = RUNTIME_BYTES + gpus * GPU_RUNTIME_BYTES
    # Mapped weights take no memory before they are used.
    loaded_bytes = dense_bytes if is_mapped else dense_bytes + expert_bytes + table_bytes
    return MemoryFootprint(
        experts=expert_bytes,
        dense=dense_bytes,
        embeddings=min(table_bytes, _estimate_lookup_bytes(shape, context * users)) if is_mapped else table_bytes,
        cache=users * shape.compute_cache_bytes(context, width=activation_width),
        working=estimate_working_bytes(shape, context, width=activation_width, flash=has_flash_attention(device)),
        runtime=runtime_bytes,
        peak_loading=loaded_bytes + runtime_bytes + _compute_largest_tensor_bytes(shape, experts=experts),
    )


def _estimate_lookup_bytes(shape: Shape, tokens: int) -> int:
    """Return the bytes that looking up distinct tokens loads from a mapped table, in whole pages."""
    row_bytes = shape.hidden_size * int(WIDTHS["bfloat16"])
    return tokens * (row_bytes + _PAGE_BYTES)


def _compute_largest_tensor_bytes(shape: Shape, *, experts: str) -> int:
    """Return the bytes of the largest tensor that is converted during loading; until then its file is mapped."""
    stored_width = WIDTHS.get(shape.checkpoint_experts, WIDTHS["bfloat16"])
    table_bytes = int(shape.embedding_weights * stored_width)
    if experts == "packed":
        return table_bytes
    gate_up_weights = 2 * shape.expert_weights // (3 * shape.layers)
    if shape.checkpoint_experts != "mxfp4":
        return max(table_bytes, int(gate_up_weights * stored_width))
    packed_bytes = gate_up_weights * PACKED_BLOCK_BYTES // PACKED_BLOCK_WEIGHTS
    # One expert at a time is unpacked in float32, with a copy.
    unpacked_bytes = int(3 * (gate_up_weights // shape.experts) * WIDTHS["float32"])
    return max(table_bytes, packed_bytes + unpacked_bytes)
