"""The parts and options of one chatbot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever

from langchain_gptoss.audit import AuditLog
from langchain_gptoss.chatbot.access import Access
from langchain_gptoss.chatbot.grounding.passage_judge import PassageJudge
from langchain_gptoss.chatbot.grounding.verifiers import ClaimVerifier
from langchain_gptoss.chatbot.guard.pipeline import Policies
from langchain_gptoss.chatbot.localization import LocalizedTexts
from langchain_gptoss.chatbot.prompts import ChatbotPrompts
from langchain_gptoss.text.language import choose_language


@dataclass(frozen=True, kw_only=True)
class ChatbotSettings:
    """The parts and options of one chatbot.

    Attributes:
        llm: The chat model.
        retriever: The retriever.
        prompts: The prompts.
        max_passages: Maximum number of retrieved documents that are used.
        excerpt_chars: Maximum length of what the model reads of the passages, in characters; 0 means whole passages.
        focus: Number of single sentences that the model is shown; 0 shows whole passages.
        strict: True leaves out unsupported sentences; False marks them.
        decline_below: Confidence in the passages below which the chatbot declines; None means the calibrated value.
        texts: The chatbot's own texts by language; the first is used for questions in other languages.
        access: The access labels of documents; None lets every caller see every document.
        history_tokens: Maximum length of a conversation that is kept word by word, in tokens.
        policies: The policies for questions and answers.
        audit: The audit log, or None.
        verifier: A model that judges supported sentences again, or None.
        judge: A decision model that judges the passages which the rules accept, or None.
    """

    llm: BaseChatModel
    retriever: BaseRetriever
    prompts: ChatbotPrompts
    max_passages: int
    excerpt_chars: int
    focus: int
    strict: bool
    decline_below: float | None
    texts: Mapping[str, LocalizedTexts]
    access: Access | None
    history_tokens: int
    policies: Policies
    audit: AuditLog | None
    verifier: ClaimVerifier | None = None
    judge: PassageJudge | None = None

    def select_texts(self, question: str) -> LocalizedTexts:
        """Return the chatbot's texts in the language of a question."""
        return self.get_texts(choose_language(question))

    def get_texts(self, language: str) -> LocalizedTexts:
        """Return the chatbot's texts in a language, or in its first language if it has none in that one."""
        return self.texts.get(language, next(iter(self.texts.values())))
