"""Compiles the CPU kernel on first use and keeps it in the cache folder.

Compilers are tried in this order: the one in the environment variable `CC`, `cc`, `gcc`, `clang`, and `ziglang`, a
complete C compiler in a Python wheel, which the extra `cpu` installs. If there is none, the slower reference in torch
is used.
"""

import atexit
import hashlib
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from langchain_gptoss._io import find_foreign_access, lock_path, open_replacement, write_atomically
from langchain_gptoss._optional import build_install_command
from langchain_gptoss._process import (
    build_environment,
    build_python_command,
    find_program,
    get_working_folder,
    is_installed,
)
from langchain_gptoss.errors import KernelError, StorageError
from langchain_gptoss.models.download.cache_directory import cache_directory, translate_storage_errors

_SOURCE = Path(str(files("langchain_gptoss") / "engine" / "kernels" / "src"))
_FLAGS = (
    "-O3",
    "-std=gnu11",
    "-fPIC",
    "-shared",
    "-pthread",
    "-fno-math-errno",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-Wno-unknown-pragmas",
)
_COMPILER_TIMEOUT_S = 180
# Where the compilers of macOS, Nix, conda and zig find their own files. CPATH and the like stay out.
_COMPILER_VARIABLES = ("SDKROOT", "DEVELOPER_DIR", "CONDA_PREFIX", "CONDA_BUILD_SYSROOT", "XDG_CACHE_HOME")
_COMPILER_PREFIXES = ("NIX_", "ZIG_")
_MAX_QUOTE_CHARACTERS = 200
_LIBRARY_MODE = 0o755
_FOLDER_MODE = 0o755
_NAME_DIGITS = 16  # of the hash of the source, in the name of the library

_logger = logging.getLogger(__name__)


def build_kernel() -> Path:
    """Return the compiled kernel; compile it if the cache folder does not have it, or not as it was compiled here.

    A library is code: it is used only from a folder in which no other account could have put it, and if its record
    names its SHA-256 and the present source and flags. If others may write the cache folder, the kernel is compiled
    into a private folder, which is removed at exit.

    Raises:
        KernelError: There is no compiler, every compiler fails, or the cache folder cannot be written.
    """
    if sys.platform == "win32":
        raise KernelError("There is no CPU kernel for Windows.", hint="Use the Windows Subsystem for Linux.")
    folder = cache_directory() / "kernels"
    try:
        with translate_storage_errors(folder):
            folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            if (reason := find_foreign_access(folder)) is not None:
                return _build_privately(reason)
            return _build_in(folder)
    except StorageError as error:
        raise KernelError(error.message, hint=error.hint) from error


def _build_in(folder: Path) -> Path:
    """Return the library in a folder; compile it if it is missing, was altered, or was made from another source."""
    source_hash = _hash_source()
    target = folder / f"experts-{source_hash[:_NAME_DIGITS]}.so"
    if _is_as_compiled(target, source_hash):
        return target
    with lock_path(target):
        if not _is_as_compiled(target, source_hash):
            compiler = _compile(_SOURCE / "kernel.c", target)
            record = {"sha256": _hash_file(target), "source": source_hash, "compiler": compiler, "flags": _FLAGS}
            write_atomically(_get_record_path(target), json.dumps(record, indent=2).encode())
    return target


def _build_privately(reason: str) -> Path:
    _logger.warning("The compiled kernel in the cache is not used: %s. It is compiled again for this process.", reason)
    folder = Path(tempfile.mkdtemp(prefix="gptoss-kernel-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return _build_in(folder)


def _hash_source() -> str:
    """Return the SHA-256 of everything that the library is made from: source, flags, processor and system."""
    text = b"".join(file.read_bytes() for file in sorted(_SOURCE.glob("*.[ch]")))
    return hashlib.sha256(text + repr((_FLAGS, platform.machine(), sys.platform)).encode()).hexdigest()


def _is_as_compiled(target: Path, source_hash: str) -> bool:
    """Return True if a library is the one that its record describes, and no other account can write either."""
    record_path = _get_record_path(target)
    try:
        if find_foreign_access(target) is not None or find_foreign_access(record_path) is not None:
            return False
        record = json.loads(record_path.read_bytes())
        expected = {"source": source_hash, "flags": list(_FLAGS), "sha256": _hash_file(target)}
        return all(bool(record[name] == value) for name, value in expected.items())
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _get_record_path(target: Path) -> Path:
    return target.with_suffix(".json")


def _hash_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def find_compilers() -> list[list[str]]:
    """Return the commands that can compile C on this machine, the preferred one first."""
    chosen = os.environ.get("CC", "").split()
    path = find_program(chosen[0]) if chosen else None
    commands = [[path, *chosen[1:]]] if path else []
    commands += [[path] for name in ("cc", "gcc", "clang") if (path := find_program(name))]
    if is_installed("ziglang"):
        commands.append(build_python_command("ziglang", "cc"))
    return commands


def _compile(source: Path, target: Path) -> str:
    """Compile a library, and return the compiler's command.

    Raises:
        KernelError: There is no compiler, or every compiler fails.
    """
    failures = []
    for compiler in find_compilers():
        try:
            with open_replacement(target, mode=_LIBRARY_MODE) as output:
                _run_compiler([*compiler, *_FLAGS, str(source), "-o", str(output), "-lm"])
        except (_CompilerError, subprocess.TimeoutExpired) as error:
            failures.append(f"{' '.join(compiler)}: {error}")
        else:
            return compiler[0]
    if failures:
        raise KernelError("The CPU kernel could not be compiled: " + "; ".join(failures) + ".")
    raise KernelError("No C compiler was found.", hint=f"Run: {build_install_command('cpu')}")


class _CompilerError(Exception):
    """A compiler failed; the message is the first line of its output."""


def _run_compiler(command: list[str]) -> None:
    environment = build_environment(keep=_COMPILER_VARIABLES, keep_prefixes=_COMPILER_PREFIXES)
    options: dict[str, Any] = {"cwd": get_working_folder(), "env": environment, "timeout": _COMPILER_TIMEOUT_S}
    try:
        completed = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, **options)
    except OSError as error:
        raise _CompilerError(str(error)) from error
    if completed.returncode:
        lines = completed.stderr.strip().splitlines() or ["failed without a message"]
        raise _CompilerError(lines[0][:_MAX_QUOTE_CHARACTERS])
