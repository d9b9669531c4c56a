"""Input and output of a chatbot as Pydantic models, so that LangServe and other frameworks know their schema.

Their fields can be read as keys, too (`output["answer"]`), because over HTTP they arrive as dicts.
"""

from typing import Any, Literal, Self

from langchain_core.messages import AnyMessage
from langchain_core.messages.ai import UsageMetadata
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

MessageKind = Literal["question", "greeting", "thanks", "farewell", "identity", "overview", "summary"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def __getitem__(self, name: str) -> Any:
        if name in type(self).model_fields:
            return getattr(self, name)
        raise KeyError(name)

    def __contains__(self, name: str) -> bool:
        return name in self.model_fields_set

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field that is set, else the default, as a dict does."""
        return self[name] if name in self.model_fields_set else default


class ChatbotInput(_Value):
    """A question to a chatbot.

    Attributes:
        question: The question.
        chat_history: The conversation before the question, outside of sessions.
        session_id: The user's conversation to continue; the chatbot must keep sessions.
    """

    question: str
    chat_history: list[AnyMessage] = Field(default_factory=list)
    session_id: str | None = None


class Source(_Value):
    """A passage on which the answer is based.

    Attributes:
        number: Rank among the passages, from 1.
        source: The file, or the origin that the retriever names.
        heading: The headings above the passage, or empty.
        page: The page, or None.
        start: Offset in the source's extracted text, in characters.
        end: End offset.
        text: The passage, `source_text[start:end]`.
        relevance: The retriever's score of relevance to the question, or None.
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
        number: The number in brackets in the answer.
        claim: The answer's sentence.
        verdict: `"supported"` for a sentence of the model that the span supports, `"quoted"` for the span itself.
        score: Calibrated probability that the span supports the claim, from 0 to 1; 1 for a quotation.
        source: The file, or the origin that the retriever names.
        heading: The headings above the span, or empty.
        page: The page, or None.
        start: Offset of the quote in the source's extracted text, in characters.
        end: End offset.
        quote: The quoted text, `source_text[start:end]`.
        context: What introduces a quoted list item ("The warranty does not cover:"), and a quoted row of a Markdown
            table with the names of its columns ("Season: Summer; Fare: 42 EUR"); empty for other sentences.
    """

    number: int
    claim: str
    verdict: Literal["supported", "quoted"]
    score: float = 1.0
    source: str
    heading: str = ""
    page: int | None = None
    start: int
    end: int
    quote: str
    context: str = ""


class CheckedClaim(_Value):
    """The verdict on a sentence of the model, shown or not.

    Attributes:
        claim: The sentence.
        verdict: `"supported"`, `"partly"` (a condition or a part is not stated), `"contradicted"`, or `"not found"`.
        score: Calibrated probability that the documents support it, from 0 to 1.
        reason: The reason, as a clause for people.
        number: The number of its citation, None without one.
    """

    claim: str
    verdict: Literal["supported", "partly", "contradicted", "not found"]
    score: float
    reason: str
    number: int | None = None


class ChatbotOutput(_Value):
    """The output of a chatbot.

    Attributes:
        sources: The passages on which the answer is based; empty if the chatbot declined before calling the model.
        answer: The text, with numbers in brackets that point to `citations`.
        reasoning: The model's reasoning, if it gives any.
        citations: The spans that support the answer.
        unsupported: Sentences of the answer that no passage supports, marked with [?]; empty under `strict=True`.
        claims: The verdict on each sentence of the model, those that were left out included.
        kind: What the message was: `"question"`; `"summary"` of a document, `"overview"` of all; `"greeting"`,
            `"thanks"`, `"farewell"`, or `"identity"` ("Who are you?").
        abstained: True if the chatbot declined.
        reason: The reason why it answered or declined, in words.
        standalone_question: The question that was searched for, completed from the conversation.
        language: Language of the chatbot's own texts, `"en"` or `"fr"`.
        notice: A remark about the model, such as that it cannot write in the language of the question; or empty.
        disclaimer: The domain's notice to show with every answer, or empty.
        usage: Tokens read and written by the model; None if it was not asked.
        timings: Seconds spent, by step.
        metadata: The model and its provenance, the domain, the version of the prompts, and the audit record.
    """

    sources: list[Source] = Field(default_factory=list)
    answer: str = ""
    reasoning: str = ""
    citations: list[Citation] = Field(default_factory=list)
    unsupported: list[str] = Field(default_factory=list)
    claims: list[CheckedClaim] = Field(default_factory=list)
    kind: MessageKind = "question"
    abstained: bool = False
    reason: str = ""
    standalone_question: str = ""
    language: str = ""
    notice: str = ""
    disclaimer: str = ""
    usage: UsageMetadata | None = None
    timings: dict[str, float] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)


class ChatbotChunk(ChatbotOutput):
    """A part of an output: `sources` come first, then pieces of `reasoning` and `answer`, then the rest.

    Chunks add up to the whole output, as message chunks do. `model_fields_set` names the fields of a chunk; only these
    are serialized.
    """

    def __add__(self, other: "ChatbotChunk") -> Self:
        values = other.get_set_fields()
        for name in {"answer", "reasoning"} & values.keys():
            values[name] = getattr(self, name) + values[name]
        # Chunks are added for every piece of an answer, and `model_construct` calls all default factories.
        return self.model_copy(update=values)

    def get_set_fields(self) -> dict[str, Any]:
        """Return the fields that this chunk sets."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    def to_output(self) -> ChatbotOutput:
        """Return the sum of all chunks as an output."""
        return ChatbotOutput.model_construct(**self.get_set_fields())

    @model_serializer(mode="wrap")
    def _serialize_set_fields(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if name in self.model_fields_set}
