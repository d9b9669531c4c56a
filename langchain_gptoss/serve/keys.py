"""API keys in a TOML file, which stores only their hashes, and the callers that own them."""

import hashlib
import json
import re
import secrets
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from langchain_gptoss._io import PRIVATE_MODE, write_atomically
from langchain_gptoss.errors import InvalidInputError, StorageError

_SHA256 = re.compile("[0-9a-fA-F]{64}")
_MAX_NAME_LENGTH = 90  # leaves room for a user's name behind it: sessions allow 200 characters
_FIELDS = {"name", "sha256", "labels", "requests_per_minute", "expires"}


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The client that sends a request.

    Attributes:
        name: Name of the key's owner, or `"anonymous"`.
        labels: Access labels of the documents that the caller may see, in addition to public ones.
        requests_per_minute: Limit on requests; None uses the limit of the server.
        expires: Last day of the key (in UTC), or None.

    Raises:
        InvalidInputError: The name is empty, too long, or contains a slash or a control character. A slash separates
            the caller's name from the name of one of its users.
    """

    name: str
    labels: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    expires: date | None = None

    def __post_init__(self) -> None:
        is_printable = bool(self.name.strip()) and self.name.isprintable()
        if not is_printable or "/" in self.name or len(self.name) > _MAX_NAME_LENGTH:
            raise InvalidInputError(
                f"The caller's name is {self.name[:40]!r}.",
                hint=f"A name has 1 to {_MAX_NAME_LENGTH} characters and no slash or control character.",
            )

    @property
    def is_expired(self) -> bool:
        """True after the key's last day."""
        return self.expires is not None and datetime.now(UTC).date() > self.expires


ANONYMOUS = Caller(name="anonymous")


class Keys:
    """The keys of a server.

    Args:
        callers: The owners of the keys, by the SHA-256 of the key in lower-case hexadecimal digits.
    """

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self._callers = dict(callers)

    @classmethod
    def load(cls, path: str | Path) -> "Keys":
        """Return the keys in a TOML file with one table `[[key]]` for each.

        Raises:
            InvalidInputError: The file is missing or invalid; the message names the key and the field.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"The keys in {path} cannot be read: {error}.") from error
        return cls.parse(text, path)

    @classmethod
    def parse(cls, text: str, path: str | Path) -> "Keys":
        """Return the keys in the text of a file.

        Args:
            text: TOML.
            path: Names the file in error messages.

        Raises:
            InvalidInputError: The text is invalid; the message names the key and the field.
        """
        try:
            entries = tomllib.loads(text).get("key", [])
        except tomllib.TOMLDecodeError as error:
            raise InvalidInputError(f"The keys in {path} cannot be read: {error}.") from error
        if not isinstance(entries, list) or not entries:
            hint = f"Add one with: gptoss keys add NAME --file {path}"
            raise InvalidInputError(f"{path} contains no [[key]].", hint=hint)
        callers: dict[str, Caller] = {}
        for number, entry in enumerate(entries, 1):
            digest, caller = _parse_entry(f"{path}, key {number}", entry)
            if digest in callers or caller.name in {known.name for known in callers.values()}:
                raise InvalidInputError(
                    f"{path}, key {number}: {caller.name!r} or its key is already used.", hint="Choose another name."
                )
            callers[digest] = caller
        return cls(callers)

    def find_caller(self, key: str) -> Caller | None:
        """Return the owner of a key, or None if the key is unknown."""
        # The lookup compares hashes: its duration reveals nothing about the keys.
        return self._callers.get(_hash_key(key))


def _hash_key(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _parse_entry(place: str, entry: Any) -> tuple[str, Caller]:
    """Return the hash and the owner of one key.

    Args:
        place: The file and the number of the key, for error messages.
        entry: The TOML table.
    """

    def check(name: str, is_valid: bool, expected: str) -> None:
        if not is_valid:
            raise InvalidInputError(f"{place}: {name} is {entry.get(name)!r}; it must be {expected}.")

    if not isinstance(entry, Mapping) or (unknown := entry.keys() - _FIELDS):
        names = ", ".join(sorted(unknown)) if isinstance(entry, Mapping) else repr(entry)
        raise InvalidInputError(f"{place}: {names} is unknown; a key has the fields {', '.join(sorted(_FIELDS))}.")
    name, digest, labels = entry.get("name"), entry.get("sha256"), entry.get("labels", [])
    limit, expires = entry.get("requests_per_minute"), entry.get("expires")
    is_digest = isinstance(digest, str) and bool(_SHA256.fullmatch(digest))
    check("name", isinstance(name, str), "a string")
    check("sha256", is_digest, "the 64 hexadecimal digits of the key's SHA-256")
    check("labels", isinstance(labels, list) and all(isinstance(each, str) for each in labels), "a list of strings")
    check("requests_per_minute", limit is None or (type(limit) is int and limit > 0), "a number above 0")
    check("expires", expires is None or type(expires) is date, "a date such as 2027-01-31")
    try:
        caller = Caller(name=str(name), labels=tuple(labels), requests_per_minute=limit, expires=expires)
    except InvalidInputError as error:
        raise InvalidInputError(f"{place}: {error.message}", hint=error.hint) from None
    return str(digest).lower(), caller


def add_key(
    path: str | Path,
    name: str,
    *,
    labels: Iterable[str] = (),
    requests_per_minute: int | None = None,
    expires: date | None = None,
) -> str:
    """Add a key to a file and return it; the file stores only its hash.

    Args:
        path: The TOML file; it is created if it does not exist, readable only by its owner.
        name: Name of the key's owner.
        labels: Access labels of the documents that the owner may see.
        requests_per_minute: Limit on requests; None uses the limit of the server.
        expires: Last day of the key (in UTC), or None.

    Raises:
        InvalidInputError: The name is already used, or the file or a value is invalid.
        StorageError: The file cannot be written.
    """
    file, key = Path(path), f"gptoss-{secrets.token_urlsafe(32)}"
    # JSON's strings and lists of strings are valid TOML.
    lines = ["[[key]]", f"name = {json.dumps(name, ensure_ascii=False)}", f'sha256 = "{_hash_key(key)}"']
    lines += [f"labels = {json.dumps(list(labels), ensure_ascii=False)}"]
    lines += [f"requests_per_minute = {requests_per_minute}"] if requests_per_minute is not None else []
    lines += [f"expires = {expires.isoformat()}"] if expires is not None else []
    try:
        old_text = file.read_text(encoding="utf-8") if file.exists() else ""
        text = f"{old_text.rstrip()}\n\n".lstrip() + "\n".join(lines) + "\n"
        Keys.parse(text, file)  # never write a file that cannot be loaded
        write_atomically(file, text.encode(), mode=PRIVATE_MODE)
    except OSError as error:
        raise StorageError(
            f"The key cannot be written to {file}: {error.strerror}.", hint="Check the folder."
        ) from error
    return key
