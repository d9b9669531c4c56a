"""A warning at the start of a server whose documents nobody may see."""

from __future__ import annotations

import logging
from collections.abc import Collection

from langchain_gptoss.chatbot.settings import ChatbotSettings
from langchain_gptoss.text.label_values import PUBLIC
from langchain_gptoss.text.terminal import clean_line

_SHOWN_LABELS = 5

_logger = logging.getLogger(__name__)


def warn_if_nothing_is_visible(settings: ChatbotSettings, key_labels: Collection[str] | None) -> None:
    """Log a warning if no caller may see any document.

    Args:
        settings: The chatbot's settings.
        key_labels: The labels of all keys; None if callers need no key.
    """
    if settings.access is None:
        return
    found = settings.access.count_labels(settings.retriever)
    labels = {PUBLIC, *(key_labels or ())}
    if not found.document_count or not labels.isdisjoint(found.counts):
        return
    field = settings.access.field
    if found.counts:
        reason = f"their labels are {_list_labels(found.counts)}"
    else:
        reason = f"none has labels in the field {field!r}"
    callers = f"keys have {_list_labels(key_labels)}" if key_labels else "callers without a key have none"
    if key_labels is not None and not key_labels:
        callers = "no key has a label"
    _logger.warning(
        "%s",
        clean_line(
            f"Nobody may see any passage ({found.document_count} in all): {reason}, and {callers}. Label the documents "
            f"(front matter, access.toml or --label), with {PUBLIC!r} for everyone, or give keys their labels."
        ),
    )


def _list_labels(labels: Collection[str]) -> str:
    shown = ", ".join(sorted(labels)[:_SHOWN_LABELS])
    return f"{shown} and {len(labels) - _SHOWN_LABELS} more" if len(labels) > _SHOWN_LABELS else shown
