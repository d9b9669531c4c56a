"""Children start isolated: nothing of the working directory runs in them, and secrets are not handed down."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_gptoss import _process
from langchain_gptoss._process import (
    ForkGuard,
    build_environment,
    build_full_environment,
    build_python_command,
    find_program,
    get_working_folder,
    is_installed,
    list_absolute_folders,
    list_import_folders,
)
from langchain_gptoss.errors import GptOssForkError
from tests.unit_tests.forked import call_forked, needs_fork

# Modules that Python, this package, pip and the readers import early, and those that Python itself runs at its start.
PLANTED = ("json", "runpy", "site", "sitecustomize", "usercustomize", "lxml", "pip", "ziglang", "numpy", "encodings")


@pytest.fixture
def hostile_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, full of modules that leave a mark when they run, and named by Python's variables."""
    folder = tmp_path / "documents"
    folder.mkdir()
    code = f"import os\nos.close(os.open({str(tmp_path / 'RAN')!r}, os.O_CREAT))\n"
    for name in PLANTED:
        (folder / f"{name}.py").write_text(code)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(("", ".", str(folder))))
    monkeypatch.setenv("PYTHONSTARTUP", str(folder / "json.py"))
    return folder


def run_python(module: str, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    options = {"cwd": get_working_folder(), "env": build_environment()} | options
    return subprocess.run(
        build_python_command(module, *arguments), capture_output=True, text=True, timeout=120, check=True, **options
    )


@pytest.mark.parametrize("entries", [[""], ["."], ["documents"], ["{folder}"], ["{folder}/../documents"]])
def test_nothing_of_the_working_directory_runs_in_a_child(hostile_folder, monkeypatch, entries):
    monkeypatch.setattr(sys, "path", [entry.format(folder=hostile_folder) for entry in entries] + sys.path)
    assert str(hostile_folder) not in list_import_folders()
    assert "pip" in run_python("pip", "--version").stdout
    # Even a caller who forgets the working folder is safe.
    assert "pip" in run_python("pip", "--version", cwd=hostile_folder).stdout
    assert not (hostile_folder.parent / "RAN").exists()


def test_the_folder_of_the_running_script_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "ask.py"), raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert str(tmp_path) not in list_import_folders()


def test_other_folders_keep_their_order_after_the_standard_library(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path / "first"), str(tmp_path / "second"), *sys.path])
    folders = list_import_folders()
    first, second = (folders.index(str(tmp_path / name)) for name in ("first", "second"))
    assert first < second
    assert folders.index(str(Path(os.__file__).parent)) < first


def test_the_package_is_loaded_from_the_parents_folder(tmp_path, monkeypatch):
    """The parent may run from a checkout that is the working directory."""
    package = Path(_process.__file__).parent
    monkeypatch.chdir(package.parent)
    assert str(package.parent) not in list_import_folders()
    (tmp_path / "show_place.py").write_text("import langchain_gptoss; print(langchain_gptoss.__file__)")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert run_python("show_place").stdout.strip() == str(package / "__init__.py")


@pytest.mark.parametrize(("module", "expected"), [("pip", True), ("json", True), ("no_such_module", False)])
def test_is_installed(module, expected):
    assert is_installed(module) is expected


def test_is_installed_does_not_look_into_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "planted_module.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    assert not is_installed("planted_module")


def test_children_get_no_secrets_and_no_settings_of_python(monkeypatch):
    for name in (
        "OPENAI_API_KEY",
        "GPTOSS_AUDIT_KEY",
        "HF_TOKEN",
        "PYTHONPATH",
        "PYTHONHOME",
        "LD_PRELOAD",
        "BASH_ENV",
    ):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    environment = build_environment()
    assert environment["LC_ALL"] == "C.UTF-8"
    assert not {"OPENAI_API_KEY", "GPTOSS_AUDIT_KEY", "HF_TOKEN", "LD_PRELOAD", "BASH_ENV"} & set(environment)
    assert not [name for name in environment if name.startswith("PYTHON")]
    assert build_environment(keep=["HF_TOKEN"])["HF_TOKEN"] == "x"
    assert build_environment(keep_prefixes=["HF_"])["HF_TOKEN"] == "x"


def test_pip_keeps_its_own_settings(monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/simple")
    monkeypatch.setenv("PYTHONPATH", "x")
    environment = build_full_environment()
    assert environment["PIP_INDEX_URL"] == "https://packages.example/simple"
    assert "PYTHONPATH" not in environment


@pytest.mark.parametrize("value", ["", ".", "bin", f"{os.pathsep}.", "./x"])
def test_relative_folders_of_the_path_are_not_searched(tmp_path, monkeypatch, value):
    for folder in (tmp_path, tmp_path / "bin", tmp_path / "x"):
        folder.mkdir(exist_ok=True)
        (folder / "cc").write_text("#!/bin/sh\n")
        (folder / "cc").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", value)
    assert find_program("cc") is None
    assert "PATH" not in build_environment()
    monkeypatch.setenv("PATH", os.pathsep.join((value, str(tmp_path / "bin"))))
    assert find_program("cc") == str(tmp_path / "bin" / "cc")
    assert build_environment()["PATH"] == str(tmp_path / "bin")
    assert find_program("./cc") == str(tmp_path / "cc")  # the user names it


def test_programs_are_found_as_usual():
    assert find_program("sh") == shutil.which("sh")
    assert find_program("no-such-program") is None
    assert list_absolute_folders(os.pathsep.join(("", ".", "/a", "b", "/c"))) == ["/a", "/c"]


def test_children_run_in_the_environments_folder(hostile_folder):
    assert get_working_folder() == Path(sys.prefix)


def test_guard_allows_the_own_process():
    guard = ForkGuard()
    assert not guard.is_forked
    guard.check("This model")


@needs_fork
def test_guard_refuses_a_forked_process():
    guard = ForkGuard()
    error = call_forked(lambda: guard.check("This model"))
    assert isinstance(error, GptOssForkError)
    assert f"This model belongs to process {os.getpid()}" in str(error)
    assert 'multiprocessing.get_context("spawn")' in error.hint
    assert call_forked(lambda: guard.is_forked) is True


@needs_fork
def test_guard_of_the_first_use_allows_a_child_that_was_forked_before():
    guard = ForkGuard(at_first_use=True)
    assert call_forked(lambda: guard.check("FAISS")) is None
    assert not guard.is_forked
    guard.check("FAISS")
    assert isinstance(call_forked(lambda: guard.check("FAISS")), GptOssForkError)
    assert isinstance(call_forked(lambda: guard.check("FAISS")), GptOssForkError)


@needs_fork
def test_pickled_guard_belongs_to_the_process_that_reads_it():
    pickled = pickle.dumps(ForkGuard())
    assert call_forked(lambda: pickle.loads(pickled).is_forked) is False
