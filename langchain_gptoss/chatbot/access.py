"""Who may see which document: labels on documents, labels of the caller, and a filter before the search."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers.adapters import takes_filter
from langchain_gptoss.vectorstores.metadata_match import matcher

PUBLIC = "public"


class Access:
    """Lets a caller find the documents that carry one of the caller's labels, or the label "public", and no others.

    A document without labels is found by nobody: what was forgotten stays hidden. The filter goes to the retriever,
    so that what is forbidden is not even a candidate; what comes back is checked once more.

    Args:
        field: The metadata field that holds a document's labels, a list of texts.

    Raises:
        InvalidInputError: The field has no name.
    """

    def __init__(self, field: str = "access") -> None:
        if not isinstance(field, str) or not field:
            raise InvalidInputError(f"access is {field!r}; it must be the name of the metadata field with the labels.")
        self.field = field

    def check(self, retriever: BaseRetriever) -> None:
        """Refuses a retriever that cannot be told what to leave out.

        Raises:
            InvalidInputError: It takes no filter.
        """
        if not takes_filter(retriever):
            raise InvalidInputError(
                f"{type(retriever).__name__} takes no filter, so that it would search documents that a caller may not "
                "see. Use FaissStore.as_retriever(), BM25Retriever or HybridRetriever, or leave out access=."
            )

    def filter(self, labels: Iterable[str]) -> dict[str, Any]:
        """Returns the filter for a caller.

        Args:
            labels: The caller's labels.

        Raises:
            InvalidInputError: The labels are not a list of texts.
        """
        if isinstance(labels, str) or not all(isinstance(label, str) and label for label in labels):
            raise InvalidInputError(f"access_labels is {labels!r}; it must be a list of texts.")
        return {"$or": [{self.field: {"$contains": label}} for label in sorted({*labels, PUBLIC})]}

    def visible(self, documents: Sequence[Document], labels: Iterable[str]) -> list[Document]:
        """Returns the documents that a caller may see, whatever a retriever made of the filter."""
        kept = matcher(self.filter(labels))
        return [document for document in documents if self._is_labelled(document.metadata) and kept(document.metadata)]

    def _is_labelled(self, metadata: Mapping[str, Any]) -> bool:
        # A text would be searched for a part of itself: "hr" must not open "through".
        return isinstance(metadata.get(self.field), list | tuple)
