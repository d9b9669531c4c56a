"""Access labels in metadata: a list of texts, and no other form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_gptoss.text.label_values import describe_value
from langchain_gptoss.vectorstores.filters import MISSING, get_field


def read_labels(metadata: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """Return the labels of a document as they are stored, empty if it has none.

    Args:
        metadata: The document's metadata.
        name: The field with the labels, or a dotted path.

    Returns:
        The labels; None if the field is there and is not a list of texts.
    """
    value = get_field(metadata, name)
    if value is MISSING:
        return ()
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item.strip() for item in value):
        return None
    return tuple(value)


@dataclass
class LabelCounts:
    """The labels of many documents.

    Attributes:
        document_count: Number of documents.
        counts: Number of documents by label.
        unlabelled_count: Number of documents that have no label.
        malformed: By source, the values that are not lists of texts, described.
    """

    document_count: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    unlabelled_count: int = 0
    malformed: dict[str, str] = field(default_factory=dict)

    def add(self, metadata: Mapping[str, Any], name: str) -> None:
        """Count the labels of a document."""
        self.document_count += 1
        labels = read_labels(metadata, name)
        if labels is None:
            self.malformed.setdefault(str(metadata.get("source", "")), describe_value(get_field(metadata, name)))
        elif labels:
            self.counts.update(set(labels))
        else:
            self.unlabelled_count += 1


def count_labels(documents: Iterable[Mapping[str, Any]], name: str) -> LabelCounts:
    """Return the labels of documents.

    Args:
        documents: The metadata of each document.
        name: The field with the labels.
    """
    result = LabelCounts()
    for metadata in documents:
        result.add(metadata, name)
    return result
