"""Finds a model's files on this machine, or fetches them from the hub, and checks that they can be loaded."""

import json
from pathlib import Path
from typing import Any

from langchain_gptoss.errors import CheckpointError, DownloadError, StorageError
from langchain_gptoss.models.catalog import ModelCard
from langchain_gptoss.models.demo import demo_model
from langchain_gptoss.models.home import storage_errors

# The published repositories also carry the same weights for two other runtimes (original/ and metal/).
_WANTED = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
_UNWANTED = ["original/*", "metal/*"]


def locate(card: ModelCard) -> Path:
    """Returns a folder that holds the model's checkpoint; a missing one is fetched.

    Args:
        card: From `resolve()`.

    Raises:
        CheckpointError: The folder does not hold a gpt_oss checkpoint in safetensors.
        DownloadError: The model is not cached and cannot be fetched.
        StorageError: The disk is full.
    """
    if card.source == "demo":
        folder = demo_model()
    elif Path(card.source).is_absolute():
        folder = Path(card.source)
    else:
        folder = _from_hub(card.source)
    check(folder)
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    """Returns a checkpoint's `config.json`.

    Raises:
        CheckpointError: It is missing or not JSON.
    """
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{str(folder)!r} is not a checkpoint: it has no config.json. "
            "Pass the folder that holds config.json and the *.safetensors files."
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{str(file)!r} cannot be read: {error}. Copy or fetch the checkpoint again.") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{str(file)!r} does not hold a JSON object. Copy or fetch the checkpoint again.")
    return config


def check(folder: Path) -> None:
    """Checks that a folder holds a gpt_oss checkpoint whose weight files are all there and all safetensors.

    Raises:
        CheckpointError: It does not; says what is wrong and what would do.
    """
    architecture = read_config(folder).get("model_type")
    if architecture != "gpt_oss":
        raise CheckpointError(
            f"{str(folder)!r} is a checkpoint of the architecture {architecture!r}; this package runs 'gpt_oss'. "
            "For other models use langchain-huggingface or langchain-ollama."
        )
    for file in weight_files(folder):
        if not file.is_file():
            raise CheckpointError(
                f"{str(folder)!r} lacks {file.name!r}, which its index names. Copy or fetch the checkpoint again."
            )


def weight_files(folder: Path) -> list[Path]:
    """Returns the safetensors files that a checkpoint is made of; those that its index names may be missing.

    Raises:
        CheckpointError: There are none, or the index cannot be read.
    """
    index = folder / "model.safetensors.index.json"
    if index.exists():
        try:
            files = {folder / name for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
            if not files:
                raise ValueError("it names no files")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{str(index)!r} cannot be read: {error!r}. Copy or fetch the checkpoint again."
            ) from error
        return sorted(files)
    if found := sorted(folder.glob("*.safetensors")):
        return found
    others = ", ".join(sorted(file.name for file in folder.glob("*.bin"))[:2])
    pickles = f" (it has {others}, a pickle, which is never opened)" if others else ""
    raise CheckpointError(
        f"{str(folder)!r} has no *.safetensors files{pickles}. Pass a folder with config.json and *.safetensors files."
    )


def _from_hub(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    def fetch(*, offline: bool) -> Path:
        return Path(
            snapshot_download(repository, allow_patterns=_WANTED, ignore_patterns=_UNWANTED, local_files_only=offline)
        )

    try:
        cached = fetch(offline=True)
        check(cached)
    except (LocalEntryNotFoundError, CheckpointError):
        pass  # not cached, or only in part
    else:
        return cached
    try:
        with storage_errors(Path("the hub cache")):
            return fetch(offline=False)
    except GatedRepoError as error:
        raise DownloadError(
            f"{repository!r} asks for an account on the hub: accept its terms there, then run `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise DownloadError(f"The hub has no model {repository!r}. Check the name, or pass a local folder.") from error
    except StorageError:
        raise
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, RuntimeError) as error:
        raise DownloadError(
            f"{repository!r} is not cached (not wholly), and the hub cannot be reached: {_first_line(error)} "
            "Connect to the network once, or copy the checkpoint to this machine and pass its folder; "
            "model='demo' needs no hub."
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
