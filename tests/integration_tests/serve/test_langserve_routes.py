"""LangServe's routes, used by LangServe's own RemoteRunnable over real sockets."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from fastapi import FastAPI
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableLambda
from langserve import RemoteRunnable

from langchain_gptoss import create_chatbot
from langchain_gptoss.chatbot import ChatbotOutput
from langchain_gptoss.serve import ServerSettings, add_chatbot_routes
from tests.integration_tests.serve.helpers import (
    ANSWER,
    CITED_ANSWER,
    FIRST_FIELDS,
    INPUT,
    LONG_ANSWER,
    OUTPUT_FIELDS,
    QUESTION,
    TEXTS,
    UNANSWERABLE,
    BreakingEngine,
    SlowEngine,
    connect,
    encode_answer,
    make_app,
    make_chatbot,
    make_engine,
    post_and_disconnect,
    read_metric,
    run_server,
    serve_chatbot,
    wait_until,
)

NO_LIMIT = ServerSettings(requests_per_minute=None)


@contextmanager
def serve_remote(chatbot: Runnable) -> Iterator[RemoteRunnable]:
    with run_server(make_app(chatbot, langserve=True)) as address:
        remote = RemoteRunnable(f"{address}/chatbot/", timeout=60)
        yield remote
        remote.sync_client.close()


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A client of a server with enough answers for the whole module."""
    chatbot = make_chatbot(make_engine(*[ANSWER] * 100))
    with serve_chatbot(chatbot, langserve=True, title="Help desk", settings=NO_LIMIT) as client:
        yield client


@pytest.fixture
def remote(client) -> Iterator[RemoteRunnable]:
    remote = RemoteRunnable(f"{client.base_url}/chatbot/", timeout=60)
    yield remote
    remote.sync_client.close()


def to_plain(value: object) -> dict:
    """Return an output as JSON, without its timings."""
    output = value.model_dump(mode="json") if isinstance(value, ChatbotOutput) else dict(value)
    output.pop("timings", None)
    return output


def test_invoke_returns_the_output_of_the_chatbot(remote):
    local = make_chatbot(make_engine(ANSWER)).invoke(INPUT)
    answer = remote.invoke(INPUT)
    assert set(answer) == OUTPUT_FIELDS
    assert to_plain(answer) == to_plain(local)
    assert answer["answer"] == CITED_ANSWER
    assert answer["citations"][0]["quote"] == TEXTS[0]
    assert not answer["abstained"]


def test_stream_sends_the_chunks_of_the_chatbot():
    local = list(make_chatbot(make_engine(ANSWER), strict=False).stream(INPUT))
    with serve_remote(make_chatbot(make_engine(ANSWER), strict=False)) as remote:
        chunks = list(remote.stream(INPUT))
    assert [to_plain(chunk) for chunk in chunks] == [to_plain(chunk) for chunk in local]
    assert set(chunks[0]) == FIRST_FIELDS
    assert len([chunk for chunk in chunks if list(chunk) == ["answer"]]) > 3
    assert {"citations", "abstained", "reason", "usage"} <= set(chunks[-1])
    output = chunks[0]
    for chunk in chunks[1:]:
        output += chunk
    assert set(output) <= OUTPUT_FIELDS
    assert output["answer"] == CITED_ANSWER


async def test_async_methods_return_the_same(remote):
    async with remote.async_client:
        answer = await remote.ainvoke(INPUT)
        chunks = [chunk async for chunk in remote.astream(INPUT)]
    assert to_plain(answer) == to_plain(remote.invoke(INPUT))
    output = chunks[0]
    for chunk in chunks[1:]:
        output += chunk
    assert to_plain(output).items() <= to_plain(answer).items()


async def test_stream_events_are_those_of_the_output(remote):
    async with remote.async_client:
        events = [event async for event in remote.astream_events(INPUT, version="v2")]
    kinds = [event["event"] for event in events]
    assert kinds == ["on_chain_start", *["on_chain_stream"] * (len(events) - 2), "on_chain_end"]
    assert {(event["name"], tuple(event["tags"])) for event in events} == {("gptoss_chatbot", ())}
    assert len({event["run_id"] for event in events}) == 1
    assert events[0]["data"] == {"input": INPUT}
    assert set(events[1]["data"]["chunk"]) == FIRST_FIELDS
    assert events[-1]["data"]["output"]["answer"] == CITED_ANSWER


def test_batch_answers_each_question(remote):
    answers = remote.batch([INPUT, {"question": "Who wrote Hamlet?"}])
    assert [set(answer) for answer in answers] == [OUTPUT_FIELDS, OUTPUT_FIELDS]
    assert answers[0]["answer"] == CITED_ANSWER
    assert answers[1]["abstained"]
    assert answers[1]["answer"] == "I could not find this in the documents."


def test_questions_and_answers_of_a_history_arrive_with_their_classes():
    inputs = []
    history = [SystemMessage("Be kind."), HumanMessage("How much is it?"), AIMessage("12.90 euros. [1]")]
    recorder = RunnableLambda(lambda value: inputs.append(value) or {"answer": "ok"})
    with serve_remote(recorder) as remote:
        remote.invoke({"question": "And now?", "chat_history": history})
        list(remote.stream({"question": "And now?", "chat_history": history}))
        remote.batch([{"question": "And now?", "chat_history": history}, {"question": "Alone"}])
    with_history = [value for value in inputs if "chat_history" in value]
    assert len(with_history) == 3
    for value in with_history:
        # A client's system message would compete with the chatbot's own instructions.
        assert [type(message) for message in value["chat_history"]] == [HumanMessage, AIMessage]
        assert [message.content for message in value["chat_history"]] == [message.content for message in history[1:]]
    assert {"question": "Alone"} in inputs


INVALID_INPUTS = [
    ({"question": "  "}, "The question is empty. Pass it as"),
    ({"query": "What?"}, "The input cannot be read. question: Field required."),
    ({"question": 5}, "The input cannot be read. question: Input should be a valid string."),
    ({"question": "What?", "chat_history": [{"content": "a"}]}, 'a message looks like {"type": "human"'),
    ({"question": "What?", "chat_history": ["a"]}, 'a message looks like {"type": "human"'),
    ({"question": "What?", "chat_history": [{"type": "person", "content": "a"}]}, "Input tag 'person'"),
]


@pytest.mark.parametrize(("value", "message"), INVALID_INPUTS)
def test_invalid_input_gets_status_422_and_a_reason(client, remote, value, message):
    for path, body in (
        ("invoke", {"input": value}),
        ("stream", {"input": value}),
        ("batch", {"inputs": [INPUT, value]}),
    ):
        response = client.post(f"/chatbot/{path}", json=body)
        assert response.status_code == 422
        assert message in response.json()["detail"]
    with pytest.raises(httpx.HTTPStatusError) as raised:
        remote.invoke(value)
    assert message in raised.value.response.json()["detail"]


def test_a_request_without_input_gets_an_example(client):
    for path, content, message in (
        ("invoke", '{"inputs": []}', 'Send {"input": {"question": "..."}}.'),
        ("batch", '{"inputs": 3}', 'Send {"inputs": [{"question": "..."}, ...]}.'),
        ("stream", "[]", 'Send {"input": {"question": "..."}}.'),
        ("invoke", "{", "The request is not JSON"),
    ):
        response = client.post(f"/chatbot/{path}", content=content)
        assert response.status_code == 422
        assert message in response.json()["detail"]


def test_a_question_longer_than_the_context_gets_its_length():
    long_input = {"question": f"{QUESTION} " * 20}
    with serve_remote(make_chatbot(make_engine(ANSWER, context_length=100))) as remote:
        with pytest.raises(httpx.HTTPStatusError, match="the model's context holds 100") as invoked:
            remote.invoke(long_input)
        with pytest.raises(httpx.HTTPStatusError) as streamed:
            list(remote.stream(long_input))
    assert invoked.value.response.status_code == 422
    assert streamed.value.response.status_code == 422


def test_server_errors_hide_their_reason():
    with serve_chatbot(make_chatbot(make_engine()), langserve=True) as client:  # the engine has no completion
        response = client.post("/chatbot/invoke", json={"input": INPUT})
    assert response.status_code == 500
    assert response.json() == {"detail": "The server failed to answer. The reason is in its log."}


def test_a_broken_model_gets_status_500_and_frees_its_place():
    chatbot = make_chatbot(BreakingEngine([LONG_ANSWER]), strict=False)
    with serve_chatbot(chatbot, langserve=True) as client:
        with pytest.raises(httpx.HTTPStatusError) as raised:
            list(RemoteRunnable(f"{client.base_url}/chatbot").stream(INPUT))
        assert raised.value.response.status_code == 500
        assert "secret" not in raised.value.response.text
        wait_until(lambda: read_metric(client, "gptoss_answering") == 0)
        assert read_metric(client, 'gptoss_errors_total{error="RuntimeError"}') == 1


@pytest.mark.parametrize(
    "path",
    ["/chatbot/invoke", "/chatbot/batch", "/chatbot/stream", "/chatbot/stream_events", "/model/invoke", "/chat/stream"],
)
def test_disconnecting_stops_the_engine(path):
    conversation = {"messages": [{"type": "human", "content": "Hello"}]}
    bodies = {
        "/chatbot/batch": {"inputs": [INPUT]},
        "/model/invoke": {"input": "a"},
        "/chat/stream": {"input": conversation},
    }
    body = bodies.get(path, {"input": INPUT})
    engine = SlowEngine([LONG_ANSWER])
    with serve_chatbot(make_chatbot(engine, strict=False), langserve=True) as client:
        post_and_disconnect(client, path, body, engine)
        # LangServe may abandon a generator between two chunks; garbage collection closes it.
        wait_until(lambda: gc.collect() >= 0 and engine.ended.is_set())
        assert engine.steps < len(LONG_ANSWER)
        wait_until(lambda: read_metric(client, "gptoss_answering") == 0)
        assert "gptoss_errors_total{" not in client.get("/metrics").text


def test_playground_and_schemas(client):
    assert "<html" in client.get("/chatbot/playground/").text
    paths = set(client.get("/openapi.json").json()["paths"])
    assert {"/chatbot/invoke", "/chatbot/batch", "/chatbot/stream", "/chatbot/stream_events"} <= paths
    input_schema, output_schema = (client.get(f"/chatbot/{kind}_schema").json() for kind in ("input", "output"))
    assert input_schema["$defs"]["ServedInput"]["required"] == ["question"]
    assert set(output_schema["properties"]) == OUTPUT_FIELDS


def test_two_chatbots_in_another_application(capfd):
    app = FastAPI()
    add_chatbot_routes(app, make_chatbot(make_engine(ANSWER)), path="/shop/help")
    add_chatbot_routes(app, make_chatbot(make_engine()), path="/museum")
    with run_server(app) as address:
        assert RemoteRunnable(f"{address}/shop/help").invoke(INPUT)["answer"] == CITED_ANSWER
        assert RemoteRunnable(f"{address}/museum").invoke({"question": "Who wrote Hamlet?"})["abstained"]
        assert httpx.get(f"{address}/chatbot/input_schema").status_code == 404
    assert capfd.readouterr().out == ""  # LangServe prints a banner for applications


def test_remote_runnables_of_model_chat_and_retriever(client):
    address = str(client.base_url)
    model, chat, retriever = (RemoteRunnable(f"{address}/{name}") for name in ("model", "chat", "retriever"))
    assert model.invoke("Hello").content == ANSWER
    assert model.invoke([HumanMessage("Hello")]).usage_metadata["output_tokens"] == len(encode_answer(ANSWER))
    assert "".join(chunk.content for chunk in model.stream("Hello")) == ANSWER
    assert chat.invoke({"messages": [HumanMessage("Hello")]}).content == ANSWER
    assert "".join(chunk.content for chunk in chat.stream({"messages": [HumanMessage("Hello")]})) == ANSWER
    documents = retriever.invoke(QUESTION)
    assert (documents[0].page_content, documents[0].metadata["source"]) == (TEXTS[0], "0.md")
    batch = retriever.batch([QUESTION, "When does the museum open?"])
    assert [documents[0].page_content for documents in batch] == [TEXTS[0], TEXTS[1]]
    for each in (model, chat, retriever):
        each.sync_client.close()


async def test_async_remote_runnables(client):
    address = str(client.base_url)
    model, chat, retriever = (RemoteRunnable(f"{address}/{name}") for name in ("model", "chat", "retriever"))
    async with model.async_client, chat.async_client, retriever.async_client:
        assert (await model.ainvoke("Hello")).content == ANSWER
        assert "".join([chunk.content async for chunk in model.astream("Hello")]) == ANSWER
        assert (await chat.ainvoke({"messages": [HumanMessage("Hello")]})).content == ANSWER
        assert (await retriever.ainvoke(QUESTION))[0].page_content == TEXTS[0]
        assert (await retriever.abatch([QUESTION]))[0][0].page_content == TEXTS[0]


def test_the_chat_model_can_be_left_out():
    app = make_app(make_chatbot(make_engine(ANSWER)), langserve=True, settings=ServerSettings(serve_chat_model=False))
    with run_server(app) as address, connect(address) as client:
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["chatbot"]
        assert client.post("/model/invoke", json={"input": "hi"}).status_code == 404
        assert client.post("/chat/invoke", json={"input": {"messages": []}}).status_code == 404
        assert client.post("/chatbot/invoke", json={"input": INPUT}).status_code == 200


def test_the_demo_model_answers_from_the_handbook(demo_llm, handbook_store):
    chatbot = create_chatbot(demo_llm, handbook_store.as_retriever())
    question = {"question": "How much does standard delivery cost?"}
    with serve_chatbot(chatbot, langserve=True) as client:
        remote = RemoteRunnable(f"{client.base_url}/chatbot/", timeout=60)
        answer = remote.invoke(question)
        pieces = [chunk["answer"] for chunk in remote.stream(question) if "answer" in chunk]
        declined = remote.invoke({"question": UNANSWERABLE})
        history = [HumanMessage(question["question"]), AIMessage(answer["answer"])]
        follow_up = remote.invoke({"question": "And express delivery?", "chat_history": history})
        remote.sync_client.close()
    assert "4.90" in answer["answer"]
    assert answer["citations"][0]["source"] == "en/shipping.md"
    assert answer["usage"]["output_tokens"] > 0
    assert "4.90" in "".join(pieces)
    assert declined["abstained"]
    assert "12.90" in follow_up["answer"]
