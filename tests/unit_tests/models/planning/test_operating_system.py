"""Reports of the operating system are parsed, limits of containers count, and missing files are no errors."""

import sys
from pathlib import Path

import pytest

from langchain_gptoss.models.planning import operating_system

EPYC = "fpu sse2 fma avx2 avx512f avx512bw avx512vl avx512_bf16 avx512_vnni"


@pytest.mark.parametrize(
    ("flags", "simd"),
    [
        (EPYC, "avx512-vnni"),
        ("fpu sse2 fma avx2", "avx2"),
        ("fpu sse2 avx2", "none"),  # the kernel needs fused multiply-add
        ("fma avx2 avx512_vnni", "avx2"),  # VNNI alone is not enough
        ("fma avx2 avx_vnni", "avx2"),
        ("FPU FMA AVX2 AVX512F AVX512BW AVX512VL AVX512VNNI", "avx512-vnni"),  # as macOS writes them
        ("fp asimd evtstrm aes", "neon"),
        ("", "none"),
    ],
)
def test_parse_simd(flags, simd):
    assert operating_system.parse_simd(flags) == simd


@pytest.mark.parametrize(
    ("flags", "fast"), [(EPYC, True), ("amx_bf16", True), ("asimd bf16", True), ("fma avx2 avx512f", False)]
)
def test_parse_fast_bfloat16(flags, fast):
    assert operating_system.parse_fast_bfloat16(flags) is fast


def test_threads_of_one_core_count_once():
    processors = [(0, 0), (0, 1), (0, 0), (0, 1), (1, 0), (1, 1)]
    text = "\n\n".join(f"processor : {n}\nphysical id\t: {p}\ncore id\t\t: {c}" for n, (p, c) in enumerate(processors))
    assert operating_system.parse_physical_cores(text) == 4
    assert operating_system.parse_physical_cores("processor : 0\nFeatures : asimd") == 0


def test_parse_vm_stat():
    text = (
        "Mach Virtual Memory Statistics: (page size of 16384 bytes)\n"
        "Pages free:                     1000.\nPages active: 5000.\nPages inactive: 300.\nPages speculative: 20.\n"
    )
    assert operating_system.parse_vm_stat(text) == 1320 * 16384
    assert operating_system.parse_vm_stat("") == 0


reads_linux_files = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and cgroups")


def write_file(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of a machine with 32 GB of memory, 20 GB of it free, without limits."""
    write_file(tmp_path / "proc/meminfo", "MemTotal: 32000000 kB\nMemFree: 1000000 kB\nMemAvailable: 20000000 kB\n")
    write_file(tmp_path / "proc/cpuinfo", f"model name\t: AMD EPYC 9000\nflags\t\t: {EPYC}\n")
    write_file(tmp_path / "proc/self/cgroup", "0::/user/job\n")
    (tmp_path / "sys/fs/cgroup/user/job").mkdir(parents=True)
    return tmp_path


@reads_linux_files
def test_unlimited_memory_is_that_of_the_machine(root):
    assert operating_system.read_memory(root) == (32_768_000_000, 20_480_000_000)
    assert operating_system.read_cpu_name(root) == "AMD EPYC 9000"
    assert operating_system.read_cpu_flags(root).split() == EPYC.split()


@reads_linux_files
@pytest.mark.parametrize("group", ["user/job", "user", ""])
def test_memory_limit_of_any_parent_group_in_cgroup_version_2(root, group):
    folder = root / "sys/fs/cgroup" / group
    write_file(folder / "memory.max", "16000000000\n")
    write_file(folder / "memory.current", "9000000000\n")
    write_file(folder / "memory.stat", "anon 4000000000\nactive_file 1000000000\ninactive_file 2000000000\n")
    assert operating_system.read_memory(root) == (16_000_000_000, 10_000_000_000)


@reads_linux_files
def test_memory_limit_in_cgroup_version_1(root):
    write_file(root / "proc/self/cgroup", "9:name=systemd:/\n4:memory:/job\n2:cpu,cpuacct:/job\n0::/\n")
    folder = root / "sys/fs/cgroup/memory/job"
    write_file(folder / "memory.limit_in_bytes", "16000000000\n")
    write_file(folder / "memory.usage_in_bytes", "9000000000\n")
    write_file(folder / "memory.stat", "inactive_file 5\ntotal_inactive_file 500000000\ntotal_active_file 500000000\n")
    write_file(root / "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    write_file(root / "sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n")
    assert operating_system.read_memory(root) == (16_000_000_000, 8_000_000_000)


@reads_linux_files
def test_memory_limit_in_a_container_with_the_group_path_of_the_host(root):
    write_file(root / "proc/self/cgroup", "0::/docker/0123abcd\n")
    write_file(root / "sys/fs/cgroup/memory.max", "8000000000\n")
    write_file(root / "sys/fs/cgroup/memory.current", "9000000000\n")
    assert operating_system.read_memory(root) == (8_000_000_000, 0)


@reads_linux_files
def test_unlimited_groups_do_not_count(root):
    write_file(root / "sys/fs/cgroup/memory.max", "max\n")
    write_file(root / "sys/fs/cgroup/memory.current", "9000000000\n")
    write_file(root / "sys/fs/cgroup/cpu.max", "max 100000\n")
    assert operating_system.read_memory(root)[0] == 32_768_000_000
    assert operating_system.count_usable_cores(root) == operating_system.count_usable_cores(root / "nothing")


@reads_linux_files
@pytest.mark.parametrize(
    ("affinity", "quota", "cores"),
    [(8, "max 100000", 8), (8, "300000 100000", 3), (8, "50000 100000", 1), (2, "1600000 100000", 2)],
)
def test_count_usable_cores(root, monkeypatch, affinity, quota, cores):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(affinity)))
    write_file(root / "sys/fs/cgroup/user/cpu.max", quota)
    assert operating_system.count_usable_cores(root) == cores


@reads_linux_files
def test_cpu_quota_in_cgroup_version_1(root, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    write_file(root / "proc/self/cgroup", "2:cpu,cpuacct:/\n")
    write_file(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    write_file(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert operating_system.count_usable_cores(root) == 8
    write_file(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n")
    assert operating_system.count_usable_cores(root) == 4


@reads_linux_files
def test_missing_files_raise_no_error(tmp_path):
    assert operating_system.read_memory(tmp_path) == (0, 0)
    assert operating_system.read_cpu_name(tmp_path)
    assert operating_system.read_cpu_flags(tmp_path) == ""
    assert operating_system.count_physical_cores(tmp_path) >= 1
    assert operating_system.count_usable_cores(tmp_path) >= 1


# Other systems: the commands and system calls are replaced.


def use_macos(monkeypatch: pytest.MonkeyPatch, machine: str, **sysctl: str) -> None:
    monkeypatch.setattr(operating_system.sys, "platform", "darwin")
    monkeypatch.setattr(operating_system.platform, "machine", lambda: machine)
    values = {name.replace("__", "."): value for name, value in sysctl.items()}
    outputs = {"vm_stat": "(page size of 16384 bytes)\nPages free: 1000.\n"}

    def run_command(*command: str) -> str:
        return outputs[command[0]] if command[0] in outputs else values.get(command[-1], "")

    monkeypatch.setattr(operating_system, "_run_command", run_command)


def test_macos_values_come_from_sysctl_and_vm_stat(monkeypatch):
    names = {"machdep__cpu__brand_string": "Apple M4", "hw__physicalcpu": "10", "hw__memsize": "16000000000"}
    use_macos(monkeypatch, "arm64", **names)
    assert operating_system.read_cpu_name() == "Apple M4"
    assert operating_system.read_cpu_flags() == "asimd"
    assert operating_system.count_physical_cores() == 10
    assert operating_system.read_memory() == (16_000_000_000, 1000 * 16384)


def test_macos_on_intel_reads_cpu_features(monkeypatch):
    use_macos(monkeypatch, "x86_64", machdep__cpu__features="FMA", machdep__cpu__leaf7_features="AVX2")
    assert operating_system.read_cpu_flags() == "FMA AVX2"
    assert operating_system.read_memory() == (0, 0)
    assert operating_system.count_physical_cores() >= 1


def test_failed_commands_return_an_empty_string():
    assert operating_system._run_command("a-command-that-does-not-exist") == ""


@pytest.mark.skipif(sys.platform == "win32", reason="simulates Windows without its libraries")
def test_windows_without_libraries_has_default_values(monkeypatch):
    monkeypatch.setattr(operating_system.sys, "platform", "win32")
    assert operating_system.read_cpu_flags() == ""
    assert operating_system.read_memory() == (0, 0)
    assert operating_system.count_physical_cores() >= 1
    assert operating_system.read_cpu_name()
