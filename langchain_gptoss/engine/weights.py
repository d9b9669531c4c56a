"""Loads a checkpoint's weights into transformers' own model, in the types of the plan.

Packed experts and the embedding table are mapped from the checkpoint's files and not copied. They use no more memory
than the files have bytes, and none before their first use. All other tensors are read, converted and released.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from langchain_gptoss.engine.checkpoint_tensors import dequantize_int8, iterate_tensors
from langchain_gptoss.engine.kernels.dense import Bfloat16Linear, StoredEmbedding
from langchain_gptoss.engine.kernels.mxfp4 import dequantize_mxfp4
from langchain_gptoss.engine.kernels.packed_experts import (
    IMPLEMENTATION,
    PACKED_NAMES,
    attach_packed_experts,
    register_packed_experts,
)
from langchain_gptoss.errors import CheckpointError
from langchain_gptoss.models.packing.unpacking import unpack_int4
from langchain_gptoss.models.planning.plan import Plan

_COPY_AGAIN = "Copy or fetch the checkpoint again."
_UNPACKED_NAMES = ("gate_up_proj", "down_proj")
_BLOCK_ENDINGS = ("_blocks", "_scales", "_int8", "_int4", "_minimums")


def load_weights(folder: Path, plan: Plan, report: Callable[[int], object]) -> Any:
    """Load a gpt_oss checkpoint.

    Args:
        folder: The checkpoint; its files are checked.
        plan: Devices and types of the weights; a plan for the runner `"torch"`.
        report: Called with the number of bytes read since the last call.

    Returns:
        A `transformers.GptOssForCausalLM` in evaluation mode.

    Raises:
        CheckpointError: Weights are missing or superfluous, or their shapes contradict the config.
    """
    model = _create_model_without_weights(folder, plan)
    device_map = DeviceMap(plan, layers=model.config.num_hidden_layers)
    loader = _WeightLoader(model, plan, device_map)
    for name, tensor in iterate_tensors(folder):
        loader.add_tensor(name, tensor)
        report(tensor.nbytes)
    loader.finish(folder)
    device_map.add_hooks(model)
    return model.eval().requires_grad_(False)


def _create_model_without_weights(folder: Path, plan: Plan) -> Any:
    from transformers import GptOssConfig, GptOssForCausalLM
    from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRotaryEmbedding

    register_packed_experts()
    config: Any = GptOssConfig.from_pretrained(folder, local_files_only=True)
    config.quantization_config = None
    config._attn_implementation = "eager"  # of the model alone; the runner has its own
    config._experts_implementation = IMPLEMENTATION if plan.experts == "packed" else "grouped_mm"
    with torch.device("meta"):
        model: Any = GptOssForCausalLM(config)
    model.model.rotary_emb = GptOssRotaryEmbedding(
        config
    )  # its buffers are computed, so they must not be on the meta device
    return model


class DeviceMap:
    """The device of each part of a model; the layers are spread over the plan's GPUs in order."""

    def __init__(self, plan: Plan, *, layers: int) -> None:
        """Prepare the map.

        Args:
            plan: The plan.
            layers: Number of layers of the model.
        """
        self._devices = [f"cuda:{index}" for index in plan.gpus] or [plan.device]
        self._layers = layers
        self._expert_device = "cpu" if plan.offload else None

    def get_device(self, name: str) -> str:
        """Return the device of a module or parameter."""
        parts = name.split(".")
        if parts[:2] == ["model", "layers"]:
            device = self._devices[int(parts[2]) * len(self._devices) // self._layers]
            return self._expert_device or device if ".experts" in name else device
        return self._devices[0] if "embed_tokens" in name else self._devices[-1]

    def add_hooks(self, model: Any) -> None:
        """Add hooks that move each layer's inputs to its device."""
        model.model.rotary_emb.to(self._devices[0])
        if len(self._devices) == 1:
            return
        for index, layer in enumerate(model.model.layers):
            layer.register_forward_pre_hook(
                _move_inputs_hook(self.get_device(f"model.layers.{index}")), with_kwargs=True
            )
        model.model.norm.register_forward_pre_hook(_move_inputs_hook(self._devices[-1]), with_kwargs=True)


def _move_inputs_hook(device: str) -> Callable[..., tuple[Any, Any]]:
    def move(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.to(device, non_blocking=True)
        return type(value)(map(move, value)) if isinstance(value, tuple | list) else value

    def move_inputs(_: nn.Module, arguments: Any, options: Any) -> tuple[Any, Any]:
        return move(arguments), {name: move(value) for name, value in options.items()}

    return move_inputs


class _WeightLoader:
    """Adds a checkpoint's tensors to a model, one by one and in any order."""

    def __init__(self, model: Any, plan: Plan, device_map: DeviceMap) -> None:
        self._model = model
        self._is_packed, self._dense_dtype = plan.experts == "packed", plan.dtype
        self._device_map = device_map
        self._activation_dtype = _choose_activation_dtype(plan)
        self._experts: dict[str, dict[str, torch.Tensor]] = {}
        self._partial_linears: dict[str, torch.Tensor] = {}  # layers whose weight or bias has not been read yet
        self._missing = {name: parameter.shape for name, parameter in model.named_parameters()}
        if model.config.tie_word_embeddings:
            self._missing.pop("lm_head.weight", None)
        self._superfluous: list[str] = []

    def add_tensor(self, name: str, tensor: torch.Tensor) -> None:
        """Add one tensor of the checkpoint.

        Raises:
            CheckpointError: Its shape contradicts the config.
        """
        owner, _, leaf = name.rpartition(".")
        if owner.endswith(".experts") and (self._is_packed or leaf.endswith(_BLOCK_ENDINGS)):
            self._experts.setdefault(owner, {})[leaf] = tensor
            if not self._is_packed and all(_is_complete(self._experts[owner], each) for each in _UNPACKED_NAMES):
                self._add_unpacked_experts(owner)
            return
        if name not in self._missing:
            self._superfluous.append(name)
            return
        _check_shape(name, tensor, self._missing.pop(name))
        module = self._model.get_submodule(owner)
        if isinstance(module, nn.Linear):
            self._add_linear(owner, module, leaf, tensor)
        elif isinstance(module, nn.Embedding):
            self._add_embedding(owner, tensor)
        else:
            # Norms, sinks and routers are small, so they keep the type of the activations.
            self._set_parameter(
                module, leaf, tensor.to(self._device_map.get_device(name), self._activation_dtype, copy=True)
            )

    def _set_parameter(self, module: Any, leaf: str, tensor: torch.Tensor) -> None:
        setattr(module, leaf, nn.Parameter(tensor, requires_grad=False))

    def _add_unpacked_experts(self, owner: str) -> None:
        module, tensors = self._model.get_submodule(owner), self._experts.pop(owner)
        for leaf in _UNPACKED_NAMES:
            if f"{leaf}_blocks" not in tensors:
                self._add_integer_experts(owner, leaf, tensors)
                continue
            blocks, scales = tensors[f"{leaf}_blocks"], tensors[f"{leaf}_scales"]
            dequantized = torch.empty(
                blocks.shape[0], blocks.shape[2] * 32, blocks.shape[1], dtype=self._activation_dtype
            )
            _check_shape(f"{owner}.{leaf}_blocks", dequantized, self._missing.pop(f"{owner}.{leaf}"))
            for expert in range(len(blocks)):
                dequantized[expert] = dequantize_mxfp4(blocks[expert], scales[expert], self._activation_dtype).T
            self._set_parameter(module, leaf, dequantized.to(self._device_map.get_device(owner)))

    def _add_integer_experts(self, owner: str, leaf: str, tensors: dict[str, torch.Tensor]) -> None:
        kind = "int8" if f"{leaf}_int8" in tensors else "int4"
        values, scales = tensors[f"{leaf}_{kind}"], tensors[f"{leaf}_scales"]
        columns = scales.shape[2] * 32
        matrices = torch.empty(values.shape[0], columns, values.shape[1], dtype=self._activation_dtype)
        _check_shape(f"{owner}.{leaf}_{kind}", matrices, self._missing.pop(f"{owner}.{leaf}"))
        for expert in range(len(values)):
            if kind == "int8":
                matrices[expert] = dequantize_int8(values[expert], scales[expert]).T
            else:
                matrices[expert] = unpack_int4(values[expert], scales[expert], tensors[f"{leaf}_minimums"][expert]).T
        self._set_parameter(self._model.get_submodule(owner), leaf, matrices.to(self._device_map.get_device(owner)))

    def _add_linear(self, owner: str, module: nn.Linear, leaf: str, tensor: torch.Tensor) -> None:
        self._partial_linears[f"{owner}.{leaf}"] = tensor
        if module.bias is None or {f"{owner}.weight", f"{owner}.bias"} <= self._partial_linears.keys():
            weight, bias = (
                self._partial_linears.pop(f"{owner}.weight"),
                self._partial_linears.pop(f"{owner}.bias", None),
            )
            self._replace_module(owner, self._create_linear(owner, weight, bias))

    def _create_linear(self, owner: str, weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
        device, dtype = self._device_map.get_device(owner), getattr(torch, self._dense_dtype)
        kind = Bfloat16Linear if dtype != self._activation_dtype else nn.Linear
        linear = kind(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
        self._set_parameter(linear, "weight", weight.to(device, dtype, copy=True))
        if bias is not None:
            self._set_parameter(linear, "bias", bias.to(device, dtype, copy=True))
        return linear

    def _add_embedding(self, owner: str, tensor: torch.Tensor) -> None:
        device = self._device_map.get_device(owner)
        if self._is_packed and device == "cpu":
            self._replace_module(owner, StoredEmbedding(tensor))
            tied = self._create_linear("lm_head", tensor, None) if self._model.config.tie_word_embeddings else None
        else:
            table = nn.Embedding(tensor.shape[0], tensor.shape[1], device="meta")
            self._set_parameter(table, "weight", tensor.to(device, self._activation_dtype, copy=True))
            self._replace_module(owner, table)
            tied = nn.Linear(tensor.shape[1], tensor.shape[0], bias=False, device="meta")
            self._set_parameter(tied, "weight", table.weight.to(self._device_map.get_device("lm_head")))
        if tied is not None and self._model.config.tie_word_embeddings:
            self._replace_module("lm_head", tied)

    def _replace_module(self, name: str, module: nn.Module) -> None:
        owner, _, leaf = name.rpartition(".")
        setattr(self._model.get_submodule(owner), leaf, module)

    def finish(self, folder: Path) -> None:
        """Attach the packed experts and check that the checkpoint is complete.

        Raises:
            CheckpointError: Weights are missing or superfluous, or their shapes contradict the config.
        """
        layers = [name for name, _ in self._model.named_modules() if name.endswith(".mlp.experts")]
        required = PACKED_NAMES if self._is_packed else ()
        missing = [
            f"{layer}.{leaf}" for layer in layers for leaf in required if leaf not in self._experts.get(layer, {})
        ]
        missing += [name for name in self._missing if not (self._is_packed and ".mlp.experts." in name)]
        for names, verb, relation in ((missing, "lacks", "needs"), (self._superfluous, "has", "does not need")):
            if names:
                raise CheckpointError(
                    f"{str(folder)!r} {verb} {len(names)} weights that its config {relation}, such as "
                    f"{sorted(names)[0]!r}.",
                    hint=_COPY_AGAIN,
                )
        for layer in layers if self._is_packed else ():
            self._attach_experts(layer)

    def _attach_experts(self, layer: str) -> None:
        module, tensors = self._model.get_submodule(layer), self._experts[layer]
        count, hidden, middle = module.num_experts, module.hidden_size, module.intermediate_size
        shapes = {
            "gate_up_proj_blocks": (count, 2 * middle, hidden // 32, 16),
            "gate_up_proj_scales": (count, 2 * middle, hidden // 32),
            "gate_up_proj_bias": (count, 2 * middle),
            "down_proj_blocks": (count, hidden, middle // 32, 16),
            "down_proj_scales": (count, hidden, middle // 32),
            "down_proj_bias": (count, hidden),
        }
        for leaf, shape in shapes.items():
            _check_shape(f"{layer}.{leaf}", tensors[leaf], shape)
        device = self._device_map.get_device(layer)
        moved = {
            leaf: tensor.to(device, torch.float32 if leaf.endswith("bias") else None)
            for leaf, tensor in tensors.items()
        }
        attach_packed_experts(module, moved)


def _choose_activation_dtype(plan: Plan) -> torch.dtype:
    """Return the type of activations: float32 beside packed experts on a CPU, else the type of the weights."""
    if plan.device == "cpu" and plan.experts == "packed":
        return torch.float32
    dtype: torch.dtype = getattr(torch, plan.dtype)
    return dtype


def _is_complete(tensors: dict[str, torch.Tensor], leaf: str) -> bool:
    """Return True if all parts of a matrix of experts that are stored in blocks are there."""
    kinds = [kind for kind in ("blocks", "int8", "int4") if f"{leaf}_{kind}" in tensors]
    return f"{leaf}_scales" in tensors and bool(kinds) and (kinds != ["int4"] or f"{leaf}_minimums" in tensors)


def _check_shape(name: str, tensor: torch.Tensor, expected: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != tuple(expected):
        raise CheckpointError(
            f"{name!r} has the shape {tuple(tensor.shape)} and the config requires {tuple(expected)}.",
            hint=_COPY_AGAIN,
        )
