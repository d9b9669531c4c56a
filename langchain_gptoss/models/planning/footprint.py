"""How much memory a model takes, part by part, for one way of running it. Pure arithmetic on its shape."""

from dataclasses import dataclass

from langchain_gptoss.models.shapes import PACKED_BLOCK_BYTES, PACKED_BLOCK_WEIGHTS, Shape

# Python, torch, transformers and this package's chat model: resident bytes on Linux x86_64 with the demo model loaded,
# less its weights (measured: 1.045 GB less 0.539 GB, and a few buffers more when it runs).
RUNTIME_BYTES = 520_000_000
# What a process takes of a GPU besides weights and activations: cuBLAS workspaces, the allocator's rounding.
GPU_RUNTIME_BYTES = 500_000_000
# The longest piece of a prompt that is read at once.
PREFILL_TOKENS = 512
# Attention scores of one piece may take this much: a piece gets shorter as the context behind it gets longer.
SCORES_BYTES = 512_000_000
_SHORTEST_PIECE = 16
_PAGE_BYTES = 4096
# transformers' eager attention holds the scores, a copy with the sinks, and the probabilities.
_SCORE_COPIES = 3

WIDTHS = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "int8": 1 + 2 / PACKED_BLOCK_WEIGHTS}
"""Bytes per weight; int8 has a bfloat16 scale for every 32 weights."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A memory table, in bytes.

    Attributes:
        experts: Expert matrices.
        dense: Attention, an output matrix of its own, routers, norms, biases.
        embeddings: The embedding table; of a table that is mapped from the file, the rows that can be looked up.
        cache: KV cache of all users when their contexts are full.
        working: Activations, attention scores and logits of one forward pass.
        runtime: Python and its libraries; on GPUs their workspaces too.
        peak_loading: The most while the model loads, when there are no cache and no activations yet.
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
        """All of it while the model answers."""
        return self.experts + self.dense + self.embeddings + self.cache + self.working + self.runtime

    @property
    def peak(self) -> int:
        """The most at any time."""
        return max(self.total, self.peak_loading)


def compute_width(*, device: str, dtype: str, experts: str) -> int:
    """Returns the bytes of a number in activations and KV cache.

    On a CPU packed experts are multiplied in float32 whatever the dense weights are kept in.
    """
    return 4 if device == "cpu" and (experts == "packed" or dtype == "float32") else int(WIDTHS[dtype])


def has_flash(device: str) -> bool:
    """Returns whether attention on a device never holds its scores: torch's kernel for CPUs can return what sinks need.

    On GPUs transformers' eager attention runs: it knows sinks and needs no package that must be fetched.
    """
    return device == "cpu"


def prefill_tokens(shape: Shape, context: int, *, width: int, flash: bool) -> int:
    """Returns how many tokens of a prompt can be read at once, so that attention scores stay within their budget.

    Args:
        shape: The model's.
        context: Tokens in the cache, those of the piece included.
        width: Bytes per score.
        flash: Whether attention never holds its scores.
    """
    if flash:
        return min(context, PREFILL_TOKENS)
    affordable = SCORES_BYTES // (_SCORE_COPIES * shape.heads * context * width)
    return min(context, PREFILL_TOKENS, max(_SHORTEST_PIECE, affordable // _SHORTEST_PIECE * _SHORTEST_PIECE))


def working_bytes(shape: Shape, context: int, *, width: int, flash: bool) -> int:
    """Returns what one forward pass takes at most, in bytes.

    Args:
        shape: The model's.
        context: Tokens that attention looks back on.
        width: Bytes per number.
        flash: Whether attention never holds its scores.
    """
    piece = prefill_tokens(shape, context, width=width, flash=flash)
    # One layer at a time: eager attention repeats keys and values for every query head, and a cache that grows is
    # copied to its new place.
    scores = 2 * piece * context if flash else _SCORE_COPIES * shape.heads * piece * context  # flash: the two masks
    keys_and_values = 2 * shape.head_dim * context * (shape.kv_heads + (0 if flash else shape.heads))
    # The residual stream, its norm and a copy; queries and their result; for each active expert the gathered input,
    # gate and up twice (before and after the clamp), their product, the output.
    a_token = 4 * shape.hidden_size + 2 * shape.heads * shape.head_dim
    a_token += shape.experts_per_token * (2 * shape.hidden_size + 5 * shape.intermediate_size)
    logits = 4 * shape.vocabulary
    return (scores + keys_and_values + piece * a_token) * width + logits


def memory_of(shape: Shape, *, device: str, gpus: int, dtype: str, experts: str, context: int, users: int) -> Memory:
    """Returns the memory table for one way of running a model.

    Args:
        shape: The model's.
        device: `"cuda"`, `"cpu"` or `"mps"`.
        gpus: How many GPUs; 0 for the others.
        dtype: Of the dense weights, and of the experts if they are unpacked.
        experts: `"packed"` or `"unpacked"`.
        context: Of each user, in tokens.
        users: How many hold a cache at the same time.
    """
    width, compute = WIDTHS[dtype], compute_width(device=device, dtype=dtype, experts=experts)
    packed = experts == "packed"
    matrices = shape.attention_weights + shape.head_weights
    if shape.tied_embeddings and dtype == "int8":
        matrices += shape.embedding_weights  # the table is looked up in bfloat16, so the output matrix is a copy
    small = (shape.other_weights + shape.expert_biases) * compute
    dense = int(matrices * width) + small
    mapped = packed and device == "cpu"
    table = shape.embedding_weights * (WIDTHS["bfloat16"] if packed else width)
    expert_bytes = shape.packed_expert_bytes if packed else int(shape.expert_weights * width)
    runtime = RUNTIME_BYTES + gpus * GPU_RUNTIME_BYTES
    # What is mapped takes no memory before it is used.
    kept = dense if mapped else dense + expert_bytes + int(table)
    return Memory(
        experts=expert_bytes,
        dense=dense,
        embeddings=min(int(table), _looked_up_bytes(shape, context * users)) if mapped else int(table),
        cache=users * shape.cache_bytes(context, width=compute),
        working=working_bytes(shape, context, width=compute, flash=has_flash(device)),
        runtime=runtime,
        peak_loading=kept + runtime + _largest_tensor_bytes(shape, experts=experts),
    )


def _looked_up_bytes(shape: Shape, tokens: int) -> int:
    """Returns what looking up so many different tokens brings into memory from a mapped table, by pages."""
    row = shape.hidden_size * int(WIDTHS["bfloat16"])
    return tokens * (row + _PAGE_BYTES)


def _largest_tensor_bytes(shape: Shape, *, experts: str) -> int:
    """Returns the bytes of the largest tensor that is converted while it is loaded; its file is mapped until then."""
    stored = WIDTHS.get(shape.checkpoint_experts, WIDTHS["bfloat16"])
    table = int(shape.embedding_weights * stored)
    if experts == "packed":
        return table
    gate_up = 2 * shape.expert_weights // (3 * shape.layers)
    if shape.checkpoint_experts != "mxfp4":
        return max(table, int(gate_up * stored))
    an_expert = gate_up // shape.experts  # its numbers are unpacked in float32, with a copy
    return max(table, gate_up * PACKED_BLOCK_BYTES // PACKED_BLOCK_WEIGHTS + int(3 * an_expert * WIDTHS["float32"]))
