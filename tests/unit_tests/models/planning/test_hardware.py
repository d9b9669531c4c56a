"""Reading the machine: what the system writes is parsed, limits of containers count, and nothing of it fails."""

import sys
from pathlib import Path

import pytest

from langchain_gptoss.models.planning import hardware
from langchain_gptoss.models.planning import operating_system as machine
from langchain_gptoss.models.planning.hardware import Hardware, find_gpu_bandwidth, measure_bandwidth, probe_hardware

EPYC = "fpu sse2 fma avx2 avx512f avx512bw avx512vl avx512_bf16 avx512_vnni"


@pytest.mark.parametrize(
    ("flags", "simd"),
    [
        (EPYC, "avx512-vnni"),
        ("fpu sse2 fma avx2", "avx2"),
        ("fpu sse2 avx2", "none"),  # the kernel fuses products and sums
        ("fma avx2 avx512_vnni", "avx2"),  # VNNI alone is not enough
        ("fma avx2 avx_vnni", "avx2"),
        ("FPU FMA AVX2 AVX512F AVX512BW AVX512VL AVX512VNNI", "avx512-vnni"),  # as macOS writes them
        ("fp asimd evtstrm aes", "neon"),
        ("", "none"),
    ],
)
def test_simd(flags, simd):
    assert machine.parse_simd(flags) == simd


@pytest.mark.parametrize(
    ("flags", "fast"), [(EPYC, True), ("amx_bf16", True), ("asimd bf16", True), ("fma avx2 avx512f", False)]
)
def test_fast_bfloat16(flags, fast):
    assert machine.parse_fast_bfloat16(flags) is fast


def test_two_threads_of_a_core_count_once():
    processors = [(0, 0), (0, 1), (0, 0), (0, 1), (1, 0), (1, 1)]
    text = "\n\n".join(f"processor : {n}\nphysical id\t: {p}\ncore id\t\t: {c}" for n, (p, c) in enumerate(processors))
    assert machine.parse_physical_cores(text) == 4
    assert machine.parse_physical_cores("processor : 0\nFeatures : asimd") == 0


def test_vm_stat():
    text = (
        "Mach Virtual Memory Statistics: (page size of 16384 bytes)\n"
        "Pages free:                     1000.\nPages active: 5000.\nPages inactive: 300.\nPages speculative: 20.\n"
    )
    assert machine.parse_vm_stat(text) == 1320 * 16384
    assert machine.parse_vm_stat("") == 0


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and cgroups")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine of 32 GB, of which 20 GB are free, with no limits."""
    write(tmp_path / "proc/meminfo", "MemTotal: 32000000 kB\nMemFree: 1000000 kB\nMemAvailable: 20000000 kB\n")
    write(tmp_path / "proc/cpuinfo", f"model name\t: AMD EPYC 9000\nflags\t\t: {EPYC}\n")
    write(tmp_path / "proc/self/cgroup", "0::/user/job\n")
    (tmp_path / "sys/fs/cgroup/user/job").mkdir(parents=True)
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@linux
def test_memory_without_limits(root):
    assert machine.read_memory(root) == (32_768_000_000, 20_480_000_000)
    assert machine.read_cpu_name(root) == "AMD EPYC 9000"
    assert machine.read_cpu_flags(root).split() == EPYC.split()


@linux
@pytest.mark.parametrize("group", ["user/job", "user", ""])
def test_a_limit_of_cgroup_version_2_anywhere_above(root, group):
    folder = root / "sys/fs/cgroup" / group
    write(folder / "memory.max", "16000000000\n")
    write(folder / "memory.current", "9000000000\n")
    write(folder / "memory.stat", "anon 4000000000\nactive_file 1000000000\ninactive_file 2000000000\n")
    assert machine.read_memory(root) == (16_000_000_000, 10_000_000_000)


@linux
def test_a_limit_of_cgroup_version_1(root):
    write(root / "proc/self/cgroup", "9:name=systemd:/\n4:memory:/job\n2:cpu,cpuacct:/job\n0::/\n")
    folder = root / "sys/fs/cgroup/memory/job"
    write(folder / "memory.limit_in_bytes", "16000000000\n")
    write(folder / "memory.usage_in_bytes", "9000000000\n")
    write(folder / "memory.stat", "inactive_file 5\ntotal_inactive_file 500000000\ntotal_active_file 500000000\n")
    write(root / "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    write(root / "sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n")
    assert machine.read_memory(root) == (16_000_000_000, 8_000_000_000)


@linux
def test_a_limit_where_the_path_is_the_hosts(root):
    write(root / "proc/self/cgroup", "0::/docker/0123abcd\n")
    write(root / "sys/fs/cgroup/memory.max", "8000000000\n")
    write(root / "sys/fs/cgroup/memory.current", "9000000000\n")
    assert machine.read_memory(root) == (8_000_000_000, 0)


@linux
def test_a_limit_of_none_is_none(root):
    write(root / "sys/fs/cgroup/memory.max", "max\n")
    write(root / "sys/fs/cgroup/memory.current", "9000000000\n")
    write(root / "sys/fs/cgroup/cpu.max", "max 100000\n")
    assert machine.read_memory(root)[0] == 32_768_000_000
    assert machine.count_usable_cores(root) == machine.count_usable_cores(root / "nothing")


@linux
@pytest.mark.parametrize(
    ("affinity", "quota", "cores"),
    [(8, "max 100000", 8), (8, "300000 100000", 3), (8, "50000 100000", 1), (2, "1600000 100000", 2)],
)
def test_usable_cores(root, monkeypatch, affinity, quota, cores):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(affinity)))
    write(root / "sys/fs/cgroup/user/cpu.max", quota)
    assert machine.count_usable_cores(root) == cores


@linux
def test_a_quota_of_cgroup_version_1(root, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    write(root / "proc/self/cgroup", "2:cpu,cpuacct:/\n")
    write(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    write(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert machine.count_usable_cores(root) == 8
    write(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n")
    assert machine.count_usable_cores(root) == 4


@linux
def test_a_system_that_tells_nothing(tmp_path):
    assert machine.read_memory(tmp_path) == (0, 0)
    assert machine.read_cpu_name(tmp_path)
    assert machine.read_cpu_flags(tmp_path) == ""
    assert machine.count_physical_cores(tmp_path) >= 1
    assert machine.count_usable_cores(tmp_path) >= 1


def test_probing_this_machine():
    found = probe_hardware(cpu_kernel="avx2", cpu_kernel_reason="for this test")
    assert found.ram_total > found.ram_free > 100_000_000
    assert 1 <= found.threads <= found.usable_cores
    assert 0.5 < found.bandwidth < 5_000
    assert (found.cpu_kernel, found.cpu_kernel_reason) == ("avx2", "for this test")
    assert probe_hardware(measure=False).bandwidth == 0


def test_a_bandwidth_that_cannot_be_measured_is_zero(monkeypatch):
    assert measure_bandwidth(threads=1, size_bytes=10) == 0

    def refused(_: object) -> None:
        raise OSError

    monkeypatch.setattr(hardware.ctypes, "CDLL", refused)
    assert measure_bandwidth(threads=2) == 0


def test_a_broken_torch_is_no_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    found = probe_hardware(measure=False)
    assert found.gpus == ()
    assert not found.mps


def test_gpus_are_read_and_a_lost_one_is_left_out(monkeypatch):
    class Cuda:
        is_available = staticmethod(lambda: True)
        device_count = staticmethod(lambda: 2)
        get_device_name = staticmethod(lambda _: "NVIDIA GeForce RTX 4090")
        get_device_capability = staticmethod(lambda _: (8, 9))

        @staticmethod
        def mem_get_info(index: int) -> tuple[int, int]:
            if index == 0:
                raise RuntimeError("GPU is lost")
            return 23_000_000_000, 24_000_000_000

    monkeypatch.setitem(sys.modules, "torch", type("torch", (), {"cuda": Cuda}))
    (gpu,) = probe_hardware(measure=False).gpus
    assert (gpu.index, gpu.free_bytes, gpu.total_bytes) == (1, 23_000_000_000, 24_000_000_000)
    assert (gpu.capability, gpu.bandwidth) == ((8, 9), 1008)


def test_the_bandwidth_of_a_gpu_by_its_name():
    assert find_gpu_bandwidth("NVIDIA H100 80GB HBM3") == 3350
    assert find_gpu_bandwidth("NVIDIA H100 PCIe") == 2000
    assert find_gpu_bandwidth("NVIDIA L40S") == 864
    assert 0 < find_gpu_bandwidth("A GPU of next year") < 1000


def test_threads_are_cores():
    found = Hardware(
        system="",
        cpu="",
        physical_cores=8,
        usable_cores=16,
        simd="none",
        fast_bfloat16=False,
        ram_total=0,
        ram_free=0,
    )
    assert found.threads == 8
