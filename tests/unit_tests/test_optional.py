"""Hints for missing packages: a command that works wherever the package came from."""

import sys
from importlib import metadata
from pathlib import Path

import langchain_gptoss
from langchain_gptoss._optional import build_install_command


def test_command_installs_into_the_python_that_runs(monkeypatch):
    monkeypatch.setattr(metadata, "distribution", lambda name: None)
    monkeypatch.setattr(sys, "executable", "/my env/bin/python")
    assert build_install_command("cpu") == "'/my env/bin/python' -m pip install \"langchain-gptoss[cpu]\""


def test_checkout_that_is_not_installed_is_named_by_its_folder(monkeypatch):
    def find(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", find)
    folder = Path(langchain_gptoss.__file__).parent.parent
    assert build_install_command("rag").endswith(f'-m pip install "{folder}[rag]"')
