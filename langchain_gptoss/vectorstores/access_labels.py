"""Access labels in metadata: a list of texts, and no other form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_gptoss.vectorstores.filters import MISSING, get_field

PUBLIC = "public"
"""The label of documents that every caller may see."""

_SHOWN_CHARS = 40  # of a value that a message shows


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


def normalize_labels(value: Any) -> list[str] | None:
    """Return a value that somebody wrote as labels as a list of texts; None if it cannot be understood as labels.

    A text is split at commas, and whole numbers become texts. Truth values, other numbers, nested lists and tables
    are not understood. Upper and lower case differ.
    """
    if isinstance(value, str):
        value = value.split(",")
        items = [item.strip() for item in value if item.strip()]
    elif isinstance(value, int) and not isinstance(value, bool):
        items = [str(value)]
    elif isinstance(value, list | tuple | set | frozenset):
        parts = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        if not all(isinstance(part, str | int) and not isinstance(part, bool) for part in parts):
            return None
        items = [text for part in parts if (text := str(part).strip())]
    else:
        return None
    return list(dict.fromkeys(items))


def describe_value(value: Any) -> str:
    """Return a value and its kind for a message: `"hr" (a text)`."""
    kinds = {str: "a text", bool: "a truth value", int: "a number", float: "a number", dict: "a table"}
    kind = "empty" if value is None else kinds.get(type(value), f"a {type(value).__name__}")
    shown = repr(value)
    return f"{shown[:_SHOWN_CHARS]}{'...' if len(shown) > _SHOWN_CHARS else ''} ({kind})"


@dataclass
class LabelSurvey:
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


def survey_labels(documents: Iterable[Mapping[str, Any]], name: str) -> LabelSurvey:
    """Return the labels of documents.

    Args:
        documents: The metadata of each document.
        name: The field with the labels.
    """
    survey = LabelSurvey()
    for metadata in documents:
        survey.add(metadata, name)
    return survey
