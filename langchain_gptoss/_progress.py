"""Progress bars: one bar that counts bytes, and functions that silence the bars of other libraries."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from langchain_gptoss.text.terminal import clean_line


class ProgressBar(Protocol):
    """A progress bar that counts bytes."""

    def update(self, n: int) -> object:
        """Add `n` bytes to the count; a negative `n` subtracts."""

    def set_description(self, desc: str) -> None:
        """Replace the text in front of the bar."""


@contextmanager
def show_progress(total_bytes: int, description: str, *, done_bytes: int = 0) -> Iterator[ProgressBar]:
    """Show a progress bar on standard error, or below the cell in a notebook, while the block runs.

    Args:
        total_bytes: Number of bytes at the end.
        description: Text in front of the bar, such as `"Loading gpt-oss-20b"`.
        done_bytes: Number of bytes that were there before; they do not count for the displayed speed.

    Yields:
        The bar. Only one thread at a time may update it.
    """
    from tqdm.auto import tqdm

    with tqdm(
        total=total_bytes, initial=done_bytes, desc=clean_line(description), unit="B", unit_scale=True, leave=True
    ) as progress_bar:
        yield progress_bar


@contextmanager
def silence_transformers_bars() -> Iterator[None]:
    """Switch off the progress bars of transformers while the block runs."""
    from transformers.utils import logging

    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
