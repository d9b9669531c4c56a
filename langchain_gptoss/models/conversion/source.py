"""A dense checkpoint as the conversion sees it, whatever its files are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from langchain_gptoss.models.conversion.dense_config import DenseConfig

if TYPE_CHECKING:
    import torch

EMBEDDING = "model.embed_tokens.weight"
NORM = "model.norm.weight"
HEAD = "lm_head.weight"


class DenseSource(Protocol):
    """A dense checkpoint. Its tensors have the names that transformers gives them."""

    @property
    def name(self) -> str:
        """Name of the checkpoint in messages."""

    @property
    def config(self) -> DenseConfig:
        """Its configuration."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Size of each tensor in the source, in bytes."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that contain the weights."""

    @property
    def generation_config(self) -> dict[str, Any]:
        """The `generation_config.json` of the new checkpoint."""

    def read(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        """Return a tensor in a type.

        Raises:
            CheckpointError: It is stored in a type that this package does not read.
        """

    def save_tokenizer(self, folder: Path) -> None:
        """Write the tokenizer's files into a folder.

        Raises:
            CheckpointError: The tokenizer is of a kind that this package does not know.
        """
