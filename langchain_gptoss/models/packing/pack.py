"""Packs a gpt_oss checkpoint, layer by layer: experts become MXFP4 or int8, and an adapter is merged."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from langchain_gptoss._io import lock_path
from langchain_gptoss._progress import show_progress
from langchain_gptoss.errors import CheckpointError
from langchain_gptoss.models.checkpoint_config import check_config
from langchain_gptoss.models.conversion.int4 import round_to_int4
from langchain_gptoss.models.conversion.rounding import BLOCK, round_to_int8, round_to_mxfp4
from langchain_gptoss.models.conversion.workspace import Workspace
from langchain_gptoss.models.download.cache_directory import require_free_space, translate_storage_errors
from langchain_gptoss.models.packing.source import (
    EMBEDDING,
    HEAD,
    MATRICES,
    NORM,
    PackingSource,
    get_matrix_size,
    is_small_file,
)
from langchain_gptoss.models.packing.unpacking import unpack_int4, unpack_int8, unpack_mxfp4
from langchain_gptoss.models.safetensors_files import check_weights
from langchain_gptoss.models.shapes import (
    BLOCK_BYTES_PER_WEIGHT,
    Shape,
    build_quantization_config,
    read_int8_matrices,
)

if TYPE_CHECKING:
    import torch

    from langchain_gptoss.models.packing.adapter import ExpertDelta, LoraAdapter

Storage = Literal["mxfp4", "int4", "int8", "bf16"]
"""How a checkpoint stores its experts: 4.25, 5, 8.5 or 16 bits per weight."""

VERSION = 1
"""Part of a packed checkpoint's key: another rounding or layout gets another number."""

_BLOCK_FORMAT_NAMES = {"mxfp4": "MXFP4", "int4": "int4", "int8": "int8"}
# The tensors of a matrix in each format, by the endings of their names; the first one has the values.
_PARTS = {"mxfp4": ("blocks", "scales"), "int4": ("int4", "scales", "minimums"), "int8": ("int8", "scales")}
_PIECE = 2**22  # numbers that are checked at a time
_OWN_FILES = {"config.json"}


def estimate_packed_bytes(shape: Shape, storage: Storage) -> int:
    """Return the size of a packed checkpoint's weights, in bytes."""
    return _compute_expert_bytes(shape, storage) + 2 * (shape.parameters - shape.expert_weights)


def estimate_peak_bytes(shape: Shape, storage: Storage) -> int:
    """Return the memory that packing needs besides that of Python and its libraries, in bytes.

    It is one packed layer and a few copies of one expert's matrix, or one of the two tables.
    """
    layer_bytes = _compute_expert_bytes(shape, storage) // shape.layers
    layer_bytes += 2 * shape.attention_weights // shape.layers
    expert_bytes = 4 * 2 * shape.intermediate_size * shape.hidden_size
    return max(layer_bytes + 4 * expert_bytes, 2 * shape.embedding_weights)


def _compute_expert_bytes(shape: Shape, storage: Storage) -> int:
    if storage == "int4":
        return shape.int4_expert_bytes
    return int(shape.expert_weights * BLOCK_BYTES_PER_WEIGHT.get(storage, 2.0))


def check_storage(source: PackingSource, storage: Storage) -> None:
    """Check that the sizes of a checkpoint allow a storage.

    Raises:
        CheckpointError: Its rows are no multiple of the format's block.
    """
    sizes = {"hidden_size": source.shape.hidden_size, "intermediate_size": source.shape.intermediate_size}
    for name, size in sizes.items():
        if storage != "bf16" and size % BLOCK:
            format_name = _BLOCK_FORMAT_NAMES[storage]
            raise CheckpointError(
                f"{str(source.folder)!r} cannot be packed: {name} is {size}, and {format_name} needs a multiple of "
                f"{BLOCK}.",
                hint="Use experts='unpacked'.",
            )


def pack_checkpoint(
    source: PackingSource, target: Path, *, storage: Storage, description: dict[str, Any], adapter: LoraAdapter | None
) -> None:
    """Write a packed checkpoint, unless it exists; a stopped run is continued.

    One process packs it; others wait for it.

    Args:
        source: The checkpoint.
        target: The folder of the packed checkpoint.
        storage: How its experts are stored.
        description: What it is made from, as JSON. A run that was stopped is continued if it has the same description.
        adapter: An adapter that is merged, or None.

    Raises:
        CheckpointError: A weight is not a finite number, or the sizes do not allow the storage.
        StorageError: The disk is full or read-only.
    """
    check_storage(source, storage)
    with translate_storage_errors(target.parent), lock_path(target):
        if target.is_dir():
            return
        workspace = Workspace(target, description)
        written = sum(file.stat().st_size for file in workspace.folder.iterdir())
        require_free_space(target.parent, estimate_packed_bytes(source.shape, storage) - written)
        _Packer(source, workspace, storage, adapter).run(description)


class _Packer:
    """Writes the files of one packed checkpoint."""

    def __init__(
        self, source: PackingSource, workspace: Workspace, storage: Storage, adapter: LoraAdapter | None
    ) -> None:
        self._source, self._workspace, self._storage, self._adapter = source, workspace, storage, adapter
        self._shape = source.shape

    def run(self, description: dict[str, Any]) -> None:
        """Write all files and give the folder its name."""
        parts = list(self._list_parts())
        names = [f"model-{number:05}-of-{len(parts):05}.safetensors" for number in range(1, len(parts) + 1)]
        with show_progress(sum(self._source.sizes.values()), f"Packing {self._source.folder.name}") as progress_bar:
            for name, (prefix, make) in zip(names, parts, strict=True):
                self._workspace.add_weights(name, make)
                progress_bar.update(
                    sum(size for tensor, size in self._source.sizes.items() if tensor.startswith(prefix))
                )
        self._workspace.write_index(names)
        self._workspace.write_json("config.json", self._build_config())
        self._workspace.write_json("packing.json", description)
        for file in self._source.folder.iterdir():
            if is_small_file(file) and file.name not in _OWN_FILES:
                shutil.copyfile(file, self._workspace.folder / file.name)
        check_config(self._workspace.folder)
        check_weights(self._workspace.folder)
        self._workspace.publish()

    def _list_parts(self) -> Iterator[tuple[str, Callable[[], dict[str, torch.Tensor]]]]:
        """Yield for each file the beginning of its tensors' names and a function that makes them."""
        for name in (EMBEDDING, NORM, HEAD):
            if name in self._source:
                yield name, partial(self._read_tensors, name)
        for layer in range(self._shape.layers):
            yield f"model.layers.{layer}.", partial(self._make_layer, layer)

    def _read_tensors(self, *names: str) -> dict[str, torch.Tensor]:
        import torch

        return {name: self._read_finite(name).to(torch.bfloat16) for name in names}

    def _read_finite(self, name: str) -> torch.Tensor:
        tensor = self._source.read(name)
        _check_finite(name, tensor)
        return tensor

    def _make_layer(self, layer: int) -> dict[str, torch.Tensor]:
        import torch

        prefix = f"model.layers.{layer}."
        experts = tuple(
            f"{prefix}mlp.experts.{matrix}{end}"
            for matrix in MATRICES
            for end in ("", "_blocks", "_int4", "_int8", "_scales", "_minimums")
        )
        tensors: dict[str, torch.Tensor] = {}
        for name in self._source.sizes:
            if name.startswith(prefix) and name not in experts:
                tensor = self._read_finite(name)
                if self._adapter is not None:
                    tensor = self._adapter.merge_dense(name, tensor)
                tensors[name] = tensor.to(torch.bfloat16)
        for matrix in MATRICES:
            tensors |= self._make_experts(layer, matrix)
        return tensors

    def _make_experts(self, layer: int, matrix: str) -> dict[str, torch.Tensor]:
        import torch

        name, (rows, columns) = f"model.layers.{layer}.mlp.experts.{matrix}", get_matrix_size(self._shape, matrix)
        delta = self._adapter.find_expert_delta(layer, matrix) if self._adapter is not None else None
        experts = range(self._shape.experts)
        if self._storage == "bf16":
            unpacked = torch.empty(len(experts), columns, rows, dtype=torch.bfloat16)
            for expert in experts:
                unpacked[expert] = self._read_merged(name, expert, delta).T
            return {name: unpacked}
        # A checkpoint of int4 has matrices in int8 that lose too much by four bits.
        is_wide = self._storage == "int4" and self._source.find_matrix_storage(name) == "int8"
        storage: Storage = "int8" if is_wide else self._storage
        tensors: dict[str, torch.Tensor] = {}
        for expert in experts:
            for part, piece in zip(_PARTS[storage], self._round_expert(name, expert, delta, storage), strict=True):
                if expert == 0:
                    tensors[f"{name}_{part}"] = piece.new_empty(len(experts), *piece.shape)
                tensors[f"{name}_{part}"][expert] = piece
        return tensors

    def _round_expert(
        self, name: str, expert: int, delta: ExpertDelta | None, storage: Storage
    ) -> tuple[torch.Tensor, ...]:
        """Return the tensors of `_PARTS` for one expert."""
        if self._source.find_matrix_storage(name) == storage and (delta is None or delta.is_zero(expert)):
            # Experts that are stored so and that the adapter does not change keep their bits.
            return tuple(self._source.read_expert(f"{name}_{part}", expert) for part in _PARTS[storage])
        weights = self._read_merged(name, expert, delta)
        if storage == "int8":
            int8 = round_to_int8(weights)
            return int8.values, int8.scales
        if storage == "int4":
            int4 = round_to_int4(weights)
            return int4.values, int4.scales, int4.minimums
        packed = round_to_mxfp4(weights)
        return packed.blocks, packed.scales

    def _read_merged(self, name: str, expert: int, delta: ExpertDelta | None) -> torch.Tensor:
        """Return one expert's matrix after merging, float32 [rows, columns]."""
        weights = self._read_unpacked(name, expert)
        if delta is not None:
            weights = weights + delta.compute(expert)
        _check_finite(name, weights)
        return weights.contiguous()

    def _read_unpacked(self, name: str, expert: int) -> torch.Tensor:
        import torch

        stored = self._source.find_matrix_storage(name)
        if stored == "unpacked":
            return self._source.read_expert(name, expert).T.to(torch.float32)
        parts = [self._source.read_expert(f"{name}_{part}", expert) for part in _PARTS[stored]]
        if stored == "int4":
            return unpack_int4(*parts)
        return unpack_mxfp4(*parts) if stored == "mxfp4" else unpack_int8(*parts)

    def _build_config(self) -> dict[str, Any]:
        config = {key: value for key, value in self._source.config.items() if key != "quantization_config"}
        config.pop("torch_dtype", None)
        config["dtype"] = "bfloat16"
        if self._storage != "bf16":
            int8_matrices = read_int8_matrices(self._source.config) if self._storage == "int4" else ()
            config["quantization_config"] = build_quantization_config(self._storage, int8_matrices=int8_matrices)
        return config


def _check_finite(name: str, tensor: torch.Tensor) -> None:
    if not tensor.is_floating_point():
        return
    flat = tensor.flatten()
    # In pieces, because the check makes copies.
    if not all(bool(flat[start : start + _PIECE].isfinite().all()) for start in range(0, len(flat), _PIECE)):
        raise CheckpointError(
            f"{name!r} has values that are not finite numbers.", hint="Copy or fetch the checkpoint again."
        )
