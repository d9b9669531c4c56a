"""One line of the log: its bytes, its hash, and how it hangs on the line before it.

A line is canonical JSON (keys sorted, no spaces, UTF-8, no NaN):

    {"hash": H, "previous": P, "record": {...}, "seq": N, "time": "2025-01-31T09:30:00.000000Z"}

H is the SHA-256, or with a key the HMAC-SHA-256, of the line's own bytes without `"hash"`; P is the H before it.
Since `"hash"` is the first key, the bytes that were hashed are read back from the line without writing JSON anew.
"""

import hashlib
import hmac
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from langchain_gptoss.errors import InvalidInputError, StorageError

FORMAT = 1
NOTHING = "0" * 64  # the hash before the first line
KEY_VARIABLE = "GPTOSS_AUDIT_KEY"
_SHORTEST_KEY = 16
_LINE = re.compile(rb'\{"hash":"([0-9a-f]{64})",')
_KEYS = {"previous", "record", "seq", "time"}


class Unreadable(ValueError):  # noqa: N818 (a finding, caught where lines are read)
    """A line that is not one of a log."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of a log, read.

    Attributes:
        seq: Its place in the log, from 0.
        time: When it was written: UTC, ISO 8601 with microseconds.
        previous: The hash of the line before.
        hash: Its own, as it says.
        record: What it records.
        body: The bytes that `hash` is of.
    """

    seq: int
    time: str
    previous: str
    hash: str
    record: dict[str, Any]
    body: bytes


@dataclass(frozen=True)
class Seal:
    """How lines are hashed: by SHA-256, which anybody can compute, or with a key.

    Attributes:
        key: The key, or None.
    """

    key: bytes | None = None

    @property
    def algorithm(self) -> str:
        """The name that the log's first line gives."""
        return "sha256" if self.key is None else "hmac-sha256"

    @property
    def key_id(self) -> str | None:
        """Tells keys apart without giving them away."""
        return None if self.key is None else self._mac(b"key")[:16]

    def hash(self, body: bytes) -> str:
        """Returns a line's hash in hexadecimal."""
        return hashlib.sha256(body).hexdigest() if self.key is None else self._mac(b"line\0" + body)

    def head(self, log: str, seq: int, line_hash: str) -> str:
        """Returns what a head file carries to show that the holder of the key wrote it; empty without a key."""
        return "" if self.key is None else self._mac(f"head\0{log}\0{seq}\0{line_hash}".encode())

    def _mac(self, message: bytes) -> str:
        return hmac.digest(self.key or b"", message, "sha256").hex()


def load_key(key: bytes | Path | None) -> bytes | None:
    """Returns the key: the bytes given, those of a file, else the environment variable `GPTOSS_AUDIT_KEY`.

    White space around it is not part of it.

    Raises:
        InvalidInputError: It is shorter than 16 bytes, or not bytes or a `Path`.
        StorageError: The file cannot be read.
    """
    if key is None:
        text = os.environ.get(KEY_VARIABLE, "")
        if not text.strip():
            return None
        key, where = text.encode(), f"the environment variable {KEY_VARIABLE}"
    elif isinstance(key, Path):
        where = f"the file {str(key)!r}"
        key = _read_key(key)
    elif isinstance(key, bytes):
        where = "key="
    else:
        raise InvalidInputError(f"key is a {type(key).__name__}; pass bytes, or the Path of a file that holds the key.")
    if len(key.strip()) < _SHORTEST_KEY:
        raise InvalidInputError(
            f"The key in {where} has {len(key.strip())} bytes; it needs {_SHORTEST_KEY} or more, from a random source. "
            'Make one with: python -c "import secrets; print(secrets.token_hex(32))"'
        )
    return key.strip()


def _read_key(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise StorageError(
            f"The key file {str(file)!r} cannot be read: {(error.strerror or str(error)).lower()}."
        ) from error


def canonical(value: Mapping[str, Any]) -> bytes:
    """Returns a value as canonical JSON. Half a surrogate pair, which UTF-8 cannot hold, becomes a question mark.

    Raises:
        InvalidInputError: It holds NaN, an infinity, or what JSON has no form for.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"A record cannot be written as JSON: {error}. Use text, whole and finite numbers, lists and dicts."
        ) from error
    return text.encode("utf-8", "replace")


def line_of(seal: Seal, *, seq: int, time: str, previous: str, record: bytes) -> tuple[str, bytes]:
    """Returns a line's hash, and the line with its end.

    Args:
        seal: How it is hashed.
        seq: Its place.
        time: As from `now()`.
        previous: The hash of the line before.
        record: Canonical JSON of what it records.
    """
    rest = b'"previous":"%b","record":%b,"seq":%d,"time":"%b"}' % (previous.encode(), record, seq, time.encode())
    line_hash = seal.hash(b"{" + rest)
    return line_hash, b'{"hash":"%b",%b\n' % (line_hash.encode(), rest)


def parse(line: bytes) -> Entry:
    """Reads a line, without its end.

    Raises:
        Unreadable: It is not a line of a log.
    """
    start = _LINE.match(line)
    if start is None:
        raise Unreadable("it does not start as a line of the log does")
    body = b"{" + line[start.end() :]
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is not JSON: {error}") from error
    if not isinstance(found, dict) or found.keys() != _KEYS or not isinstance(found["record"], dict):
        raise Unreadable("it has not the keys of a line")
    if type(found["seq"]) is not int or not isinstance(found["previous"], str) or not isinstance(found["time"], str):
        raise Unreadable("its keys have not the values of a line")
    return Entry(**found, hash=start[1].decode(), body=body)


def now() -> str:
    """Returns the time, in UTC, as lines state it."""
    return stamp(datetime.now(UTC))


def stamp(moment: datetime) -> str:
    """Returns a moment as lines state it; such texts sort as the moments do."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
