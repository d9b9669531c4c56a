"""The metadata of an answer, and its record in the audit log."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel

from langchain_gptoss.audit import AnswerRecord, RecordedPassage, get_provenance, get_sampling
from langchain_gptoss.audit.records import hash_text
from langchain_gptoss.chatbot.access import Access
from langchain_gptoss.chatbot.caller import Caller
from langchain_gptoss.chatbot.grounding.passages import Passage
from langchain_gptoss.chatbot.prompts import ChatbotPrompts
from langchain_gptoss.chatbot.state import AnswerState
from langchain_gptoss.chatbot.types import ChatbotChunk


def build_metadata(llm: BaseChatModel, prompts: ChatbotPrompts, answer: AnswerState, caller: Caller) -> dict[str, Any]:
    """Return the origin of an answer: model, prompts, domain, session, and findings of the guard."""
    profile = answer.texts.profile
    version = prompts.version if profile is None else f"{prompts.version}+{profile.fingerprint[:16]}"
    values = {
        "model": get_provenance(llm),
        "prompt_version": version,
        "domain": f"{profile.name}.{profile.language}" if profile else None,
        "finish_reason": answer.finish_reason or None,
        "session_id": caller.session_id,
        "guard": list(answer.findings) or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def build_record(
    llm: BaseChatModel, answer: AnswerState, caller: Caller, chunk: ChatbotChunk, access: Access | None
) -> AnswerRecord:
    """Return an answer's record for the audit log.

    Args:
        llm: The model.
        answer: The final state of the answer.
        caller: The user and the session.
        chunk: The last chunk of the output.
        access: The rule that reads the access labels of documents, or None.
    """
    labels = {document.page_content: access.get_labels(document) for document in answer.documents} if access else {}
    return AnswerRecord.from_output(
        chunk,
        user=caller.user_id,
        session=caller.session_id,
        question=answer.question,
        standalone_question=answer.standalone_question,
        passages=[_record_passage(passage, labels.get(passage.text)) for passage in answer.sources],
        prompt_version=chunk.metadata["prompt_version"],
        domain=chunk.metadata.get("domain"),
        model=chunk.metadata["model"],
        sampling=get_sampling(llm),
        answer=answer.answer,
        reasoning=answer.reasoning,
        guard=list(answer.findings),
    )


def _record_passage(passage: Passage, labels: tuple[str, ...] | None) -> RecordedPassage:
    return RecordedPassage(
        source=passage.source,
        page=passage.page,
        heading=passage.heading,
        start=passage.start,
        end=passage.start + len(passage.text),
        sha256=hash_text(passage.text),
        labels=labels or None,
    )
