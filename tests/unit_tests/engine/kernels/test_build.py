"""The build of the CPU kernel. Only the thorough run compiles the real source here; a tiny file is enough otherwise."""

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from langchain_gptoss._process import build_python_command
from langchain_gptoss.engine.kernels import build
from langchain_gptoss.engine.kernels.build import build_kernel, find_compilers
from langchain_gptoss.engine.kernels.native import LEVELS, Kernel
from langchain_gptoss.errors import KernelError

from tests import IS_THOROUGH  # isort: skip

FAILING_COMPILER = [sys.executable, "-c", "import sys; sys.exit('no such target')"]


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and a source that compiles in no time."""
    monkeypatch.setenv("GPTOSS_HOME", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    source = tmp_path / "src"
    source.mkdir()
    (source / "kernel.c").write_text("int gptoss_nothing(void) { return 0; }\n")
    monkeypatch.setattr(build, "_SOURCE", source)
    return tmp_path


def require_compiler() -> list[list[str]]:
    commands = find_compilers()
    if not commands:
        pytest.skip("this machine has no C compiler")
    return commands


def test_kernel_is_compiled_once(empty_home, monkeypatch):
    require_compiler()
    library = build_kernel()
    monkeypatch.setattr(build, "find_compilers", list)
    assert build_kernel() == library
    assert {file.suffix for file in library.parent.iterdir() if not file.name.startswith(".")} == {".so", ".json"}


def test_changed_source_is_compiled_again(empty_home):
    require_compiler()
    library = build_kernel()
    (build._SOURCE / "kernel.c").write_text("int gptoss_more(void) { return 1; }\n")
    assert build_kernel() != library


def test_error_without_a_compiler_names_the_extra(empty_home, monkeypatch):
    monkeypatch.setattr(build, "find_compilers", list)
    with pytest.raises(KernelError, match=r"No C compiler was found.*pip install \"langchain-gptoss\[cpu\]\""):
        build_kernel()


def test_failing_compiler_is_quoted_and_leaves_no_file(empty_home, monkeypatch):
    monkeypatch.setattr(build, "find_compilers", lambda: [FAILING_COMPILER, [str(empty_home / "missing")]])
    with pytest.raises(KernelError, match=r"could not be compiled: .*no such target.*No such file"):
        build_kernel()
    assert not [file for file in (empty_home / "kernels").iterdir() if file.suffix != ".lock"]


def test_next_compiler_is_tried_after_a_failure(empty_home, monkeypatch):
    working = require_compiler()
    monkeypatch.setattr(build, "find_compilers", lambda: [FAILING_COMPILER, *working])
    assert build_kernel().is_file()


def test_unwritable_cache_folder_is_a_kernel_error(empty_home, monkeypatch):
    monkeypatch.setenv("GPTOSS_HOME", str(build._SOURCE / "kernel.c"))  # a file, so no folder can be made below it
    with pytest.raises(KernelError, match="Cannot write to"):
        build_kernel()


def test_windows_has_no_kernel(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(KernelError, match="Use the Windows Subsystem for Linux"):
        build_kernel()


def test_compiler_from_the_environment_comes_first(monkeypatch):
    monkeypatch.setenv("CC", f"{sys.executable} -x")
    assert find_compilers()[0] == [sys.executable, "-x"]


@pytest.mark.skipif(not IS_THOROUGH, reason="zig takes 12 s; make test_thorough runs it")
def test_zig_compiles_the_kernel(tmp_path, monkeypatch):
    pytest.importorskip("ziglang")
    monkeypatch.setenv("GPTOSS_HOME", str(tmp_path))
    monkeypatch.setattr(build, "find_compilers", lambda: [build_python_command("ziglang", "cc")])
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(tmp_path / "zig"))
    assert Kernel(build_kernel()).level in LEVELS


def read_record(library: Path) -> dict[str, object]:
    return json.loads(library.with_suffix(".json").read_text())


def test_record_binds_the_library_to_source_compiler_and_flags(empty_home):
    compiler = require_compiler()[0][0]
    library = build_kernel()
    record = read_record(library)
    assert record["sha256"] == hashlib.sha256(library.read_bytes()).hexdigest()
    assert record["flags"] == list(build._FLAGS)
    assert record["compiler"] == compiler
    assert library.stem == f"experts-{record['source'][:16]}"


def alter_record(library: Path, **changes: object) -> None:
    library.with_suffix(".json").write_text(json.dumps(read_record(library) | changes))


ALTERATIONS = {
    "a bit": lambda library: library.write_bytes(library.read_bytes()[:-1] + b"!"),
    "another library": lambda library: library.write_bytes(b"evil"),
    "truncated": lambda library: library.write_bytes(library.read_bytes()[:100]),
    "a link": lambda library: (library.unlink(), library.symlink_to("/etc/hostname")),
    "no record": lambda library: library.with_suffix(".json").unlink(),
    "a record that is no JSON": lambda library: library.with_suffix(".json").write_text("x"),
    "a record that is a list": lambda library: library.with_suffix(".json").write_text("[]"),
    "a record of another library": lambda library: alter_record(library, sha256="0" * 64),
    "a record of other flags": lambda library: alter_record(library, flags=["-O0"]),
    "a record of another source": lambda library: alter_record(library, source="0" * 64),
    "a library that others may write": lambda library: library.chmod(0o666),
    "a record that others may write": lambda library: library.with_suffix(".json").chmod(0o646),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_a_library_that_is_not_as_compiled_is_compiled_again(empty_home, name):
    require_compiler()
    library = build_kernel()
    ALTERATIONS[name](library)
    assert build_kernel() == library
    assert read_record(library)["sha256"] == hashlib.sha256(library.read_bytes()).hexdigest()
    assert read_record(library)["flags"] == list(build._FLAGS)
    assert library.stat().st_size > 1000
    assert not library.is_symlink()
    assert not library.stat().st_mode & 0o022


@pytest.mark.parametrize("place", [".", "kernels"])
@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_a_folder_that_others_may_write_is_not_used(empty_home, place, mode, caplog):
    require_compiler()
    planted = build_kernel()
    (empty_home / place).chmod(mode)
    library = build_kernel()
    assert not library.is_relative_to(empty_home)
    assert library.parent.stat().st_mode & 0o777 == 0o700
    assert "can be written by other accounts" in caplog.text
    assert planted.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_library_of_another_account_is_not_used(empty_home):
    require_compiler()
    library = build_kernel()
    os.chown(library, 12345, -1)
    assert build_kernel().stat().st_uid == 0
    os.chown(library.parent, 12345, -1)
    assert not build_kernel().is_relative_to(empty_home)


def test_without_a_compiler_an_unsafe_library_is_refused(empty_home, monkeypatch):
    require_compiler()
    build_kernel()
    (empty_home / "kernels").chmod(0o777)
    monkeypatch.setattr(build, "find_compilers", list)
    with pytest.raises(KernelError, match="No C compiler was found"):
        build_kernel()
