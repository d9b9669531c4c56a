"""Errors of a server: their classes, messages, and whether LangChain's middleware repeats the request."""

import json

import httpx
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core import exceptions as langchain_errors
from langchain_core.messages import HumanMessage

from langchain_gptoss import ChatGptOss
from langchain_gptoss.engine.runners.remote import RemoteEngine
from langchain_gptoss.errors import (
    GptOssError,
    InvalidInputError,
    RemoteAuthenticationError,
    RemoteConnectionError,
    RemoteContextError,
    RemoteFailureError,
    RemoteModelNotFoundError,
    RemotePermissionError,
    RemoteRateLimitError,
    RemoteRequestError,
    RemoteServerError,
    RemoteTimeoutError,
)

LLAMA_OVERFLOW = {
    "error": {
        "code": 400,
        "message": "the request exceeds the available context size, try increasing it",
        "type": "exceed_context_size_error",
    }
}
VLLM_OVERFLOW = {"message": "This model's maximum context length is 8192 tokens. However, you requested 9000."}
OPENAI_OVERFLOW = {"error": {"message": "Too long.", "code": "context_length_exceeded"}}


class Server:
    """A vLLM server that answers each generation with a response or an exception, and counts them."""

    def __init__(self, outcome: httpx.Response | Exception) -> None:
        self.outcome = outcome
        self.posts = 0
        engine = RemoteEngine(
            "http://host/v1", "gpt-oss-20b", max_retries=0, transport=httpx.MockTransport(self.answer)
        )
        self.llm = ChatGptOss(model="gpt-oss-20b", engine=engine)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/props":
            return httpx.Response(404)
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": "openai/gpt-oss-20b", "max_model_len": 8192}]})
        self.posts += 1
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def write_stream(*events: dict) -> httpx.Response:
    return httpx.Response(200, text="".join(f"data: {json.dumps(event)}\n\n" for event in events))


CASES = [
    (httpx.Response(400, json={"error": {"message": "bad"}}), RemoteRequestError, "answered 400: bad"),
    (httpx.Response(401, json={"error": "wrong key"}), RemoteAuthenticationError, "401: wrong key.*Set api_key"),
    (httpx.Response(403, json={"detail": "not yours"}), RemotePermissionError, "403: not yours"),
    (httpx.Response(404, text="no such page"), RemoteModelNotFoundError, "404: no such page.*Check base_url"),
    (httpx.Response(408), RemoteTimeoutError, "answered 408"),
    (httpx.Response(413, text="too big"), RemoteRequestError, "413: too big"),
    (httpx.Response(418), RemoteRequestError, "answered 418"),
    (httpx.Response(422, json={"message": "bad type"}), RemoteRequestError, "422: bad type"),
    (httpx.Response(429, json={"error": "slow down"}), RemoteRateLimitError, "429: slow down"),
    (httpx.Response(500, text="crash"), RemoteFailureError, "500: crash"),
    (httpx.Response(502, text="<html>"), RemoteFailureError, "answered 502"),
    (httpx.Response(503, json={"error": {"message": "Loading model"}}), RemoteFailureError, "503: Loading model"),
    (httpx.Response(504), RemoteTimeoutError, "answered 504"),
    (httpx.Response(400, json=LLAMA_OVERFLOW), RemoteContextError, "exceeds the available context size.*Shorten"),
    (httpx.Response(400, json=VLLM_OVERFLOW), RemoteContextError, "maximum context length is 8192"),
    (httpx.Response(400, json=OPENAI_OVERFLOW), RemoteContextError, "400: Too long"),
    (httpx.ConnectError("refused"), RemoteConnectionError, "cannot be reached"),
    (httpx.ConnectTimeout("slow"), RemoteConnectionError, "cannot be reached"),
    (httpx.ReadTimeout("slow"), RemoteTimeoutError, "was silent for 600 seconds"),
    (httpx.ReadError("reset"), RemoteConnectionError, "broke off"),
    (httpx.RemoteProtocolError("cut"), RemoteConnectionError, "broke off"),
    (httpx.LocalProtocolError("illegal header"), RemoteRequestError, "cannot be sent"),
    (write_stream(), RemoteConnectionError, "without a reason"),
    (write_stream({"error": {"message": "out of memory"}}), RemoteFailureError, "broke off: out of memory"),
    (write_stream({"error": {"message": "bad", "code": 400}}), RemoteRequestError, "broke off: bad"),
    (write_stream({"error": {"message": "bad", "code": "BadRequest"}}), RemoteFailureError, "broke off: bad"),
    (write_stream(LLAMA_OVERFLOW), RemoteContextError, "broke off: the request exceeds"),
    (write_stream({"error": "text"}), RemoteFailureError, "broke off: text"),
]
RETRYABLE = (RemoteRateLimitError, RemoteFailureError, RemoteConnectionError, RemoteTimeoutError)


@pytest.mark.parametrize(("outcome", "kind", "message"), CASES)
def test_every_failure_has_its_class_and_message(outcome, kind, message):
    with pytest.raises(RemoteServerError, match=message) as raised:
        Server(outcome).llm.invoke("Hello")
    assert type(raised.value) is kind
    assert isinstance(raised.value, langchain_errors.ModelError)
    assert raised.value.is_retryable == issubclass(kind, RETRYABLE)


@pytest.mark.parametrize(("outcome", "kind", "message"), CASES)
def test_middleware_repeats_what_may_succeed_later(outcome, kind, message):
    server = Server(outcome)
    retries = ModelRetryMiddleware(max_retries=2, initial_delay=0, jitter=False, on_failure="error")
    agent = create_agent(server.llm, [], middleware=[retries])
    with pytest.raises(kind, match=message):
        agent.invoke({"messages": [HumanMessage("Hello")]})
    assert server.posts == (3 if issubclass(kind, RETRYABLE) else 1)


@pytest.mark.parametrize(("status", "kind"), [(401, RemoteAuthenticationError), (403, RemotePermissionError)])
def test_refused_key_is_known_before_the_first_generation(status, kind):
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json={"error": {"message": "no"}}))
    engine = RemoteEngine("http://host/v1", "gpt-oss-20b", transport=transport)
    with pytest.raises(kind, match=f"answered {status}: no"):
        ChatGptOss(model="gpt-oss-20b", engine=engine).invoke("Hello")


def test_missing_model_and_unknown_server():
    engine = Server(httpx.Response(200)).llm.engine
    engine._model = "other"
    with pytest.raises(RemoteModelNotFoundError, match="does not serve 'other'"):
        ChatGptOss(model="gpt-oss-20b", engine=engine).invoke("Hello")
    unknown = RemoteEngine("http://host", "x", transport=httpx.MockTransport(lambda _: httpx.Response(404)))
    with pytest.raises(RemoteServerError, match=r"neither a vLLM nor a llama\.cpp server") as raised:
        ChatGptOss(model="gpt-oss-20b", engine=unknown).invoke("Hello")
    assert not raised.value.is_retryable


def test_middleware_does_not_repeat_bad_input():
    calls = []

    class Counting(ModelRetryMiddleware):
        def wrap_model_call(self, request, handler):
            return super().wrap_model_call(request, lambda r: (calls.append(1), handler(r))[1])

    llm = Server(httpx.Response(200)).llm.bind(temperature=-1)
    agent = create_agent(llm, [], middleware=[Counting(max_retries=2, initial_delay=0, on_failure="error")])
    with pytest.raises(InvalidInputError, match="temperature is -1") as raised:
        agent.invoke({"messages": [HumanMessage("Hello")]})
    assert isinstance(raised.value, GptOssError)
    assert len(calls) == 1
