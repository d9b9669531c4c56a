"""What is said about an answer besides it: the metadata of the output, and the record in the audit log."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel

from langchain_gptoss.audit import AnswerRecord, RecordedPassage, provenance, sampling
from langchain_gptoss.audit.records import text_hash
from langchain_gptoss.chatbot.grounding.passages import Passage
from langchain_gptoss.chatbot.prompts import ChatbotPrompts
from langchain_gptoss.chatbot.state import Run, Turn
from langchain_gptoss.chatbot.types import ChatbotChunk


def metadata(llm: BaseChatModel, prompts: ChatbotPrompts, turn: Turn, run: Run) -> dict[str, Any]:
    """Returns where an answer comes from: the model, the prompts, the domain, the session."""
    profile = turn.voice.profile
    version = prompts.version if profile is None else f"{prompts.version}+{profile.fingerprint[:16]}"
    known = {
        "model": provenance(llm),
        "prompt_version": version,
        "domain": f"{profile.name}.{profile.language}" if profile else None,
        "finish_reason": turn.finish_reason or None,
        "session_id": run.session_id,
        "guard": list(turn.findings) or None,
    }
    return {name: value for name, value in known.items() if value is not None}


def record(llm: BaseChatModel, turn: Turn, run: Run, last: ChatbotChunk, labels_in: str) -> AnswerRecord:
    """Returns what the audit log keeps of an answer.

    Args:
        llm: The model.
        turn: The question and what became of it.
        run: Who asked.
        last: The last piece of the output.
        labels_in: The metadata field with the access labels, or empty.
    """
    labels = {document.page_content: document.metadata.get(labels_in) for document in turn.documents}
    return AnswerRecord.of(
        last,
        user=run.user_id,
        session=run.session_id,
        question=turn.asked,
        standalone_question=turn.standalone,
        passages=[_passage(passage, labels.get(passage.text)) for passage in turn.found],
        prompt_version=last.metadata["prompt_version"],
        domain=last.metadata.get("domain"),
        model=last.metadata["model"],
        sampling=sampling(llm),
        answer=run.answer,
        reasoning=turn.reasoning,
        guard=list(turn.findings),
    )


def _passage(passage: Passage, labels: Any) -> RecordedPassage:
    return RecordedPassage(
        source=passage.source,
        page=passage.page,
        heading=passage.heading,
        start=passage.start,
        end=passage.start + len(passage.text),
        sha256=text_hash(passage.text),
        labels=tuple(labels) if labels else None,
    )
