"""Progress for whoever waits: one bar by bytes, and other libraries' bars kept away while it says what is going on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class BytesBar(Protocol):
    """A bar that counts bytes."""

    def update(self, n: int) -> object:
        """Counts `n` more bytes; fewer where `n` is negative."""

    def set_description(self, desc: str) -> None:
        """Says what is going on now."""


@contextmanager
def bytes_bar(total: int, what: str, *, done: int = 0) -> Iterator[BytesBar]:
    """Shows a progress bar by bytes on standard error (in a notebook: below the cell) inside the block.

    Args:
        total: Bytes in all.
        what: What is going on, such as `"Loading gpt-oss-20b"`.
        done: Bytes that were there before; they do not count for the speed that is shown.

    Yields:
        The bar. It may be updated from one thread at a time.
    """
    from tqdm.auto import tqdm

    with tqdm(total=total, initial=done, desc=what, unit="B", unit_scale=True, leave=True) as bar:
        yield bar


@contextmanager
def without_transformers_bars() -> Iterator[None]:
    """Silences transformers' progress bars inside the block, and puts them back as they were."""
    from transformers.utils import logging

    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def without_hub_bars() -> Iterator[None]:
    """Silences the hub client's progress bars inside the block, and puts them back as they were."""
    from huggingface_hub import utils

    bars: Any = utils  # it does not say which of its names are for others; its documentation does

    # It warns, and does nothing, where the user's environment asks for its bars.
    if bars.are_progress_bars_disabled() or os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS"):
        yield
        return
    bars.disable_progress_bars()
    try:
        yield
    finally:
        bars.enable_progress_bars()
