"""A dense checkpoint as the conversion sees it, whatever its files are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from langchain_gptoss.models.conversion.dense_config import DenseConfig

if TYPE_CHECKING:
    import torch

    from langchain_gptoss.models.conversion.int4 import Int4Matrix

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

    def read_int4(self, name: str, *, factor: float = 1.0) -> Int4Matrix | None:
        """Return a matrix that is stored in four bits with a scale for 32 numbers of a row, or None if it is not.

        Its four bits are kept, so that only scales and minimums are rounded.

        Args:
            name: Name of the matrix.
            factor: The result stands for the matrix times this.
        """

    def is_finer_than_int4(self, name: str) -> bool:
        """Return True if a matrix is stored in five or six bits, because four were too few for it."""

    def save_tokenizer(self, folder: Path) -> None:
        """Write the tokenizer's files into a folder.

        Raises:
            CheckpointError: The tokenizer is of a kind that this package does not know.
        """
