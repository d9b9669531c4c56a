"""A tree of the prefixes whose keys and values are in the KV cache.

A node is a full block of tokens after the tokens of its ancestors. The tree holds one reference to the block of each
node; requests that use the block hold others.

A node is active if a request holds its block or if a child is active. The other nodes can be evicted. A node becomes
inactive after all of its children, so in the order in which nodes became inactive the first one is always a leaf:
eviction takes it in constant time, and the order is that of the last use.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from langchain_gptoss.engine.batch import BLOCK_TOKENS
from langchain_gptoss.engine.kv_cache.block_pool import REPORT_HINT, BlockPool
from langchain_gptoss.errors import GptOssError

NodeKey: TypeAlias = tuple[str | None, bytes]
"""The salt of the requests that may find a node (None for all of them), and the tokens of its block."""

_ROOT_BLOCK = -1


@dataclass(slots=True, eq=False)
class _Node:
    key: NodeKey
    block: int
    parent: _Node | None
    children: dict[NodeKey, _Node] = field(default_factory=dict)
    # Active children, plus one if a request holds the block.
    active_count: int = 0


class PrefixTree:
    """Prefixes of token sequences that were computed before, by blocks.

    Requests with a salt find blocks beyond their shared beginning only if a request of the same salt stored them.

    Args:
        pool: The blocks. While the tree is in use, references to blocks that it holds are released through it.
    """

    def __init__(self, pool: BlockPool) -> None:
        self._pool = pool
        self._root = _Node(key=(None, b""), block=_ROOT_BLOCK, parent=None, active_count=1)
        self._nodes: dict[int, _Node] = {}
        self._inactive: dict[_Node, None] = {}

    @property
    def reusable_count(self) -> int:
        """Number of blocks that `evict` can free."""
        return len(self._inactive)

    def has_block(self, block: int) -> bool:
        """Return True if the tree holds a block."""
        return block in self._nodes

    def match(self, token_ids: Sequence[int], *, salt: str | None = None, shared_tokens: int = 0) -> list[int]:
        """Return the blocks of the longest known beginning, in full blocks, with a reference for the caller.

        Args:
            token_ids: The sequence.
            salt: The salt of the request; None is a salt of its own.
            shared_tokens: Length of the beginning that is shared with requests of every salt.
        """
        node, blocks = self._root, []
        for index in range(len(token_ids) // BLOCK_TOKENS):
            child = node.children.get(_build_key(token_ids, index, salt, shared_tokens))
            if child is None:
                break
            node = child
            blocks.append(node.block)
            if self._pool.share(node.block) == 2:  # the tree and the caller
                self._add_activity(node)
        return blocks

    def insert(
        self, token_ids: Sequence[int], blocks: Sequence[int], *, salt: str | None = None, shared_tokens: int = 0
    ) -> None:
        """Make the full blocks of a sequence findable; the tree takes its own references.

        A node that exists keeps its block, and the caller keeps its own. The cost is that of the blocks after the last
        one that the tree took from this sequence before.

        Args:
            token_ids: The sequence, as far as its keys and values are in the cache.
            blocks: Its blocks, held by the caller; more than the full ones may be given.
            salt: The salt of the request; None is a salt of its own.
            shared_tokens: Length of the beginning that is shared with requests of every salt.

        Raises:
            GptOssError: The tree has one of the blocks with other tokens.
        """
        full_count = min(len(token_ids) // BLOCK_TOKENS, len(blocks))
        node, first = self._find_last_node(blocks[:full_count])
        if first:
            _check_key(node, _build_key(token_ids, first - 1, salt, shared_tokens))
        for index in range(first, full_count):
            key = _build_key(token_ids, index, salt, shared_tokens)
            child = node.children.get(key)
            node = child if child is not None else self._add_node(key, blocks[index], node)

    def release(self, blocks: Sequence[int]) -> None:
        """Take a caller's references from its blocks, whether the tree knows them or not.

        Raises:
            GptOssError: Nobody holds one of the blocks.
        """
        # From the end, so that nodes become inactive before their parents without a walk up the tree.
        for block in reversed(blocks):
            reference_count = self._pool.release(block)
            if reference_count == 1 and block in self._nodes:
                self._remove_activity(self._nodes[block])

    def evict(self, count: int) -> int:
        """Free the least recently used blocks that no request needs, and return their number.

        Args:
            count: Number of blocks to free; fewer are freed if fewer can be.
        """
        evicted_count = min(count, len(self._inactive))
        for _ in range(evicted_count):
            node = next(iter(self._inactive))
            del self._inactive[node]
            del self._nodes[node.block]
            if node.parent is not None:
                del node.parent.children[node.key]
            self._pool.release(node.block)
        return evicted_count

    def check_integrity(self) -> None:
        """Check that all links, counts and references of the tree agree.

        Raises:
            GptOssError: They do not.
        """
        nodes = list(self._walk())
        blocks = {node.block: node for node in nodes}
        if len(blocks) != len(nodes) or blocks != self._nodes:
            raise GptOssError("The prefix tree holds a block twice, or has lost one.", hint=REPORT_HINT)
        for node in nodes:
            self._check_node(node)
        order = {node: place for place, node in enumerate(self._inactive)}
        for node in order:
            if any(order.get(child, len(order)) >= order[node] for child in node.children.values()):
                raise GptOssError("The prefix tree would evict a block before those after it.", hint=REPORT_HINT)

    def _check_node(self, node: _Node) -> None:
        reference_count = self._pool.count_references(node.block)
        active_count = sum(child.active_count > 0 for child in node.children.values()) + (reference_count > 1)
        is_consistent = (
            reference_count > 0
            and node.active_count == active_count
            and (node in self._inactive) == (active_count == 0)
            and all(child.parent is node and child.key == key for key, child in node.children.items())
        )
        if not is_consistent:
            raise GptOssError(f"The prefix tree's node of block {node.block} has wrong counts.", hint=REPORT_HINT)

    def _walk(self) -> Iterator[_Node]:
        pending = list(self._root.children.values())
        while pending:
            node = pending.pop()
            yield node
            pending.extend(node.children.values())

    def _find_last_node(self, blocks: Sequence[int]) -> tuple[_Node, int]:
        """Return the node of the last of the blocks that the tree has, and the number of blocks up to it."""
        for index in range(len(blocks) - 1, -1, -1):
            node = self._nodes.get(blocks[index])
            if node is not None:
                return node, index + 1
        return self._root, 0

    def _add_node(self, key: NodeKey, block: int, parent: _Node) -> _Node:
        self._pool.share(block)
        node = _Node(key=key, block=block, parent=parent)
        parent.children[key] = node
        self._nodes[block] = node
        self._add_activity(node)
        return node

    def _add_activity(self, node: _Node) -> None:
        current: _Node | None = node
        while current is not None:
            current.active_count += 1
            if current.active_count > 1:
                return
            self._inactive.pop(current, None)
            current = current.parent

    def _remove_activity(self, node: _Node) -> None:
        current: _Node | None = node
        while current is not None:
            current.active_count -= 1
            if current.active_count:
                return
            self._inactive[current] = None
            current = current.parent


def _build_key(token_ids: Sequence[int], index: int, salt: str | None, shared_tokens: int) -> NodeKey:
    start = index * BLOCK_TOKENS
    end = start + BLOCK_TOKENS
    return (salt if end > shared_tokens else None, array("q", token_ids[start:end]).tobytes())


def _check_key(node: _Node, key: NodeKey) -> None:
    if node.key != key:
        raise GptOssError(
            f"Block {node.block} of the KV cache was stored with other tokens or another salt.", hint=REPORT_HINT
        )
