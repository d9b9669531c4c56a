"""Keys, access labels and sessions: the documents and conversations of each caller, over real sockets."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from langchain_core.documents import Document
from langserve.lzstring import LZString

from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.serve import ApiKey, Keys, ServerSettings, add_key
from tests.integration_tests.serve.helpers import (
    ANSWER,
    ENCODING,
    INPUT,
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
