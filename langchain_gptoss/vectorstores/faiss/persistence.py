"""The files of a saved `FaissStore`: two parts and a manifest that names them.

A part is written under a new name, which contains the beginning of its SHA-256. The manifest is replaced last, in one
rename. So at any time the parts of the manifest are complete. A crash leaves at most files that no manifest names; the
next save removes them. This module knows nothing of FAISS and SQLite.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings

from langchain_gptoss._io import (
    PRIVATE_FOLDER_MODE,
    create_private_folder,
    get_file_mode,
    lock_path,
    open_replacement_folder,
    sync_to_disk,
    write_atomically,
)
from langchain_gptoss.errors import IndexStoreError, InvalidInputError, StorageError

FORMAT = 1
INDEX, DOCUMENTS, MANIFEST = "index", "documents", "manifest.json"
SUFFIXES: Mapping[str, str] = {INDEX: ".faiss", DOCUMENTS: ".sqlite"}
LOCK_TIMEOUT_S = 60.0
_NEW_SUFFIX = ".new"
_OWN_FILE = re.compile(
    r"index-[0-9a-f]{16}\.faiss|documents-[0-9a-f]{16}\.sqlite|(index\.faiss|documents\.sqlite)\.new(-journal)?"
    r"|manifest\.json|\.partial-manifest\.json-.*"
)
_DESKTOP_FILES = {".DS_Store", "Thumbs.db", "desktop.ini"}

PartWriter = Callable[[Path], None]
"""Writes a part to a path at which no file exists."""


@dataclass(frozen=True)
class SavedStore:
    """A store on disk that has passed all checks.

    Attributes:
        folder: Folder of the store.
        manifest: Content of its manifest.
        paths: Paths of its parts, by role (`INDEX` and `DOCUMENTS`).
    """

    folder: Path
    manifest: Mapping[str, Any]
    paths: Mapping[str, Path]


def get_model_name(embedding: Embeddings) -> str | None:
    """Return the name of an embedding model, or None if it has none."""
    names = (getattr(embedding, attribute, None) for attribute in ("model_name", "model"))
    return next((name for name in names if isinstance(name, str)), None)


def save_store(folder: Path, writers: Mapping[str, PartWriter], manifest: Mapping[str, Any]) -> bytes:
    """Replace the store in a folder, or create the folder. If saving fails, the old store is unchanged.

    Args:
        folder: An absolute path.
        writers: The writer of each part, by role.
        manifest: Content of the manifest, without the format and the parts.

    Returns:
        The manifest as written.

    Raises:
        InvalidInputError: The folder contains other files.
        IndexStoreError: Another process has locked the folder for too long.
        StorageError: The disk is full, or the folder cannot be written.
    """
    try:
        _check_folder(folder)
        with _lock_folder(folder):
            if folder.exists():
                create_private_folder(folder, restrict=True)
                return _write_store(folder, writers, manifest)
            # A new folder gets its name when it is complete, so every folder contains a store.
            with open_replacement_folder(folder, mode=PRIVATE_FOLDER_MODE) as new_folder:
                written = _write_store(new_folder, writers, manifest)
            sync_to_disk(folder.parent)
            return written
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason, advice = ("the disk is full", "Free some space") if is_full else (str(error), "Check its permissions")
        raise StorageError(
            f"The index cannot be saved in {folder}: {reason}.", hint=f"{advice}, or choose another folder."
        ) from error


def _write_store(folder: Path, writers: Mapping[str, PartWriter], manifest: Mapping[str, Any]) -> bytes:
    _remove_unnamed_files(folder)
    try:
        parts = {role: _write_part(folder, role, write) for role, write in writers.items()}
        sync_to_disk(folder)
        written = json.dumps({"format": FORMAT, **manifest, "parts": parts}, indent=2).encode()
        write_atomically(folder / MANIFEST, written, mode=get_file_mode(folder))
        return written
    finally:
        with contextlib.suppress(OSError):  # the next save removes what cannot be removed now
            _remove_unnamed_files(folder)


def is_saved_as(folder: Path, manifest: bytes) -> bool:
    """Return True if a folder still contains the result of an earlier save: its manifest, and parts of its sizes."""
    try:
        parts = json.loads(manifest)["parts"].values()
        is_complete = all((folder / part["file"]).stat().st_size == part["bytes"] for part in parts)
        return is_complete and _read_manifest(folder) == manifest
    except OSError:
        return False


def _check_folder(folder: Path) -> None:
    """Reject a folder with unrelated user files."""
    if folder.exists():
        names = {path.name for path in folder.iterdir() if not _OWN_FILE.fullmatch(path.name)} - _DESKTOP_FILES
        if names:
            raise InvalidInputError(
                f"The folder {folder} contains other files ({', '.join(sorted(names)[:3])}).",
                hint="Choose a new or an empty folder for the index.",
            )


@contextlib.contextmanager
def _lock_folder(folder: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock_path(folder, timeout_s=LOCK_TIMEOUT_S))
        except TimeoutError:
            raise IndexStoreError(
                f"The index in {folder} has been locked by another process for more than {LOCK_TIMEOUT_S:g} seconds.",
                hint="Wait until it has saved or loaded, or end it.",
            ) from None
        yield


def _read_manifest(folder: Path) -> bytes:
    try:
        return (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        return b""


def _list_named_files(manifest: bytes) -> set[str]:
    """Return the names of the files that belong to a manifest, its own included."""
    try:
        parts = json.loads(manifest)["parts"].values()
        return {MANIFEST} | {str(part["file"]) for part in parts}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {MANIFEST}


def _remove_unnamed_files(folder: Path) -> None:
    """Remove files that a save has made and the present manifest does not name."""
    named = _list_named_files(_read_manifest(folder))
    for path in folder.iterdir():
        if _OWN_FILE.fullmatch(path.name) and path.name not in named:
            path.unlink()


def _write_part(folder: Path, role: str, write: PartWriter) -> dict[str, Any]:
    """Write one part and return its entry in the manifest."""
    # Not `_io.open_replacement`: the final name depends on the content.
    new_path = folder / f"{role}{SUFFIXES[role]}{_NEW_SUFFIX}"
    try:
        write(new_path)
        new_path.chmod(get_file_mode(folder))
        sync_to_disk(new_path)
        digest = _hash_file(new_path)
        path = folder / f"{role}-{digest[:16]}{SUFFIXES[role]}"
        os.replace(new_path, path)
    except BaseException:
        with contextlib.suppress(OSError):
            new_path.unlink(missing_ok=True)
        raise
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": digest}


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def open_store(folder: Path, embedding: Embeddings) -> Iterator[SavedStore]:
    """Check a saved store and yield it; no save replaces it during the block.

    Args:
        folder: An absolute path.
        embedding: The embedding model of the store.

    Raises:
        IndexStoreError: The store is missing, damaged, newer than this version, made with another embedding model, or
            locked by another process.
    """
    try:
        with _lock_out_savers(folder):
            manifest = _parse_manifest(folder, (folder / MANIFEST).read_bytes())
            _check_model(folder, manifest, embedding)
            paths = {role: folder / manifest["parts"][role]["file"] for role in (INDEX, DOCUMENTS)}
            for role, path in paths.items():
                _check_part(folder, path, manifest["parts"][role])
            yield SavedStore(folder, manifest, paths)
    except (FileNotFoundError, NotADirectoryError) as error:
        name = Path(error.filename).name
        if name != MANIFEST:
            raise build_damage_error(folder, f"{name} is missing") from None
        raise IndexStoreError(
            f"There is no saved index in {folder}.", hint="Check the path, or index and save first."
        ) from None
    except OSError as error:
        raise IndexStoreError(
            f"The index in {folder} cannot be read ({error}).", hint="Check its permissions."
        ) from error


@contextlib.contextmanager
def _lock_out_savers(folder: Path) -> Iterator[None]:
    """Hold the lock of a store during the block. A store in a read-only place needs none."""
    with contextlib.ExitStack() as stack:
        if (folder / MANIFEST).exists():
            with contextlib.suppress(OSError):
                stack.enter_context(_lock_folder(folder))
        yield


def build_damage_error(folder: Path, reason: str) -> IndexStoreError:
    """Return the error for a store that is not as it was saved."""
    return IndexStoreError(
        f"The index in {folder} is damaged: {reason}.", hint="Build the index again, or restore a copy."
    )


def _parse_manifest(folder: Path, data: bytes) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(data)
        version = manifest["format"]
        if isinstance(version, int) and version > FORMAT:
            raise IndexStoreError(
                f"The index in {folder} has format {version}, and this version reads up to format {FORMAT}.",
                hint="Upgrade langchain-gptoss, or build the index again.",
            )
        if version != FORMAT or not all(_is_valid_part(role, manifest["parts"][role]) for role in (INDEX, DOCUMENTS)):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise build_damage_error(folder, f"{MANIFEST} is not a manifest") from None
    return manifest


def _is_valid_part(role: str, part: Mapping[str, Any]) -> bool:
    # The name must not lead out of the folder.
    return part["file"] == f"{role}-{part['sha256'][:16]}{SUFFIXES[role]}" and bool(_OWN_FILE.fullmatch(part["file"]))


def _check_part(folder: Path, path: Path, part: Mapping[str, Any]) -> None:
    size = path.stat().st_size
    if (expected := part.get("bytes", size)) != size:
        raise build_damage_error(folder, f"{path.name} is not what was saved ({size} bytes instead of {expected})")
    if _hash_file(path) != part["sha256"]:
        raise build_damage_error(folder, f"{path.name} is not what was saved (its SHA-256 differs)")


def _check_model(folder: Path, manifest: Mapping[str, Any], embedding: Embeddings) -> None:
    saved_name, name = manifest.get("embedding_model"), get_model_name(embedding)
    if saved_name and name and saved_name != name:
        raise IndexStoreError(
            f"The index in {folder} was made with the embedding model {saved_name}, and {name} was given.",
            hint=f"Load it with {saved_name}, or build the index again.",
        )


def check_dimension(folder: Path, manifest: Mapping[str, Any], embedding: Embeddings) -> None:
    """Embed one text, to check that the model makes vectors of the store's dimension.

    Raises:
        IndexStoreError: The dimensions differ.
    """
    dimension = manifest.get("dimension")
    if dimension is not None and dimension != (length := len(embedding.embed_query("dimension"))):
        raise IndexStoreError(
            f"The index in {folder} contains vectors of {dimension} dimensions, and the embedding model makes "
            f"{length}.",
            hint="Load it with the embedding model it was made with, or build the index again.",
        )
