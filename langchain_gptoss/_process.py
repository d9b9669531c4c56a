"""Child processes that run nothing of the user's folders, and the detection of forked processes.

`python -m MODULE` puts the working directory first on the module path, so a `json.py` among the user's documents would
run. The children of this package start isolated (`python -I`), in a fixed folder, with the standard library first, and
with the environment variables that they need.
"""

import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path

from langchain_gptoss.errors import GptOssForkError

_PACKAGE = __name__.partition(".")[0]
# Runs a module in an isolated child. This package itself is loaded from the folder that the parent loaded it from: that
# may be below the working directory, which is not on the module path.
_START_MODULE = """\
import importlib.util, json, runpy, sys
options = json.loads(sys.argv.pop(1))
sys.path[:] = options["path"]
spec = importlib.util.spec_from_file_location(
    options["package"], options["file"], submodule_search_locations=[options["folder"]]
)
sys.modules[options["package"]] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[options["package"]])
runpy.run_module(options["module"], run_name="__main__", alter_sys=True)
"""
# Variables of every child; the others may hold secrets, or name code to load.
_KEPT_VARIABLES = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LOGNAME", "TEMP", "TMP", "TMPDIR", "TZ", "USER"}
    | {"APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "NUMBER_OF_PROCESSORS", "PATHEXT", "PROGRAMDATA"}
    | {"PROCESSOR_ARCHITECTURE", "PROGRAMFILES", "SYSTEMDRIVE", "SYSTEMROOT", "USERNAME", "USERPROFILE", "WINDIR"}
)
_KEPT_PREFIXES = ("LC_",)
_FOLDER_LISTS = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
)  # an empty or relative entry means the working directory
_INTERPRETER_PREFIX = "PYTHON"  # PYTHONPATH, PYTHONSTARTUP and others make Python run files
_FORK_HINT = (
    'Start processes with multiprocessing.get_context("spawn") and create the model in each of them, or use threads.'
)


class ForkGuard:
    """Remembers the process of an object that has threads, or a native library with threads: a fork copies none.

    A copy that is pickled into another process belongs to that process.

    Args:
        at_first_use: The process is that of the first call of `check`, instead of the one that makes the guard.
    """

    def __init__(self, *, at_first_use: bool = False) -> None:
        self._pid = None if at_first_use else os.getpid()

    @property
    def is_forked(self) -> bool:
        """True in a child that was forked from the guard's process."""
        return self._pid is not None and os.getpid() != self._pid

    def __reduce__(self) -> tuple[object, ...]:
        return (ForkGuard, ())

    def check(self, subject: str) -> None:
        """Raise an error in a forked child, which would otherwise wait for threads that it does not have.

        Args:
            subject: What cannot be used, such as `"This model"`.

        Raises:
            GptOssForkError: This process was forked from the guard's process.
        """
        if self._pid is None:
            self._pid = os.getpid()
        if self.is_forked:
            raise GptOssForkError(
                f"{subject} belongs to process {self._pid}, and this is process {os.getpid()}, forked from it "
                "without its threads.",
                hint=_FORK_HINT,
            )


TORCH_THREADS = ForkGuard(at_first_use=True)
"""Guards what loads a model with torch: its own threads exist in the process that first loaded one."""


def build_python_command(module: str, *arguments: str) -> list[str]:
    """Return a command that runs a module in an isolated Python; run it in `get_working_folder()`.

    Args:
        module: The module's name.
        *arguments: Its arguments.
    """
    package_file = Path(sys.modules[_PACKAGE].__file__ or "")
    options = {
        "module": module,
        "path": list_import_folders(),
        "package": _PACKAGE,
        "file": str(package_file),
        "folder": str(package_file.parent),
    }
    flags = ["-I", *(["-B"] if sys.dont_write_bytecode else []), *(["-X", "utf8"] if sys.flags.utf8_mode else [])]
    return [sys.executable, *flags, "-c", _START_MODULE, json.dumps(options), *arguments]


def list_import_folders() -> list[str]:
    """Return the folders and archives that children may import from, the standard library first.

    The working directory and the folder of the running script are left out, relative entries too.
    """
    paths = sysconfig.get_paths()
    installed = {_resolve(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    excluded = {_resolve(os.curdir)} | ({_resolve(os.path.dirname(os.path.abspath(script)))} if script else set())
    entries = [
        entry
        for entry in dict.fromkeys(sys.path)
        if os.path.isabs(entry) and (_resolve(entry) in installed or _resolve(entry) not in excluded)
    ]
    standard = [entry for entry in entries if _is_standard_library(entry, paths)]
    return standard + [entry for entry in entries if entry not in standard]


def _resolve(path: str) -> str:
    return os.path.normcase(os.path.realpath(path))


def _is_standard_library(entry: str, paths: dict[str, str]) -> bool:
    path = Path(_resolve(entry))
    roots = {Path(_resolve(paths[name])) for name in ("stdlib", "platstdlib")}
    is_archive = path.suffix == ".zip" and any(path.parent == root.parent for root in roots)  # python311.zip
    # lib-dynload is in the folder, and so is site-packages, which is none of it.
    return is_archive or path in roots or (path.name in {"lib-dynload", "DLLs"} and path.parent in roots)


def is_installed(module: str) -> bool:
    """Return True if a child of `build_python_command` can import a top-level module; this function does not."""
    return PathFinder.find_spec(module, list_import_folders()) is not None


def get_working_folder() -> Path:
    """Return the folder in which children run: that of the Python environment, never one with documents."""
    return Path(sys.prefix)


def build_environment(*, keep: Iterable[str] = (), keep_prefixes: Iterable[str] = ()) -> dict[str, str]:
    """Return the environment of a child: paths, language and temporary folder, without secrets or Python's settings.

    Args:
        keep: Names of further variables to keep.
        keep_prefixes: Beginnings of the names of further variables to keep.
    """
    names, prefixes = {*_KEPT_VARIABLES, *keep}, (*_KEPT_PREFIXES, *keep_prefixes)
    kept = {name: value for name, value in os.environ.items() if name.upper() in names or name.startswith(prefixes)}
    return _remove_interpreter_settings(kept)


def build_full_environment() -> dict[str, str]:
    """Return this process's environment without Python's settings, for programs with settings of their own (pip)."""
    return _remove_interpreter_settings(dict(os.environ))


def _remove_interpreter_settings(variables: dict[str, str]) -> dict[str, str]:
    cleaned = {name: value for name, value in variables.items() if not name.upper().startswith(_INTERPRETER_PREFIX)}
    for name in _FOLDER_LISTS:
        if folders := list_absolute_folders(os.environ.get(name, "")):
            cleaned[name] = os.pathsep.join(folders)
        else:
            cleaned.pop(name, None)
    return cleaned


def list_absolute_folders(value: str) -> list[str]:
    """Return the absolute folders of a variable such as `PATH`."""
    return [folder for folder in value.split(os.pathsep) if os.path.isabs(folder)]


def find_program(name: str) -> str | None:
    """Return the path of a program, or None; a relative entry of `PATH` is not searched, nor the working directory."""
    if os.path.dirname(name):
        return shutil.which(os.path.abspath(name))
    return next(
        (
            found
            for folder in list_absolute_folders(os.environ.get("PATH", os.defpath))
            if (found := shutil.which(os.path.join(folder, name)))
        ),
        None,
    )
