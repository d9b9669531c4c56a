"""Limits of the processes that parse files: processor time, memory and dumps.

They hold for every parser, whatever it is written in: a program in C does not stop at a limit that Python checks. The
operating system ends or refuses what goes beyond them. Windows has none of these limits; there, a file has only the
time that the requesting process measures.
"""

import math
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from langchain_gptoss.models.planning.operating_system import read_memory

_MIN_TIME_S = 30.0
_TIME_PER_MB_S = 30.0
_MAX_TIME_S = 300.0
_WALL_TIME_PER_PROCESSOR_TIME = 3.0  # other programs may use the processors, too
_MAX_MEMORY_BYTES = 4 << 30
_MIN_MEMORY_BYTES = 1 << 30
_FIRST_VICTIM = "1000"  # proc(5), oom_score_adj: this process is ended first if the machine runs out of memory


def compute_processor_time(size_bytes: int) -> float:
    """Return the seconds of processor time that a file of a size may take."""
    return min(_MAX_TIME_S, _MIN_TIME_S + _TIME_PER_MB_S * size_bytes / 1e6)


def compute_wall_time(size_bytes: int) -> float:
    """Return the seconds after which a file of a size is given up."""
    return _WALL_TIME_PER_PROCESSOR_TIME * compute_processor_time(size_bytes)


def compute_memory_limit() -> int:
    """Return the bytes of memory that reading a file may take: 4 GB, or half of the memory of a smaller machine."""
    total, _ = read_memory()
    return max(_MIN_MEMORY_BYTES, min(_MAX_MEMORY_BYTES, total // 2)) if total else _MAX_MEMORY_BYTES


def limit_memory(limit_bytes: int) -> None:
    """Limit the memory that this process takes from now on, and have it leave no dump when it crashes."""
    if sys.platform == "win32":
        return
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower_limit(resource.RLIMIT_AS, _read_address_space() + limit_bytes)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_VICTIM, encoding="ascii")


def limit_processor_time(limit_s: float) -> None:
    """Have the system end this process after some more seconds of processor time."""
    if sys.platform == "win32":
        return
    import resource

    _lower_limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + limit_s))


def _lower_limit(kind: int, value: int) -> None:
    """Set the soft limit of this process; the hard one, which cannot be raised again, stays."""
    assert sys.platform != "win32"
    import resource

    hard = resource.getrlimit(kind)[1]
    with suppress(OSError, ValueError):  # macOS refuses some values
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _read_address_space() -> int:
    """Return the bytes that are mapped already, such as libraries; 0 if the system does not say it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
