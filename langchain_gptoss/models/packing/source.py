"""The gpt_oss checkpoint that is packed: its tensors, read one expert at a time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from langchain_gptoss.errors import CheckpointError
from langchain_gptoss.models.checkpoint_config import check_config
from langchain_gptoss.models.conversion.rounding import BLOCK
from langchain_gptoss.models.safetensors_files import StoredTensor, check_weights
from langchain_gptoss.models.shapes import Shape, parse_shape

if TYPE_CHECKING:
    import torch

EMBEDDING, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
MATRICES = ("gate_up_proj", "down_proj")
"""Names of the experts' matrices."""

ExpertStorage = Literal["mxfp4", "int4", "int8", "unpacked"]
"""How the experts of a source are stored: unpacked is BF16, F16 or F32."""

_TYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16", "U8": "uint8", "I8": "int8"}
_BLOB_FOLDER = "blobs"  # of the hub's cache: its files are named by their checksums
_COPY_AGAIN = "Copy or fetch the checkpoint again."


class PackingSource:
    """A checked gpt_oss checkpoint.

    Attributes:
        folder: Its folder.
        config: Its `config.json`.
        shape: Its sizes.
        experts: How the experts are stored, whatever the configuration says.
        sizes: Size of each tensor, in bytes.
    """

    def __init__(self, folder: Path) -> None:
        """Read the headers of a checkpoint.

        Args:
            folder: The checkpoint.

        Raises:
            CheckpointError: It is damaged.
        """
        self.folder = folder
        self.config: dict[str, Any] = check_config(folder)
        self.shape: Shape = parse_shape(self.config)
        headers = check_weights(folder)
        self._places = {name: (file, stored) for file, tensors in headers.items() for name, stored in tensors.items()}
        self._files = tuple(headers)
        self.sizes = {name: stored.nbytes for name, (_, stored) in self._places.items()}
        self.experts = self._find_expert_storage()

    def _find_expert_storage(self) -> ExpertStorage:
        if any(name.endswith("_blocks") for name in self._places):
            return "mxfp4"
        if any(name.endswith("_int4") for name in self._places):
            return "int4"
        return "int8" if any(name.endswith("_int8") for name in self._places) else "unpacked"

    def __contains__(self, name: str) -> bool:
        """Return True if the checkpoint has a tensor of this name."""
        return name in self._places

    def read(self, name: str) -> torch.Tensor:
        """Return a tensor, in memory of its own."""
        file, stored = self._places[name]
        return self._read_bytes(file, stored, stored.start, stored.nbytes).reshape(stored.shape)

    def read_expert(self, name: str, expert: int) -> torch.Tensor:
        """Return the part of one expert of a tensor whose first dimension counts the experts."""
        file, stored = self._places[name]
        part_bytes = stored.nbytes // stored.shape[0]
        part = self._read_bytes(file, stored, stored.start + expert * part_bytes, part_bytes)
        return part.reshape(stored.shape[1:])

    def describe(self) -> dict[str, Any]:
        """Return a description, as JSON, that changes when a file of the checkpoint does."""
        files = [*self._files, *(file for file in sorted(self.folder.iterdir()) if is_small_file(file))]
        return {"files": {file.name: describe_file(file) for file in files}}

    @staticmethod
    def _read_bytes(file: Path, stored: StoredTensor, start: int, count: int) -> torch.Tensor:
        import torch

        # Read and not mapped: the pages of a mapped file count as memory of the process until the system needs them.
        data = np.fromfile(file, dtype=np.uint8, count=count, offset=start)
        return torch.from_numpy(data).view(getattr(torch, _TYPES[stored.dtype]))

    def check_tensors(self) -> None:
        """Check names, shapes and types of the tensors.

        Raises:
            CheckpointError: They are not those that the configuration needs.
        """
        expected = self._compute_shapes()
        for name, shape in expected.items():
            if name not in self._places:
                raise CheckpointError(
                    f"{str(self.folder)!r} lacks weights that its config needs, such as {name!r}.", hint=_COPY_AGAIN
                )
            stored = self._places[name][1]
            if stored.shape != shape:
                raise CheckpointError(
                    f"{name!r} has the shape {stored.shape} and the config requires {shape}.", hint=_COPY_AGAIN
                )
        optional = {HEAD, *(f"{prefix}_proj.bias" for prefix in self._list_attention())}
        if extra := sorted(self._places.keys() - expected.keys() - optional):
            raise CheckpointError(
                f"{str(self.folder)!r} has {len(extra)} weights that its config does not need, such as {extra[0]!r}.",
                hint=_COPY_AGAIN,
            )
        for name, (_, stored) in self._places.items():
            if stored.dtype not in _TYPES:
                raise CheckpointError(
                    f"{name!r} has the type {stored.dtype}; BF16, F16, F32, MXFP4, int4 and int8 can be packed.",
                    hint="Use the checkpoint that it was made from.",
                )

    def _list_attention(self) -> list[str]:
        return [
            f"model.layers.{layer}.self_attn.{name}"
            for layer in range(self.shape.layers)
            for name in ("q", "k", "v", "o")
        ]

    def _compute_shapes(self) -> dict[str, tuple[int, ...]]:
        shape = self.shape
        hidden, queries, keys = shape.hidden_size, shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        layer_shapes: dict[str, tuple[int, ...]] = {
            "self_attn.q_proj.weight": (queries, hidden),
            "self_attn.k_proj.weight": (keys, hidden),
            "self_attn.v_proj.weight": (keys, hidden),
            "self_attn.o_proj.weight": (hidden, queries),
            "self_attn.sinks": (shape.heads,),
            "input_layernorm.weight": (hidden,),
            "post_attention_layernorm.weight": (hidden,),
            "mlp.router.weight": (shape.experts, hidden),
            "mlp.router.bias": (shape.experts,),
        }
        shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (shape.vocabulary, hidden), NORM: (hidden,)}
        if not shape.tied_embeddings:
            shapes[HEAD] = (shape.vocabulary, hidden)
        for layer in range(shape.layers):
            shapes |= {f"model.layers.{layer}.{name}": size for name, size in layer_shapes.items()}
            for matrix in MATRICES:
                shapes |= self._compute_expert_shapes(f"model.layers.{layer}.mlp.experts.{matrix}", matrix)
        return shapes

    def _compute_expert_shapes(self, name: str, matrix: str) -> dict[str, tuple[int, ...]]:
        experts, (rows, columns) = self.shape.experts, get_matrix_size(self.shape, matrix)
        groups, form = (experts, rows, columns // BLOCK), self.find_matrix_storage(name)
        shapes: dict[str, tuple[int, ...]] = {f"{name}_bias": (experts, rows)}
        if form == "unpacked":
            return shapes | {name: (experts, columns, rows)}
        if form == "int8":
            return shapes | {f"{name}_int8": (experts, rows, columns), f"{name}_scales": groups}
        if form == "mxfp4":
            return shapes | {f"{name}_blocks": (*groups, BLOCK // 2), f"{name}_scales": groups}
        return shapes | {f"{name}_int4": (*groups, BLOCK // 2), f"{name}_scales": groups, f"{name}_minimums": groups}

    def find_matrix_storage(self, name: str) -> ExpertStorage:
        """Return how one of the experts' matrices is stored; in a checkpoint of int4 some may be int8."""
        return "int8" if self.experts == "int4" and f"{name}_int8" in self._places else self.experts


def get_matrix_size(shape: Shape, matrix: str) -> tuple[int, int]:
    """Return the rows (outputs) and columns (inputs) of one of the experts' matrices."""
    if matrix == "gate_up_proj":
        return 2 * shape.intermediate_size, shape.hidden_size
    return shape.hidden_size, shape.intermediate_size


def is_small_file(file: Path) -> bool:
    """Return True for the files beside the weights that a packed checkpoint takes over: tokenizer and configuration."""
    is_index = file.name.endswith(".index.json")
    return file.suffix in {".json", ".jinja", ".txt", ".model"} and not is_index and file.is_file()


def describe_file(file: Path) -> list[Any]:
    """Return what identifies the content of a file: its checksum in the hub's cache, else its size and time."""
    real = Path(os.path.realpath(file))
    if real.parent.name == _BLOB_FOLDER:
        return [real.name]
    status = real.stat()
    return [status.st_size, status.st_mtime_ns]


def compute_digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
