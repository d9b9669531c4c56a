"""Layout of the hub's cache: where it stores a repository's files, by name and by checksum.

Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

import os
from dataclasses import dataclass
from pathlib import Path

PARTIAL_SUFFIX = ".gptoss.incomplete"


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file of a repository on the hub.

    Attributes:
        name: File name; only files at the top of the repository are fetched.
        size_bytes: Size of the file.
        checksum: SHA-256 if the hub stores it as a large file, otherwise the id that Git gives to its content.
    """

    name: str
    size_bytes: int
    checksum: str


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One commit of a repository and its paths in the hub's cache.

    Attributes:
        repository: Hub id, `organisation/name`.
        commit: The commit.
        files: The files that this package needs.
        storage: The repository's folder in the cache.
    """

    repository: str
    commit: str
    files: tuple[RemoteFile, ...]
    storage: Path

    @property
    def folder(self) -> Path:
        """Folder that contains all files of the commit under their names."""
        return self.storage / "snapshots" / self.commit

    @property
    def total_bytes(self) -> int:
        """Size of all files."""
        return sum(file.size_bytes for file in self.files)

    def get_path(self, file: RemoteFile) -> Path:
        """Return the path of a file under its name; usually a link to its blob."""
        return self.folder / file.name

    def get_blob_path(self, file: RemoteFile) -> Path:
        """Return the path of a file's content, which is named by its checksum."""
        return self.storage / "blobs" / file.checksum

    def get_partial_path(self, file: RemoteFile) -> Path:
        """Return the path where a file's content is collected until it is complete."""
        return self.storage / "blobs" / f"{file.checksum}{PARTIAL_SUFFIX}"

    def count_present_bytes(self) -> int:
        """Return how many bytes of all files are in the cache."""
        return sum(self._count_file_bytes(file) for file in self.files)

    def count_missing_bytes(self) -> int:
        """Return how many bytes of all files are not in the cache."""
        return self.total_bytes - self.count_present_bytes()

    def _count_file_bytes(self, file: RemoteFile) -> int:
        for path in (self.get_path(file), self.get_blob_path(file), self.get_partial_path(file)):
            if path.exists():
                return min(path.stat().st_size, file.size_bytes)
        return 0

    def remove_file(self, file: RemoteFile) -> None:
        """Remove a file from the cache."""
        path = self.get_path(file)
        if path.is_symlink():
            # A mirror may use other blob names than the hub, and a user may have linked to their own files, which stay.
            target = Path(os.path.normpath(path.parent / path.readlink()))
            if target.parent == self.get_blob_path(file).parent:
                target.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        self.get_blob_path(file).unlink(missing_ok=True)
