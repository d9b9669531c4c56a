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
from langchain_gptoss.models.conversion.expert_rounding import BlockFormat, LayerExperts, find_int8_matrices
from langchain_gptoss.models.conversion.gguf_source import GgufSource
from langchain_gptoss.models.conversion.mapping import (
    EXPERTS,
    build_config,
    compute_expert_width,
    convert_attention,
    convert_biases,
    convert_experts,
    get_layer_names,
)
from langchain_gptoss.models.conversion.rounding import BLOCK
from langchain_gptoss.models.conversion.safetensors_source import SafetensorsSource
from langchain_gptoss.models.conversion.source import EMBEDDING, HEAD, NORM, DenseSource
from langchain_gptoss.models.conversion.workspace import Workspace
from langchain_gptoss.models.download.cache_directory import require_free_space, translate_storage_errors
from langchain_gptoss.models.safetensors_files import check_weights
from langchain_gptoss.models.shapes import BLOCK_BYTES_PER_WEIGHT, build_quantization_config

if TYPE_CHECKING:
    import torch

ExpertFormat = Literal["mxfp4", "int4", "int8", "bf16", "float32"]
"""How the experts are stored: 4.25, 5, 8.5, 16 or 32 bits per weight. Other weights are float32 only beside float32."""

_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_HUB_FILE = re.compile(r"([\w][\w.-]*/[\w][\w.-]*)/([\w][\w.-]*\.gguf)")
_BLOCK_FORMATS: dict[str, BlockFormat] = {"mxfp4": "mxfp4", "int4": "int4", "int8": "int8"}
_WIDTH_MULTIPLE = 8  # torch's grouped matrix product needs rows of whole 16 bytes
_VERSION = 2  # part of the state of a stopped conversion: another version begins again


@dataclass(frozen=True, kw_only=True)
class _Options:
    experts: ExpertFormat
    alpha: float
    expert_width: int


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
        experts: How the experts are stored: `"mxfp4"` (4.25 bits per weight), `"int4"` (5), `"int8"` (8.5), `"bf16"` or
            `"float32"`. The other weights are bfloat16, and float32 beside float32.

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
    # Beside int4 some matrices may be int8.
    expert_format = "int8" if options.experts == "int4" else options.experts
    expert_bytes = experts * BLOCK_BYTES_PER_WEIGHT.get(expert_format, wide)
    return wide * (tables + config.layers * attention) + config.layers * expert_bytes


class _Converter:
    """Writes the files of one checkpoint."""

    def __init__(self, dense: DenseSource, options: _Options, workspace: Workspace) -> None:
        import torch

        self._dense, self._options, self._workspace = dense, options, workspace
        self._config = dense.config
        self._dtype = torch.float32 if options.experts == "float32" else torch.bfloat16
        self._int8_matrices = find_int8_matrices(dense) if options.experts == "int4" else []
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

        sizes: dict[str, Any] = {"expert_width": self._options.expert_width, "alpha": self._options.alpha}
        block_format = _BLOCK_FORMATS.get(self._options.experts)
        tensors = convert_attention(read, self._config) | convert_biases(read, self._config, **sizes)
        if block_format is None:
            tensors |= convert_experts(read, self._config, **sizes)
        tensors = {name: tensor.to(self._dtype) for name, tensor in tensors.items()}
        if block_format is not None:
            experts = LayerExperts(self._dense, prefix, read, **sizes, int8_matrices=self._int8_matrices)
            tensors |= experts.round(block_format)
        return tensors

    def _build_config(self) -> dict[str, Any]:
        config = build_config(self._config, expert_width=self._options.expert_width, alpha=self._options.alpha)
        config["dtype"] = "float32" if self._options.experts == "float32" else "bfloat16"
        if self._options.experts in _BLOCK_FORMATS:
            config["quantization_config"] = build_quantization_config(
                _BLOCK_FORMATS[self._options.experts], int8_matrices=self._int8_matrices
            )
        return config
