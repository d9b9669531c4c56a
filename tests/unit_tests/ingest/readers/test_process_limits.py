"""Limits of the processes that parse files."""

import subprocess
import sys

import pytest

from langchain_gptoss.ingest.readers import process_limits
from langchain_gptoss.ingest.readers.process_limits import (
    compute_memory_limit,
    compute_processor_time,
    compute_wall_time,
)
from tests import ROOT

GB = 1 << 30


@pytest.mark.parametrize(
    ("size", "seconds"), [(0, 30), (1_000, 30.03), (1_000_000, 60), (9_000_000, 300), (10**9, 300)]
)
def test_time_grows_with_the_file(size, seconds):
    assert compute_processor_time(size) == pytest.approx(seconds)
    assert compute_wall_time(size) == pytest.approx(3 * seconds)


@pytest.mark.parametrize(
    ("total", "limit"), [(0, 4 * GB), (GB, GB), (4 * GB, 2 * GB), (8 * GB, 4 * GB), (256 * GB, 4 * GB)]
)
def test_memory_follows_the_machine(monkeypatch, total, limit):
    monkeypatch.setattr(process_limits, "read_memory", lambda: (total, 0))
    assert compute_memory_limit() == limit


def run(code: str) -> "subprocess.CompletedProcess[str]":
    code = f"from langchain_gptoss.ingest.readers.process_limits import *\nimport resource\n{code}"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system does not limit it")
def test_memory_is_limited():
    code = "limit_memory(200_000_000)\nbytearray(100_000_000)\nprint('fits', flush=True)\nbytearray(300_000_000)"
    result = run(code)
    assert result.stdout == "fits\n"
    assert "MemoryError" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not limit it")
def test_processor_time_is_limited_anew_for_each_file():
    result = run("limit_processor_time(50)\nlimit_processor_time(1)\nprint('starts', flush=True)\nwhile True: pass")
    assert (result.stdout, result.returncode) == ("starts\n", -24)


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not limit it")
def test_stricter_limits_of_the_user_stay():
    code = "resource.setrlimit(resource.RLIMIT_CPU, (9, 9))\nlimit_processor_time(50)\nlimit_memory(10**9)\n"
    result = run(f"{code}print(resource.getrlimit(resource.RLIMIT_CPU), resource.getrlimit(resource.RLIMIT_CORE)[0])")
    assert result.stdout == "(9, 9) 0\n"
