"""Memory footprint of a model, part by part, computed from its shape, device and types."""

from dataclasses import dataclass

from langchain_gptoss.models.shapes import BLOCK_BYTES_PER_WEIGHT, PACKED_BLOCK_BYTES, PACKED_BLOCK_WEIGHTS, Shape

# Resident memory of Python, torch, transformers and this package's chat model on Linux x86_64, measured with the demo
# model loaded: 1.045 GB minus its weights of 0.539 GB, plus a few buffers that appear when it runs.
RUNTIME_BYTES = 520_000_000
# The same without transformers' models, which the native runner does not need.
NATIVE_RUNTIME_BYTES = 350_000_000
# GPU memory of a process besides weights and activations: cuBLAS workspaces, the allocator's rounding.
GPU_RUNTIME_BYTES = 500_000_000
# Longest chunk of a prompt in one forward pass.
PREFILL_TOKENS = 512
# Scores of all heads that eager attention computes at a time; the queries of a longer chunk take turns.
MAX_TILE_SCORES = 2**24
# Numbers in the mask of attention that never stores its scores; the queries take turns in the same way.
MAX_TILE_MASK = 2**22
# Tokens whose keys are gathered at a time for sequences with one new token each, unless one sequence is longer.
MAX_GROUP_TOKENS = 2**16
_PAGE_BYTES = 4096
# Eager attention holds the scores, a copy with the sinks, the probabilities, and these in the type of the values.
_SCORE_COPIES = 4
_SCORE_BYTES = 4
# Keys and values of one sequence and one layer: as they are in the cache, and in the type of the activations.
_CACHE_WIDTH = 2

WIDTHS = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "int8": 1 + 2 / PACKED_BLOCK_WEIGHTS}
"""Bytes per weight; int8 stores one bfloat16 scale for every 32 weights."""


@dataclass(frozen=True, kw_only=True)
class MemoryFootprint:
    """Memory that a model needs, by part, in bytes.

    Attributes:
        experts: Expert matrices.
        dense: Attention, a separate output matrix, routers, norms, biases.
        embeddings: Embedding table; if it is mapped from the file, only the rows that can be looked up.
        cache: KV cache of all requests when it is full.
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


def compute_activation_width(*, device: str, dtype: str, experts: str, runner: str) -> int:
    """Return the bytes per number in activations.

    The native runner computes in float32, and so does a CPU beside packed experts, for every type of the weights.
    """
    is_float32 = runner == "native" or (device == "cpu" and experts == "packed")
    return 4 if is_float32 else int(WIDTHS[dtype])


def has_flash_attention(device: str) -> bool:
    """Return True if attention on a device never stores its scores.

    On CPUs torch's flash kernel runs, because it returns the values that attention sinks need. On other
    devices the scores of a tile of queries are stored: that supports sinks and needs no package that must be
    downloaded.
    """
    return device == "cpu"


def estimate_native_working_bytes(shape: Shape) -> int:
    """Return the working memory of the native runner, in bytes; it is kept between passes."""
    # The residual stream and its rounded forms; queries and their result; for each active expert the rounded state and
    # the output.
    numbers_per_token = 3 * shape.hidden_size + 2 * shape.heads * shape.head_dim
    numbers_per_token += shape.experts_per_token * (shape.hidden_size + shape.intermediate_size)
    return 4 * (PREFILL_TOKENS * numbers_per_token + shape.vocabulary)


def estimate_working_bytes(shape: Shape, context: int, *, width: int, flash: bool) -> int:
    """Return the largest working memory of one forward pass, in bytes.

    Args:
        shape: Shape of the model.
        context: Tokens in the KV cache of one request, those of the chunk included.
        width: Bytes per number.
        flash: True if attention never stores its scores.
    """
    chunk = min(context, PREFILL_TOKENS)
    # Layers run one at a time, and so do the sequences of a pass.
    if flash:
        scores_bytes = 2 * min(chunk * context, max(MAX_TILE_MASK, context)) * width  # the mask and a comparison
    else:
        scores = shape.heads * context * chunk
        scores_bytes = _SCORE_COPIES * min(scores, max(MAX_TILE_SCORES, shape.heads * context)) * _SCORE_BYTES
    gathered_tokens = context if flash else max(context, MAX_GROUP_TOKENS)
    keys_and_values_bytes = 2 * shape.kv_heads * shape.head_dim * gathered_tokens * (_CACHE_WIDTH + width)
    logits_bytes = 4 * shape.vocabulary
    return scores_bytes + keys_and_values_bytes + chunk * _count_numbers_per_token(shape) * width + logits_bytes


def _count_numbers_per_token(shape: Shape) -> int:
    # The residual stream, its norm and a copy; queries and their result; for each active expert the gathered input,
    # gate and up twice (before and after the clamp), their product, the output.
    numbers_per_token = 4 * shape.hidden_size + 2 * shape.heads * shape.head_dim
    return numbers_per_token + shape.experts_per_token * (2 * shape.hidden_size + 5 * shape.intermediate_size)


def estimate_memory(
    shape: Shape, *, device: str, gpus: int, dtype: str, experts: str, runner: str, context: int, cache_bytes: int
) -> MemoryFootprint:
    """Return the memory that a model needs, by part.

    Args:
        shape: Shape of the model.
        device: `"cuda"`, `"cpu"` or `"mps"`.
        gpus: Number of CUDA GPUs; 0 for other devices.
        dtype: Type of the dense weights, and of the experts if they are unpacked.
        experts: `"packed"`, `"int4"` or `"unpacked"`.
        runner: `"native"` or `"torch"`.
        context: Context of each request, in tokens.
        cache_bytes: Size of the KV cache of all requests.
    """
    weight_width = WIDTHS[dtype]
    activation_width = compute_activation_width(device=device, dtype=dtype, experts=experts, runner=runner)
    is_packed, is_native = experts == "packed", runner == "native"
    dense_weights = shape.attention_weights + shape.head_weights
    if shape.tied_embeddings and dtype == "int8":
        dense_weights += shape.embedding_weights  # the table is looked up in bfloat16, so the output matrix is a copy
    small_bytes = (shape.other_weights + shape.expert_biases) * activation_width
    dense_bytes = int(dense_weights * weight_width) + small_bytes
    is_mapped = is_native or (is_packed and device == "cpu")
    table_width = _get_table_width(shape) if is_mapped or is_packed else weight_width
    table_bytes = looked_up_bytes = int(shape.embedding_weights * table_width)
    if is_mapped and not (shape.tied_embeddings and dtype != "int8"):
        looked_up_bytes = min(table_bytes, _estimate_lookup_bytes(shape, cache_bytes // shape.cache_token_bytes))
    expert_bytes = compute_expert_bytes(shape, dtype=dtype, experts=experts)
    runtime_bytes = NATIVE_RUNTIME_BYTES if is_native else RUNTIME_BYTES + gpus * GPU_RUNTIME_BYTES
    if is_native:
        working_bytes = estimate_native_working_bytes(shape)
    else:
        flash = has_flash_attention(device)
        working_bytes = estimate_working_bytes(shape, context, width=activation_width, flash=flash)
    # Mapped weights take no memory before they are used.
    loaded_bytes = dense_bytes + (0 if is_mapped else table_bytes)
    loaded_bytes += 0 if is_packed and device == "cpu" else expert_bytes
    converted_bytes = _compute_largest_tensor_bytes(shape, experts=experts, is_native=is_native)
    return MemoryFootprint(
        experts=expert_bytes,
        dense=dense_bytes,
        embeddings=looked_up_bytes,
        cache=cache_bytes,
        working=working_bytes,
        runtime=runtime_bytes,
        peak_loading=loaded_bytes + runtime_bytes + converted_bytes,
    )


def compute_expert_bytes(shape: Shape, *, dtype: str, experts: str) -> int:
    """Return the bytes of the experts' matrices in memory; see `estimate_memory`."""
    if experts == "packed":
        return shape.packed_expert_bytes
    return shape.int4_expert_bytes if experts == "int4" else int(shape.expert_weights * WIDTHS[dtype])


def _estimate_lookup_bytes(shape: Shape, tokens: int) -> int:
    """Return the bytes that looking up distinct tokens loads from a mapped table, in whole pages."""
    row_bytes = shape.hidden_size * int(WIDTHS["bfloat16"])
    return tokens * (row_bytes + _PAGE_BYTES)


def _get_table_width(shape: Shape) -> float:
    """Return the bytes per number of a checkpoint's embedding table."""
    is_quantized = shape.checkpoint_experts in {"mxfp4", "int4", "int8"}
    return WIDTHS["bfloat16" if is_quantized else shape.checkpoint_experts]


def _compute_largest_tensor_bytes(shape: Shape, *, experts: str, is_native: bool) -> int:
    """Return the bytes of the largest tensor that is converted during loading; until then its file is mapped."""
    stored_width = _get_table_width(shape)
    table_bytes = int(shape.embedding_weights * stored_width)
    if experts == "packed":
        return table_bytes
    gate_up_weights = 2 * shape.expert_weights // (3 * shape.layers)
    if shape.checkpoint_experts != "mxfp4":
        copies = 2 if is_native else 1  # the native runner turns the matrices before it rounds them
        if experts == "int4":  # parts of four bytes are turned around
            copies, stored_width = 1, BLOCK_BYTES_PER_WEIGHT["int4"]
        elif shape.checkpoint_experts in {"int4", "int8"}:
            stored_width = WIDTHS["float32"]  # in which the numbers are exact
        return max(table_bytes, int(copies * gate_up_weights * stored_width))
    packed_bytes = gate_up_weights * PACKED_BLOCK_BYTES // PACKED_BLOCK_WEIGHTS
    # One expert at a time is unpacked in float32, with a copy.
    unpacked_bytes = int(3 * (gate_up_weights // shape.experts) * WIDTHS["float32"])
    return max(table_bytes, packed_bytes + unpacked_bytes)
