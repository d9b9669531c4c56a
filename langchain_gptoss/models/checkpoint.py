"""Checkpoints: find the files of a model on this machine, fetch missing ones, and check that they can be loaded.

All checks are made before a weight is read. They read only `config.json`, the tokenizer's JSON files and the headers of
the safetensors files, so a checkpoint of any size is checked in about a second.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from langchain_gptoss.errors import CheckpointError, DamagedCheckpointError
from langchain_gptoss.models.catalog import ModelCard
from langchain_gptoss.models.checkpoint_config import check_config, read_json_object
from langchain_gptoss.models.demo import fetch_demo_model
from langchain_gptoss.models.demo_large import fetch_demo_large
from langchain_gptoss.models.download.checksums import verify_checksums
from langchain_gptoss.models.safetensors_files import StoredTensor, check_weights

_DEFAULT_VOCABULARY = 201_088  # of transformers' GptOssConfig
_EMBEDDING_TENSORS = ("model.embed_tokens.weight", "lm_head.weight")
_COPY_AGAIN = "Copy or fetch the checkpoint again."


def locate_checkpoint(card: ModelCard, *, verify: bool = False) -> Path:
    """Return a folder that contains the model's checkpoint; fetch the checkpoint first if it is missing.

    Args:
        card: The model, from `resolve_model()`.
        verify: True to also read every byte and compare it with the published checksums (see `verify_checksums`).
            Altered files in the hub's cache are fetched again.

    Raises:
        CheckpointError: The folder does not contain a gpt_oss checkpoint in safetensors.
        DownloadError: The model is not cached and cannot be fetched.
        StorageError: The disk is full or read-only.
    """
    fetch = None
    if card.source == "demo":
        folder = fetch_demo_model()
    elif card.source == "demo-large":
        folder = fetch_demo_large()
    elif Path(card.source).is_absolute():
        folder = Path(card.source)
    else:
        from langchain_gptoss.models.download.hub import fetch_from_hub

        fetch = partial(fetch_from_hub, card.source, check=check_checkpoint, check_config=check_config)
        folder = fetch()
    check_checkpoint(folder)
    if verify:
        try:
            verify_checksums(folder)
        except DamagedCheckpointError:
            if fetch is None:
                raise
            folder = fetch(repair=True)
            check_checkpoint(folder)
    return folder


def check_checkpoint(folder: Path) -> None:
    """Check that a folder contains a complete gpt_oss checkpoint that can be loaded safely.

    The architecture and the sizes must be valid, and no file may ask for code of the checkpoint to be run. The weight
    files must be safetensors, complete, and in agreement with the index. The tokenizer must not have a token without
    an embedding.

    Raises:
        DamagedCheckpointError: Files are missing, truncated or altered.
        CheckpointError: The checkpoint is of another kind. The message gives the reason and an alternative.
    """
    config = check_config(folder)
    headers = check_weights(folder)
    _check_vocabulary(folder, config, headers)


def _check_vocabulary(
    folder: Path, config: Mapping[str, Any], headers: Mapping[Path, Mapping[str, StoredTensor]]
) -> None:
    rows = config.get("vocab_size", _DEFAULT_VOCABULARY)
    for tensors in headers.values():
        for name in _EMBEDDING_TENSORS:
            shape = tensors[name].shape if name in tensors else (rows,)
            if shape[:1] != (rows,):
                raise CheckpointError(
                    f"{str(folder)!r} has {name!r} of shape {list(shape)}, and its config's vocab_size is {rows}: "
                    "they do not belong to the same checkpoint.",
                    hint=_COPY_AGAIN,
                )
    highest_id = _find_highest_token_id(folder / "tokenizer.json")
    if highest_id >= rows:
        raise CheckpointError(
            f"The tokenizer of {str(folder)!r} has token ids up to {highest_id}, and the model's vocabulary ends at "
            f"{rows - 1} (vocab_size {rows}): they do not belong together.",
            hint="Put the tokenizer files there that the model was trained with, or resize the model's embedding and "
            "save it again.",
        )


def _find_highest_token_id(file: Path) -> int:
    """Return the highest token id in a `tokenizer.json`, added tokens included."""
    if not file.is_file():
        raise DamagedCheckpointError(f"{str(file.parent)!r} has no tokenizer.json.", hint=_COPY_AGAIN)
    tokenizer = read_json_object(file)
    try:
        vocabulary = tokenizer["model"]["vocab"]
        # A Unigram model lists its tokens instead of numbering them.
        ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else [len(vocabulary) - 1]
        ids += [token["id"] for token in tokenizer.get("added_tokens") or []]
        return max(map(int, ids))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedCheckpointError(f"{str(file)!r} is not a tokenizer: {error!r}.", hint=_COPY_AGAIN) from error
