"""Access labels: nothing of a forbidden document reaches prompt, answer, sources, session or log."""

import json

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda

from langchain_gptoss import BM25Retriever, FaissStore, HybridRetriever, NeighbourRetriever, create_chatbot
from langchain_gptoss.chatbot.access import Access
from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.chatbot.fakes import RecordingModel, build_model, build_retriever

QUESTION = "How much is the bonus of the directors?"
DOCUMENTS = [
    Document(
        "The bonus of the directors is 81,250 euros a year.",
        id="1",
        metadata={"source": "board.md", "access": ["board"]},
    ),
    Document("The bonus of the staff is 500 euros a year.", id="2", metadata={"source": "staff.md", "access": ["hr"]}),
    Document(
        "The bonus of the directors is on no page of this.", id="3", metadata={"source": "p", "access": ["public"]}
    ),
    Document("Unlabelled: the bonus of the directors is 81,250 euros.", id="4", metadata={"source": "lost.md"}),
    Document(
        "Odd: the bonus of the directors is 92,000.", id="5", metadata={"source": "x", "access": "board hr public"}
    ),
]


class RepeatingModel(RecordingModel):
    """Repeats all passages of its prompt."""

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        self.prompts.append(str(messages))
        yield ChatGenerationChunk(message=AIMessageChunk(content=messages[-1].text.split("Passages:")[-1]))

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.prompts.append(str(messages))  # asks to complete a follow-up
        return ChatResult(generations=[ChatGeneration(message=AIMessage(messages[-1].text))])


class FilterIgnoringRetriever(BaseRetriever):
    """Takes a filter and ignores it."""

    documents: list[Document] = DOCUMENTS

    def _get_relevant_documents(self, query, *, run_manager, filter=None):
        return self.documents


def build_faiss_retriever():
    store = FaissStore(DeterministicFakeEmbedding(size=16))
    store.add_documents(DOCUMENTS)
    return store.as_retriever(search_kwargs={"k": 5})


def build_bm25_retriever():
    return BM25Retriever.from_documents(DOCUMENTS)


RETRIEVERS = {
    "faiss": build_faiss_retriever,
    "bm25": build_bm25_retriever,
    "hybrid": lambda: HybridRetriever(retrievers=[build_bm25_retriever(), build_faiss_retriever()]),
    "neighbours": lambda: NeighbourRetriever(retriever=build_bm25_retriever(), chunks=build_bm25_retriever()),
    "ignores": FilterIgnoringRetriever,
}


@pytest.mark.parametrize("kind", RETRIEVERS)
async def test_forbidden_documents_leave_no_trace(kind, tmp_path):
    llm = RepeatingModel(messages=iter([]))
    bot = create_chatbot(
        llm,
        RETRIEVERS[kind](),
        access="access",
        strict=False,
        decline_below=0,
        sessions=tmp_path / "s.sqlite",
        audit=tmp_path / "audit.jsonl",
    )
    question = {"question": QUESTION, "session_id": "a"}
    config = {"configurable": {"user_id": "ada", "access_labels": ["hr", "boar", "board ", "BOARD"]}}
    with bot:
        events = [event async for event in bot.astream_events(question, config, version="v2")]
        outputs = [bot.invoke(question, config), await bot.ainvoke(question, config), *bot.stream(question, config)]
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir()).decode(errors="replace")
    output = json.dumps([output.model_dump() for output in outputs])
    secrets = ("81,250", "board.md", "lost.md")
    assert not [secret for secret in (*secrets, "92,000") for text in (*llm.prompts, output, files) if secret in text]
    if kind != "ignores":  # LangChain's callbacks receive what the retriever returns, before the second check
        assert not [secret for secret in secrets if secret in str(events)]
    assert "500 euros" in output


@pytest.mark.parametrize(
    ("labels", "sources"),
    [(["board"], {"board.md", "p"}), (["hr", "it"], {"staff.md", "p"}), (["boar"], {"p"}), ([], {"p"})],
)
def test_a_caller_finds_documents_with_a_common_label_and_public_ones(labels, sources):
    bot = create_chatbot(
        RepeatingModel(messages=iter([])), build_bm25_retriever(), access="access", decline_below=0, strict=False
    )
    answer = bot.invoke(QUESTION, {"configurable": {"access_labels": labels}})
    assert {source["source"] for source in answer["sources"]} == sources
    assert ("81,250" in answer["answer"]) == ("board" in labels)


def test_a_retriever_without_a_filter_raises_an_error():
    for retriever in (RunnableLambda(lambda _: DOCUMENTS), build_retriever()):
        with pytest.raises(InvalidInputError, match="takes no filter"):
            create_chatbot(build_model(), retriever, access="access")


def test_labels_that_are_no_list_raise_an_error():
    bot = create_chatbot(build_model(), build_bm25_retriever(), access="access")
    with pytest.raises(InvalidInputError, match="access_labels is"):
        bot.invoke(QUESTION, {"configurable": {"access_labels": "board"}})


def test_the_filter_accepts_each_label_once_and_public():
    assert Access("acl").build_filter(["b", "a", "b"]) == {"acl": {"$contains_any": ["a", "b", "public"]}}


FORMS = [
    ("hr", "a text"),
    ("non-public", "a text"),
    ("public", "a text"),
    ("hr, public", "a text"),
    (5, "a number"),
    (True, "a truth value"),
    (None, "empty"),
    (["public", 5], "a list"),
    (["public", None], "a list"),
    (["public", ["hr"]], "a list"),
    ([""], "a list"),
    ({"public": True}, "a table"),
    ({"public", "hr"}, "a set"),
]


@pytest.mark.parametrize("kind", ["bm25", "faiss", "ignores"])
@pytest.mark.parametrize(("value", "description"), FORMS)
async def test_labels_of_other_forms_hide_their_document_and_are_named(value, description, kind, tmp_path, caplog):
    if kind == "faiss" and isinstance(value, set):
        pytest.skip("FaissStore stores JSON")
    documents = [
        Document("The bonus of the staff is 500 euros.", metadata={"source": "odd.md", "access": value}),
        Document("The bonus of the staff is paid in May.", metadata={"source": "ok.md", "access": ["public", "x"]}),
    ]
    store = FaissStore(DeterministicFakeEmbedding(size=16))
    if kind == "faiss":
        store.add_documents(documents)
    retriever = {
        "bm25": lambda: BM25Retriever.from_documents(documents),
        "faiss": store.as_retriever,
        "ignores": lambda: FilterIgnoringRetriever(documents=documents),
    }[kind]()
    llm = RepeatingModel(messages=iter([]))
    log = tmp_path / "audit.jsonl"
    with create_chatbot(llm, retriever, access="access", strict=False, decline_below=0, audit=log) as bot:
        config = {"configurable": {"access_labels": ["hr", "5", "None"]}}
        for output in (bot.invoke(QUESTION, config), await bot.ainvoke(QUESTION, config)):
            assert [source["source"] for source in output["sources"]] == ["ok.md"]
    assert "500 euros" not in "".join(llm.prompts) + log.read_text()
    assert '"labels":["public","x"]' in log.read_text().replace(" ", "")
    (message,) = [record.message for record in caplog.records if "hidden from everyone" in record.message]
    assert "odd.md" in message
    assert description in message


@pytest.mark.parametrize("value", [[], ["Public"], ["PUBLIC"], ["public "], [" public"], ["non-public"], ["publi"]])
def test_lists_without_a_common_label_hide_their_document_without_a_warning(value, caplog):
    document = Document("The bonus of the staff is 500 euros.", metadata={"source": "x.md", "access": value})
    bot = create_chatbot(build_model(), BM25Retriever.from_documents([document]), access="access")
    assert bot.invoke(QUESTION, {"configurable": {"access_labels": ["hr"]}})["sources"] == []
    assert caplog.records == []


def test_labels_may_be_in_a_nested_field():
    document = Document("The bonus of the staff is 500 euros.", metadata={"source": "x", "acl": {"read": ["hr"]}})
    bot = create_chatbot(build_model(), BM25Retriever.from_documents([document]), access="acl.read")
    assert bot.invoke(QUESTION)["sources"] == []
    assert len(Access("acl.read").select_visible([document], ["hr"])) == 1


def test_a_retriever_of_many_wrong_labels_writes_a_bounded_number_of_warnings(caplog):
    documents = [Document("bonus", metadata={"source": str(n), "access": "hr"}) for n in range(500)]
    access = Access("access")
    assert access.select_visible(documents * 2, ["hr"]) == []
    assert len(caplog.records) == 100


@pytest.mark.parametrize(
    ("metadata", "page", "start"),
    [
        ({"page": "iv", "start": "abc"}, None, 0),
        ({"page": "12", "start": "7"}, 12, 7),
        ({"page": 3.0, "start": float("nan")}, 3, 0),
        ({"page": [1], "start": -5}, None, 0),
        ({"page": True, "start": None, "relevance_score": "high"}, None, 0),
        ({"page": 10**400, "start": {}, "relevance_score": float("inf")}, 10**400, 0),
    ],
)
def test_odd_pages_and_offsets_do_not_fail_an_answer(metadata, page, start, tmp_path):
    documents = [Document("The bonus of the staff is 500 euros.", metadata={"source": "x", **metadata})]
    bot = create_chatbot(
        RepeatingModel(messages=iter([])),
        FilterIgnoringRetriever(documents=documents),
        decline_below=0,
        strict=False,
        audit=tmp_path / "a.jsonl",
    )
    with bot:
        (source,) = bot.invoke(QUESTION)["sources"]
    assert (source["page"], source["start"]) == (page if page != 10**400 else None, start)


def test_an_empty_field_name_raises_an_error():
    with pytest.raises(InvalidInputError, match="name of the metadata field"):
        Access("")
