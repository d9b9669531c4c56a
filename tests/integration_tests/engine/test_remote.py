"""RemoteEngine: a real llama.cpp server, servers that misbehave, and vLLM's protocol."""

import asyncio
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import xllamacpp
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from langchain_gptoss import ChatGptOss, GptOssLLM
from langchain_gptoss.engine.registry import close_all
from langchain_gptoss.engine.runners.remote import RemoteEngine
from langchain_gptoss.errors import ContextLengthError, GptOssError, RemoteServerError
from langchain_gptoss.models.demo import fetch_demo_gguf

from tests.integration_tests.demo_suite import DemoSuite  # isort: skip

pytestmark = pytest.mark.slow

QUESTION = "Who wrote Hamlet?"


@pytest.fixture(scope="session")
def llama_server() -> Iterator[str]:
    """The address of a llama.cpp server that runs the demo model."""
    params = xllamacpp.CommonParams()
    params.model.path = str(fetch_demo_gguf())
    params.model_alias = {"demo"} if isinstance(params.model_alias, set) else params.model_alias
    params.n_ctx, params.n_parallel, params.warmup = 8192, 2, False
    params.hostnames = ["127.0.0.1"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        params.port = free.getsockname()[1]
    server = xllamacpp.Server(params)
    yield server.listening_address
    close_all()  # the connections, before the server
    del server


@pytest.fixture(scope="session")
def remote(llama_server: str) -> ChatGptOss:
    return ChatGptOss(model="demo", base_url=llama_server, temperature=0, max_tokens=60)


class TestStandardRemote(DemoSuite):
    @pytest.fixture(autouse=True)
    def _address(self, llama_server: str) -> None:
        type(self).address = llama_server

    address = ""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "demo", "max_tokens": 60, "base_url": self.address}


def test_server_answers(remote):
    message = remote.invoke(QUESTION)
    assert "Shakespeare" in message.content
    assert message.response_metadata["model_name"] == "demo"
    assert message.usage_metadata["input_tokens"] == len(remote.format.render([HumanMessage(QUESTION)]))
    assert remote.running_engine.context_length == 4096


def test_repeated_prompt_comes_from_the_cache(remote):
    remote.invoke(QUESTION)
    assert remote.invoke(QUESTION).usage_metadata["input_token_details"]["cache_read"] > 10


def test_length_limit_stop_strings_and_logprobs_are_supported(remote):
    assert remote.invoke(QUESTION, max_tokens=3).response_metadata["finish_reason"] == "length"
    assert "Shakespeare" not in remote.invoke(QUESTION, stop=["Shakespeare"]).content
    entries = remote.invoke(QUESTION, max_tokens=5, top_logprobs=2).response_metadata["logprobs"]["content"]
    assert len(entries) == 5
    assert all(len(entry["top_logprobs"]) == 2 and entry["logprob"] <= 0 for entry in entries)


def test_all_sampling_options_work(remote):
    plain = remote.invoke(QUESTION).content
    (token_id,) = remote.get_token_ids(" Shakespeare")[:1]
    assert remote.invoke(QUESTION, logit_bias={token_id: -100}).content != plain
    (word,) = remote.get_token_ids("yes")[:1]
    assert remote.invoke(QUESTION, logit_bias={str(word): 100}, max_tokens=3).content == "yesyesyes"
    sentence = "Repeat the word apple ten times."
    repeated = remote.invoke(sentence, frequency_penalty=-2, presence_penalty=-2).content
    varied = remote.invoke(sentence, frequency_penalty=2, presence_penalty=2).content
    assert repeated != varied
    # A seed and a min_p of 1 leave only the most likely token, whatever the temperature is.
    assert remote.invoke(QUESTION, temperature=1.5, min_p=1.0).content == plain


def test_structured_output_follows_the_schema(remote):
    class City(BaseModel):
        capital: bool

    assert isinstance(remote.with_structured_output(City).invoke("Is Paris a capital?"), City)


def test_grammar_of_strict_tools_is_accepted(remote):
    def now(zone: int) -> str:
        """Return the time."""
        return ""

    message = remote.bind_tools([now], strict=True).invoke(QUESTION)
    assert message.content or message.tool_calls


def test_raw_prompts_are_completed(llama_server):
    llm = GptOssLLM(model="demo", base_url=llama_server, raw=True, max_tokens=8, temperature=0)
    answers = llm.batch(["The capital of France is", "The capital of Italy is"])
    assert "Paris" in answers[0]
    assert "Rome" in answers[1]


async def test_cancelling_stops_the_server(remote, llama_server):
    def is_busy() -> bool:
        return any(slot["is_processing"] for slot in httpx.get(f"{llama_server}/slots").json())

    stream = remote.astream("Write a very long story about a fox.", max_tokens=2000)
    await anext(stream)
    assert await asyncio.to_thread(is_busy)
    await stream.aclose()
    deadline = time.monotonic() + 60
    while await asyncio.to_thread(is_busy):
        assert time.monotonic() < deadline, "the server still generates"
        await asyncio.sleep(0.02)


def test_too_long_prompt_is_rejected(remote):
    with pytest.raises(ContextLengthError, match="holds 4096"):
        remote.invoke("word " * 5000)


# ---- servers that misbehave

Handler = http.server.BaseHTTPRequestHandler
Answer = Callable[[Handler, int], None]


class MisbehavingServer(http.server.ThreadingHTTPServer):
    """Looks like a llama.cpp server and answers each POST with a script."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        outer = self
        self.posts = 0

        class Scripted(Handler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:  # noqa: N802
                write(self, 200, {"default_generation_settings": {"n_ctx": 4096}})

            def do_POST(self) -> None:  # noqa: N802
                self.rfile.read(int(self.headers["Content-Length"]))
                outer.posts += 1
                answer(self, outer.posts)

        super().__init__(("127.0.0.1", 0), Scripted)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


def write(handler: Handler, status: int, body: Any, **headers: str) -> None:
    data = json.dumps(body).encode()
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def begin_stream(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.end_headers()


def send_event(handler: Handler, **data: Any) -> None:
    handler.wfile.write(f"data: {json.dumps(data)}\n\n".encode())
    handler.wfile.flush()


@pytest.fixture
def start_misbehaving_server() -> Iterator[Callable[..., tuple[ChatGptOss, MisbehavingServer]]]:
    created = []

    def make(answer: Answer, **options: Any) -> tuple[ChatGptOss, MisbehavingServer]:
        server = MisbehavingServer(answer)
        llm = ChatGptOss(model="gpt-oss-20b", base_url=server.address, **options)
        created.append((llm, server))
        return llm, server

    yield make
    for llm, server in created:
        llm.running_engine.close()
        server.shutdown()
        server.server_close()


HI = [200005, 17196, 200008, 12194]  # <|channel|>final<|message|>Hi


def answer_hi(handler: Handler) -> None:
    begin_stream(handler)
    send_event(handler, tokens=HI, stop=False)
    send_event(handler, tokens=[], stop=True, stop_type="eos")


@pytest.mark.parametrize("status", [429, 503])
def test_busy_server_is_asked_again(start_misbehaving_server, status):
    def answer(handler: Handler, post: int) -> None:
        if post == 1:
            write(handler, status, {"error": "busy"}, Retry_After="0.01")
        else:
            answer_hi(handler)

    llm, server = start_misbehaving_server(answer)
    assert llm.invoke("Hello").content == "Hi"
    assert server.posts == 2


def test_number_of_retries_is_limited(start_misbehaving_server):
    llm, server = start_misbehaving_server(
        lambda h, _: write(h, 503, {"error": "still busy"}, Retry_After="0.01"), max_retries=1
    )
    with pytest.raises(RemoteServerError, match="answered 503: still busy"):
        llm.invoke("Hello")
    assert server.posts == 2


def test_error_quotes_the_server(start_misbehaving_server):
    llm, server = start_misbehaving_server(
        lambda h, _: write(h, 400, {"error": {"message": "no such thing", "code": 400}})
    )
    with pytest.raises(RemoteServerError, match="answered 400: no such thing"):
        llm.invoke("Hello")
    assert server.posts == 1


def test_no_retry_after_the_first_token(start_misbehaving_server):
    def answer(handler: Handler, _: int) -> None:
        begin_stream(handler)
        send_event(handler, tokens=HI, stop=False)
        handler.connection.shutdown(socket.SHUT_RDWR)

    llm, server = start_misbehaving_server(answer)
    texts = []
    with pytest.raises(RemoteServerError, match=r"without a reason|broke off"):
        texts.extend(chunk.content for chunk in llm.stream("Hello"))
    assert server.posts == 1


def test_error_in_the_stream_is_raised(start_misbehaving_server):
    def answer(handler: Handler, _: int) -> None:
        begin_stream(handler)
        send_event(handler, error={"message": "out of memory"})

    llm, _ = start_misbehaving_server(answer)
    with pytest.raises(RemoteServerError, match="broke off: out of memory"):
        llm.invoke("Hello")


def test_invalid_event_is_an_error(start_misbehaving_server):
    def answer(handler: Handler, _: int) -> None:
        begin_stream(handler)
        handler.wfile.write(b"data: <html>\n\n")

    llm, _ = start_misbehaving_server(answer)
    with pytest.raises(RemoteServerError, match="does not follow the protocol"):
        llm.invoke("Hello")


def test_silent_server_times_out(start_misbehaving_server):
    release = threading.Event()
    llm, _ = start_misbehaving_server(lambda *_: release.wait(30), timeout=0.2)
    with pytest.raises(RemoteServerError, match=r"silent for 0\.2 seconds"):
        llm.invoke("Hello")
    release.set()


def test_cancelling_does_not_wait_for_a_silent_server(start_misbehaving_server):
    """The reader does not wait for the next byte, and the server notices the closed connection."""
    is_disconnected = threading.Event()

    def answer(handler: Handler, _: int) -> None:
        begin_stream(handler)
        send_event(handler, tokens=HI, stop=False)
        handler.connection.settimeout(30)
        if handler.connection.recv(1) == b"":
            is_disconnected.set()

    llm, _ = start_misbehaving_server(answer)
    stream = llm.stream("Hello")
    next(stream)
    stream.close()
    assert is_disconnected.wait(30)


def test_unreachable_server_is_an_error():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    llm = ChatGptOss(model="gpt-oss-20b", base_url=f"http://127.0.0.1:{port}/v1")
    with pytest.raises(RemoteServerError, match=r"cannot be reached .*Start the server, or check base_url"):
        llm.invoke("Hello")
    llm.running_engine.close()


# ---- vLLM's protocol


def answer_as_vllm(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/props":
        return httpx.Response(404)
    if request.url.path == "/v1/models":
        return httpx.Response(200, json={"data": [{"id": "openai/gpt-oss-20b", "max_model_len": 8192}]})
    body = json.loads(request.content)
    assert body["model"] == "openai/gpt-oss-20b"
    assert 200002 in body["stop_token_ids"]
    assert body["return_token_ids"] is True
    logprobs = {"token_logprobs": [-0.5] * 4, "top_logprobs": [{"token_id:17196": -0.5, "token_id:5": -1.5}] * 4}
    events = [
        {"choices": [{"token_ids": HI, "logprobs": logprobs if "logprobs" in body else None, "finish_reason": None}]},
        {"choices": [{"token_ids": [200002], "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens_details": {"cached_tokens": 7}}},
    ]
    lines = "".join(f"data: {json.dumps(data)}\n\n" for data in events) + "data: [DONE]\n\n"
    return httpx.Response(200, text=lines)


def create_vllm_model(model: str = "gpt-oss-20b", **options: Any) -> ChatGptOss:
    engine = RemoteEngine("http://host:8000/v1", model, transport=httpx.MockTransport(answer_as_vllm), **options)
    return ChatGptOss(model="gpt-oss-20b", engine=engine)


def test_vllm_answers():
    llm = create_vllm_model()
    message = llm.invoke("Hello", top_logprobs=2)
    assert message.content == "Hi"
    assert message.usage_metadata["input_token_details"]["cache_read"] == 7
    (entry,) = message.response_metadata["logprobs"]["content"]
    assert (entry["token"], entry["logprob"], len(entry["top_logprobs"])) == ("Hi", -0.5, 2)
    assert llm.running_engine.context_length == 8192
    llm.running_engine.close()
    with pytest.raises(GptOssError, match="was closed"):
        llm.invoke("Hello")


def test_vllm_gets_the_sampling_options():
    bodies = []

    def record(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content or b"null"))
        return answer_as_vllm(request)

    engine = RemoteEngine("http://host:8000/v1", "gpt-oss-20b", transport=httpx.MockTransport(record))
    llm = ChatGptOss(model="gpt-oss-20b", engine=engine)
    llm.invoke("Hello")
    llm.invoke("Hello", min_p=0.1, frequency_penalty=0.2, presence_penalty=-0.3, logit_bias={12: -1, "13": 100})
    plain, full = bodies[-2:]
    # The server's defaults come from the model's generation_config.json, so neutral values are sent too.
    assert (plain["min_p"], plain["frequency_penalty"], plain["presence_penalty"]) == (0, 0, 0)
    assert "logit_bias" not in plain
    assert (full["min_p"], full["frequency_penalty"], full["presence_penalty"]) == (0.1, 0.2, -0.3)
    assert full["logit_bias"] == {"12": -1, "13": 100}


def test_unknown_model_is_an_error():
    with pytest.raises(RemoteServerError, match="does not serve 'gpt-oss-120b'; its models are 'openai/gpt-oss-20b'"):
        create_vllm_model("gpt-oss-120b").invoke("Hello")
