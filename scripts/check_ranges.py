"""Run the unit tests at one end of the declared version ranges.

    python scripts/check_ranges.py lowest          # every direct dependency at its lowest declared version
    python3.13 scripts/check_ranges.py newest      # everything as new as the ranges allow

Run it with the Python version to test, after a change of the ranges and before a release. It installs into an
environment of its own and downloads several gigabytes, because PyTorch comes with CUDA from the package index. Test
tools are always the newest that fit. Warnings are errors, as in all test runs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = ("rag", "demo", "serve", "langserve", "community", "qdrant", "postgres", "eval", "cpu", "agents")
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}


def install(python: Path, end: str, lock: Path) -> None:
    """Install the project at one end of its ranges, then the test tools beside it.

    Args:
        python: The interpreter of the environment.
        end: `"lowest"` or `"newest"`.
        lock: The file that gets the resolved versions.
    """
    subprocess.run([python, "-m", "pip", "install", "--quiet", "uv"], check=True)
    uv = [python, "-m", "uv", "pip"]
    extras = [part for extra in EXTRAS for part in ("--extra", extra)]
    resolve = [*uv, "compile", "--quiet", "pyproject.toml", *extras, "--resolution", RESOLUTIONS[end]]
    subprocess.run([*resolve, "--python", python, "--output-file", lock], cwd=ROOT, check=True)
    add = [*uv, "install", "--quiet", "--python", python]
    subprocess.run([*add, "-r", lock], cwd=ROOT, check=True)
    subprocess.run([*add, "-c", lock, "-e", ".[dev]"], cwd=ROOT, check=True)


def main() -> None:
    """Install, show the resolved versions, and run the tests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("end", choices=sorted(RESOLUTIONS))
    parser.add_argument("--environment", type=Path, help="Keep the environment in this folder and use it again.")
    parser.add_argument("tests", nargs="*", default=["tests/unit_tests"], help="The unit tests by default.")
    options = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.environment or Path(temporary)).absolute()
        python = folder / "bin" / "python"
        if not python.exists():
            venv.create(folder, with_pip=True)
        lock = folder / f"{options.end}.txt"
        install(python, options.end, lock)
        print(lock.read_text(encoding="utf-8"))
        tests = subprocess.run([python, "-m", "pytest", "-q", *options.tests], cwd=ROOT, check=False)
    sys.exit(tests.returncode)


if __name__ == "__main__":
    main()
