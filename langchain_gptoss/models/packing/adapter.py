"""LoRA adapters in the format of PEFT: `adapter_config.json` and `adapter_model.safetensors`.

An adapter has two small matrices A and B for each matrix W that it changes, which becomes W + s B A; s is alpha / r, or
alpha / sqrt(r) with `use_rslora`. PEFT stores the experts of a layer together (`target_parameters`): A is [E r, inputs]
with the experts one below the other, and B is [outputs, r E] with the expert as its fastest index. For two changed
matrices of one module PEFT nests its wrappers: the inner one, `experts.base_layer`, has the first matrix.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_gptoss.errors import CheckpointError, DamagedCheckpointError
from langchain_gptoss.models.checkpoint_config import read_json_object
from langchain_gptoss.models.packing.source import MATRICES, compute_digest, get_matrix_size
from langchain_gptoss.models.safetensors_files import read_header
from langchain_gptoss.models.shapes import Shape

if TYPE_CHECKING:
    import torch

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
_PICKLE_FILE = "adapter_model.bin"
_KEY = re.compile(r"base_model\.model\.(model\.layers\.(\d+)\.(.+))\.lora_([AB])\.weight")
_ATTENTION = re.compile(r"self_attn\.([qkvo])_proj")
_EXPERTS, _INNER_EXPERTS = "mlp.experts", "mlp.experts.base_layer"
_PLAIN_STARTS = (True, False, "true", "gaussian", "orthogonal", "eva", None)
_TYPES = {"F32", "F16", "BF16"}
_SUPPORTED = "Supported are LoRA adapters of PEFT for q_proj, k_proj, v_proj, o_proj and the experts of gpt_oss."
_FETCH_AGAIN = "Copy or fetch the adapter again."
# Fields of the configuration that ask for something else than W + s B A, unless they are empty.
_REFUSED_FIELDS = {
    "use_dora": "DoRA (use_dora)",
    "use_qalora": "QA-LoRA (use_qalora)",
    "use_bdlora": "BD-LoRA (use_bdlora)",
    "alora_invocation_tokens": "activated LoRA (alora_invocation_tokens)",
    "arrow_config": "Arrow (arrow_config)",
    "kasa_config": "KaSA (kasa_config)",
    "velora_config": "VeLoRA (velora_config)",
    "monteclora_config": "MonteCLoRA (monteclora_config)",
    "lora_bias": "biases in the adapter (lora_bias)",
    "modules_to_save": "whole modules (modules_to_save)",
    "trainable_token_indices": "trained tokens (trainable_token_indices)",
    "layer_replication": "replicated layers (layer_replication)",
    "fan_in_fan_out": "transposed matrices (fan_in_fan_out)",
    "alpha_pattern": "different scales for its modules (alpha_pattern)",
}


class ExpertDelta:
    """The change of one matrix of all experts of a layer by an adapter."""

    def __init__(self, a: torch.Tensor, b: torch.Tensor, *, experts: int, scale: float) -> None:
        """Take the adapter's two matrices.

        Args:
            a: [experts * rank, columns].
            b: [rows, rank * experts].
            experts: Number of experts.
            scale: Factor of the product.
        """
        self._a = a.float().view(experts, -1, a.shape[1])
        self._b = b.float().view(b.shape[0], -1, experts)
        self._scale = scale

    def is_zero(self, expert: int) -> bool:
        """Return True if one of an expert's two factors is 0."""
        return not bool(self._a[expert].any()) or not bool(self._b[..., expert].any())

    def compute(self, expert: int) -> torch.Tensor:
        """Return what is added to the matrix of an expert, float32 [rows, columns]."""
        return self._b[..., expert] @ self._a[expert] * self._scale


class LoraAdapter:
    """A checked adapter for a checkpoint.

    Attributes:
        folder: Its folder.
        base: Name of the model that it was trained on, or None.
    """

    def __init__(self, folder: Path, shape: Shape) -> None:
        """Check an adapter.

        Args:
            folder: The folder with its two files.
            shape: Sizes of the model that it is for.

        Raises:
            CheckpointError: It is damaged, of another kind, or for another model.
        """
        self.folder = folder
        self._shape = shape
        self._config = _read_config(folder)
        self.base: str | None = self._config.get("base_model_name_or_path") or None
        self._file = folder / WEIGHTS_FILE
        self._pairs = self._find_pairs()
        self._check_targets()
        self._check_finite()

    def describe(self) -> dict[str, Any]:
        """Return a description, as JSON, that changes when the adapter does."""
        return {file.name: compute_digest(file) for file in (self.folder / CONFIG_FILE, self._file)}

    def merge_dense(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """Return a matrix of attention after merging, or the tensor itself if the adapter does not change it."""
        module = name.removesuffix(".weight")
        if module == name or module not in self._pairs:
            return weight
        a, b = self._read_pair(module)
        return weight.float() + b.float() @ a.float() * self._compute_scale(a.shape[0])

    def find_expert_delta(self, layer: int, matrix: str) -> ExpertDelta | None:
        """Return what is added to a matrix of the experts of a layer, or None."""
        name = f"model.layers.{layer}.{_EXPERTS}.{matrix}"
        if name not in self._pairs:
            return None
        a, b = self._read_pair(name)
        experts = self._shape.experts
        return ExpertDelta(a, b, experts=experts, scale=self._compute_scale(a.shape[0] // experts))

    def _read_pair(self, target: str) -> tuple[torch.Tensor, torch.Tensor]:
        from safetensors import safe_open

        with safe_open(self._file, framework="pt") as stream:
            a, b = (stream.get_tensor(f"{self._pairs[target]}.lora_{part}.weight") for part in "AB")
        return a, b

    def _compute_scale(self, rank: int) -> float:
        alpha = float(self._config["lora_alpha"])
        return alpha / (math.sqrt(rank) if self._config.get("use_rslora") else rank)

    def _find_pairs(self) -> dict[str, str]:
        """Return the beginning of the names of A and B for each matrix that is changed, after checking their shapes."""
        header = read_header(self._file)
        prefixes: dict[str, str] = {}
        for key, stored in header.items():
            match = _KEY.fullmatch(key)
            target = self._find_target(match) if match else None
            if match is None or target is None:
                raise self._refuse(f"changes {key!r}, which cannot be merged", _SUPPORTED)
            if stored.dtype not in _TYPES:
                raise self._refuse(f"stores {key!r} as {stored.dtype}", _SUPPORTED)
            prefixes[target] = f"base_model.model.{match[1]}"
        for target, prefix in prefixes.items():
            shapes = []
            for part in "AB":
                if f"{prefix}.lora_{part}.weight" not in header:
                    raise self._refuse(f"lacks {prefix}.lora_{part}.weight", _FETCH_AGAIN)
                shapes.append(header[f"{prefix}.lora_{part}.weight"].shape)
            self._check_shapes(target, *shapes)
        if not prefixes:
            raise self._refuse("changes nothing", _FETCH_AGAIN)
        return prefixes

    def _find_target(self, match: re.Match[str]) -> str | None:
        """Return the full name of the matrix that a key is about, or None if it cannot be merged."""
        layer, module = int(match[2]), match[3]
        if layer >= self._shape.layers:
            raise self._refuse(
                f"changes layer {layer}, and the model has the layers 0 to {self._shape.layers - 1}: it was trained on "
                f"another model{self._name_base()}",
                "Pass the model that it was trained on.",
            )
        if _ATTENTION.fullmatch(module):
            return f"model.layers.{layer}.{module}"
        if module not in {_EXPERTS, _INNER_EXPERTS}:
            return None
        targeted = [matrix for matrix in MATRICES if self._is_targeted(layer, matrix)]
        # The wrapper of the first matrix is inside that of the second one.
        inner_count = module.count(".base_layer")
        if len(targeted) <= inner_count:
            return None
        return f"model.layers.{layer}.{_EXPERTS}.{targeted[len(targeted) - 1 - inner_count]}"

    def _is_targeted(self, layer: int, matrix: str) -> bool:
        full_name = f"model.layers.{layer}.{_EXPERTS}.{matrix}"
        targets = self._config.get("target_parameters") or []
        return any(full_name == target or full_name.endswith(f".{target}") for target in targets)

    def _check_shapes(self, target: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
        rows, columns, copies = self._get_sizes(target)
        rank = a[0] // copies if len(a) == 2 else 0
        if rank < 1 or a != (rank * copies, columns) or b != (rows, rank * copies):
            raise self._refuse(
                f"has the shapes {a} and {b} for {target!r}, whose matrices have {rows} rows and {columns} columns: it "
                f"was trained on another model{self._name_base()}",
                "Pass the model that it was trained on.",
            )

    def _get_sizes(self, target: str) -> tuple[int, int, int]:
        """Return the rows and columns of a matrix, and how many experts have one."""
        shape, leaf = self._shape, target.rpartition(".")[2]
        if leaf in MATRICES:
            return (*get_matrix_size(shape, leaf), shape.experts)
        queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        if leaf == "o_proj":
            return shape.hidden_size, queries, 1
        return queries if leaf == "q_proj" else keys, shape.hidden_size, 1

    def _check_targets(self) -> None:
        """Check that no matrix is missing that the configuration names."""
        expected: set[str] = set()
        modules, layers = self._config.get("target_modules") or [], self._config.get("layers_to_transform")
        if isinstance(layers, int):
            layers = [layers]
        for layer in range(self._shape.layers):
            prefix = f"model.layers.{layer}."
            if isinstance(modules, list) and (layers is None or layer in layers):
                expected |= {f"{prefix}self_attn.{name}" for name in modules if re.fullmatch("[qkvo]_proj", str(name))}
            expected |= {f"{prefix}{_EXPERTS}.{matrix}" for matrix in MATRICES if self._is_targeted(layer, matrix)}
        excluded = self._config.get("exclude_modules")
        if not excluded and (missing := sorted(expected - self._pairs.keys())):
            raise self._refuse(
                f"lacks {len(missing)} matrices that its {CONFIG_FILE} names, such as those of {missing[0]!r}",
                _FETCH_AGAIN,
            )

    def _check_finite(self) -> None:
        for target in self._pairs:
            if not all(bool(tensor.isfinite().all()) for tensor in self._read_pair(target)):
                raise self._refuse(f"has values for {target!r} that are not finite numbers", _FETCH_AGAIN)

    def _name_base(self) -> str:
        return f" ({self.base!r})" if self.base else ""

    def _refuse(self, problem: str, hint: str) -> CheckpointError:
        return CheckpointError(f"The adapter {str(self.folder)!r} {problem}.", hint=hint)


def _read_config(folder: Path) -> Mapping[str, Any]:
    file = folder / CONFIG_FILE
    if not file.is_file():
        raise DamagedCheckpointError(
            f"{str(folder)!r} is not an adapter: it has no {CONFIG_FILE}.",
            hint=f"Pass the folder that holds {CONFIG_FILE} and {WEIGHTS_FILE}.",
        )
    config = read_json_object(file)
    _check_kind(folder, config)
    if not (folder / WEIGHTS_FILE).is_file():
        note = f" It has {_PICKLE_FILE}, a pickle, which is never opened." if (folder / _PICKLE_FILE).exists() else ""
        raise DamagedCheckpointError(
            f"The adapter {str(folder)!r} has no {WEIGHTS_FILE}.{note}", hint="Save it again with safetensors."
        )
    return config


def _check_kind(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse, by name, adapters that do more than add the product of two matrices."""
    problem = None
    if config.get("peft_type") != "LORA":
        problem = f"is of the kind {config.get('peft_type')!r}"
    elif config.get("bias", "none") != "none":
        problem = f"trains biases (bias = {config['bias']!r})"
    elif refused := next((text for field, text in _REFUSED_FIELDS.items() if config.get(field)), None):
        problem = f"uses {refused}"
    elif (start := config.get("init_lora_weights", True)) not in _PLAIN_STARTS:
        problem = f"changes the weights that it starts from (init_lora_weights = {start!r})"
    elif not isinstance(config.get("lora_alpha"), int | float) or not math.isfinite(config["lora_alpha"]):
        problem = f"has lora_alpha = {config.get('lora_alpha')!r}, which is not a number"
    if problem:
        raise CheckpointError(f"The adapter {str(folder)!r} {problem}, which is not supported.", hint=_SUPPORTED)
