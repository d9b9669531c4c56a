"""Access labels: documents carry labels, callers carry labels, and a filter compares them before the search."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers.adapters import supports_filter
from langchain_gptoss.vectorstores.filters import compile_filter

PUBLIC = "public"


class Access:
    """Restricts callers to documents that share a label with them or carry the label "public".

    Unlabelled documents are hidden from everyone, so that a forgotten label exposes nothing. The retriever receives the
    filter, so that other documents are not even candidates; its results are checked once more.

    Args:
        field: The metadata field that holds a document's labels, a list of strings.

    Raises:
        InvalidInputError: The name of the field is empty.
    """

    def __init__(self, field: str = "access") -> None:
        if not isinstance(field, str) or not field:
            raise InvalidInputError(
                f"access is {field!r}.", hint="Give the name of the metadata field that holds the labels."
            )
        self.field = field

    def check_retriever(self, retriever: BaseRetriever) -> None:
        """Check that a retriever accepts a filter.

        Raises:
            InvalidInputError: The retriever accepts no filter.
        """
        if not supports_filter(retriever):
            raise InvalidInputError(
                f"{type(retriever).__name__} takes no filter, so it would search documents that a caller may not see.",
                hint="Use FaissStore.as_retriever(), BM25Retriever or HybridRetriever, or leave out access=.",
            )

    def build_filter(self, labels: Iterable[str]) -> dict[str, Any]:
        """Return the metadata filter for a caller.

        Args:
            labels: The caller's labels.

        Raises:
            InvalidInputError: The labels are not a list of strings.
        """
        if isinstance(labels, str) or not all(isinstance(label, str) and label for label in labels):
            raise InvalidInputError(f"access_labels is {labels!r}.", hint="Pass a list of strings.")
        return {"$or": [{self.field: {"$contains": label}} for label in sorted({*labels, PUBLIC})]}

    def select_visible(self, documents: Sequence[Document], labels: Iterable[str]) -> list[Document]:
        """Return the documents that a caller may see. This holds even if a retriever ignores the filter."""
        matches = compile_filter(self.build_filter(labels))
        return [
            document for document in documents if self._has_label_list(document.metadata) and matches(document.metadata)
        ]

    def _has_label_list(self, metadata: Mapping[str, Any]) -> bool:
        # In a plain string "$contains" would match a part of it: "hr" must not match "through".
        return isinstance(metadata.get(self.field), list | tuple)
