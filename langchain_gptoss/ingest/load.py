"""Load sources as LangChain Documents whose text can be cited by offset.

Every Document knows the offset of its text in the whole extracted text of its file, and readers leave the text as it
is: a citation must match it later. A file that cannot be used is reported and the others are loaded, because one broken
PDF must not cost an index of a thousand files. A folder without any usable file is an error, because an empty index
would fail only later, at the first question.
"""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from langchain_gptoss.errors import DocumentsError, DocumentWarning, InvalidInputError
from langchain_gptoss.ingest.access_labels import Labeller, LabelOptions, create_label_options
from langchain_gptoss.ingest.documents import load_with_langchain
from langchain_gptoss.ingest.file_contents import MAX_BYTES, Loader, ReadOptions, create_read_options
from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.pool import ReadJob, read_files
from langchain_gptoss.ingest.sources import FileWarning, Listing, SkippedFile, list_files

Source = str | Path | BaseLoader
"""A file, a folder, a pattern such as `docs/**/*.md`, or a LangChain loader."""

_SHOWN_FILES = 3  # files that an error message names

_logger = logging.getLogger(__name__)


def load_documents(
    path: Source | Sequence[Source],
    *,
    loaders: Mapping[str, Loader] | None = None,
    max_bytes: int = MAX_BYTES,
    follow_links: bool = False,
    access: str | None = None,
    labels: Sequence[str] | None = None,
    on_skip: Callable[[SkippedFile], None] | None = None,
) -> list[Document]:
    """Load the documents of a file or of a folder and its subfolders, in the order of their paths.

    Reads Markdown and plain text (left as it is); HTML, Word, PowerPoint and EPUB (as Markdown, which keeps headings);
    PDF (the text of each page); Excel, CSV, JSON and JSON lines (a paragraph or list item per row or record); e-mail
    (.eml). Hidden files and folders are ignored. A `DocumentWarning` names each file whose text may not be what the
    file says, such as one with a guessed encoding.

    Args:
        path: A file, a folder, a pattern such as `docs/**/*.md`, a LangChain loader, or several of these.
        loaders: Functions that read files in place of this package's readers, by suffix: `{".pdf": my_loader}`. Each
            takes a Path and returns a text, which is read as Markdown, or Documents, or a LangChain loader.
        max_bytes: The largest file that is read, in bytes; larger ones are skipped.
        follow_links: Follow links that lead out of a given folder, and links to folders; each folder is read once.
        access: Metadata field with a document's access labels; None means "access". The labels come from the front
            matter of a file (`access: [hr]`), from a file `access.toml` in its folder or above, or from `labels`.
        labels: Labels of the files that neither front matter nor `access.toml` labels.
        on_skip: Called for each file that cannot be used; by default a warning is logged.

    Returns:
        One Document per file; one per page, slide, or quoted or attached part of an e-mail. Metadata: `source`
        (relative to the folder, with forward slashes), `title` (first heading, or the file's name without its suffix),
        `start` (offset of the text in the file's whole extracted text), `content_hash` (SHA-256 of that text as hex),
        `language` (its ISO 639-1 code, if it is beyond doubt) and, in formats with pages, `page` (from 1). Pages of
        PDFs with bookmarks also have `headings`: pairs of an offset in the page and the heading that begins there.

    Raises:
        DocumentsError: There is nothing at `path`, or none of its files can be used.
        InvalidInputError: `max_bytes` is below 1, a loader returns a wrong type, or an `access.toml` is invalid.
        MissingDependencyError: A file needs the extra `rag`, which is not installed.
    """
    report_skipped = on_skip or _log_warning
    label_options = create_label_options(access, labels)
    options = create_read_options(loaders, max_bytes, follow_links=follow_links, labels=label_options)
    places, langchain_loaders = split_sources(path)
    documents: list[Document] = []
    skipped: list[SkippedFile] = []
    file_warnings: list[FileWarning] = []
    if places or not langchain_loaders:
        listing = list_supported_files(places, options)
        skipped += listing.skipped
        jobs = [ReadJob(file) for file in listing.files]
        with closing(read_files(jobs, options)) as results:
            contents_by_file = {job.file: contents for job, contents in results}
        labeller = Labeller(label_options, listing.root)
        for file in listing.files:
            contents = contents_by_file[file]
            if isinstance(contents, UnreadableFileError):
                skipped.append(SkippedFile(file.source, str(contents)))
            else:
                labelled, label_warnings = labeller.label_documents(contents.documents or [], file)
                documents.extend(labelled)
                messages = (*contents.warnings, *label_warnings)
                file_warnings += (FileWarning(file.source, message) for message in messages)
    for loader in langchain_loaders:
        documents.extend(label_each(load_with_langchain(loader), label_options, file_warnings))
    for file_or_folder in skipped:
        report_skipped(file_or_folder)
    if not documents:
        raise _create_nothing_usable_error(path, skipped)
    for file_warning in file_warnings:
        warnings.warn(str(file_warning), DocumentWarning, stacklevel=2)
    return documents


def label_each(
    documents: Sequence[Document], options: LabelOptions, file_warnings: list[FileWarning]
) -> list[Document]:
    """Return documents that come from no file of a folder with their labels, and add warnings to a list."""
    labeller, labelled = Labeller(options), []
    for document in documents:
        one, messages = labeller.label_documents([document])
        labelled += one
        new = [FileWarning(str(document.metadata.get("source", "")), message) for message in messages]
        file_warnings += (warning for warning in new if warning not in file_warnings)
    return labelled


def _log_warning(skipped: SkippedFile) -> None:
    _logger.warning("%s", skipped)


def split_sources(sources: Source | Sequence[Source]) -> tuple[list[str | Path], list[BaseLoader]]:
    """Split sources into places (paths and patterns) and LangChain loaders.

    Raises:
        InvalidInputError: A source is neither.
    """
    source_list = [sources] if isinstance(sources, str | Path | BaseLoader) else list(sources)
    places = [source for source in source_list if isinstance(source, str | Path)]
    loaders = [source for source in source_list if isinstance(source, BaseLoader)]
    if len(places) + len(loaders) != len(source_list):
        raise InvalidInputError(
            "A source is neither a path nor a LangChain loader.", hint="Give paths, patterns or loaders."
        )
    return places, loaders


def list_supported_files(places: Sequence[str | Path], options: ReadOptions, *, exclude: Path | None = None) -> Listing:
    """Return the files at some places.

    Raises:
        DocumentsError: One of the places does not exist, or none has a supported file.
    """
    listing = list_files(places, options.suffixes, exclude=exclude, follow_links=options.follow_links)
    if not listing.files and not listing.skipped:
        raise _create_nothing_supported_error(places, listing.unsupported, options.suffixes)
    return listing


def _create_nothing_supported_error(
    places: Sequence[str | Path], unsupported: list[str], suffixes: Sequence[str]
) -> DocumentsError:
    place = ", ".join(map(str, places))
    formats = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
    if len(places) == 1 and Path(place).expanduser().is_file():
        return DocumentsError(
            f"{Path(place).name} has a format that is not supported.", hint=f"Convert it to one of {formats}."
        )
    if not unsupported:
        return DocumentsError(f"The folder {place} is empty.", hint=f"Put documents into it ({formats}).")
    shown = ", ".join(unsupported[:_SHOWN_FILES])
    more = f" and {len(unsupported) - _SHOWN_FILES} more" if len(unsupported) > _SHOWN_FILES else ""
    return DocumentsError(
        f"The folder {place} has no document in a supported format, only {shown}{more}.",
        hint=f"Supported are {formats}.",
    )


def _create_nothing_usable_error(path: Source | Sequence[Source], skipped: list[SkippedFile]) -> DocumentsError:
    place = path if isinstance(path, str | Path) else "these sources"
    if not skipped:
        return DocumentsError(
            f"Nothing at {place} can be used: the loaders returned no documents.", hint="Check what they load."
        )
    reasons = "; ".join(f"{file.source}: {file.reason}" for file in skipped[:_SHOWN_FILES])
    more = f"; and {len(skipped) - _SHOWN_FILES} more" if len(skipped) > _SHOWN_FILES else ""
    return DocumentsError(f"Nothing at {place} can be used ({reasons}{more}).", hint="Repair or replace the files.")
