"""API keys in a TOML file, which stores only their hashes."""

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
from langchain_gptoss.chatbot.caller import Caller
from langchain_gptoss.errors import InvalidInputError, StorageError

_SHA256 = re.compile("[0-9a-fA-F]{64}")
_MAX_NAME_LENGTH = 90  # leaves space for a user's name after it: sessions allow 200 characters
_MAX_LABEL_LENGTH = 200
_FIELDS = {"name", "sha256", "labels", "requests_per_minute", "expires", "priority"}


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """An API key without its secret.

    Attributes:
        name: Name of the owner.
        labels: Access labels of the documents that the owner may see, besides public ones.
        requests_per_minute: Limit on requests; None uses the limit of the server.
        expires: Last day of the key (in UTC), or None.
        priority: Requests of a key with a higher number start first in the engine.

    Raises:
        InvalidInputError: The name is empty, too long, or contains a slash or a control character.
    """

    name: str
    labels: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    expires: date | None = None
    priority: int = 0

    def __post_init__(self) -> None:
        check_name(self.name)
        if not all(map(is_label, self.labels)):
            raise InvalidInputError(
                f"The labels of {self.name} are {self.labels!r}.",
                hint=f"A label has 1 to {_MAX_LABEL_LENGTH} printable characters.",
            )

    @property
    def caller(self) -> Caller:
        """The owner, as the chatbot identifies callers."""
        return Caller(user_id=self.name, access_labels=self.labels, priority=self.priority)

    @property
    def is_expired(self) -> bool:
        """True after the key's last day."""
        return self.expires is not None and datetime.now(UTC).date() > self.expires


def check_name(name: str) -> None:
    """Check the name of a key's owner.

    A slash is not allowed: it separates the owner's name from the name of one of its users.

    Raises:
        InvalidInputError: The name is empty, too long, or contains a slash or a control character.
    """
    if not name.strip() or not name.isprintable() or "/" in name or len(name) > _MAX_NAME_LENGTH:
        raise InvalidInputError(
            f"The caller's name is {name[:40]!r}.",
            hint=f"A name has 1 to {_MAX_NAME_LENGTH} characters and no slash or control character.",
        )


def is_label(label: str) -> bool:
    """Return True if a text can be an access label: a blank one would fail each request of the key's owner."""
    return bool(label.strip()) and label.isprintable() and len(label) <= _MAX_LABEL_LENGTH


class Keys:
    """The keys of a server.

    Args:
        keys: The keys by the SHA-256 of the secret, in lower-case hexadecimal digits.
    """

    def __init__(self, keys: Mapping[str, ApiKey]) -> None:
        self._keys = dict(keys)

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
        keys: dict[str, ApiKey] = {}
        for number, entry in enumerate(entries, 1):
            digest, key = _parse_entry(f"{path}, key {number}", entry)
            if digest in keys or key.name in {known.name for known in keys.values()}:
                raise InvalidInputError(
                    f"{path}, key {number}: {key.name!r} or its key is already used.", hint="Choose another name."
                )
            keys[digest] = key
        return cls(keys)

    @property
    def labels(self) -> frozenset[str]:
        """The access labels of all keys."""
        return frozenset(label for key in self._keys.values() for label in key.labels)

    def find_key(self, secret: str) -> ApiKey | None:
        """Return the key with a secret, or None if there is none."""
        # The lookup compares hashes: its duration reveals nothing about the secrets.
        return self._keys.get(_hash_secret(secret))


def _hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _parse_entry(place: str, entry: Any) -> tuple[str, ApiKey]:
    """Return the hash of a secret and its key.

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
    limit, expires, priority = entry.get("requests_per_minute"), entry.get("expires"), entry.get("priority", 0)
    is_digest = isinstance(digest, str) and bool(_SHA256.fullmatch(digest))
    check("name", isinstance(name, str), "a string")
    check("sha256", is_digest, "the 64 hexadecimal digits of the key's SHA-256")
    are_labels = isinstance(labels, list) and all(isinstance(each, str) and is_label(each) for each in labels)
    check("labels", are_labels, f"a list of strings with 1 to {_MAX_LABEL_LENGTH} printable characters")
    check("requests_per_minute", limit is None or (type(limit) is int and limit > 0), "a number above 0")
    check("expires", expires is None or type(expires) is date, "a date such as 2027-01-31")
    check("priority", type(priority) is int, "a whole number")
    try:
        key = ApiKey(
            name=str(name), labels=tuple(labels), requests_per_minute=limit, expires=expires, priority=priority
        )
    except InvalidInputError as error:
        raise InvalidInputError(f"{place}: {error.message}", hint=error.hint) from None
    return str(digest).lower(), key


def add_key(
    path: str | Path,
    name: str,
    *,
    labels: Iterable[str] = (),
    requests_per_minute: int | None = None,
    expires: date | None = None,
    priority: int = 0,
) -> str:
    """Add a key to a file and return its secret; the file stores only a hash of it.

    Args:
        path: The TOML file; it is created if it does not exist, readable only by its owner.
        name: Name of the key's owner.
        labels: Access labels of the documents that the owner may see.
        requests_per_minute: Limit on requests; None uses the limit of the server.
        expires: Last day of the key (in UTC), or None.
        priority: Requests of a key with a higher number start first in the engine.

    Raises:
        InvalidInputError: The name is already used, or the file or a value is invalid.
        StorageError: The file cannot be written.
    """
    file, secret = Path(path), f"gptoss-{secrets.token_urlsafe(32)}"
    if isinstance(labels, str):
        raise InvalidInputError(f"labels is {labels!r}.", hint="Pass a list of strings.")
    # JSON's strings and lists of strings are valid TOML.
    lines = ["[[key]]", f"name = {json.dumps(name, ensure_ascii=False)}", f'sha256 = "{_hash_secret(secret)}"']
    lines += [f"labels = {json.dumps(list(labels), ensure_ascii=False)}"]
    lines += [f"requests_per_minute = {requests_per_minute}"] if requests_per_minute is not None else []
    lines += [f"expires = {expires.isoformat()}"] if expires is not None else []
    lines += [f"priority = {priority}"] if priority else []
    try:
        old_text = file.read_text(encoding="utf-8") if file.exists() else ""
        text = f"{old_text.rstrip()}\n\n".lstrip() + "\n".join(lines) + "\n"
        Keys.parse(text, file)  # never write a file that cannot be loaded
        write_atomically(file, text.encode(), mode=PRIVATE_MODE)
    except OSError as error:
        raise StorageError(
            f"The key cannot be written to {file}: {error.strerror}.", hint="Check the folder."
        ) from error
    return secret
