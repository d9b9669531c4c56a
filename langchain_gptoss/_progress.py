"""Keeps transformers' own progress bars away while something of ours says what is going on."""

from collections.abc import Iterator
from contextlib import contextmanager


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
