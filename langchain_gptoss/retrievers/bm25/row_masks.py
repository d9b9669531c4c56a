"""Masks of the rows whose documents match filters."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from langchain_core.documents import Document

from langchain_gptoss._optional import require
from langchain_gptoss.vectorstores.filters import And, Filter, Node, compile_filter, matches, parse_filter

if TYPE_CHECKING:
    from langchain_gptoss.retrievers.bm25.postings import Flags

_MAX_KEPT = 16


class RowMasks:
    """Masks of the rows that match filters.

    Masks of conditions are kept, and later calls check only rows that are new. The metadata of a row must not change. A
    function may answer differently each time, so it is called for every document of every query.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Node, Flags] = OrderedDict()

    def build(self, filters: Sequence[Filter], documents: Sequence[Document | None]) -> tuple[Node | None, Flags]:
        """Return the conditions in the filters, None if one of them is a function, and the mask of matching rows.

        Args:
            filters: The filters, all of which must hold.
            documents: The document of each row, None for a deleted one.

        Raises:
            InvalidInputError: A filter is not valid.
        """
        np = require("numpy", extra="rag")
        node = And(tuple(parse_filter(filter_) for filter_ in filters if isinstance(filter_, Mapping)))
        functions = [compile_filter(filter_) for filter_ in filters if not isinstance(filter_, Mapping)]
        mask = self._extend(node, documents)
        if not functions:
            return node, mask
        mask = mask.copy()
        for row in np.flatnonzero(mask).tolist():
            document = documents[row]
            mask[row] = document is not None and all(accepts(document.metadata) for accepts in functions)
        return None, mask

    def _extend(self, node: Node, documents: Sequence[Document | None]) -> Flags:
        np = require("numpy", extra="rag")
        kept: Flags = self._kept.get(node, np.zeros(0, dtype=np.bool_))
        if len(kept) < len(documents):
            new = documents[len(kept) :]
            flags = [document is not None and matches(node, document.metadata) for document in new]
            kept = np.concatenate([kept, np.array(flags, dtype=np.bool_)])
            self._kept[node] = kept
        if node in self._kept:
            self._kept.move_to_end(node)
        if len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        return kept
