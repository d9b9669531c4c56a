"""Compiles the CPU kernel on first use, with the compiler that is there, and keeps it in the cache folder.

Looked for in this order: the one that `CC` names, `cc`, `gcc`, `clang`, and `ziglang` (a complete C compiler in a
Python wheel; the extra `cpu` brings it). Without any of them the reference in torch does the work, slower.
"""

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from langchain_gptoss._io import lock_path
from langchain_gptoss.errors import StorageError
from langchain_gptoss.models.download.cache_directory import cache_directory, translate_storage_errors

_FLAGS = ("-O3", "-std=gnu11", "-fPIC", "-shared", "-fno-math-errno", "-fvisibility=hidden", "-Wno-unknown-pragmas")
_LONGEST = 180  # seconds that a compiler may take


class NoKernelError(Exception):
    """The kernel cannot be had; the message is the reason, for people."""


def built_kernel() -> Path:
    """Returns the compiled kernel, compiled now if it was not yet.

    Raises:
        NoKernelError: No compiler, or it fails.
    """
    if sys.platform == "win32":
        raise NoKernelError("there is no CPU kernel for Windows; use the Windows Subsystem for Linux")
    source = Path(str(files("langchain_gptoss") / "engine" / "kernels" / "src"))
    text = b"".join(file.read_bytes() for file in sorted(source.glob("*.[ch]")))
    name = hashlib.sha256(text + repr((_FLAGS, platform.machine(), sys.platform)).encode()).hexdigest()[:16]
    target = cache_directory() / "kernels" / f"experts-{name}.so"
    if target.is_file():
        return target
    try:
        with translate_storage_errors(target.parent), lock_path(target):
            if not target.is_file():
                _compile(source / "kernel.c", target)
    except StorageError as error:
        raise NoKernelError(str(error)) from error
    return target


def compilers() -> list[list[str]]:
    """Returns the commands that may compile C here, the preferred one first."""
    named = os.environ.get("CC", "").split()
    found = [named] if named and shutil.which(named[0]) else []
    found += [[path] for name in ("cc", "gcc", "clang") if (path := shutil.which(name))]
    if importlib.util.find_spec("ziglang"):
        found.append([sys.executable, "-m", "ziglang", "cc"])
    return found


def _compile(source: Path, target: Path) -> None:
    partial = target.with_suffix(f".partial-{os.getpid()}")
    complaints = []
    try:
        for compiler in compilers():
            command = [*compiler, *_FLAGS, str(source), "-o", str(partial), "-lm"]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST, check=False)
            except (OSError, subprocess.TimeoutExpired) as error:
                complaints.append(f"{compiler[0]}: {error}")
                continue
            if done.returncode == 0:
                partial.replace(target)
                return
            complaints.append(f"{' '.join(compiler)}: {(done.stderr.strip().splitlines() or ['failed'])[0][:200]}")
    finally:
        partial.unlink(missing_ok=True)
    if complaints:
        raise NoKernelError("the CPU kernel could not be compiled: " + "; ".join(complaints))
    raise NoKernelError('no C compiler was found; pip install "langchain-gptoss[cpu]" brings one')
