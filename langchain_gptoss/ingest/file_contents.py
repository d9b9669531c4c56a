"""Contents of one file as documents, read by this package's readers or by a loader of the user."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from langchain_gptoss.errors import GptOssError, InvalidInputError, MissingDependencyError
from langchain_gptoss.ingest.access_labels import LabelOptions
from langchain_gptoss.ingest.documents import complete_documents, create_documents
from langchain_gptoss.ingest.readers.base import OUT_OF_MEMORY, OutOfMemoryError, UnreadableFileError
from langchain_gptoss.ingest.readers.registry import SUPPORTED_SUFFIXES, load_reader
from langchain_gptoss.ingest.sources import SourceFile, make_printable
from langchain_gptoss.ingest.structure import MARKDOWN

MAX_BYTES = 100_000_000
"""Size of the largest file that is read, in bytes, unless another limit is given."""

_MAX_DETAIL_CHARS = 200

Loader = Callable[[Path], "str | BaseLoader | Iterable[Document]"]
"""Reads a file in place of this package's reader: returns its text, its Documents, or a LangChain loader of them."""


@dataclass(frozen=True)
class ReadOptions:
    """Options of reading files.

    Attributes:
        loaders: Loaders by suffix, in place of this package's readers or for other formats.
        max_bytes: The largest file that is read; its compressed parts may unpack to the same size.
        follow_links: Follow links that lead out of a given folder, and links to folders.
        labels: How files are labelled for access.
    """

    loaders: Mapping[str, Loader]
    max_bytes: int
    follow_links: bool = False
    labels: LabelOptions = field(default_factory=LabelOptions)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes of the files that can be read."""
        return (*SUPPORTED_SUFFIXES, *(suffix for suffix in self.loaders if suffix not in SUPPORTED_SUFFIXES))


@dataclass(frozen=True)
class FileContents:
    """Contents of a file.

    Attributes:
        documents: Its documents; None if it has not changed since it was read before.
        file_hash: SHA-256 of its bytes as hex.
        warnings: What a user should know about it, as clauses without a full stop.
    """

    documents: list[Document] | None
    file_hash: str
    warnings: tuple[str, ...] = ()


def create_read_options(
    loaders: Mapping[str, Loader] | None,
    max_bytes: int,
    *,
    follow_links: bool = False,
    labels: LabelOptions | None = None,
) -> ReadOptions:
    """Return validated options; suffixes may be in any case, with or without the point.

    Raises:
        InvalidInputError: `max_bytes` is below 1.
    """
    if max_bytes < 1:
        raise InvalidInputError(
            f"max_bytes is {max_bytes} and must be at least 1.", hint=f"The default is {MAX_BYTES}."
        )
    return ReadOptions(
        {f".{suffix.lower().lstrip('.')}": loader for suffix, loader in (loaders or {}).items()},
        max_bytes,
        follow_links,
        labels or LabelOptions(),
    )


def read_file(file: SourceFile, options: ReadOptions, *, known_hash: str | None = None) -> FileContents:
    """Read one file.

    Args:
        file: The file.
        options: Options of reading.
        known_hash: SHA-256 of its earlier contents; a file that still has it is not parsed.

    Raises:
        UnreadableFileError: The file cannot be used.
    """
    data = _read_bytes(file.path, options.max_bytes)
    file_hash = hashlib.sha256(data).hexdigest()
    if file_hash == known_hash:
        return FileContents(None, file_hash)
    try:
        documents, warnings = _parse_file(file, data, options)
    except UnreadableFileError as error:
        error.file_hash = file_hash
        raise
    return FileContents(documents, file_hash, warnings)


def _read_bytes(path: Path, max_bytes: int) -> bytes:
    try:
        _check_status(path.stat(), max_bytes)  # opening some devices has an effect
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            _check_status(status, max_bytes)
            data = file.read(status.st_size + 1)
            if len(data) > status.st_size:  # a file of the system, or one that another program writes to
                data += file.read(max_bytes + 1 - len(data))
                _check_size(len(data), max_bytes)
        return data
    except FileNotFoundError:
        raise UnreadableFileError("it no longer exists") from None
    except OSError as error:
        raise UnreadableFileError(f"it cannot be read ({error.strerror})", is_permanent=False) from error


def _check_status(status: os.stat_result, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFileError("it is not a regular file")
    _check_size(status.st_size, max_bytes)


def _check_size(size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise UnreadableFileError(
            f"it has {size_bytes / 1e6:,.1f} MB and the limit is {max_bytes / 1e6:,.1f} MB; split it or raise max_bytes"
        )


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file for `open`; a pipe that nobody writes to would otherwise keep the caller waiting."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def _parse_file(file: SourceFile, data: bytes, options: ReadOptions) -> tuple[list[Document], tuple[str, ...]]:
    """Return the documents of a file and the warnings about it."""
    suffix = file.path.suffix.lower()
    if suffix in options.loaders:
        return _call_loader(file, options.loaders[suffix]), ()
    try:
        extracted = load_reader(suffix)(data, options.max_bytes)
        documents = create_documents(file.source, extracted, default_title=make_printable(file.path.stem))
    except (UnreadableFileError, MissingDependencyError):
        raise
    except RecursionError:
        raise UnreadableFileError("it is nested too deeply; save it again in another format") from None
    except MemoryError:
        raise OutOfMemoryError(OUT_OF_MEMORY) from None
    except Exception as error:  # parsers raise anything on damaged files; it concerns this file alone
        detail = " ".join(str(error).split())[:_MAX_DETAIL_CHARS].rstrip(".")
        raise UnreadableFileError(
            f"it cannot be parsed ({type(error).__name__}{': ' if detail else ''}{detail}); open it and save it again"
        ) from error
    return documents, tuple(extracted.warnings)


def _call_loader(file: SourceFile, loader: Loader) -> list[Document]:
    try:
        result = loader(file.path)
        if isinstance(result, BaseLoader):
            result = result.lazy_load()
        if isinstance(result, str):
            documents = [Document(page_content=result, metadata={"format": MARKDOWN})]
        else:
            documents = list(result)
    except (GptOssError, ImportError):
        raise
    except Exception as error:  # an error of the user's loader concerns this file alone
        name = getattr(loader, "__name__", type(loader).__name__)
        raise UnreadableFileError(
            f"{name} failed on it ({type(error).__name__}: {error})", is_permanent=False
        ) from error
    if not all(isinstance(document, Document) for document in documents):
        raise InvalidInputError(
            f"The loader for {file.path.suffix} returned something else than a text, Documents or a LangChain loader.",
            hint="Return one of these.",
        )
    if not any(document.page_content.strip() for document in documents):
        raise UnreadableFileError("it has no text")
    documents = [
        Document(page_content=document.page_content, metadata={**document.metadata, "source": file.source})
        for document in documents
    ]
    return complete_documents(documents, default_title=make_printable(file.path.stem))
