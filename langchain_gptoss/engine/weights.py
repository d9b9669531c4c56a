"""Puts a checkpoint's weights into transformers' own model, each in the form that the plan wants.

Packed experts and the embedding table are mapped from the checkpoint's files and not copied, so they cost no more
memory than the files have bytes, and none before they are used. Everything else is read once and let go.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from langchain_gptoss.engine.kernels import packed_experts as experts
from langchain_gptoss.engine.kernels.dense import Bfloat16Linear, Int8Linear, StoredEmbedding
from langchain_gptoss.engine.kernels.mxfp4 import unpacked
from langchain_gptoss.engine.kernels.packed_experts import PACKED_NAMES, attach
from langchain_gptoss.engine.runners import attention
from langchain_gptoss.errors import CheckpointError
from langchain_gptoss.models.planning.plan import Plan
from langchain_gptoss.models.safetensors_files import StoredTensor, list_weight_files, read_header

_AGAIN = "Copy or fetch the checkpoint again."
_TORCH_TYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "U8": torch.uint8}
_UNPACKED_NAMES = ("gate_up_proj", "down_proj")


def load_weights(folder: Path, plan: Plan, report: Callable[[int], object]) -> Any:
    """Loads a gpt_oss checkpoint as planned.

    Args:
        folder: The checkpoint; its files were checked.
        plan: How it runs.
        report: Told how many bytes of the files were read since it was told last.

    Returns:
        A `transformers.GptOssForCausalLM` in evaluation mode.

    Raises:
        CheckpointError: Weights are missing, superfluous, or of another shape than the config says.
    """
    model = _skeleton(folder, plan)
    places = Places(plan, layers=model.config.num_hidden_layers)
    weights = _Weights(model, plan, places)
    for name, tensor in _tensors(folder):
        weights.take(name, tensor)
        report(tensor.nbytes)
    weights.finish(folder)
    places.connect(model)
    return model.eval().requires_grad_(False)


def _skeleton(folder: Path, plan: Plan) -> Any:
    """Returns the model without weights."""
    from transformers import GptOssConfig, GptOssForCausalLM
    from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRotaryEmbedding

    attention.register()
    experts.register()
    config: Any = GptOssConfig.from_pretrained(folder, local_files_only=True)
    config.quantization_config = None
    config._attn_implementation = attention.implementation(plan.device)
    config._experts_implementation = experts.IMPLEMENTATION if plan.experts == "packed" else "grouped_mm"
    with torch.device("meta"):
        model: Any = GptOssForCausalLM(config)
    model.model.rotary_emb = GptOssRotaryEmbedding(config)  # its buffers are computed, not loaded
    return model


def _tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yields every tensor of a checkpoint, mapped from its file; letting one go lets its memory go."""
    for file in list_weight_files(folder):
        for name, stored in read_header(file).items():
            if stored.dtype not in _TORCH_TYPES:
                raise CheckpointError(
                    f"{name!r} has the type {stored.dtype}, which no gpt_oss checkpoint holds. {_AGAIN}"
                )
            yield name, _mapped(file, stored)


def _mapped(file: Path, stored: StoredTensor) -> torch.Tensor:
    dtype = _TORCH_TYPES[stored.dtype]
    if not stored.count:
        return torch.empty(stored.shape, dtype=dtype)
    # Copy-on-write: torch wants memory that it could write to, and nobody does.
    memory = np.memmap(file, dtype=np.uint8, mode="c", offset=stored.start, shape=(stored.nbytes,))
    return torch.from_numpy(memory).view(dtype).reshape(stored.shape)


class Places:
    """Which part of a model is where: layers are spread over the GPUs that the plan names, in order."""

    def __init__(self, plan: Plan, *, layers: int) -> None:
        """Takes the plan and the number of layers."""
        self._devices = [f"cuda:{index}" for index in plan.gpus] or [plan.device]
        self._layers = layers
        self._expert_device = "cpu" if plan.offload else None

    def of(self, name: str) -> str:
        """Returns the device of a module or parameter."""
        parts = name.split(".")
        if parts[:2] == ["model", "layers"]:
            device = self._devices[int(parts[2]) * len(self._devices) // self._layers]
            return self._expert_device or device if ".experts" in name else device
        return self._devices[0] if "embed_tokens" in name else self._devices[-1]

    def connect(self, model: Any) -> None:
        """Lets each layer fetch what it is given to where it is."""
        model.model.rotary_emb.to(self._devices[0])
        if len(self._devices) == 1:
            return
        for index, layer in enumerate(model.model.layers):
            layer.register_forward_pre_hook(_fetching(self.of(f"model.layers.{index}")), with_kwargs=True)
        model.model.norm.register_forward_pre_hook(_fetching(self._devices[-1]), with_kwargs=True)


def _fetching(device: str) -> Callable[..., tuple[Any, Any]]:
    def moved(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.to(device, non_blocking=True)
        return type(value)(map(moved, value)) if isinstance(value, tuple | list) else value

    def hook(_: nn.Module, arguments: Any, options: Any) -> tuple[Any, Any]:
        return moved(arguments), {name: moved(value) for name, value in options.items()}

    return hook


class _Weights:
    """Takes a checkpoint's tensors one by one and puts them where they belong."""

    def __init__(self, model: Any, plan: Plan, places: Places) -> None:
        self._model = model
        self._packed, self._dense = plan.experts == "packed", plan.dtype
        self._places = places
        self._activations = _activations(plan)
        self._experts: dict[str, dict[str, torch.Tensor]] = {}
        self._halves: dict[str, torch.Tensor] = {}  # of linear layers whose weight or bias is still to come
        self._left = {name: parameter.shape for name, parameter in model.named_parameters()}
        if model.config.tie_word_embeddings:
            self._left.pop("lm_head.weight", None)
        self._superfluous: list[str] = []

    def take(self, name: str, tensor: torch.Tensor) -> None:
        owner, _, leaf = name.rpartition(".")
        if owner.endswith(".experts") and (self._packed or leaf.endswith(("_blocks", "_scales"))):
            self._experts.setdefault(owner, {})[leaf] = tensor
            if not self._packed and len(self._experts[owner]) == 4:
                self._unpack(owner)
            return
        if name not in self._left:
            self._superfluous.append(name)
            return
        _check_shape(name, tensor, self._left.pop(name))
        module = self._model.get_submodule(owner)
        if isinstance(module, nn.Linear):
            self._linear(owner, module, leaf, tensor)
        elif isinstance(module, nn.Embedding):
            self._embedding(owner, tensor)
        else:
            # Norms, sinks and routers are small, so they are never rounded to int8.
            self._set(module, leaf, tensor.to(self._places.of(name), self._activations, copy=True))

    def _set(self, module: Any, leaf: str, tensor: torch.Tensor) -> None:
        setattr(module, leaf, nn.Parameter(tensor, requires_grad=False))

    def _unpack(self, owner: str) -> None:
        module, tensors = self._model.get_submodule(owner), self._experts.pop(owner)
        for leaf in _UNPACKED_NAMES:
            blocks, scales = tensors[f"{leaf}_blocks"], tensors[f"{leaf}_scales"]
            whole = torch.empty(blocks.shape[0], blocks.shape[2] * 32, blocks.shape[1], dtype=self._activations)
            _check_shape(f"{owner}.{leaf}_blocks", whole, self._left.pop(f"{owner}.{leaf}"))
            for expert in range(len(blocks)):
                whole[expert] = unpacked(blocks[expert], scales[expert], self._activations).T
            self._set(module, leaf, whole.to(self._places.of(owner)))

    def _linear(self, owner: str, module: nn.Linear, leaf: str, tensor: torch.Tensor) -> None:
        self._halves[f"{owner}.{leaf}"] = tensor
        if module.bias is None or {f"{owner}.weight", f"{owner}.bias"} <= self._halves.keys():
            weight, bias = self._halves.pop(f"{owner}.weight"), self._halves.pop(f"{owner}.bias", None)
            self._replace(owner, self._made_linear(owner, weight, bias))

    def _made_linear(self, owner: str, weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
        if self._dense == "int8":
            return Int8Linear(weight, bias)
        device, dtype = self._places.of(owner), getattr(torch, self._dense)
        kind = Bfloat16Linear if dtype != self._activations else nn.Linear
        made = kind(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
        self._set(made, "weight", weight.to(device, dtype, copy=True))
        if bias is not None:
            self._set(made, "bias", bias.to(device, dtype, copy=True))
        return made

    def _embedding(self, owner: str, tensor: torch.Tensor) -> None:
        device = self._places.of(owner)
        if self._packed and device == "cpu":
            self._replace(owner, StoredEmbedding(tensor))
            tied = self._made_linear("lm_head", tensor, None) if self._model.config.tie_word_embeddings else None
        else:
            table = nn.Embedding(tensor.shape[0], tensor.shape[1], device="meta")
            self._set(table, "weight", tensor.to(device, self._activations, copy=True))
            self._replace(owner, table)
            tied = nn.Linear(tensor.shape[1], tensor.shape[0], bias=False, device="meta")
            self._set(tied, "weight", table.weight.to(self._places.of("lm_head")))
        if tied is not None and self._model.config.tie_word_embeddings:
            self._replace("lm_head", tied)

    def _replace(self, name: str, module: nn.Module) -> None:
        owner, _, leaf = name.rpartition(".")
        setattr(self._model.get_submodule(owner), leaf, module)

    def finish(self, folder: Path) -> None:
        """Checks that nothing is missing or left over, and gives packed experts their weights."""
        layers = [name for name, _ in self._model.named_modules() if name.endswith(".mlp.experts")]
        wanted = PACKED_NAMES if self._packed else ()
        missing = [f"{layer}.{leaf}" for layer in layers for leaf in wanted if leaf not in self._experts.get(layer, {})]
        missing += [name for name in self._left if not (self._packed and ".mlp.experts." in name)]
        for names, verb, asks in ((missing, "lacks", "asks"), (self._superfluous, "has", "does not ask")):
            if names:
                raise CheckpointError(
                    f"{str(folder)!r} {verb} {len(names)} weights that its config {asks} for, such as "
                    f"{sorted(names)[0]!r}. {_AGAIN}"
                )
        for layer in layers if self._packed else ():
            self._attach(layer)

    def _attach(self, layer: str) -> None:
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
        device = self._places.of(layer)
        moved = {
            leaf: tensor.to(device, torch.float32 if leaf.endswith("bias") else None)
            for leaf, tensor in tensors.items()
        }
        attach(module, moved)


def _activations(plan: Plan) -> torch.dtype:
    """Returns the type of activations: float32 on a CPU unless everything is in another type there."""
    if plan.device == "cpu" and (plan.experts == "packed" or plan.dtype == "int8"):
        return torch.float32
    dtype: torch.dtype = getattr(torch, plan.dtype)
    return dtype


def _check_shape(name: str, tensor: torch.Tensor, expected: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != tuple(expected):
        raise CheckpointError(
            f"{name!r} has the shape {tuple(tensor.shape)} and the config asks for {tuple(expected)}. {_AGAIN}"
        )
