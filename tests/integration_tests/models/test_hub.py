"""Downloads from a hub with the real client: complete, cut off, altered, interrupted, concurrent, offline."""

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

from langchain_gptoss._progress import ProgressBar
from langchain_gptoss.errors import CheckpointError, DownloadError, StorageError
from langchain_gptoss.models.catalog import resolve_model
from langchain_gptoss.models.checkpoint import locate_checkpoint
from langchain_gptoss.models.download import hub as hub_module
from langchain_gptoss.models.download import hub_transfer
from langchain_gptoss.models.download.checksums import verify_checksums
from langchain_gptoss.models.download.hub_cache import RemoteFile, Snapshot
from langchain_gptoss.models.packing.locate import locate_adapter
from tests.integration_tests.models.hub_server import (
    COMMIT,
    REPOSITORY,
    SHARDS,
    Hub,
    compute_checksum,
    describe_files,
    write_checkpoint,
)
from tests.unit_tests.models.packing.tiny_models import make_adapter

FIRST, SECOND = SHARDS
LOCATE_CODE = (
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
    """An empty cache; the client of this process uses the hub of the test."""
    folder = tmp_path / "cache" / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(hub_transfer, "_FIRST_PAUSE_S", 0.0)
    return folder


def fetch_model(*, verify: bool = False) -> Path:
    return locate_checkpoint(resolve_model(REPOSITORY), verify=verify)


def is_complete(folder: Path, hub: Hub) -> bool:
    return all((folder / name).read_bytes() == content for name, content in hub.files.items())


def find_partial_files(cache: Path) -> list[Path]:
    return list(cache.rglob("*.incomplete"))


def get_blob_path(cache: Path, hub: Hub, name: str) -> Path:
    storage = cache / f"models--{REPOSITORY.replace('/', '--')}"
    return storage / "blobs" / compute_checksum(name, hub.files[name])


def test_adapters_are_fetched_once(hub, cache, tmp_path):
    make_adapter(tmp_path / "adapter")
    hub.files = {file.name: file.read_bytes() for file in (tmp_path / "adapter").iterdir()}
    folder = locate_adapter(REPOSITORY)
    assert is_complete(folder, hub)
    hub.close()
    assert locate_adapter(REPOSITORY) == folder


def test_fetched_models_are_found_without_the_hub(hub, cache, capfd):
    folder = fetch_model()
    assert folder.name == COMMIT
    assert is_complete(folder, hub)
    output = capfd.readouterr().err
    assert f"Fetching {REPOSITORY}: 100%" in output
    assert "config.json" not in output  # one bar, not one for each file
    assert find_partial_files(cache) == []
    assert {name for name, _ in hub.requests} == hub.files.keys()
    hub.close()
    assert fetch_model() == folder
    assert set(verify_checksums(folder)) == hub.files.keys()


def test_the_hub_client_finds_fetched_models(hub, cache):
    from huggingface_hub import snapshot_download

    folder = fetch_model()
    request_count = len(hub.requests)
    assert Path(snapshot_download(REPOSITORY, local_files_only=True)) == folder
    assert len(hub.requests) == request_count


def test_code_and_pickles_are_not_fetched(hub, cache):
    hub.files |= {"pytorch_model.bin": b"\x80", "modeling_evil.py": b"1/0", "README.md": b"hello"}
    names = {file.name for file in fetch_model().iterdir()}
    assert names == hub.files.keys() - {"pytorch_model.bin", "modeling_evil.py", "README.md"}


def test_cut_connections_are_resumed(hub, cache):
    hub.cuts[FIRST] = [300_000, 0, 150_000]
    assert is_complete(fetch_model(), hub)
    assert hub.list_requested_starts(FIRST) == [0, 300_000, 300_000, 450_000]


def test_servers_without_range_support_start_over(hub, cache):
    hub.cuts[FIRST] = [300_000]
    hub.supports_ranges = False
    assert is_complete(fetch_model(), hub)
    assert hub.list_requested_starts(FIRST) == [0, 300_000]


def test_repeated_cuts_raise_an_error_and_keep_the_received_bytes(hub, cache):
    hub.cuts[FIRST] = [100_000, 0, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"is not cached, and the hub cannot be reached: .*continues the download"):
        fetch_model()
    assert [file.stat().st_size for file in find_partial_files(cache)] == [100_000]
    assert is_complete(fetch_model(), hub)
    assert hub.list_requested_starts(FIRST)[-1] == 100_000
    assert find_partial_files(cache) == []


def test_busy_servers_are_asked_again(hub, cache, monkeypatch):
    fetch_file = hub_module._fetch_file

    def fetch_and_turn_busy(snapshot: Snapshot, file: RemoteFile, progress_bar: ProgressBar) -> None:
        fetch_file(snapshot, file, progress_bar)
        hub.busy_answers = 3 if file.name == "tokenizer.json" else hub.busy_answers

    monkeypatch.setattr(hub_module, "_fetch_file", fetch_and_turn_busy)
    assert is_complete(fetch_model(), hub)
    assert hub.list_requested_starts(FIRST) == [0, 0, 0, 0]


@pytest.mark.parametrize("name", [FIRST, "tokenizer.json", "generation_config.json", "config.json"])
def test_altered_files_are_fetched_once_more(hub, cache, name):
    hub.altered[name] = 2
    with pytest.raises(DownloadError, match=rf"'{name}' of '{REPOSITORY}' arrived altered twice"):
        fetch_model()
    assert not get_blob_path(cache, hub, name).exists()
    assert find_partial_files(cache) == []
    hub.altered[name] = 1
    assert is_complete(fetch_model(), hub)


def test_files_shorter_than_published_are_refused(hub, cache, monkeypatch):
    complete = hub.files[FIRST]
    published = hub_module._describe_repository

    def shrink_afterwards(repository: str) -> Snapshot:
        snapshot = published(repository)
        hub.files[FIRST] = complete[:300_000]
        return snapshot

    monkeypatch.setattr(hub_module, "_describe_repository", shrink_afterwards)
    with pytest.raises(DownloadError, match=f"'{FIRST}' of '{REPOSITORY}' arrived altered twice"):
        fetch_model()
    monkeypatch.setattr(hub_module, "_describe_repository", published)
    hub.files[FIRST] = complete
    assert is_complete(fetch_model(), hub)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-100]),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"\0" * file.stat().st_size),
        lambda file: file.unlink(),
    ],
    ids=["cut", "empty", "zeros", "missing"],
)
@pytest.mark.parametrize("name", [SECOND, "config.json", "model.safetensors.index.json", "tokenizer.json"])
def test_damaged_cached_files_are_fetched_again(hub, cache, name, damage):
    folder = fetch_model()
    hub.requests.clear()
    damage(get_blob_path(cache, hub, name))
    assert fetch_model() == folder
    assert is_complete(folder, hub)
    assert {requested for requested, _ in hub.requests} == {name}


def test_verify_finds_one_altered_bit_and_fetches_the_shard_again(hub, cache):
    folder = fetch_model()
    file = get_blob_path(cache, hub, SECOND)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert fetch_model() == folder  # without verify=True only the headers are checked
    with pytest.raises(CheckpointError, match=f"Altered in .*'{SECOND}'"):
        verify_checksums(folder)
    hub.requests.clear()
    assert fetch_model(verify=True) == folder
    assert is_complete(folder, hub)
    assert {requested for requested, _ in hub.requests} == {SECOND}


def test_other_architectures_are_refused_before_the_weights_are_fetched(hub, cache):
    hub.files["config.json"] = b'{"model_type": "llama"}'
    with pytest.raises(CheckpointError, match="architecture 'llama'"):
        fetch_model()
    assert {name for name, _ in hub.requests} == {"config.json"}


def test_refused_models_are_fetched_after_a_new_commit(hub, cache):
    published = hub.files["tokenizer.json"]
    hub.files["tokenizer.json"] = b'{"model": {"vocab": {"a": 10}}}'
    for _ in range(2):
        with pytest.raises(CheckpointError, match="token ids up to 10"):
            fetch_model()
    hub.files["tokenizer.json"] = published
    hub.commit = "f" * 40
    folder = fetch_model()
    assert folder.name == hub.commit
    assert is_complete(folder, hub)
    assert hub.list_requested_starts(FIRST) == [0]  # the weights are the same content as before


def test_repositories_of_pickles_are_refused_before_anything_is_fetched(hub, cache):
    hub.files = {"config.json": hub.files["config.json"], "pytorch_model.bin": b"\x80"}
    with pytest.raises(CheckpointError, match=r"has no \*\.safetensors files on the hub.*never fetched"):
        fetch_model()
    assert hub.requests == []


def test_unknown_models_are_reported(hub, cache):
    with pytest.raises(DownloadError, match="The hub has no model 'nobody/nothing'"):
        locate_checkpoint(resolve_model("nobody/nothing"))
    with pytest.raises(DownloadError, match="cannot be a model on the hub"):
        locate_checkpoint(resolve_model("nobody/a--b"))


def test_small_disks_are_reported_before_the_download(hub, cache, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(StorageError, match=r"2 MB are needed in .* and 0 MB are free.*HF_HOME"):
        fetch_model()
    assert {name for name, _ in hub.requests} == {"config.json"}


def test_downloads_continue_after_a_full_disk(hub, cache, monkeypatch):
    receive = hub_module.receive_file

    def fail_halfway(url, size_bytes, stream, progress_bar):
        if FIRST not in url:
            receive(url, size_bytes, stream, progress_bar)
            return
        stream.write(hub.files[url.rsplit("/", 1)[-1]][:100_000])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(hub_module, "receive_file", fail_halfway)
    with pytest.raises(StorageError, match=r"no space left on device.*HF_HOME"):
        fetch_model()
    monkeypatch.setattr(hub_module, "receive_file", receive)
    assert is_complete(fetch_model(), hub)
    assert 100_000 in hub.list_requested_starts(FIRST)


def test_read_only_caches_are_reported(hub, cache, monkeypatch):
    cache.parent.mkdir()
    cache.touch()  # a file in the folder's place stops root too
    with pytest.raises(StorageError, match=r"Cannot write to .*HF_HOME"):
        fetch_model()
    cache.unlink()
    folder = fetch_model()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert fetch_model() == folder
    (folder / FIRST).unlink()
    with pytest.raises(StorageError, match=r"read-only file system.*HF_HOME"):
        fetch_model()


def test_partial_files_of_older_commits_are_removed(hub, cache):
    old = cache / f"models--{REPOSITORY.replace('/', '--')}" / "blobs" / f"{'0' * 64}.gptoss.incomplete"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"half")
    fetch_model()
    assert not old.exists()


STARTED: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def stop_processes() -> Iterator[None]:
    yield
    while STARTED:
        with STARTED.pop() as process:
            process.kill()


def start_process(hub: Hub, cache: Path, **environment: str) -> subprocess.Popen:
    settings = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_XET": "1", **environment}
    command = [sys.executable, "-c", LOCATE_CODE, REPOSITORY]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    STARTED.append(subprocess.Popen(command, env=os.environ | settings, **pipes))
    return STARTED[-1]


def wait_for(condition) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("the condition did not become true in 60 s")


def test_two_processes_fetch_a_model_once(hub, cache, monkeypatch):
    monkeypatch.undo()
    hub.pause_s = 0.08
    processes = [start_process(hub, cache) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert is_complete(Path(outputs[0][0].strip()), hub)
    assert outputs[0][0] == outputs[1][0]
    assert hub.list_requested_starts(FIRST) == [0]
    assert any(f"Waiting: another process fetches {REPOSITORY}" in errors for _, errors in outputs)


def test_interrupts_keep_the_received_bytes(hub, cache, monkeypatch):
    monkeypatch.undo()
    hub.pause_s = 0.2
    first = start_process(hub, cache)
    wait_for(lambda: any(file.stat().st_size > 100_000 for file in find_partial_files(cache)))
    first.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in first.communicate(timeout=120)[1]
    (partial,) = find_partial_files(cache)
    kept = partial.stat().st_size
    offline = start_process(hub, cache, HF_HUB_OFFLINE="1")
    assert "DownloadError" in offline.communicate(timeout=120)[1]
    hub.pause_s = 0.0
    second = start_process(hub, cache)
    printed, errors = second.communicate(timeout=120)
    assert second.returncode == 0, errors
    assert is_complete(Path(printed.strip()), hub)
    assert hub.list_requested_starts(FIRST) == [0, kept]
    assert find_partial_files(cache) == []


def test_downloads_continue_after_a_kill(hub, cache, monkeypatch):
    monkeypatch.undo()
    hub.pause_s = 0.2
    first = start_process(hub, cache)
    wait_for(lambda: any(file.stat().st_size > 100_000 for file in find_partial_files(cache)))
    first.kill()
    first.communicate(timeout=120)
    hub.pause_s = 0.0
    second = start_process(hub, cache)
    assert second.communicate(timeout=120)[0]
    assert second.returncode == 0
    assert hub.list_requested_starts(FIRST)[-1] > 0


def test_complete_caches_work_offline_and_errors_name_missing_files(hub, cache, monkeypatch):
    folder = fetch_model()
    hub.requests.clear()
    monkeypatch.undo()
    offline = start_process(hub, cache, HF_HUB_OFFLINE="1")
    assert offline.communicate(timeout=120)[0].strip() == str(folder)
    (folder / SECOND).unlink()
    offline = start_process(hub, cache, HF_HUB_OFFLINE="1")
    errors = offline.communicate(timeout=120)[1]
    assert f"is cached, but not complete ('{folder}' lacks '{SECOND}'" in errors
    assert "offline mode is enabled" in errors
    assert hub.requests == []


def test_small_files_too_end_at_their_published_size(hub, cache):
    """A hub that sends more than it announces fills no disk."""
    published = dict(hub.files)
    hub.files["generation_config.json"] += b" " * 5_000_000
    hub.describe = lambda: describe_files(published)
    assert (fetch_model() / "generation_config.json").read_bytes() == published["generation_config.json"]
    assert max((path.stat().st_size for path in cache.rglob("*") if path.is_file()), default=0) < 2_000_000


@pytest.mark.parametrize(
    "change",
    [
        {"rfilename": "..\\x.json"},
        {"rfilename": "C:x.json"},
        {"size": "x"},
        {"size": 1.5},
        {"size": -1},
        {"size": None},
        {"blobId": "../../../victim"},
        {"blobId": ""},
        {"lfs": {"size": 1, "sha256": "../../victim", "pointerSize": 1}},
        {"lfs": {"sha256": "0" * 64}},
        {"lfs": "text"},
        {"rfilename": 5},
    ],
)
def test_a_hostile_description_is_refused_before_anything_is_written(hub, cache, tmp_path, change):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    hub.describe = lambda: [
        {**sibling, **(change if sibling["rfilename"] == "config.json" else {})}
        for sibling in describe_files(hub.files)
    ]
    with pytest.raises(DownloadError):
        fetch_model()
    assert victim.read_text() == "mine"
    assert [path for path in cache.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("commit", ["../../../victim", "main", "", "g" * 40, "0" * 39, "/etc", "0" * 39 + "\n"])
def test_a_commit_that_is_none_is_refused(hub, cache, commit):
    hub.commit = commit
    with pytest.raises(DownloadError):
        fetch_model()
    assert [path for path in cache.rglob("*") if path.is_file()] == []
