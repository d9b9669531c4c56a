"""Metadata filters: what they mean, and how they are answered for a million documents in a few milliseconds.

A filter is read into a small tree. `matches` says what the tree means for one document. `FilterIndex` gives the same
answer for all documents at once from columns: a column numbers the different values of one field, so that a condition
is decided once per value and looked up per document. A document's key never gets other metadata (a changed document
gets a new key), so that columns only ever grow.
"""

from __future__ import annotations

import difflib
import operator
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from langchain_gptoss._optional import require
from langchain_gptoss.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

Filter = Mapping[str, Any] | Callable[[Mapping[str, Any]], bool]
"""Conditions on the metadata, or a function of the metadata that says whether a document may be found."""

Rows = Callable[[int, int], Iterator[tuple[int, Mapping[str, Any]]]]
"""Yields key and metadata of the documents from one key up to another."""

MISSING = object()
ORDERINGS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
FIELD_OPERATORS = ("$eq", "$ne", *ORDERINGS, "$in", "$nin", "$contains", "$exists", "$not")
GROUP_OPERATORS = ("$and", "$or", "$not")
_EXACT_IN_FLOAT = 2**53
_COLUMNS, _CACHED = 64, 16


@dataclass(frozen=True)
class Condition:
    """One operator on one field; `operand` is in the form of `comparable` where it is compared for equality."""

    field: str
    operator: str
    operand: Any


@dataclass(frozen=True)
class Every:
    """All parts hold."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Some:
    """At least one part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Negation:
    """The part does not hold."""

    part: Node


Node = Condition | Every | Some | Negation


def comparable(value: Any) -> Any:
    """Returns a hashable stand-in: equal for equal JSON values, and different for true and 1."""
    if isinstance(value, bool):
        return (bool, value)
    if isinstance(value, float) and value != value:
        return (float, "nan")
    if isinstance(value, Mapping):
        return (dict, frozenset((str(key), comparable(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return (list, tuple(comparable(item) for item in value))
    return value


def value_at(metadata: Mapping[str, Any], field: str) -> Any:
    """Returns what stands under a key, or under a dotted path of keys; MISSING where nothing does."""
    if field in metadata:
        return metadata[field]
    value: Any = metadata
    for name in field.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return MISSING
        value = value[name]
    return value


def parse_filter(filter: Mapping[str, Any]) -> Node:
    """Returns the tree of a filter.

    Raises:
        InvalidInputError: An operator is unknown, stands where it cannot, or has an operand it cannot work with.
    """
    parts: list[Node] = []
    for name, wanted in filter.items():
        if not isinstance(name, str):
            raise InvalidInputError(f"A filter names fields by text, not by {name!r}.")
        parts.append(_group(name, wanted) if name.startswith("$") else _field(name, wanted))
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def _group(name: str, operand: Any) -> Node:
    if name not in GROUP_OPERATORS:
        hint = f" {name} needs a field: {{'field': {{'{name}': ...}}}}." if name in FIELD_OPERATORS else ""
        raise InvalidInputError(f"{_unknown(name, GROUP_OPERATORS)}{hint}")
    if name == "$not":
        return Negation(_subfilter(name, operand))
    if not isinstance(operand, list | tuple) or not operand:
        raise InvalidInputError(f"{name} takes a list of filters and was given {operand!r}.")
    parts = tuple(_subfilter(name, part) for part in operand)
    return Every(parts) if name == "$and" else Some(parts)


def _subfilter(name: str, operand: Any) -> Node:
    if not isinstance(operand, Mapping):
        raise InvalidInputError(f"{name} works on filters such as {{'lang': 'fr'}} and was given {operand!r}.")
    return parse_filter(operand)


def _field(field: str, wanted: Any) -> Node:
    operators = isinstance(wanted, Mapping) and [str(name).startswith("$") for name in wanted]
    if not isinstance(wanted, Mapping) or not operators or not any(operators):
        return _condition(field, "$eq", wanted)
    if not all(operators):
        raise InvalidInputError(f"The filter on {field!r} mixes operators and plain keys: {wanted!r}. Use $eq.")
    parts = tuple(_condition(field, name, operand) for name, operand in wanted.items())
    return parts[0] if len(parts) == 1 else Every(parts)


def _condition(field: str, name: str, operand: Any) -> Node:
    if name == "$not":
        if not isinstance(operand, Mapping):
            raise InvalidInputError(f"$not on {field!r} takes operators such as {{'$gte': 2024}}; use $ne for a value.")
        return Negation(_field(field, operand))
    if name in ORDERINGS:
        if isinstance(operand, bool) or not isinstance(operand, int | float | str):
            raise InvalidInputError(
                f"{name} on {field!r} compares numbers or texts and was given {operand!r}. "
                "Dates compare as ISO text, such as '2024-05-31'."
            )
    elif name in ("$in", "$nin"):
        if not isinstance(operand, list | tuple | set | frozenset):
            raise InvalidInputError(f"{name} on {field!r} takes a list of values and was given {operand!r}.")
        operand = frozenset(_hashable(field, item) for item in operand)
    elif name == "$exists":
        if not isinstance(operand, bool):
            raise InvalidInputError(f"$exists on {field!r} takes True or False and was given {operand!r}.")
    elif name in ("$eq", "$ne", "$contains"):
        operand = _hashable(field, operand)
    else:
        raise InvalidInputError(_unknown(name, FIELD_OPERATORS))
    return Condition(field, name, operand)


def _hashable(field: str, value: Any) -> Any:
    try:
        hash(stand_in := comparable(value))
    except TypeError:
        raise InvalidInputError(
            f"The filter on {field!r} compares with {value!r}, which metadata cannot hold. "
            "Use text, numbers, true and false, lists or dicts."
        ) from None
    return stand_in


def _unknown(name: str, known: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    meant = f" Did you mean {nearest[0]}?" if nearest else ""
    return f"Unknown filter operator {name!r}.{meant} Known here are {', '.join(known)}."


def matches(node: Node, metadata: Mapping[str, Any]) -> bool:
    """Returns whether one document's metadata passes."""
    match node:
        case Condition():
            return holds(node, value_at(metadata, node.field))
        case Every():
            return all(matches(part, metadata) for part in node.parts)
        case Some():
            return any(matches(part, metadata) for part in node.parts)
        case Negation():
            return not matches(node.part, metadata)


def holds(condition: Condition, value: Any) -> bool:
    """Returns whether one value passes. A missing one passes nothing but `$exists: False`."""
    name, operand = condition.operator, condition.operand
    if name == "$exists":
        return operand is (value is not MISSING)
    if value is MISSING:
        return False
    if name in ORDERINGS:
        kind = str if isinstance(operand, str) else int | float
        return isinstance(value, kind) and not isinstance(value, bool) and bool(ORDERINGS[name](value, operand))
    if name == "$contains":
        if isinstance(value, str):
            return isinstance(operand, str) and operand in value
        return isinstance(value, list) and any(comparable(item) == operand for item in value)
    if name in ("$in", "$nin"):
        return (comparable(value) in operand) == (name == "$in")
    return bool(comparable(value) == operand) == (name == "$eq")


class Column:
    """The values of one field, by key."""

    def __init__(self, field: str) -> None:
        np = require("numpy", extra="rag")
        self._field = field
        self.lock = threading.Lock()
        self._codes = np.zeros(1024, dtype=np.int32)
        self.covered = 0
        self._values: list[Any] = [MISSING]
        self._code_of: dict[Any, int] = {}
        self._numbers = np.full(64, np.nan)
        self._inexact = False
        self._texts: list[str] = []
        self._sorted: list[str] = []
        self._lists: dict[Any, list[int]] = {}

    def extend(self, rows: Rows, stop: int) -> None:
        """Reads the documents that have come since, up to a key. The caller holds the lock."""
        if stop <= self.covered:
            return
        self._codes = _grown(self._codes, stop)
        codes, field = self._codes, self._field
        for key, metadata in rows(self.covered, stop):
            value = value_at(metadata, field)
            if value is not MISSING:
                stand_in = comparable(value)
                codes[key] = self._code_of.get(stand_in) or self._new_code(stand_in, value)
        self.covered = stop

    def _new_code(self, stand_in: Any, value: Any) -> int:
        code = len(self._values)
        self._values.append(value)
        self._code_of[stand_in] = code
        if code >= len(self._numbers):
            self._numbers = _grown(self._numbers, code + 1, fill=float("nan"))
        if isinstance(value, str):
            self._texts.append(value)
        elif isinstance(value, list):
            for item in {comparable(item) for item in value}:
                self._lists.setdefault(item, []).append(code)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self._inexact |= abs(value) > _EXACT_IN_FLOAT
            self._numbers[code] = value if abs(value) <= _EXACT_IN_FLOAT else float("nan")
        return code

    def mask(self, node: Node, stop: int) -> Mask:
        """Returns which documents pass conditions on this field alone. The caller holds the lock."""
        np = require("numpy", extra="rag")
        table, codes = self._decided(node), self._codes[:stop]
        passing = np.flatnonzero(table)
        mask: Mask = codes == passing[0] if len(passing) == 1 else np.take(table, codes, mode="clip")
        return mask

    def _decided(self, node: Node) -> Mask:
        """Returns which values pass, by code."""
        match node:
            case Condition():
                return self._table(node)
            case Negation():
                inverse: Mask = ~self._decided(node.part)
                return inverse
            case Every() | Some():
                np = require("numpy", extra="rag")
                join = np.logical_and if isinstance(node, Every) else np.logical_or
                table: Mask = np.full(len(self._values), isinstance(node, Every))
                for part in node.parts:
                    join(table, self._decided(part), out=table)
                return table

    def _table(self, condition: Condition) -> Mask:
        np = require("numpy", extra="rag")
        name, operand = condition.operator, condition.operand
        table: Mask = np.zeros(len(self._values), dtype=np.bool_)
        if name == "$exists":
            table[:] = operand
            table[0] = not operand
            return table
        if name in ("$in", "$nin", "$eq", "$ne"):
            wanted = operand if name in ("$in", "$nin") else [operand]
            table[[self._code_of[item] for item in wanted if item in self._code_of]] = True
            if name in ("$nin", "$ne"):
                table = ~table
        elif name == "$contains":
            table[self._lists.get(operand, [])] = True
            if isinstance(operand, str):
                table[[self._code_of[text] for text in self._texts if operand in text]] = True
        elif isinstance(operand, str):
            table[[self._code_of[text] for text in self._texts_in_order(name, operand)]] = True
        elif self._inexact or abs(operand) > _EXACT_IN_FLOAT:
            table[[code for code, value in enumerate(self._values) if holds(condition, value)]] = True
        else:
            table = ORDERINGS[name](self._numbers[: len(self._values)], operand)  # type: ignore[assignment]
        table[0] = False
        return table

    def _texts_in_order(self, name: str, operand: str) -> list[str]:
        if len(self._sorted) != len(self._texts):
            self._sorted = sorted(self._sorted + self._texts[len(self._sorted) :])
            self._texts = list(self._sorted)
        find = bisect_left if name in ("$gte", "$lt") else bisect_right
        place = find(self._sorted, operand)
        return self._sorted[place:] if name in ("$gt", "$gte") else self._sorted[:place]


def _grown(array: Any, size: int, *, fill: float = 0) -> Any:
    if size <= len(array):
        return array
    np = require("numpy", extra="rag")
    larger = np.full(max(size, len(array) * 3 // 2), fill, dtype=array.dtype)
    larger[: len(array)] = array
    return larger


@dataclass(frozen=True)
class Allowed:
    """Which keys a search may return.

    Attributes:
        bits: One bit per key, lowest bit first, as faiss.IDSelectorBitmap reads them.
        count: How many keys.
    """

    bits: Any
    count: int


class FilterIndex:
    """Answers filters for all documents of a store. May be used from several threads at once.

    Args:
        rows: Reads the documents.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._lock = threading.Lock()
        self._columns: OrderedDict[str, Column] = OrderedDict()
        self._cache: OrderedDict[Any, tuple[int, Allowed]] = OrderedDict()

    def selection(self, filter: Filter) -> Selection:
        """Returns a filter in a form that can be asked.

        Raises:
            InvalidInputError: It is not a filter.
        """
        if isinstance(filter, Mapping):
            return Selection(self, parse_filter(filter))
        if callable(filter):
            return CallableSelection(self._rows, filter)
        raise InvalidInputError(f"filter is a {type(filter).__name__}; give a dict of conditions or a function.")

    def column(self, field: str) -> Column:
        """Returns the column of a field; the least used one goes where there are too many."""
        with self._lock:
            column = self._columns.setdefault(field, Column(field))
            self._columns.move_to_end(field)
            if len(self._columns) > _COLUMNS:
                self._columns.popitem(last=False)
            return column

    def mask(self, node: Node, stop: int) -> Mask:
        """Returns which keys below `stop` pass, deleted ones included."""
        np = require("numpy", extra="rag")
        fields = set(_fields(node))
        if len(fields) == 1:
            column = self.column(fields.pop())
            with column.lock:
                column.extend(self._rows, stop)
                return column.mask(node, stop)
        if isinstance(node, Negation):
            inverse: Mask = ~self.mask(node.part, stop)
            return inverse
        assert not isinstance(node, Condition)
        join = np.logical_and if isinstance(node, Every) else np.logical_or
        total: Mask = np.full(stop, isinstance(node, Every))
        for part in node.parts:
            join(total, self.mask(part, stop), out=total)
        return total

    def cached(self, node: Node, version: int) -> Allowed | None:
        """Returns an answer given before to the same filter on the same documents."""
        with self._lock:
            known = self._cache.get(node)
            return known[1] if known and known[0] == version else None

    def remember(self, node: Node, version: int, allowed: Allowed) -> None:
        """Keeps an answer."""
        with self._lock:
            self._cache[node] = (version, allowed)
            self._cache.move_to_end(node)
            if len(self._cache) > _CACHED:
                self._cache.popitem(last=False)


class Selection:
    """A filter made of conditions, for one search."""

    def __init__(self, index: FilterIndex, node: Node) -> None:
        self._index, self._node = index, node

    def prepare(self, stop: int) -> None:
        """Does what may take long (reading a field for the first time); called outside the store's lock."""
        for field in _fields(self._node):
            column = self._index.column(field)
            with column.lock:
                column.extend(self._index._rows, stop)

    def ready(self, stop: int) -> bool:
        """Returns whether `allowed` can be asked under the store's lock: always, for no code of the user runs in it."""
        return True

    def allowed(self, live: Mask, version: int) -> Allowed:
        """Returns which of the live keys pass."""
        known = self._index.cached(self._node, version)
        if known is None:
            known = _packed(self._index.mask(self._node, len(live)), live)
            self._index.remember(self._node, version, known)
        return known


class CallableSelection(Selection):
    """A function as a filter: it is asked about every document, one after another."""

    def __init__(self, rows: Rows, function: Callable[[Mapping[str, Any]], bool]) -> None:
        self._rows, self._function = rows, function
        self._passed: list[int] = []
        self._covered = 0

    def prepare(self, stop: int) -> None:
        """Asks the function about the documents that it has not seen."""
        # Read-only: a function that writes has mistaken the metadata for the store's.
        rows = self._rows(self._covered, stop)
        self._passed += [key for key, metadata in rows if self._function(MappingProxyType(metadata))]
        self._covered = stop

    def ready(self, stop: int) -> bool:
        """Returns whether the function has been asked about everything."""
        return self._covered >= stop

    def allowed(self, live: Mask, version: int) -> Allowed:
        """Returns which of the live keys have passed."""
        np = require("numpy", extra="rag")
        mask = np.zeros(len(live), dtype=np.bool_)
        mask[self._passed] = True
        return _packed(mask, live)


def _packed(mask: Mask, live: Mask) -> Allowed:
    np = require("numpy", extra="rag")
    mask &= live
    return Allowed(bits=np.packbits(mask, bitorder="little"), count=int(np.count_nonzero(mask)))


def _fields(node: Node) -> Iterator[str]:
    match node:
        case Condition():
            yield node.field
        case Negation():
            yield from _fields(node.part)
        case Every() | Some():
            for part in node.parts:
                yield from _fields(part)
