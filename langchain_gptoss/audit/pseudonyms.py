"""Pseudonyms for users and sessions: they do not reveal the name, and are the same in every record of a log."""

import hmac
import os
import secrets
import tempfile
from pathlib import Path

from langchain_gptoss._io import create_private_folder
from langchain_gptoss.audit import files
from langchain_gptoss.audit.line_format import load_key
from langchain_gptoss.errors import StorageError

PSEUDONYM_DIGITS = 24  # 96 bits: two users do not get the same one by chance
MIN_OWN_KEY_BYTES = 32


class Pseudonymizer:
    """Makes pseudonyms with a secret key, by HMAC: without the key a list of users cannot be tried out.

    Args:
        log: The log. The file `<log>.pseudonyms` beside it contains a random key, created on first use if none is
            given.
        key: A key, or a file that contains it. Logs with the same key have the same pseudonyms.

    Raises:
        InvalidInputError: The given key is too short.
        StorageError: The key file cannot be read.
    """

    def __init__(self, log: Path, key: bytes | Path | None = None) -> None:
        self._path = files.get_companion_path(log, "pseudonyms")
        self._key = None if key is None else load_key(key)

    def pseudonymize(self, kind: str, name: str) -> str:
        """Return the pseudonym of a name.

        Args:
            kind: The kind of name, such as `"user"`; one name has different pseudonyms for different kinds.
            name: The name.

        Raises:
            StorageError: The key cannot be read or created.
        """
        if self._key is None:
            self._key = self._load_own_key()
        message = f"{kind}\0{name}".encode("utf-8", "replace")
        return f"{kind}-{hmac.digest(self._key, message, 'sha256').hex()[:PSEUDONYM_DIGITS]}"

    def _load_own_key(self) -> bytes:
        try:
            if not self._path.exists():
                self._create_own_key()
            key = self._path.read_bytes().strip()
        except OSError as error:
            raise StorageError(
                f"The key of the pseudonyms, {str(self._path)!r}, cannot be read or created: "
                f"{(error.strerror or str(error)).lower()}.",
                hint="Allow writing there, or give pseudonym_key=.",
            ) from error
        if len(key) < MIN_OWN_KEY_BYTES:
            raise StorageError(
                f"The key of the pseudonyms, {str(self._path)!r}, is damaged.",
                hint="Restore it from a copy, or remove it: users then get new pseudonyms.",
            )
        return key

    def _create_own_key(self) -> None:
        """Create the key file in one step. If another process is faster, its key is kept."""
        # Not `_io.write_atomically`, which would replace the key that the other process already uses.
        create_private_folder(self._path.parent)
        descriptor, name = tempfile.mkstemp(prefix=f".{self._path.name}-", dir=self._path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_hex(MIN_OWN_KEY_BYTES).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(name, self._path)
            except FileExistsError:
                pass
            except OSError:  # a file system without hard links
                if not self._path.exists():
                    Path(name).replace(self._path)
        finally:
            Path(name).unlink(missing_ok=True)
