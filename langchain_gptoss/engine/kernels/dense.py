"""Matrices outside the experts in the checkpoint's own type, between layers that compute in float32."""

import torch
from torch import nn


class StoredEmbedding(nn.Module):
    """An embedding table in the checkpoint's own type; only the rows that are used become float32."""

    weight: torch.Tensor

    def __init__(self, weight: torch.Tensor) -> None:
        """Keep the table.

        Args:
            weight: [vocabulary, hidden]; it may be mapped from a file.
        """
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return float32 [..., hidden] for token ids [...]."""
        return nn.functional.embedding(ids, self.weight).float()


class Bfloat16Linear(nn.Linear):
    """A linear layer with bfloat16 weights and arithmetic between layers of another type, such as float32."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return [..., rows] for [..., k]."""
        return super().forward(input.to(torch.bfloat16)).to(input.dtype)
