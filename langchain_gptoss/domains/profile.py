"""Domain profiles as validated values, so that a chatbot never starts with a missing text."""

import hashlib
import json
import re
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationError

from langchain_gptoss.domains.validation import explain_faults
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.text.normalization import fold_for_rules, fold_pattern

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = ("en", "fr")

_MIN_SAMPLE_QUESTIONS = 3
_MAX_PASSAGES = 50


def _strip_text(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; write the text")
    return text.strip()


def _check_single_line(text: str) -> str:
    if len(text.splitlines()) > 1:
        raise ValueError("has several lines; write one")
    return text


def _check_pattern(text: str) -> str:
    try:
        compiled = re.compile(fold_pattern(text), re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"is not a regular expression ({error}): {text}") from None
    if compiled.search(""):
        raise ValueError(f"matches every question, so that all would be refused: {text!r}")
    return text


Text = Annotated[str, AfterValidator(_strip_text)]
Line = Annotated[str, AfterValidator(_strip_text), AfterValidator(_check_single_line)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
Pattern = Annotated[str, AfterValidator(_strip_text), AfterValidator(_check_pattern)]


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RetrievalSettings(_Values):
    """Settings for retrieval and answers in a domain.

    Attributes:
        passages: Number of passages that are searched for an answer, 1 to 50.
        excerpt_chars: Maximum length of what the model reads of them, in characters; 0 means whole passages.
        strict: True shows only supported sentences; False marks the others.
        decline_below: Confidence, from 0 to 1, below which the question is declined; None means the calibrated limit.
    """

    passages: Annotated[int, Strict(), Field(ge=1, le=_MAX_PASSAGES)] = 8
    excerpt_chars: Annotated[int, Strict(), Field(ge=0)] = 1200
    strict: Annotated[bool, Strict()] = True
    decline_below: Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)] | None = None


class SafetyRule(_Values):
    """A rule that refuses questions without asking a model.

    Attributes:
        category: The subject of the rule, for the log.
        patterns: Regular expressions, one of which must match. They ignore case and accents, and are written with
            straight apostrophes and single spaces.
        message: The text to send instead of the profile's `refusal`, or empty.
    """

    category: Name
    patterns: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    message: str = ""

    @cached_property
    def _regexes(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(fold_pattern(pattern), re.IGNORECASE) for pattern in self.patterns)

    def matches(self, text: str) -> bool:
        """Return True if the rule refuses a question."""
        folded = fold_for_rules(text)
        return any(regex.search(folded) for regex in self._regexes)


class SafetyPolicy(_Values):
    """The questions that the chatbot refuses.

    Attributes:
        policy: A written policy for gpt-oss-safeguard, which answers 1 (violates) or 0 (safe): instructions,
            definitions, violations, safe content, examples. Empty: no model is asked.
        refuse: The rules that need no model, in the order in which they are tried.
    """

    policy: str
    refuse: tuple[SafetyRule, ...] = ()

    def find_violated_rule(self, question: str) -> SafetyRule | None:
        """Return the first rule that refuses a question, or None.

        Do not use it on answers. Rules are written for questions, and an answer about first aid may contain what a
        question may not.
        """
        return next((rule for rule in self.refuse if rule.matches(question)), None)


class DomainProfile(_Values):
    """The profile of a domain: persona, scope, form of the answers, and refused questions.

    Attributes:
        name: The id, such as "support".
        language: "en" or "fr", the language of the texts.
        version: Version of the texts, for the audit log.
        title: Name for people.
        description: Purpose, in one line.
        persona: Who the chatbot is.
        tone: The tone of its answers.
        scope: The topics that it answers.
        outside: Topics outside its scope.
        answer_format: The form of an answer, and the facts that it must quote.
        disclaimer: Notice to show with every answer, or empty.
        refusal: Sent if the policy refuses a question.
        not_in_documents: Sent if the documents do not answer.
        out_of_scope: Sent if the question is outside the scope.
        introduction: What the chatbot does, for greetings; empty: the `out_of_scope` text says it.
        sample_questions: Three or more questions to show to users.
        glossary: Terms of the domain and their meaning.
        retrieval: Settings for retrieval and answers.
        safety: The questions that are refused.

    Raises:
        InvalidInputError: A key is unknown, a text is missing or empty, or a value has the wrong type or size.
    """

    name: Name
    language: Language
    version: Line
    title: Line
    description: Line
    persona: Text
    tone: Text
    scope: Text
    outside: Text
    answer_format: Text
    disclaimer: str
    refusal: Text
    not_in_documents: Text
    out_of_scope: Text
    introduction: str = ""
    sample_questions: Annotated[tuple[Line, ...], Field(min_length=_MIN_SAMPLE_QUESTIONS)]
    glossary: dict[Line, Text] = Field(default_factory=dict)
    retrieval: RetrievalSettings = RetrievalSettings()
    safety: SafetyPolicy

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InvalidInputError(explain_faults(error, type(self))) from error

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the content, in hexadecimal digits. It changes with every value."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()

    def find_refusal(self, question: str) -> str | None:
        """Return the text to send for a question that a rule refuses; None if no rule matches."""
        rule = self.safety.find_violated_rule(question)
        return None if rule is None else rule.message or self.refusal
