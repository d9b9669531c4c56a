"""The blocks of the KV cache that are free, and the number of holders of the others."""

from collections.abc import Sequence

from langchain_gptoss.errors import GptOssError, GptOssMemoryError

REPORT_HINT = "This is a fault of langchain-gptoss; please report it."


class BlockPool:
    """Numbers of memory blocks with reference counts.

    A runner's memory is used when a block is first written, so blocks that were used before are handed out before
    blocks that never were.

    Attributes:
        block_count: Number of blocks; they are numbered from 0.
    """

    def __init__(self, block_count: int) -> None:
        self.block_count = block_count
        self._references = [0] * block_count
        self._released: list[int] = []
        self._first_untouched = 0

    @property
    def free_count(self) -> int:
        """Number of blocks that nobody holds."""
        return len(self._released) + self.block_count - self._first_untouched

    def allocate(self, count: int) -> list[int]:
        """Return free blocks, each with one reference.

        Raises:
            GptOssMemoryError: Fewer blocks are free; nothing has changed.
        """
        if count > self.free_count:
            raise GptOssMemoryError(
                f"{count} blocks of the KV cache were requested and {self.free_count} of {self.block_count} are free.",
                hint="Raise the memory budget of the KV cache, or run fewer requests at the same time.",
            )
        reused_count = min(count, len(self._released))
        blocks = [self._released.pop() for _ in range(reused_count)]
        untouched_end = self._first_untouched + count - reused_count
        blocks.extend(range(self._first_untouched, untouched_end))
        self._first_untouched = untouched_end
        for block in blocks:
            self._references[block] = 1
        return blocks

    def share(self, block: int) -> int:
        """Add a reference to a block and return the number of its references.

        Raises:
            GptOssError: Nobody holds the block.
        """
        self._check_allocated(block)
        self._references[block] += 1
        return self._references[block]

    def release(self, block: int) -> int:
        """Take a reference from a block and return the number of those left; at 0 the block is free.

        Raises:
            GptOssError: Nobody holds the block.
        """
        self._check_allocated(block)
        self._references[block] -= 1
        if not self._references[block]:
            self._released.append(block)
        return self._references[block]

    def count_references(self, block: int) -> int:
        """Return the number of references to a block; 0 if it is free."""
        return self._references[block]

    def check_integrity(self, reference_counts: Sequence[int] | None = None) -> None:
        """Check that each block is either free, once, or has references.

        Args:
            reference_counts: The number of references that each block must have; None if it is not known.

        Raises:
            GptOssError: The pool contradicts itself, or other numbers are expected.
        """
        released = set(self._released)
        if len(released) != len(self._released):
            raise GptOssError("A block of the KV cache is free twice.", hint=REPORT_HINT)
        for block, count in enumerate(self._references):
            is_free = block in released or block >= self._first_untouched
            if is_free != (count == 0) or (block in released and block >= self._first_untouched):
                raise GptOssError(
                    f"Block {block} of the KV cache has {count} references and is {'free' if is_free else 'not free'}.",
                    hint=REPORT_HINT,
                )
            if reference_counts is not None and count != reference_counts[block]:
                raise GptOssError(
                    f"Block {block} of the KV cache has {count} references and {reference_counts[block]} holders.",
                    hint=REPORT_HINT,
                )

    def _check_allocated(self, block: int) -> None:
        if not 0 <= block < self.block_count or not self._references[block]:
            raise GptOssError(f"Block {block} of the KV cache is used and nobody holds it.", hint=REPORT_HINT)
