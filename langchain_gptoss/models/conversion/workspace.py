"""The folder in which a checkpoint is written, file by file, until it is complete.

It lies beside the target under another name, so nothing takes it for a checkpoint. Each weight file appears in it
complete or not at all. A stopped conversion goes on with the files that are there, if source and options are the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_gptoss._io import PARTIAL_PREFIX, SHARED_FOLDER_MODE, open_replacement, sync_to_disk, write_atomically
from langchain_gptoss.errors import DamagedCheckpointError
from langchain_gptoss.models.safetensors_files import INDEX, read_header

if TYPE_CHECKING:
    import torch

_PREFIX = ".converting-"
_STATE = "conversion.json"


class Workspace:
    """Files of a conversion that is not complete."""

    def __init__(self, target: Path, state: Mapping[str, Any]) -> None:
        """Open the folder, or begin a new one if it belongs to another conversion.

        Args:
            target: The folder that the checkpoint will have.
            state: Describes source and options, as JSON.

        Raises:
            OSError: The folder cannot be made.
        """
        self._target = target
        self.folder = target.with_name(f"{_PREFIX}{target.name}")
        content = json.dumps(state, indent=2, sort_keys=True).encode()
        file = self.folder / _STATE
        if not file.is_file() or file.read_bytes() != content:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            write_atomically(file, content)
        for leftover in self.folder.glob(f"{PARTIAL_PREFIX}*"):  # of a killed run
            leftover.unlink()

    def add_weights(self, name: str, make: Callable[[], dict[str, torch.Tensor]]) -> None:
        """Write a safetensors file, unless an earlier run has written it.

        Args:
            name: Name of the file.
            make: Returns its tensors.

        Raises:
            OSError: The file cannot be written.
        """
        from safetensors.torch import save_file

        file = self.folder / name
        if _is_complete(file):
            return
        with open_replacement(file) as partial:
            save_file({key: tensor.contiguous() for key, tensor in make().items()}, partial, metadata={"format": "pt"})

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file.

        Raises:
            OSError: The file cannot be written.
        """
        (self.folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def write_index(self, names: list[str]) -> None:
        """Write the index of the weight files.

        Raises:
            OSError: The file cannot be written.
        """
        headers = {name: read_header(self.folder / name) for name in names}
        weight_map = {tensor: name for name, tensors in headers.items() for tensor in tensors}
        total = sum(tensor.nbytes for tensors in headers.values() for tensor in tensors.values())
        self.write_json(INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})

    def publish(self) -> None:
        """Give the folder its name.

        Raises:
            OSError: The folder cannot be renamed.
        """
        for file in self.folder.iterdir():
            sync_to_disk(file)
        self.folder.chmod(SHARED_FOLDER_MODE)
        (self.folder / _STATE).unlink()
        self.folder.rename(self._target)
        sync_to_disk(self._target.parent)


def _is_complete(file: Path) -> bool:
    if not file.is_file():
        return False
    try:
        read_header(file)
    except DamagedCheckpointError:
        return False
    return True
