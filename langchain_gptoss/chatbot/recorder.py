"""The audit of one answer: its intent before the first piece leaves, and its record before the last one leaves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from langchain_gptoss.audit import AnswerIntent, AnswerRecord, AuditLog, Receipt, generate_id
from langchain_gptoss.chatbot.caller import Caller
from langchain_gptoss.chatbot.record import build_metadata, build_record
from langchain_gptoss.chatbot.settings import ChatbotSettings
from langchain_gptoss.chatbot.state import Abandoned, AnswerState
from langchain_gptoss.chatbot.types import ChatbotChunk
from langchain_gptoss.errors import GptOssError

_log = logging.getLogger(__name__)

_REASONS = {
    "abandoned": "The caller stopped reading before the answer was complete.",
    "failed": "The answer ended with an error.",
}


class AnswerRecorder:
    """Records one answer. Without an audit log it does nothing.

    The steps call `begin` and `complete`; the caller of the graph passes every chunk through `release`, and calls `end`
    in every case.

    Args:
        settings: The parts and options of the chatbot, with the audit log.
        caller: The user and the session.
        is_streamed: True if chunks leave before the answer is complete.
    """

    def __init__(self, settings: ChatbotSettings, caller: Caller, *, is_streamed: bool) -> None:
        self._settings, self._caller = settings, caller
        self._audit: AuditLog | None = settings.audit
        self._is_streamed = is_streamed
        self._id = generate_id()
        self._lock = threading.Lock()  # the graph and the caller use different threads
        self._state: AnswerState | None = None
        self._intent: AnswerIntent | None = None
        self._last_piece: ChatbotChunk | None = None
        self._text, self._reasoning = "", ""  # what has left
        self._has_released = self._is_recorded = self._has_ended = False

    @property
    def is_active(self) -> bool:
        """True if the answer is recorded and can be read before it is complete."""
        return self._audit is not None and self._is_streamed

    def begin(self, answer: AnswerState) -> None:
        """Write the intent of an answer, before its sources leave.

        Raises:
            StorageError: The log cannot be written, and is set to stop then.
            Abandoned: The caller has stopped reading.
        """
        if self._audit is None or not self._is_streamed:
            return
        with self._lock:
            self._raise_if_ended()
            self._state = answer
            self._intent = self._audit.begin(self._build_partial_record(answer, "interrupted"))

    def release(self, chunk: ChatbotChunk) -> Iterator[ChatbotChunk]:
        """Yield the chunks that may leave, after they were added to the intent.

        The last piece of the answer is kept until the last chunk comes, which comes after the record.

        Raises:
            StorageError: The log cannot be written, and is set to stop then.
        """
        if not self.is_active:
            yield chunk
            return
        chunks = [chunk]
        if chunk.answer:
            chunks, self._last_piece = [] if self._last_piece is None else [self._last_piece], chunk
        elif "citations" in chunk and self._last_piece is not None:
            chunks, self._last_piece = [self._last_piece, chunk], None
        for released in chunks:
            self._note(released)
            yield released

    def complete(self, answer: AnswerState, chunk: ChatbotChunk) -> Receipt | None:
        """Record a complete answer, before its last piece and its last chunk leave.

        Raises:
            StorageError: The log cannot be written, and is set to stop then.
            Abandoned: The caller has stopped reading, and the part that was shown is recorded.
        """
        if self._audit is None:
            return None
        with self._lock:
            self._raise_if_ended()
            self._state = answer
            receipt = self._audit.append(self._build_record(answer, chunk), intent=self._intent)
            self._is_recorded = True
        return receipt

    def end(self, error: BaseException | None) -> None:
        """Record what was shown of an answer that was not completed. It raises no error of the log.

        Args:
            error: The error that ended the answer.
        """
        if not self.is_active:
            return
        with self._lock:
            if self._has_ended:
                return
            self._has_ended = True
            if not self._is_recorded:
                self._record_part("failed" if isinstance(error, Exception) else "abandoned")

    def _record_part(self, status: Literal["abandoned", "failed"]) -> None:
        assert self._audit is not None
        if self._state is None or not self._has_released:
            if self._intent is not None:
                self._intent.discard()
            return
        try:
            self._audit.append(self._build_partial_record(self._state, status), intent=self._intent)
        except GptOssError as error:
            _log.warning("A part of an answer was shown, and cannot be recorded yet. %s", error)
            if self._intent is not None:
                self._audit.keep_intent(self._intent)

    def _note(self, chunk: ChatbotChunk) -> None:
        """Note that a chunk leaves, durably if it belongs to an unrecorded answer."""
        self._has_released = True
        self._text += chunk.answer
        self._reasoning += chunk.reasoning
        if self._audit is not None and not self._is_recorded:
            self._audit.add_piece(self._intent, chunk.answer)

    def _raise_if_ended(self) -> None:
        if self._has_ended:
            raise Abandoned

    def _build_partial_record(
        self, answer: AnswerState, status: Literal["abandoned", "failed", "interrupted"]
    ) -> AnswerRecord:
        """Return the record of the part that has left."""
        found = list(answer.answer_stream.citations) if answer.answer_stream is not None else []
        reason = _REASONS.get(status, "")
        answer = replace(answer, answer=self._text, reasoning=self._reasoning, reason=reason)
        chunk = ChatbotChunk(
            citations=[citation for citation in found if f"[{citation.number}]" in self._text],
            kind=answer.kind,
            reason=reason,
            metadata=build_metadata(self._settings.llm, self._settings.prompts, answer, self._caller),
        )
        return self._build_record(answer, chunk).model_copy(update={"status": status})

    def _build_record(self, answer: AnswerState, chunk: ChatbotChunk) -> AnswerRecord:
        record = build_record(self._settings.llm, answer, self._caller, chunk, self._settings.access)
        return record.model_copy(update={"id": self._id})
