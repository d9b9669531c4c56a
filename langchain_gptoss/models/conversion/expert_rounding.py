"""The experts of a converted layer in a format of blocks: MXFP4, int8 or int4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from langchain_gptoss.models.conversion.int4 import Int4Matrix, round_to_int4
from langchain_gptoss.models.conversion.mapping import EXPERTS, Read, read_matrix
from langchain_gptoss.models.conversion.rounding import round_to_int8, round_to_mxfp4
from langchain_gptoss.models.conversion.source import DenseSource

if TYPE_CHECKING:
    import torch

BlockFormat = Literal["mxfp4", "int8", "int4"]
"""Formats in which 32 numbers of a row share a scale."""

_Parts = dict[str, "torch.Tensor"]
"""The tensors of a matrix by the endings of their names; the first two dimensions are rows and columns or blocks."""


def find_int8_matrices(dense: DenseSource) -> list[str]:
    """Return the names of the experts' matrices that are stored in int8 beside int4, because four bits are too few.

    Args:
        dense: The source, whose own formats decide.
    """
    return [
        f"model.layers.{layer}.mlp.experts.{matrix}"
        for layer in range(dense.config.layers)
        for matrix, projections in (("gate_up_proj", ("gate", "up")), ("down_proj", ("down",)))
        if any(dense.is_finer_than_int4(f"model.layers.{layer}.mlp.{name}_proj.weight") for name in projections)
    ]


class LayerExperts:
    """The feed-forward layer of a dense model, rounded as the experts of a gpt_oss layer."""

    def __init__(
        self, dense: DenseSource, prefix: str, read: Read, *, expert_width: int, alpha: float, int8_matrices: list[str]
    ) -> None:
        """Remember where the matrices are.

        Args:
            dense: The source.
            prefix: The beginning of the names of the layer's tensors.
            read: See `mapping.Read`.
            expert_width: Width of one expert.
            alpha: The new checkpoint's `swiglu_alpha`.
            int8_matrices: See `find_int8_matrices`.
        """
        self._dense, self._prefix, self._read = dense, prefix, read
        self._expert_width, self._alpha, self._int8_matrices = expert_width, alpha, int8_matrices

    def round(self, block_format: BlockFormat) -> dict[str, torch.Tensor]:
        """Return the tensors of the experts' matrices, without biases."""
        import torch

        gate, up, down = (self._round_matrix(name, block_format) for name in ("gate", "up", "down"))
        tensors = {}
        for part in gate:  # gate and up alternate
            stacked = torch.stack((gate[part], up[part]), dim=1)
            rows = (EXPERTS, 2 * self._expert_width)
            tensors[f"mlp.experts.gate_up_proj_{part}"] = stacked.view(*rows, *stacked.shape[2:])
        for part, tensor in down.items():
            columns = (EXPERTS, tensor.shape[1] // EXPERTS)
            split = tensor.view(len(tensor), *columns, *tensor.shape[2:])
            tensors[f"mlp.experts.down_proj_{part}"] = split.transpose(0, 1)
        return tensors

    def _round_matrix(self, name: str, block_format: BlockFormat) -> _Parts:
        matrix = "down_proj" if name == "down" else "gate_up_proj"
        if block_format == "int4" and f"{self._prefix}mlp.experts.{matrix}" in self._int8_matrices:
            block_format = "int8"
        if block_format == "int4":
            rounded = self._round_to_int4(name)
            return {"int4": rounded.values, "scales": rounded.scales, "minimums": rounded.minimums}
        factor, numbers = self._get_factor(name), self._read_matrix(name)
        if block_format == "int8":
            int8 = round_to_int8(numbers * factor)
            return {"int8": int8.values, "scales": int8.scales}
        if factor == EXPERTS:  # a power of two, which only changes the scales
            packed = round_to_mxfp4(numbers, factor_exponent=EXPERTS.bit_length() - 1)
        else:
            packed = round_to_mxfp4(numbers * factor)
        return {"blocks": packed.blocks, "scales": packed.scales}

    def _round_to_int4(self, name: str) -> Int4Matrix:
        factor = self._get_factor(name)
        stored = self._dense.read_int4(
            f"{self._prefix}mlp.{name}_proj.weight", factor=factor / self._alpha if name == "gate" else factor
        )
        if stored is None:
            return round_to_int4(self._read_matrix(name) * factor)
        hidden, width = self._dense.config.hidden_size, EXPERTS * self._expert_width
        return stored.pad(rows=hidden, columns=width) if name == "down" else stored.pad(rows=width, columns=hidden)

    def _read_matrix(self, name: str) -> torch.Tensor:
        return read_matrix(self._read, self._dense.config, name, expert_width=self._expert_width, alpha=self._alpha)

    def _get_factor(self, name: str) -> float:
        return self._alpha * EXPERTS if name == "down" else 1.0
