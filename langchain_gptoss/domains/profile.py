"""The profile of a field: values, checked once, so that a chatbot never starts with a text that is missing."""

import hashlib
import json
import re
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationError

from langchain_gptoss.domains.validation import explain
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.text.normalization import fold_for_rules, fold_pattern

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = ("en", "fr")

_SAMPLES = 3


def _written(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; write the text")
    return text.strip()


def _one_line(text: str) -> str:
    if len(text.splitlines()) > 1:
        raise ValueError("has several lines; write one")
    return text


def _pattern(text: str) -> str:
    try:
        compiled = re.compile(fold_pattern(text), re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"is not a regular expression ({error}): {text}") from None
    if compiled.search(""):
        raise ValueError(f"fits every question, so that all would be refused: {text!r}")
    return text


Text = Annotated[str, AfterValidator(_written)]
Line = Annotated[str, AfterValidator(_written), AfterValidator(_one_line)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
Pattern = Annotated[str, AfterValidator(_written), AfterValidator(_pattern)]


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RetrievalSettings(_Values):
    """How the chatbot of a field looks things up.

    Attributes:
        passages: Number of passages that an answer is written from.
        strict: Shows only supported sentences; `False` marks the others.
        decline_below: Nearness of the nearest passage below which the question is declined; `None` is the limit that
            was calibrated for the embedding model.
    """

    passages: Annotated[int, Strict(), Field(ge=1, le=50)] = 4
    strict: Annotated[bool, Strict()] = True
    decline_below: Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)] | None = None


class SafetyRule(_Values):
    """What is refused without asking a model: a question that one of the patterns fits.

    Attributes:
        category: What the rule is about, for the log.
        patterns: Regular expressions, searched for in the question without regard to case and accents, with straight
            apostrophes and single spaces.
        message: What is said in place of the profile's `refusal`, or empty.
    """

    category: Name
    patterns: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    message: str = ""

    @cached_property
    def _compiled(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(fold_pattern(pattern), re.IGNORECASE) for pattern in self.patterns)

    def matches(self, text: str) -> bool:
        """Says whether the rule refuses this question."""
        plain = fold_for_rules(text)
        return any(pattern.search(plain) for pattern in self._compiled)


class SafetyPolicy(_Values):
    """What the chatbot refuses.

    Attributes:
        policy: A written policy for gpt-oss-safeguard, which answers 1 (violates) or 0 (safe) by it: instructions,
            definitions, what violates, what is safe, examples. Empty: no model is asked.
        refuse: The rules that need no model, in the order in which they are tried.
    """

    policy: str
    refuse: tuple[SafetyRule, ...] = ()

    def violated(self, text: str) -> SafetyRule | None:
        """Returns the first rule that refuses this question.

        Args:
            text: A question. The rules are written for questions: an answer on first aid may well say what a question
                must not.

        Returns:
            The rule, or `None`.
        """
        return next((rule for rule in self.refuse if rule.matches(text)), None)


class DomainProfile(_Values):
    """A field: who speaks, about what, how, and what is refused.

    Attributes:
        name: Its id, such as "support".
        language: "en" or "fr": the language of its texts.
        version: Of the texts, for the audit log.
        title: Its name for people.
        description: What it is for, in one line.
        persona: Who speaks.
        tone: How.
        scope: What is answered.
        outside: What lies outside the scope.
        answer_format: How an answer is built and what it must quote.
        disclaimer: What stands beside every answer, or empty.
        refusal: What is said to a question that the policy refuses.
        not_in_documents: What is said when the documents do not answer.
        out_of_scope: What is said when the question lies outside the field.
        sample_questions: At least three, shown to users.
        glossary: Terms of the field and their meaning.
        retrieval: How things are looked up.
        safety: What is refused.

    Raises:
        InvalidInputError: A key is unknown, a text is missing or empty, or a value has the wrong type.
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
    sample_questions: Annotated[tuple[Line, ...], Field(min_length=_SAMPLES)]
    glossary: dict[Line, Text] = Field(default_factory=dict)
    retrieval: RetrievalSettings = RetrievalSettings()
    safety: SafetyPolicy

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InvalidInputError(explain(error, type(self))) from error

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the content, in hexadecimal digits: changes when any value does."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()

    def refusal_to(self, text: str) -> str | None:
        """Returns what is said to a question that a rule refuses.

        Args:
            text: The question.

        Returns:
            The rule's message, or the profile's `refusal`; `None` where no rule fits.
        """
        rule = self.safety.violated(text)
        return None if rule is None else rule.message or self.refusal
