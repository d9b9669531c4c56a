"""Wheels are downloaded with the real pip from a folder; altered wheels are downloaded once more."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from langchain_gptoss.errors import DownloadError, StorageError
from langchain_gptoss.models.download import wheels
from langchain_gptoss.models.download.wheels import Wheel, fetch_wheel, open_wheel


def write_wheel(folder: Path) -> Wheel:
    """Write a small wheel into a folder and return its description."""
    folder.mkdir(exist_ok=True)
    file = folder / "parcel-1.0-py3-none-any.whl"
    info = "parcel-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("parcel/weights.bin", b"weights" * 1000)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return Wheel(package="parcel", version="1.0", sha256=sha256, size_bytes=file.stat().st_size, content="the parcel")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that pip takes packages from."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "index"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def test_wheels_are_fetched_and_deleted_after_reading(index, target):
    wheel = write_wheel(index)
    file = fetch_wheel(wheel, target)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == wheel.sha256
    with open_wheel(file) as archive:
        assert archive.read("parcel/weights.bin").startswith(b"weights")
    assert list(target.iterdir()) == []


def test_truncated_wheels_are_fetched_twice_and_refused(index, target, monkeypatch):
    wheel = write_wheel(index)
    file = next(index.iterdir())
    file.write_bytes(file.read_bytes()[: wheel.size_bytes // 2])
    run_pip, runs = wheels._run_pip, []
    monkeypatch.setattr(wheels, "_run_pip", lambda *args: runs.append(args) or run_pip(*args))
    with pytest.raises(DownloadError, match=r"arrived altered twice.*Both downloads were removed"):
        fetch_wheel(wheel, target)
    assert len(runs) == 2
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("altered_downloads", [1, 2])
def test_altered_wheels_are_fetched_once_more(index, target, monkeypatch, altered_downloads):
    wheel = write_wheel(index)
    runs = []

    def copy_instead(_: Wheel, folder: Path, __: object) -> None:
        runs.append(folder)
        copy = Path(shutil.copy(next(index.iterdir()), folder))
        if len(runs) <= altered_downloads:
            copy.write_bytes(copy.read_bytes()[:-1] + b"!")

    monkeypatch.setattr(wheels, "_run_pip", copy_instead)
    if altered_downloads == 1:
        assert hashlib.sha256(fetch_wheel(wheel, target).read_bytes()).hexdigest() == wheel.sha256
    else:
        with pytest.raises(DownloadError, match=r"arrived altered twice: its SHA-256 is"):
            fetch_wheel(wheel, target)
        assert list(target.iterdir()) == []
    assert len(runs) == 2


def test_missing_versions_are_reported(index, target):
    wheel = write_wheel(index)
    other = Wheel(package="parcel", version="2.0", sha256=wheel.sha256, size_bytes=1, content="the parcel")
    with pytest.raises(DownloadError, match=r"parcel 2\.0 \(the parcel, 0 MB\).*pip download --no-deps parcel==2\.0"):
        fetch_wheel(other, target)
    assert list(target.iterdir()) == []


def test_files_of_a_failed_download_are_removed(index, target, monkeypatch):
    def fail(*_: object) -> str:
        shutil.copy(next(index.iterdir()), target)
        return "ERROR: [Errno 28] No space left on device"

    wheel = write_wheel(index)
    monkeypatch.setattr(wheels, "_run_pip", fail)
    with pytest.raises(StorageError, match="no space left on device"):
        fetch_wheel(wheel, target)
    assert list(target.iterdir()) == []


def test_interrupts_terminate_pip(target, monkeypatch):
    started = []
    popen = subprocess.Popen
    sleep_command = [sys.executable, "-c", "print('Progress 1 of 2', flush=True); import time; time.sleep(600)"]

    def start_sleep(_: object, **options: object) -> subprocess.Popen:
        started.append(popen(sleep_command, **options))
        return started[-1]

    class InterruptedBar:
        def __init__(self, *_: object) -> None: ...
        def __enter__(self) -> "InterruptedBar":
            return self

        def __exit__(self, *_: object) -> None: ...
        def update(self, _: int) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(wheels.subprocess, "Popen", start_sleep)
    monkeypatch.setattr(wheels, "show_progress", InterruptedBar)
    wheel = Wheel(package="parcel", version="1.0", sha256="0" * 64, size_bytes=2, content="the parcel")
    with pytest.raises(KeyboardInterrupt):
        fetch_wheel(wheel, target)
    assert started[0].poll() is not None  # leaving the block waits for the process, which would sleep for minutes
