"""A checkpoint's `config.json`: reads it, and checks that it describes a model that this package can run."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langchain_gptoss.errors import CheckpointError, DamagedCheckpointError
from langchain_gptoss.models.checkpoint_numbers import find_number_problem
from langchain_gptoss.models.shapes import INT4_METHOD, INT8_METHOD

ARCHITECTURE = "gpt_oss"
"""The only value of `model_type` in `config.json` that this package runs."""

_BLOCK = 32  # weights that share one scale
_BLOCK_FORMATS = {"mxfp4": "MXFP4", INT8_METHOD: "int8", INT4_METHOD: "int4"}
_LAYER_TYPES = {"sliding_attention", "full_attention"}
# At least ten times the sizes of published models. A larger value is a mistake or an attempt to fill the memory.
_LARGEST_VALUES = {
    "hidden_size": 65_536,
    "intermediate_size": 262_144,
    "num_hidden_layers": 1_024,
    "num_local_experts": 4_096,
    "num_experts_per_tok": 4_096,
    "num_attention_heads": 4_096,
    "num_key_value_heads": 4_096,
    "head_dim": 4_096,
    "vocab_size": 4_194_304,
    "max_position_embeddings": 2**30,
}
_COPY_AGAIN = "Copy or fetch the checkpoint again."


def read_config(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's `config.json`.

    Raises:
        DamagedCheckpointError: The file is missing or is not JSON, or the folder has pipes, sockets or devices.
    """
    _check_kinds_of_files(folder)
    file = folder / "config.json"
    if not file.exists():
        raise DamagedCheckpointError(
            f"{str(folder)!r} is not a checkpoint: it has no config.json.",
            hint="Pass the folder that holds config.json and the *.safetensors files.",
        )
    return read_json_object(file)


def check_config(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's `config.json` after checking that this package can run such a model.

    Raises:
        DamagedCheckpointError: The file is missing or is not JSON.
        CheckpointError: The architecture is another one, sizes are invalid, or the checkpoint asks to run code.
    """
    config = read_config(folder)
    architecture = config.get("model_type")
    if architecture != ARCHITECTURE:
        raise CheckpointError(
            f"{str(folder)!r} is a checkpoint of the architecture {architecture!r}; this package runs "
            f"{ARCHITECTURE!r}.",
            hint="For other models use langchain-huggingface or langchain-ollama.",
        )
    refuse_code(folder, config)
    problem = (
        _find_size_problem(config)
        or find_number_problem(config)
        or _find_layer_problem(config)
        or _find_ratio_problem(config)
    )
    if problem:
        raise CheckpointError(
            f"{str(folder / 'config.json')!r} describes an impossible model: {problem}.", hint=_COPY_AGAIN
        )
    return config


def _check_kinds_of_files(folder: Path) -> None:
    """Check that the folder has files and folders only: whoever opens a pipe waits for ever."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not (entry.is_file() or entry.is_dir() or (entry.is_symlink() and not os.path.exists(entry.path))):
                    raise DamagedCheckpointError(
                        f"{entry.path!r} is not a regular file but a pipe, a socket or a device.", hint=_COPY_AGAIN
                    )
    except OSError:
        return  # the file that is read next says why


def read_json_object(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        DamagedCheckpointError: The file cannot be read, or holds something else.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedCheckpointError(f"{str(file)!r} cannot be read: {error}.", hint=_COPY_AGAIN) from error
    if not isinstance(content, dict):
        raise DamagedCheckpointError(f"{str(file)!r} does not hold a JSON object.", hint=_COPY_AGAIN)
    return content


def refuse_code(folder: Path, config: Mapping[str, Any]) -> None:
    """Check that a checkpoint does not ask to run code of its own.

    Raises:
        CheckpointError: `config.json` or `tokenizer_config.json` names code.
    """
    contents = {"config.json": config}
    tokenizer_config = folder / "tokenizer_config.json"
    if tokenizer_config.exists():
        contents[tokenizer_config.name] = read_json_object(tokenizer_config)
    for name, content in contents.items():
        if content.get("auto_map"):
            raise CheckpointError(
                f"{str(folder / name)!r} asks with 'auto_map' to run Python code of the checkpoint. This package never "
                "runs code of a checkpoint, and no option allows it.",
                hint="Choose a checkpoint that transformers loads without trust_remote_code, or remove 'auto_map' if "
                "the checkpoint does not need it.",
            )


def _find_size_problem(config: Mapping[str, Any]) -> str | None:
    """Return a description of a size that is not a whole number in its range, or None."""
    for name, largest in _LARGEST_VALUES.items():
        value = config.get(name, 1)
        if type(value) is not int or not 1 <= value <= largest:
            return f"{name} is {value!r} and must be a whole number from 1 to {largest}"
    return None


def _find_layer_problem(config: Mapping[str, Any]) -> str | None:
    """Return a description of a problem with the list of layer types, or None."""
    layer_types, layers = config.get("layer_types"), config.get("num_hidden_layers")
    if layer_types is None:
        return None
    if not isinstance(layer_types, list) or not all(isinstance(layer_type, str) for layer_type in layer_types):
        return "layer_types is not a list of names"
    if layers and len(layer_types) != layers:
        return f"layer_types names {len(layer_types)} layers and num_hidden_layers is {layers}"
    if unknown := sorted(set(layer_types) - _LAYER_TYPES):
        return f"layer_types has {unknown[0]!r} and may only have {', '.join(sorted(_LAYER_TYPES))}"
    return None


def _find_ratio_problem(config: Mapping[str, Any]) -> str | None:
    """Return a description of two sizes that do not fit together, or None."""
    kv_heads = config.get("num_key_value_heads")
    multiples = [("num_attention_heads", kv_heads, f"num_key_value_heads ({kv_heads})")]
    quantization = config.get("quantization_config")
    method = quantization.get("quant_method") if isinstance(quantization, dict) else None
    if method in _BLOCK_FORMATS:
        block = f"{_BLOCK}, the block size of {_BLOCK_FORMATS[method]}"
        multiples += [(name, _BLOCK, block) for name in ("hidden_size", "intermediate_size")]
    for name, divisor, description in multiples:
        if divisor and config.get(name, 0) % divisor:
            return f"{name} is {config[name]} and must be a multiple of {description}"
    active, experts = config.get("num_experts_per_tok"), config.get("num_local_experts")
    if active and experts and active > experts:
        return f"num_experts_per_tok is {active} and there are {experts} experts"
    return None
