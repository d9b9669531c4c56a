"""Documents that a caller may not see: nothing of them reaches prompt, answer, sources, session or log."""

import json

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from pydantic import Field

from langchain_gptoss import BM25Retriever, FaissStore, HybridRetriever, NeighbourRetriever, create_chatbot
from langchain_gptoss.chatbot.access import Access
from langchain_gptoss.errors import InvalidInputError

QUESTION = "How much is the bonus of the directors?"
SECRET = "The bonus of the directors is 81,250 euros a year."
DOCUMENTS = [
    Document(SECRET, id="1", metadata={"source": "board.md", "access": ["board"]}),
    Document("The bonus of the staff is 500 euros a year.", id="2", metadata={"source": "staff.md", "access": ["hr"]}),
    Document(
        "The bonus of the directors is on no page of this.", id="3", metadata={"source": "p", "access": ["public"]}
    ),
    Document("Unlabelled: the bonus of the directors is 81,250 euros.", id="4", metadata={"source": "lost.md"}),
    Document(
        "Odd: the bonus of the directors is 92,000.", id="5", metadata={"source": "x", "access": "board hr public"}
    ),
]


class Gossip(GenericFakeChatModel):
    """Repeats everything it was shown."""

    shown: list = Field(default_factory=list)

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        self.shown.append(str(messages))
        yield ChatGenerationChunk(message=AIMessageChunk(content=messages[0].text.split("Passages:")[-1]))


class FilterIgnorer(BaseRetriever):
    """Takes a filter, and does not care."""

    def _get_relevant_documents(self, query, *, run_manager, filter=None):
        return DOCUMENTS


def faiss():
    store = FaissStore(DeterministicFakeEmbedding(size=16))
    store.add_documents(DOCUMENTS)
    return store.as_retriever(search_kwargs={"k": 5})


def words():
    return BM25Retriever.from_documents(DOCUMENTS)


RETRIEVERS = {
    "faiss": faiss,
    "bm25": words,
    "hybrid": lambda: HybridRetriever(retrievers=[words(), faiss()]),
    "neighbours": lambda: NeighbourRetriever(retriever=words(), chunks=words()),
    "ignores": FilterIgnorer,
}


@pytest.mark.parametrize("kind", RETRIEVERS)
@pytest.mark.parametrize("labels", [["hr"], [], ["boar"], ["board "], ["BOARD"], ["hr", "it"]])
async def test_nothing_of_a_forbidden_document_comes_out(kind, labels, tmp_path):
    llm = Gossip(messages=iter([]))
    bot = create_chatbot(
        llm,
        RETRIEVERS[kind](),
        access="access",
        strict=False,
        decline_below=0,
        sessions=tmp_path / "s.sqlite",
        audit=tmp_path / "audit.jsonl",
    )
    config = {"configurable": {"user_id": "ada", "access_labels": labels}}
    question = {"question": QUESTION, "session_id": "a"}
    events = [event async for event in bot.astream_events(question, config, version="v2")]
    outputs = [bot.invoke(question, config), await bot.ainvoke(question, config), *bot.stream(question, config)]
    bot.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir()).decode(errors="replace")
    said = json.dumps([output.model_dump() for output in outputs])
    leaked = ("81,250", "board.md", "lost.md")
    assert not [word for word in (*leaked, "92,000") for text in (*llm.shown, said, kept) if word in text]
    if kind != "ignores":  # what a retriever gives to LangChain's callbacks is out of our hands
        assert not [word for word in leaked if word in str(events)]
    assert ("500 euros" in said) == ("hr" in labels)


def test_who_may_see_it_does():
    bot = create_chatbot(Gossip(messages=iter([])), words(), access="access", decline_below=0)
    answer = bot.invoke(QUESTION, {"configurable": {"access_labels": ["board"]}})
    assert "81,250" in answer["answer"]
    assert {source["source"] for source in answer["sources"]} == {"board.md", "p"}


def test_a_caller_without_labels_sees_what_is_public():
    bot = create_chatbot(Gossip(messages=iter([])), words(), access="access", decline_below=0)
    assert [source["source"] for source in bot.invoke(QUESTION)["sources"]] == ["p"]


def test_a_retriever_that_cannot_be_told_is_refused():
    for retriever in (RunnableLambda(lambda _: DOCUMENTS), _Deaf()):
        with pytest.raises(InvalidInputError, match="takes no filter"):
            create_chatbot(Gossip(messages=iter([])), retriever, access="access")


class _Deaf(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return DOCUMENTS


@pytest.mark.parametrize("labels", ["board", [5], [["board"]]])
def test_labels_must_be_a_list_of_texts(labels):
    bot = create_chatbot(Gossip(messages=iter([AIMessage("x")])), words(), access="access")
    with pytest.raises(InvalidInputError, match="access_labels is"):
        bot.invoke(QUESTION, {"configurable": {"access_labels": labels}})


def test_the_filter():
    assert Access("acl").build_filter(["b", "a", "b"]) == {
        "$or": [{"acl": {"$contains": "a"}}, {"acl": {"$contains": "b"}}, {"acl": {"$contains": "public"}}]
    }
    with pytest.raises(InvalidInputError, match="name of the metadata field"):
        Access("")
