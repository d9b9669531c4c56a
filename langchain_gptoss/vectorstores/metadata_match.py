"""Which documents may be found: `filter=` for retrievers that look at one document's metadata at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.vectorstores.filters import Filter, matches, parse_filter

__all__ = ["Filter", "matcher"]


def matcher(filter: Filter) -> Callable[[Mapping[str, Any]], bool]:
    """Returns a function of a document's metadata that says whether it may be found.

    Args:
        filter: Conditions as `FaissStore` reads them, or a function of the metadata.

    Raises:
        InvalidInputError: The filter is neither, or cannot be understood.
    """
    if callable(filter):
        # Read-only: a filter that writes would write into the index.
        return lambda metadata: bool(filter(MappingProxyType(dict(metadata))))
    if not isinstance(filter, Mapping):
        raise InvalidInputError(f"filter is a {type(filter).__name__}; give a dict of metadata or a function.")
    tree = parse_filter(filter)
    return lambda metadata: matches(tree, metadata)
