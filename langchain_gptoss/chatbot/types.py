"""What a chatbot takes and gives: Pydantic models, so that LangServe and other frameworks know their shape.

Their fields can be read as keys too (`output["answer"]`): over HTTP they arrive as dicts, and the same code reads both.
"""

from typing import Any, Literal, Self

from langchain_core.messages import AnyMessage
from langchain_core.messages.ai import UsageMetadata
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def __getitem__(self, name: str) -> Any:
        if name in type(self).model_fields:
            return getattr(self, name)
        raise KeyError(name)

    def __contains__(self, name: str) -> bool:
        return name in self.model_fields_set

    def get(self, name: str, default: Any = None) -> Any:
        """Returns a field that is set, as a dict would."""
        return self[name] if name in self.model_fields_set else default


class ChatbotInput(_Value):
    """A question to a chatbot.

    Attributes:
        question: The question.
        chat_history: The conversation before it, for a chatbot that keeps no sessions or a question outside of them.
        session_id: The conversation to go on with, among those of the user; the chatbot must keep sessions.
    """

    question: str
    chat_history: list[AnyMessage] = Field(default_factory=list)
    session_id: str | None = None


class Source(_Value):
    """A passage that the answer was given to work with.

    Attributes:
        number: Its place among the passages, from 1.
        source: The file, or what the retriever calls the origin.
        heading: The headings above it, or empty.
        page: The page, or None.
        start: Where it starts in the source's extracted text, in characters.
        end: Where it ends.
        text: The passage, `source_text[start:end]`.
        relevance: How near it is to the question, by the retriever; None where that does not say.
    """

    number: int
    source: str
    heading: str = ""
    page: int | None = None
    start: int
    end: int
    text: str
    relevance: float | None = None


class Citation(_Value):
    """A span of a source that supports a sentence of the answer.

    Attributes:
        number: As it stands in the answer, in brackets.
        claim: The answer's sentence.
        verdict: `"supported"` for a sentence of the model that the span supports, `"quoted"` for the span itself.
        source: The file, or what the retriever calls the origin.
        heading: The headings above the span, or empty.
        page: The page, or None.
        start: Where the quote starts in the source's extracted text, in characters.
        end: Where it ends.
        quote: The quoted text, `source_text[start:end]`.
    """

    number: int
    claim: str
    verdict: Literal["supported", "quoted"]
    source: str
    heading: str = ""
    page: int | None = None
    start: int
    end: int
    quote: str


class ChatbotOutput(_Value):
    """What a chatbot gives.

    Attributes:
        sources: The passages that the answer was given to work with; empty when it declined before.
        answer: The text, with numbers in brackets that point to `citations`.
        reasoning: What the model thought before it answered, where it says.
        citations: The spans that support the answer.
        unsupported: The answer's sentences that no passage supports, marked with [?] in it; empty under `strict=True`.
        abstained: Whether it declined.
        reason: Why it answered or declined, for people.
        standalone_question: What was searched for: the question, completed from the conversation.
        language: Of the chatbot's fixed texts, `"en"` or `"fr"`.
        disclaimer: What the domain wants said beside every answer, or empty.
        usage: Tokens read and written by the model; None where it was not asked.
        timings: Seconds spent, by step.
        metadata: The model and its provenance, the domain, the prompt's version, and where the answer is recorded.
    """

    sources: list[Source] = Field(default_factory=list)
    answer: str = ""
    reasoning: str = ""
    citations: list[Citation] = Field(default_factory=list)
    unsupported: list[str] = Field(default_factory=list)
    abstained: bool = False
    reason: str = ""
    standalone_question: str = ""
    language: str = ""
    disclaimer: str = ""
    usage: UsageMetadata | None = None
    timings: dict[str, float] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)


class ChatbotChunk(ChatbotOutput):
    """A piece of an output: `sources` come first, then pieces of `reasoning` and `answer`, then the rest.

    Pieces add up to the whole, as message chunks do. `model_fields_set` says what a piece holds, and only that is
    written when it is serialised.
    """

    def __add__(self, other: "ChatbotChunk") -> Self:
        values = self.values()
        for name in other.model_fields_set:
            value = getattr(other, name)
            values[name] = values.get(name, "") + value if name in ("answer", "reasoning") else value
        return type(self).model_construct(set(values), **values)

    def values(self) -> dict[str, Any]:
        """Returns what this piece holds, by field."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    def whole(self) -> ChatbotOutput:
        """Returns the output that this piece has become."""
        return ChatbotOutput.model_construct(**self.values())

    @model_serializer(mode="wrap")
    def _only_what_it_holds(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if name in self.model_fields_set}
