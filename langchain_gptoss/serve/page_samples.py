"""The sample questions of the page, found once in a thread of their own."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass

from langchain_gptoss.chatbot.sample_questions import suggest_questions
from langchain_gptoss.chatbot.settings import ChatbotSettings

_MAX_WAIT_S = 2.0  # a page that is opened before the questions are found shows none
_MAX_AGE_S = 600.0  # the documents may change
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Search:
    questions: Future[list[str]]
    started_s: float


class SampleQuestions:
    """Finds questions that the documents answer, and keeps them for ten minutes.

    Args:
        settings: The parts and options of the chatbot.
        quotes_documents: False takes only the domain's questions.
    """

    def __init__(self, settings: ChatbotSettings, *, quotes_documents: bool) -> None:
        self._settings, self._quotes_documents = settings, quotes_documents
        self._searches: dict[str, _Search] = {}
        self._lock = threading.Lock()

    async def get(self, language: str) -> list[str]:
        """Return the questions in a language; empty if none passes the check, or they are not found yet."""
        questions = asyncio.wrap_future(self._start(language))
        done, _ = await asyncio.wait([questions], timeout=_MAX_WAIT_S)
        return questions.result() if done else []

    def _start(self, language: str) -> Future[list[str]]:
        """Return the search for a language; the first call and calls after ten minutes start one."""
        with self._lock:
            search = self._searches.get(language)
            if search is None or time.monotonic() - search.started_s > _MAX_AGE_S:
                search = _Search(questions=Future(), started_s=time.monotonic())
                self._searches[language] = search
                arguments = (language, search.questions)
                threading.Thread(target=self._run, args=arguments, name="gptoss-samples", daemon=True).start()
            return search.questions

    def _run(self, language: str, questions: Future[list[str]]) -> None:
        try:
            found = suggest_questions(self._settings, language=language, quotes_documents=self._quotes_documents)
        except Exception as error:  # a page without sample questions works
            _log.warning("No sample questions were found: %s", error)
            found = []
        questions.set_result(found)
