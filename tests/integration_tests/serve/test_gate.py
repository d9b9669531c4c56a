"""The gate before the routes: rates, sizes, times, places, origins, clients that leave; on real sockets."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from fastapi import BackgroundTasks, FastAPI
from langchain_core.runnables import RunnableLambda
from langserve import RemoteRunnable
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.serve import ServerSettings, add_gate, create_app
from tests.integration_tests.serve.test_langserve_routes import (
    ANSWER,
    QUESTION,
    SlowEngine,
    chatbot_over,
    harmony,
    running,
    scripted,
    wait_until,
)
from tests.integration_tests.serve.test_openai_api import Breaks

LONG = harmony("word " * 3000)
MESSAGES = [{"role": "user", "content": QUESTION["question"]}]
COMPLETION = {"model": "gpt-oss-20b", "messages": MESSAGES}


@contextmanager
def gated(engine: ScriptedEngine | None = None, **settings: Any) -> Iterator[httpx.Client]:
    bot = RunnableLambda(lambda value: {"answer": value["question"]})
    served = bot if engine is None else chatbot_over(engine, strict=False)
    app = create_app(served, settings=ServerSettings(**settings))
    with running(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


def metric(client: httpx.Client, name: str) -> float:
    found = [line for line in client.get("/metrics").text.splitlines() if line.startswith(f"{name} ")]
    return float(found[0].split()[-1]) if found else 0.0


def ask(client: httpx.Client, **options: Any) -> httpx.Response:
    return client.post("/chatbot/invoke", json={"input": QUESTION}, **options)


def test_more_than_the_rate_is_told_when_to_come_back():
    with gated(requests_per_minute=3) as client:
        assert [ask(client).status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = client.get("/sessions")
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert "More than 3 requests a minute" in refused.json()["detail"]
        assert client.post("/v1/chat/completions", json=COMPLETION).json()["error"]["type"] == "rate_limit_error"
        assert {client.get("/healthz").status_code for _ in range(5)} == {200}


def test_a_request_that_is_too_long_is_refused_stated_or_not():
    def chunks() -> Iterator[bytes]:
        yield b'{"input": {"question": "'
        yield from [b"x" * 500] * 10

    with gated(max_body_bytes=2000) as client:
        stated = client.post("/chatbot/invoke", content=b"x" * 2001)
        assert (stated.status_code, stated.json()["detail"][:40]) == (413, "The request is longer than 2,000 bytes. ")
        assert client.post("/chatbot/invoke", content=chunks()).status_code == 413
        assert client.post("/v1/chat/completions", content=chunks()).json()["error"]["message"]
        exact = '{"input": {"question": "' + "x" * (2000 - 27) + '"}}'
        assert len(exact) == 2000
        assert client.post("/chatbot/invoke", content=exact).status_code == 200


def test_a_request_that_does_not_arrive_is_given_up():
    with gated(upload_seconds=0.3) as client, dialled(client, {"Content-Length": "100"}) as line:
        line.sendall(b'{"input"')
        assert b" 408 " in line.recv(4096).splitlines()[0]
        assert ask(client).status_code == 200


def test_a_client_that_leaves_in_mid_upload_is_no_error():
    with gated() as client:
        with dialled(client, {"Content-Length": "100"}) as line:
            line.sendall(b'{"input"')
        wait_until(lambda: 'status="499"' in client.get("/metrics").text)
        assert ask(client).status_code == 200


@contextmanager
def dialled(client: httpx.Client, headers: dict[str, str], path: str = "/chatbot/invoke") -> Iterator[socket.socket]:
    """A connection by hand, its headers sent."""
    address = urlsplit(str(client.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=30) as line:
        lines = [f"POST {path} HTTP/1.1", f"Host: {address.netloc}", *(f"{k}: {v}" for k, v in headers.items())]
        line.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        yield line


def test_an_answer_that_takes_too_long_is_an_error_of_its_own():
    engine = SlowEngine([LONG] * 4)
    with gated(engine, timeout_seconds=0.7) as client:
        late = ask(client)
        assert (late.status_code, late.json()["detail"]) == (
            504,
            "There was no answer within 0.7 s. Ask for less, or try again later.",
        )
        openai_late = client.post("/v1/chat/completions", json=COMPLETION)
        assert (openai_late.status_code, openai_late.json()["error"]["type"]) == (504, "server_error")

        with pytest.raises(httpx.HTTPStatusError, match="no answer within") as raised:
            list(RemoteRunnable(f"{client.base_url}/chatbot").stream(QUESTION))
        assert raised.value.response.status_code == 504
        with client.stream("POST", "/v1/chat/completions", json=COMPLETION | {"stream": True}) as stream:
            events = [line for line in stream.iter_lines() if line]
        assert events[-1] == "data: [DONE]"
        assert "no answer within" in json.loads(events[-2][6:])["error"]["message"]
        stands_still(engine)
        assert metric(client, "gptoss_answering") == 0


def stands_still(engine: ScriptedEngine) -> None:
    """Asserts that an engine makes no more tokens, from a second after now."""
    wait_until(lambda: _steps_in(engine, 0.25) == 0, seconds=1.5)
    assert engine.steps < 3000


def _steps_in(engine: ScriptedEngine, seconds: float) -> int:
    before = engine.steps
    time.sleep(seconds)  # what must not happen has to be waited for
    return engine.steps - before


def test_who_finds_no_place_is_told_to_come_back_and_then_finds_one():
    with gated(SlowEngine([LONG, harmony(ANSWER)]), max_concurrent=1) as client:
        with client.stream("POST", "/chatbot/stream", json={"input": QUESTION}) as stream:
            lines = stream.iter_lines()  # kept: where it is collected, the stream is closed
            next(lines)
            full = ask(client)
            assert (full.status_code, full.headers["retry-after"]) == (503, "5")
            assert client.get("/healthz").status_code == 200
            assert metric(client, "gptoss_answering") == 1
        wait_until(lambda: metric(client, "gptoss_answering") == 0)
        assert ask(client).json()["output"]["answer"] == f"{ANSWER} [1]"


@pytest.mark.parametrize("path", ["/chatbot/invoke", "/chatbot/batch", "/model/invoke", "/v1/chat/completions"])
def test_a_client_that_leaves_before_its_answer_stops_the_engine(path):
    bodies = {"/chatbot/invoke": {"input": QUESTION}, "/chatbot/batch": {"inputs": [QUESTION]}}
    body = bodies.get(path, {"input": "Hello"} if path.startswith("/model") else COMPLETION)
    engine = SlowEngine([LONG])
    with gated(engine) as client:
        text = json.dumps(body).encode()
        with dialled(client, {"Content-Length": str(len(text))}, path) as line:
            line.sendall(text)
            wait_until(lambda: engine.steps > 5)
        stands_still(engine)
        assert metric(client, "gptoss_answering") == 0
        assert metric(client, f'gptoss_requests_total{{route="{path}",status="499"}}') == 1


@pytest.mark.parametrize("path", ["/chatbot/stream", "/chatbot/stream_events", "/chat/stream", "/v1/chat/completions"])
def test_a_client_that_leaves_a_stream_stops_the_engine(path):
    body = {"input": {"messages": [{"type": "human", "content": "Hello"}]} if path[:6] == "/chat/" else QUESTION}
    engine = SlowEngine([LONG])
    with gated(engine) as client:
        body = COMPLETION | {"stream": True} if path.startswith("/v1") else body
        with client.stream("POST", path, json=body) as stream:
            assert stream.status_code == 200
            wait_until(lambda: engine.steps > 5)
        stands_still(engine)
        assert metric(client, "gptoss_answering") == 0
        assert "gptoss_errors_total{" not in client.get("/metrics").text


def test_a_client_that_reads_slowly_loses_nothing_and_holds_nobody_up():
    engine = scripted("word " * 800, ANSWER)
    app = create_app(chatbot_over(engine, strict=False))
    with running(app, send_buffer=4096) as address, httpx.Client(base_url=address, timeout=60) as client:
        body = json.dumps(COMPLETION | {"stream": True}).encode()
        with dialled(client, {"Content-Length": str(len(body))}, "/v1/chat/completions") as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.sendall(body)
            wait_until(lambda: engine.steps > 800)
            assert ask(client).json()["output"]["answer"] == f"{ANSWER} [1]"
            assert metric(client, "gptoss_answering") == 1
            received = b""
            while b"[DONE]" not in received:
                received += slow.recv(65_536)
        assert received.count(b'"content": "word"') + received.count(b'"content": " word"') == 800
        wait_until(lambda: metric(client, "gptoss_answering") == 0)


def test_a_client_that_does_not_read_loses_its_place_in_time():
    app = create_app(chatbot_over(scripted("word " * 3000)), settings=ServerSettings(timeout_seconds=2))
    with running(app, send_buffer=4096) as address, httpx.Client(base_url=address, timeout=60) as client:
        body = json.dumps(COMPLETION | {"stream": True}).encode()
        with dialled(client, {"Content-Length": str(len(body))}, "/v1/chat/completions") as silent:
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            silent.sendall(body)
            wait_until(lambda: metric(client, "gptoss_answering") == 1)
            wait_until(lambda: metric(client, "gptoss_answering") == 0)


def test_what_an_app_does_after_its_answer_is_not_cut_short():
    done, app = [], FastAPI()

    def later() -> None:
        time.sleep(0.3)
        done.append(True)

    @app.post("/order")
    async def order(tasks: BackgroundTasks) -> str:
        tasks.add_task(later)
        return "taken"

    add_gate(app)
    with running(app) as address:
        assert httpx.post(f"{address}/order").json() == "taken"
        wait_until(lambda: done)


ELSEWHERE = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}


def test_pages_of_others_are_kept_out():
    with gated() as client:
        preflight = client.options(
            "/chatbot/invoke", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        )
        assert preflight.status_code == 405
        assert "access-control-allow-origin" not in ask(client, headers={"Origin": "https://evil.example"}).headers
        blind = client.post("/chatbot/invoke", content=b'{"input": {"question": "a"}}', headers=ELSEWHERE)
        assert blind.status_code == 403
        assert client.get("/healthz", headers=ELSEWHERE).status_code == 200
        assert ask(client, headers={"Origin": str(client.base_url), "Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_a_listed_origin_may_ask():
    ours = {"Origin": "https://intranet.example", "Sec-Fetch-Site": "cross-site"}
    with gated(cors_origins=("https://intranet.example",), requests_per_minute=1) as client:
        wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        preflight = client.options("/chatbot/invoke", headers=ours | wanted)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://intranet.example"
        assert client.options("/chatbot/invoke", headers=ELSEWHERE | wanted).status_code == 400
        assert ask(client, headers=ours).headers["access-control-allow-origin"] == "https://intranet.example"
        refused = ask(client, headers=ours)
        assert refused.status_code == 429
        assert refused.headers["access-control-allow-origin"] == "https://intranet.example"


def test_a_name_that_is_not_ours_is_refused():
    with gated(hosts=("127.0.0.1", "help.example")) as client:
        assert client.get("/healthz").status_code == 200
        for host in ("help.example", "help.example:8000"):
            assert client.get("/healthz", headers={"Host": host}).status_code == 200
        for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""):
            assert client.get("/healthz", headers={"Host": host}).status_code == 421


def test_websockets_are_closed():
    with (
        gated() as client,
        pytest.raises(InvalidStatus, match="403"),
        connect(str(client.base_url).replace("http", "ws") + "/chatbot/stream"),
    ):
        pass


def test_head_options_and_wrong_methods():
    with gated() as client:
        for path in ("/", "/healthz", "/metrics", "/v1/models"):
            head = client.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["x-content-type-options"] == "nosniff"
        assert client.head("/none").status_code == 404
        assert client.options("/chatbot/invoke").status_code == 405
        assert client.get("/chatbot/invoke").status_code == 405
        assert client.request("BREW", "/chatbot/invoke").status_code == 405


def test_many_ask_at_once_some_vanish_and_nothing_is_lost():
    engine = ScriptedEngine([harmony(ANSWER)] * 400)
    with gated(engine, requests_per_minute=None) as client:

        def one(number: int) -> int:
            if number % 10:
                return ask(client).status_code
            with client.stream("POST", "/chatbot/stream", json={"input": QUESTION}) as stream:
                next(stream.iter_lines())
            return 0

        with ThreadPoolExecutor(20) as pool:
            codes = list(pool.map(one, range(100)))
        assert [code for number, code in enumerate(codes) if number % 10] == [200] * 90
        wait_until(lambda: metric(client, "gptoss_answering") == 0)
        with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none") as other:
            assert other.models.list().data


def test_a_session_answers_one_question_at_a_time():
    bot = chatbot_over(SlowEngine([LONG]), strict=False, sessions=":memory:")
    with running(create_app(bot)) as address, httpx.Client(base_url=address, timeout=60) as client:
        body = {"input": QUESTION | {"session_id": "s"}}
        with client.stream("POST", "/chatbot/stream", json=body) as stream:
            lines = stream.iter_lines()
            next(lines)
            second = client.post("/chatbot/invoke", json=body)
            assert (second.status_code, "still answering" in second.json()["detail"]) == (409, True)
            assert client.delete("/sessions/s").status_code == 409
        wait_until(lambda: client.delete("/sessions/s").status_code == 204)
        assert client.get("/sessions").json() == []  # a broken answer is not remembered


def test_a_model_that_stops_in_mid_answer_is_an_error_and_frees_its_place():
    with gated(Breaks([LONG])) as client:
        with pytest.raises(httpx.HTTPStatusError) as raised:
            list(RemoteRunnable(f"{client.base_url}/chatbot").stream(QUESTION))
        assert raised.value.response.status_code == 500
        assert "slot" not in raised.value.response.text
        assert metric(client, "gptoss_answering") == 0
        assert metric(client, 'gptoss_errors_total{error="RuntimeError"}') == 1
