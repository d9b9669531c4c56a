"""A BM25 index on disk: one archive in a folder, verified when it is read and replaced as a whole.

With one file, the file system makes a save atomic: the archive is written beside its place and renamed. It holds JSON
and plain number arrays, and no pickle.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_gptoss._io import create_private_folder, get_file_mode, open_replacement
from langchain_gptoss._optional import require
from langchain_gptoss.errors import IndexStoreError, InvalidInputError, StorageError
from langchain_gptoss.retrievers.bm25.postings import Postings, Segment

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Raised whenever the analysis of texts changes: the terms of a query must be those of the index.
FORMAT = 2
_READABLE_FORMATS = (1, FORMAT)
ARCHIVE = "bm25.zip"
_MANIFEST, _DOCUMENTS, _TERMS, _LENGTHS = "manifest.json", "documents.jsonl", "terms.json", "lengths.npy"
_SEGMENT_ARRAYS = ("terms", "starts", "rows", "counts")
_MEMBERS = (_DOCUMENTS, _TERMS, _LENGTHS, *(f"{name}.npy" for name in _SEGMENT_ARRAYS))


@dataclass(frozen=True, kw_only=True)
class SavedIndex:
    """The content of a saved index.

    Attributes:
        language: ISO 639-1 code, or None if it is detected.
        documents: By row; each has an id.
        terms: By term id.
        postings: One segment at most, without removed rows.
        has_current_terms: False if an earlier version made the terms, which queries of this version do not match.
    """

    language: str | None
    documents: list[Document]
    terms: list[str]
    postings: Postings
    has_current_terms: bool = True


def write_index(folder: Path, saved: SavedIndex) -> None:
    """Write an index into a folder, which is made if it is missing.

    Raises:
        InvalidInputError: The metadata of a document cannot be written as JSON.
        StorageError: The disk is full or the folder cannot be written.
    """
    members = _encode_members(saved)
    manifest = {
        "format": FORMAT,
        "language": saved.language,
        "count": len(saved.documents),
        "k1": saved.postings.k1,
        "b": saved.postings.b,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
    }
    try:
        create_private_folder(folder, restrict=True)
        with (
            open_replacement(folder / ARCHIVE, mode=get_file_mode(folder)) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        ):
            archive.writestr(_MANIFEST, json.dumps(manifest, indent=2).encode())
            for name, data in members.items():
                archive.writestr(name, data)
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StorageError(
            f"The index cannot be saved in {folder}: {'the disk is full' if is_full else error}.",
            hint=f"{'Free some space' if is_full else 'Check its permissions'}, or choose another folder.",
        ) from error


def _encode_members(saved: SavedIndex) -> dict[str, bytes]:
    np = require("numpy", extra="rag")
    segments = saved.postings.segments
    empty = {name: np.zeros(int(name == "starts"), dtype=np.int32) for name in _SEGMENT_ARRAYS}
    arrays = {name: getattr(segments[0], name) for name in _SEGMENT_ARRAYS} if segments else empty
    return {
        _DOCUMENTS: b"".join(_encode_document(document) for document in saved.documents),
        _TERMS: json.dumps(saved.terms, ensure_ascii=False).encode("utf-8", "surrogatepass"),
        _LENGTHS: _encode_array(saved.postings.lengths),
        **{f"{name}.npy": _encode_array(array) for name, array in arrays.items()},
    }


def _encode_document(document: Document) -> bytes:
    row = {"id": document.id, "page_content": document.page_content, "metadata": document.metadata}
    try:
        return json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"The metadata of document {document.id!r} cannot be saved as JSON ({error}).",
            hint="Use only text, numbers, true and false, lists and dicts.",
        ) from error


def _encode_array(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    require("numpy", extra="rag").save(stream, array, allow_pickle=False)
    return stream.getvalue()


def read_index(folder: Path) -> SavedIndex:
    """Return the saved index of a folder.

    Raises:
        IndexStoreError: There is no index, it is damaged, or a newer version wrote it.
    """
    try:
        with zipfile.ZipFile(folder / ARCHIVE) as archive:
            manifest = json.loads(archive.read(_MANIFEST))
            _check_format(folder, manifest)
            members = {name: archive.read(name) for name in _MEMBERS}
    except (FileNotFoundError, NotADirectoryError):
        raise IndexStoreError(
            f"There is no saved index in {folder}.", hint="Check the path, or save an index first."
        ) from None
    except OSError as error:
        raise IndexStoreError(
            f"The index in {folder} cannot be read ({error}).", hint="Check its permissions."
        ) from error
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise _create_damage_error(folder, f"{ARCHIVE} is not an index archive ({error})") from error
    for name, data in members.items():
        if hashlib.sha256(data).hexdigest() != manifest["sha256"].get(name):
            raise _create_damage_error(folder, f"{name} was changed (its SHA-256 differs)")
    try:
        return _decode_members(manifest, members)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _create_damage_error(folder, str(error)) from error


def _check_format(folder: Path, manifest: Any) -> None:
    if not isinstance(manifest, dict) or not isinstance(manifest.get("sha256"), dict):
        raise ValueError(f"{_MANIFEST} is not a manifest")
    if manifest.get("format") not in _READABLE_FORMATS:
        raise IndexStoreError(
            f"The index in {folder} has format {manifest.get('format')} and this version reads format {FORMAT}.",
            hint="Upgrade langchain-gptoss, or build the index again.",
        )


def _decode_members(manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> SavedIndex:
    np = require("numpy", extra="rag")
    rows = [json.loads(line.decode("utf-8", "surrogatepass")) for line in members[_DOCUMENTS].split(b"\n") if line]
    documents = [Document(id=row["id"], page_content=row["page_content"], metadata=row["metadata"]) for row in rows]
    terms = json.loads(members[_TERMS].decode("utf-8", "surrogatepass"))
    postings = Postings(k1=float(manifest["k1"]), b=float(manifest["b"]))
    postings.lengths = _decode_array(members[_LENGTHS])
    postings.alive = np.ones(len(postings.lengths), dtype=np.bool_)
    segment = Segment(**{name: _decode_array(members[f"{name}.npy"]) for name in _SEGMENT_ARRAYS})
    postings.segments = [segment] if len(segment.rows) else []
    if not len(documents) == len(postings.lengths) == manifest["count"] == len({d.id for d in documents}):
        raise ValueError("the numbers of documents, ids and lengths differ")
    _check_segment(segment, row_count=len(documents), term_count=len(terms))
    return SavedIndex(
        language=manifest["language"],
        documents=documents,
        terms=terms,
        postings=postings,
        has_current_terms=manifest["format"] == FORMAT,
    )


def _decode_array(data: bytes) -> Any:
    return require("numpy", extra="rag").load(io.BytesIO(data), allow_pickle=False)


def _check_segment(segment: Segment, *, row_count: int, term_count: int) -> None:
    """Raise ValueError if postings are inconsistent: a search would return wrong documents or fail much later."""
    posting_count = len(segment.rows)
    lengths = (len(segment.starts), len(segment.counts), int(segment.starts[-1]))
    is_ordered = bool(
        (segment.starts[1:] >= segment.starts[:-1]).all() and (segment.terms[1:] > segment.terms[:-1]).all()
    )
    if lengths != (len(segment.terms) + 1, posting_count, posting_count) or not is_ordered:
        raise ValueError("its postings are not in order")
    if posting_count and not (
        0 <= int(segment.rows.min()) <= int(segment.rows.max()) < row_count
        and 0 <= int(segment.terms[0]) <= int(segment.terms[-1]) < term_count
    ):
        raise ValueError("its postings refer to rows or terms that do not exist")


def _create_damage_error(folder: Path, reason: str) -> IndexStoreError:
    return IndexStoreError(
        f"The index in {folder} is damaged: {reason}.", hint="Build the index again, or restore a copy."
    )
