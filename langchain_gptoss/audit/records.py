"""The record of an answer as Pydantic models."""

import hashlib
import os
import time
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


def generate_id() -> str:
    """Return an id of 32 hexadecimal digits that sorts by its creation time (a UUID of version 7, RFC 9562)."""
    random = bytearray(os.urandom(10))
    random[0] = 0x70 | random[0] & 0x0F
    random[2] = 0x80 | random[2] & 0x3F
    return f"{time.time_ns() // 1_000_000:012x}{random.hex()}"


def hash_text(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal, by which a passage is recognized."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


class RecordedPassage(BaseModel):
    """A passage on which the answer is based: its place and its hash. Its text is not kept.

    Attributes:
        source: The file, or the origin in the retriever's terms.
        page: The page, or None.
        heading: The headings above it.
        start: Where it starts in the extracted text of the source, in characters.
        end: Where it ends, in characters.
        sha256: The SHA-256 of its text; computed if `text` is given instead.
        labels: Its access labels, or None.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    source: str = ""
    page: int | None = None
    heading: str = ""
    start: int | None = None
    end: int | None = None
    sha256: str = ""
    labels: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _replace_text_by_hash(cls, values: Any) -> Any:
        if isinstance(values, BaseModel):
            values = values.model_dump()
        if isinstance(values, Mapping) and isinstance(values.get("text"), str) and not values.get("sha256"):
            return {**values, "sha256": hash_text(values["text"])}
        return values


class AnswerRecord(BaseModel):
    """An answer with its question, passages, model and settings.

    `AuditLog` replaces user and session by pseudonyms and masks the texts.

    Attributes:
        id: The id of the answer; generated if none is given.
        user: The person who asked; the log keeps a pseudonym.
        session: The conversation; the log keeps a pseudonym.
        question: The question as it was asked.
        standalone_question: The question that was searched for.
        passages: The passages on which the answer is based.
        prompt_version: Version of the prompts.
        domain: Domain of the chatbot.
        model: The model, as from `get_provenance`.
        sampling: Sampling parameters such as temperature and seed.
        answer: The answer as it was given.
        reasoning: The model's reasoning; a log keeps it only with `keep_reasoning=True`.
        citations: The citations in the output of the chatbot.
        unsupported: Sentences of the answer that no passage supports.
        kind: What the message was: `"question"`, `"summary"`, `"overview"`, `"greeting"` and so on.
        abstained: True if the chatbot declined to answer.
        reason: The reason for answering or declining.
        usage: Number of tokens.
        timings: Seconds by step.
        guard: Findings of the guard.
        status: `"complete"`; or, if only a part of the answer was shown, the reason: `"abandoned"` (the caller stopped
            reading), `"failed"` (an error), `"interrupted"` (the process ended).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(default_factory=generate_id)
    user: str | None = None
    session: str | None = None
    question: str = ""
    standalone_question: str = ""
    passages: tuple[RecordedPassage, ...] = ()
    prompt_version: str = ""
    domain: str = ""
    model: dict[str, Any] = Field(default_factory=dict)
    sampling: dict[str, Any] = Field(default_factory=dict)
    answer: str = ""
    reasoning: str = ""
    citations: tuple[dict[str, Any], ...] = ()
    unsupported: tuple[str, ...] = ()
    kind: str = "question"
    abstained: bool = False
    reason: str = ""
    usage: dict[str, Any] | None = None
    timings: dict[str, float] = Field(default_factory=dict)
    guard: tuple[dict[str, Any], ...] = ()
    status: Literal["complete", "abandoned", "failed", "interrupted"] = "complete"

    @classmethod
    def from_output(cls, output: BaseModel | Mapping[str, Any], **fields: Any) -> Self:
        """Return the record of a chatbot's output.

        Args:
            output: A `ChatbotOutput`, or a dict with keys of it or of this record. Its `sources` become `passages`.
                Other keys are ignored, and None counts as missing.
            **fields: Fields of this record that replace those of `output`: `user`, `question`, `model` and so on.

        Raises:
            pydantic.ValidationError: A field has another type, or `fields` contains an unknown name.
        """
        output_values = dict(_to_mapping(output))
        output_values.setdefault("passages", output_values.get("sources") or ())
        values = {name: output_values[name] for name in cls.model_fields if output_values.get(name) is not None}
        values |= {name: value for name, value in fields.items() if value is not None}
        for name in ("citations", "guard"):
            values[name] = [_to_mapping(item) for item in values.get(name, ())]
        return cls(**values)


def _to_mapping(value: Any) -> Mapping[str, Any]:
    """Return a model, a citation or a finding as a mapping; a plain text becomes a finding without details."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return value if isinstance(value, Mapping) else {"what": str(value)}
