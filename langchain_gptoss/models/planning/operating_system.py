"""Processors and memory as the operating system reports them, with the cgroup limits that containers set.

Functions that parse take text. Functions that read take the root folder that contains `proc` and `sys`. A value that
cannot be read is 0 or an empty text; no function raises an error.
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

from langchain_gptoss._process import build_environment, find_program, get_working_folder

Simd = Literal["avx512-vnni", "avx2", "neon", "none"]

_ROOT = Path("/")
_UNLIMITED = 2**60  # cgroup v1 writes a number near 2**63 for "no limit"


def read_text(file: Path) -> str:
    """Return a file's text, or `""` if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def read_sysctl(name: str) -> str:
    """Return a value of macOS's `sysctl`, or `""` if it cannot be read."""
    return _run_command("sysctl", "-n", name)


def _run_command(*command: str) -> str:
    program, *arguments = command
    path = find_program(program)
    if path is None:
        return ""
    try:
        completed = subprocess.run(
            [path, *arguments],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
            cwd=get_working_folder(),
            env=build_environment(),
        )
        return completed.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def parse_simd(flags: str) -> Simd:
    """Return the best vector instructions that the kernels of this package use.

    Args:
        flags: The flags of `/proc/cpuinfo` (x86 or Arm) or the features of macOS's `machdep.cpu`, in any case.
    """
    features = set(flags.lower().replace("avx512vnni", "avx512_vnni").split())
    if {"avx512_vnni", "avx512f", "avx512bw", "avx512vl"} <= features:
        return "avx512-vnni"
    if {"avx2", "fma"} <= features:
        return "avx2"
    return "neon" if features & {"asimd", "neon"} else "none"


def parse_fast_bfloat16(flags: str) -> bool:
    """Return True if the flags of `/proc/cpuinfo` name instructions that multiply bfloat16 numbers."""
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags.lower().split()))


def read_cpu_flags(root: Path = _ROOT) -> str:
    """Return the processor's features with the names that the system gives them."""
    if sys.platform == "darwin":
        if platform.machine() == "arm64":
            return "asimd"
        return f"{read_sysctl('machdep.cpu.features')} {read_sysctl('machdep.cpu.leaf7_features')}"
    if sys.platform == "win32":
        return _read_windows_flags()
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", read_text(root / "proc/cpuinfo"), re.MULTILINE)
    return line[1] if line else ""


def read_cpu_name(root: Path = _ROOT) -> str:
    """Return the processor's name, or its architecture if the system reports no name."""
    if sys.platform == "darwin":
        name = read_sysctl("machdep.cpu.brand_string")
    elif sys.platform == "win32":
        name = platform.processor()
    else:
        line = re.search(r"^model name\s*:(.*)$", read_text(root / "proc/cpuinfo"), re.MULTILINE)
        name = line[1].strip() if line else ""
    return name or platform.machine() or "unknown"


def count_physical_cores(root: Path = _ROOT) -> int:
    """Return the number of the machine's cores; two threads of one core count once."""
    logical_cores = os.cpu_count() or 1
    if sys.platform == "darwin":
        cores = read_sysctl("hw.physicalcpu")
        return int(cores) if cores.isdigit() else logical_cores
    if sys.platform == "win32":
        return _count_windows_cores() or logical_cores
    return parse_physical_cores(read_text(root / "proc/cpuinfo")) or logical_cores


def parse_physical_cores(cpuinfo: str) -> int:
    """Return the number of distinct cores in `/proc/cpuinfo`, or 0 if it does not list core ids (Arm)."""
    cores = set()
    for processor in cpuinfo.split("\n\n"):
        fields = dict(re.findall(r"^(physical id|core id)\s*:\s*(\d+)", processor, re.MULTILINE))
        if "core id" in fields:
            cores.add((fields.get("physical id", "0"), fields["core id"]))
    return len(cores)


def count_usable_cores(root: Path = _ROOT) -> int:
    """Return how many processors this process may use, by its affinity and its cgroup's quota of processor time."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = min(_iterate_cpu_quotas(root), default=float(allowed))
    return max(1, min(allowed, round(quota)))


def _iterate_cpu_quotas(root: Path) -> Iterator[float]:
    """Yield the quota, in processors, of each cgroup of this process that has one."""
    for folder in _iterate_cgroup_folders(root, "cpu"):
        fields = read_text(folder / "cpu.max").split()  # version 2: "150000 100000" or "max 100000"
        if not fields:
            fields = [*read_text(folder / "cpu.cfs_quota_us").split(), *read_text(folder / "cpu.cfs_period_us").split()]
        if len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit() and int(fields[1]) > 0:
            yield int(fields[0]) / int(fields[1])


def read_memory(root: Path = _ROOT) -> tuple[int, int]:
    """Return total and free memory in bytes, or (0, 0) if the system does not report them.

    Free memory is the memory that can be used without swapping, so file caches count as free.
    """
    if sys.platform == "darwin":
        total = read_sysctl("hw.memsize")
        return (int(total), parse_vm_stat(_run_command("vm_stat"))) if total.isdigit() else (0, 0)
    if sys.platform == "win32":
        return _read_windows_memory()
    meminfo = parse_meminfo(read_text(root / "proc/meminfo"))
    total, free = meminfo.get("MemTotal", 0), meminfo.get("MemAvailable", meminfo.get("MemFree", 0))
    for limit, remaining in _iterate_memory_limits(root):
        total, free = min(total or limit, limit), min(free, remaining) if total else remaining
    return total, max(0, free)


def parse_meminfo(text: str) -> Mapping[str, int]:
    """Return the values of `/proc/meminfo` in bytes, by name."""
    return {name: int(value) * 1024 for name, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}


def parse_vm_stat(text: str) -> int:
    """Return the bytes that macOS's `vm_stat` reports as free or as caches that can be dropped."""
    page = re.search(r"page size of (\d+) bytes", text)
    pages = dict(re.findall(r"^Pages (free|inactive|speculative):\s+(\d+)", text, re.MULTILINE))
    return sum(map(int, pages.values())) * (int(page[1]) if page else 4096)


def _iterate_memory_limits(root: Path) -> Iterator[tuple[int, int]]:
    """Yield the limit and the remaining bytes of each cgroup of this process that has a limit."""
    for folder in _iterate_cgroup_folders(root, "memory"):
        limit, used = read_text(folder / "memory.max").strip(), read_text(folder / "memory.current").strip()
        if not limit:
            limit = read_text(folder / "memory.limit_in_bytes").strip()
            used = read_text(folder / "memory.usage_in_bytes").strip()
        if limit.isdigit() and used.isdigit() and int(limit) < _UNLIMITED:
            yield int(limit), int(limit) - int(used) + parse_file_cache(read_text(folder / "memory.stat"))


def parse_file_cache(stat: str) -> int:
    """Return the size of the file caches in a cgroup's `memory.stat`, in bytes; the system drops them when needed.

    Version 1 includes subgroups only in the `total_` values; version 2 has no such values and always includes them.
    """
    lines = re.findall(r"^((?:total_)?(?:in)?active_file) (\d+)$", stat, re.MULTILINE)
    numbers = {name: int(value) for name, value in lines}
    return sum(numbers.get(f"total_{name}", numbers.get(name, 0)) for name in ("active_file", "inactive_file"))


def _iterate_cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's cgroup and of its parent cgroups, for version 2 and version 1."""
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / (controller if controllers else "")
        group = mount / path.lstrip("/")
        # In a container the path may be the host's; then only the mount itself exists.
        for folder in (group, *group.parents):
            if folder.is_relative_to(mount) and folder.is_dir():
                yield folder


def _read_windows_flags() -> str:
    try:
        has_feature = ctypes.WinDLL("kernel32").IsProcessorFeaturePresent  # type: ignore[attr-defined,unused-ignore]
        # winnt.h: 19 is Arm NEON, 40 is AVX2; every processor with AVX2 has FMA. VNNI has no number.
        return f"{'neon ' if has_feature(19) else ''}{'avx2 fma' if has_feature(40) else ''}"
    except (OSError, AttributeError):
        return ""


def _count_windows_cores() -> int:
    try:
        get_processor_information = ctypes.WinDLL("kernel32").GetLogicalProcessorInformation  # type: ignore[attr-defined,unused-ignore]
        length = ctypes.c_uint32(0)
        get_processor_information(None, ctypes.byref(length))
        buffer = ctypes.create_string_buffer(length.value)
        if not get_processor_information(buffer, ctypes.byref(length)):
            return 0
    except (OSError, AttributeError):
        return 0
    word = ctypes.sizeof(ctypes.c_void_p)
    entry_bytes = word * 2 + 16  # a mask, a relationship padded to a word, a union of 16 bytes
    relationships = (buffer.raw[start + word : start + word + 4] for start in range(0, length.value, entry_bytes))
    return sum(relationship == b"\0\0\0\0" for relationship in relationships)  # RelationProcessorCore


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of sysinfoapi.h."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("free", ctypes.c_uint64),
        ("rest", ctypes.c_uint64 * 5),
    )


def _read_windows_memory() -> tuple[int, int]:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    try:
        kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
        succeeded = kernel.GlobalMemoryStatusEx(ctypes.byref(status))
    except (OSError, AttributeError):
        return 0, 0
    return (status.total, status.free) if succeeded else (0, 0)
