"""Access labels: documents carry labels, callers carry labels, and a filter compares them before the search."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers.adapters import supports_filter
from langchain_gptoss.retrievers.own_filters import iterate_metadata
from langchain_gptoss.text.label_values import PUBLIC, describe_value
from langchain_gptoss.text.terminal import clean_line
from langchain_gptoss.vectorstores.access_labels import LabelCounts, count_labels, read_labels
from langchain_gptoss.vectorstores.filters import get_field

_MAX_WARNINGS = 100  # of single documents; a store of wrong labels must not fill the log
_SHOWN_SOURCES = 3  # that a warning names

_logger = logging.getLogger(__name__)


class Access:
    """Restricts callers to documents that share a label with them or carry the label "public".

    Labels are lists of texts and are compared as a whole, upper and lower case included. A document without labels is
    hidden from everyone, so that a forgotten label exposes nothing; so is one whose labels have another form, such as
    one text, a number or a list with a number in it, and a warning names it. The retriever receives the filter, so that
    other documents are not even candidates; its results are checked once more.

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
        self._reported: set[str] = set()

    def check_retriever(self, retriever: BaseRetriever) -> None:
        """Check that a retriever accepts a filter, and log a warning about labels that are not lists of texts.

        Raises:
            InvalidInputError: The retriever accepts no filter.
        """
        if not supports_filter(retriever):
            raise InvalidInputError(
                f"{type(retriever).__name__} takes no filter, so it would search documents that a caller may not see.",
                hint="Use FaissStore.as_retriever(), BM25Retriever or HybridRetriever, or leave out access=.",
            )
        malformed = self.count_labels(retriever).malformed
        if malformed:
            shown = "; ".join(f"{source}: {value}" for source, value in list(malformed.items())[:_SHOWN_SOURCES])
            more = f"; and {len(malformed) - _SHOWN_SOURCES} more" if len(malformed) > _SHOWN_SOURCES else ""
            _logger.warning(
                "Documents of %d sources are hidden from everyone, because %r is not a list of texts (%s%s).",
                len(malformed),
                self.field,
                clean_line(shown),
                more,
            )
            self._reported.update(malformed)

    def count_labels(self, retriever: BaseRetriever) -> LabelCounts:
        """Return the labels of the documents that a retriever searches, as far as its stores can list them."""
        return count_labels(iterate_metadata(retriever), self.field)

    def build_filter(self, labels: Iterable[str]) -> dict[str, Any]:
        """Return the metadata filter for a caller.

        Args:
            labels: The caller's labels.

        Raises:
            InvalidInputError: The labels are not a list of strings.
        """
        return {self.field: {"$contains_any": sorted(self._collect_labels(labels))}}

    def report_malformed(self, document: Document) -> None:
        """Log a warning if the labels of a document that is hidden are not a list of texts."""
        self._read(document.metadata)

    def select_visible(self, documents: Sequence[Document], labels: Iterable[str]) -> list[Document]:
        """Return the documents that a caller may see. This holds even if a retriever ignores the filter."""
        caller_labels = self._collect_labels(labels)
        return [document for document in documents if not caller_labels.isdisjoint(self._read(document.metadata))]

    def get_labels(self, document: Document) -> tuple[str, ...]:
        """Return the labels of a document; empty if it has none or they have another form."""
        return read_labels(document.metadata, self.field) or ()

    def _collect_labels(self, labels: Iterable[str]) -> set[str]:
        if isinstance(labels, str) or not all(isinstance(label, str) and label for label in labels):
            raise InvalidInputError(f"access_labels is {labels!r}.", hint="Pass a list of strings.")
        return {*labels, PUBLIC}

    def _read(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        labels = read_labels(metadata, self.field)
        if labels is None:
            self._report(str(metadata.get("source", "")), get_field(metadata, self.field))
        return labels or ()

    def _report(self, source: str, value: Any) -> None:
        if source in self._reported or len(self._reported) >= _MAX_WARNINGS:
            return
        self._reported.add(source)
        _logger.warning(
            "A document of %s is hidden from everyone: its %r is %s and not a list of texts.",
            clean_line(source) or "an unknown source",
            self.field,
            describe_value(value),
        )
