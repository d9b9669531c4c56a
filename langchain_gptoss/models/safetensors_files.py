"""The weight files of a checkpoint: what they declare, and whether they are whole, without reading the weights.

A safetensors file is eight bytes with the length of a header, the header (JSON), and the tensors one after the other
(https://huggingface.co/docs/safetensors). The header says where every tensor begins and ends, so a truncated file, a
web page or a pickle under a wrong name is found in a millisecond, however large the file.
"""

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_gptoss.errors import CheckpointError

INDEX = "model.safetensors.index.json"
# The format's own limit, of the reference implementation.
_LONGEST_HEADER = 100_000_000
_BITS = {
    **dict.fromkeys(["F4"], 4),
    **dict.fromkeys(["F6_E2M3", "F6_E3M2"], 6),
    **dict.fromkeys(["BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ"], 8),
    **dict.fromkeys(["U16", "I16", "F16", "BF16"], 16),
    **dict.fromkeys(["U32", "I32", "F32"], 32),
    **dict.fromkeys(["U64", "I64", "F64", "C64"], 64),
}
_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive, as pickled PyTorch weights are",
    b"\x80": "a pickle",
    b"GGUF": "a GGUF file",
    b"\x1f\x8b": "a gzip archive",
    b"version https://git-lfs": "a Git LFS pointer instead of the file itself (run `git lfs pull`)",
    b"<": "a web page",
    b"{": "a JSON file",
}
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
_PLAIN_NAME = re.compile(r"[^/\\:]+\.safetensors")
_SHARD = re.compile(r".+-\d+-of-\d+\.safetensors")
_AGAIN = "Copy or fetch the checkpoint again."


class DamagedCheckpointError(CheckpointError):
    """Files of a checkpoint are missing, truncated or altered: fetching them again may mend it."""


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """A tensor as a safetensors file declares it.

    Attributes:
        dtype: The format's name of the type: `"BF16"`, `"U8"`, ...
        shape: As in the file.
        start: Where its bytes begin, counted from the beginning of the file.
        end: Where they end.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def nbytes(self) -> int:
        """Its size in the file, in bytes."""
        return self.end - self.start

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def read_header(file: Path) -> dict[str, StoredTensor]:
    """Returns the tensors that a safetensors file declares, in the order of their bytes, and checks the declaration.

    Every tensor's type and shape must give its bytes, the tensors must follow one another without a gap from the
    header's end, and the file must end where the last one does.

    Raises:
        DamagedCheckpointError: It is no safetensors file, or it was cut off or altered.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            begin = stream.read(32)
            length = _header_length(begin, size)
            stream.seek(8)
            declared = json.loads(stream.read(length), object_pairs_hook=_without_repetition)
        tensors = _tensors(declared, 8 + length)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedCheckpointError(
            f"{str(file)!r} is not a readable safetensors file: {_reason(error)}. {_AGAIN}"
        ) from error
    end = max((tensor.end for tensor in tensors.values()), default=8 + length)
    if size != end:
        raise DamagedCheckpointError(
            f"{str(file)!r} has {size} bytes and its header declares {end}: it was cut off or altered. {_AGAIN}"
        )
    return tensors


def _header_length(begin: bytes, size: int) -> int:
    if len(begin) < 8:
        raise ValueError(f"it has {size} bytes")
    (length,) = struct.unpack("<Q", begin[:8])
    # A header is a JSON object right after its length; what else the file may be is worth a word only if it is not.
    if begin[8:9] != b"{" and (
        other := next((what for mark, what in _OTHER_FORMATS.items() if begin[: len(mark)] == mark), "")
    ):
        raise ValueError(f"it is {other}")
    if length > min(_LONGEST_HEADER, size - 8):
        raise ValueError(f"its header would have {length} bytes")
    return int(length)


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"its header lacks {error}"
    if isinstance(error, RecursionError):
        return "its header is nested too deeply"
    return str(error)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"its header holds {twice!r} twice")
    return found


def _tensors(declared: Any, data: int) -> dict[str, StoredTensor]:
    if not isinstance(declared, dict):
        raise ValueError("its header is not a JSON object")
    declared.pop("__metadata__", None)
    found = {name: _tensor(name, entry, data) for name, entry in declared.items()}
    tensors = dict(sorted(found.items(), key=lambda item: (item[1].start, item[1].end)))
    end = data
    for name, tensor in tensors.items():
        if tensor.start != end:
            raise ValueError(f"the bytes of {name!r} do not follow those of the tensor before it")
        end = tensor.end
    return tensors


def _tensor(name: str, entry: dict[str, Any], data: int) -> StoredTensor:
    start, end = entry["data_offsets"]
    dtype, shape = entry["dtype"], entry["shape"]
    if not all(type(number) is int and number >= 0 for number in (start, end, *shape)):
        raise ValueError(f"shape or place of {name!r} are not whole numbers")
    if dtype not in _BITS:
        raise ValueError(f"{name!r} has the unknown type {dtype!r}")
    bits = math.prod(shape) * _BITS[dtype]
    if bits != 8 * (end - start):
        raise ValueError(f"{name!r} of type {dtype} and shape {shape} takes {bits / 8:g} bytes and has {end - start}")
    return StoredTensor(dtype=dtype, shape=tuple(shape), start=data + start, end=data + end)


def weight_files(folder: Path) -> list[Path]:
    """Returns the safetensors files that a checkpoint is made of; those that its index names may be missing.

    Raises:
        CheckpointError: There are none, the index cannot be read, or it names something else than safetensors files.
    """
    if (folder / INDEX).exists():
        return sorted({folder / name for name in _read_index(folder)[0].values()})
    if found := sorted(folder.glob("*.safetensors")):
        return found
    others = ", ".join(sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))[:2])
    pickles = f" (it has {others}, a pickle, which is never opened)" if others else ""
    raise DamagedCheckpointError(
        f"{str(folder)!r} has no *.safetensors files{pickles}. Pass a folder with config.json and *.safetensors files."
    )


def _read_index(folder: Path) -> tuple[dict[str, str], Any]:
    """Returns the index's map from tensors to files, and the bytes that it says they take in all, or None."""
    file = folder / INDEX
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
        weight_map, metadata = dict(index["weight_map"].items()), index.get("metadata") or {}
        if not weight_map:
            raise ValueError("it names no files")
        if not all(isinstance(name, str) for name in weight_map.values()):
            raise ValueError("its weight_map does not lead to file names")
        total = metadata.get("total_size")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedCheckpointError(f"{str(file)!r} cannot be read: {error!r}. {_AGAIN}") from error
    for name in sorted(set(weight_map.values())):
        if not _PLAIN_NAME.fullmatch(name):
            raise CheckpointError(
                f"{str(file)!r} names {name!r}. An index may only name *.safetensors files beside it; nothing else is "
                "ever opened. Save the checkpoint again with safetensors."
            )
    return weight_map, total


def check_weights(folder: Path) -> dict[Path, dict[str, StoredTensor]]:
    """Checks every weight file by its header, and all of them against the index.

    Returns:
        The files that hold the weights, each with its tensors.

    Raises:
        DamagedCheckpointError: A file is missing, truncated or altered, or the index and the files do not agree.
        CheckpointError: The index names something else than safetensors files.
    """
    files = weight_files(folder)
    indexed = (folder / INDEX).exists()
    if not indexed and (shard := next((file for file in files if _SHARD.fullmatch(file.name)), None)):
        raise DamagedCheckpointError(
            f"{str(folder)!r} lacks {INDEX!r}, which says which files belong with {shard.name!r}. {_AGAIN}"
        )
    for file in files:
        if not file.is_file():
            raise DamagedCheckpointError(f"{str(folder)!r} lacks {file.name!r}, which its index names. {_AGAIN}")
    headers = {file: read_header(file) for file in files}
    holders = _holders(folder, headers)
    if indexed:
        _check_index(folder, headers, holders)
    return headers


def _holders(folder: Path, headers: Mapping[Path, Mapping[str, StoredTensor]]) -> dict[str, str]:
    """Returns which file holds which tensor."""
    holders: dict[str, str] = {}
    for file, tensors in headers.items():
        for name in tensors:
            if name in holders:
                raise DamagedCheckpointError(
                    f"{str(folder)!r} holds {name!r} twice, in {holders[name]!r} and in {file.name!r}: its files are "
                    f"not of one checkpoint. {_AGAIN}"
                )
            holders[name] = file.name
    return holders


def _check_index(folder: Path, headers: Mapping[Path, Mapping[str, StoredTensor]], holders: Mapping[str, str]) -> None:
    weight_map, total = _read_index(folder)
    wrong = "the index and the files are not of one checkpoint"
    for name in sorted(weight_map.keys() | holders.keys()):
        promised, found = weight_map.get(name), holders.get(name)
        if promised != found:
            place = f"in {found!r}" if found else "in no file"
            said = f"in {promised!r}" if promised else "nowhere"
            raise DamagedCheckpointError(
                f"{str(folder)!r} holds {name!r} {place}, and its index has it {said}: {wrong}. {_AGAIN}"
            )
    held = sum(tensor.nbytes for tensors in headers.values() for tensor in tensors.values())
    if total is not None and total != held:
        raise DamagedCheckpointError(
            f"The weights in {str(folder)!r} take {held} bytes, and its index says {total}: {wrong}. {_AGAIN}"
        )
