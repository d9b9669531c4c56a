"""Converts a dense Llama or Qwen2 checkpoint into a gpt_oss checkpoint, layer by layer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from langchain_gptoss._io import lock_path
from langchain_gptoss._progress import show_progress
from langchain_gptoss.errors import CheckpointError, InvalidInputError
from langchain_gptoss.models.checkpoint_config import check_config, read_config
from langchain_gptoss.models.conversion.dense_config import DenseConfig, parse_dense_config
from langchain_gptoss.models.conversion.gguf_source import GgufSource
from langchain_gptoss.models.conversion.mapping import (
    EXPERTS,
    ExpertMatrices,
    arrange_biases,
    arrange_experts,
    build_config,
    compute_expert_width,
    convert_attention,
    get_layer_names,
    read_experts,
)
from langchain_gptoss.models.conversion.rounding import BLOCK, PackedMatrix, round_to_int8, round_to_mxfp4
from langchain_gptoss.models.conversion.safetensors_source import SafetensorsSource
from langchain_gptoss.models.conversion.source import EMBEDDING, HEAD, NORM, DenseSource
from langchain_gptoss.models.conversion.workspace import Workspace
from langchain_gptoss.models.download.cache_directory import require_free_space, translate_storage_errors
from langchain_gptoss.models.safetensors_files import check_weights
from langchain_gptoss.models.shapes import INT8_METHOD, INT8_VERSION

if TYPE_CHECKING:
    import torch

ExpertFormat = Literal["mxfp4", "int8", "bf16", "float32"]
"""How the experts are stored: 4.25, 8.5, 16 or 32 bits per weight. Other weights are float32 only beside float32."""

_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_HUB_FILE = re.compile(r"([\w][\w.-]*/[\w][\w.-]*)/([\w][\w.-]*\.gguf)")
_BLOCK_FORMATS = ("mxfp4", "int8")
_WIDTH_MULTIPLE = 8  # torch's grouped matrix product needs rows of whole 16 bytes
_VERSION = 1  # part of the state of a stopped conversion: another version begins again
_UNPACKED_MODULES = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
_BYTES_PER_WEIGHT = {"mxfp4": 17 / 32, "int8": 17 / 16, "bf16": 2.0, "float32": 4.0}


@dataclass(frozen=True, kw_only=True)
class _Options:
    experts: ExpertFormat
    alpha: float
    expert_width: int

    @property
    def factor(self) -> float:
        """The factor of the experts' down matrices."""
        return self.alpha * EXPERTS


def convert_dense_checkpoint(
    source: Path, folder: Path, *, experts: ExpertFormat = "mxfp4", alpha: float = 1.0
) -> None:
    """Convert a dense Llama or Qwen2 checkpoint into a gpt_oss checkpoint.

    The result has the logits of the source but for the rounding of its weights. A stopped conversion goes on where it
    was when it is started again with the same arguments.

    Args:
        source: A folder with `config.json` and safetensors files, or a GGUF file.
        folder: The folder of the new checkpoint; it must not exist.
        experts: How the experts are stored.
        alpha: The new checkpoint's `swiglu_alpha`.

    Raises:
        CheckpointError: The source is damaged, or its architecture cannot be converted; the message gives the reason.
        InvalidInputError: The folder exists, or an option is invalid.
        StorageError: The disk is full or read-only.
    """
    if experts not in get_args(ExpertFormat):
        listed = ", ".join(map(repr, get_args(ExpertFormat)))
        raise InvalidInputError(f"experts is {experts!r}; it must be one of {listed}.")
    dense = open_source(source)
    config = dense.config
    if experts in _BLOCK_FORMATS and config.hidden_size % BLOCK:
        raise CheckpointError(
            f"{str(source)!r} has a hidden size of {config.hidden_size}, and {experts} needs a multiple of {BLOCK}.",
            hint="Use experts='bf16' (--experts bf16).",
        )
    _check_names(str(source), dense)
    width = compute_expert_width(config, block=BLOCK if experts in _BLOCK_FORMATS else _WIDTH_MULTIPLE)
    options = _Options(experts=experts, alpha=alpha, expert_width=width)
    folder = folder.absolute()
    with translate_storage_errors(folder.parent, setting="--out"), lock_path(folder):
        if folder.exists():
            raise InvalidInputError(f"{str(folder)!r} exists already.", hint="Delete it, or choose another folder.")
        workspace = Workspace(folder, _describe_conversion(dense, options))
        written = sum(file.stat().st_size for file in workspace.folder.iterdir())
        require_free_space(folder.parent, int(_estimate_bytes(config, options)) - written, setting="--out")
        _Converter(dense, options, workspace).run()


def convert_checkpoint(source: str | Path, folder: str | Path, *, experts: ExpertFormat = "mxfp4") -> Path:
    """Convert a dense Llama or Qwen2 checkpoint, which may be on the hub, into a gpt_oss checkpoint.

    The result has the logits of the source but for the rounding of its weights. A stopped conversion goes on where it
    was when it is started again with the same arguments.

    Args:
        source: A folder with `config.json` and safetensors files, a GGUF file, or a hub id (`"organisation/name"`, or
            `"organisation/name/file.gguf"` for a GGUF file).
        folder: The folder of the new checkpoint; it must not exist.
        experts: How the experts are stored: `"mxfp4"` (4.25 bits per weight), `"int8"` (8.5), `"bf16"` or `"float32"`.
            The other weights are bfloat16, and float32 beside float32.

    Returns:
        The folder.

    Raises:
        CheckpointError: The source is damaged, or its architecture cannot be converted; the message gives the reason.
        DownloadError: The source is on the hub, and cannot be fetched.
        InvalidInputError: The folder exists, or an option is invalid.
        StorageError: The disk is full or read-only.
    """
    path = Path(folder).expanduser()
    convert_dense_checkpoint(locate_source(source), path, experts=experts)
    return path


def locate_source(source: str | Path) -> Path:
    """Return the folder or file of a dense checkpoint; fetch it from the hub first if it is an id.

    Raises:
        CheckpointError: There is no such folder or file, or the checkpoint cannot be converted.
        DownloadError: It cannot be fetched.
    """
    path = Path(source).expanduser()
    if isinstance(source, Path) or path.exists():
        return path
    from langchain_gptoss.models.download.hub import fetch_file_from_hub, fetch_from_hub

    if match := _HUB_FILE.fullmatch(source):
        return fetch_file_from_hub(match[1], match[2])
    if _HUB_ID.fullmatch(source):
        return fetch_from_hub(source, check=SafetensorsSource, check_config=_check_dense_config)
    return path


def _check_dense_config(folder: Path) -> None:
    parse_dense_config(str(folder), read_config(folder))


def open_source(path: Path) -> DenseSource:
    """Return a checkpoint after checking that it can be converted.

    Raises:
        CheckpointError: It is damaged, missing, or of an architecture that cannot be converted.
    """
    if path.is_dir():
        return SafetensorsSource(path)
    if path.is_file():
        return GgufSource(path)
    raise CheckpointError(
        f"{str(path)!r} does not exist.", hint="Pass a folder with config.json and *.safetensors files, or a GGUF file."
    )


def _check_names(source: str, dense: DenseSource) -> None:
    """Check that the source has all weights of its architecture, and no weights that gpt_oss has no place for."""
    present, config = dense.sizes, dense.config
    needed = get_layer_names(config, present) | {EMBEDDING, NORM}
    if not config.tied_embeddings:
        needed.add(HEAD)
    if missing := sorted(needed - present.keys()):
        raise CheckpointError(
            f"{source!r} lacks {len(missing)} weights, such as {missing[0]!r}.", hint="Copy or fetch it again."
        )
    # A tied output matrix may be stored once more.
    if extra := sorted(present.keys() - needed - {HEAD}):
        raise CheckpointError(
            f"{source!r} cannot be converted: gpt_oss has no place for {len(extra)} of its weights, such as "
            f"{extra[0]!r}.",
            hint="Its architecture is not the one that its configuration names.",
        )


def _describe_conversion(dense: DenseSource, options: _Options) -> dict[str, Any]:
    status = {str(file.absolute()): file.stat() for file in dense.files}
    return {
        "version": _VERSION,
        "source": {name: [entry.st_size, entry.st_mtime_ns] for name, entry in status.items()},
        "experts": options.experts,
        "alpha": options.alpha,
    }


def _estimate_bytes(config: DenseConfig, options: _Options) -> float:
    wide = 4 if options.experts == "float32" else 2
    attention = 2 * config.hidden_size * config.head_dim * (config.heads + config.kv_heads)
    experts = 3 * config.hidden_size * EXPERTS * options.expert_width
    tables = config.vocabulary * config.hidden_size * (1 if config.tied_embeddings else 2)
    return wide * (tables + config.layers * attention) + config.layers * experts * _BYTES_PER_WEIGHT[options.experts]


class _Converter:
    """Writes the files of one checkpoint."""

    def __init__(self, dense: DenseSource, options: _Options, workspace: Workspace) -> None:
        import torch

        self._dense, self._options, self._workspace = dense, options, workspace
        self._config = dense.config
        self._dtype = torch.float32 if options.experts == "float32" else torch.bfloat16
        self._names = [f"model-{number + 1:05}-of-{self._config.layers + 1:05}.safetensors" for number in self._numbers]

    @property
    def _numbers(self) -> range:
        """Numbers of the files: one for the tables, and one for each layer."""
        return range(self._config.layers + 1)

    def run(self) -> None:
        """Write all files and give the folder its name."""
        with show_progress(sum(self._dense.sizes.values()), f"Converting {self._dense.name}") as progress_bar:
            for number, name in enumerate(self._names):
                self._workspace.add_weights(name, partial(self._convert_part, number))
                progress_bar.update(sum(self._dense.sizes[tensor] for tensor in self._iterate_names(number)))
        self._workspace.write_index(self._names)
        self._workspace.write_json("config.json", self._build_config())
        self._workspace.write_json("generation_config.json", self._dense.generation_config)
        self._dense.save_tokenizer(self._workspace.folder)
        check_config(self._workspace.folder)
        check_weights(self._workspace.folder)
        self._workspace.publish()

    def _iterate_names(self, number: int) -> Iterator[str]:
        """Yield the names of the tensors that a file is made from."""
        for name in self._dense.sizes:
            if name.startswith(f"model.layers.{number - 1}.") or (number == 0 and not name.startswith("model.layers.")):
                yield name

    def _convert_part(self, number: int) -> dict[str, torch.Tensor]:
        if number == 0:
            tables = (EMBEDDING, NORM) if self._config.tied_embeddings else (EMBEDDING, NORM, HEAD)
            return {name: self._dense.read(name, self._dtype) for name in tables}
        prefix = f"model.layers.{number - 1}."
        return {f"{prefix}{name}": tensor for name, tensor in self._convert_layer(prefix).items()}

    def _convert_layer(self, prefix: str) -> dict[str, torch.Tensor]:
        import torch

        def read(name: str) -> torch.Tensor | None:
            return (
                self._dense.read(f"{prefix}{name}", torch.float32) if f"{prefix}{name}" in self._dense.sizes else None
            )

        options = self._options
        tensors = convert_attention(read, self._config)
        matrices = read_experts(read, self._config, expert_width=options.expert_width, alpha=options.alpha)
        tensors |= arrange_biases(matrices)
        if options.experts not in _BLOCK_FORMATS:
            tensors |= arrange_experts(matrices, alpha=options.alpha)
        tensors = {name: tensor.to(self._dtype) for name, tensor in tensors.items()}
        if options.experts == "mxfp4":
            tensors |= self._pack_experts(matrices)
        if options.experts == "int8":
            tensors |= self._round_experts(matrices)
        return tensors

    def _pack_experts(self, matrices: ExpertMatrices) -> dict[str, torch.Tensor]:
        import torch

        width, hidden = self._options.expert_width, self._config.hidden_size
        gate, up = round_to_mxfp4(matrices.gate), round_to_mxfp4(matrices.up)
        down = self._round_down(matrices.down)
        return {
            "mlp.experts.gate_up_proj_blocks": torch.stack((gate.blocks, up.blocks), dim=1).view(
                EXPERTS, 2 * width, hidden // BLOCK, BLOCK // 2
            ),
            "mlp.experts.gate_up_proj_scales": torch.stack((gate.scales, up.scales), dim=1).view(
                EXPERTS, 2 * width, hidden // BLOCK
            ),
            "mlp.experts.down_proj_blocks": down.blocks.view(hidden, EXPERTS, width // BLOCK, BLOCK // 2).transpose(
                0, 1
            ),
            "mlp.experts.down_proj_scales": down.scales.view(hidden, EXPERTS, width // BLOCK).transpose(0, 1),
        }

    def _round_down(self, matrix: torch.Tensor) -> PackedMatrix:
        if self._options.factor == EXPERTS:  # a power of two, which only changes the scales
            return round_to_mxfp4(matrix, factor_exponent=EXPERTS.bit_length() - 1)
        return round_to_mxfp4(matrix * self._options.factor)

    def _round_experts(self, matrices: ExpertMatrices) -> dict[str, torch.Tensor]:
        import torch

        hidden, width = self._config.hidden_size, self._options.expert_width
        gate_up = round_to_int8(torch.stack((matrices.gate, matrices.up), dim=1).view(-1, hidden))
        down = matrices.down.view(hidden, EXPERTS, width).transpose(0, 1) * self._options.factor
        rounded = {"gate_up_proj": gate_up, "down_proj": round_to_int8(down.reshape(-1, width))}
        tensors = {}
        for name, matrix in rounded.items():
            tensors[f"mlp.experts.{name}_int8"] = matrix.values.view(EXPERTS, -1, matrix.values.shape[1])
            tensors[f"mlp.experts.{name}_scales"] = matrix.scales.view(EXPERTS, -1, matrix.scales.shape[1])
        return tensors

    def _build_config(self) -> dict[str, Any]:
        config = build_config(self._config, expert_width=self._options.expert_width, alpha=self._options.alpha)
        config["dtype"] = "float32" if self._options.experts == "float32" else "bfloat16"
        if self._options.experts == "mxfp4":
            config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": _UNPACKED_MODULES}
        if self._options.experts == "int8":
            config["quantization_config"] = {"quant_method": INT8_METHOD, "version": INT8_VERSION, "block_size": BLOCK}
        return config
