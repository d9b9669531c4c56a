"""The chatbot's own streaming route, over real sockets, with and without LangServe."""

import importlib
import json
import sys
from collections.abc import Iterator

import httpx
import pytest
from langchain_core.runnables import RunnableLambda

from langchain_gptoss import ChatGptOss, create_chatbot
from langchain_gptoss.errors import MissingDependencyError
from langchain_gptoss.serve import ServerSettings, create_app
from tests.integration_tests.serve.helpers import (
    ANSWER,
    CITED_ANSWER,
    COMPLETION,
    FIRST_FIELDS,
    INPUT,
    LONG_ANSWER,
    MODEL,
    QUESTION,
    BreakingEngine,
    SlowEngine,
    connect,
    make_chatbot,
    make_engine,
    post_and_disconnect,
    read_metric,
    run_server,
    serve_chatbot,
    wait_until,
)
from tests.integration_tests.serve.test_langserve_routes import INVALID_INPUTS, to_plain

Event = tuple[str, dict]


def ask(client: httpx.Client, value: object = INPUT) -> list[Event]:
    """Return the events of an answer: names and data."""
    response = client.post("/chatbot/ask", json=value)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return parse_events(response.text)


def parse_events(text: str) -> list[Event]:
    blocks = text.replace("\r\n", "\n").strip().split("\n\n")
    fields = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]
    return [(each["event"], json.loads(each["data"])) for each in fields]


@pytest.fixture(scope="module")
def idle_client() -> Iterator[httpx.Client]:
    """A client of a server whose model must not be used."""
    engine = make_engine()
    with serve_chatbot(make_chatbot(engine)) as client:
        yield client
    assert engine.requests == []


def test_the_answer_comes_as_the_chunks_of_the_chatbot():
    local = list(make_chatbot(make_engine(ANSWER), strict=False).stream(INPUT))
    with serve_chatbot(make_chatbot(make_engine(ANSWER), strict=False)) as client:
        *events, last = ask(client)
    assert last == ("end", {})
    assert {name for name, _ in events} == {"data"}
    chunks = [data for _, data in events]
    assert [to_plain(chunk) for chunk in chunks] == [json.loads(json.dumps(to_plain(chunk))) for chunk in local]
    assert set(chunks[0]) == FIRST_FIELDS
    assert "".join(chunk.get("answer", "") for chunk in chunks) == CITED_ANSWER
    assert chunks[-1]["citations"][0]["quote"] == ANSWER


def test_history_and_sessions_reach_the_chatbot():
    engine = make_engine(ANSWER, QUESTION, ANSWER, QUESTION, ANSWER)
    with serve_chatbot(make_chatbot(engine, sessions=":memory:")) as client:
        ask(client, INPUT | {"session_id": "monday"})
        ask(client, {"question": "And how much is the express delivery?", "session_id": "monday"})
        assert len(client.get("/sessions/monday").json()["messages"]) == 4
        history = [{"type": "human", "content": QUESTION}, {"type": "ai", "content": ANSWER}]
        ask(client, {"question": "And how much is the express delivery?", "chat_history": history})
    assert len(engine.requests) == 5  # each follow-up question is completed from the conversation


@pytest.mark.parametrize(("value", "message"), INVALID_INPUTS)
def test_invalid_input_gets_status_422_and_a_reason(idle_client, value, message):
    response = idle_client.post("/chatbot/ask", json=value)
    assert response.status_code == 422
    assert message in response.json()["detail"]


@pytest.mark.parametrize("content", [b"", b"{", b"5", b"[]", b"[" * 100_000, b'{"question": "a \\ud800 b"}'])
def test_a_body_without_a_question_gets_status_422(idle_client, content):
    response = idle_client.post("/chatbot/ask", content=content)
    assert response.status_code == 422
    assert response.json()["detail"]


def test_a_question_longer_than_the_context_gets_its_length():
    with serve_chatbot(make_chatbot(make_engine(ANSWER, context_length=100))) as client:
        response = client.post("/chatbot/ask", json={"question": f"{QUESTION} " * 20})
    assert response.status_code == 422
    assert "the model's context holds 100" in response.json()["detail"]


def test_a_failing_retriever_gets_status_502_and_hides_its_reason(caplog):
    def fail(_: str) -> list[object]:
        raise ConnectionError("10.0.0.5 password=secret")

    chatbot = create_chatbot(ChatGptOss(model=MODEL, engine=make_engine()), RunnableLambda(fail))
    with serve_chatbot(chatbot, langserve=True) as client:
        responses = [
            client.post("/chatbot/ask", json=INPUT),
            client.post("/chatbot/invoke", json={"input": INPUT}),
            client.post(
                "/v1/chat/completions", json={"model": "chatbot", "messages": [{"role": "user", "content": QUESTION}]}
            ),
        ]
    for response in responses:
        assert response.status_code == 502
        assert response.headers["retry-after"] == "5"
        assert "Try again later" in response.text
        assert "secret" not in response.text
    assert "password=secret" in caplog.text


def test_an_error_in_the_middle_of_an_answer_becomes_an_error_event():
    with serve_chatbot(make_chatbot(BreakingEngine([LONG_ANSWER]), strict=False)) as client:
        *_, (name, data) = ask(client)
        assert (name, data["status_code"]) == ("error", 500)
        assert "secret" not in data["message"]
        wait_until(lambda: read_metric(client, "gptoss_answering") == 0)


def test_an_answer_that_takes_too_long_ends_with_an_error_event():
    engine = SlowEngine([LONG_ANSWER])
    with serve_chatbot(make_chatbot(engine, strict=False), settings=ServerSettings(timeout_seconds=1)) as client:
        *_, (name, data) = ask(client)
    assert (name, data["status_code"]) == ("error", 504)
    assert "no answer within 1 s" in data["message"]


def test_disconnecting_stops_the_engine():
    engine = SlowEngine([LONG_ANSWER])
    with serve_chatbot(make_chatbot(engine, strict=False)) as client:
        post_and_disconnect(client, "/chatbot/ask", INPUT, engine)
        assert engine.ended.wait(60)
        assert engine.steps < len(LONG_ANSWER)
        wait_until(lambda: read_metric(client, "gptoss_answering") == 0)


def test_other_runnables_are_served():
    echo = RunnableLambda(lambda value: {"answer": value["question"], "extra": object()})
    with serve_chatbot(echo) as client:
        assert ask(client, {"question": "hello"}) == [("data", {"answer": "hello", "extra": "<object>"}), ("end", {})]


@pytest.fixture
def missing_langserve(monkeypatch) -> None:
    """Let `import langserve` fail."""
    name = "langchain_gptoss.serve.langserve_routes"
    monkeypatch.setitem(sys.modules, "langserve", None)
    importlib.import_module("langchain_gptoss.serve")
    if name in sys.modules:
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr(name)


@pytest.mark.usefixtures("missing_langserve")
def test_the_server_works_without_langserve():
    with pytest.raises(MissingDependencyError, match=r'pip install "langchain-gptoss\[langserve\]"'):
        importlib.import_module("langchain_gptoss.serve.langserve_routes")
    with run_server(create_app(make_chatbot(make_engine(ANSWER, ANSWER)))) as address, connect(address) as client:
        assert client.get("/").status_code == 200
        assert client.get("/assets/api.js").status_code == 200
        assert ask(client)[-1] == ("end", {})
        assert client.post("/v1/chat/completions", json=COMPLETION).status_code == 200
        for path in ("/chatbot/invoke", "/model/invoke", "/retriever/invoke"):
            assert client.post(path, json={"input": INPUT}).status_code == 404
