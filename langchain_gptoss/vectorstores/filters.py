"""Metadata filters: how a filter is written, parsed and applied to the metadata of one document.

`matches` defines the meaning of a filter. Two other modules must agree with it: `faiss/filter_index.py` answers a
filter for all documents of a store at once, and `qdrant.py` translates it into Qdrant's filters.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from langchain_gptoss.errors import InvalidInputError

Filter = Mapping[str, Any] | Callable[[Mapping[str, Any]], bool]
"""Conditions on the metadata, or a function that takes the metadata and returns True for documents to keep."""

LANGUAGE = "language"
"""The field with a document's language, which is missing where it is in doubt."""
UNKNOWN_LANGUAGES = frozenset({None, "", "und"})
"""Values that say that the language is unknown; "und" is the code of ISO 639-2."""
MISSING = object()
"""The value of a field that a document does not have."""
ORDERINGS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
FIELD_OPERATORS = ("$eq", "$ne", *ORDERINGS, "$in", "$nin", "$contains", "$contains_any", "$exists", "$not")
GROUP_OPERATORS = ("$and", "$or", "$not")
MAX_EXACT_FLOAT = 2**53
"""Largest integer up to which a float64 holds every integer exactly."""


@dataclass(frozen=True)
class Condition:
    """One operator on one field.

    Attributes:
        field: Name of the field, or a dotted path.
        operator: One of `FIELD_OPERATORS` except `$not`.
        operand: The value to compare with; for equality, as returned by `normalize_value`.
    """

    field: str
    operator: str
    operand: Any


@dataclass(frozen=True)
class And:
    """True if all parts are true."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    """True if at least one part is true."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Not:
    """True if the part is false."""

    part: Node


Node = Condition | And | Or | Not
"""A parsed filter."""


def normalize_value(value: Any) -> Any:
    """Return a hashable stand-in for a JSON value.

    Stand-ins are equal for equal JSON values. Unlike in Python, true and 1 differ, and NaN equals itself.
    """
    if isinstance(value, bool):
        return (bool, value)
    if isinstance(value, float) and value != value:
        return (float, "nan")
    if isinstance(value, Mapping):
        return (dict, frozenset((str(key), normalize_value(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return (list, tuple(normalize_value(item) for item in value))
    return value


def get_field(metadata: Mapping[str, Any], field: str) -> Any:
    """Return the value of a field, or MISSING.

    A key that equals the whole name has precedence over a dotted path of keys.
    """
    if field in metadata:
        return metadata[field]
    value: Any = metadata
    for name in field.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return MISSING
        value = value[name]
    return value


def list_fields(node: Node) -> Iterator[str]:
    """Yield the fields that a parsed filter reads, with repetitions."""
    match node:
        case Condition():
            yield node.field
        case Not():
            yield from list_fields(node.part)
        case And() | Or():
            for part in node.parts:
                yield from list_fields(part)


def parse_filter(filter: Mapping[str, Any]) -> Node:
    """Return the tree of a filter.

    A condition on the field "language" keeps the documents whose language is unknown: it is missing where it is in
    doubt, and a document must not be lost for that.

    Raises:
        InvalidInputError: An operator is unknown, is in the wrong place, or has an operand of the wrong type.
    """
    return _keep_unknown_language(_parse(filter))


def _keep_unknown_language(node: Node, *, is_negated: bool = False) -> Node:
    match node:
        case Condition(field=field, operator=name) if field == LANGUAGE and name != "$exists":
            if is_negated:
                return And((node, Condition(LANGUAGE, "$nin", UNKNOWN_LANGUAGES)))
            return Or((node, Condition(LANGUAGE, "$exists", False), Condition(LANGUAGE, "$in", UNKNOWN_LANGUAGES)))
        case Condition():
            return node
        case Not():
            return Not(_keep_unknown_language(node.part, is_negated=not is_negated))
        case And() | Or():
            return type(node)(tuple(_keep_unknown_language(part, is_negated=is_negated) for part in node.parts))


def _parse(filter: Mapping[str, Any]) -> Node:
    parts: list[Node] = []
    for name, operand in filter.items():
        if not isinstance(name, str):
            raise InvalidInputError(f"A field of the filter is {name!r}.", hint="Field names must be strings.")
        parts.append(_parse_group(name, operand) if name.startswith("$") else _parse_field(name, operand))
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _parse_group(name: str, operand: Any) -> Node:
    if name not in GROUP_OPERATORS:
        if name in FIELD_OPERATORS:
            hint = f"{name} needs a field: {{'field': {{'{name}': ...}}}}."
            raise InvalidInputError(f"{name} is not inside a field.", hint=hint)
        raise _build_operator_error(name, GROUP_OPERATORS)
    if name == "$not":
        return Not(_parse_subfilter(name, operand))
    if not isinstance(operand, list | tuple) or not operand:
        raise InvalidInputError(f"{name} takes a list of filters, and its operand is {operand!r}.")
    parts = tuple(_parse_subfilter(name, part) for part in operand)
    return And(parts) if name == "$and" else Or(parts)


def _parse_subfilter(name: str, operand: Any) -> Node:
    if not isinstance(operand, Mapping):
        raise InvalidInputError(f"{name} takes filters such as {{'lang': 'fr'}}, and its operand is {operand!r}.")
    return _parse(operand)


def _parse_field(field: str, operand: Any) -> Node:
    if not isinstance(operand, Mapping) or not any(str(name).startswith("$") for name in operand):
        return _parse_condition(field, "$eq", operand)
    if not all(str(name).startswith("$") for name in operand):
        raise InvalidInputError(
            f"The filter on {field!r} mixes operators and plain keys: {operand!r}.",
            hint="To compare with a dict, use $eq.",
        )
    parts = tuple(_parse_condition(field, name, value) for name, value in operand.items())
    return parts[0] if len(parts) == 1 else And(parts)


def _parse_condition(field: str, name: str, operand: Any) -> Node:
    if name == "$not":
        if not isinstance(operand, Mapping):
            raise InvalidInputError(
                f"$not on {field!r} takes operators such as {{'$gte': 2024}}.", hint="For a value, use $ne."
            )
        return Not(_parse_field(field, operand))
    if name in ORDERINGS:
        if isinstance(operand, bool) or not isinstance(operand, int | float | str):
            raise InvalidInputError(
                f"{name} on {field!r} compares numbers or strings, and its operand is {operand!r}.",
                hint="Write dates as ISO strings, such as '2024-05-31'.",
            )
    elif name in ("$in", "$nin", "$contains_any"):
        if not isinstance(operand, list | tuple | set | frozenset):
            raise InvalidInputError(f"{name} on {field!r} takes a list of values, and its operand is {operand!r}.")
        operand = frozenset(_normalize_operand(field, item) for item in operand)
    elif name == "$exists":
        if not isinstance(operand, bool):
            raise InvalidInputError(f"$exists on {field!r} takes True or False, and its operand is {operand!r}.")
    elif name in ("$eq", "$ne", "$contains"):
        operand = _normalize_operand(field, operand)
    else:
        raise _build_operator_error(name, FIELD_OPERATORS)
    return Condition(field, name, operand)


def _normalize_operand(field: str, value: Any) -> Any:
    try:
        hash(normalized := normalize_value(value))
    except TypeError:
        raise InvalidInputError(
            f"The filter on {field!r} compares with {value!r}, which metadata cannot hold.",
            hint="Use strings, numbers, true and false, lists or dicts.",
        ) from None
    return normalized


def _build_operator_error(name: str, known: Sequence[str]) -> InvalidInputError:
    similar = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    suggestion = f"Did you mean {similar[0]}? " if similar else ""
    return InvalidInputError(
        f"Unknown filter operator {name!r}.", hint=f"{suggestion}The operators here are {', '.join(known)}."
    )


def compile_filter(filter: Filter) -> Callable[[Mapping[str, Any]], bool]:
    """Return a predicate on the metadata of one document.

    Args:
        filter: Conditions, or a function of the metadata. The function gets a read-only view of the metadata.

    Raises:
        InvalidInputError: The filter is neither a dict nor a function, or it cannot be parsed.
    """
    if isinstance(filter, Mapping):
        tree = parse_filter(filter)
        return lambda metadata: matches(tree, metadata)
    if not callable(filter):
        raise InvalidInputError(
            f"filter is a {type(filter).__name__}.", hint="Use a dict of conditions or a function of the metadata."
        )
    function = filter
    # The view is read-only because a function that writes would change the index.
    return lambda metadata: bool(function(MappingProxyType(metadata)))


def combine_filters(*filters: Any) -> Any:
    """Return one filter that holds where all given filters hold; None counts as no filter.

    Raises:
        InvalidInputError: Two filters are given, and one of them is neither a dict nor a function.
    """
    given = [filter for filter in filters if filter is not None]
    distinct = [filter for number, filter in enumerate(given) if filter not in given[:number]]
    if len(distinct) < 2:
        return distinct[0] if distinct else None
    if all(isinstance(filter, Mapping) for filter in distinct):
        return {"$and": distinct}
    predicates = [compile_filter(filter) for filter in distinct]
    return lambda metadata: all(accepts(metadata) for accepts in predicates)


def matches(node: Node, metadata: Mapping[str, Any]) -> bool:
    """Return True if the metadata of one document matches a parsed filter."""
    match node:
        case Condition():
            return matches_value(node, get_field(metadata, node.field))
        case And():
            return all(matches(part, metadata) for part in node.parts)
        case Or():
            return any(matches(part, metadata) for part in node.parts)
        case Not():
            return not matches(node.part, metadata)


def matches_value(condition: Condition, value: Any) -> bool:
    """Return True if the value of the field matches a condition. MISSING matches `$exists: False` only."""
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
        return isinstance(value, list | tuple) and any(normalize_value(item) == operand for item in value)
    if name == "$contains_any":
        return isinstance(value, list | tuple) and any(_is_among(item, operand) for item in value)
    if name in ("$in", "$nin"):
        return _is_among(value, operand) == (name == "$in")
    return bool(normalize_value(value) == operand) == (name == "$eq")


def _is_among(value: Any, operands: frozenset[Any]) -> bool:
    try:
        return normalize_value(value) in operands
    except TypeError:  # it cannot be hashed, so it is no JSON value, and equals none
        return False
