"""Cached models are used without the hub; errors say what the cache lacks."""

import hashlib
from pathlib import Path

import httpx
import pytest
from huggingface_hub import HfApi, constants

from langchain_gptoss.errors import CheckpointError, DamagedCheckpointError, DownloadError
from langchain_gptoss.models.catalog import resolve_model
from langchain_gptoss.models.checkpoint import locate_checkpoint
from langchain_gptoss.models.download import hub_transfer
from langchain_gptoss.models.download.checksums import verify_checksums
from tests.unit_tests.models.checkpoint_files import (
    FIRST_SHARD,
    SECOND_SHARD,
    change_json,
    compute_sha256,
    flip_last_bit,
)


@pytest.fixture
def cached_model(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint as the hub's client stores it: content under its checksum, names as links."""
    storage = tmp_path / "hub" / "models--some--model"
    snapshot = storage / "snapshots" / ("1" * 40)
    for folder in (snapshot, storage / "blobs", storage / "refs"):
        folder.mkdir(parents=True)
    (storage / "refs" / "main").write_text(snapshot.name)
    for file in checkpoint.iterdir():
        content = file.read_bytes()
        git_id = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        blob = storage / "blobs" / (compute_sha256(file) if file.suffix == ".safetensors" else git_id)
        blob.write_bytes(content)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return snapshot


@pytest.fixture(autouse=True)
def unreachable_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise httpx.ConnectError("no route to host")

    monkeypatch.setattr(HfApi, "model_info", fail)


def test_cached_models_need_no_hub(cached_model):
    assert locate_checkpoint(resolve_model("some/model"), verify=True) == cached_model
    assert set(verify_checksums(cached_model)) == {file.name for file in cached_model.iterdir()}


def test_cached_models_of_another_architecture_are_refused(cached_model):
    change_json(cached_model / "config.json", model_type="llama")
    with pytest.raises(CheckpointError, match="architecture 'llama'"):
        locate_checkpoint(resolve_model("some/model"))


@pytest.mark.parametrize("name", ["config.json", FIRST_SHARD])
def test_altered_cached_files_are_found(cached_model, name):
    flip_last_bit((cached_model / name).resolve())
    with pytest.raises(DamagedCheckpointError, match=f"Altered in .*'{name}'"):
        verify_checksums(cached_model)


def test_errors_without_a_network_name_the_missing_files(cached_model):
    (cached_model / SECOND_SHARD).unlink()
    with pytest.raises(
        DownloadError, match=rf"is cached, but not complete \(.* lacks '{SECOND_SHARD}'.*cannot be reached"
    ):
        locate_checkpoint(resolve_model("some/model"))
    with pytest.raises(DownloadError, match=r"'some/other' is not cached, and the hub cannot be reached: no route to"):
        locate_checkpoint(resolve_model("some/other"))


def test_the_errors_of_the_installed_http_library_are_known():
    from huggingface_hub import get_session

    library = next(base.__module__.split(".")[0] for base in type(get_session()).__mro__ if base.__name__ == "Client")
    assert library in {error.__module__.split(".")[0] for error in hub_transfer.HTTP_ERRORS}
