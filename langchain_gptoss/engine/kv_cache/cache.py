"""The KV cache of an engine: blocks for its requests within a memory budget, and the prefixes that they can share."""

from collections import Counter
from collections.abc import Iterable, MutableSequence, Sequence

from langchain_gptoss.engine.batch import BLOCK_TOKENS
from langchain_gptoss.engine.kv_cache.block_pool import BlockPool
from langchain_gptoss.engine.kv_cache.prefix_file import count_piece_blocks
from langchain_gptoss.engine.kv_cache.prefix_tree import PrefixTree
from langchain_gptoss.engine.kv_cache.saved_prefixes import PrefixStore
from langchain_gptoss.engine.runners.base import Runner
from langchain_gptoss.errors import GptOssMemoryError

MIN_BLOCKS = 4
_BYTES_PER_MB = 1e6


class PagedCache:
    """Blocks of a runner's KV cache for many sequences, with a prefix cache in the blocks that no request needs.

    One thread calls it. A sequence goes through `start`, then `grow` before each forward pass and `store` after passes
    that filled a block, and ends with `release`.

    Args:
        runner: The runner; its cache is allocated.
        budget_bytes: Memory budget of the cache, in bytes.

    Attributes:
        block_count: Number of blocks.

    Raises:
        GptOssMemoryError: The budget is below a few blocks, or the memory cannot be reserved.
    """

    def __init__(self, runner: Runner, *, budget_bytes: int) -> None:
        block_bytes = runner.cache_layout.block_bytes
        self.block_count = budget_bytes // block_bytes
        if self.block_count < MIN_BLOCKS:
            raise GptOssMemoryError(
                f"The KV cache may use {budget_bytes / _BYTES_PER_MB:.3g} MB of memory, and one block of "
                f"{BLOCK_TOKENS} tokens takes {block_bytes / _BYTES_PER_MB:.3g} MB.",
                hint=f"Give it at least {MIN_BLOCKS * block_bytes / _BYTES_PER_MB:.3g} MB: close other programs, or "
                "choose a smaller model.",
            )
        runner.allocate_cache(self.block_count)
        self._runner = runner
        self._pool = BlockPool(self.block_count)
        self._tree = PrefixTree(self._pool)

    @property
    def used_count(self) -> int:
        """Number of blocks that requests need."""
        return self.block_count - self._available_count

    @property
    def reusable_count(self) -> int:
        """Number of blocks that only the prefix cache holds; they are evicted when a request needs memory."""
        return self._tree.reusable_count

    @property
    def _available_count(self) -> int:
        return self._pool.free_count + self._tree.reusable_count

    def start(
        self, token_ids: Sequence[int], *, salt: str | None = None, shared_tokens: int = 0
    ) -> tuple[list[int], int]:
        """Return the cached blocks of the longest known beginning of a sequence, and its length in tokens.

        At least one token is left to compute, since its logits are needed. The caller holds the blocks until `release`.

        Args:
            token_ids: The sequence.
            salt: Only requests with the same salt share prefixes; None is a salt of its own.
            shared_tokens: Length of the beginning that is shared with requests of every salt.
        """
        blocks = self._tree.match(token_ids[:-1], salt=salt, shared_tokens=shared_tokens)
        return blocks, len(blocks) * BLOCK_TOKENS

    def grow(self, blocks: MutableSequence[int], token_count: int) -> bool:
        """Append blocks to a sequence's list until it can hold a number of tokens.

        Prefixes that no request needs are evicted if necessary, the least recently used ones first.

        Args:
            blocks: The blocks of the sequence; changed in place.
            token_count: Number of tokens.

        Returns:
            False if the budget does not allow it; then nothing has changed.
        """
        needed_count = -(-token_count // BLOCK_TOKENS) - len(blocks)
        if needed_count <= 0:
            return True
        if needed_count > self._available_count:
            return False
        missing_count = needed_count - self._pool.free_count
        if missing_count > 0:
            self._tree.evict(missing_count)
        blocks.extend(self._pool.allocate(needed_count))
        return True

    def store(
        self, token_ids: Sequence[int], blocks: Sequence[int], *, salt: str | None = None, shared_tokens: int = 0
    ) -> None:
        """Make the full blocks of a sequence findable by later requests.

        Blocks stay with the sequence; what it writes later must not change a token that was stored. A call costs as
        much as there are full blocks since the last one.

        Args:
            token_ids: The sequence, as far as its keys and values are in the cache and final.
            blocks: Its blocks.
            salt: Only requests with the same salt share prefixes; None is a salt of its own.
            shared_tokens: Length of the beginning that is shared with requests of every salt.

        Raises:
            GptOssError: A block was stored before with other tokens.
        """
        self._tree.insert(token_ids, blocks, salt=salt, shared_tokens=shared_tokens)

    def release(self, blocks: Sequence[int]) -> None:
        """Give back the blocks of a sequence; those that were stored stay findable until memory is needed.

        Raises:
            GptOssError: Nobody holds one of the blocks.
        """
        self._tree.release(blocks)

    def save_prefix(self, store: PrefixStore, token_ids: Sequence[int]) -> int:
        """Save the cached beginning of a sequence to disk.

        Only blocks that are shared with requests of every salt are saved, since every request may load them. The call
        takes as long as writing the blocks to the disk.

        Args:
            store: The saved prefixes.
            token_ids: The sequence.

        Returns:
            Number of tokens of the sequence that are saved; 0 if nothing of it is cached or it cannot be saved.
        """
        blocks = self._tree.match(token_ids)
        try:
            step = count_piece_blocks(self._runner.cache_layout.block_bytes)
            pieces = (self._runner.read_blocks(blocks[start : start + step]) for start in range(0, len(blocks), step))
            token_count = len(blocks) * BLOCK_TOKENS
            return token_count if store.save(token_ids[:token_count], pieces) else 0
        finally:
            self._tree.release(blocks)

    def load_prefix(self, store: PrefixStore, token_ids: Sequence[int]) -> int:
        """Load the longest saved beginning of a sequence, as far as the memory budget allows.

        It is then cached for requests of every salt, as far as they share their beginning. The least recently used
        prefixes are evicted if necessary.

        Args:
            store: The saved prefixes.
            token_ids: The sequence, or the part of it that is shared with requests of every salt.

        Returns:
            Number of tokens of the sequence that are cached now.
        """
        blocks = self._tree.match(token_ids)
        loaded_count = len(blocks)
        try:
            for data in store.load(token_ids, first_block=loaded_count):
                count = min(len(data), self._available_count)
                if not count or not self.grow(blocks, (loaded_count + count) * BLOCK_TOKENS):
                    break
                self._runner.write_blocks(blocks[loaded_count:], data[:count])
                loaded_count = len(blocks)
                self._tree.insert(token_ids[: loaded_count * BLOCK_TOKENS], blocks)
        finally:
            self._tree.release(blocks)
        return loaded_count * BLOCK_TOKENS

    def check_integrity(self, holders: Iterable[Sequence[int]] | None = None) -> None:
        """Check that the blocks, their references and the prefix tree agree.

        Args:
            holders: The blocks of every sequence, to compare with the references; None if they are not known.

        Raises:
            GptOssError: They do not agree.
        """
        self._tree.check_integrity()
        if holders is None:
            self._pool.check_integrity()
            return
        held = Counter(block for blocks in holders for block in blocks)
        self._pool.check_integrity([held[block] + self._tree.has_block(block) for block in range(self.block_count)])
