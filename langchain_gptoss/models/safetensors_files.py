"""Weight files of a checkpoint: read their headers and check that they are complete, without reading the weights.

A safetensors file starts with eight bytes that give the length of the header, then follow the header (JSON) and the
tensors (https://huggingface.co/docs/safetensors). The header says where every tensor begins and ends. So a truncated
file, a web page or a pickle with a wrong name is found in a millisecond, however large the file is.
"""

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_gptoss.errors import CheckpointError, DamagedCheckpointError

INDEX = "model.safetensors.index.json"
# Limit of the format's reference implementation.
_MAX_HEADER_BYTES = 100_000_000
_DTYPE_BITS = {
    **dict.fromkeys(["F4"], 4),
    **dict.fromkeys(["F6_E2M3", "F6_E3M2"], 6),
    **dict.fromkeys(["BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ"], 8),
    **dict.fromkeys(["U16", "I16", "F16", "BF16"], 16),
    **dict.fromkeys(["U32", "I32", "F32"], 32),
    **dict.fromkeys(["U64", "I64", "F64", "C64"], 64),
}
_OTHER_FORMATS = {  # by the first bytes of a file
    b"PK\x03\x04": "a zip archive, as pickled PyTorch weights are",
    b"\x80": "a pickle",
    b"GGUF": "a GGUF file",
    b"\x1f\x8b": "a gzip archive",
    b"version https://git-lfs": "a Git LFS pointer instead of the file itself (run `git lfs pull`)",
    b"<": "a web page",
    b"{": "a JSON file",
}
_PICKLE_PATTERNS = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
_SAFE_NAME = re.compile(r"[^/\\:]+\.safetensors")
_SHARD_NAME = re.compile(r".+-\d+-of-\d+\.safetensors")
_COPY_AGAIN = "Copy or fetch the checkpoint again."


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """A tensor as a safetensors file declares it.

    Attributes:
        dtype: Name of the type in the format: `"BF16"`, `"U8"`, ...
        shape: Shape of the tensor.
        start: Position of its first byte in the file.
        end: Position after its last byte in the file.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def nbytes(self) -> int:
        """Size in the file, in bytes."""
        return self.end - self.start

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def read_header(file: Path) -> dict[str, StoredTensor]:
    """Return the tensors that a safetensors file declares, in the order of their bytes, after checking the header.

    The type and shape of every tensor must match its number of bytes, the tensors must follow one another without a
    gap, and the file must end after the last tensor.

    Raises:
        DamagedCheckpointError: The file is not a safetensors file, or it is truncated or altered.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            header_bytes = _parse_header_length(stream.read(32), size)
            stream.seek(8)
            header = json.loads(stream.read(header_bytes), object_pairs_hook=_build_unique_dict)
        tensors = _parse_header(header, 8 + header_bytes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedCheckpointError(
            f"{str(file)!r} is not a readable safetensors file: {_describe_error(error)}.", hint=_COPY_AGAIN
        ) from error
    end = max((tensor.end for tensor in tensors.values()), default=8 + header_bytes)
    if size != end:
        raise DamagedCheckpointError(
            f"{str(file)!r} has {size} bytes and its header declares {end}: it is truncated or altered.",
            hint=_COPY_AGAIN,
        )
    return tensors


def _parse_header_length(first_bytes: bytes, size: int) -> int:
    if len(first_bytes) < 8:
        raise ValueError(f"it has {size} bytes")
    (length,) = struct.unpack("<Q", first_bytes[:8])
    # A valid header starts with "{" after its length. Only without it can the file have another known format.
    if first_bytes[8:9] != b"{":
        for magic, description in _OTHER_FORMATS.items():
            if first_bytes.startswith(magic):
                raise ValueError(f"it is {description}")
    if length > min(_MAX_HEADER_BYTES, size - 8):
        raise ValueError(f"its header would have {length} bytes")
    return int(length)


def _describe_error(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"its header lacks {error}"
    if isinstance(error, RecursionError):
        return "its header is nested too deeply"
    return str(error)


def _build_unique_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dict of the pairs; a repeated key raises ValueError."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"its header holds {repeated!r} twice")
    return values


def _parse_header(header: Any, data_start: int) -> dict[str, StoredTensor]:
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    header.pop("__metadata__", None)
    tensors = {name: _parse_entry(name, entry, data_start) for name, entry in header.items()}
    tensors = dict(sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)))
    end = data_start
    for name, tensor in tensors.items():
        if tensor.start != end:
            raise ValueError(f"the bytes of {name!r} do not follow those of the tensor before it")
        end = tensor.end
    return tensors


def _parse_entry(name: str, entry: dict[str, Any], data_start: int) -> StoredTensor:
    start, end = entry["data_offsets"]
    dtype, shape = entry["dtype"], entry["shape"]
    if not all(type(number) is int and number >= 0 for number in (start, end, *shape)):
        raise ValueError(f"shape or offsets of {name!r} are not whole numbers")
    if dtype not in _DTYPE_BITS:
        raise ValueError(f"{name!r} has the unknown type {dtype!r}")
    bits = math.prod(shape) * _DTYPE_BITS[dtype]
    if bits != 8 * (end - start):
        raise ValueError(f"{name!r} of type {dtype} and shape {shape} takes {bits / 8:g} bytes and has {end - start}")
    return StoredTensor(dtype=dtype, shape=tuple(shape), start=data_start + start, end=data_start + end)


def list_weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a checkpoint. Files that its index names are listed even if they are missing.

    Raises:
        CheckpointError: There are no such files, the index cannot be read, or it names files of another kind.
    """
    if (folder / INDEX).exists():
        return sorted({folder / name for name in _read_index(folder)[0].values()})
    if files := sorted(folder.glob("*.safetensors")):
        return files
    pickle_names = ", ".join(sorted(file.name for pattern in _PICKLE_PATTERNS for file in folder.glob(pattern))[:2])
    note = f" (it has {pickle_names}, a pickle, which is never opened)" if pickle_names else ""
    raise DamagedCheckpointError(
        f"{str(folder)!r} has no *.safetensors files{note}.",
        hint="Pass a folder with config.json and *.safetensors files.",
    )


def _read_index(folder: Path) -> tuple[dict[str, str], Any]:
    """Return the index's map from tensor names to file names, and the total bytes that it states, or None."""
    file = folder / INDEX
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
        weight_map, metadata = dict(index["weight_map"].items()), index.get("metadata") or {}
        if not weight_map:
            raise ValueError("it names no files")
        if not all(isinstance(name, str) for name in weight_map.values()):
            raise ValueError("its weight_map holds something else than file names")
        total = metadata.get("total_size")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedCheckpointError(f"{str(file)!r} cannot be read: {error!r}.", hint=_COPY_AGAIN) from error
    for name in sorted(set(weight_map.values())):
        if not _SAFE_NAME.fullmatch(name):
            raise CheckpointError(
                f"{str(file)!r} names {name!r}. An index may only name *.safetensors files beside it; nothing else is "
                "ever opened.",
                hint="Save the checkpoint again with safetensors.",
            )
    return weight_map, total


def check_weights(folder: Path) -> dict[Path, dict[str, StoredTensor]]:
    """Check the header of every weight file, and that all files agree with the index.

    Returns:
        The weight files, each with its tensors.

    Raises:
        DamagedCheckpointError: A file is missing, truncated or altered, or the index and the files disagree.
        CheckpointError: The index names files that are not safetensors.
    """
    files = list_weight_files(folder)
    has_index = (folder / INDEX).exists()
    if not has_index and (shard := next((file for file in files if _SHARD_NAME.fullmatch(file.name)), None)):
        raise DamagedCheckpointError(
            f"{str(folder)!r} lacks {INDEX!r}, which lists the files that belong with {shard.name!r}.",
            hint=_COPY_AGAIN,
        )
    for file in files:
        if not file.is_file():
            raise DamagedCheckpointError(
                f"{str(folder)!r} lacks {file.name!r}, which its index names.", hint=_COPY_AGAIN
            )
    headers = {file: read_header(file) for file in files}
    file_names = _map_tensors_to_files(folder, headers)
    if has_index:
        _check_index(folder, headers, file_names)
    return headers


def _map_tensors_to_files(folder: Path, headers: Mapping[Path, Mapping[str, StoredTensor]]) -> dict[str, str]:
    """Return the file name of each tensor."""
    file_names: dict[str, str] = {}
    for file, tensors in headers.items():
        for name in tensors:
            if name in file_names:
                raise DamagedCheckpointError(
                    f"{str(folder)!r} holds {name!r} twice, in {file_names[name]!r} and in {file.name!r}: its files do "
                    "not belong to the same checkpoint.",
                    hint=_COPY_AGAIN,
                )
            file_names[name] = file.name
    return file_names


def _check_index(
    folder: Path, headers: Mapping[Path, Mapping[str, StoredTensor]], file_names: Mapping[str, str]
) -> None:
    weight_map, indexed_bytes = _read_index(folder)
    conclusion = "the index and the files do not belong to the same checkpoint"
    for name in sorted(weight_map.keys() | file_names.keys()):
        indexed_name, actual_name = weight_map.get(name), file_names.get(name)
        if indexed_name != actual_name:
            actual_place = f"in {actual_name!r}" if actual_name else "in no file"
            indexed_place = f"in {indexed_name!r}" if indexed_name else "nowhere"
            raise DamagedCheckpointError(
                f"{str(folder)!r} holds {name!r} {actual_place}, and its index has it {indexed_place}: {conclusion}.",
                hint=_COPY_AGAIN,
            )
    actual_bytes = sum(tensor.nbytes for tensors in headers.values() for tensor in tensors.values())
    if indexed_bytes is not None and indexed_bytes != actual_bytes:
        raise DamagedCheckpointError(
            f"The weights in {str(folder)!r} take {actual_bytes} bytes, and its index says {indexed_bytes}: "
            f"{conclusion}.",
            hint=_COPY_AGAIN,
        )
