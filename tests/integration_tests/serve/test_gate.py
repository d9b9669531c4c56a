"""Keys, rates, sizes, times, origins and disconnections, over real sockets."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest
from fastapi import BackgroundTasks, FastAPI
from langchain_core.runnables import RunnableLambda
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_websocket

from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.serve import ServerSettings, add_gate
from tests import scale
from tests.integration_tests.serve.helpers import (
    ANSWER,
    COMPLETION,
    INPUT,
    LONG_ANSWER,
    SlowEngine,
    connect,
    encode_answer,
    make_app,
    make_chatbot,
    make_engine,
    open_connection,
    post_and_disconnect,
    read_metric,
    run_server,
    serve_chatbot,
    wait_until,
)

STREAMED = COMPLETION | {"stream": True}


@contextmanager
def serve_gate(engine: ScriptedEngine | None = None, **settings: Any) -> Iterator[httpx.Client]:
    """Yield a client of a server: of a chatbot, or without an engine of a Runnable that echoes the question."""
    echo = RunnableLambda(lambda value: {"answer": value["question"]})
    chatbot = echo if engine is None else make_chatbot(engine, strict=False)
    with serve_chatbot(chatbot, settings=ServerSettings(**settings)) as client:
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A client of a server without a rate limit."""
    with serve_gate(requests_per_minute=None) as client:
        yield client


def ask(client: httpx.Client, **options: Any) -> httpx.Response:
    return client.post("/chatbot/ask", json=INPUT, **options)


def is_idle(client: httpx.Client) -> bool:
    return read_metric(client, "gptoss_answering") == 0


def test_requests_above_the_rate_are_refused():
    with serve_gate(requests_per_minute=3) as client:
        assert [ask(client).status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = client.get("/sessions")
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert "More than 3 requests a minute" in refused.json()["detail"]
        assert client.post("/v1/chat/completions", json=COMPLETION).json()["error"]["type"] == "rate_limit_error"
        assert {client.get("/healthz").status_code for _ in range(5)} == {200}


def test_long_requests_are_refused_with_or_without_a_stated_length():
    def iterate_chunks() -> Iterator[bytes]:
        yield b'{"question": "'
        yield from [b"x" * 500] * 10

    with serve_gate(max_body_bytes=2000) as client:
        stated = client.post("/chatbot/ask", content=b"x" * 2001)
        assert (stated.status_code, stated.json()["detail"][:40]) == (413, "The request is longer than 2,000 bytes. ")
        assert client.post("/chatbot/ask", content=iterate_chunks()).status_code == 413
        assert client.post("/v1/chat/completions", content=iterate_chunks()).json()["error"]["message"]
        longest = '{"question": "' + "x" * (2000 - 16) + '"}'
        assert len(longest) == 2000
        assert client.post("/chatbot/ask", content=longest).status_code == 200


def test_slow_uploads_are_refused():
    with serve_gate(upload_seconds=0.3) as client, open_connection(client, {"Content-Length": "100"}) as connection:
        connection.sendall(b'{"input"')
        assert b" 408 " in connection.recv(4096).splitlines()[0]
        assert ask(client).status_code == 200


def test_disconnecting_during_an_upload_is_no_error(client):
    with open_connection(client, {"Content-Length": "100"}) as connection:
        connection.sendall(b'{"input"')
    wait_until(lambda: 'status="499"' in client.get("/metrics").text)
    assert ask(client).status_code == 200


def test_long_answers_end_with_an_error():
    engine = SlowEngine([LONG_ANSWER] * 2)
    with serve_gate(engine, timeout_seconds=0.7) as client:
        late = client.post("/v1/chat/completions", json=COMPLETION)
        assert (late.status_code, late.json()["error"]["type"]) == (504, "server_error")
        assert late.json()["error"]["message"] == "There was no answer within 0.7 s. Ask for less, or try again later."
        with client.stream("POST", "/v1/chat/completions", json=STREAMED) as response:
            events = [line for line in response.iter_lines() if line]
        if response.status_code == 200:  # the stream had started
            assert events[-1] == "data: [DONE]"
            assert "no answer within" in json.loads(events[-2][6:])["error"]["message"]
        wait_until(lambda: is_idle(client))
    assert engine.steps < 2 * len(LONG_ANSWER)


def test_requests_above_the_limit_are_refused_until_a_place_is_free():
    with serve_gate(SlowEngine([LONG_ANSWER, encode_answer(ANSWER)]), max_concurrent=1) as client:
        with client.stream("POST", "/chatbot/ask", json=INPUT) as response:
            lines = response.iter_lines()  # kept, because garbage collection would close the stream
            next(lines)
            refused = ask(client)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert client.get("/healthz").status_code == 200
            assert read_metric(client, "gptoss_answering") == 1
        wait_until(lambda: is_idle(client))
        assert "12.90" in ask(client).text


@pytest.mark.parametrize("body", [COMPLETION, STREAMED], ids=["at once", "stream"])
def test_disconnecting_stops_the_engine(body):
    engine = SlowEngine([LONG_ANSWER])
    path = "/v1/chat/completions"
    with serve_gate(engine) as client:
        post_and_disconnect(client, path, body, engine)
        assert engine.ended.wait(60)
        assert engine.steps < len(LONG_ANSWER)
        wait_until(lambda: is_idle(client))
        expected = 200 if body is STREAMED else 499
        assert read_metric(client, f'gptoss_requests_total{{route="{path}",status="{expected}"}}') == 1
        assert "gptoss_errors_total{" not in client.get("/metrics").text


def test_a_slow_reader_gets_everything_and_delays_nobody():
    engine = make_engine("word " * 800, ANSWER)
    app = make_app(make_chatbot(engine, strict=False))
    with run_server(app, send_buffer=4096) as address, connect(address) as client:
        body = json.dumps(STREAMED).encode()
        with open_connection(client, {"Content-Length": str(len(body))}, "/v1/chat/completions") as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.sendall(body)
            wait_until(lambda: engine.steps > 800)
            assert "12.90" in ask(client).text
            wait_until(lambda: read_metric(client, "gptoss_answering") == 1)
            received = b""
            while b"[DONE]" not in received:
                received += slow.recv(65_536)
        assert received.count(b'"content": "word"') + received.count(b'"content": " word"') == 800
        wait_until(lambda: is_idle(client))


def test_a_client_that_does_not_read_loses_its_place():
    engine = make_engine("word " * 3000)
    app = make_app(make_chatbot(engine), settings=ServerSettings(timeout_seconds=1))
    with run_server(app, send_buffer=4096) as address, connect(address) as client:
        body = json.dumps(STREAMED).encode()
        with open_connection(client, {"Content-Length": str(len(body))}, "/v1/chat/completions") as silent:
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            silent.sendall(body)
            wait_until(lambda: engine.requests)
            wait_until(lambda: is_idle(client))


def test_background_tasks_after_the_response_finish():
    may_finish, is_finished, app = threading.Event(), threading.Event(), FastAPI()

    def finish() -> None:
        may_finish.wait(60)
        is_finished.set()

    @app.post("/order")
    async def order(tasks: BackgroundTasks) -> str:
        tasks.add_task(finish)
        return "accepted"

    add_gate(app)
    with run_server(app) as address:
        assert httpx.post(f"{address}/order").json() == "accepted"
        may_finish.set()
        assert is_finished.wait(60)


OTHER_SITE = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}


def test_pages_of_other_sites_are_refused(client):
    preflight = client.options(
        "/chatbot/ask", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 405
    assert "access-control-allow-origin" not in ask(client, headers={"Origin": "https://evil.example"}).headers
    assert client.post("/chatbot/ask", content=b'{"question": "a"}', headers=OTHER_SITE).status_code == 403
    assert client.get("/healthz", headers=OTHER_SITE).status_code == 200
    assert ask(client, headers={"Origin": str(client.base_url), "Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_a_listed_origin_is_allowed():
    allowed = {"Origin": "https://intranet.example", "Sec-Fetch-Site": "cross-site"}
    with serve_gate(cors_origins=("https://intranet.example",), requests_per_minute=1) as client:
        method = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        preflight = client.options("/chatbot/ask", headers=allowed | method)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://intranet.example"
        assert client.options("/chatbot/ask", headers=OTHER_SITE | method).status_code == 400
        assert ask(client, headers=allowed).headers["access-control-allow-origin"] == "https://intranet.example"
        refused = ask(client, headers=allowed)
        assert refused.status_code == 429
        assert refused.headers["access-control-allow-origin"] == "https://intranet.example"


def test_other_host_names_are_refused():
    with serve_gate(allowed_hosts=("127.0.0.1", "help.example")) as client:
        assert client.get("/healthz").status_code == 200
        for host in ("help.example", "help.example:8000"):
            assert client.get("/healthz", headers={"Host": host}).status_code == 200
        for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""):
            assert client.get("/healthz", headers={"Host": host}).status_code == 421


def test_websockets_are_closed(client):
    address = str(client.base_url).replace("http", "ws")
    with pytest.raises(InvalidStatus, match="403"), connect_websocket(f"{address}/chatbot/ask"):
        pass


def test_head_options_and_wrong_methods(client):
    for path in ("/", "/healthz", "/metrics", "/v1/models"):
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["x-content-type-options"] == "nosniff"
    assert client.head("/none").status_code == 404
    assert client.options("/chatbot/ask").status_code == 405
    assert client.get("/chatbot/ask").status_code == 405
    assert client.request("BREW", "/chatbot/ask").status_code == 405


def test_many_clients_at_once_lose_nothing():
    count = scale(200, minimum=40)
    engine = ScriptedEngine([encode_answer(ANSWER)] * count)
    with serve_gate(engine, requests_per_minute=None) as client:

        def send(number: int) -> int:
            if number % 10:
                return ask(client).status_code
            with client.stream("POST", "/chatbot/ask", json=INPUT) as response:  # disconnects after the first line
                next(response.iter_lines())
            return 0

        with ThreadPoolExecutor(20) as pool:
            codes = list(pool.map(send, range(count)))
        assert {code for number, code in enumerate(codes) if number % 10} == {200}
        wait_until(lambda: is_idle(client))
        with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none") as other:
            assert other.models.list().data


def test_a_session_answers_one_question_at_a_time():
    chatbot = make_chatbot(SlowEngine([LONG_ANSWER]), strict=False, sessions=":memory:")
    with serve_chatbot(chatbot) as client:
        value = INPUT | {"session_id": "s"}
        with client.stream("POST", "/chatbot/ask", json=value) as response:
            lines = response.iter_lines()
            next(lines)
            second = client.post("/chatbot/ask", json=value)
            assert (second.status_code, second.headers["retry-after"]) == (409, "5")
            assert "still answering" in second.json()["detail"]
            assert client.delete("/sessions/s").status_code == 409
        wait_until(lambda: client.delete("/sessions/s").status_code == 204)
        assert client.get("/sessions").json() == []  # an interrupted answer is not saved
