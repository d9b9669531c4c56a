"""Chat models, retrievers and documents for the chatbot's tests."""

from functools import cache

from langchain_core.documents import Document
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.retrievers import BaseRetriever
from openai_harmony import HarmonyEncoding, HarmonyEncodingName, load_harmony_encoding
from pydantic import Field

from langchain_gptoss import ChatGptOss
from langchain_gptoss.engine import ScriptedEngine

STANDARD, EXPRESS = "How much does standard delivery cost?", "How much does express delivery cost?"
PRICES = "Standard delivery costs 4.90 euros. Express delivery costs 12.90 euros."
EXPRESS_ANSWER = "Express delivery costs 12.90 euros."


class FixedRetriever(BaseRetriever):
    """Returns the same documents for every query, records the queries, and fails on the word "broken"."""

    documents: list[Document]
    queries: list[str] = Field(default_factory=list)

    def _get_relevant_documents(self, query, *, run_manager):
        self.queries.append(query)
        if "broken" in query:
            raise ConnectionError("no route")
        return self.documents


class RecordingModel(GenericFakeChatModel):
    """Gives its messages word by word, and records the prompts."""

    prompts: list = Field(default_factory=list)

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        self.prompts.append(messages)
        message = next(self.messages)
        for word in str(message.text).split(" "):
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_calls=message.tool_calls))

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.prompts.append(messages)
        return super()._generate(messages, stop, run_manager, **kwargs)

    def read_prompt(self, number: int) -> str:
        """Return the text of a recorded prompt."""
        return "\n".join(str(message.text) for message in self.prompts[number])


@cache
def load_encoding() -> HarmonyEncoding:
    """Return the encoding of gpt-oss, which takes a second to load."""
    return load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)


def build_model(*answers: str | AIMessage) -> RecordingModel:
    """Return a model that gives these answers."""
    messages = [answer if isinstance(answer, AIMessage) else AIMessage(answer) for answer in answers]
    return RecordingModel(messages=iter(messages))


def build_scripted_model(*answers: str) -> ChatGptOss:
    """Return a gpt-oss model whose engine gives the tokens of these answers."""
    texts = [f"<|channel|>final<|message|>{answer}<|return|>" for answer in answers]
    ids = [load_encoding().encode(text, allowed_special="all") for text in texts]
    return ChatGptOss(model="gpt-oss-20b", engine=ScriptedEngine(ids))


def build_retriever(*texts: str, **metadata) -> FixedRetriever:
    """Return a retriever over texts."""
    documents = [Document(text, metadata={"source": "prices.md", **metadata}) for text in texts or [PRICES]]
    return FixedRetriever(documents=documents)


def configure_user(user: str) -> dict:
    """Return the configuration of a run for a user."""
    return {"configurable": {"user_id": user}}
