"""`AuditLog`: writes records into a tamper-evident log."""

import asyncio
import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from langchain_gptoss.audit.files import read_lines_backwards
from langchain_gptoss.audit.intents import AnswerIntent, IntentFolder, read_intent
from langchain_gptoss.audit.ledger import Ledger
from langchain_gptoss.audit.line_format import Hasher, format_now, load_key, to_canonical_json
from langchain_gptoss.audit.masking import Masker
from langchain_gptoss.audit.pruning import PruneResult, prune_ledger
from langchain_gptoss.audit.pseudonyms import Pseudonymizer
from langchain_gptoss.audit.records import AnswerRecord, generate_id
from langchain_gptoss.errors import InvalidInputError, StorageError

logger = logging.getLogger(__name__)

SYNC_INTERVAL_S = 1.0
# Not masked: programs make these values, and placeholders in them would make the record useless.
_UNMASKED_KEYS = frozenset(
    {"id", "user", "session", "sha256", "model", "sampling", "prompt_version", "domain", "usage", "timings", "event"}
    | {"labels", "verdict", "source", "status", "kind"}
)
_INTERRUPTED = {"status": "interrupted", "reason": "The process ended before the answer was recorded."}
_OWN_EVENTS = frozenset({"created", "checkpoint", "gap", "mismatch", "pruned", "repaired"})


@dataclass(frozen=True)
class Receipt:
    """Position of a record in the log.

    Attributes:
        id: The id of the record; `gptoss audit show` finds it.
        seq: The number of the record in the log; None if it was not written.
        hash: The hash of its line, which covers every line before it too; None if it was not written.
        is_written: False if the log cannot be written and `on_error="continue"`.
    """

    id: str
    seq: int | None = None
    hash: str | None = None
    is_written: bool = True


@dataclass
class _Gap:
    """Records that could not be written.

    Attributes:
        count: Number of records.
        since: Time of the first failure.
        error: The first error.
    """

    count: int = 0
    since: str = ""
    error: str = ""


class AuditLog:
    """An append-only, hash-chained log of answers in JSON lines.

    Example:
        .. code-block:: python

            with AuditLog("audit.jsonl") as log:
                receipt = log.append(AnswerRecord(question="When?", answer="On Monday.", user="ada"))
            verify("audit.jsonl").ok
            # True

    Several threads and processes may append to one log.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        key: bytes | Path | None = None,
        mask: bool | Masker | None = True,
        on_error: Literal["stop", "continue"] = "stop",
        sync: Literal["always", "batch", "never"] = "batch",
        pseudonymize: bool = True,
        pseudonym_key: bytes | Path | None = None,
        keep_reasoning: bool = False,
        retention: timedelta | None = None,
    ) -> None:
        """Create or open the log. Damage from a crash is repaired and recorded.

        Args:
            path: The file. Its head, lock and pseudonym key are stored beside it.
            key: Secret key for the hashes of the lines, so that those who can write the file cannot compute new hashes:
                bytes, or a file that contains the key. None reads the environment variable `GPTOSS_AUDIT_KEY`; without
                that the hashes are plain SHA-256.
            mask: True masks personal data (see `Masker`) before a text is hashed or written; or a `Masker` of your own.
                None or False writes texts as they are.
            on_error: If a record cannot be written, `"stop"` raises, so that no answer goes out unrecorded;
                `"continue"` returns a receipt with `is_written=False`, and the log records the gap as soon as it can
                be written.
            sync: When `append` returns, the operating system has the line, and it survives a crash of the process. For
                a crash of the machine, `"always"` waits until the disk confirms each line, `"batch"` confirms within a
                second in the background and when the log is closed, and `"never"` leaves it to the system.
            pseudonymize: False writes the ids of users and sessions as they are.
            pseudonym_key: Key of the pseudonyms; None uses a random key of this log.
            keep_reasoning: True keeps the model's reasoning.
            retention: Removes records that are older, when the log is opened and at `prune()`.

        Raises:
            InvalidInputError: An argument is invalid, or the log was started with another key.
            StorageError: The log cannot be written and `on_error="stop"`, or its last line is altered.
        """
        _check_choices(on_error=on_error, sync=sync)
        self.path = Path(path).absolute()
        self.retention = retention
        self._hasher = Hasher(load_key(key))
        self._ledger = Ledger(self.path, self._hasher, sync=sync == "always")
        self._masker = mask if isinstance(mask, Masker) else Masker() if mask else None
        # Names identify sources, so only passwords in addresses are masked in them.
        self._source_masker = Masker(kinds=("secret", "credentials")) if self._masker else None
        self._pseudonymizer = Pseudonymizer(self.path, pseudonym_key) if pseudonymize else None
        self._raises_errors, self._keep_reasoning = on_error == "stop", keep_reasoning
        self._gap, self._lock = _Gap(), threading.Lock()
        self._intents = IntentFolder(self.path, self._ledger, sync=sync == "always")
        self._postponed: list[AnswerIntent] = []
        self._syncer = _BackgroundSyncer(self._ledger) if sync == "batch" else None
        self._is_closed = False
        self._open()

    @property
    def gap_count(self) -> int:
        """Number of records that could not be written and are not recorded as a gap yet."""
        return self._gap.count

    def begin(self, record: AnswerRecord) -> AnswerIntent | None:
        """Write the intent of an answer, before its first piece is shown.

        Add each piece with `add_piece` before it is shown, and pass the intent to `append` with the record of the
        complete answer, which has the same id. If the process is killed in between, the next log that is opened
        on this file records the pieces with the status "interrupted".

        Args:
            record: What is known of the answer. Its own text is empty.

        Returns:
            The intent; None if it cannot be written and `on_error="continue"`.

        Raises:
            StorageError: It cannot be written and `on_error="stop"`.
            InvalidInputError: JSON cannot represent the record, or the log is closed.
        """
        self._check_open()
        placeholders: dict[tuple[str, str], str] = {}
        values = self._mask_values(self._pseudonymize_values(self._select_values(record)), placeholders)
        mask = self._masker.mask if self._masker is not None else None
        try:
            return self._intents.create(values, lambda text: text if mask is None else mask(text, dict(placeholders)))
        except OSError as error:
            self._handle_intent_failure(error)
            return None

    def add_piece(self, intent: AnswerIntent | None, text: str) -> None:
        """Add a piece of the answer to its intent, before the piece is shown.

        Raises:
            StorageError: It cannot be written and `on_error="stop"`.
        """
        if intent is not None and text:
            try:
                intent.add_text(text)
            except OSError as error:
                self._handle_intent_failure(error)

    def keep_intent(self, intent: AnswerIntent) -> None:
        """Keep the intent of an answer whose record cannot be written, and record it when the log can be written."""
        intent.close()
        self._postponed.append(intent)

    def append(self, record: AnswerRecord | Mapping[str, Any], *, intent: AnswerIntent | None = None) -> Receipt:
        """Write a record.

        Args:
            record: The record of an answer, or an event of your own: a dict with the key `"event"`.
            intent: The intent of the answer, which is deleted after the record is written.

        Returns:
            The receipt; give its `hash` out with the answer.

        Raises:
            StorageError: The record cannot be written and `on_error="stop"`.
            InvalidInputError: JSON cannot represent the record, or the log is closed.
        """
        self._check_open()
        values = self._select_values(record)
        record_id = str(values["id"])
        with self._lock:
            try:
                content = to_canonical_json(self._mask_values(self._pseudonymize_values(values)))
                self._raise_sync_error()
                gap = [self._build_gap_event()] if self._gap.count else []
                *_, line = self._ledger.add([*gap, content])
            except (OSError, StorageError) as error:
                return self._handle_failure(record_id, error)
            self._gap = _Gap()
        if intent is not None:
            intent.discard()
        self._record_postponed()
        if self._syncer is not None:
            self._syncer.request_sync()
        return Receipt(record_id, line.seq, line.hash)

    async def aappend(self, record: AnswerRecord | Mapping[str, Any]) -> Receipt:
        """Async version of `append`. It runs in a thread, because the disk or another process may block it."""
        return await asyncio.to_thread(self.append, record)

    def prune(self, older_than: timedelta | None = None, *, reason: str = "retention") -> PruneResult:
        """Remove old records, and record the removal; see `langchain_gptoss.audit.pruning`.

        Args:
            older_than: The age; None uses `retention`.
            reason: The reason, for the record.

        Raises:
            InvalidInputError: No age is given, or it is negative.
            StorageError: The log cannot be verified or rewritten.
        """
        age = older_than if older_than is not None else self.retention
        if age is None:
            raise InvalidInputError(
                "The age of the records to remove is missing.",
                hint="Call prune(timedelta(days=180)), or set AuditLog(..., retention=...).",
            )
        with self._lock:
            return prune_ledger(self._ledger, self._hasher, older_than=age, reason=reason)

    def close(self) -> None:
        """Wait until the disk has confirmed the lines, and record a gap if possible."""
        if self._is_closed:
            return
        self._is_closed = True
        for path in self._intents.list_own():  # of answers that were given up without an end
            self._record_interrupted(path)
        self._intents.close()
        with self._lock:
            try:
                if self._gap.count:
                    self._ledger.add([self._build_gap_event()])
                    self._gap = _Gap()
            except (OSError, StorageError) as error:
                logger.warning(
                    "%d records are missing from %s, and the gap cannot be recorded: %s",
                    self.gap_count,
                    self.path,
                    error,
                )
        if self._syncer is not None:
            self._syncer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        try:
            self._ledger.add([])
        except OSError as error:
            if self._raises_errors:
                raise self._build_storage_error(error) from error
            logger.warning("%s", self._build_storage_error(error))
            return
        self._record_leftovers()
        if self.retention is None:
            return
        try:
            self.prune()
        except StorageError as error:
            if self._raises_errors:
                raise
            logger.warning("%s", error)

    def _check_open(self) -> None:
        if self._is_closed:
            raise InvalidInputError(
                f"The audit log {str(self.path)!r} is closed.", hint="Open it again to write to it."
            )

    def _record_leftovers(self) -> None:
        """Record the answers that were interrupted when a process ended."""
        try:
            for path, values in self._intents.take_leftovers():
                self._record_interrupted(path, values)
        except OSError as error:
            if self._raises_errors:
                raise self._build_storage_error(error) from error
            logger.warning("%s", self._build_storage_error(error))

    def _record_postponed(self) -> None:
        """Record what was shown of answers whose records could not be written, now that the log can be written."""
        while self._postponed:
            with suppress(IndexError):  # another thread was faster
                self._record_interrupted(self._postponed.pop().path)

    def _record_interrupted(self, path: Path, values: dict[str, Any] | None = None) -> None:
        """Record the answer in an intent, unless it has a record, and delete the intent. An error leaves it there."""
        try:
            values = values if values is not None else read_intent(path)
            if values is not None and not self._has_record(str(values.get("id"))):
                self._ledger.add([to_canonical_json({**values, **_INTERRUPTED})])
            path.unlink(missing_ok=True)
        except (OSError, StorageError) as error:
            logger.warning("The interrupted answer in %s is not in the audit log yet: %s", path, error)

    def _has_record(self, record_id: str) -> bool:
        """Return True if the log has a line with an id."""
        name = f'"{record_id}"'.encode()
        return any(name in line for _, line in read_lines_backwards(self.path))

    def _handle_intent_failure(self, error: OSError) -> None:
        storage_error = self._build_storage_error(error)
        if self._raises_errors:
            raise storage_error from error
        logger.warning("%s An answer is shown without an intent.", storage_error)

    def _select_values(self, record: AnswerRecord | Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a record that the log keeps."""
        if isinstance(record, AnswerRecord):
            values = record.model_dump(mode="json")
            if not self._keep_reasoning:
                del values["reasoning"]
            return values | {"event": "answer"}
        values = dict(record)
        if not isinstance(values.get("event"), str) or values["event"] in _OWN_EVENTS:
            raise InvalidInputError(
                "A record that is a dict needs an 'event' with a name of your own; reserved are "
                f"{', '.join(sorted(_OWN_EVENTS))}.",
                hint="For an answer, pass AnswerRecord.from_output(...).",
            )
        return values | {"id": str(values.get("id") or generate_id())}

    def _pseudonymize_values(self, values: dict[str, Any]) -> dict[str, Any]:
        if self._pseudonymizer is None:
            return values
        names = {kind: values[kind] for kind in ("user", "session") if values.get(kind) is not None}
        return values | {kind: self._pseudonymizer.pseudonymize(kind, str(name)) for kind, name in names.items()}

    def _mask_values(
        self, values: dict[str, Any], placeholders: dict[tuple[str, str], str] | None = None
    ) -> dict[str, Any]:
        if self._masker is None or self._source_masker is None:
            return values
        placeholders = {} if placeholders is None else placeholders
        masked: dict[str, Any] = self._masker.mask_all(values, keep=_UNMASKED_KEYS, placeholders=placeholders)
        for field in ("passages", "citations"):
            for item in masked.get(field) or ():
                if isinstance(item, dict) and isinstance(item.get("source"), str):
                    item["source"] = self._source_masker.mask(item["source"], placeholders)
        return masked

    def _raise_sync_error(self) -> None:
        if self._syncer is not None and (error := self._syncer.take_error()) is not None:
            raise error

    def _handle_failure(self, record_id: str, error: OSError | StorageError) -> Receipt:
        if isinstance(error, OSError):
            storage_error, reason = self._build_storage_error(error), error.strerror or str(error)
        else:
            storage_error, reason = error, str(error)
        if self._raises_errors:
            raise storage_error
        if not self._gap.count:
            self._gap = _Gap(0, format_now(), reason)
            logger.warning("%s Answers continue unrecorded.", storage_error)
        self._gap.count += 1
        return Receipt(record_id, is_written=False)

    def _build_gap_event(self) -> bytes:
        return to_canonical_json(
            {"count": self._gap.count, "error": self._gap.error, "event": "gap", "since": self._gap.since}
        )

    def _build_storage_error(self, error: OSError) -> StorageError:
        return StorageError(
            f"The audit log {str(self.path)!r} cannot be written: {(error.strerror or str(error)).lower()}.",
            hint='Free space or allow writing there; with on_error="continue", answers are given without a record.',
        )


def _check_choices(*, on_error: str, sync: str) -> None:
    for name, value, choices in (
        ("on_error", on_error, ("stop", "continue")),
        ("sync", sync, ("always", "batch", "never")),
    ):
        if value not in choices:
            raise InvalidInputError(f"{name} is {value!r}.", hint=f"Use one of {', '.join(map(repr, choices))}.")


class _BackgroundSyncer:
    """Syncs a log to disk at most a second after a write, in a thread that exists only while there is work."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None
        self._has_unsynced_lines = False

    def request_sync(self) -> None:
        """Note that lines were written, and start the thread if it does not run."""
        with self._lock:
            self._has_unsynced_lines = True
            if self._thread is None or not self._thread.is_alive():  # after a fork it does not run
                self._thread = threading.Thread(target=self._run, name="gptoss-audit-sync", daemon=True)
                self._thread.start()

    def take_error(self) -> OSError | None:
        """Return the error since the last call, if any."""
        error, self._error = self._error, None
        return error

    def close(self) -> None:
        """Stop the thread and sync one last time."""
        self._stop.set()
        with self._lock:
            thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join()
        self._sync()

    def _run(self) -> None:
        self._stop.wait(SYNC_INTERVAL_S)
        with self._lock:
            self._thread = None  # later lines need the next thread
        self._sync()

    def _sync(self) -> None:
        with self._lock:
            needs_sync, self._has_unsynced_lines = self._has_unsynced_lines, False
        if not needs_sync:
            return
        try:
            self._ledger.sync()
        except FileNotFoundError:
            pass  # the log was removed; the next append detects it
        except OSError as error:
            self._error = error
            logger.warning("The disk does not confirm the audit log %s: %s", self._ledger.path, error)
