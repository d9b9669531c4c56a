"""Checks of what a hub says about a repository: each value that becomes a path, a size or an offset.

A hub may be a mirror that somebody else runs. A commit such as `../../x`, a checksum with a slash or a name with a
backslash would lead out of the cache, where files are written, linked and deleted.
"""

import re
from collections.abc import Iterable
from typing import Any

from langchain_gptoss.errors import DownloadError
from langchain_gptoss.models.download.hub_cache import RemoteFile

MAX_FILE_BYTES = 50_000_000_000
"""Size of the largest file that is fetched; the hub serves larger ones only through a protocol of its own client."""

_MAX_NAME_BYTES = 200  # file systems allow 255; the suffix of an incomplete file comes on top
_MAX_QUOTE = 60
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_ID = re.compile(r"[0-9a-f]{40}")
_NOT_IN_NAMES = re.compile(r'[/\\:*?"<>|]')  # separators of any system, drives, streams and wildcards of Windows
_HINT = "Check the hub or mirror (HF_ENDPOINT). If it is the right one, report this to those who run it."


def check_commit(repository: str, commit: Any) -> str:
    """Return the id of a commit, 40 hexadecimal digits.

    Raises:
        DownloadError: It is something else.
    """
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise _create_error(repository, "commit", commit)
    return commit


def check_files(repository: str, siblings: Iterable[Any]) -> tuple[RemoteFile, ...]:
    """Return the files of a repository.

    Args:
        repository: Hub id, for errors.
        siblings: Descriptions of the files as `huggingface_hub` returns them.

    Raises:
        DownloadError: A name, a size or a checksum cannot be what it should be, or two files have the same name.
    """
    files = tuple(_check_file(repository, sibling) for sibling in siblings)
    names = [file.name.casefold() for file in files]  # some file systems do not distinguish capitals
    if len(set(names)) < len(names):
        duplicate = next(name for name in names if names.count(name) > 1)
        raise _create_error(repository, "second file of the same name", duplicate)
    return files


def _check_file(repository: str, sibling: Any) -> RemoteFile:
    name = check_file_name(repository, sibling.rfilename)
    size_bytes = sibling.size
    if isinstance(size_bytes, bool) or not isinstance(size_bytes, int) or size_bytes < 0:
        raise _create_error(repository, f"size of {name}", size_bytes)
    if size_bytes > MAX_FILE_BYTES:
        raise DownloadError(
            f"{name!r} of {repository!r} has {size_bytes / 1e9:,.0f} GB, and files up to {MAX_FILE_BYTES / 1e9:.0f} GB "
            "are fetched.",
            hint=f"Fetch it with the hub's own client: hf download {repository}",
        )
    checksum, pattern = (sibling.lfs.sha256, _SHA256) if sibling.lfs else (sibling.blob_id, _GIT_ID)
    if not isinstance(checksum, str) or not pattern.fullmatch(checksum):
        raise _create_error(repository, f"checksum of {name}", checksum)
    return RemoteFile(name=name, size_bytes=size_bytes, checksum=checksum)


def check_file_name(repository: str, name: Any) -> str:
    """Return the name of a file that lies directly in its folder.

    Raises:
        DownloadError: It is no such name.
    """
    is_name = isinstance(name, str) and name.isprintable() and name.strip(". ") != "" and name == name.rstrip(". ")
    if not is_name or _NOT_IN_NAMES.search(name) or len(name.encode("utf-8", "replace")) > _MAX_NAME_BYTES:
        raise _create_error(repository, "file name", name)
    checked: str = name
    return checked


def create_description_error(repository: str) -> DownloadError:
    """Return the error for a description of a repository that cannot be understood."""
    return DownloadError(f"The hub describes {repository!r} in a form that cannot be read.", hint=_HINT)


def _create_error(repository: str, field: str, value: Any) -> DownloadError:
    return DownloadError(
        f"The hub gives {str(value)[:_MAX_QUOTE]!r} as the {field} of {repository!r}, which cannot be; nothing was "
        "fetched.",
        hint=_HINT,
    )
