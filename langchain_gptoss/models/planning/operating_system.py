"""What the operating system tells about processors and memory; cgroup limits, which containers set, are respected.

Functions that parse take text; those that read take the root folder under which `proc` and `sys` lie. What cannot be
read is 0, an empty text, or None, never an error.
"""

import ctypes
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

Simd = Literal["avx512-vnni", "avx2", "neon", "none"]

_ROOT = Path("/")
_UNLIMITED = 2**60  # cgroup v1 writes a number near 2**63 for "no limit"


def read_text(file: Path) -> str:
    """Returns a file's text, or `""` if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def sysctl(name: str) -> str:
    """Returns a value of macOS's `sysctl`, or `""`."""
    return _printed("sysctl", "-n", name)


def _printed(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def parse_simd(flags: str) -> Simd:
    """Returns the best vector instructions that this package's kernels have a use for.

    Args:
        flags: The flags of `/proc/cpuinfo` (x86 or ARM), or macOS's `machdep.cpu` features; case does not matter.
    """
    known = set(flags.lower().replace("avx512vnni", "avx512_vnni").split())
    if {"avx512_vnni", "avx512f", "avx512bw", "avx512vl"} <= known:
        return "avx512-vnni"
    if {"avx2", "fma"} <= known:
        return "avx2"
    return "neon" if known & {"asimd", "neon"} else "none"


def parse_fast_bfloat16(flags: str) -> bool:
    """Returns whether the flags of `/proc/cpuinfo` name instructions that multiply bfloat16 numbers."""
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags.lower().split()))


def cpu_flags(root: Path = _ROOT) -> str:
    """Returns the processor's features, as the system names them."""
    if sys.platform == "darwin":
        if platform.machine() == "arm64":
            return "asimd"
        return f"{sysctl('machdep.cpu.features')} {sysctl('machdep.cpu.leaf7_features')}"
    if sys.platform == "win32":
        return _windows_flags()
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", read_text(root / "proc/cpuinfo"), re.MULTILINE)
    return found[1] if found else ""


def cpu_name(root: Path = _ROOT) -> str:
    """Returns the processor's name, or its architecture where no name is told."""
    if sys.platform == "darwin":
        name = sysctl("machdep.cpu.brand_string")
    elif sys.platform == "win32":
        name = platform.processor()
    else:
        found = re.search(r"^model name\s*:(.*)$", read_text(root / "proc/cpuinfo"), re.MULTILINE)
        name = found[1].strip() if found else ""
    return name or platform.machine() or "unknown"


def physical_cores(root: Path = _ROOT) -> int:
    """Returns the machine's cores; two threads of one core count once."""
    logical = os.cpu_count() or 1
    if sys.platform == "darwin":
        told = sysctl("hw.physicalcpu")
        return int(told) if told.isdigit() else logical
    if sys.platform == "win32":
        return _windows_cores() or logical
    return parse_physical_cores(read_text(root / "proc/cpuinfo")) or logical


def parse_physical_cores(cpuinfo: str) -> int:
    """Returns the number of distinct cores in `/proc/cpuinfo`; 0 where it does not tell them apart (ARM)."""
    cores = set()
    for processor in cpuinfo.split("\n\n"):
        fields = dict(re.findall(r"^(physical id|core id)\s*:\s*(\d+)", processor, re.MULTILINE))
        if "core id" in fields:
            cores.add((fields.get("physical id", "0"), fields["core id"]))
    return len(cores)


def usable_cores(root: Path = _ROOT) -> int:
    """Returns the processors that this process may use: its affinity, and its cgroup's quota of processor time."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = min(_quotas(root), default=float(allowed))
    return max(1, min(allowed, round(quota)))


def _quotas(root: Path) -> Iterator[float]:
    for folder in _cgroup_folders(root, "cpu"):
        told = read_text(folder / "cpu.max").split()  # v2: "150000 100000" or "max 100000"
        told = told or (read_text(folder / "cpu.cfs_quota_us") + " " + read_text(folder / "cpu.cfs_period_us")).split()
        if len(told) == 2 and told[0].isdigit() and told[1].isdigit() and int(told[1]) > 0:
            yield int(told[0]) / int(told[1])


def memory(root: Path = _ROOT) -> tuple[int, int]:
    """Returns total and free memory in bytes; (0, 0) where the system does not tell.

    Free is what can be had without swapping: caches of files count as free.
    """
    if sys.platform == "darwin":
        total = sysctl("hw.memsize")
        return (int(total), parse_vm_stat(_printed("vm_stat"))) if total.isdigit() else (0, 0)
    if sys.platform == "win32":
        return _windows_memory()
    meminfo = parse_meminfo(read_text(root / "proc/meminfo"))
    total, free = meminfo.get("MemTotal", 0), meminfo.get("MemAvailable", meminfo.get("MemFree", 0))
    for limit, left in _memory_limits(root):
        total, free = min(total or limit, limit), min(free, left) if total else left
    return total, max(0, free)


def parse_meminfo(text: str) -> Mapping[str, int]:
    """Returns `/proc/meminfo` as bytes by name."""
    return {name: int(value) * 1024 for name, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}


def parse_vm_stat(text: str) -> int:
    """Returns the bytes that macOS's `vm_stat` reports as free or as caches that can be dropped."""
    page = re.search(r"page size of (\d+) bytes", text)
    pages = dict(re.findall(r"^Pages (free|inactive|speculative):\s+(\d+)", text, re.MULTILINE))
    return sum(map(int, pages.values())) * (int(page[1]) if page else 4096)


def _memory_limits(root: Path) -> Iterator[tuple[int, int]]:
    """Yields limit and what is left of it for every group that this process is in."""
    for folder in _cgroup_folders(root, "memory"):
        limit, used = read_text(folder / "memory.max").strip(), read_text(folder / "memory.current").strip()
        if not limit:
            limit = read_text(folder / "memory.limit_in_bytes").strip()
            used = read_text(folder / "memory.usage_in_bytes").strip()
        if limit.isdigit() and used.isdigit() and int(limit) < _UNLIMITED:
            yield int(limit), int(limit) - int(used) + parse_file_cache(read_text(folder / "memory.stat"))


def parse_file_cache(stat: str) -> int:
    """Returns the bytes of a cgroup's `memory.stat` that are caches of files, which are dropped when needed.

    Version 1 counts subgroups in `total_...` only; version 2 has no such names and counts them always.
    """
    found = re.findall(r"^((?:total_)?(?:in)?active_file) (\d+)$", stat, re.MULTILINE)
    numbers = {name: int(value) for name, value in found}
    return sum(numbers.get(f"total_{name}", numbers.get(name, 0)) for name in ("active_file", "inactive_file"))


def _cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """Yields the folders of this process's cgroup and of those around it, for version 2 and version 1."""
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / (controller if controllers else "")
        place = mount / path.lstrip("/")
        # In a container the path may be the host's, and then only the mount itself is there.
        for folder in (place, *place.parents):
            if folder.is_relative_to(mount) and folder.is_dir():
                yield folder


def _windows_flags() -> str:
    try:
        present = ctypes.WinDLL("kernel32").IsProcessorFeaturePresent  # type: ignore[attr-defined,unused-ignore]
        # winnt.h: 19 is ARM NEON, 40 is AVX2; every processor with AVX2 has FMA. VNNI has no number.
        return f"{'neon ' if present(19) else ''}{'avx2 fma' if present(40) else ''}"
    except (OSError, AttributeError):
        return ""


def _windows_cores() -> int:
    try:
        tell = ctypes.WinDLL("kernel32").GetLogicalProcessorInformation  # type: ignore[attr-defined,unused-ignore]
        length = ctypes.c_uint32(0)
        tell(None, ctypes.byref(length))
        buffer = ctypes.create_string_buffer(length.value)
        if not tell(buffer, ctypes.byref(length)):
            return 0
    except (OSError, AttributeError):
        return 0
    word = ctypes.sizeof(ctypes.c_void_p)
    entry = word * 2 + 16  # a mask, a relationship padded to a word, a union of 16 bytes
    kinds = (buffer.raw[at + word : at + word + 4] for at in range(0, length.value, entry))
    return sum(kind == b"\0\0\0\0" for kind in kinds)  # RelationProcessorCore


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of sysinfoapi.h."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("free", ctypes.c_uint64),
        ("rest", ctypes.c_uint64 * 5),
    )


def _windows_memory() -> tuple[int, int]:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    try:
        kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
        done = kernel.GlobalMemoryStatusEx(ctypes.byref(status))
    except (OSError, AttributeError):
        return 0, 0
    return (status.total, status.free) if done else (0, 0)
