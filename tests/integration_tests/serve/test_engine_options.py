"""Salts, priorities and limits of the engine behind every route, over real sockets."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from langchain_gptoss.engine import EngineStats, GenerationRequest, ScriptedEngine, TokenStream
from langchain_gptoss.errors import DeadlineError, EngineBusyError
from langchain_gptoss.serve import Keys, ServerSettings, add_key
from tests.integration_tests.serve.helpers import (
    ANSWER,
    COMPLETION,
    ENCODING,
    INPUT,
    MESSAGES,
    MODEL,
    connect,
    encode_answer,
    make_app,
    make_chatbot,
    run_server,
    serve_chatbot,
)

RESPONSE = {"model": MODEL, "input": "Hello", "store": False}
CONTINUATION = {"model": MODEL, "prompt": "Once upon"}
CHATBOT_COMPLETION = {"model": "chatbot", "messages": MESSAGES}
ROUTES = {
    "/chatbot/ask": INPUT,
    "/v1/chat/completions": COMPLETION,
    "/v1/responses": RESPONSE,
    "/v1/completions": CONTINUATION,
    "/model/invoke": {"input": "Hello"},
    "/chat/invoke": {"input": {"messages": [{"type": "human", "content": "Hello"}]}},
    "/chatbot/invoke": {"input": INPUT},
}


class FailingEngine(ScriptedEngine):
    """Refuses requests, or fails each stream, with an error."""

    def __init__(self, error: Exception, *, text: str | None = None) -> None:
        super().__init__([])
        self._error, self._text = error, text

    def submit(self, request: GenerationRequest) -> TokenStream:
        """Raise the error, or return a stream that ends with it after a text."""
        if self._text is None:
            raise self._error
        stream = TokenStream()
        for token_id in encode_answer(self._text)[:-1]:
            stream.put(token_id)
        stream.fail(self._error)
        return stream


class CountingEngine(ScriptedEngine):
    """Reports counters, and takes 16 tokens of each prompt from its cache."""

    @property
    def stats(self) -> EngineStats:
        """Fixed counters."""
        return EngineStats(finished={"stop": 4}, waiting=3, cached_tokens=48)

    def submit(self, request: GenerationRequest) -> TokenStream:
        """Start the next completion."""
        stream = super().submit(request)
        stream.cached_tokens = 16
        return stream


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Callable[..., httpx.Response], ScriptedEngine]]:
    """A function that posts with a key's name, and the engine behind the server."""
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    secrets = {"shop": add_key(file, "shop"), "desk": add_key(file, "desk", priority=5)}
    engine = ScriptedEngine([encode_answer(ANSWER)] * 100)
    app = make_app(make_chatbot(engine), settings=ServerSettings(keys=Keys.load(file)), langserve=True)
    with run_server(app) as address, connect(address) as client:

        def post(key: str, path: str, body: Any, **headers: str) -> httpx.Response:
            answer = client.post(path, json=body, headers={"Authorization": f"Bearer {secrets[key]}", **headers})
            assert answer.status_code == 200, answer.text
            return answer

        yield post, engine


def read_shared_text(request: GenerationRequest) -> str:
    return ENCODING.decode(request.prompt_ids[: request.shared_tokens])


@pytest.mark.parametrize("path", ROUTES)
def test_the_key_is_the_salt_on_every_route(office, path):
    post, engine = office
    for key, priority in (("shop", 0), ("desk", 5)):
        post(key, path, ROUTES[path])
        assert (engine.requests[-1].cache_salt, engine.requests[-1].priority) == (key, priority)


def test_users_of_a_key_have_their_own_salt(office):
    post, engine = office
    post("shop", "/chatbot/ask", INPUT, **{"X-GptOss-User": "alice"})
    assert engine.requests[-1].cache_salt == "shop/alice"


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/chat/completions", COMPLETION), ("/v1/chat/completions", CHATBOT_COMPLETION), ("/v1/responses", RESPONSE)],
)
def test_a_prompt_cache_key_divides_the_prompts_of_a_key(office, path, body):
    post, engine = office
    answer = post("shop", path, {**body, "prompt_cache_key": "team"})
    assert engine.requests[-1].cache_salt == "shop\nteam"
    assert "X-Ignored-Fields" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/completions"])
def test_a_priority_of_a_client_is_ignored_and_reported(office, path):
    post, engine = office
    answer = post("shop", path, {**ROUTES[path], "priority": 9})
    assert engine.requests[-1].priority == 0
    assert answer.headers["X-Ignored-Fields"] == "priority"


def test_the_instructions_of_the_chatbot_are_shared_and_those_of_clients_are_not(office):
    post, engine = office
    post("shop", "/chatbot/ask", INPUT)
    assert "Answer the question using only the numbered passages." in read_shared_text(engine.requests[-1])
    secret = [{"role": "system", "content": "The code word is heron."}, *MESSAGES]
    post("shop", "/v1/chat/completions", {**COMPLETION, "messages": secret})
    assert engine.requests[-1].shared_tokens == 0
    post("shop", "/v1/responses", {**RESPONSE, "instructions": "The code word is heron."})
    assert engine.requests[-1].shared_tokens == 0
    messages = [{"type": "system", "content": "The code word is heron."}, {"type": "human", "content": "Hello"}]
    post("shop", "/model/invoke", {"input": messages})
    assert engine.requests[-1].shared_tokens == 0


def test_without_keys_everyone_shares_cached_prompts():
    engine = ScriptedEngine([encode_answer(ANSWER)])
    with serve_chatbot(make_chatbot(engine)) as client:
        client.post("/chatbot/ask", json=INPUT, headers={"X-GptOss-User": "browser"})
    assert engine.requests[0].cache_salt is None


ERRORS = pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (EngineBusyError("64 requests wait.", hint="Try again in 7 s.", retry_after_s=6.2), 503, "7"),
        (DeadlineError("The answer was not complete after 2 s."), 504, "5"),
    ],
)


@ERRORS
def test_a_busy_engine_and_a_missed_deadline_have_their_status(error, status, retry_after):
    with serve_chatbot(make_chatbot(FailingEngine(error)), langserve=True) as client:
        for path in ("/v1/chat/completions", "/v1/responses", "/v1/completions", "/model/invoke"):
            answer = client.post(path, json=ROUTES[path])
            assert answer.status_code == status
            assert answer.headers["Retry-After"] == retry_after
            expected = {"message": str(error), "type": "server_error", "param": None, "code": None}
            assert answer.json() == ({"error": expected} if path.startswith("/v1/") else {"detail": str(error)})
        completion = client.post("/v1/chat/completions", json=CHATBOT_COMPLETION)
        assert (completion.status_code, completion.headers["Retry-After"]) == (status, retry_after)


@ERRORS
def test_the_chatbot_reports_both_after_its_sources(error, status, retry_after):
    with serve_chatbot(make_chatbot(FailingEngine(error))) as client:
        events = read_events(client.post("/chatbot/ask", json=INPUT).text)
    assert events[0]["sources"]
    assert events[-1] == {"status_code": status, "message": str(error)}


def read_events(text: str) -> list[Any]:
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in data]


def test_a_deadline_in_the_middle_of_a_stream_is_its_last_event():
    error = DeadlineError("The answer was not complete after 2 s.")
    with serve_chatbot(make_chatbot(FailingEngine(error, text="Paris is"))) as client:
        completion = client.post("/v1/chat/completions", json={**COMPLETION, "stream": True})
        assert completion.status_code == 200
        assert read_events(completion.text)[-1]["error"]["message"] == str(error)
        assert completion.text.endswith("data: [DONE]\n\n")
        response = read_events(client.post("/v1/responses", json={**RESPONSE, "stream": True}).text)
        assert response[-1]["type"] == "response.failed"
        assert response[-1]["response"]["error"]["message"] == str(error)
        answer = client.post("/chatbot/ask", json=INPUT)
        assert answer.status_code == 200
        assert read_events(answer.text)[-1] == {"status_code": 504, "message": str(error)}


def test_usage_names_the_cached_tokens_on_every_route_of_openai():
    engine = CountingEngine([encode_answer(ANSWER)] * 6)
    with serve_chatbot(make_chatbot(engine)) as client:
        for path, body in (
            ("/v1/chat/completions", COMPLETION),
            ("/v1/chat/completions", {**COMPLETION, "n": 2}),
            ("/v1/chat/completions", CHATBOT_COMPLETION),
            ("/v1/completions", CONTINUATION),
        ):
            usage = client.post(path, json=body).json()["usage"]
            assert usage["prompt_tokens_details"] == {"cached_tokens": 16}
        usage = client.post("/v1/responses", json=RESPONSE).json()["usage"]
        assert usage["input_tokens_details"]["cached_tokens"] == 16


def test_metrics_show_the_counters_of_the_engine():
    with serve_chatbot(make_chatbot(CountingEngine([]))) as client:
        text = client.get("/metrics").text
    assert "gptoss_engine_waiting 3.0" in text
    assert "gptoss_engine_cached_tokens_total 48.0" in text
    assert 'gptoss_engine_finished_total{reason="stop"} 4.0' in text
