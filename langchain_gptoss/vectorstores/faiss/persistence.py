"""How a `FaissStore` lies on disk: two parts and a manifest that names them.

A part is written under a new name, which holds the beginning of its SHA-256; the manifest is replaced last, in one
rename. So there is at any time one manifest whose parts are complete, and a crash leaves at most files that nobody
names, which the next save removes. Nothing of FAISS or SQLite is known here.

Format 1, written by the first versions, is three files with fixed names in a folder that was replaced as a whole. It
is still read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from langchain_core.embeddings import Embeddings

from langchain_gptoss.errors import IndexStoreError, InvalidInputError, StorageError

FORMAT = 2
INDEX, DOCUMENTS, MANIFEST = "index", "documents", "manifest.json"
SUFFIXES: Mapping[str, str] = {INDEX: ".faiss", DOCUMENTS: ".sqlite"}
_FORMAT_1_PARTS: Mapping[str, str] = {INDEX: "index.faiss", DOCUMENTS: "documents.jsonl"}
_NEW = ".new"
_OURS = re.compile(
    r"(index-[0-9a-f]{16}\.faiss|documents-[0-9a-f]{16}\.sqlite|(index\.faiss|documents\.sqlite)\.new(-journal)?"
    r"|manifest\.json(\.new)?|index\.faiss|documents\.jsonl)"
)
_LEFT_BY_DESKTOPS = {".DS_Store", "Thumbs.db", "desktop.ini"}
_LOCK_SECONDS = 60.0

Writer = Callable[[Path], None]
"""Writes a part at a path where nothing is yet."""


@dataclass(frozen=True)
class Saved:
    """A store on disk that has been checked.

    Attributes:
        folder: Where it is.
        manifest: What its manifest says.
        paths: Where its parts are, by role.
    """

    folder: Path
    manifest: Mapping[str, Any]
    paths: Mapping[str, Path]


def model_name(embedding: Embeddings) -> str | None:
    """Returns the name of an embedding model, where it tells."""
    names = (getattr(embedding, attribute, None) for attribute in ("model_name", "model"))
    return next((name for name in names if isinstance(name, str)), None)


def _sibling(folder: Path, role: str) -> Path:
    return folder.with_name(f".{folder.name}.{role}")


def save_folder(folder: Path, writers: Mapping[str, Writer], manifest: Mapping[str, Any]) -> bytes:
    """Saves a store in place of the one that is there, or leaves that one.

    Args:
        folder: Where; an absolute path.
        writers: What writes each part.
        manifest: What the manifest says besides the format and the parts.

    Returns:
        The manifest as written.

    Raises:
        InvalidInputError: The folder holds other files.
        IndexStoreError: Another process holds it.
        StorageError: The disk is full, or the folder cannot be written.
    """
    try:
        _refuse_foreign(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            _clear_leftovers(folder)
            # A new folder takes its name when it is complete, so that where there is a folder there is a store.
            place = folder if folder.exists() else _sibling(folder, "new")
            place.mkdir(exist_ok=True)
            try:
                written = _write_store(place, writers, manifest)
                if place != folder:
                    os.replace(place, folder)
                _sync_folder(folder.parent)
                return written
            finally:
                if place != folder:
                    shutil.rmtree(place, ignore_errors=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why, what = ("the disk is full", "Free some space") if full else (str(error), "Check its permissions")
        raise StorageError(
            f"The index could not be saved in {folder}: {why}. {what}, or choose another folder."
        ) from error


def _write_store(place: Path, writers: Mapping[str, Writer], manifest: Mapping[str, Any]) -> bytes:
    _remove_all_but(place, _named(_manifest_bytes(place)))
    try:
        parts = {role: _write_part(place, role, write) for role, write in writers.items()}
        _sync_folder(place)
        written = json.dumps({"format": FORMAT, **manifest, "parts": parts}, indent=2).encode()
        _replace_manifest(place, written)
        return written
    finally:
        with contextlib.suppress(OSError):  # what cannot be removed now goes with the next save
            _remove_all_but(place, _named(_manifest_bytes(place)))


def is_saved_as(folder: Path, manifest: bytes) -> bool:
    """Returns whether a folder holds what an earlier save has written: the same manifest, and parts of its sizes."""
    try:
        parts = json.loads(manifest)["parts"].values()
        sizes = all((folder / part["file"]).stat().st_size == part["bytes"] for part in parts)
        return sizes and _manifest_bytes(folder) == manifest
    except OSError:
        return False


def _refuse_foreign(folder: Path) -> None:
    """Keeps files of somebody's from being mixed with an index."""
    if folder.exists():
        others = {path.name for path in folder.iterdir() if not _OURS.fullmatch(path.name)} - _LEFT_BY_DESKTOPS
        if others:
            raise InvalidInputError(
                f"The folder {folder} holds other files ({', '.join(sorted(others)[:3])}). "
                "Choose a new or an empty folder for the index."
            )


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        with FileLock(_sibling(folder, "lock"), timeout=_LOCK_SECONDS):
            yield
    except Timeout:
        raise IndexStoreError(
            f"The index in {folder} is locked by another process, for more than {_LOCK_SECONDS:g} seconds. "
            "Wait until it has saved or loaded, or end it."
        ) from None


def _undo_swap(folder: Path) -> None:
    """Puts back what a save of format 1 had set aside when it was cut short."""
    old = _sibling(folder, "old")
    if not folder.exists() and old.exists():
        os.replace(old, folder)


def _clear_leftovers(folder: Path) -> None:
    """Removes what a save that was cut short has left beside the folder. The caller holds the lock."""
    _undo_swap(folder)
    for leftover in (_sibling(folder, "old"), _sibling(folder, "new")):
        if leftover.exists():
            shutil.rmtree(leftover)


def _manifest_bytes(folder: Path) -> bytes:
    try:
        return (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        return b""


def _named(manifest: bytes) -> set[str]:
    """Returns the files that belong to a manifest, itself included."""
    if not manifest:
        return set()
    try:
        parts = json.loads(manifest)["parts"].values()
        return {MANIFEST} | {str(part["file"]) for part in parts}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {MANIFEST, *_FORMAT_1_PARTS.values()}


def _remove_all_but(folder: Path, kept: set[str]) -> None:
    for path in folder.iterdir():
        if _OURS.fullmatch(path.name) and path.name not in kept:
            path.unlink()


def _write_part(folder: Path, role: str, write: Writer) -> dict[str, Any]:
    fresh = folder / f"{role}{SUFFIXES[role]}{_NEW}"
    try:
        write(fresh)
        _sync_file(fresh)
        digest = _sha256(fresh)
        path = folder / f"{role}-{digest[:16]}{SUFFIXES[role]}"
        os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": digest}


def _replace_manifest(folder: Path, data: bytes) -> None:
    fresh = folder / f"{MANIFEST}{_NEW}"
    fresh.write_bytes(data)
    _sync_file(fresh)
    os.replace(fresh, folder / MANIFEST)
    _sync_folder(folder)


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def opened_folder(folder: Path, embedding: Embeddings) -> Iterator[Saved]:
    """Opens a saved store: it is checked, and no save replaces it while it is read.

    Args:
        folder: Where it is; an absolute path.
        embedding: The embedding model that it must have been made with.

    Raises:
        IndexStoreError: It is missing, damaged, newer than this version, made with another embedding model, or held
            by another process.
    """
    try:
        with _reading(folder):
            manifest = _checked_manifest(folder, (folder / MANIFEST).read_bytes())
            _check_model(folder, manifest, embedding)
            paths = {role: folder / part["file"] for role, part in manifest["parts"].items()}
            for role, path in paths.items():
                _check_part(folder, path, manifest["parts"][role])
            yield Saved(folder, manifest, paths)
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
    with contextlib.ExitStack() as stack:
        if (folder / MANIFEST).exists() or _sibling(folder, "old").exists():
            with contextlib.suppress(OSError):
                stack.enter_context(_locked(folder))
                _undo_swap(folder)
        yield


def damaged(folder: Path, why: str) -> IndexStoreError:
    """Returns the error for a store that is not as it was saved."""
    return IndexStoreError(f"The index in {folder} is damaged: {why}. Build the index again, or restore a copy.")


def _checked_manifest(folder: Path, data: bytes) -> dict[str, Any]:
    """Returns a manifest in the form of this version, whatever version wrote it."""
    try:
        manifest: dict[str, Any] = json.loads(data)
        version = manifest["format"]
        if version == 1:
            manifest = _from_format_1(manifest)
        elif isinstance(version, int) and version > FORMAT:
            raise IndexStoreError(
                f"The index in {folder} has format {version} and this version reads up to format {FORMAT}. "
                "Upgrade langchain-gptoss, or build the index again."
            )
        elif version != FORMAT or not all(_is_part(role, manifest["parts"][role]) for role in (INDEX, DOCUMENTS)):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise damaged(folder, f"{MANIFEST} is not a manifest") from None
    return manifest


def _is_part(role: str, part: Mapping[str, Any]) -> bool:
    # The name must not lead out of the folder.
    return part["file"] == f"{role}-{part['sha256'][:16]}{SUFFIXES[role]}" and bool(_OURS.fullmatch(part["file"]))


def _from_format_1(old: Mapping[str, Any]) -> dict[str, Any]:
    hashes = dict(old["sha256"])
    parts = {role: {"file": name, "sha256": hashes[name]} for role, name in _FORMAT_1_PARTS.items()}
    if old["metric"] != "cosine":
        raise ValueError
    return {
        "format": 1,
        "metric": "cosine",
        "dimension": old["dimension"],
        "count": old["count"],
        "embedding_model": old.get("embedding_model"),
        "index": {"kind": "Flat", "asked": None, "trained_on": 0},
        "parts": parts,
    }


def _check_part(folder: Path, path: Path, part: Mapping[str, Any]) -> None:
    size = path.stat().st_size
    if (expected := part.get("bytes", size)) != size:
        raise damaged(folder, f"{path.name} is not what was saved ({size} bytes instead of {expected})")
    if _sha256(path) != part["sha256"]:
        raise damaged(folder, f"{path.name} is not what was saved (its SHA-256 differs)")


def _check_model(folder: Path, manifest: Mapping[str, Any], embedding: Embeddings) -> None:
    saved, given = manifest.get("embedding_model"), model_name(embedding)
    if saved and given and saved != given:
        raise IndexStoreError(
            f"The index in {folder} was made with the embedding model {saved} and {given} was given. "
            f"Load it with {saved}, or build the index again."
        )


def check_dimension(folder: Path, manifest: Mapping[str, Any], embedding: Embeddings) -> None:
    """Embeds one text to see whether the model makes vectors of the store's dimension.

    Raises:
        IndexStoreError: It does not.
    """
    dimension = manifest.get("dimension")
    if dimension is not None and dimension != (length := len(embedding.embed_query("dimension"))):
        raise IndexStoreError(
            f"The index in {folder} holds vectors of {dimension} dimensions and the embedding model "
            f"makes {length}. Load it with the embedding model it was made with, or build the index again."
        )
