"""Conversations that a chatbot remembers: apart from each other, kept short, listed, exported, deleted."""

import asyncio
import threading

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.retrievers import BaseRetriever
from pydantic import Field

from langchain_gptoss import create_chatbot
from langchain_gptoss.chatbot import Sessions, open_checkpointer
from langchain_gptoss.chatbot.history import remove_citation_markers, split_by_budget
from langchain_gptoss.errors import InvalidInputError, RetrievalError, SessionBusyError, StorageError

STANDARD, EXPRESS = "How much does standard delivery cost?", "How much does express delivery cost?"
DOCUMENTS = [
    Document("Standard delivery costs 4.90 euros. Express delivery costs 12.90 euros.", metadata={"source": "s.md"})
]


class Fixed(BaseRetriever):
    documents: list[Document] = DOCUMENTS
    asked: list[str] = Field(default_factory=list)

    def _get_relevant_documents(self, query, *, run_manager):
        self.asked.append(query)
        if "broken" in query:
            raise ConnectionError("no route")
        return self.documents


class Recorder(GenericFakeChatModel):
    """Answers as told and remembers what it was shown."""

    shown: list = Field(default_factory=list)

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        self.shown.append(messages)
        for piece in str(next(self.messages).text).split(" "):
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"{piece} "))

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.shown.append(messages)
        return super()._generate(messages, stop, run_manager, **kwargs)


def remembering(*answers, sessions=":memory:", **options):
    llm = Recorder(messages=iter(AIMessage(answer) for answer in answers))
    return llm, create_chatbot(llm, Fixed(asked=[]), sessions=sessions, **options)


def of(user):
    return {"configurable": {"user_id": user}}


@pytest.fixture(params=["memory", "sqlite"])
def place(request, tmp_path):
    return ":memory:" if request.param == "memory" else tmp_path / "été" / "sessions.sqlite"


def test_a_session_goes_on_with_its_history(place):
    llm, bot = remembering("4.90 euros.", EXPRESS, "12.90 euros.", sessions=place)
    assert bot.invoke({"question": STANDARD, "session_id": "a"})["answer"] == "4.90 euros. [1]"
    answer = bot.invoke({"question": "and for express delivery?", "session_id": "a"})
    assert answer["standalone_question"] == EXPRESS
    assert answer["answer"] == "12.90 euros. [1]"
    assert answer["metadata"]["session_id"] == "a"
    assert [m.text for m in llm.shown[-1][1:]] == [STANDARD, "4.90 euros.", "and for express delivery?"]
    assert [m.text for m in bot.sessions.get_messages("anonymous", "a")] == [
        STANDARD,
        "4.90 euros.",
        "and for express delivery?",
        "12.90 euros.",
    ]


async def test_async_and_sync_share_a_session(place):
    _, bot = remembering("4.90 euros.", "12.90 euros.", "4.90 euros.", sessions=place)
    await bot.ainvoke({"question": STANDARD, "session_id": "a"})
    _ = [piece async for piece in bot.astream({"question": EXPRESS, "session_id": "a"})]
    _ = list(bot.stream({"question": STANDARD, "session_id": "a"}))
    assert len(bot.sessions.get_messages("anonymous", "a")) == 6
    assert await bot.sessions.aget_messages("anonymous", "a") == bot.sessions.get_messages("anonymous", "a")


CROSSINGS = [("ada", "s"), ("ada/s", "x"), ("ada%2Fs", "x"), ("ada", "s/x"), ("ADA", "s"), ("ada ", "s"), ("ädä", "s")]


def test_nobody_crosses_over_into_another_session(place):
    answers = [f"{n}.90 euros." for n in range(1, 1 + len(CROSSINGS))]
    documents = [Document(f"Standard delivery of kind {n} costs {n}.90 euros.") for n in range(1, 10)]
    llm = Recorder(messages=iter(AIMessage(answer) for answer in answers))
    bot = create_chatbot(llm, Fixed(documents=documents), sessions=place, max_passages=10)
    for user, session in CROSSINGS:
        bot.invoke({"question": STANDARD, "session_id": session}, of(user))
    for (user, session), answer in zip(CROSSINGS, answers, strict=True):
        assert [m.text for m in bot.sessions.get_messages(user, session)] == [STANDARD, answer]
        assert session in [each.session_id for each in bot.sessions.list(user)]
    assert all(len(messages) == 2 for messages in llm.shown)  # the system's and the question: nobody else's history
    assert [each.session_id for each in bot.sessions.list("ada")] == ["s/x", "s"]
    assert bot.sessions.list("eve") == []
    assert bot.sessions.get_messages("eve", "s") == []
    with pytest.raises(InvalidInputError, match="no session 's'"):
        bot.sessions.export("eve", "s")
    bot.sessions.delete("eve", "s")
    assert len(bot.sessions.get_messages("ada", "s")) == 2


async def test_sessions_are_listed_exported_and_deleted(place):
    _, bot = remembering("4.90 euros.", "12.90 euros.", "4.90 euros.", sessions=place)
    for session, question in (("a", STANDARD), ("b", EXPRESS), ("a", STANDARD)):
        bot.invoke({"question": question, "session_id": session}, of("ada"))
    listed = bot.sessions.list("ada")
    assert [(s.session_id, s.messages, s.title) for s in listed] == [("a", 4, STANDARD), ("b", 2, EXPRESS)]
    assert await bot.sessions.alist("ada") == listed
    exported = bot.sessions.export("ada", "b")
    assert [m["data"]["content"] for m in exported["messages"]] == [EXPRESS, "12.90 euros."]
    assert await bot.sessions.aexport("ada", "b") == exported
    bot.sessions.delete("ada", "a")
    await bot.sessions.adelete("ada", "b")
    assert bot.sessions.list("ada") == []


def test_sqlite_keeps_one_state_of_each_session_and_survives_the_process(tmp_path):
    path = tmp_path / "sessions.sqlite"
    _, bot = remembering(*["4.90 euros."] * 5, sessions=path)
    for _ in range(5):
        bot.invoke({"question": STANDARD, "session_id": "a"})
    saver = bot.sessions.checkpointer
    assert saver.conn.execute("SELECT count(*) FROM checkpoints").fetchone() == (1,)
    assert saver.conn.execute("SELECT count(*) FROM writes").fetchone()[0] <= 1
    saver.conn.close()
    again = Sessions(open_checkpointer(path))
    assert len(again.get_messages("anonymous", "a")) == 10
    again.checkpointer.conn.close()


def test_passages_are_never_kept_with_a_session(tmp_path):
    path = tmp_path / "sessions.sqlite"
    secret = Document("Standard delivery costs 4.90 euros. The vault code is 7421-alpha.", metadata={"source": "s"})
    llm = Recorder(messages=iter([AIMessage("4.90 euros.")]))
    bot = create_chatbot(llm, Fixed(documents=[secret]), sessions=path)
    assert bot.invoke({"question": STANDARD, "session_id": "a"})["sources"][0]["text"] == secret.page_content
    bot.sessions.checkpointer.conn.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"4.90 euros." in kept
    assert b"7421-alpha" not in kept


def test_a_long_conversation_is_summed_up():
    llm, bot = remembering(
        "4.90 euros.", "12.90 euros.", "They asked for delivery prices.", "4.90 euros.", history_tokens=35
    )
    bot.invoke({"question": STANDARD, "session_id": "a"})
    bot.invoke({"question": EXPRESS, "session_id": "a"})
    answer = bot.invoke({"question": STANDARD, "session_id": "a"})
    assert answer["answer"] == "4.90 euros. [1]"
    assert "at most 150 words" in llm.shown[2][0].text
    assert STANDARD in llm.shown[2][1].text
    assert llm.shown[3][1].text == "They asked for delivery prices."
    exported = bot.sessions.export("anonymous", "a")
    assert exported["summary"] == "They asked for delivery prices."
    assert len(exported["messages"]) < 6


def test_what_overflows_is_the_beginning_and_what_stays_begins_with_a_question():
    messages = [HumanMessage("question " * 5), AIMessage("answer " * 5)] * 10
    older, recent = split_by_budget(messages, 150)
    assert [*older, *recent] == messages
    assert recent
    assert isinstance(recent[0], HumanMessage)
    assert split_by_budget(messages, 10_000) == ([], messages)
    assert split_by_budget(messages, 1) == (messages, [])
    assert split_by_budget([], 1) == ([], [])


def test_markers_are_not_remembered():
    assert (
        remove_citation_markers("It costs 4.90. [1] It is quick. [?] See [note].")
        == "It costs 4.90. It is quick. See [note]."
    )


def test_a_failed_answer_is_not_remembered_and_the_session_goes_on(place):
    _, bot = remembering("4.90 euros.", "12.90 euros.", sessions=place)
    bot.invoke({"question": STANDARD, "session_id": "a"})
    with pytest.raises(RetrievalError, match=r"Fixed failed \(ConnectionError: no route\)"):
        bot.invoke({"question": "How much does broken delivery cost?", "session_id": "a"})
    bot.invoke({"question": EXPRESS, "session_id": "a"})
    assert [m.text for m in bot.sessions.get_messages("anonymous", "a")] == [
        STANDARD,
        "4.90 euros.",
        EXPRESS,
        "12.90 euros.",
    ]


def test_a_second_question_meanwhile_is_refused():
    class EndlessAtFirst(Recorder):
        def _stream(self, messages, stop=None, run_manager=None, **kwargs):
            while not self.shown:
                yield ChatGenerationChunk(message=AIMessageChunk(content="Well, "))
            yield from super()._stream(messages, stop, run_manager, **kwargs)

    llm = EndlessAtFirst(messages=iter(AIMessage("12.90 euros.") for _ in range(2)))
    bot = create_chatbot(llm, Fixed(), sessions=":memory:")
    stream = bot.stream({"question": STANDARD, "session_id": "a"})
    next(stream)
    with pytest.raises(SessionBusyError, match="still answering"):
        bot.invoke({"question": EXPRESS, "session_id": "a"})
    with pytest.raises(SessionBusyError):
        bot.sessions.delete("anonymous", "a")
    stream.close()
    llm.shown.append("it has ended")
    bot.invoke({"question": EXPRESS, "session_id": "b"})
    assert bot.invoke({"question": EXPRESS, "session_id": "a"})["answer"] == "12.90 euros. [1]"
    assert len(bot.sessions.get_messages("anonymous", "a")) == 2


@pytest.mark.parametrize(
    ("value", "config", "message"),
    [
        ({"question": "x", "session_id": ""}, {}, "session_id is ''"),
        ({"question": "x", "session_id": "a\nb"}, {}, "control character"),
        ({"question": "x", "session_id": "a" * 201}, {}, "1 to 200 characters"),
        ({"question": "x", "session_id": 5}, {}, "session_id is 5"),
        ({"question": "x", "session_id": "a", "chat_history": [("human", "y")]}, {}, "both given"),
        ({"question": "x", "session_id": "a"}, of(""), "user_id is ''"),
        ({"question": "x", "session_id": "a"}, of(7), "user_id is '7'"),
        ({"question": "x", "sesion_id": "a"}, {}, "unknown fields: 'sesion_id'"),
        ({"question": "x", "chat_history": [5]}, {}, "chat_history cannot be read"),
    ],
)
def test_what_cannot_be_a_session_is_refused(value, config, message):
    _, bot = remembering()
    with pytest.raises(InvalidInputError, match=message):
        bot.invoke(value, config)


def test_a_session_needs_a_place(tmp_path):
    with pytest.raises(InvalidInputError, match="keeps no sessions"):
        remembering(sessions=None)[1].invoke({"question": "x", "session_id": "a"})
    (tmp_path / "no.sqlite").write_text("this is no database, and long enough to be read as one " * 50)
    with pytest.raises(StorageError, match="cannot be opened"):
        open_checkpointer(tmp_path / "no.sqlite")


async def test_many_sessions_at_once_stay_apart(tmp_path):
    class Echo(Recorder):
        def _stream(self, messages, stop=None, run_manager=None, **kwargs):
            yield ChatGenerationChunk(message=AIMessageChunk(content=messages[-1].text.replace("?", ".")))

    documents = [Document(f"Standard delivery number {n} costs {n} euros") for n in range(20)]
    llm = Echo(messages=iter([]))
    bot = create_chatbot(llm, Fixed(documents=documents), sessions=tmp_path / "s.sqlite", strict=False)
    asked = [f"Standard delivery number {n} costs {n} euros?" for n in range(20)]
    await asyncio.gather(
        *(bot.ainvoke({"question": asked[n], "session_id": f"s{n % 10}"}, of(f"u{n // 10}")) for n in range(20))
    )
    for n in range(20):
        assert bot.sessions.get_messages(f"u{n // 10}", f"s{n % 10}")[0].text == asked[n]
    bot.sessions.checkpointer.conn.close()


def test_a_listener_that_leaves_stops_the_model():
    produced, left = [], threading.Event()

    class Endless(Recorder):
        def _stream(self, messages, stop=None, run_manager=None, **kwargs):
            try:
                while True:
                    produced.append(1)
                    yield ChatGenerationChunk(message=AIMessageChunk(content=f"Number {len(produced)} is up. "))
            finally:
                left.set()

    bot = create_chatbot(Endless(messages=iter([])), Fixed(), strict=False)
    stream = bot.stream(STANDARD)
    for _ in range(5):
        next(stream)
    stream.close()
    assert left.wait(5)


async def test_an_async_listener_that_leaves_stops_the_model():
    left = asyncio.Event()

    class Endless(Recorder):
        async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
            try:
                for number in range(10_000_000):
                    yield ChatGenerationChunk(message=AIMessageChunk(content=f"Number {number} is up. "))
                    await asyncio.sleep(0)
            finally:
                left.set()

    bot = create_chatbot(Endless(messages=iter([])), Fixed(), strict=False)
    stream = bot.astream(STANDARD)
    for _ in range(5):
        await anext(stream)
    await stream.aclose()
    await asyncio.wait_for(left.wait(), 5)


class Breaking(Recorder):
    """Breaks off in the middle of its second sentence."""

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        yield ChatGenerationChunk(message=AIMessageChunk(content="Standard delivery costs 4.90 euros. Express del"))
        raise ConnectionError("the server went away")


async def test_a_model_that_breaks_off_is_an_error_and_nothing_is_remembered():
    bot = create_chatbot(Breaking(messages=iter([])), Fixed(), sessions=":memory:")
    question = {"question": STANDARD, "session_id": "a"}
    with pytest.raises(ConnectionError, match="went away"):
        bot.invoke(question)
    with pytest.raises(ConnectionError, match="went away"):
        await bot.ainvoke(question)
    shown = []
    with pytest.raises(ConnectionError, match="went away"):
        shown.extend(piece.answer for piece in bot.stream(question))
    with pytest.raises(ConnectionError, match="went away"):
        shown.extend([piece.answer async for piece in bot.astream(question)])
    assert bot.sessions.list("anonymous") == []


def test_an_answer_that_the_token_limit_cut_off_says_so():
    class Cut(Recorder):
        def _stream(self, messages, stop=None, run_manager=None, **kwargs):
            text = "Standard delivery costs 4.90 euros. Express delivery is ver"
            message = AIMessageChunk(content=text, response_metadata={"finish_reason": "length"})
            yield ChatGenerationChunk(message=message)

    answer = create_chatbot(Cut(messages=iter([])), Fixed()).invoke(STANDARD)
    assert answer.answer == "Standard delivery costs 4.90 euros. [1]"
    assert answer.metadata["finish_reason"] == "length"
