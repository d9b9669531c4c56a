"""The folders of this package, and errors of the disk."""

import errno
import os
import shutil

import pytest

from langchain_gptoss.errors import StorageError
from langchain_gptoss.models.download.cache_directory import (
    cache_directory,
    data_directory,
    require_free_space,
    translate_storage_errors,
)


def test_an_environment_variable_moves_the_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("GPTOSS_HOME", str(tmp_path))
    assert cache_directory() == tmp_path
    assert data_directory() == tmp_path / "data"
    monkeypatch.delenv("GPTOSS_HOME")
    assert cache_directory().name == data_directory().name == "langchain-gptoss"
    assert cache_directory() != data_directory()


def test_disk_errors_are_translated(tmp_path):
    with pytest.raises(StorageError, match=r"no space left on device.*GPTOSS_HOME"), translate_storage_errors(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(ConnectionError), translate_storage_errors(tmp_path):
        raise ConnectionError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def test_require_free_space(tmp_path, monkeypatch):
    usage = shutil._ntuple_diskusage(10**9, 10**9, 5_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    require_free_space(tmp_path / "not" / "yet", 5_000_000)
    with pytest.raises(StorageError, match=r"100 MB are needed in .* and 5 MB are free"):
        require_free_space(tmp_path / "not" / "yet", 100_000_000)
