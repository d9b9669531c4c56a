"""How a `FaissStore` lies on disk: three files, written as a whole and checked before they are opened.

Apart from the store, because searching needs none of it: no file is touched here that the store is not asked to save
or load, and nothing of FAISS is known here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss.errors import IndexStoreError, InvalidInputError, StorageError

FORMAT = 1
INDEX, DOCUMENTS, MANIFEST = "index.faiss", "documents.jsonl", "manifest.json"
_LEFT_BY_DESKTOPS = {".DS_Store", "Thumbs.db", "desktop.ini"}
_LOCK_SECONDS = 60


def model_name(embedding: Embeddings) -> str | None:
    names = (getattr(embedding, attribute, None) for attribute in ("model_name", "model"))
    return next((name for name in names if isinstance(name, str)), None)


def json_line(key: int, document: Document) -> bytes:
    row = {
        "key": key,
        "id": document.id,
        "page_content": document.page_content,
        "metadata": document.metadata,
    }
    try:
        return json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"The metadata of document {document.id!r} cannot be saved as JSON ({error}). "
            "Keep to text, numbers, true and false, lists and dicts."
        ) from error


def _sibling(folder: Path, role: str) -> Path:
    return folder.with_name(f".{folder.name}.{role}")


def save_files(folder: Path, files: Mapping[str, bytes]) -> None:
    fresh, old = _sibling(folder, "new"), _sibling(folder, "old")
    try:
        _refuse_foreign(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(_sibling(folder, "lock"), timeout=_LOCK_SECONDS):
            _clear_leftovers(folder)
            try:
                fresh.mkdir()
                for name, data in files.items():
                    _write_durably(fresh / name, data)
                _sync_folder(fresh)
                _swap(fresh, folder, old)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why, what = ("the disk is full", "Free some space") if full else (str(error), "Check its permissions")
        raise StorageError(
            f"The index could not be saved in {folder}: {why}. {what}, or choose another folder."
        ) from error


def _refuse_foreign(folder: Path) -> None:
    """Keeps a folder of somebody's documents from being replaced by an index."""
    if folder.exists():
        others = {path.name for path in folder.iterdir()} - {INDEX, DOCUMENTS, MANIFEST} - _LEFT_BY_DESKTOPS
        if others:
            raise InvalidInputError(
                f"The folder {folder} holds other files ({', '.join(sorted(others)[:3])}), "
                "which saving would delete. Choose a new or an empty folder."
            )


def _clear_leftovers(folder: Path) -> None:
    """Undoes a save that a crash cut short. The caller holds the lock."""
    old = _sibling(folder, "old")
    if old.exists() and not folder.exists():
        os.replace(old, folder)
    for leftover in (old, _sibling(folder, "new")):
        if leftover.exists():
            shutil.rmtree(leftover)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _swap(fresh: Path, folder: Path, old: Path) -> None:
    replaces = folder.exists()
    if replaces:
        os.replace(folder, old)
    try:
        os.replace(fresh, folder)
    except OSError:
        if replaces:
            os.replace(old, folder)
        raise
    _sync_folder(folder.parent)


def load_files(folder: Path) -> dict[str, bytes]:
    try:
        with _reading(folder):
            return {name: (folder / name).read_bytes() for name in (MANIFEST, INDEX, DOCUMENTS)}
    except (FileNotFoundError, NotADirectoryError) as error:
        name = Path(error.filename).name
        if name != MANIFEST:
            raise damaged(folder, f"{name} is missing") from None
        raise IndexStoreError(
            f"There is no saved index in {folder}. Check the path, or index and save first."
        ) from None
    except OSError as error:
        raise IndexStoreError(f"The index in {folder} cannot be read ({error}). Check its permissions.") from error


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Keeps savers out while a store is read, as far as the place lets us: a read-only one has no savers."""
    if not folder.exists() and not _sibling(folder, "old").exists():
        yield
        return
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(FileLock(_sibling(folder, "lock"), timeout=_LOCK_SECONDS))
            _clear_leftovers(folder)
        yield


def damaged(folder: Path, why: str) -> IndexStoreError:
    return IndexStoreError(f"The index in {folder} is damaged: {why}. Build the index again, or restore a copy.")


def checked_manifest(folder: Path, files: Mapping[str, bytes], embedding: Embeddings) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(files[MANIFEST])
        version, hashes, dimension = (
            manifest["format"],
            dict(manifest.get("sha256", {})),
            manifest.get("dimension"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged(folder, f"{MANIFEST} is not a manifest") from None
    if version != FORMAT or manifest.get("metric") != "cosine":
        raise IndexStoreError(
            f"The index in {folder} has format {version} ({manifest.get('metric')}) and this version "
            f"reads format {FORMAT} (cosine). Upgrade langchain-gptoss, or build the index again."
        )
    for name in (INDEX, DOCUMENTS):
        if hashlib.sha256(files[name]).hexdigest() != hashes.get(name):
            raise damaged(folder, f"{name} is not what was saved (its SHA-256 differs)")
    saved, given = manifest.get("embedding_model"), model_name(embedding)
    if saved and given and saved != given:
        raise IndexStoreError(
            f"The index in {folder} was made with the embedding model {saved} and {given} was given. "
            f"Load it with {saved}, or build the index again."
        )
    if dimension is not None and dimension != (length := len(embedding.embed_query("dimension"))):
        raise IndexStoreError(
            f"The index in {folder} holds vectors of {dimension} dimensions and the embedding model "
            f"makes {length}. Load it with the embedding model it was made with, or build the index again."
        )
    return manifest
