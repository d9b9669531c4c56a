"""Reads GGUF files: metadata, and weights in the common types of llama.cpp.

The `gguf` package reads such files too, but takes 13 seconds to open one with 150,000 tokens and dequantizes 40
million weights a second; this module takes half a second and is several times faster. Every length in the file is
checked against its size.

Source of the layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_gptoss.errors import CheckpointError, DamagedCheckpointError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_ENTRIES = 1_000_000  # metadata keys, or tensors; published files have some hundreds
_MAX_DIMENSIONS = 4
_MAX_ALIGNMENT = 65_536
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_COPY_AGAIN = "Copy or fetch the file again."


@dataclass(frozen=True, kw_only=True)
class GgufType:
    """The type of a tensor's numbers.

    Attributes:
        name: Name in llama.cpp.
        block: Numbers in a block.
        block_bytes: Size of a block.
    """

    name: str
    block: int
    block_bytes: int


# All types of current files, so that an unsupported one is refused by its name; `gguf_values` reads the common ones.
TYPES = {
    number: GgufType(name=name, block=block, block_bytes=block_bytes)
    for number, name, block, block_bytes in (
        (0, "F32", 1, 4),
        (1, "F16", 1, 2),
        (2, "Q4_0", 32, 18),
        (3, "Q4_1", 32, 20),
        (6, "Q5_0", 32, 22),
        (7, "Q5_1", 32, 24),
        (8, "Q8_0", 32, 34),
        (10, "Q2_K", 256, 84),
        (11, "Q3_K", 256, 110),
        (12, "Q4_K", 256, 144),
        (13, "Q5_K", 256, 176),
        (14, "Q6_K", 256, 210),
        (16, "IQ2_XXS", 256, 66),
        (17, "IQ2_XS", 256, 74),
        (18, "IQ3_XXS", 256, 98),
        (19, "IQ1_S", 256, 50),
        (20, "IQ4_NL", 32, 18),
        (21, "IQ3_S", 256, 110),
        (22, "IQ2_S", 256, 82),
        (23, "IQ4_XS", 256, 136),
        (29, "IQ1_M", 256, 56),
        (30, "BF16", 1, 2),
        (34, "TQ1_0", 256, 54),
        (35, "TQ2_0", 256, 66),
        (39, "MXFP4", 32, 17),
    )
}


@dataclass(frozen=True, kw_only=True)
class GgufTensor:
    """A tensor as a GGUF file declares it.

    Attributes:
        type: How its numbers are stored.
        shape: Shape, the innermost dimension last.
        start: Position of its first byte in the file.
    """

    type: GgufType
    shape: tuple[int, ...]
    start: int

    @property
    def nbytes(self) -> int:
        """Size in the file, in bytes."""
        return math.prod(self.shape) // self.type.block * self.type.block_bytes


@dataclass(frozen=True, kw_only=True)
class GgufFile:
    """A GGUF file, mapped into memory.

    Attributes:
        path: The file.
        fields: Its metadata.
        tensors: Its tensors by name.
        content: Its bytes.
    """

    path: Path
    fields: Mapping[str, Any]
    tensors: Mapping[str, GgufTensor]
    content: NDArray[np.uint8]

    def read_blocks(self, name: str) -> NDArray[np.uint8]:
        """Return the bytes of a tensor, [blocks, bytes per block]."""
        tensor = self.tensors[name]
        return self.content[tensor.start : tensor.start + tensor.nbytes].reshape(-1, tensor.type.block_bytes)


def open_gguf(path: Path) -> GgufFile:
    """Return a GGUF file after checking its header.

    Raises:
        DamagedCheckpointError: It is not a GGUF file, or it is truncated.
        CheckpointError: Its version or a type of its tensors is unknown.
    """
    try:
        content = np.memmap(path, dtype=np.uint8, mode="r")
        reader = _Reader(content)
        if reader.take_bytes(len(_MAGIC)) != _MAGIC:
            raise ValueError("it does not begin as a GGUF file")
        version = reader.take_number("I")
        if version not in _VERSIONS:
            raise CheckpointError(
                f"{str(path)!r} is a GGUF file of version {version}, and this package reads the versions 2 and 3.",
                hint="Convert it again with a current llama.cpp.",
            )
        tensor_count, field_count = reader.take_count("tensors"), reader.take_count("metadata fields")
        fields = dict(reader.take_field() for _ in range(field_count))
        entries = dict(reader.take_tensor(path) for _ in range(tensor_count))
        tensors = _place_tensors(entries, _align(reader.position, fields), len(content))
    except (OSError, ValueError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise DamagedCheckpointError(
            f"{str(path)!r} is not a readable GGUF file: {error}.", hint=_COPY_AGAIN
        ) from error
    return GgufFile(path=path, fields=fields, tensors=tensors, content=content)


def _align(position: int, fields: Mapping[str, Any]) -> int:
    alignment = fields.get("general.alignment", 32)
    if type(alignment) is not int or not 1 <= alignment <= _MAX_ALIGNMENT:
        raise ValueError(f"its alignment is {alignment!r}")
    return -(-position // alignment) * alignment


def _place_tensors(entries: Mapping[str, GgufTensor], data_start: int, size: int) -> dict[str, GgufTensor]:
    """Return the tensors with positions in the file instead of in its data."""
    tensors = {}
    for name, entry in entries.items():
        tensor = GgufTensor(type=entry.type, shape=entry.shape, start=data_start + entry.start)
        if tensor.start + tensor.nbytes > size:
            raise ValueError(f"it has {size} bytes, and {name!r} would end at {tensor.start + tensor.nbytes}")
        tensors[name] = tensor
    return tensors


class _Reader:
    """Takes one value after the other from the beginning of a file."""

    def __init__(self, content: NDArray[np.uint8]) -> None:
        self._content = memoryview(content.data)
        self.position = 0

    def take_bytes(self, count: int) -> bytes:
        """Return the next bytes."""
        end = self.position + count
        if end > len(self._content):
            raise ValueError("it ends within its header")
        value = bytes(self._content[self.position : end])
        self.position = end
        return value

    def take_number(self, code: str) -> Any:
        """Return the next number, of a type of `struct`."""
        (value,) = struct.unpack_from(f"<{code}", self._content, self.position)
        self.position += struct.calcsize(f"<{code}")
        return value

    def take_count(self, what: str) -> int:
        """Return the number of entries of a list."""
        count = int(self.take_number("Q"))
        if count > _MAX_ENTRIES:
            raise ValueError(f"it would have {count} {what}")
        return count

    def take_string(self) -> str:
        """Return the next text."""
        return self.take_bytes(int(self.take_number("Q"))).decode("utf-8", "replace")

    def take_field(self) -> tuple[str, Any]:
        """Return name and value of the next metadata field."""
        return self.take_string(), self._take_value(int(self.take_number("I")))

    def _take_value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.take_string()
        if kind == _ARRAY:
            return self._take_array()
        return self.take_number(_get_code(kind))

    def _take_array(self) -> list[Any]:
        kind, count = int(self.take_number("I")), int(self.take_number("Q"))
        if count > len(self._content):
            raise ValueError(f"it would have a list of {count} values")
        if kind == _STRING:
            return [self.take_string() for _ in range(count)]
        size = struct.calcsize(f"<{_get_code(kind)}")
        return list(struct.unpack(f"<{count}{_get_code(kind)}", self.take_bytes(count * size)))

    def take_tensor(self, path: Path) -> tuple[str, GgufTensor]:
        """Return name and description of the next tensor; its position counts from the beginning of the data."""
        name, dimensions = self.take_string(), int(self.take_number("I"))
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise ValueError(f"{name!r} has {dimensions} dimensions")
        shape = tuple(int(self.take_number("Q")) for _ in range(dimensions))[::-1]
        number, offset = int(self.take_number("I")), int(self.take_number("Q"))
        if number not in TYPES:
            raise CheckpointError(
                f"{str(path)!r} stores {name!r} in a type that is not known here (number {number}).",
                hint="Use a file in Q4_K_M, Q6_K, Q8_0, F16 or BF16, or the model's safetensors checkpoint.",
            )
        if shape[-1] % TYPES[number].block:
            raise ValueError(
                f"a row of {name!r} has {shape[-1]} numbers, which are not whole {TYPES[number].name} blocks"
            )
        return name, GgufTensor(type=TYPES[number], shape=shape, start=offset)


def _get_code(kind: int) -> str:
    if kind not in _SCALARS:
        raise ValueError(f"its metadata has a value of the unknown type {kind}")
    return _SCALARS[kind]
