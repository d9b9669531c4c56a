"""Remembered conversations: separate, kept short, listed, exported, deleted."""

import asyncio

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_gptoss import create_chatbot
from langchain_gptoss.errors import InvalidInputError, RetrievalError, SessionBusyError
from tests.unit_tests.chatbot.fakes import (
    EXPRESS,
    STANDARD,
    FixedRetriever,
    RecordingModel,
    build_model,
    build_retriever,
    configure_user,
)


def ask(question: str, session_id: str = "a") -> dict:
    return {"question": question, "session_id": session_id}


def list_texts(messages) -> list[str]:
    return [message.text for message in messages]


@pytest.fixture(params=["memory", "sqlite"])
def build_bot(request, tmp_path):
    """Return a function that builds a chatbot with sessions in memory or in a file; they are closed at the end."""
    location = ":memory:" if request.param == "memory" else tmp_path / "été" / "sessions.sqlite"
    bots = []

    def build(*answers, llm=None, retriever=None, **options):
        bots.append(
            create_chatbot(llm or build_model(*answers), retriever or build_retriever(), sessions=location, **options)
        )
        return bots[-1]

    yield build
    for bot in bots:
        bot.close()


def test_a_session_continues_with_its_history(build_bot):
    bot = build_bot("4.90 euros.", EXPRESS, "12.90 euros.")
    assert bot.invoke(ask(STANDARD))["answer"] == "4.90 euros. [1]"
    answer = bot.invoke(ask("and for express delivery?"))
    assert answer["standalone_question"] == EXPRESS
    assert answer["answer"] == "12.90 euros. [1]"
    assert answer["metadata"]["session_id"] == "a"
    history = [STANDARD, "4.90 euros."]
    *earlier, last = list_texts(bot.settings.llm.prompts[-1][1:])
    assert earlier == history
    assert last.endswith("Question: and for express delivery?")
    saved = [*history, "and for express delivery?", "12.90 euros."]
    assert list_texts(bot.sessions.get_messages("anonymous", "a")) == saved


async def test_async_and_sync_calls_share_a_session(build_bot):
    bot = build_bot("4.90 euros.", "12.90 euros.", "4.90 euros.")
    await bot.ainvoke(ask(STANDARD))
    _ = [chunk async for chunk in bot.astream(ask(EXPRESS))]
    _ = list(bot.stream(ask(STANDARD)))
    assert len(bot.sessions.get_messages("anonymous", "a")) == 6
    assert await bot.sessions.aget_messages("anonymous", "a") == bot.sessions.get_messages("anonymous", "a")


SIMILAR_NAMES = [
    ("ada", "s"),
    ("ada/s", "x"),
    ("ada%2Fs", "x"),
    ("ada", "s/x"),
    ("ADA", "s"),
    ("ada ", "s"),
    ("ädä", "s"),
]


def test_sessions_with_similar_names_are_separate(build_bot):
    answers = [f"{number}.90 euros." for number in range(1, 1 + len(SIMILAR_NAMES))]
    documents = [Document(f"Standard delivery of kind {number} costs {number}.90 euros.") for number in range(1, 10)]
    bot = build_bot(*answers, retriever=FixedRetriever(documents=documents), max_passages=10)
    for user, session in SIMILAR_NAMES:
        bot.invoke(ask(STANDARD, session), configure_user(user))
    for (user, session), answer in zip(SIMILAR_NAMES, answers, strict=True):
        assert list_texts(bot.sessions.get_messages(user, session)) == [STANDARD, answer]
        assert session in [summary.session_id for summary in bot.sessions.list(user)]
    assert all(len(prompt) == 2 for prompt in bot.settings.llm.prompts)  # system and question, no other history
    assert [summary.session_id for summary in bot.sessions.list("ada")] == ["s/x", "s"]
    assert bot.sessions.list("eve") == []
    assert bot.sessions.get_messages("eve", "s") == []
    with pytest.raises(InvalidInputError, match="no session 's'"):
        bot.sessions.export("eve", "s")
    bot.sessions.delete("eve", "s")
    assert len(bot.sessions.get_messages("ada", "s")) == 2


async def test_sessions_are_listed_exported_and_deleted(build_bot):
    bot = build_bot("4.90 euros.", "12.90 euros.", "4.90 euros.")
    for session, question in (("a", STANDARD), ("b", EXPRESS), ("a", STANDARD)):
        bot.invoke(ask(question, session), configure_user("ada"))
    summaries = bot.sessions.list("ada")
    rows = [(summary.session_id, summary.messages, summary.title) for summary in summaries]
    assert rows == [("a", 4, STANDARD), ("b", 2, EXPRESS)]
    assert await bot.sessions.alist("ada") == summaries
    exported = bot.sessions.export("ada", "b")
    assert [message["data"]["content"] for message in exported["messages"]] == [EXPRESS, "12.90 euros."]
    assert await bot.sessions.aexport("ada", "b") == exported
    bot.sessions.delete("ada", "a")
    await bot.sessions.adelete("ada", "b")
    assert bot.sessions.list("ada") == []


def test_a_long_conversation_is_summarized():
    llm = build_model("4.90 euros.", "12.90 euros.", "They asked for delivery prices.", "4.90 euros.")
    bot = create_chatbot(llm, build_retriever(), sessions=":memory:", history_tokens=35)
    bot.invoke(ask(STANDARD))
    bot.invoke(ask(EXPRESS))
    assert bot.invoke(ask(STANDARD))["answer"] == "4.90 euros. [1]"
    assert "at most 150 words" in llm.prompts[2][0].text
    assert STANDARD in llm.prompts[2][1].text
    assert llm.prompts[3][1].text == "They asked for delivery prices."
    exported = bot.sessions.export("anonymous", "a")
    assert exported["summary"] == "They asked for delivery prices."
    assert len(exported["messages"]) < 6


def test_a_failed_answer_is_not_remembered_and_the_session_continues(build_bot):
    bot = build_bot("4.90 euros.", "12.90 euros.")
    bot.invoke(ask(STANDARD))
    with pytest.raises(RetrievalError, match=r"FixedRetriever failed \(ConnectionError: no route\)"):
        bot.invoke(ask("How much does broken delivery cost?"))
    bot.invoke(ask(EXPRESS))
    texts = list_texts(bot.sessions.get_messages("anonymous", "a"))
    assert texts == [STANDARD, "4.90 euros.", EXPRESS, "12.90 euros."]


def test_a_second_question_during_an_answer_raises_an_error():
    class EndlessAtFirst(RecordingModel):
        def _stream(self, messages, stop=None, run_manager=None, **kwargs):
            while not self.prompts:
                yield ChatGenerationChunk(message=AIMessageChunk(content="Well, "))
            yield from super()._stream(messages, stop, run_manager, **kwargs)

    llm = EndlessAtFirst(messages=iter(AIMessage("12.90 euros.") for _ in range(2)))
    bot = create_chatbot(llm, build_retriever(), sessions=":memory:")
    stream = bot.stream(ask(STANDARD))
    next(stream)
    with pytest.raises(SessionBusyError, match="still answering"):
        bot.invoke(ask(EXPRESS))
    with pytest.raises(SessionBusyError):
        bot.sessions.delete("anonymous", "a")
    stream.close()
    llm.prompts.append("ends the endless stream")
    bot.invoke(ask(EXPRESS, "b"))
    assert bot.invoke(ask(EXPRESS))["answer"] == "12.90 euros. [1]"
    assert len(bot.sessions.get_messages("anonymous", "a")) == 2


@pytest.mark.parametrize(
    ("value", "config", "message"),
    [
        (ask("x", ""), {}, "session_id is ''"),
        (ask("x", "a\nb"), {}, "control character"),
        (ask("x", "a" * 201), {}, "1 to 200 characters"),
        ({**ask("x"), "chat_history": [("human", "y")]}, {}, "both given"),
        (ask("x"), configure_user(""), "user_id is ''"),
        (ask("x"), configure_user(7), "user_id is '7'"),
    ],
)
def test_an_invalid_session_raises_an_error(value, config, message):
    bot = create_chatbot(build_model(), build_retriever(), sessions=":memory:")
    with pytest.raises(InvalidInputError, match=message):
        bot.invoke(value, config)


def test_a_session_without_a_checkpointer_raises_an_error():
    with pytest.raises(InvalidInputError, match="keeps no sessions"):
        create_chatbot(build_model(), build_retriever()).invoke(ask("x"))


async def test_concurrent_sessions_stay_separate(tmp_path):
    class Echo(RecordingModel):
        def _stream(self, messages, stop=None, run_manager=None, **kwargs):
            yield ChatGenerationChunk(message=AIMessageChunk(content=messages[-1].text.replace("?", ".")))

    documents = [Document(f"Standard delivery number {number} costs {number} euros") for number in range(20)]
    retriever = FixedRetriever(documents=documents)
    questions = [f"Standard delivery number {number} costs {number} euros?" for number in range(20)]
    with create_chatbot(Echo(messages=iter([])), retriever, sessions=tmp_path / "s.sqlite", strict=False) as bot:
        await asyncio.gather(
            *(
                bot.ainvoke(ask(question, f"s{number % 10}"), configure_user(f"u{number // 10}"))
                for number, question in enumerate(questions)
            )
        )
        for number, question in enumerate(questions):
            assert bot.sessions.get_messages(f"u{number // 10}", f"s{number % 10}")[0].text == question


class BreakingModel(RecordingModel):
    """Fails in the middle of its second sentence."""

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        yield ChatGenerationChunk(message=AIMessageChunk(content="Standard delivery costs 4.90 euros. Express del"))
        raise ConnectionError("the server went away")


async def test_a_model_that_fails_raises_its_error_and_nothing_is_remembered():
    bot = create_chatbot(BreakingModel(messages=iter([])), build_retriever(), sessions=":memory:")
    with pytest.raises(ConnectionError, match="went away"):
        bot.invoke(ask(STANDARD))
    with pytest.raises(ConnectionError, match="went away"):
        await bot.ainvoke(ask(STANDARD))
    with pytest.raises(ConnectionError, match="went away"):
        list(bot.stream(ask(STANDARD)))
    with pytest.raises(ConnectionError, match="went away"):
        _ = [chunk async for chunk in bot.astream(ask(STANDARD))]
    assert bot.sessions.list("anonymous") == []
