"""Keys, access labels and sessions: the documents and conversations of each caller, over real sockets."""

import json
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStoreRetriever
from langserve.lzstring import LZString

from langchain_gptoss import (
    BM25Retriever,
    ChatGptOss,
    FaissStore,
    HybridRetriever,
    NeighbourRetriever,
    create_chatbot,
)
from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.serve import ApiKey, Keys, ServerSettings, add_key
from tests.integration_tests.serve.helpers import (
    ANSWER,
    ENCODING,
    INPUT,
    MODEL,
    WordEmbeddings,
    connect,
    encode_answer,
    make_app,
    make_chatbot,
    run_server,
)

SECRET = "The salary of the director is 9,000 euros."
SALARY = {"question": "What is the salary of the director?"}
API_KEYS = {
    "staff": ApiKey(name="staff", labels=("hr",)),
    "guest": ApiKey(name="guest"),
    "old": ApiKey(name="old", labels=("hr",), expires=date(2020, 1, 31)),
}


def make_labelled_chatbot(**options: Any):
    """Return a chatbot over a public and a labelled document, and its engine."""
    engine = ScriptedEngine([encode_answer(SECRET)] * 200)
    documents = [
        Document(page_content=SECRET, metadata={"source": "hr.md", "access": ["hr"]}),
        Document(page_content=ANSWER, metadata={"source": "prices.md", "access": ["public"]}),
    ]
    return make_chatbot(engine, documents, access="access", **options), engine


class Office:
    """A running server and the keys of its callers."""

    def __init__(self, address: str, keys: dict[str, str], engine: Any) -> None:
        self.keys, self.engine = keys, engine
        self.client = connect(address)

    def send(
        self, caller: str | None, path: str, body: Any = None, *, method: str = "", **headers: str
    ) -> httpx.Response:
        if caller is not None:
            headers["Authorization"] = f"Bearer {self.keys[caller]}"
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        method = method or ("GET" if body is None else "POST")
        return self.client.request(method, path, json=body, headers=headers)

    def decode_prompts(self, before: int) -> str:
        return "".join(ENCODING.decode(request.prompt_ids) for request in self.engine.requests[before:])


@pytest.fixture(scope="module")
def office(tmp_path_factory) -> Iterator[Office]:
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    keys = {name: add_key(file, name, labels=key.labels, expires=key.expires) for name, key in API_KEYS.items()}
    chatbot, engine = make_labelled_chatbot(sessions=":memory:")
    settings = ServerSettings(keys=Keys.load(file), requests_per_minute=None)
    with run_server(make_app(chatbot, langserve=True, settings=settings)) as address:
        office = Office(address, keys, engine)
        with office.client:
            yield office


PATHS = [
    "/chatbot/ask",
    "/chatbot/invoke",
    "/v1/models",
    "/documents?source=hr.md",
    "/sessions",
    "/metrics",
    "/openapi.json",
    "/none",
]


@pytest.mark.parametrize("path", PATHS)
def test_routes_need_a_key(office, path):
    answer = office.send(None, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "A key is needed" in answer.text
    assert office.send("old", path).status_code == 401
    assert "expired on 2020-01-31" in office.send("old", path).text
    assert "The key is unknown" in office.send(None, path, X_API_Key="gptoss-guess").text


def test_only_page_and_health_are_open(office):
    assert [office.send(None, path).status_code for path in ("/", "/healthz", "/readyz")] == [200, 200, 200]
    for path in ("/assets/../sessions", "/assets/%2e%2e/sessions", "/assets/page/../../sessions", "/assets/none"):
        assert office.send(None, path).status_code in (401, 404)
    for path in ("/healthz/", "/readyz/x", "/assets", "/Healthz"):
        assert office.send(None, path).status_code == 401


def test_the_key_is_read_from_both_headers(office):
    assert office.send("guest", "/v1/models").status_code == 200
    assert office.send(None, "/v1/models", X_API_Key=office.keys["guest"]).status_code == 200
    assert office.send(None, "/v1/models", Authorization=f"bearer  {office.keys['guest']}").status_code == 200
    assert office.send(None, "/v1/models", Authorization=office.keys["guest"]).status_code == 401


QUESTIONS = [
    ("/chatbot/ask", SALARY),
    ("/chatbot/invoke", {"input": SALARY}),
    ("/chatbot/batch", {"inputs": [SALARY, SALARY]}),
    ("/chatbot/stream", {"input": SALARY}),
    ("/chatbot/stream_log", {"input": SALARY}),
    ("/chatbot/stream_events", {"input": SALARY}),
    ("/retriever/invoke", {"input": SALARY["question"]}),
    ("/retriever/batch", {"inputs": [SALARY["question"]]}),
    ("/retriever/stream", {"input": SALARY["question"]}),
    ("/v1/chat/completions", {"model": "chatbot", "messages": [{"role": "user", "content": SALARY["question"]}]}),
    (
        "/v1/chat/completions",
        {"model": "chatbot", "stream": True, "messages": [{"role": "user", "content": SALARY["question"]}]},
    ),
]


@pytest.mark.filterwarnings("ignore:astream_log is deprecated")  # LangServe's playground asks for it
@pytest.mark.parametrize(("path", "body"), QUESTIONS)
def test_labels_limit_what_is_found_on_every_route(office, path, body):
    seen = office.send("staff", path, body)
    assert seen.status_code == 200
    assert "9,000" in seen.text
    before = len(office.engine.requests)
    hidden = office.send("guest", path, body)
    assert hidden.status_code == 200
    assert "9,000" not in hidden.text
    assert "hr.md" not in hidden.text
    assert "9,000" not in office.decode_prompts(before)


def test_labels_limit_documents(office):
    assert office.send("staff", "/documents?source=hr.md").json()["text"] == SECRET
    assert office.send("guest", "/documents?source=hr.md").status_code == 404
    assert office.send("guest", "/documents?source=hr.md").json() == office.send("guest", "/documents?source=no").json()
    assert office.send("guest", "/documents?source=prices.md").json()["text"] == ANSWER


@pytest.mark.parametrize("configurable", [{"access_labels": ["hr"]}, {"user_id": "staff"}, {"thread_id": "staff/s"}])
def test_a_client_cannot_set_its_identity(office, configurable):
    config, before = {"configurable": configurable}, len(office.engine.requests)
    for path, body in (
        ("/chatbot/invoke", {"input": SALARY, "config": config}),
        ("/chatbot/stream", {"input": SALARY, "config": config}),
        ("/chatbot/batch", {"inputs": [SALARY], "config": [config]}),
        ("/retriever/invoke", {"input": SALARY["question"], "config": config}),
        (f"/retriever/c/{LZString.compressToEncodedURIComponent(json.dumps(config))}/invoke", {"input": "salary"}),
    ):
        answer = office.send("guest", path, body)
        assert answer.status_code in (200, 400, 422), path
        assert "9,000" not in answer.text
        assert "9,000" not in office.decode_prompts(before)
    metadata = office.send(
        "guest", "/chatbot/invoke", {"input": SALARY, "config": {"metadata": configurable, "tags": ["a"]}}
    )
    assert "9,000" not in metadata.text


def test_sessions_belong_to_their_user(office):
    first = {"input": {"question": SALARY["question"], "session_id": "mine"}}
    assert office.send("staff", "/chatbot/invoke", first).status_code == 200
    assert [each["session_id"] for each in office.send("staff", "/sessions").json()] == ["mine"]
    assert office.send("staff", "/sessions/mine").json()["messages"][1]["data"]["content"].startswith(SECRET)

    assert office.send("guest", "/sessions").json() == []
    for name in ("mine", "staff/mine", "../staff/mine", "..%2Fstaff%2Fmine", "%2e%2e/staff/mine", "staff%252Fmine"):
        assert office.send("guest", f"/sessions/{name}").status_code == 404
        assert office.send("guest", f"/sessions/{name}", method="DELETE").status_code in (204, 404)
    before = len(office.engine.requests)
    for name in ("mine", "staff/mine", "../staff/mine"):
        follow = {"question": "And how much is that in pounds?", "session_id": name}
        assert office.send("guest", "/chatbot/invoke", {"input": follow}).status_code == 200
        assert office.send("guest", "/chatbot/batch", {"inputs": [follow]}).status_code == 200
    assert "9,000" not in office.decode_prompts(before)
    assert len(office.send("staff", "/sessions/mine").json()["messages"]) == 2
    assert len(office.send("guest", "/sessions/mine").json()["messages"]) == 4
    assert office.send("staff", "/sessions/mine", method="DELETE").status_code == 204
    assert office.send("staff", "/sessions/mine").status_code == 404
    assert office.send("guest", "/sessions/mine").status_code == 200


def test_a_client_has_its_own_users(office):
    question = {"input": INPUT | {"session_id": "s"}}
    assert office.send("guest", "/chatbot/invoke", question, X_GptOss_User="ann@shop").status_code == 200
    assert len(office.send("guest", "/sessions", X_GptOss_User="ann@shop").json()) == 1
    for caller, user in (("guest", "bob"), ("guest", "staff"), ("staff", "ann@shop"), ("staff", "guest")):
        assert office.send(caller, "/sessions/s", X_GptOss_User=user).status_code == 404
    for user in ("", "a b", "a/b", "../staff", "a" * 101, "a%00b", "a:b"):
        assert office.send("guest", "/sessions", X_GptOss_User=user).status_code == 422
        refused = office.send("guest", "/chatbot/invoke", question, X_GptOss_User=user)
        assert (refused.status_code, "X-GptOss-User must be" in refused.text) == (422, True)


@pytest.mark.parametrize("name", ["a/b", "é ü", "a?b#c", "..", "<script>", "a'; DROP TABLE checkpoints; --", "%41"])
def test_session_names_may_have_any_printable_character(office, name):
    asked = {"input": INPUT | {"session_id": name}}
    assert office.send("staff", "/chatbot/invoke", asked).status_code == 200
    path = f"/sessions/{quote(name, safe='').replace('.', '%2E')}"
    if name != "..":  # clients resolve dots in paths
        assert office.send("staff", path).json()["session_id"] == name
        assert office.send("staff", path, method="DELETE").status_code == 204
        assert office.send("staff", path).status_code == 404


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x00b", "\u202ea", "x" * 201])
def test_other_session_names_are_refused(office, name):
    refused = office.send("staff", "/chatbot/invoke", {"input": INPUT | {"session_id": name}})
    assert refused.status_code == 422
    assert "session_id is" in refused.json()["detail"]


def make_store(documents: list[Document]) -> FaissStore:
    store = FaissStore(WordEmbeddings())
    store.add_documents(documents)
    return store


TENANTS = [
    Document(SECRET, metadata={"source": "secret.md", "start": 0, "tenant": "b", "access": ["public"]}),
    Document(ANSWER, metadata={"source": "prices.md", "start": 0, "tenant": "a", "access": ["public"]}),
]
OWN_FILTER = {"filter": {"tenant": "a"}}
TENANT_RETRIEVERS: dict[str, Callable[[], Any]] = {
    "faiss": lambda: make_store(TENANTS).as_retriever(search_kwargs=OWN_FILTER),
    "a function": lambda: make_store(TENANTS).as_retriever(
        search_kwargs={"filter": lambda metadata: metadata["tenant"] == "a"}
    ),
    "LangChain's retriever": lambda: VectorStoreRetriever(
        vectorstore=make_store(TENANTS), search_type="mmr", search_kwargs=OWN_FILTER
    ),
    "hybrid": lambda: HybridRetriever(
        retrievers=[
            make_store(TENANTS).as_retriever(search_kwargs=OWN_FILTER),
            BM25Retriever.from_documents(TENANTS, **OWN_FILTER),
        ]
    ),
    "neighbours": lambda: NeighbourRetriever(
        retriever=make_store(TENANTS).as_retriever(search_kwargs=OWN_FILTER), chunks=TENANTS
    ),
}


@pytest.mark.parametrize("access", [None, "access"])
@pytest.mark.parametrize("kind", TENANT_RETRIEVERS)
def test_the_own_filter_of_a_retriever_holds_on_every_route(kind, access):
    engine = ScriptedEngine([encode_answer(ANSWER)] * 50)
    llm = ChatGptOss(model=MODEL, engine=engine)
    chatbot = create_chatbot(llm, TENANT_RETRIEVERS[kind](), access=access, decline_below=0)
    settings = ServerSettings(requests_per_minute=None)
    with run_server(make_app(chatbot, langserve=True, settings=settings)) as address, connect(address) as client:
        assert client.get("/documents", params={"source": "prices.md"}).json()["text"] == ANSWER
        assert client.get("/documents", params={"source": "secret.md"}).status_code == 404
        for path, body in QUESTIONS[:3] + QUESTIONS[6:]:
            answer = client.post(path, json=body)
            assert answer.status_code == 200, path
            assert "9,000" not in answer.text, path
            assert "secret.md" not in answer.text, path
        assert "9,000" not in "".join(ENCODING.decode(request.prompt_ids) for request in engine.requests)


def test_scores_do_not_tell_whether_a_hidden_document_has_a_word():
    documents = [
        Document(f"The express delivery number {n} costs {n} euros.", metadata={"source": f"{n}", "access": ["public"]})
        for n in range(5)
    ]
    hidden = Document("The codename zebrafish is reserved.", metadata={"source": "hr.md", "access": ["hr"]})
    chatbot = create_chatbot(
        ChatGptOss(model=MODEL, engine=ScriptedEngine([])),
        BM25Retriever.from_documents([*documents, hidden]),
        access="access",
    )
    with run_server(make_app(chatbot, langserve=True)) as address, connect(address) as client:
        known, unknown = (
            client.post("/retriever/invoke", json={"input": f"express delivery {word}"}).json()["output"]
            for word in ("zebrafish", "unicorn")
        )
    assert len(known) == 5
    assert known == unknown
