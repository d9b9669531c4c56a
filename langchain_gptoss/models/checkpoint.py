"""Finds a model's files on this machine, has what is missing fetched, and checks that they can be loaded.

Every check here is made before a weight is read. Only `config.json`, the tokenizer's JSON files and the headers of the
safetensors files are looked at, so a checkpoint of any size is checked in about a second.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from langchain_gptoss.errors import CheckpointError
from langchain_gptoss.models.catalog import ModelCard
from langchain_gptoss.models.demo import demo_model
from langchain_gptoss.models.download.checksums import verify
from langchain_gptoss.models.safetensors_files import (
    DamagedCheckpointError,
    StoredTensor,
    check_weights,
    read_header,
    weight_files,
)

_ARCHITECTURE = "gpt_oss"
_VOCABULARY = 201_088  # of transformers' GptOssConfig, where a config names none
_GROUP = 32  # numbers that share one scale in MXFP4
_LAYER_TYPES = {"sliding_attention", "full_attention"}
# Ten times and more what any published model has: what is larger is a mistake or an attempt to fill the memory.
_LARGEST = {
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
_AGAIN = "Copy or fetch the checkpoint again."


def locate(card: ModelCard, *, verified: bool = False) -> Path:
    """Returns a folder that holds the model's checkpoint; a missing one is fetched.

    Args:
        card: From `resolve()`.
        verified: Also read every byte and compare it with the published digests (see `verify`). What is altered in
            the hub's cache is fetched again.

    Raises:
        CheckpointError: The folder does not hold a gpt_oss checkpoint in safetensors.
        DownloadError: The model is not cached and cannot be fetched.
        StorageError: The disk is full or read-only.
    """
    fetch = None
    if card.source == "demo":
        folder = demo_model()
    elif Path(card.source).is_absolute():
        folder = Path(card.source)
    else:
        from langchain_gptoss.models.download.hub import from_hub

        fetch = partial(from_hub, card.source, check=check, check_config=check_config)
        folder = fetch()
    check(folder)
    if verified:
        try:
            verify(folder)
        except DamagedCheckpointError:
            if fetch is None:
                raise
            folder = fetch(mend=True)
            check(folder)
    return folder


def check(folder: Path) -> None:
    """Checks that a folder holds a gpt_oss checkpoint that is whole and asks for nothing that this package refuses.

    It is of the right architecture, of a possible size, asks for no code of its own to be run; its weight files are
    safetensors, none is missing or cut off, and they agree with the index; its tokenizer has no token that the
    embedding lacks.

    Raises:
        DamagedCheckpointError: Files are missing, truncated or altered.
        CheckpointError: It is another kind of checkpoint; says what is wrong and what would do.
    """
    config = check_config(folder)
    headers = check_weights(folder)
    _check_vocabulary(folder, config, headers)


def read_config(folder: Path) -> dict[str, Any]:
    """Returns a checkpoint's `config.json`.

    Raises:
        DamagedCheckpointError: It is missing or not JSON.
    """
    file = folder / "config.json"
    if not file.exists():
        raise DamagedCheckpointError(
            f"{str(folder)!r} is not a checkpoint: it has no config.json. "
            "Pass the folder that holds config.json and the *.safetensors files."
        )
    return _read_object(file)


def _read_object(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedCheckpointError(f"{str(file)!r} cannot be read: {error}. {_AGAIN}") from error
    if not isinstance(found, dict):
        raise DamagedCheckpointError(f"{str(file)!r} does not hold a JSON object. {_AGAIN}")
    return found


def check_config(folder: Path) -> dict[str, Any]:
    """Returns a checkpoint's `config.json` after checking that it is of a model that can be run.

    Raises:
        DamagedCheckpointError: It is missing or not JSON.
        CheckpointError: Another architecture, sizes that cannot be, or code of its own.
    """
    config = read_config(folder)
    architecture = config.get("model_type")
    if architecture != _ARCHITECTURE:
        raise CheckpointError(
            f"{str(folder)!r} is a checkpoint of the architecture {architecture!r}; this package runs "
            f"{_ARCHITECTURE!r}. For other models use langchain-huggingface or langchain-ollama."
        )
    _refuse_code(folder, config)
    if reason := _impossible(config):
        raise CheckpointError(f"{str(folder / 'config.json')!r} describes no model that can be: {reason}. {_AGAIN}")
    return config


def _refuse_code(folder: Path, config: Mapping[str, Any]) -> None:
    tokenizer_config = folder / "tokenizer_config.json"
    asking = {"config.json": config}
    if tokenizer_config.exists():
        asking[tokenizer_config.name] = _read_object(tokenizer_config)
    for name, content in asking.items():
        if content.get("auto_map"):
            raise CheckpointError(
                f"{str(folder / name)!r} asks with 'auto_map' for Python code of the checkpoint to be run. No code of "
                "a checkpoint is ever run here, and there is no option for it. Choose a checkpoint that transformers "
                "loads without trust_remote_code, or remove 'auto_map' if the checkpoint does not need it."
            )


def _impossible(config: Mapping[str, Any]) -> str | None:
    """Returns why a configuration cannot be that of a model, or None."""
    for name, largest in _LARGEST.items():
        value = config.get(name, 1)
        if type(value) is not int or not 1 <= value <= largest:
            return f"{name} is {value!r} and must be a whole number from 1 to {largest}"
    if reason := _impossible_layers(config):
        return reason
    ratios = [("num_attention_heads", "num_key_value_heads", config.get("num_key_value_heads"))]
    quantization = config.get("quantization_config")
    if isinstance(quantization, dict) and quantization.get("quant_method") == "mxfp4":
        ratios += [(name, f"{_GROUP} in MXFP4", _GROUP) for name in ("hidden_size", "intermediate_size")]
    for name, what, divisor in ratios:
        if divisor and config.get(name, 0) % divisor:
            return f"{name} is {config[name]} and must be a multiple of {what} ({divisor})"
    active, experts = config.get("num_experts_per_tok"), config.get("num_local_experts")
    if active and experts and active > experts:
        return f"num_experts_per_tok is {active} and there are {experts} experts"
    return None


def _impossible_layers(config: Mapping[str, Any]) -> str | None:
    kinds, layers = config.get("layer_types"), config.get("num_hidden_layers")
    if kinds is None:
        return None
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        return "layer_types is not a list of names"
    if layers and len(kinds) != layers:
        return f"layer_types names {len(kinds)} layers and num_hidden_layers is {layers}"
    if unknown := sorted(set(kinds) - _LAYER_TYPES):
        return f"layer_types has {unknown[0]!r}, which is none of {', '.join(sorted(_LAYER_TYPES))}"
    return None


def _check_vocabulary(
    folder: Path, config: Mapping[str, Any], headers: Mapping[Path, Mapping[str, StoredTensor]]
) -> None:
    rows = config.get("vocab_size", _VOCABULARY)
    for tensors in headers.values():
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            shape = tensors[name].shape if name in tensors else (rows,)
            if shape[:1] != (rows,):
                raise CheckpointError(
                    f"{str(folder)!r} has {name!r} of shape {list(shape)}, and its config's vocab_size is {rows}: "
                    f"they are not of one checkpoint. {_AGAIN}"
                )
    highest = _highest_token(folder / "tokenizer.json")
    if highest >= rows:
        raise CheckpointError(
            f"The tokenizer of {str(folder)!r} has token ids up to {highest}, and the model's vocabulary ends at "
            f"{rows - 1} (vocab_size {rows}): they do not belong together. Put the tokenizer files there that the "
            "model was trained with, or resize the model's embedding and save it again."
        )


def _highest_token(file: Path) -> int:
    """Returns the highest id in a `tokenizer.json`: its vocabulary's, or that of a token added to it."""
    if not file.is_file():
        raise DamagedCheckpointError(f"{str(file.parent)!r} has no tokenizer.json. {_AGAIN}")
    tokenizer = _read_object(file)
    try:
        vocabulary = tokenizer["model"]["vocab"]
        # A Unigram model lists its tokens instead of numbering them.
        ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else [len(vocabulary) - 1]
        ids += [token["id"] for token in tokenizer.get("added_tokens") or []]
        return max(map(int, ids))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedCheckpointError(f"{str(file)!r} is not a tokenizer: {error!r}. {_AGAIN}") from error


__all__ = [
    "DamagedCheckpointError",
    "check",
    "check_config",
    "check_weights",
    "locate",
    "read_config",
    "read_header",
    "verify",
    "weight_files",
]
