"""A complete checkpoint that a test may damage."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from langchain_gptoss.models.safetensors_files import INDEX
from tests.unit_tests.models.checkpoint_files import CONFIG, FIRST_SHARD, SECOND_SHARD, write_json


@pytest.fixture(scope="session")
def published_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The content of a checkpoint's files by name."""
    folder = tmp_path_factory.mktemp("checkpoint")
    weights = {
        FIRST_SHARD: {"model.embed_tokens.weight": torch.rand(10, 64), "a": torch.rand(3, 5).bfloat16()},
        SECOND_SHARD: {
            "b_blocks": torch.zeros(2, 16, dtype=torch.uint8),
            "scalar": torch.tensor(1.0),
            "empty": torch.ones(0),
        },
    }
    for file, tensors in weights.items():
        save_file(tensors, folder / file, metadata={"format": "pt"})
    weight_map = {name: file for file, tensors in weights.items() for name in tensors}
    write_json(folder / INDEX, {"metadata": {"total_size": 2560 + 30 + 32 + 4}, "weight_map": weight_map})
    write_json(folder / "config.json", CONFIG)
    tokenizer = {"model": {"vocab": {"a": 0, "b": 8}}, "added_tokens": [{"id": 9, "content": "c"}]}
    write_json(folder / "tokenizer.json", tokenizer)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def checkpoint(published_checkpoint: dict[str, bytes], tmp_path: Path) -> Path:
    """A folder with a complete checkpoint of two shards."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for name, content in published_checkpoint.items():
        (folder / name).write_bytes(content)
    return folder
