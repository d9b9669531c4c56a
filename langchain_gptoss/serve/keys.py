"""Who may use a server, and what of it they may see: API keys in a TOML file, of which only hashes are kept."""

import hashlib
import json
import os
import re
import secrets
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from langchain_gptoss.errors import InvalidInputError, StorageError

_DIGEST = re.compile("[0-9a-fA-F]{64}")
_LONGEST_NAME = 90  # with a user of the caller's behind it, what sessions allow
_FIELDS = {"name", "sha256", "labels", "requests_per_minute", "expires"}


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who sends a request.

    Attributes:
        name: Of the key, or "anonymous".
        labels: The access labels of the documents that the caller may see, besides those that are public.
        requests_per_minute: How many requests are answered; None leaves it to the server.
        expires: The last day of the key (in UTC), or None.

    Raises:
        InvalidInputError: The name is empty or holds a slash or a control character: what follows a slash names a
            user of the caller.
    """

    name: str
    labels: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    expires: date | None = None

    def __post_init__(self) -> None:
        if not self.name.strip() or "/" in self.name or not self.name.isprintable() or len(self.name) > _LONGEST_NAME:
            raise InvalidInputError(
                f"A caller is called {self.name[:40]!r}; a name has 1 to {_LONGEST_NAME} characters, none of them a "
                "slash or a control character."
            )

    @property
    def expired(self) -> bool:
        """Whether the key's last day is over."""
        return self.expires is not None and datetime.now(UTC).date() > self.expires


ANONYMOUS = Caller(name="anonymous")


class Keys:
    """The keys of a server.

    Args:
        callers: Who has a key, by the SHA-256 of the key in hexadecimal digits.
    """

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self._callers = dict(callers)

    @classmethod
    def load(cls, path: str | Path) -> "Keys":
        """Returns the keys in a TOML file, one table `[[key]]` for each.

        Raises:
            InvalidInputError: The file is missing or cannot be understood; the message names the key and the field.
        """
        try:
            entries = tomllib.loads(Path(path).read_text(encoding="utf-8")).get("key", [])
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidInputError(f"The keys in {path} cannot be read: {error}.") from error
        if not isinstance(entries, list) or not entries:
            raise InvalidInputError(f"{path} holds no [[key]]. Make one with: gptoss keys add NAME --file {path}")
        callers: dict[str, Caller] = {}
        for number, entry in enumerate(entries, 1):
            digest, caller = _read(f"{path}, key {number}", entry)
            if digest in callers or caller.name in {known.name for known in callers.values()}:
                raise InvalidInputError(f"{path}, key {number}: {caller.name!r} or its key is there twice.")
            callers[digest] = caller
        return cls(callers)

    def caller(self, key: str) -> Caller | None:
        """Returns whose key this is, or None."""
        # A hash is looked up, not the key: how long that takes says nothing about a key.
        return self._callers.get(_digest(key))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _read(where: str, entry: Any) -> tuple[str, Caller]:
    def check(name: str, good: bool, wanted: str) -> None:
        if not good:
            raise InvalidInputError(f"{where}: {name} is {entry.get(name)!r}; it must be {wanted}.")

    if not isinstance(entry, Mapping) or (unknown := entry.keys() - _FIELDS):
        names = ", ".join(sorted(unknown)) if isinstance(entry, Mapping) else repr(entry)
        raise InvalidInputError(f"{where}: {names} is not known; a key has {', '.join(sorted(_FIELDS))}.")
    name, digest, labels = entry.get("name"), entry.get("sha256"), entry.get("labels", [])
    limit, expires = entry.get("requests_per_minute"), entry.get("expires")
    check("name", isinstance(name, str), "a text")
    check(
        "sha256",
        isinstance(digest, str) and bool(_DIGEST.fullmatch(digest)),
        "the 64 hexadecimal digits of the key's SHA-256",
    )
    check("labels", isinstance(labels, list) and all(isinstance(each, str) for each in labels), "a list of texts")
    check("requests_per_minute", limit is None or (type(limit) is int and limit > 0), "a number above 0")
    check("expires", expires is None or type(expires) is date, "a date such as 2027-01-31")
    try:
        caller = Caller(name=str(name), labels=tuple(labels), requests_per_minute=limit, expires=expires)
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}: {error}") from None
    return str(digest).lower(), caller


def add_key(
    path: str | Path, name: str, *, labels: Iterable[str] = (), limit: int | None = None, expires: date | None = None
) -> str:
    """Adds a key to a file, which is made where it is missing, and returns the key: it is kept nowhere else.

    Raises:
        InvalidInputError: The name is taken, or the file or a value cannot be used.
        StorageError: The file cannot be written.
    """
    file, key = Path(path), f"gptoss-{secrets.token_urlsafe(32)}"
    text = json.dumps  # TOML's texts and lists of texts are written as JSON's
    lines = ["[[key]]", f"name = {text(name, ensure_ascii=False)}", f'sha256 = "{_digest(key)}"']
    lines += [f"labels = {text(list(labels), ensure_ascii=False)}"]
    lines += [f"requests_per_minute = {limit}"] if limit is not None else []
    lines += [f"expires = {expires.isoformat()}"] if expires is not None else []
    fresh = file.with_name(f"{file.name}.new")
    try:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as written:
            written.write(f"{before.rstrip()}\n\n".lstrip() + "\n".join(lines) + "\n")
        Keys.load(fresh)  # a file that cannot be read is never put in place
        os.replace(fresh, file)
    except OSError as error:
        raise StorageError(f"The key could not be written to {file}: {error.strerror}. Check the folder.") from error
    finally:
        fresh.unlink(missing_ok=True)
    return key
