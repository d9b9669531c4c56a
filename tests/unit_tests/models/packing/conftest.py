"""A tiny checkpoint in bfloat16, and the cache in a folder of the test."""

import shutil
from pathlib import Path

import pytest

from langchain_gptoss.models.packing import forecast, locate
from tests.unit_tests.models.packing.tiny_models import save_checkpoint


@pytest.fixture(scope="package")
def shared_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("packing") / "finetune")


@pytest.fixture
def checkpoint(shared_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(shared_checkpoint, tmp_path / "finetune"))


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    # Not by GPTOSS_HOME, because the compiled kernel is in the cache too.
    for module in (locate, forecast):
        monkeypatch.setattr(module, "cache_directory", lambda: tmp_path / "cache")
    return tmp_path / "cache"
