"""Files and folders appear complete or not at all, and one process at a time holds a lock."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from langchain_gptoss import _io
from langchain_gptoss._io import (
    create_private_file,
    create_private_folder,
    get_file_mode,
    lock_path,
    open_replacement,
    open_replacement_folder,
    write_atomically,
)

needs_posix = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Files


@needs_posix
@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_write_atomically_replaces_content_and_mode(tmp_path, mode):
    file = tmp_path / "file"
    file.write_text("old")
    write_atomically(file, b"new", mode=mode)
    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == mode
    assert list_names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failed_replacements_keep_the_old_file(tmp_path, error):
    file = tmp_path / "file"
    file.write_text("old")

    def fail_halfway() -> None:
        with open_replacement(file) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail_halfway()
    assert file.read_text() == "old"
    assert list_names(tmp_path) == ["file"]


def test_content_is_synced_before_the_file_gets_its_name(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(_io, "sync_to_disk", lambda path: synced.append((path, (tmp_path / "file").exists())))
    write_atomically(tmp_path / "file", b"content")
    assert [exists for _, exists in synced] == [False, True]
    assert synced[1][0] == tmp_path


# Folders


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failed_folders_leave_nothing(tmp_path, error):
    target = tmp_path / "models" / "thing"

    def fail_halfway() -> None:
        with open_replacement_folder(target) as partial:
            (partial / "half").touch()
            raise error

    with pytest.raises(error):
        fail_halfway()
    assert list_names(tmp_path / "models") == []


def test_folders_of_killed_processes_are_removed(tmp_path):
    (tmp_path / ".partial-thing-old").mkdir()
    (tmp_path / ".partial-thing2-old").mkdir()  # belongs to another target
    with open_replacement_folder(tmp_path / "thing") as partial:
        (partial / "content").touch()
    assert list_names(tmp_path) == [".partial-thing2-old", "thing"]
    assert list_names(tmp_path / "thing") == ["content"]


@needs_posix
def test_other_users_can_read_new_folders(tmp_path):
    with open_replacement_folder(tmp_path / "thing"):
        pass
    assert (tmp_path / "thing").stat().st_mode & 0o777 == 0o755


# Locks


def test_threads_wait_for_a_lock(tmp_path):
    order = []

    def wait_for_lock() -> None:
        with lock_path(tmp_path / "thing"):
            order.append("second")

    with lock_path(tmp_path / "thing"):
        thread = threading.Thread(target=wait_for_lock)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]


def test_lock_path_gives_up_after_its_timeout(tmp_path):
    with (
        lock_path(tmp_path / "thing"),
        pytest.raises(TimeoutError, match=r"has been locked by another process for 0\.1 s"),
        lock_path(tmp_path / "thing", timeout_s=0.1),
    ):
        pass


def test_processes_wait_for_a_lock(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from langchain_gptoss._io import lock_path\n"
        "folder = Path(sys.argv[1])\n"
        "with lock_path(folder / 'thing'):\n"
        "    (folder / 'inside').touch(exist_ok=False); time.sleep(0.3); (folder / 'inside').unlink()\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]


@pytest.mark.skipif(os.name == "nt", reason="sends SIGKILL")
def test_a_killed_process_releases_its_lock(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from langchain_gptoss._io import lock_path, open_replacement_folder\n"
        "target = Path(sys.argv[1]) / 'thing'\n"
        "with lock_path(target), open_replacement_folder(target) as partial:\n"
        "    (partial / 'half').write_bytes(b'x' * 1000); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode != 0
    assert list(tmp_path.glob(".partial-thing-*/half"))
    with lock_path(tmp_path / "thing", timeout_s=0), open_replacement_folder(tmp_path / "thing") as partial:
        (partial / "content").touch()
    assert list_names(tmp_path) == [".thing.lock", "thing"]


def get_mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@needs_posix
def test_private_files_and_folders_are_for_their_owner_alone(tmp_path):
    previous = os.umask(0)
    try:
        create_private_folder(tmp_path / "a" / "b")
        create_private_file(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(previous)
    assert get_mode(tmp_path / "a" / "b") == 0o700
    assert get_mode(tmp_path / "a" / "b" / "c") == 0o600
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileExistsError):
        create_private_folder(tmp_path / "file")
    create_private_file(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "x"


@needs_posix
@pytest.mark.parametrize(
    ("before", "restrict", "after"),
    [(0o755, True, 0o700), (0o755, False, 0o755), (0o750, True, 0o750), (0o2770, True, 0o2770), (0o700, True, 0o700)],
)
def test_only_folders_with_the_former_default_mode_are_restricted(tmp_path, before, restrict, after):
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(before)
    create_private_folder(folder, restrict=restrict)
    assert get_mode(folder) == after


@needs_posix
@pytest.mark.parametrize(("folder_mode", "expected"), [(0o700, 0o600), (0o750, 0o640), (0o755, 0o644), (0o770, 0o660)])
def test_files_may_be_read_by_those_who_may_enter_their_folder(tmp_path, folder_mode, expected):
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(folder_mode)
    assert get_file_mode(folder) == expected
