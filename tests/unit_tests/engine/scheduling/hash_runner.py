"""A runner without a model, for tests of scheduling: it keeps token ids in its blocks and computes logits from them."""

import threading
import zlib
from collections.abc import Callable, MutableSequence, Sequence

import numpy as np
import numpy.typing as npt
import torch

from langchain_gptoss.engine.batch import BLOCK_TOKENS, Batch, CacheLayout, SequenceChunk
from langchain_gptoss.engine.runners.base import Runner
from langchain_gptoss.engine.token_stream import Cancelled

VOCABULARY = 50
FAILING_ID, NAN_ID = 49, 48  # these tokens in a context make the pass fail, or its logits NaN; no logits favour them


def compute_logits(context: Sequence[int]) -> torch.Tensor:
    """Return logits, [VOCABULARY]: mostly of the last two tokens, so that drafts succeed, sometimes of all of them."""
    whole = zlib.crc32(np.asarray(context, dtype=np.int64).tobytes())
    seed = zlib.crc32(bytes(context[-2:])) + (whole if whole % 8 == 0 else 0)
    logits = torch.from_numpy(np.random.default_rng(seed).normal(size=VOCABULARY)).float()
    logits[[FAILING_ID, NAN_ID]] = -30.0
    return logits * torch.nan if NAN_ID in context else logits


def generate(prompt: Sequence[int], count: int) -> list[int]:
    """Return the greedy answer, without any cache."""
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(compute_logits(ids).argmax()))
    return ids[len(prompt) :]


class HashRunner(Runner):
    """Reads every context through its block table, so that a wrong or stale block changes the answer."""

    vocabulary_size = VOCABULARY
    cache_layout = CacheLayout(layers=1, kv_heads=1, head_dim=2, dtype="float16")  # 8 bytes a token
    arithmetic = "hash"
    is_batch_invariant = True

    def __init__(self, *, before_pass: Callable[[Batch], None] = lambda _: None) -> None:
        self.batches: MutableSequence[Batch] = []
        self.is_closed = False
        self._before_pass = before_pass
        self._aborted = threading.Event()

    def allocate_cache(self, block_count: int) -> None:
        self.ids = np.full((block_count, BLOCK_TOKENS), -1, dtype=np.int64)

    def forward(self, batch: Batch) -> torch.Tensor:
        self._aborted.clear()
        self.batches.append(batch)
        self._before_pass(batch)
        if self._aborted.is_set():
            raise Cancelled
        rows = [row for chunk in batch.chunks for row in self._run(chunk)]
        return torch.stack(rows) if rows else torch.empty(0, VOCABULARY)

    def abort(self) -> None:
        self._aborted.set()

    def read_blocks(self, blocks: Sequence[int]) -> npt.NDArray[np.uint8]:
        return self.ids[list(blocks)].view(np.uint8).copy()

    def write_blocks(self, blocks: Sequence[int], data: npt.NDArray[np.uint8]) -> None:
        self.ids[list(blocks)] = np.array(data).view(np.int64)

    def close(self) -> None:
        self.is_closed = True

    def _run(self, chunk: SequenceChunk) -> list[torch.Tensor]:
        end = chunk.start + len(chunk.token_ids)
        for position, token_id in enumerate(chunk.token_ids, start=chunk.start):
            self.ids[chunk.block_table[position // BLOCK_TOKENS], position % BLOCK_TOKENS] = token_id
        context = [int(n) for n in self.ids[list(chunk.block_table)].flatten()[:end]]
        assert min(context) >= 0, "a block is read before it is written"
        if FAILING_ID in context:
            raise RuntimeError("this context fails")
        return [compute_logits(context[: n + 1]) for n in range(end - chunk.logit_count, end)]
