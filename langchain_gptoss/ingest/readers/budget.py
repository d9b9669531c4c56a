"""Budget of what one file may unpack to.

A file can say little and mean much: compressed parts, a chapter that a book lists a thousand times, the name of a
column that is written before each of its values. Readers charge what they unpack and write, on every path, and stop
where the budget ends. A limit that looks at names or sizes in the file's own directory would believe the file.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO, Any, cast

from langchain_gptoss.ingest.readers.base import SizeLimitError

_TEXT_PER_BYTE = 4  # characters; a table as a list says the name of a column with each value


def create_text_budget(data: bytes, max_bytes: int) -> SizeBudget:
    """Return the budget of the characters that may be written for the bytes of a file.

    Args:
        data: The bytes.
        max_bytes: What any file may unpack to; large files may have some times their own size of text.
    """
    return SizeBudget(compute_text_limit(len(data), max_bytes))


def compute_text_limit(size_bytes: int, max_bytes: int) -> int:
    """Return the characters that may be written for a file of a size."""
    return max(max_bytes, _TEXT_PER_BYTE * size_bytes)


class SizeBudget:
    """Counts what a file unpacks to, in bytes or characters.

    Args:
        limit: The largest number of bytes or characters that the file may unpack to.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._remaining = limit

    @property
    def remaining(self) -> int:
        """The number of bytes or characters that are left."""
        return self._remaining

    def charge(self, size: int) -> None:
        """Count some bytes or characters.

        Raises:
            SizeLimitError: They are more than what is left.
        """
        self._remaining -= size
        if self._remaining < 0:
            raise SizeLimitError(
                f"it unpacks to more than {self._limit / 1e6:,.1f} MB; if it is not meant to, save it again, "
                "else split it or raise max_bytes"
            )

    def charge_texts(self, texts: Iterable[str]) -> Iterator[str]:
        """Yield texts and charge each before the next one is made."""
        for text in texts:
            self.charge(len(text) + 1)
            yield text


class BoundedZipFile(zipfile.ZipFile):
    """A zip file whose parts may only be read as long as a budget lasts; each reading of a part counts.

    Args:
        data: The bytes of the file.
        budget: The budget.
    """

    def __init__(self, data: bytes, budget: SizeBudget) -> None:
        self._budget = budget
        super().__init__(io.BytesIO(data))

    def open(self, name: Any, mode: Any = "r", pwd: Any = None, *, force_zip64: bool = False) -> IO[bytes]:
        """Open a part for reading."""
        return cast("IO[bytes]", _BoundedPart(super().open(name, mode, pwd, force_zip64=force_zip64), self._budget))


class _BoundedPart(io.BufferedIOBase):
    """A part of a zip file that charges what is read of it."""

    def __init__(self, part: IO[bytes], budget: SizeBudget) -> None:
        self._part = part
        self._budget = budget

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to `size` bytes, by default all that are left."""
        # One byte beyond the budget tells that there is more than it allows.
        limit = max(self._budget.remaining, 0) + 1
        data = self._part.read(limit if size is None or size < 0 else min(size, limit))
        self._budget.charge(len(data))
        return data

    def read1(self, size: int = -1, /) -> bytes:
        """Return what `read` returns."""
        return self.read(size)

    def close(self) -> None:
        """Close the part."""
        self._part.close()
        super().close()
