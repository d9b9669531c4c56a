"""Fetching from a hub with the real client: complete, cut off, altered, interrupted, two at once, offline."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from langchain_gptoss.errors import CheckpointError, DownloadError, StorageError
from langchain_gptoss.models.catalog import resolve_model
from langchain_gptoss.models.checkpoint import locate_checkpoint
from langchain_gptoss.models.download import hub as hub_module
from langchain_gptoss.models.download import hub_transfer
from langchain_gptoss.models.download.checksums import verify_checksums
from langchain_gptoss.models.download.hub_cache import RemoteFile, Snapshot
from tests.integration_tests.models.hub_server import COMMIT, REPOSITORY, SHARDS, Hub, digest, write_checkpoint

FIRST, SECOND = SHARDS
LOCATE = (
    "import sys; from langchain_gptoss.models.catalog import resolve_model\n"
    "from langchain_gptoss.models.checkpoint import locate_checkpoint\n"
    "print(locate_checkpoint(resolve_model(sys.argv[1])))\n"
)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    server = Hub(write_checkpoint(tmp_path / "published"))
    yield server
    server.close()


@pytest.fixture
def cache(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and this process's client turned to the hub of the test."""
    folder = tmp_path / "cache" / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(hub_transfer, "_FIRST_PAUSE_S", 0.0)
    return folder


def fetch(*, verify: bool = False) -> Path:
    return locate_checkpoint(resolve_model(REPOSITORY), verify=verify)


def is_whole(folder: Path, hub: Hub) -> bool:
    return all((folder / name).read_bytes() == content for name, content in hub.files.items())


def leftovers(cache: Path) -> list[Path]:
    return list(cache.rglob("*.incomplete"))


def blob(cache: Path, hub: Hub, name: str) -> Path:
    storage = cache / f"models--{REPOSITORY.replace('/', '--')}"
    return storage / "blobs" / digest(name, hub.files[name])


def test_a_checkpoint_is_fetched_and_then_found_without_the_hub(hub, cache, capfd):
    folder = fetch()
    assert folder.name == COMMIT
    assert is_whole(folder, hub)
    shown = capfd.readouterr().err
    assert f"Fetching {REPOSITORY}: 100%" in shown
    assert "config.json" not in shown  # one bar, not one for each file
    assert leftovers(cache) == []
    assert {name for name, _ in hub.asked} == hub.files.keys()
    hub.close()
    assert fetch() == folder
    assert set(verify_checksums(folder)) == hub.files.keys()


def test_other_programs_find_it_in_the_cache(hub, cache):
    from huggingface_hub import snapshot_download

    folder = fetch()
    asked = len(hub.asked)
    assert Path(snapshot_download(REPOSITORY, local_files_only=True)) == folder
    assert len(hub.asked) == asked


def test_only_what_is_wanted_is_fetched(hub, cache):
    hub.files |= {"pytorch_model.bin": b"\x80", "modeling_evil.py": b"1/0", "README.md": b"hello"}
    names = {file.name for file in fetch().iterdir()}
    assert names == hub.files.keys() - {"pytorch_model.bin", "modeling_evil.py", "README.md"}


def test_a_connection_that_is_cut_goes_on_where_it_was(hub, cache):
    hub.cuts[FIRST] = [300_000, 0, 150_000]
    assert is_whole(fetch(), hub)
    assert hub.asked_for(FIRST) == [0, 300_000, 300_000, 450_000]


def test_a_server_that_knows_no_parts_starts_over(hub, cache):
    hub.cuts[FIRST] = [300_000]
    hub.ranges = False
    assert is_whole(fetch(), hub)
    assert hub.asked_for(FIRST) == [0, 300_000]


def test_a_connection_that_stays_cut_is_an_error_and_keeps_what_has_arrived(hub, cache):
    hub.cuts[FIRST] = [100_000, 0, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"is not cached, and the hub cannot be reached: .*continues the download"):
        fetch()
    assert [file.stat().st_size for file in leftovers(cache)] == [100_000]
    assert is_whole(fetch(), hub)
    assert hub.asked_for(FIRST)[-1] == 100_000
    assert leftovers(cache) == []


def test_a_busy_server_is_asked_again(hub, cache, monkeypatch):
    fetch_small = hub_module._fetch_small_file

    def then_busy(snapshot: Snapshot, file: RemoteFile) -> None:
        fetch_small(snapshot, file)
        hub.busy = 3 if file.name == "model.safetensors.index.json" else 0

    monkeypatch.setattr(hub_module, "_fetch_small_file", then_busy)
    assert is_whole(fetch(), hub)
    assert hub.asked_for(FIRST) == [0, 0, 0, 0]


@pytest.mark.parametrize("name", [FIRST, "tokenizer.json", "generation_config.json", "config.json"])
def test_altered_bytes_are_fetched_again_once_and_then_said(hub, cache, name):
    hub.altered[name] = 2
    with pytest.raises(DownloadError, match=rf"'{name}' of '{REPOSITORY}' arrived altered twice"):
        fetch()
    assert not blob(cache, hub, name).exists()
    assert leftovers(cache) == []
    hub.altered[name] = 1
    assert is_whole(fetch(), hub)


def test_a_server_whose_file_is_shorter_than_published(hub, cache, monkeypatch):
    whole = hub.files[FIRST]
    published = hub_module._describe_repository

    def shrinks(repository: str) -> Snapshot:
        snapshot = published(repository)
        hub.files[FIRST] = whole[:300_000]
        return snapshot

    monkeypatch.setattr(hub_module, "_describe_repository", shrinks)
    with pytest.raises(DownloadError, match=f"'{FIRST}' of '{REPOSITORY}' arrived altered twice"):
        fetch()
    monkeypatch.setattr(hub_module, "_describe_repository", published)
    hub.files[FIRST] = whole
    assert is_whole(fetch(), hub)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-100]),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"\0" * file.stat().st_size),
        lambda file: file.unlink(),
    ],
    ids=["cut", "emptied", "zeroed", "gone"],
)
@pytest.mark.parametrize("name", [SECOND, "config.json", "model.safetensors.index.json", "tokenizer.json"])
def test_what_is_damaged_in_the_cache_is_mended(hub, cache, name, spoil):
    folder = fetch()
    hub.asked.clear()
    spoil(blob(cache, hub, name))
    assert fetch() == folder
    assert is_whole(folder, hub)
    assert {asked for asked, _ in hub.asked} == {name}


def test_one_altered_bit_in_a_shard_is_found_and_mended_when_asked_for(hub, cache):
    folder = fetch()
    file = blob(cache, hub, SECOND)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert fetch() == folder  # no start hashes gigabytes
    with pytest.raises(CheckpointError, match=f"Altered in .*'{SECOND}'"):
        verify_checksums(folder)
    hub.asked.clear()
    assert fetch(verify=True) == folder
    assert is_whole(folder, hub)
    assert {asked for asked, _ in hub.asked} == {SECOND}


def test_another_architecture_is_refused_before_anything_large_is_fetched(hub, cache):
    hub.files["config.json"] = b'{"model_type": "llama"}'
    with pytest.raises(CheckpointError, match="architecture 'llama'"):
        fetch()
    assert {name for name, _ in hub.asked} == {"config.json"}


def test_what_was_refused_is_fetched_once_its_author_has_mended_it(hub, cache):
    published = hub.files["tokenizer.json"]
    hub.files["tokenizer.json"] = b'{"model": {"vocab": {"a": 10}}}'
    for _ in range(2):
        with pytest.raises(CheckpointError, match="token ids up to 10"):
            fetch()
    hub.files["tokenizer.json"] = published
    hub.commit = "f" * 40
    folder = fetch()
    assert folder.name == hub.commit
    assert is_whole(folder, hub)
    assert hub.asked_for(FIRST) == [0]  # the weights are the same content as before


def test_a_repository_of_pickles_is_refused_before_anything_is_fetched(hub, cache):
    hub.files = {"config.json": hub.files["config.json"], "pytorch_model.bin": b"\x80"}
    with pytest.raises(CheckpointError, match=r"has no \*\.safetensors files on the hub.*never fetched"):
        fetch()
    assert hub.asked == []


def test_a_model_that_the_hub_lacks(hub, cache):
    with pytest.raises(DownloadError, match="The hub has no model 'nobody/nothing'"):
        locate_checkpoint(resolve_model("nobody/nothing"))
    with pytest.raises(DownloadError, match="cannot be a model on the hub"):
        locate_checkpoint(resolve_model("nobody/a--b"))


def test_a_disk_that_is_too_small_is_said_before(hub, cache, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(StorageError, match=r"2 MB are needed in .* and 0 MB are free.*HF_HOME"):
        fetch()
    assert {name for name, _ in hub.asked} == {"config.json"}


def test_a_disk_that_gets_full_is_said_and_the_rest_is_fetched_later(hub, cache, monkeypatch):
    receive = hub_module.receive_file

    def half(url, size_bytes, stream, progress_bar):
        stream.write(hub.files[url.rsplit("/", 1)[-1]][:100_000])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(hub_module, "receive_file", half)
    with pytest.raises(StorageError, match=r"no space left on device.*HF_HOME"):
        fetch()
    monkeypatch.setattr(hub_module, "receive_file", receive)
    assert is_whole(fetch(), hub)
    assert 100_000 in [*hub.asked_for(FIRST), *hub.asked_for("tokenizer.json")]


def test_a_cache_that_cannot_be_written(hub, cache, monkeypatch):
    cache.parent.mkdir()
    cache.touch()  # a file in the folder's place stops root too
    with pytest.raises(StorageError, match=r"Cannot write to .*HF_HOME"):
        fetch()
    cache.unlink()
    folder = fetch()

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", read_only)
    assert fetch() == folder
    (folder / FIRST).unlink()
    with pytest.raises(StorageError, match=r"read-only file system.*HF_HOME"):
        fetch()


def test_what_was_begun_for_another_state_of_the_repository_is_removed(hub, cache):
    old = cache / f"models--{REPOSITORY.replace('/', '--')}" / "blobs" / f"{'0' * 64}.gptoss.incomplete"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"half")
    fetch()
    assert not old.exists()


STARTED: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def nothing_goes_on() -> Iterator[None]:
    yield
    while STARTED:
        with STARTED.pop() as one:
            one.kill()


def process(hub: Hub, cache: Path, **environment: str) -> subprocess.Popen:
    settings = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_XET": "1", **environment}
    command = [sys.executable, "-c", LOCATE, REPOSITORY]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    STARTED.append(subprocess.Popen(command, env=os.environ | settings, **pipes))
    return STARTED[-1]


def wait_for(condition) -> None:
    for _ in range(300):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it did not come to pass")


def test_two_processes_fetch_once(hub, cache, monkeypatch):
    monkeypatch.undo()
    hub.pause = 0.08
    both = [process(hub, cache) for _ in range(2)]
    said = [one.communicate(timeout=60) for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert is_whole(Path(said[0][0].strip()), hub)
    assert said[0][0] == said[1][0]
    assert hub.asked_for(FIRST) == [0]
    assert any(f"Waiting: another process fetches {REPOSITORY}" in shown for _, shown in said)


def test_an_interrupt_keeps_what_has_arrived(hub, cache, monkeypatch):
    monkeypatch.undo()
    hub.pause = 0.2
    first = process(hub, cache)
    wait_for(lambda: any(file.stat().st_size > 100_000 for file in leftovers(cache)))
    first.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in first.communicate(timeout=30)[1]
    (partial,) = leftovers(cache)
    kept = partial.stat().st_size
    offline = process(hub, cache, HF_HUB_OFFLINE="1")
    assert "DownloadError" in offline.communicate(timeout=60)[1]
    hub.pause = 0.0
    second = process(hub, cache)
    printed, said = second.communicate(timeout=60)
    assert second.returncode == 0, said
    assert is_whole(Path(printed.strip()), hub)
    assert hub.asked_for(FIRST) == [0, kept]
    assert leftovers(cache) == []


def test_a_kill_leaves_neither_a_lock_nor_anything_to_delete(hub, cache, monkeypatch):
    monkeypatch.undo()
    hub.pause = 0.2
    first = process(hub, cache)
    wait_for(lambda: any(file.stat().st_size > 100_000 for file in leftovers(cache)))
    first.kill()
    first.communicate(timeout=30)
    hub.pause = 0.0
    second = process(hub, cache)
    assert second.communicate(timeout=60)[0]
    assert second.returncode == 0
    assert hub.asked_for(FIRST)[-1] > 0


def test_a_whole_cache_works_offline_and_a_partial_one_says_what_it_lacks(hub, cache, monkeypatch):
    folder = fetch()
    hub.asked.clear()
    monkeypatch.undo()
    offline = process(hub, cache, HF_HUB_OFFLINE="1")
    assert offline.communicate(timeout=60)[0].strip() == str(folder)
    (folder / SECOND).unlink()
    offline = process(hub, cache, HF_HUB_OFFLINE="1")
    said = offline.communicate(timeout=60)[1]
    assert f"is cached, but not complete ('{folder}' lacks '{SECOND}'" in said
    assert "offline mode is enabled" in said
    assert hub.asked == []
