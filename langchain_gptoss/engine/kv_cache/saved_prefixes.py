"""Prefixes on disk: their keys and values, so that the next process need not compute them again."""

import hashlib
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from langchain_gptoss._io import PRIVATE_MODE, create_private_folder, find_foreign_access, lock_path, open_replacement
from langchain_gptoss.engine.batch import BLOCK_TOKENS, CacheLayout
from langchain_gptoss.engine.kv_cache.prefix_file import (
    FORMAT_VERSION,
    PrefixFile,
    PrefixFileError,
    TokenIds,
    compute_file_size,
    open_prefix,
    read_blocks,
    write_prefix,
)
from langchain_gptoss.errors import InvalidInputError, StorageError
from langchain_gptoss.models.safetensors_files import StoredTensor, list_weight_files, read_header

_logger = logging.getLogger(__name__)

_IDENTITY_DIGITS, _TOKEN_DIGITS = 16, 32  # of the hashes in a file's name
_SUFFIX = ".prefix"
_FILE_NAME = re.compile(rf"[0-9a-f]{{{_IDENTITY_DIGITS}}}-[0-9a-f]{{{_TOKEN_DIGITS}}}\{_SUFFIX}")
_LEFTOVERS = f".partial-*{_SUFFIX}-*"  # of `open_replacement`
_LOCK_NAME = "prefixes"
_SAMPLE_BYTES = 1024
_SAMPLES = 3


def compute_model_digest(folder: Path) -> str:
    """Return a digest that identifies the weights and the configuration of a checkpoint.

    It is made from the configuration, the headers, sizes and modification times of the weight files, and samples of
    every tensor. It does not read all weights, which takes longer than computing a prefix. The time of the files is in
    it because samples may miss a small change.

    Args:
        folder: The checkpoint.

    Raises:
        CheckpointError: The folder has no readable weight files.
        OSError: A file cannot be read.
    """
    state = hashlib.sha256()
    config = folder / "config.json"
    state.update(config.read_bytes() if config.exists() else b"")
    for file in list_weight_files(folder):
        tensors = read_header(file)
        status = file.stat()
        state.update(repr((file.name, status.st_size, status.st_mtime_ns, tensors)).encode())
        with file.open("rb") as stream:
            for position in sorted(_list_sample_positions(tensors.values())):
                stream.seek(position)
                state.update(stream.read(_SAMPLE_BYTES))
    return state.hexdigest()


def _list_sample_positions(tensors: Iterable[StoredTensor]) -> set[int]:
    return {
        tensor.start + max(0, tensor.nbytes - _SAMPLE_BYTES) * sample // (_SAMPLES - 1)
        for tensor in tensors
        for sample in range(_SAMPLES)
    }


class PrefixStore:
    """A folder of saved prefixes of one model, which other models and processes may use at the same time.

    The least recently used files are deleted to keep the size limit. Damaged files and files of other models are
    ignored. The files hold the texts of prompts, so only their owner may read them; and whoever can write them decides
    what the model has read, so the folder must not be writable by others.

    Args:
        folder: The folder; it is created.
        max_bytes: Size limit of all files in the folder, in bytes.
        model_digest: What `compute_model_digest` returns for the model.
        arithmetic: What the numbers depend on besides the weights (`Runner.arithmetic`).
        layout: Sizes of the KV cache.

    Raises:
        InvalidInputError: The size limit is not positive.
        StorageError: The folder cannot be created, or other accounts can write it.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int, model_digest: str, arithmetic: str, layout: CacheLayout
    ) -> None:
        if max_bytes <= 0:
            raise InvalidInputError(f"max_bytes is {max_bytes}; it must be above 0.")
        _prepare_folder(folder)
        self._folder = folder
        self._max_bytes = max_bytes
        self._block_bytes = layout.block_bytes
        description = (FORMAT_VERSION, BLOCK_TOKENS, sys.byteorder, model_digest, arithmetic, layout)
        self._identity = hashlib.sha256(repr(description).encode()).digest()
        # By name: the number of the file in the file system, and its content, or None if it cannot be used.
        self._files: dict[str, tuple[int, PrefixFile | None]] = {}

    def count_tokens(self, token_ids: Sequence[int]) -> int:
        """Return the length of the longest saved beginning of a sequence, in tokens."""
        _, block_count = self._find(_build_array(token_ids))
        return block_count * BLOCK_TOKENS

    def load(self, token_ids: Sequence[int], *, first_block: int = 0) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the blocks of the longest saved beginning of a sequence, in pieces, [number, block bytes] each.

        Every block was checked. A damaged file ends the iteration, and the reason is logged.

        Args:
            token_ids: The sequence.
            first_block: Number of blocks to skip.
        """
        prefix, block_count = self._find(_build_array(token_ids))
        if prefix is None or block_count <= first_block:
            return
        _mark_used(prefix.path)
        try:
            yield from read_blocks(prefix, first_block, block_count)
        except PrefixFileError as error:
            if (known := self._files.get(prefix.path.name)) is not None:
                self._files[prefix.path.name] = known[0], None
            _log_ignored(prefix.path, error)

    def save(self, token_ids: Sequence[int], pieces: Iterable[npt.NDArray[np.uint8]]) -> bool:
        """Save a prefix, unless it is saved, alone or as the beginning of a longer one.

        Saved prefixes that are beginnings of it are deleted.

        Args:
            token_ids: The tokens; those after the last full block are not saved.
            pieces: The full blocks in their order, [any number, block bytes] each.

        Returns:
            True if the prefix is saved. Otherwise the reason is logged: it is larger than the size limit, another
            process is saving, or the disk is full.

        Raises:
            ValueError: The blocks are not as many or not as large as they must be.
        """
        tokens = _build_array(token_ids)
        prefix, block_count = self._find(tokens)
        if block_count * BLOCK_TOKENS == len(tokens):
            if prefix is not None:
                _mark_used(prefix.path)
            return prefix is not None
        size = compute_file_size(len(tokens) // BLOCK_TOKENS, self._block_bytes)
        if size > self._max_bytes:
            _logger.warning("A prefix of %d bytes is not saved: the limit is %d bytes.", size, self._max_bytes)
            return False
        try:
            self._write(tokens, size, pieces)
        except OSError as error:
            _logger.warning("A prefix of %d bytes is not saved in %s: %s", size, self._folder, error)
            return False
        return True

    def _write(self, tokens: TokenIds, size: int, pieces: Iterable[npt.NDArray[np.uint8]]) -> None:
        name = f"{self._name_start}{hashlib.sha256(tokens.tobytes()).hexdigest()[:_TOKEN_DIGITS]}{_SUFFIX}"
        # Without waiting: the thread that saves is the one that answers.
        with lock_path(self._folder / _LOCK_NAME, timeout_s=0):
            # Only the holder of the lock writes, so these are of processes that were killed.
            for leftover in self._folder.glob(_LEFTOVERS):
                leftover.unlink(missing_ok=True)
            for _, prefix in self._files.values():
                if prefix is not None and _count_common_blocks(prefix.token_ids, tokens) == prefix.block_count:
                    prefix.path.unlink(missing_ok=True)
            self._delete_oldest(self._max_bytes - size)
            with open_replacement(self._folder / name, mode=PRIVATE_MODE) as temporary:
                write_prefix(
                    temporary,
                    identity=self._identity,
                    token_ids=tokens,
                    block_bytes=self._block_bytes,
                    pieces=pieces,
                )

    def _delete_oldest(self, allowed_bytes: int) -> None:
        """Delete the least recently used files of all models until the rest is within a size."""
        with os.scandir(self._folder) as entries:
            found = [(entry, entry.stat()) for entry in entries if _FILE_NAME.fullmatch(entry.name)]
        total = sum(status.st_size for _, status in found)
        for entry, status in sorted(found, key=lambda item: item[1].st_mtime_ns):
            if total <= allowed_bytes:
                return
            Path(entry.path).unlink(missing_ok=True)
            total -= status.st_size

    @property
    def _name_start(self) -> str:
        return f"{self._identity.hex()[:_IDENTITY_DIGITS]}-"

    def _find(self, tokens: TokenIds) -> tuple[PrefixFile | None, int]:
        """Return the file with the longest common beginning, and the number of common blocks."""
        self._read_new_files()
        best, best_count = None, 0
        for _, prefix in self._files.values():
            count = 0 if prefix is None else _count_common_blocks(prefix.token_ids, tokens)
            if count > best_count:
                best, best_count = prefix, count
        return best, best_count

    def _read_new_files(self) -> None:
        files = {}
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.startswith(self._name_start) and _FILE_NAME.fullmatch(entry.name):
                        known = self._files.get(entry.name)
                        if known is None or known[0] != entry.inode():
                            known = entry.inode(), self._open(Path(entry.path))
                        files[entry.name] = known
        except OSError as error:
            _logger.warning("Saved prefixes are not used: %s cannot be read: %s", self._folder, error)
        self._files = files

    def _open(self, path: Path) -> PrefixFile | None:
        try:
            return open_prefix(path, identity=self._identity, block_bytes=self._block_bytes)
        except PrefixFileError as error:
            _log_ignored(path, error)
            return None


def _prepare_folder(folder: Path) -> None:
    try:
        create_private_folder(folder)
        reason = None if sys.platform == "win32" else find_foreign_access(folder)
    except OSError as error:
        raise StorageError(
            f"Prefixes cannot be saved in {str(folder)!r}: {error.strerror or error}.",
            hint="Choose a folder that you may write to.",
        ) from error
    if reason is not None:
        raise StorageError(
            f"Prefixes are not saved in {str(folder)!r}, because others could change what the model reads: {reason}.",
            hint="Choose a folder that only you may write to.",
        )


def _build_array(token_ids: Sequence[int]) -> TokenIds:
    full_count = len(token_ids) // BLOCK_TOKENS * BLOCK_TOKENS
    return np.asarray(token_ids[:full_count], dtype=np.int64)


def _count_common_blocks(first: TokenIds, second: TokenIds) -> int:
    length = min(len(first), len(second))
    differences = np.flatnonzero(first[:length] != second[:length])
    return (int(differences[0]) if len(differences) else length) // BLOCK_TOKENS


def _mark_used(path: Path) -> None:
    # The time decides which file is deleted first. On a file system that cannot set it, the oldest one is.
    with suppress(OSError):
        os.utime(path)


def _log_ignored(path: Path, reason: PrefixFileError) -> None:
    _logger.warning("The saved prefix %s is ignored: %s.", path, reason)
