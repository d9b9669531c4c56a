"""Helpers that write and change the files of a small checkpoint."""

import hashlib
import json
from pathlib import Path

from langchain_gptoss.models.safetensors_files import INDEX

FIRST_SHARD, SECOND_SHARD = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
CONFIG = {"model_type": "gpt_oss", "vocab_size": 10, "num_hidden_layers": 2, "hidden_size": 64}


def write_json(file: Path, value: object) -> None:
    """Write a value as JSON."""
    file.write_text(json.dumps(value))


def change_json(file: Path, **values: object) -> None:
    """Replace keys of a JSON object in a file."""
    write_json(file, json.loads(file.read_text()) | values)


def change_weight_map(folder: Path, **files: str | None) -> None:
    """Replace entries of the index's weight map; None removes an entry."""
    weight_map = json.loads((folder / INDEX).read_text())["weight_map"] | files
    change_json(folder / INDEX, weight_map={name: file for name, file in weight_map.items() if file is not None})


def compute_sha256(file: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def flip_last_bit(file: Path) -> None:
    """Change the last bit of a file."""
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
