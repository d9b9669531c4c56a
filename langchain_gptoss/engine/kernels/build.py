"""Compiles the CPU kernel on first use and keeps it in the cache folder.

Compilers are tried in this order: the one in the environment variable `CC`, `cc`, `gcc`, `clang`, and `ziglang`, a
complete C compiler in a Python wheel, which the extra `cpu` installs. If there is none, the slower reference in torch
is used.
"""

import hashlib
import os
import platform
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from langchain_gptoss._io import lock_path, open_replacement
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
_FLAGS = ("-O3", "-std=gnu11", "-fPIC", "-shared", "-fno-math-errno", "-fvisibility=hidden", "-Wno-unknown-pragmas")
_COMPILER_TIMEOUT_S = 180
# Where the compilers of macOS, Nix, conda and zig find their own files. CPATH and the like stay out.
_COMPILER_VARIABLES = ("SDKROOT", "DEVELOPER_DIR", "CONDA_PREFIX", "CONDA_BUILD_SYSROOT", "XDG_CACHE_HOME")
_COMPILER_PREFIXES = ("NIX_", "ZIG_")
_MAX_QUOTE_CHARACTERS = 200
_LIBRARY_MODE = 0o755


def build_kernel() -> Path:
    """Return the compiled kernel; compile it if the cache folder does not have it.

    Raises:
        KernelError: There is no compiler, every compiler fails, or the cache folder cannot be written.
    """
    if sys.platform == "win32":
        raise KernelError("There is no CPU kernel for Windows.", hint="Use the Windows Subsystem for Linux.")
    text = b"".join(file.read_bytes() for file in sorted(_SOURCE.glob("*.[ch]")))
    digest = hashlib.sha256(text + repr((_FLAGS, platform.machine(), sys.platform)).encode()).hexdigest()[:16]
    target = cache_directory() / "kernels" / f"experts-{digest}.so"
    if target.is_file():
        return target
    try:
        with translate_storage_errors(target.parent), lock_path(target):
            if not target.is_file():
                _compile(_SOURCE / "kernel.c", target)
    except StorageError as error:
        raise KernelError(error.message, hint=error.hint) from error
    return target


def find_compilers() -> list[list[str]]:
    """Return the commands that can compile C on this machine, the preferred one first."""
    chosen = os.environ.get("CC", "").split()
    path = find_program(chosen[0]) if chosen else None
    commands = [[path, *chosen[1:]]] if path else []
    commands += [[path] for name in ("cc", "gcc", "clang") if (path := find_program(name))]
    if is_installed("ziglang"):
        commands.append(build_python_command("ziglang", "cc"))
    return commands


def _compile(source: Path, target: Path) -> None:
    failures = []
    for compiler in find_compilers():
        try:
            with open_replacement(target, mode=_LIBRARY_MODE) as output:
                _run_compiler([*compiler, *_FLAGS, str(source), "-o", str(output), "-lm"])
        except (_CompilerError, subprocess.TimeoutExpired) as error:
            failures.append(f"{' '.join(compiler)}: {error}")
        else:
            return
    if failures:
        raise KernelError("The CPU kernel could not be compiled: " + "; ".join(failures) + ".")
    raise KernelError("No C compiler was found.", hint='Run: pip install "langchain-gptoss[cpu]".')


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
