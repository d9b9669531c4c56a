"""Names for users and sessions that say nothing of who they are, and are the same in every record of a log."""

import hmac
import os
import secrets
import tempfile
from pathlib import Path

from langchain_gptoss.audit import files
from langchain_gptoss.audit.line_format import load_key
from langchain_gptoss.errors import StorageError

_DIGITS = 24  # 96 bits: two users do not meet by chance


class Pseudonyms:
    """Makes pseudonyms with a key: an HMAC, which without the key cannot be tried out on a list of users.

    Args:
        log: Beside it stands `<log>.pseudonyms`, a random key, made when it is needed and none is given.
        key: A key, or a file that holds one; several logs with the same key give the same pseudonyms.
    """

    def __init__(self, log: Path, key: bytes | Path | None = None) -> None:
        """Reads the key that is given; one of its own is made on first use."""
        self._file = files.beside(log, "pseudonyms")
        self._key = None if key is None else load_key(key)

    def of(self, kind: str, name: str) -> str:
        """Returns the pseudonym of a name.

        Args:
            kind: What is named, such as `"user"`; the same name of another kind has another pseudonym.
            name: The name.

        Raises:
            StorageError: The key cannot be read or made.
        """
        if self._key is None:
            self._key = self._own_key()
        message = f"{kind}\0{name}".encode("utf-8", "replace")
        return f"{kind}-{hmac.digest(self._key, message, 'sha256').hex()[:_DIGITS]}"

    def _own_key(self) -> bytes:
        try:
            if not self._file.exists():
                self._make()
            key = self._file.read_bytes().strip()
        except OSError as error:
            raise StorageError(
                f"The key of the pseudonyms, {str(self._file)!r}, cannot be read or made: "
                f"{(error.strerror or str(error)).lower()}. Allow it, or give pseudonym_key=."
            ) from error
        if len(key) < 32:
            raise StorageError(
                f"The key of the pseudonyms, {str(self._file)!r}, is damaged. Restore it from a copy, or remove it: "
                "users then have new pseudonyms."
            )
        return key

    def _make(self) -> None:
        """Makes the key appear whole; where another process is quicker, its key is kept."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(prefix=f".{self._file.name}-", dir=self._file.parent)
        try:
            files.write_all(fd, secrets.token_hex(32).encode() + b"\n")
            os.fsync(fd)
            os.close(fd)
            try:
                os.link(name, self._file)
            except FileExistsError:
                pass
            except OSError:  # a file system without hard links
                if not self._file.exists():
                    Path(name).replace(self._file)
        finally:
            Path(name).unlink(missing_ok=True)
