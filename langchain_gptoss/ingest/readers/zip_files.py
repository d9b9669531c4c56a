"""Checks of zip files, which office documents and books are.

A zip file of a few kilobytes can unpack to terabytes. The sizes in its directory are checked before anything is
unpacked, and what is read of its parts is counted: a file may refer to a part many times, and name it as it likes.
"""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.budget import BoundedZipFile, SizeBudget

_OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # of encrypted Office files and of the formats before 2007
_PARSED_SUFFIXES = (".xml", ".rels", ".xhtml", ".html", ".htm", ".opf", ".ncx")


@contextmanager
def open_archive(format_name: str, data: bytes, max_bytes: int) -> Iterator[BoundedZipFile]:
    """Open a zip file whose parts can be read up to a limit, and explain every error of its parser.

    Args:
        format_name: Name of the format in errors.
        data: The bytes of the file.
        max_bytes: The most that the parts may unpack to, counted each time that they are read.
    """
    with explain_errors(format_name, data, max_bytes), BoundedZipFile(data, SizeBudget(max_bytes)) as archive:
        yield archive


@contextmanager
def explain_errors(format_name: str, data: bytes, max_bytes: int, *, unpacks_pictures: bool = False) -> Iterator[None]:
    """Check the zip file first, and turn every error of a parser into an `UnreadableFileError`.

    Args:
        format_name: Name of the format in errors.
        data: The bytes of the file.
        max_bytes: The most that the parts with text may unpack to.
        unpacks_pictures: True if the parser unpacks all parts; they may have `max_bytes` more than the zip file.
    """
    _check_zip(format_name, data, max_bytes, unpacks_pictures=unpacks_pictures)
    try:
        yield
    except (UnreadableFileError, ImportError, MemoryError):
        raise
    except Exception as error:  # the parsers expect well-formed files and raise anything on others
        detail = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise UnreadableFileError(
            f"it is not a readable {format_name} ({detail}); open it and save it again"
        ) from error


def _check_zip(format_name: str, data: bytes, max_bytes: int, *, unpacks_pictures: bool) -> None:
    if not data:
        raise UnreadableFileError("it is empty")
    if data.startswith(_OLE_SIGNATURE):
        raise UnreadableFileError(
            f"it is protected by a password or has a format from before 2007; "
            f"save a copy without a password as {format_name}"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise UnreadableFileError(f"it is not a readable {format_name} ({error}); open it and save it again") from None
    if any(entry.flag_bits & 1 for entry in entries):
        raise UnreadableFileError("it is protected by a password; save a copy without one")
    unpacked = sum(entry.file_size for entry in entries if entry.filename.lower().endswith(_PARSED_SUFFIXES))
    if unpacked > max_bytes:
        raise UnreadableFileError(
            f"its {len(data) / 1e6:.1f} MB unpack to {unpacked / 1e6:,.0f} MB of text and the limit is "
            f"{max_bytes / 1e6:,.0f} MB; if it is no zip bomb, split it or raise max_bytes"
        )
    if unpacks_pictures:  # they hardly shrink in a zip file
        SizeBudget(max_bytes + len(data)).charge(sum(entry.file_size for entry in entries))
