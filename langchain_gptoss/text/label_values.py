"""Access labels as people write them."""

from __future__ import annotations

from typing import Any

PUBLIC = "public"
"""The label of documents that every caller may see."""

_SHOWN_CHARS = 40  # of a value that a message shows


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
