"""The vectors of a `FaissStore`: which FAISS index holds them, and why.

An exact index while there are few vectors, 8 bits per number when there are more, inverted lists when scanning
everything would take too long, and those in a file when they would take too much memory (`_faiss_disk`). Nothing here
is thread-safe: the store says who may call what, when.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from langchain_gptoss._optional import require
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.models.planning import operating_system as machine
from langchain_gptoss.vectorstores.filters import Allowed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Keys = NDArray[np.int64]

Metric = Literal["cosine", "inner_product", "l2"]
METRICS: tuple[Metric, ...] = get_args(Metric)

EXACT_UP_TO = 20_000
SCAN_UP_TO = 65_536
GROWTH = 4
DISK_FROM = 2**28  # bytes; less is not worth a look at the machine's memory
DISK_SHARE = 0.5  # a change of kind holds the old index and the new one at once
_LOOK_EVERY = 16_384
_TO_LEARN_SQ8 = 256
_PER_LIST = 40  # FAISS warns below 39 training vectors per list
_DISTANCES = 24_576
_CHUNK = 16_384


@dataclass(frozen=True)
class Kind:
    """A kind of FAISS index: `lists` inverted lists (0 means none), each vector as `codec`, `disk` if in a file."""

    lists: int
    codec: Literal["Flat", "SQ8"]
    disk: bool = False

    def __str__(self) -> str:
        return f"IVF{self.lists},{self.codec}{',disk' if self.disk else ''}" if self.lists else self.codec

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the kind that FAISS's factory calls so; `,disk` after inverted lists keeps them in a file.

        Raises:
            InvalidInputError: It is none that vectors can be deleted from one by one.
        """
        match = re.fullmatch(r"(?:IVF([1-9]\d{0,6}),)?(Flat|SQ8)(,disk)?", text) if isinstance(text, str) else None
        if match is None or (match[3] and not match[1]):
            raise InvalidInputError(
                f"index is {text!r}. Known are 'Flat', 'SQ8', 'IVF<lists>,SQ8' and 'IVF<lists>,Flat', such as "
                "'IVF4096,SQ8', the last two also with ',disk' at the end; leave it out and the size decides."
            )
        return cls(int(match[1] or 0), "SQ8" if match[2] == "SQ8" else "Flat", bool(match[3]))

    @property
    def in_memory(self) -> Kind:
        """The same kind with its lists in memory."""
        return replace(self, disk=False)

    @property
    def rank(self) -> int:
        """Its place in the order in which a growing store goes through the kinds."""
        return 2 + self.disk if self.lists else int(self.codec == "SQ8")

    @property
    def vectors_to_learn(self) -> int:
        """How many vectors it has to see before it can be built."""
        return max(self.lists * _PER_LIST, _TO_LEARN_SQ8 if self.codec == "SQ8" else 0)

    def size(self, count: int, dimension: int) -> int:
        """Returns the bytes that vectors take, with their keys."""
        return count * (dimension * (1 if self.codec == "SQ8" else 4) + 8)


@dataclass(frozen=True, kw_only=True)
class IndexInfo:
    """What a store searches with.

    Attributes:
        kind: As FAISS's factory calls it: "Flat", "SQ8", "IVF4096,SQ8"; "IVF4096,SQ8,disk" where the lists are in a
            file.
        why: Why this kind.
        count: How many vectors.
        dimension: Their length; None before the first.
        metric: "cosine", "inner_product" or "l2".
        trained_on: How many vectors the store held when the index was trained; 0 where nothing is trained.
    """

    kind: str
    why: str
    count: int
    dimension: int | None
    metric: Metric
    trained_on: int


def wanted_kind(count: int, asked: Kind | None) -> tuple[Kind, str]:
    """Returns the kind for a number of vectors, and why.

    Args:
        count: The number of vectors.
        asked: What the user asked for; None leaves it to the size.
    """
    if asked is not None and count >= asked.vectors_to_learn:
        return asked, "asked for"
    too_few = f"; {asked} needs {asked.vectors_to_learn:,} vectors to be trained" if asked is not None else ""
    if count <= EXACT_UP_TO:
        return Kind(0, "Flat"), f"up to {EXACT_UP_TO:,} vectors are searched exactly{too_few}"
    if count <= SCAN_UP_TO or asked is not None:
        return Kind(0, "SQ8"), f"more than {EXACT_UP_TO:,} vectors are kept in 8 bits per number, and all read{too_few}"
    # They have to serve until the store is GROWTH times as large: 4 sqrt(n) lists for twice its size, if it has the
    # vectors to learn them from.
    lists = 2 ** int(math.log2(min(4 * math.sqrt(2 * count), count / _PER_LIST)))
    return Kind(lists, "SQ8"), (
        f"more than {SCAN_UP_TO:,} vectors would take too long to read all; a search reads the nearest lists"
    )


def can_map() -> bool:
    """Returns whether FAISS can leave inverted lists in a file, here."""
    # A file that is open has a path there, whatever the alphabet of its own.
    return hasattr(require("faiss", extra="rag"), "OnDiskInvertedLists") and os.path.isdir("/dev/fd")


def is_too_large(size: int, held: int = 0) -> bool:
    """Returns whether lists of a size, in bytes, had better stay in a file.

    Args:
        size: Their size.
        held: What the index takes already, which does not count as free.
    """
    if size <= DISK_FROM:
        return False
    free = machine.read_memory()[1]
    return free > 0 and size > DISK_SHARE * (free + held)


class VectorIndex:
    """A FAISS index of one kind, by key.

    Args:
        index: The FAISS index.
        kind: Its kind.
        metric: What is compared.
        trained_on: How many vectors the store held when it was trained.
    """

    def __init__(self, index: Any, kind: Kind, metric: Metric, trained_on: int) -> None:
        self._index, self.kind, self.metric, self.trained_on = index, kind, metric, trained_on
        self.not_mapped = ""
        """Why it was read into memory, though it should have stayed in a file."""

    @classmethod
    def trained(cls, kind: Kind, metric: Metric, sample: Vectors, count: int) -> Self:
        """Returns an empty index.

        Args:
            kind: Its kind.
            metric: What is compared; for cosine the vectors are of length 1.
            sample: Vectors to learn from, as `sample_size` says.
            count: How many vectors the store holds.
        """
        faiss = require("faiss", extra="rag")
        code = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        index = faiss.index_factory(sample.shape[1], str(kind), code)
        if kind.codec == "SQ8":
            # Vectors to come may lie a little outside of what the sample spans.
            index.sq.rangestat_arg = 0.05
        if not index.is_trained:
            index.train(sample)
        if not kind.lists:
            index = faiss.IndexIDMap2(index)
        return cls(index, kind, metric, count if kind.vectors_to_learn else 0)

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return int(self._index.d)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def successor(self, count: int, asked: Kind | None) -> Kind | None:
        """Returns the kind to change to before the store has `count` vectors, or None.

        A store that shrinks keeps its kind: what 8 bits have lost does not come back.
        """
        kind = self._wanted(count, asked)
        outgrown = self._is_outgrown(count)
        if asked is None and kind.disk and self.kind.lists and not outgrown:
            kind = replace(self.kind, disk=True)
        if kind == self.kind:
            return kind if outgrown else None
        higher = kind.rank > self.kind.rank or (outgrown and kind.rank == self.kind.rank)
        return kind if higher or (asked is not None and kind.in_memory == asked.in_memory) else None

    def _is_outgrown(self, count: int) -> bool:
        return 0 < self.trained_on * GROWTH < count

    def _wanted(self, count: int, asked: Kind | None) -> Kind:
        kind, _ = wanted_kind(count, asked)
        if asked is not None or not kind.lists:
            return replace(kind, disk=kind.disk and can_map())
        # How much memory is free is not worth a look for every vector that comes.
        look = not self.kind.disk and count // _LOOK_EVERY > len(self) // _LOOK_EVERY and can_map()
        size, held = kind.size(count, self.dimension), self.kind.size(len(self), self.dimension)
        return replace(kind, disk=self.kind.disk or (look and is_too_large(size, held)))

    def lists_of(self, vectors: Vectors) -> Keys | None:
        """Returns the list of each vector, which takes most of the time of adding; searches may go on meanwhile."""
        if not self.kind.lists:
            return None
        faiss = require("faiss", extra="rag")
        lists: Keys = faiss.downcast_index(self._index.quantizer).assign(vectors, 1).reshape(-1)
        return lists

    def add(self, vectors: Vectors, keys: Keys, lists: Keys | None = None) -> None:
        """Adds vectors; `lists` are those of `lists_of`, where they are known."""
        if not self.kind.lists:
            self._index.add_with_ids(vectors, keys)
            return
        faiss = require("faiss", extra="rag")
        lists = self.lists_of(vectors) if lists is None else lists
        pointer = faiss.swig_ptr
        self._index.add_core(len(vectors), pointer(vectors), pointer(keys), pointer(lists))

    def remove(self, keys: Keys) -> None:
        """Removes vectors by key."""
        self._index.remove_ids(keys)

    def search(self, query: Vectors, k: int, allowed: Allowed | None) -> tuple[list[int], list[float]]:
        """Returns keys and scores, nearest first.

        Args:
            query: One row.
            k: How many.
            allowed: Which keys may be found; None means all.
        """
        among = len(self) if allowed is None else allowed.count
        k = min(k, among)
        if k == 0:
            return [], []
        probes = self._probes(k, among)
        scores, keys = self._found(query, k, allowed, probes)
        if probes < self.kind.lists and (keys < 0).any():
            scores, keys = self._found(query, k, allowed, self.kind.lists)
        there = keys >= 0
        return keys[there].tolist(), scores[there].tolist()

    def _probes(self, k: int, among: int) -> int:
        """Returns how many lists to read, so that about as many distances are computed whatever the filter lets by."""
        distances = max(_DISTANCES, 64 * k)
        return max(1, min(self.kind.lists, math.ceil(self.kind.lists * distances / max(among, 1))))

    def _found(self, query: Vectors, k: int, allowed: Allowed | None, probes: int) -> tuple[Any, Any]:
        faiss = require("faiss", extra="rag")
        options: dict[str, Any] = {}
        if allowed is not None:
            options["sel"] = faiss.IDSelectorBitmap(allowed.bits)
        if self.kind.lists:
            params = faiss.SearchParametersIVF(nprobe=probes, **options)
        else:
            params = faiss.SearchParameters(**options)
        scores, keys = self._index.search(query, k, params=params)
        return scores[0], keys[0]

    def vectors_of(self, keys: list[int], query: Vectors) -> Vectors:
        """Returns vectors by key, those that a search for `query` has found; approximate in 8 bits."""
        np, faiss = require("numpy", extra="rag"), require("faiss", extra="rag")
        wanted = np.array(keys, dtype=np.int64)
        if not self.kind.lists:
            vectors: Vectors = self._index.reconstruct_batch(wanted)
            return vectors
        # An inverted file does not know where a key is; it is in one of the lists nearest to the query.
        vectors = np.empty((len(keys), self.dimension), dtype=np.float32)
        row_of, missing = {key: row for row, key in enumerate(keys)}, len(keys)
        for number in faiss.downcast_index(self._index.quantizer).assign(query, self.kind.lists)[0].tolist():
            there = self._list_keys(number)
            for offset in np.flatnonzero(np.isin(there, wanted)).tolist():
                vectors[row_of[int(there[offset])]] = self._of_list(number, [offset])[0]
                missing -= 1
            if not missing:
                break
        return vectors

    def keys(self) -> Keys:
        """Returns all keys, in no order."""
        np, faiss = require("numpy", extra="rag"), require("faiss", extra="rag")
        if not self.kind.lists:
            keys: Keys = faiss.vector_to_array(self._index.id_map)
            return keys
        parts = [self._list_keys(number) for number in range(self.kind.lists)]
        keys = np.concatenate([np.empty(0, dtype=np.int64), *parts])
        return keys  # noqa: RET504

    def _list_keys(self, number: int) -> Keys:
        np, faiss = require("numpy", extra="rag"), require("faiss", extra="rag")
        inverted = self._index.invlists
        keys: Keys = np.empty(inverted.list_size(number), dtype=np.int64)
        if len(keys):
            faiss.memcpy(faiss.swig_ptr(keys), inverted.get_ids(number), keys.nbytes)
        return keys

    def chunks(self) -> Iterator[tuple[Keys, Vectors]]:
        """Yields all keys and vectors, in no order."""
        if not self.kind.lists:
            keys = self.keys()
            for start in range(0, len(keys), _CHUNK):
                count = min(_CHUNK, len(keys) - start)
                yield keys[start : start + count], self._index.index.reconstruct_n(start, count)
            return
        for number in range(self.kind.lists):
            keys = self._list_keys(number)
            if len(keys):
                yield keys, self._of_list(number, range(len(keys)))

    def _of_list(self, number: int, offsets: Any) -> Vectors:
        np, faiss = require("numpy", extra="rag"), require("faiss", extra="rag")
        vectors: Vectors = np.empty((len(offsets), self.dimension), dtype=np.float32)
        for row, offset in enumerate(offsets):
            self._index.reconstruct_from_offset(number, int(offset), faiss.swig_ptr(vectors[row]))
        return vectors

    def _sample_into(self, sampled: Vectors, random: np.random.Generator) -> None:
        """Fills an array with vectors chosen at random."""
        np = require("numpy", extra="rag")
        chosen = np.sort(random.choice(len(self), len(sampled), replace=False))
        if not self.kind.lists:
            for row, place in enumerate(chosen):
                sampled[row] = self._index.index.reconstruct(int(place))
            return
        sizes = [self._index.invlists.list_size(number) for number in range(self.kind.lists)]
        ends = np.cumsum(sizes)
        cuts = np.searchsorted(chosen, ends)
        for number, (size, end) in enumerate(zip(sizes, ends, strict=True)):
            rows = slice(cuts[number - 1] if number else 0, cuts[number])
            sampled[rows] = self._of_list(number, chosen[rows] - (end - size))

    def with_room(self) -> VectorIndex:
        """Returns the index to add more vectors to: this one, or one with the same that takes less memory."""
        return self

    def grown(self, kind: Kind, coming: Vectors) -> VectorIndex:
        """Returns an index of another kind with the same vectors; this one stays as it is.

        Args:
            kind: The other kind.
            coming: Vectors that will be added next: it learns from them too.
        """
        if kind.disk and kind.in_memory == self.kind.in_memory and not self._is_outgrown(len(self) + len(coming)):
            return _on_disk(self)
        np = require("numpy", extra="rag")
        random = np.random.default_rng(0)
        count = len(self) + len(coming)
        share = min(1.0, sample_size(kind) / count)
        own = math.ceil(len(self) * share)
        learned = np.empty((own + math.ceil(len(coming) * share), self.dimension), dtype=np.float32)
        self._sample_into(learned[:own], random)
        learned[own:] = coming[random.choice(len(coming), len(learned) - own, replace=False)]
        other = VectorIndex.trained(kind.in_memory, self.metric, learned, count)
        del learned
        if kind.disk:
            other = _on_disk(other)
        for keys, vectors in self.chunks():
            other = other.with_room()
            other.add(vectors, keys)
        return other

    def write(self, path: Path) -> None:
        """Writes the index, through Python's own file: FAISS takes no path in another alphabet on every system."""
        faiss = require("faiss", extra="rag")
        with path.open("wb") as file:
            faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write))

    @classmethod
    def read(cls, path: Path, kind: Kind, metric: Metric, trained_on: int) -> Self:
        """Returns the index in a file whose SHA-256 has been checked.

        Raises:
            ValueError: The file holds another kind of index.
            RuntimeError: It holds none.
        """
        faiss = require("faiss", extra="rag")
        with path.open("rb") as file:
            index = faiss.read_index(faiss.PyCallbackIOReader(file.read))
        return cls.checked(index, kind, metric, trained_on)

    @classmethod
    def checked(cls, index: Any, kind: Kind, metric: Metric, trained_on: int) -> Self:
        """Returns an index that comes from a file.

        Raises:
            ValueError: It is of another kind.
        """
        faiss = require("faiss", extra="rag")
        code = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        inner = index if kind.lists else faiss.downcast_index(getattr(index, "index", None))
        expected = {
            (False, "Flat"): "IndexFlat",
            (False, "SQ8"): "IndexScalarQuantizer",
            (True, "Flat"): "IndexIVFFlat",
            (True, "SQ8"): "IndexIVFScalarQuantizer",
        }[kind.lists > 0, kind.codec]
        lists = getattr(index, "nlist", 0)
        if not type(inner).__name__.startswith(expected) or index.metric_type != code or lists != kind.lists:
            raise ValueError("its index is not the one its manifest describes")
        return cls(index, kind, metric, trained_on)

    def info(self, asked: Kind | None) -> IndexInfo:
        """Returns what it is and why."""
        kind, why = wanted_kind(len(self), asked)
        if kind.in_memory != self.kind.in_memory:
            why = f"chosen when the store was of another size, and kept until it has grown {GROWTH} times"
        return IndexInfo(
            kind=str(self.kind),
            why=why + self._why_there(asked),
            count=len(self),
            dimension=self.dimension,
            metric=self.metric,
            trained_on=self.trained_on,
        )

    def _why_there(self, asked: Kind | None) -> str:
        """Returns why the lists are in memory or in a file, where that needs a word."""
        refused = asked is not None and asked.disk and self.kind.lists > 0 and not can_map()
        reason = self.not_mapped or ("FAISS cannot leave them in a file on this system" if refused else "")
        return f"; the lists are in memory: {reason}" if reason else ""


def _on_disk(index: VectorIndex) -> VectorIndex:
    from langchain_gptoss.vectorstores.faiss.disk_lists import DiskIndex  # which builds on this module

    return DiskIndex.of(index)


def sample_size(kind: Kind) -> int:
    """Returns from how many vectors a kind learns."""
    return max(kind.lists * _PER_LIST, 50_000)


def first_index(asked: Kind | None, metric: Metric, coming: Vectors) -> VectorIndex:
    """Returns an empty index that has learned from the first vectors of a store."""
    kind, _ = wanted_kind(len(coming), asked)
    disk = kind.disk if asked is not None else is_too_large(kind.size(len(coming), coming.shape[1]))
    np = require("numpy", extra="rag")
    chosen = coming
    if len(coming) > (size := sample_size(kind)):
        chosen = coming[np.sort(np.random.default_rng(0).choice(len(coming), size, replace=False))]
    index = VectorIndex.trained(kind.in_memory, metric, np.ascontiguousarray(chosen), len(coming))
    return _on_disk(index) if kind.lists and disk and can_map() else index


def empty_info(metric: Metric, asked: Kind | None) -> IndexInfo:
    """Returns the information on a store without vectors."""
    kind, why = wanted_kind(0, asked)
    return IndexInfo(kind=str(kind), why=why, count=0, dimension=None, metric=metric, trained_on=0)
