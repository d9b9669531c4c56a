"""What an answer's record holds, as Pydantic models, and how it is made of a chatbot's output."""

import hashlib
import os
import time
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


def new_id() -> str:
    """Returns an id, 32 hexadecimal digits, that sorts by the time it was made (a UUID of version 7, RFC 9562)."""
    random = bytearray(os.urandom(10))
    random[0] = 0x70 | random[0] & 0x0F
    random[2] = 0x80 | random[2] & 0x3F
    return f"{time.time_ns() // 1_000_000:012x}{random.hex()}"


def text_hash(text: str) -> str:
    """Returns the SHA-256 of a text in hexadecimal, by which a passage is recognised."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


class RecordedPassage(BaseModel):
    """A passage that the answer was given, by its place and hash; its text stays in the documents.

    Attributes:
        source: The file, or what the retriever calls the origin.
        page: The page, or None.
        heading: The headings above it.
        start: Where it starts in the source's extracted text, in characters.
        end: Where it ends.
        sha256: Of its text. Made of `text`, if that is given instead.
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
    def _hashed(cls, values: Any) -> Any:
        if isinstance(values, BaseModel):
            values = values.model_dump()
        if isinstance(values, Mapping) and isinstance(values.get("text"), str) and not values.get("sha256"):
            return {**values, "sha256": text_hash(values["text"])}
        return values


class AnswerRecord(BaseModel):
    """An answer and how it came about. `AuditLog` replaces user and session by pseudonyms and masks the texts.

    Attributes:
        id: Of the answer; made when none is given.
        user: Who asked; the log keeps a pseudonym.
        session: The conversation; the log keeps a pseudonym.
        question: As it was asked.
        standalone_question: What was searched for.
        passages: What the answer was given to work with.
        prompt_version: Of the prompts.
        domain: Of the chatbot.
        model: As from `provenance()`.
        sampling: Temperature, seed and the like.
        answer: As it was given.
        reasoning: What the model thought; a log keeps it only with `reasoning=True`.
        citations: As in a chatbot's output.
        unsupported: The answer's sentences that no passage supports.
        abstained: Whether it declined.
        reason: Why it answered or declined.
        usage: Tokens.
        timings: Seconds, by step.
        guard: What the guard rails found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(default_factory=new_id)
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
    abstained: bool = False
    reason: str = ""
    usage: dict[str, Any] | None = None
    timings: dict[str, float] = Field(default_factory=dict)
    guard: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(cls, output: BaseModel | Mapping[str, Any], **more: Any) -> Self:
        """Makes a record of a chatbot's output.

        Args:
            output: A `ChatbotOutput`, or a dict with any of its keys or of this record's. Its `sources` become
                `passages`; keys that neither has are left out, and None stands for a field that is not given.
            **more: Fields of this record, which go before those of `output`: `user`, `question`, `model`, ...

        Raises:
            pydantic.ValidationError: A field of another type, or in `more` of another name.
        """
        found = dict(_plain(output))
        found.setdefault("passages", found.get("sources") or ())
        values = {name: found[name] for name in cls.model_fields if found.get(name) is not None}
        values |= {name: value for name, value in more.items() if value is not None}
        for name in ("citations", "guard"):
            values[name] = [_plain(each) for each in values.get(name, ())]
        return cls(**values)


def _plain(value: Any) -> Mapping[str, Any]:
    """Returns a finding or a citation as a dict: a text is one without more."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return value if isinstance(value, Mapping) else {"what": str(value)}
