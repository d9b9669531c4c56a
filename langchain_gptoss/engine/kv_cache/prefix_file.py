"""The file format of a saved prefix: its tokens, and the keys and values of its blocks with checksums.

All numbers are little-endian:

- the header: `GPTOSSKV`, the format version (uint32), tokens in a block (uint32), bytes in a block (uint64), number of
  blocks (uint64), the digest of what the blocks depend on (32 bytes);
- the tokens (int64);
- SHA-256 of everything before;
- the blocks, as `Runner.read_blocks` returns them;
- for each block, SHA-256 of the first checksum, the block's index (uint64) and the block.
"""

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from langchain_gptoss.engine.batch import BLOCK_TOKENS

FORMAT_VERSION = 1
_MAGIC = b"GPTOSSKV"
_HEADER = struct.Struct("<8sIIQQ32s")
_INDEX = struct.Struct("<Q")
_TOKEN_TYPE = np.dtype("<i8")
_DIGEST_BYTES = hashlib.sha256().digest_size
_MAX_PIECE_BYTES = 32 * 2**20  # of blocks in memory at a time

TokenIds = npt.NDArray[np.int64]


class PrefixFileError(Exception):
    """A file is not a saved prefix that can be used; the message is the reason, as a clause."""


@dataclass(frozen=True, kw_only=True)
class PrefixFile:
    """A saved prefix whose header was checked.

    Attributes:
        path: The file.
        token_ids: The tokens, in full blocks.
        block_bytes: Size of one block.
        head_digest: Checksum of the header and the tokens.
    """

    path: Path
    token_ids: TokenIds
    block_bytes: int
    head_digest: bytes

    @property
    def block_count(self) -> int:
        """Number of blocks."""
        return len(self.token_ids) // BLOCK_TOKENS


def compute_file_size(block_count: int, block_bytes: int) -> int:
    """Return the size of the file of a saved prefix, in bytes."""
    return _compute_data_start(block_count) + block_count * (block_bytes + _DIGEST_BYTES)


def count_piece_blocks(block_bytes: int) -> int:
    """Return the number of blocks to read or write at a time."""
    return max(1, _MAX_PIECE_BYTES // block_bytes)


def write_prefix(
    path: Path, *, identity: bytes, token_ids: TokenIds, block_bytes: int, pieces: Iterable[npt.NDArray[np.uint8]]
) -> None:
    """Write a saved prefix.

    Args:
        path: The file.
        identity: SHA-256 of what the blocks depend on besides the tokens.
        token_ids: The tokens, in full blocks.
        block_bytes: Size of one block.
        pieces: The blocks in their order, [any number, block_bytes] each.

    Raises:
        ValueError: The blocks are not as many or not as large as stated.
        OSError: The file cannot be written.
    """
    block_count = len(token_ids) // BLOCK_TOKENS
    head = _HEADER.pack(_MAGIC, FORMAT_VERSION, BLOCK_TOKENS, block_bytes, block_count, identity)
    head += token_ids.astype(_TOKEN_TYPE).tobytes()
    head_digest = hashlib.sha256(head).digest()
    digests: list[bytes] = []
    with path.open("wb") as stream:
        stream.write(head + head_digest)
        for piece in pieces:
            if piece.dtype != np.uint8 or piece.ndim != 2 or piece.shape[1] != block_bytes:
                raise ValueError(f"blocks of {block_bytes} bytes were expected, not {piece.dtype} {piece.shape}")
            blocks = np.ascontiguousarray(piece)
            digests += [_hash_block(head_digest, index, block) for index, block in enumerate(blocks, len(digests))]
            stream.write(blocks.data)
        if len(digests) != block_count:
            raise ValueError(f"{block_count} blocks were expected, not {len(digests)}")
        stream.write(b"".join(digests))


def open_prefix(path: Path, *, identity: bytes, block_bytes: int) -> PrefixFile:
    """Return the tokens of a saved prefix after checking its header and its size.

    Args:
        path: The file.
        identity: SHA-256 of what the blocks depend on besides the tokens.
        block_bytes: Size of one block.

    Raises:
        PrefixFileError: The file is damaged, of another format, or saved for something else.
    """
    try:
        with path.open("rb") as stream:
            header = stream.read(_HEADER.size)
            block_count = _parse_header(header, identity=identity, block_bytes=block_bytes)
            size, expected_size = os.fstat(stream.fileno()).st_size, compute_file_size(block_count, block_bytes)
            if size != expected_size:
                raise PrefixFileError(f"it has {size} bytes and its header declares {expected_size}")
            tokens = stream.read(block_count * BLOCK_TOKENS * _TOKEN_TYPE.itemsize)
            head_digest = stream.read(_DIGEST_BYTES)
    except OSError as error:
        raise PrefixFileError(f"it cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(header + tokens).digest() != head_digest:
        raise PrefixFileError("the checksum of its tokens does not match")
    token_ids = np.frombuffer(tokens, dtype=_TOKEN_TYPE).astype(np.int64)
    return PrefixFile(path=path, token_ids=token_ids, block_bytes=block_bytes, head_digest=head_digest)


def read_blocks(prefix: PrefixFile, first: int, end: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield blocks of a saved prefix in pieces, [number, block_bytes] each, after checking them.

    The file is read, not mapped: if something truncates a mapped file, the system kills the process that looks at it.

    Args:
        prefix: The saved prefix.
        first: Index of the first block.
        end: Index after the last block.

    Raises:
        PrefixFileError: The file is damaged or was deleted; the pieces before are good.
    """
    data_start = _compute_data_start(prefix.block_count)
    try:
        with prefix.path.open("rb") as stream:
            stream.seek(data_start + prefix.block_count * prefix.block_bytes + first * _DIGEST_BYTES)
            digests = _read_rows(stream, end - first, _DIGEST_BYTES)
            stream.seek(data_start + first * prefix.block_bytes)
            piece_blocks = count_piece_blocks(prefix.block_bytes)
            for start in range(first, end, piece_blocks):
                piece = _read_rows(stream, min(piece_blocks, end - start), prefix.block_bytes)
                for row, block in enumerate(piece):
                    if _hash_block(prefix.head_digest, start + row, block) != digests[start + row - first].tobytes():
                        raise PrefixFileError(f"the checksum of block {start + row} does not match")
                yield piece
    except OSError as error:
        raise PrefixFileError(f"it cannot be read: {error.strerror or error}") from error


def _parse_header(header: bytes, *, identity: bytes, block_bytes: int) -> int:
    """Return the number of blocks.

    Raises:
        PrefixFileError: The file has another format, or was saved for something else.
    """
    if not header.startswith(_MAGIC) or len(header) < _HEADER.size:
        raise PrefixFileError("it is not a saved prefix")
    _, version, block_tokens, stored_block_bytes, block_count, stored_identity = _HEADER.unpack(header)
    if version != FORMAT_VERSION:
        raise PrefixFileError(f"it has the format version {version}, and this version reads {FORMAT_VERSION}")
    if (block_tokens, stored_block_bytes, stored_identity) != (BLOCK_TOKENS, block_bytes, identity):
        raise PrefixFileError("it was saved for another model or another arithmetic")
    return int(block_count)


def _compute_data_start(block_count: int) -> int:
    return _HEADER.size + block_count * BLOCK_TOKENS * _TOKEN_TYPE.itemsize + _DIGEST_BYTES


def _read_rows(stream: BinaryIO, count: int, row_bytes: int) -> npt.NDArray[np.uint8]:
    rows = np.empty((count, row_bytes), dtype=np.uint8)
    if rows.nbytes and stream.readinto(rows.data.cast("B")) != rows.nbytes:  # type: ignore[attr-defined]
        raise PrefixFileError("it is truncated")
    return rows


def _hash_block(head_digest: bytes, index: int, block: npt.NDArray[np.uint8]) -> bytes:
    state = hashlib.sha256(head_digest + _INDEX.pack(index))
    state.update(block.data)
    return state.digest()
