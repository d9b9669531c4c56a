"""Metadata filters for a whole store: which of a million documents match, within a few milliseconds.

A `Column` holds one field of all documents. It numbers the distinct values of the field, so that a condition is
evaluated once per value and then looked up per document. The metadata of a key never changes (a changed document gets
a new key), so columns only grow.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_gptoss._optional import require
from langchain_gptoss.vectorstores.filters import (
    MAX_EXACT_FLOAT,
    MISSING,
    ORDERINGS,
    And,
    Condition,
    Filter,
    Node,
    Not,
    Or,
    compile_filter,
    get_field,
    list_fields,
    matches_value,
    normalize_value,
    parse_filter,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

MetadataReader = Callable[[int, int], Iterator[tuple[int, Mapping[str, Any]]]]
"""Yields key and metadata of the documents whose keys are at least the first and below the second argument."""

MAX_COLUMNS = 64
MAX_CACHED_ANSWERS = 16


@dataclass(frozen=True)
class AllowedKeys:
    """The keys that a search may return.

    Attributes:
        bits: One bit per key, lowest bit first, as `faiss.IDSelectorBitmap` reads them; a uint8 array.
        count: Number of keys.
    """

    bits: Any
    count: int


def pack_keys(mask: Mask) -> AllowedKeys:
    """Return the keys at which a mask is True."""
    np = require("numpy", extra="rag")
    return AllowedKeys(bits=np.packbits(mask, bitorder="little"), count=int(np.count_nonzero(mask)))


class Column:
    """The values of one field, by key.

    The caller holds `lock` while it calls a method.
    """

    def __init__(self, field: str) -> None:
        np = require("numpy", extra="rag")
        self.lock = threading.Lock()
        self._field = field
        self._next_key = 0
        # Code of the value of each key. Code 0 is MISSING.
        self._codes = np.zeros(1024, dtype=np.int32)
        self._values: list[Any] = [MISSING]
        self._code_by_value: dict[Any, int] = {}
        # Numbers by code, NaN for other values. They are compared as floats unless one is too large for that.
        self._numbers = np.full(64, np.nan)
        self._has_large_number = False
        self._strings: list[str] = []
        self._sorted_strings: list[str] = []
        self._codes_by_item: dict[Any, list[int]] = {}

    def extend(self, read_metadata: MetadataReader, stop: int) -> None:
        """Read the documents added since the last call, up to the key `stop`."""
        if stop <= self._next_key:
            return
        self._codes = _enlarge(self._codes, stop)
        codes, field = self._codes, self._field
        for key, metadata in read_metadata(self._next_key, stop):
            value = get_field(metadata, field)
            if value is not MISSING:
                normalized = normalize_value(value)
                codes[key] = self._code_by_value.get(normalized) or self._add_value(normalized, value)
        self._next_key = stop

    def _add_value(self, normalized: Any, value: Any) -> int:
        code = len(self._values)
        self._values.append(value)
        self._code_by_value[normalized] = code
        if code >= len(self._numbers):
            self._numbers = _enlarge(self._numbers, code + 1, fill=float("nan"))
        if isinstance(value, str):
            self._strings.append(value)
        elif isinstance(value, list | tuple):
            for item in {normalize_value(item) for item in value}:
                self._codes_by_item.setdefault(item, []).append(code)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            is_large = abs(value) > MAX_EXACT_FLOAT
            self._has_large_number |= is_large
            self._numbers[code] = float("nan") if is_large else value
        return code

    def build_mask(self, node: Node, stop: int) -> Mask:
        """Return a mask of the documents below the key `stop` that match conditions on this field alone."""
        np = require("numpy", extra="rag")
        table, codes = self._evaluate(node), self._codes[:stop]
        matching = np.flatnonzero(table)
        mask: Mask = codes == matching[0] if len(matching) == 1 else np.take(table, codes, mode="clip")
        return mask

    def _evaluate(self, node: Node) -> Mask:
        """Return a mask of the values that match, by code."""
        match node:
            case Condition():
                return self._evaluate_condition(node)
            case Not():
                inverse: Mask = ~self._evaluate(node.part)
                return inverse
            case And() | Or():
                np = require("numpy", extra="rag")
                combine = np.logical_and if isinstance(node, And) else np.logical_or
                table: Mask = np.full(len(self._values), isinstance(node, And))
                for part in node.parts:
                    combine(table, self._evaluate(part), out=table)
                return table

    def _evaluate_condition(self, condition: Condition) -> Mask:
        np = require("numpy", extra="rag")
        name, operand = condition.operator, condition.operand
        table: Mask = np.zeros(len(self._values), dtype=np.bool_)
        if name == "$exists":
            table[:] = operand
            table[0] = not operand
            return table
        if name in ("$in", "$nin", "$eq", "$ne"):
            values = operand if name in ("$in", "$nin") else [operand]
            table[[self._code_by_value[value] for value in values if value in self._code_by_value]] = True
            if name in ("$nin", "$ne"):
                table = ~table
        elif name == "$contains_any":
            for item in operand:
                table[self._codes_by_item.get(item, [])] = True
        elif name == "$contains":
            table[self._codes_by_item.get(operand, [])] = True
            if isinstance(operand, str):
                table[[self._code_by_value[string] for string in self._strings if operand in string]] = True
        elif isinstance(operand, str):
            table[[self._code_by_value[string] for string in self._select_strings(name, operand)]] = True
        elif self._has_large_number or abs(operand) > MAX_EXACT_FLOAT:
            table[[code for code, value in enumerate(self._values) if matches_value(condition, value)]] = True
        else:
            table = ORDERINGS[name](self._numbers[: len(self._values)], operand)  # type: ignore[assignment]
        table[0] = False
        return table

    def _select_strings(self, name: str, operand: str) -> list[str]:
        """Return the strings that compare with an operand as an ordering operator demands."""
        if len(self._sorted_strings) != len(self._strings):
            self._sorted_strings = sorted(self._sorted_strings + self._strings[len(self._sorted_strings) :])
            self._strings = list(self._sorted_strings)
        bisect = bisect_left if name in ("$gte", "$lt") else bisect_right
        position = bisect(self._sorted_strings, operand)
        return self._sorted_strings[position:] if name in ("$gt", "$gte") else self._sorted_strings[:position]


def _enlarge(array: Any, size: int, *, fill: float = 0) -> Any:
    """Return an array that holds `size` items; it grows by half so that appending takes constant time."""
    if size <= len(array):
        return array
    np = require("numpy", extra="rag")
    larger = np.full(max(size, len(array) * 3 // 2), fill, dtype=array.dtype)
    larger[: len(array)] = array
    return larger


class FilterIndex:
    """Answers filters for all documents of a store. Thread-safe.

    Args:
        read_metadata: Reads the documents.
    """

    def __init__(self, read_metadata: MetadataReader) -> None:
        self._read_metadata = read_metadata
        self._lock = threading.Lock()
        self._columns: OrderedDict[str, Column] = OrderedDict()
        self._cache: OrderedDict[Node, tuple[int, AllowedKeys]] = OrderedDict()

    def bind(self, filter: Filter) -> BoundFilter:
        """Return a filter bound to these documents, for one search.

        Raises:
            InvalidInputError: The filter is neither a dict nor a function, or it cannot be parsed.
        """
        if isinstance(filter, Mapping):
            return BoundConditions(self, parse_filter(filter))
        return BoundFunction(self._read_metadata, compile_filter(filter))

    def read_fields(self, node: Node, stop: int) -> None:
        """Read the fields of a filter from the documents below the key `stop`. Slow for a new field."""
        for field in list_fields(node):
            column = self._get_column(field)
            with column.lock:
                column.extend(self._read_metadata, stop)

    def _get_column(self, field: str) -> Column:
        """Return the column of a field. The least recently used column is dropped if there are too many."""
        with self._lock:
            column = self._columns.setdefault(field, Column(field))
            self._columns.move_to_end(field)
            if len(self._columns) > MAX_COLUMNS:
                self._columns.popitem(last=False)
            return column

    def find_allowed_keys(self, node: Node, live: Mask, version: int) -> AllowedKeys:
        """Return the live keys that match; the answer is cached until the version of the store changes."""
        with self._lock:
            cached = self._cache.get(node)
        if cached is not None and cached[0] == version:
            return cached[1]
        allowed = pack_keys(self.build_mask(node, len(live)) & live)
        with self._lock:
            self._cache[node] = (version, allowed)
            self._cache.move_to_end(node)
            if len(self._cache) > MAX_CACHED_ANSWERS:
                self._cache.popitem(last=False)
        return allowed

    def build_mask(self, node: Node, stop: int) -> Mask:
        """Return a mask of the keys below `stop` that match, deleted ones included."""
        np = require("numpy", extra="rag")
        fields = set(list_fields(node))
        if len(fields) == 1:
            column = self._get_column(fields.pop())
            with column.lock:
                column.extend(self._read_metadata, stop)
                return column.build_mask(node, stop)
        if isinstance(node, Not):
            inverse: Mask = ~self.build_mask(node.part, stop)
            return inverse
        assert not isinstance(node, Condition)
        combine = np.logical_and if isinstance(node, And) else np.logical_or
        mask: Mask = np.full(stop, isinstance(node, And))
        for part in node.parts:
            combine(mask, self.build_mask(part, stop), out=mask)
        return mask


class BoundFilter(ABC):
    """A filter bound to the documents of a store, for one search."""

    @abstractmethod
    def prepare(self, stop: int) -> None:
        """Do the slow work for keys below `stop`. Called without the lock of the store."""

    @abstractmethod
    def is_ready(self, stop: int) -> bool:
        """Return True if `find_allowed_keys` can be called under the lock of the store without running user code."""

    @abstractmethod
    def find_allowed_keys(self, live: Mask, version: int) -> AllowedKeys:
        """Return the live keys that match.

        Args:
            live: A mask of the keys that are not deleted.
            version: Number of the store's state; it changes whenever documents are added or deleted.
        """


class BoundConditions(BoundFilter):
    """Conditions on the metadata."""

    def __init__(self, index: FilterIndex, node: Node) -> None:
        self._index, self._node = index, node

    def prepare(self, stop: int) -> None:
        """Read the fields of the filter."""
        self._index.read_fields(self._node, stop)

    def is_ready(self, stop: int) -> bool:
        """Return True: conditions run no user code."""
        return True

    def find_allowed_keys(self, live: Mask, version: int) -> AllowedKeys:
        """Return the live keys that match."""
        return self._index.find_allowed_keys(self._node, live, version)


class BoundFunction(BoundFilter):
    """A function of the metadata, called once for each document."""

    def __init__(self, read_metadata: MetadataReader, function: Callable[[Mapping[str, Any]], bool]) -> None:
        self._read_metadata, self._function = read_metadata, function
        self._matching_keys: list[int] = []
        self._next_key = 0

    def prepare(self, stop: int) -> None:
        """Call the function for the documents added since the last call."""
        rows = self._read_metadata(self._next_key, stop)
        self._matching_keys += [key for key, metadata in rows if self._function(metadata)]
        self._next_key = stop

    def is_ready(self, stop: int) -> bool:
        """Return True if the function was called for all keys below `stop`."""
        return self._next_key >= stop

    def find_allowed_keys(self, live: Mask, version: int) -> AllowedKeys:
        """Return the live keys that match."""
        np = require("numpy", extra="rag")
        mask = np.zeros(len(live), dtype=np.bool_)
        mask[self._matching_keys] = True
        return pack_keys(mask & live)
