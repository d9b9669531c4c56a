"""Kinds of FAISS indexes, and which one a store of some size uses.

Few vectors are searched exactly. More are stored in 8 bits per number. When scanning all of them takes too long, they
go into inverted lists, and these stay in a file when they would take too much memory.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
from typing import Literal, Self

from langchain_gptoss._optional import require
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.models.planning import operating_system
from langchain_gptoss.vectorstores.similarity import Metric

MAX_EXACT_VECTORS = 20_000
MAX_SCANNED_VECTORS = 65_536
MAX_GROWTH = 4
"""An index is trained again when the store has this many times the vectors it had at the last training."""
MIN_DISK_BYTES = 2**28
"""Smaller lists stay in memory, without a look at how much memory is free."""
MAX_MEMORY_SHARE = 0.5  # of the free memory; a change of kind needs the old and the new index at once
MIN_TRAINING_VECTORS_SQ8 = 256
MIN_TRAINING_VECTORS_PER_LIST = 40  # FAISS warns below 39
DEFAULT_TRAINING_VECTORS = 50_000


@dataclass(frozen=True)
class Kind:
    """A kind of FAISS index.

    Attributes:
        lists: Number of inverted lists; 0 for an index without lists.
        codec: "Flat" stores float32 numbers, "SQ8" 8 bits per number.
        disk: True if the lists stay in a file.
    """

    lists: int
    codec: Literal["Flat", "SQ8"]
    disk: bool = False

    def __str__(self) -> str:
        return f"IVF{self.lists},{self.codec}{',disk' if self.disk else ''}" if self.lists else self.codec

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the kind with a name of FAISS's index factory; `,disk` after it keeps inverted lists in a file.

        Raises:
            InvalidInputError: The kind is unknown, or single vectors cannot be deleted from it.
        """
        match = re.fullmatch(r"(?:IVF([1-9]\d{0,6}),)?(Flat|SQ8)(,disk)?", text) if isinstance(text, str) else None
        if match is None or (match[3] and not match[1]):
            raise InvalidInputError(
                f"index is {text!r}.",
                hint="Use 'Flat', 'SQ8', 'IVF<lists>,SQ8' or 'IVF<lists>,Flat', such as 'IVF4096,SQ8', the last two "
                "also with ',disk' at the end; or leave it out, and the size decides.",
            )
        return cls(int(match[1] or 0), "SQ8" if match[2] == "SQ8" else "Flat", bool(match[3]))

    @property
    def in_memory(self) -> Kind:
        """The same kind with its lists in memory."""
        return replace(self, disk=False)

    @property
    def rank(self) -> int:
        """Position in the order in which a growing store changes its kind."""
        return 2 + self.disk if self.lists else int(self.codec == "SQ8")

    @property
    def min_training_vectors(self) -> int:
        """Number of vectors without which it cannot be trained; 0 if there is no training."""
        return max(self.lists * MIN_TRAINING_VECTORS_PER_LIST, MIN_TRAINING_VECTORS_SQ8 if self.codec == "SQ8" else 0)

    @property
    def max_training_vectors(self) -> int:
        """Number of vectors from which it is trained, if there are so many."""
        return max(self.lists * MIN_TRAINING_VECTORS_PER_LIST, DEFAULT_TRAINING_VECTORS)

    def compute_size(self, count: int, dimension: int) -> int:
        """Return the size of vectors and their keys in bytes."""
        return count * (dimension * (1 if self.codec == "SQ8" else 4) + 8)


@dataclass(frozen=True, kw_only=True)
class IndexInfo:
    """The FAISS index of a store, and the reason for it.

    Attributes:
        kind: Name in FAISS's index factory: "Flat", "SQ8", "IVF4096,SQ8"; "IVF4096,SQ8,disk" if the lists are in a
            file.
        why: The reason for this kind.
        count: Number of vectors.
        dimension: Length of a vector; None before the first one.
        metric: "cosine", "inner_product" or "l2".
        trained_on: Number of vectors in the store when the index was trained; 0 if it needs no training.
    """

    kind: str
    why: str
    count: int
    dimension: int | None
    metric: Metric
    trained_on: int


def choose_kind(count: int, requested: Kind | None) -> tuple[Kind, str]:
    """Return the kind for a number of vectors, and the reason.

    Args:
        count: The number of vectors.
        requested: The kind that the user asked for; None chooses by size.
    """
    if requested is not None and count >= requested.min_training_vectors:
        return requested, "asked for"
    too_few = ""
    if requested is not None:
        too_few = f"; {requested} needs {requested.min_training_vectors:,} vectors to be trained"
    if count <= MAX_EXACT_VECTORS:
        return Kind(0, "Flat"), f"up to {MAX_EXACT_VECTORS:,} vectors are searched exactly{too_few}"
    if count <= MAX_SCANNED_VECTORS or requested is not None:
        return Kind(0, "SQ8"), (
            f"more than {MAX_EXACT_VECTORS:,} vectors are stored in 8 bits per number, and all are scanned{too_few}"
        )
    # The lists have to serve until the store is MAX_GROWTH times as large: 4 sqrt(n) lists for twice its size, if it
    # has enough vectors to train them.
    lists = 2 ** int(math.log2(min(4 * math.sqrt(2 * count), count / MIN_TRAINING_VECTORS_PER_LIST)))
    return Kind(lists, "SQ8"), (
        f"more than {MAX_SCANNED_VECTORS:,} vectors take too long to scan; a search reads the nearest lists"
    )


def describe_empty_index(metric: Metric, requested: Kind | None) -> IndexInfo:
    """Return the information on a store without vectors."""
    kind, reason = choose_kind(0, requested)
    return IndexInfo(kind=str(kind), why=reason, count=0, dimension=None, metric=metric, trained_on=0)


def can_map_lists() -> bool:
    """Return True if FAISS can leave inverted lists in a file on this system."""
    # An open file has a path in /dev/fd, which FAISS can read whatever the alphabet of the file's own path.
    return hasattr(require("faiss", extra="rag"), "OnDiskInvertedLists") and os.path.isdir("/dev/fd")


def is_too_large_for_memory(size_bytes: int, own_bytes: int = 0) -> bool:
    """Return True if lists should stay in a file.

    Args:
        size_bytes: Size of the lists.
        own_bytes: Memory that the present index takes, which the new one may use.
    """
    if size_bytes <= MIN_DISK_BYTES:
        return False
    free_bytes = operating_system.read_memory()[1]
    return free_bytes > 0 and size_bytes > MAX_MEMORY_SHARE * (free_bytes + own_bytes)
