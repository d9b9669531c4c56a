"""kill -9 at any point of a synchronisation: the next run ends in what a fresh one would have made."""

import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from langchain_gptoss.ingest import check_index, sync_documents
from tests import ROOT
from tests.unit_tests.ingest.sync_helpers import Hashed, picture

EVERY = {"replace": 3, "fsync": 7}  # of these calls there are many
POINTS = ("put", "remove", "add", "delete", "save", "replace", "fsync")
Run = Callable[..., int]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Returns a function that synchronises in a process of its own, which may be killed, and tells how it ended."""
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
        ):
            asked = {
                "docs": str(docs),
                "place": str(place),
                "point": point,
                "count": count,
                "after": after,
                "seconds": seconds,
            }
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield run
        process.stdin.close()


def quiet_sync(docs: Path, place: Path) -> None:
    sync_documents(docs, place, embeddings=Hashed(), on_progress=lambda _: None)


def write_docs(folder: Path, version: int) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(6):
        path = folder / f"{number}.md"
        if version == 1 or number in (1, 2):
            path.write_text(
                f"# Title {number}\n\n" + "".join(f"## S{i}\n\nv{version} {number} {i}\n\n" for i in range(4))
            )
    if version == 2:
        (folder / "3.md").unlink()
        (folder / "new.md").write_text("new")


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_each_step(tmp_path, run, point):
    """A new index and a changed folder, killed at the first, second, third ... time that the point is passed."""
    docs, place, start = tmp_path / "docs", tmp_path / "index", tmp_path / "start"
    killed = 0
    for version in (1, 2):
        write_docs(docs, version)
        quiet_sync(docs, tmp_path / f"fresh{version}")
        expected = picture(tmp_path / f"fresh{version}")
        for after in (False, True):
            for count in range(1, 200, EVERY.get(point, 1)):
                shutil.rmtree(place, ignore_errors=True)
                if version == 2:
                    shutil.copytree(start, place)
                status = run(docs, place, point, count, after=after)
                if status == 0:
                    break
                assert status == signal.SIGKILL
                killed += 1
                quiet_sync(docs, place)
                assert picture(place) == expected, (version, after, count)
        shutil.copytree(place, start, dirs_exist_ok=True)
    assert killed >= 2
    assert check_index(place, docs, embeddings=Hashed()).differences == ()


def test_killed_again_and_again(tmp_path, run):
    docs, place = tmp_path / "docs", tmp_path / "index"
    write_docs(docs, 1)
    chance = random.Random(7)
    for number in range(20):
        (docs / "1.md").write_text(f"# One\n\n{number}\n\n## Two\n\nsame")
        run(docs, place, seconds=chance.uniform(0, 0.1))
    for point in POINTS:
        run(docs, place, point, 1)
    quiet_sync(docs, place)
    quiet_sync(docs, tmp_path / "fresh")
    assert picture(place) == picture(tmp_path / "fresh")
    assert check_index(place, docs, embeddings=Hashed()).differences == ()
