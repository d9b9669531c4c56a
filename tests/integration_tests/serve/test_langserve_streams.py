"""What LangServe's streaming routes show: the public output, and nothing of the runs inside."""

import json
from collections.abc import Iterator
from itertools import pairwise

import httpx
import pytest
from fastapi import FastAPI
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda
from langserve import RemoteRunnable
from langserve.lzstring import LZString

from langchain_gptoss.serve import Caller, ServerSettings, add_chatbot_routes, create_app
from tests.integration_tests.serve.helpers import (
    ANSWER,
    CITED_ANSWER,
    INPUT,
    QUESTION,
    BreakingEngine,
    connect,
    encode_answer,
    make_chatbot,
    make_engine,
    run_server,
    serve_chatbot,
)

HIDDEN = "The express delivery bonus of the director is a golden parachute."
UNCHECKED = f"{ANSWER} Visit http://evil.example/pay and send your password. The director likes zebras."
WITHHELD = ("evil.example", "zebra", "password")
PROMPT = ("Answer the question using only", "<|start|>", "on_chat_model", "on_llm", "on_retriever", "on_prompt")
FORBIDDEN = (*WITHHELD, *PROMPT, "parachute", "hr.md")
STREAMS = ("stream", "stream_events", "stream_log")
WAYS = ("invoke", "batch", *STREAMS)
NO_LIMIT = ServerSettings(requests_per_minute=None)
NO_MODEL = ServerSettings(requests_per_minute=None, serve_chat_model=False)
DOCUMENTS = [
    Document(ANSWER, metadata={"source": "prices.md", "access": ["public"]}),
    Document(HIDDEN, metadata={"source": "hr.md", "access": ["hr"]}),
]
CONFIG = {
    "callbacks": [{"name": "tracer"}],
    "tags": ["a"],
    "metadata": {"access_labels": ["hr"], "user_id": "staff"},
    "run_name": "chosen",
    "max_concurrency": 1,
}


class EventRecorder(BaseCallbackHandler):
    """Records the prompts and documents that LangChain reports."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.documents: list[str] = []

    def on_chat_model_start(self, serialized, messages, **kwargs):
        self.prompts += [str(message.content) for conversation in messages for message in conversation]

    def on_retriever_end(self, documents, **kwargs):
        self.documents += [document.page_content for document in documents]


def build_judge(*violations: int) -> FakeListChatModel:
    verdicts = [json.dumps({"violation": value, "category": "x", "rationale": "no"}) for value in violations]
    return FakeListChatModel(responses=verdicts)


@pytest.fixture(scope="module", params=["strict", "not strict", "refused answer", "refused question"])
def client(request) -> Iterator[httpx.Client]:
    options = {
        "strict": {},
        "not strict": {"strict": False},
        "refused answer": {"guard_model": build_judge(0, 1), "domain": "support", "language": "en"},
        "refused question": {"guard_model": build_judge(1), "domain": "support", "language": "en"},
    }[request.param]
    chatbot = make_chatbot(make_engine(*[UNCHECKED] * 60), DOCUMENTS, access="access", **options)
    with serve_chatbot(chatbot, langserve=True, settings=NO_MODEL) as client:
        # Unsupported sentences are marked and shown by a chatbot that is not strict, but no links.
        client.headers["x-shown"] = "zebra" if request.param == "not strict" else ""
        yield client


def post(client: httpx.Client, path: str, value: object = INPUT, **fields: object) -> httpx.Response:
    body = {"inputs": [value], **fields} if path.endswith("/batch") else {"input": value, **fields}
    return client.post(path, json=body)


def read_data(response: httpx.Response) -> list[dict]:
    lines = response.text.split("\n")
    return [json.loads(line[6:]) for event, line in pairwise(lines) if event == "event: data"]


@pytest.mark.parametrize("way", WAYS)
def test_clients_see_nothing_that_the_checks_hold_back(client, way):
    plain = post(client, f"/chatbot/{way}")
    configured = post(client, f"/chatbot/{way}", config=CONFIG, include_types=["chain", "chat_model", "retriever"])
    encoded = LZString.compressToEncodedURIComponent(json.dumps(CONFIG))
    in_path = post(client, f"/chatbot/c/{encoded}/{way}", include_names=["gptoss_chatbot", "retrieve"])
    diff = post(client, f"/chatbot/{way}", diff=True, kwargs={"version": "v1"})
    for response in (plain, configured, in_path, diff):
        assert response.status_code == 200
        assert not [text for text in FORBIDDEN if text in response.text and text not in client.headers["x-shown"]]
    assert '"answer"' in plain.text


@pytest.mark.parametrize("way", ["invoke", "batch"])
def test_a_response_has_no_events_of_inner_runs(client, way):
    metadata = post(client, f"/chatbot/{way}").json()["metadata"]
    assert set(metadata) <= {"run_id", "run_ids", "responses", "feedback_tokens"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/chatbot/feedback"),
        ("HEAD", "/chatbot/feedback"),
        ("POST", "/chatbot/token_feedback"),
        ("POST", "/chatbot/public_trace_link"),
        ("HEAD", "/chatbot/public_trace_link"),
        ("PUT", "/chatbot/stream_log"),
        ("POST", "/model/stream_events"),
        ("POST", "/chat/stream_log"),
    ],
)
def test_routes_that_would_show_more_are_not_served(client, method, path):
    response = client.request(
        method, path, json={"run_id": "0" * 32, "key": "k", "input": "a"} if method != "HEAD" else None
    )
    assert 400 <= response.status_code < 500


@pytest.mark.parametrize("way", WAYS)
def test_the_retriever_shows_no_document_before_the_access_filter(way):
    chatbot = make_chatbot(make_engine(), DOCUMENTS, access="access")
    with serve_chatbot(chatbot, langserve=True, settings=NO_LIMIT) as client:
        response = post(client, f"/retriever/{way}", QUESTION)
    assert response.status_code == 200
    assert ANSWER in response.text
    assert not [text for text in FORBIDDEN if text in response.text]


@pytest.mark.parametrize("way", STREAMS)
def test_events_grow_in_proportion_to_the_answer(way):
    sizes = []
    for count in (10, 100):
        sentences = " ".join(f"The express delivery number {number} costs 12.90 euros." for number in range(count))
        documents = [Document(sentences, metadata={"source": "long.md"})]
        engine = make_engine(sentences, context_length=100_000)
        with serve_chatbot(make_chatbot(engine, documents, strict=False), langserve=True) as client:
            stream = post(client, f"/chatbot/{way}")
            sizes.append(len(stream.content))
        tokens = len(encode_answer(sentences))
        # An event has a fixed frame of less than 300 bytes; sources and citations come once, and in the final output.
        assert len(stream.content) < 300 * tokens + 30 * len(sentences) + 20_000
    assert sizes[1] < 15 * sizes[0]


def test_a_remote_runnable_reads_the_log():
    with serve_chatbot(make_chatbot(make_engine(ANSWER)), langserve=True) as client:
        patches = [data["ops"] for data in read_data(post(client, "/chatbot/stream_log"))]
    first, *chunks, last = [operation for operations in patches for operation in operations]
    assert (first["op"], first["path"], first["value"]["logs"]) == ("replace", "", {})
    assert {(chunk["op"], chunk["path"]) for chunk in chunks} == {("add", "/streamed_output/-")}
    assert (last["path"], last["value"]["answer"]) == ("/final_output", CITED_ANSWER)


@pytest.mark.parametrize(
    ("fields", "is_shown"),
    [
        ({}, True),
        ({"include_names": ["gptoss_chatbot"]}, True),
        ({"include_types": ["chain"]}, True),
        ({"include_names": ["retrieve"]}, False),
        ({"include_tags": ["seq:step:1"]}, False),
        ({"exclude_names": ["gptoss_chatbot"]}, False),
        ({"exclude_types": ["chain"], "include_names": ["gptoss_chatbot"]}, False),
        ({"exclude_types": ["retriever"]}, True),
    ],
)
def test_names_types_and_tags_select_events(fields, is_shown):
    with serve_chatbot(make_chatbot(make_engine(ANSWER)), langserve=True) as client:
        response = post(client, "/chatbot/stream_events", **fields)
    assert response.status_code == 200
    assert bool(read_data(response)) == is_shown
    assert "event: end" in response.text


@pytest.mark.parametrize("way", STREAMS)
def test_wrong_fields_are_refused(way):
    with serve_chatbot(make_chatbot(make_engine()), langserve=True) as client:
        assert post(client, f"/chatbot/{way}", include_names=5).status_code == 422
        assert client.post(f"/chatbot/{way}", json=[]).status_code == 422


@pytest.mark.parametrize("way", STREAMS)
def test_an_error_in_the_middle_is_the_last_event(way):
    chatbot = make_chatbot(BreakingEngine([encode_answer(ANSWER)]))
    with serve_chatbot(chatbot, langserve=True) as client:
        response = post(client, f"/chatbot/{way}")
    assert response.text.rstrip().split("event: ")[-1].startswith("error")
    assert "a secret reason" not in response.text


@pytest.mark.parametrize("way", STREAMS)
def test_an_error_that_a_client_can_mend_says_what_is_wrong(way):
    with serve_chatbot(make_chatbot(make_engine()), langserve=True) as client:
        response = post(client, f"/chatbot/{way}", {"question": QUESTION, "session_id": "s"})
    assert response.status_code == 422
    assert "keeps no sessions" in response.json()["detail"]


def test_the_model_has_its_own_events():
    with serve_chatbot(make_chatbot(make_engine(*[ANSWER] * 3)), langserve=True) as client:
        events = read_data(post(client, "/model/stream_events", "Hello"))
        chat = read_data(post(client, "/chat/stream_events", {"messages": [{"type": "human", "content": "Hello"}]}))
    assert {event["event"] for event in events} == {f"on_chat_model_{kind}" for kind in ("start", "stream", "end")}
    assert events[-1]["data"]["output"]["content"] == ANSWER
    assert {event["event"] for event in chat} == {f"on_chain_{kind}" for kind in ("start", "stream", "end")}


@pytest.mark.parametrize("way", WAYS)
def test_callbacks_of_the_application_see_everything(way):
    recorder = EventRecorder()
    chatbot = make_chatbot(make_engine(UNCHECKED)).with_config(callbacks=[recorder])
    with run_server(create_app(chatbot)) as address, connect(address) as client:
        response = post(client, f"/chatbot/{way}")
    assert any("Answer the question using only" in prompt for prompt in recorder.prompts)
    assert ANSWER in recorder.documents
    assert not [text for text in FORBIDDEN if text in response.text]


async def test_in_process_events_show_all_runs():
    chatbot = make_chatbot(make_engine(ANSWER))
    kinds = {event["event"] async for event in chatbot.astream_events(INPUT, version="v2")}
    assert {"on_retriever_end", "on_chat_model_stream", "on_chain_end"} <= kinds


def test_a_chain_of_the_application_shows_only_its_output():
    engine = make_engine(UNCHECKED, UNCHECKED)
    chain = make_chatbot(engine) | RunnableLambda(lambda output: {"answer": output.answer}, name="last")
    with serve_chatbot(chain, langserve=True) as client:
        for way in STREAMS[1:]:
            response = post(client, f"/chatbot/{way}")
            assert CITED_ANSWER in response.text
            assert not [text for text in (*FORBIDDEN, "citations") if text in response.text]


def test_an_application_with_its_own_login():
    app = FastAPI()
    engine = make_engine(HIDDEN, HIDDEN)
    add_chatbot_routes(app, make_chatbot(engine, DOCUMENTS, access="access"), path="/help")

    @app.middleware("http")
    async def set_caller(request, call_next):
        labels = tuple(request.headers.get("x-labels", "").split())
        request.state.caller = Caller(user_id="ada", access_labels=labels)
        return await call_next(request)

    body = {"input": {"question": "What is the express delivery bonus of the director?"}}
    with run_server(app) as address:
        shown = httpx.post(f"{address}/help/stream_events", json=body, headers={"x-labels": "hr"})
        hidden = httpx.post(f"{address}/help/stream_events", json=body)
        chunks = list(RemoteRunnable(f"{address}/help").stream(body["input"]))
    assert "parachute" in shown.text
    assert "parachute" not in hidden.text
    assert chunks
