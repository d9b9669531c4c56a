"""kill -9 at any point of a synchronization: the next run ends in the same index as a fresh run."""

import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from langchain_gptoss.ingest import check_index
from tests import IS_THOROUGH, ROOT, scale
from tests.unit_tests.ingest.sync_helpers import HashEmbeddings, describe_index, synchronize

POINTS = ("put", "remove", "add", "delete", "save", "replace", "fsync")
Synchronize = Callable[..., int]


@pytest.fixture(scope="module")
def synchronize_and_kill() -> Iterator[Synchronize]:
    """Return a function that synchronizes in a process that may be killed, and returns its exit status."""
    command = [sys.executable, "-m", "tests.unit_tests.ingest.sync.killed_sync"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:

        def run(
            docs: Path,
            place: Path,
            point: str = "",
            count: int = 0,
            *,
            after: bool = False,
            seconds: float | None = None,
        ) -> int:
            options = {"point": point, "count": count, "after": after, "seconds": seconds}
            process.stdin.write(json.dumps({"docs": str(docs), "place": str(place), **options}) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield run
        process.stdin.close()


def choose_counts(point: str) -> Iterable[int]:
    """Return the calls of a function at which the process is killed."""
    if IS_THOROUGH:
        return range(1, 200, {"replace": 3, "fsync": 7}.get(point, 1))
    return (1, 3, 10)


def write_docs(folder: Path, version: int) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(6):
        path = folder / f"{number}.md"
        if version == 1 or number in (1, 2):
            sections = "".join(f"## S{i}\n\nv{version} {number} {i}\n\n" for i in range(4))
            path.write_text(f"# Title {number}\n\n{sections}")
    if version == 2:
        (folder / "3.md").unlink()
        (folder / "new.md").write_text("new")


@pytest.mark.parametrize("point", POINTS)
def test_next_run_completes_a_run_killed_at_each_step(tmp_path, synchronize_and_kill, point):
    """Kill the indexing of a new and of a changed folder at the first, second, third ... call of a function."""
    docs, place, start = tmp_path / "docs", tmp_path / "index", tmp_path / "start"
    kills = 0
    for version in (1, 2):
        write_docs(docs, version)
        synchronize(docs, tmp_path / f"fresh{version}")
        expected = describe_index(tmp_path / f"fresh{version}")
        for after in (False, True) if IS_THOROUGH else (version == 2,):
            for count in choose_counts(point):
                shutil.rmtree(place, ignore_errors=True)
                if version == 2:
                    shutil.copytree(start, place)
                status = synchronize_and_kill(docs, place, point, count, after=after)
                if status == 0:
                    break
                assert status == signal.SIGKILL
                kills += 1
                synchronize(docs, place)
                assert describe_index(place) == expected, (version, after, count)
        shutil.copytree(place, start, dirs_exist_ok=True)
    assert kills >= (2 if IS_THOROUGH else 1)
    assert check_index(place, docs, embeddings=HashEmbeddings()).differences == ()


def test_run_after_many_killed_runs_completes(tmp_path, synchronize_and_kill):
    docs, place = tmp_path / "docs", tmp_path / "index"
    write_docs(docs, 1)
    chance = random.Random(7)
    for number in range(scale(50)):
        (docs / "1.md").write_text(f"# One\n\n{number}\n\n## Two\n\nsame")
        synchronize_and_kill(docs, place, seconds=chance.uniform(0, 0.1))
    for point in POINTS:
        synchronize_and_kill(docs, place, point, 1)
    synchronize(docs, place)
    synchronize(docs, tmp_path / "fresh")
    assert describe_index(place) == describe_index(tmp_path / "fresh")
    assert check_index(place, docs, embeddings=HashEmbeddings()).differences == ()
