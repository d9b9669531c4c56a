"""The forecast of a packing: what will be done, and the disk space and memory that it needs."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from langchain_gptoss.errors import DamagedCheckpointError
from langchain_gptoss.models.catalog import ModelCard
from langchain_gptoss.models.checkpoint_config import check_config
from langchain_gptoss.models.download.cache_directory import cache_directory
from langchain_gptoss.models.packing.locate import FOLDER, choose_storage, plan_packing
from langchain_gptoss.models.packing.pack import Storage, estimate_packed_bytes, estimate_peak_bytes
from langchain_gptoss.models.safetensors_files import list_weight_files
from langchain_gptoss.models.shapes import Shape, parse_shape

_STORAGE_NAMES = {"mxfp4": "MXFP4", "int4": "int4", "int8": "int8", "bf16": "bfloat16"}
_STORED_TYPES = {"mxfp4": "mxfp4", "int4": "int4", "int8": "int8", "bf16": "bfloat16"}


@dataclass(frozen=True, kw_only=True)
class PackingForecast:
    """The packing that is done once, before a model is loaded for the first time.

    Attributes:
        storage: How the packed checkpoint stores its experts.
        adapter: The adapter that is merged, or None.
        folder: The folder that the packed checkpoint is in, or the folder of all packed checkpoints.
        is_done: True if the packed checkpoint exists.
        size_bytes: Its size.
        free_bytes: Free space on its disk.
        peak_bytes: Memory that packing needs besides that of Python and its libraries.
        shape: Sizes of the packed checkpoint.
    """

    storage: Storage
    adapter: str | None
    folder: str
    is_done: bool
    size_bytes: int
    free_bytes: int
    peak_bytes: int
    shape: Shape

    @property
    def sentence(self) -> str:
        """One sentence for display."""
        what = f"experts in {_STORAGE_NAMES[self.storage]}"
        if self.adapter is not None:
            what += f", with the adapter {self.adapter!r} merged"
        if self.is_done:
            return f"The model is packed ({what}): {self.folder}."
        return (
            f"The model is packed once before it is loaded ({what}): {self.size_bytes / 1e9:.1f} GB in {self.folder} "
            f"({self.free_bytes / 1e9:.1f} GB free), with up to {self.peak_bytes / 1e9:.1f} GB of memory."
        )


def predict_packing(
    card: ModelCard, folder: Path, *, adapter: str | Path | None = None, experts: str | None = None
) -> PackingForecast | None:
    """Return what is done before a model is loaded, or None if its checkpoint is loaded as it is.

    Args:
        card: The model.
        folder: Its checkpoint; its weights may be missing.
        adapter: See `locate_model`.
        experts: See `locate_model`.

    Raises:
        CheckpointError: The checkpoint or the adapter is damaged, or they do not fit together.
        DownloadError: The adapter is not cached and cannot be fetched.
    """
    shape = parse_shape(check_config(folder))
    storage = choose_storage(shape, experts)
    target, is_done = cache_directory() / FOLDER, False
    if all(file.is_file() for file in _list_files(folder)):
        packing = plan_packing(card, folder, adapter=adapter, experts=experts)
        if packing is None:
            return None
        storage, target, is_done = packing.storage, packing.folder, packing.folder.is_dir()
    elif adapter is None and (shape.checkpoint_experts in {"mxfp4", "int4", "int8"} or storage == "bf16"):
        return None
    return PackingForecast(
        storage=storage,
        adapter=None if adapter is None else str(adapter),
        folder=str(target),
        is_done=is_done,
        size_bytes=estimate_packed_bytes(shape, storage),
        free_bytes=_find_free_bytes(target),
        peak_bytes=estimate_peak_bytes(shape, storage),
        shape=_replace_storage(shape, storage),
    )


def _list_files(folder: Path) -> list[Path]:
    """Return the weight files of a checkpoint, or its missing first one if it has none yet."""
    try:
        return list_weight_files(folder)
    except DamagedCheckpointError:
        return [folder / "model.safetensors"]


def _find_free_bytes(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _replace_storage(shape: Shape, storage: Storage) -> Shape:
    return replace(shape, checkpoint_experts=_STORED_TYPES[storage])
