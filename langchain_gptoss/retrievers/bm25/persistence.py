"""How a BM25 index lies on disk: one archive in a folder, checked before it is read, replaced as a whole.

One file, because the file system then makes a save atomic by itself: the archive is written beside its place, flushed,
and renamed. It holds JSON and plain number arrays, and no pickle.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_gptoss._optional import require
from langchain_gptoss.errors import IndexStoreError, InvalidInputError, StorageError
from langchain_gptoss.retrievers.bm25.postings import Postings, Segment

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 1
ARCHIVE = "bm25.zip"
_MANIFEST, _DOCUMENTS, _TERMS, _LENGTHS = "manifest.json", "documents.jsonl", "terms.json", "lengths.npy"
_SEGMENT = ("terms", "starts", "rows", "counts")
_MEMBERS = (_DOCUMENTS, _TERMS, _LENGTHS, *(f"{name}.npy" for name in _SEGMENT))


@dataclass(frozen=True, kw_only=True)
class Saved:
    """An index as it is saved.

    Attributes:
        language: ISO 639-1 code, or None where it is detected.
        documents: By row; each has an id.
        terms: By term id.
        postings: In one segment at most, without removed rows.
    """

    language: str | None
    documents: list[Document]
    terms: list[str]
    postings: Postings


def write_index(folder: Path, saved: Saved) -> None:
    """Writes an index into a folder, which is made where it is missing.

    Raises:
        InvalidInputError: A document's metadata cannot be written as JSON.
        StorageError: The disk is full or the folder cannot be written.
    """
    members = _members(saved)
    manifest = {
        "format": FORMAT,
        "language": saved.language,
        "count": len(saved.documents),
        "k1": saved.postings.k1,
        "b": saved.postings.b,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_archive(folder, {_MANIFEST: json.dumps(manifest, indent=2).encode(), **members})
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why, what = ("the disk is full", "Free some space") if full else (str(error), "Check its permissions")
        raise StorageError(
            f"The index could not be saved in {folder}: {why}. {what}, or choose another folder."
        ) from error


def _members(saved: Saved) -> dict[str, bytes]:
    np = require("numpy", extra="rag")
    segments = saved.postings.segments
    empty = {name: np.zeros(int(name == "starts"), dtype=np.int32) for name in _SEGMENT}
    arrays = {name: getattr(segments[0], name) for name in _SEGMENT} if segments else empty
    return {
        _DOCUMENTS: b"".join(_json_line(document) for document in saved.documents),
        _TERMS: json.dumps(saved.terms, ensure_ascii=False).encode("utf-8", "surrogatepass"),
        _LENGTHS: _array_bytes(saved.postings.lengths),
        **{f"{name}.npy": _array_bytes(array) for name, array in arrays.items()},
    }


def _json_line(document: Document) -> bytes:
    row = {"id": document.id, "page_content": document.page_content, "metadata": document.metadata}
    try:
        return json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"The metadata of document {document.id!r} cannot be saved as JSON ({error}). "
            "Keep to text, numbers, true and false, lists and dicts."
        ) from error


def _array_bytes(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    require("numpy", extra="rag").save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _write_archive(folder: Path, members: Mapping[str, bytes]) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{ARCHIVE}-", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for member, data in members.items():
                    archive.writestr(member, data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)  # mkstemp's 0600 would hide a shared index from its other users
        os.replace(name, folder / ARCHIVE)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_index(folder: Path) -> Saved:
    """Reads a saved index.

    Raises:
        IndexStoreError: There is none, it is damaged, or a newer version wrote it.
    """
    try:
        with zipfile.ZipFile(folder / ARCHIVE) as archive:
            manifest = json.loads(archive.read(_MANIFEST))
            _check_format(folder, manifest)
            members = {name: archive.read(name) for name in _MEMBERS}
    except (FileNotFoundError, NotADirectoryError):
        raise IndexStoreError(f"There is no saved index in {folder}. Check the path, or save one first.") from None
    except OSError as error:
        raise IndexStoreError(f"The index in {folder} cannot be read ({error}). Check its permissions.") from error
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise _damaged(folder, f"{ARCHIVE} is not what was saved ({error})") from error
    for name, data in members.items():
        if hashlib.sha256(data).hexdigest() != manifest["sha256"].get(name):
            raise _damaged(folder, f"{name} is not what was saved (its SHA-256 differs)")
    try:
        return _restored(manifest, members)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _damaged(folder, str(error)) from error


def _check_format(folder: Path, manifest: Any) -> None:
    if not isinstance(manifest, dict) or not isinstance(manifest.get("sha256"), dict):
        raise ValueError(f"{_MANIFEST} is not a manifest")
    if manifest.get("format") != FORMAT:
        raise IndexStoreError(
            f"The index in {folder} has format {manifest.get('format')} and this version reads format {FORMAT}. "
            "Upgrade langchain-gptoss, or build the index again."
        )


def _restored(manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> Saved:
    np = require("numpy", extra="rag")
    rows = [json.loads(line.decode("utf-8", "surrogatepass")) for line in members[_DOCUMENTS].split(b"\n") if line]
    documents = [Document(id=row["id"], page_content=row["page_content"], metadata=row["metadata"]) for row in rows]
    terms = json.loads(members[_TERMS].decode("utf-8", "surrogatepass"))
    postings = Postings(k1=float(manifest["k1"]), b=float(manifest["b"]))
    postings.lengths = _array(members[_LENGTHS])
    postings.alive = np.ones(len(postings.lengths), dtype=np.bool_)
    segment = Segment(**{name: _array(members[f"{name}.npy"]) for name in _SEGMENT})
    postings.segments = [segment] if len(segment.rows) else []
    if not len(documents) == len(postings.lengths) == manifest["count"] == len({d.id for d in documents}):
        raise ValueError("its documents and its postings do not belong together")
    _check_postings(segment, rows=len(documents), terms=len(terms))
    return Saved(language=manifest["language"], documents=documents, terms=terms, postings=postings)


def _array(data: bytes) -> Any:
    return require("numpy", extra="rag").load(io.BytesIO(data), allow_pickle=False)


def _check_postings(segment: Segment, *, rows: int, terms: int) -> None:
    """Refuses numbers that point outside; a search would take the wrong document's or fail much later."""
    ends = (len(segment.terms) + 1, len(segment.rows), len(segment.rows))
    ordered = bool((segment.starts[1:] >= segment.starts[:-1]).all() and (segment.terms[1:] > segment.terms[:-1]).all())
    if (len(segment.starts), len(segment.counts), int(segment.starts[-1])) != ends or not ordered:
        raise ValueError("its postings are not in order")
    if len(segment.rows) and not (
        0 <= int(segment.rows.min()) <= int(segment.rows.max()) < rows
        and 0 <= int(segment.terms[0]) <= int(segment.terms[-1]) < terms
    ):
        raise ValueError("its postings point outside")


def _damaged(folder: Path, why: str) -> IndexStoreError:
    return IndexStoreError(f"The index in {folder} is damaged: {why}. Build the index again, or restore a copy.")
