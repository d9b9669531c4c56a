"""The steps of an answer by themselves: a state and a context go in, changes come out."""

import threading
from dataclasses import replace

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableLambda

from langchain_gptoss import create_chatbot
from langchain_gptoss._flow import arun_flow, run_flow
from langchain_gptoss.chatbot.caller import Caller
from langchain_gptoss.chatbot.context import StepContext
from langchain_gptoss.chatbot.recorder import AnswerRecorder
from langchain_gptoss.chatbot.state import Abandoned, AnswerState, AnswerWriter
from langchain_gptoss.chatbot.steps.answer import AnswerCollector, generate_answer, verify_answer
from langchain_gptoss.chatbot.steps.retrieval import judge_passages, retrieve_documents
from langchain_gptoss.errors import RetrievalError
from langchain_gptoss.vectorstores import FaissStore
from langchain_gptoss.vectorstores.query_cache import QueryVectors
from tests.unit_tests.chatbot.fakes import EXPRESS, EXPRESS_ANSWER, PRICES, build_model, build_retriever
from tests.unit_tests.vectorstores.store_helpers import CountingEmbeddings


@pytest.fixture
def chunks():
    return []


@pytest.fixture
def context(chunks):
    bot = create_chatbot(build_model(EXPRESS_ANSWER), build_retriever())
    writer = AnswerWriter(send=chunks.append, abandoned=threading.Event())
    recorder = AnswerRecorder(bot.settings, Caller(), is_streamed=True)
    return StepContext(settings=bot.settings, caller=Caller(), writer=writer, config={}, recorder=recorder)


@pytest.fixture
def state(context):
    answer = AnswerState(
        question=EXPRESS,
        standalone_question=EXPRESS,
        queries=[(EXPRESS, 1.0)],
        texts=context.settings.select_texts(EXPRESS),
    )
    return {"answer_state": answer}


def run_steps(state, context, *steps):
    for step in steps:
        state = {**state, **run_flow(step(state, context))}
    return state


def test_the_steps_pass_the_state_on_and_write_chunks(state, context, chunks):
    answer = run_steps(state, context, retrieve_documents, judge_passages, generate_answer, verify_answer)[
        "answer_state"
    ]
    assert answer.answer == f"{EXPRESS_ANSWER} [1]" == "".join(chunk.answer for chunk in chunks)
    assert chunks[0].sources[0].number == 1
    assert state["answer_state"].answer == ""  # the state before is unchanged


@pytest.mark.parametrize("search_type", ["similarity", "mmr"])
async def test_an_answer_embeds_its_question_once(chunks, state, search_type):
    pytest.importorskip("faiss")
    embeddings = CountingEmbeddings("words")
    store = FaissStore.from_texts([PRICES], embeddings, [{"source": "prices.md"}])
    bot = create_chatbot(build_model(EXPRESS_ANSWER), store.as_retriever(search_type=search_type), decline_below=0.0)
    writer = AnswerWriter(send=chunks.append, abandoned=threading.Event())
    recorder = AnswerRecorder(bot.settings, Caller(), is_streamed=True)
    context = StepContext(settings=bot.settings, caller=Caller(), writer=writer, config={}, recorder=recorder)
    answer = run_steps(state, context, retrieve_documents, judge_passages)["answer_state"]
    assert answer.answer_stream is not None
    assert embeddings.count == 1
    answer = replace(state["answer_state"], query_vectors=QueryVectors())  # the same question of somebody else
    found = await arun_flow(retrieve_documents({"answer_state": answer}, context))
    await arun_flow(judge_passages(found, context))
    assert embeddings.count == 2


def test_nothing_is_written_after_the_caller_stops_reading(state, context, chunks):
    state = run_steps(state, context, retrieve_documents, judge_passages)
    context.writer.abandoned.set()
    chunks.clear()
    with pytest.raises(Abandoned):
        run_flow(generate_answer(state, context))
    collector = AnswerCollector(state["answer_state"], context.writer, withholds=True)
    with pytest.raises(Abandoned):
        collector.add(AIMessageChunk(content="Express"))
    assert chunks == []


def test_an_error_of_any_retriever_is_a_retrieval_error():
    def fail(query):
        raise KeyError("index")

    with pytest.raises(RetrievalError, match=r"failed \(KeyError: 'index'\). Check the index"):
        create_chatbot(build_model(), RunnableLambda(fail)).invoke(EXPRESS)
