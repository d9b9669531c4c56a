"""One line of the log: its bytes, its hash, and its link to the line before it.

A line is canonical JSON (keys sorted, no spaces, UTF-8, no NaN):

    {"hash": H, "previous": P, "record": {...}, "seq": N, "time": "2025-01-31T09:30:00.000000Z"}

H is the SHA-256 of the line's own bytes without `"hash"`, or with a key their HMAC-SHA-256. P is the hash of the line
before. Because `"hash"` is the first key, the hashed bytes can be cut out of the line; no JSON has to be written again.
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
ZERO_HASH = "0" * 64
"""The hash before the first line."""
KEY_VARIABLE = "GPTOSS_AUDIT_KEY"
MIN_KEY_BYTES = 16
_LINE_START = re.compile(rb'\{"hash":"([0-9a-f]{64})",')
_KEYS = {"previous", "record", "seq", "time"}


class MalformedDataError(ValueError):
    """Bytes that are not a line or a head file of a log."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A parsed line of a log.

    Attributes:
        seq: Its number in the log, from 0.
        time: When it was written: UTC, ISO 8601 with microseconds.
        previous: The hash of the line before.
        hash: Its own hash, as written in the line.
        record: Its content.
        body: The bytes that `hash` was computed from.
    """

    seq: int
    time: str
    previous: str
    hash: str
    record: dict[str, Any]
    body: bytes


@dataclass(frozen=True)
class Hasher:
    """Hashes lines: with SHA-256, which anybody can compute, or with a secret key.

    Attributes:
        key: The key, or None.
    """

    key: bytes | None = None

    @property
    def algorithm(self) -> str:
        """Name of the algorithm in the first line of the log."""
        return "sha256" if self.key is None else "hmac-sha256"

    @property
    def key_id(self) -> str | None:
        """Identifier of the key, which does not reveal it; None without a key."""
        return None if self.key is None else self._compute_mac(b"key")[:16]

    def hash_line(self, body: bytes) -> str:
        """Return the hash of a line in hexadecimal."""
        return hashlib.sha256(body).hexdigest() if self.key is None else self._compute_mac(b"line\0" + body)

    def sign_head(self, log_id: str, seq: int, line_hash: str) -> str:
        """Return the code in a head file that only the owner of the key can compute; empty without a key."""
        return "" if self.key is None else self._compute_mac(f"head\0{log_id}\0{seq}\0{line_hash}".encode())

    def _compute_mac(self, message: bytes) -> str:
        return hmac.digest(self.key or b"", message, "sha256").hex()


def load_key(key: bytes | Path | None) -> bytes | None:
    """Return the given key, the content of a key file, or the environment variable `GPTOSS_AUDIT_KEY`.

    White space around the key is removed.

    Raises:
        InvalidInputError: The key is shorter than 16 bytes, or not bytes or a `Path`.
        StorageError: The file cannot be read.
    """
    if key is None:
        text = os.environ.get(KEY_VARIABLE, "")
        if not text.strip():
            return None
        key, origin = text.encode(), f"the environment variable {KEY_VARIABLE}"
    elif isinstance(key, Path):
        origin = f"the file {str(key)!r}"
        key = _read_key_file(key)
    elif isinstance(key, bytes):
        origin = "key="
    else:
        raise InvalidInputError(
            f"key is a {type(key).__name__}.", hint="Pass bytes, or the Path of a file that contains the key."
        )
    if len(key.strip()) < MIN_KEY_BYTES:
        raise InvalidInputError(
            f"The key in {origin} has {len(key.strip())} bytes; it needs {MIN_KEY_BYTES} or more random ones.",
            hint='Make one with: python -c "import secrets; print(secrets.token_hex(32))"',
        )
    return key.strip()


def _read_key_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(
            f"The key file {str(path)!r} cannot be read: {(error.strerror or str(error)).lower()}.",
            hint="Check the path and its permissions.",
        ) from error


def to_canonical_json(value: Mapping[str, Any]) -> bytes:
    """Return a value as canonical JSON. A lone surrogate, which UTF-8 cannot represent, becomes a question mark.

    Raises:
        InvalidInputError: The value contains NaN, an infinity, or an object that JSON cannot represent.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"A record cannot be written as JSON: {error}.", hint="Use strings, finite numbers, lists and dicts."
        ) from error
    return text.encode("utf-8", "replace")


def build_line(hasher: Hasher, *, seq: int, time: str, previous: str, record: bytes) -> tuple[str, bytes]:
    """Return the hash of a line, and the line with its line end.

    Args:
        hasher: Computes the hash.
        seq: The number of the line.
        time: When it is written, as from `format_now`.
        previous: The hash of the line before.
        record: Its content as canonical JSON.
    """
    rest = b'"previous":"%b","record":%b,"seq":%d,"time":"%b"}' % (previous.encode(), record, seq, time.encode())
    line_hash = hasher.hash_line(b"{" + rest)
    return line_hash, b'{"hash":"%b",%b\n' % (line_hash.encode(), rest)


def parse_line(line: bytes) -> Entry:
    """Parse a line without its line end.

    Raises:
        MalformedDataError: It is not a line of a log.
    """
    start = _LINE_START.match(line)
    if start is None:
        raise MalformedDataError("it does not start like a line of a log")
    body = b"{" + line[start.end() :]
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedDataError(f"it is not JSON: {error}") from error
    if not isinstance(values, dict) or values.keys() != _KEYS or not isinstance(values["record"], dict):
        raise MalformedDataError("it does not have the keys of a line")
    if type(values["seq"]) is not int or not isinstance(values["previous"], str) or not isinstance(values["time"], str):
        raise MalformedDataError("a value has the wrong type")
    return Entry(**values, hash=start[1].decode(), body=body)


def format_now() -> str:
    """Return the current time in UTC, in the format of the log."""
    return format_time(datetime.now(UTC))


def format_time(moment: datetime) -> str:
    """Return a time in the format of the log; the strings sort like the times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
