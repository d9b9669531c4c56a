"""A dense checkpoint in a folder with `config.json` and safetensors files."""

from __future__ import annotations

import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_gptoss.errors import CheckpointError
from langchain_gptoss.models.checkpoint_config import read_config, read_json_object, refuse_code
from langchain_gptoss.models.conversion.dense_config import DenseConfig, parse_dense_config
from langchain_gptoss.models.safetensors_files import StoredTensor, check_weights

if TYPE_CHECKING:
    import torch

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
_TYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
# Older checkpoints store the constants of the rotation, which transformers computes itself.
_IGNORED_ENDINGS = ("rotary_emb.inv_freq",)


class SafetensorsSource:
    """See `DenseSource`."""

    def __init__(self, folder: Path) -> None:
        """Check the headers of a checkpoint.

        Args:
            folder: The checkpoint.

        Raises:
            CheckpointError: Files are missing or damaged, or the model cannot be converted.
        """
        self.name = folder.name
        self._folder = folder
        config = read_config(folder)
        refuse_code(folder, config)
        self.config: DenseConfig = parse_dense_config(str(folder), config)
        self._raw_config = config
        self._check_tokenizer()
        self._places: dict[str, tuple[Path, StoredTensor]] = {
            name: (file, stored)
            for file, tensors in check_weights(folder).items()
            for name, stored in tensors.items()
            if not name.endswith(_IGNORED_ENDINGS)
        }
        self.sizes = {name: stored.nbytes for name, (_, stored) in self._places.items()}
        self.files = tuple(sorted({file for file, _ in self._places.values()}))
        for name, (_, stored) in self._places.items():
            if stored.dtype not in _TYPES:
                raise CheckpointError(
                    f"{str(folder)!r} stores {name!r} as {stored.dtype}; checkpoints in {', '.join(_TYPES)} can be "
                    "converted.",
                    hint="Convert the checkpoint that it was made from.",
                )

    @cached_property
    def generation_config(self) -> dict[str, Any]:
        """See `DenseSource`."""
        file = self._folder / "generation_config.json"
        if file.exists():
            return read_json_object(file)
        return {name: value for name, value in self.config.token_ids.items() if name == "eos_token_id"}

    def read(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        """See `DenseSource`."""
        import torch

        file, stored = self._places[name]
        # Copy-on-write, because torch requires writable memory; nothing writes to it.
        memory = np.memmap(file, dtype=np.uint8, mode="c", offset=stored.start, shape=(stored.nbytes,))
        tensor = torch.from_numpy(memory).view(getattr(torch, _TYPES[stored.dtype])).reshape(stored.shape)
        return tensor.to(dtype)

    def read_int4(self, name: str, *, factor: float = 1.0) -> None:
        """See `DenseSource`."""

    def is_finer_than_int4(self, name: str) -> bool:
        """See `DenseSource`."""
        return False

    def save_tokenizer(self, folder: Path) -> None:
        """See `DenseSource`."""
        for name in _TOKENIZER_FILES:
            if (self._folder / name).is_file():
                shutil.copyfile(self._folder / name, folder / name)

    def _check_tokenizer(self) -> None:
        if not (self._folder / "tokenizer.json").is_file():
            raise CheckpointError(
                f"{str(self._folder)!r} has no tokenizer.json.",
                hint="Save its tokenizer with transformers first: "
                "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER).",
            )
