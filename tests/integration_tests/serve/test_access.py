"""Who may see what on a server: keys, the labels of their holders, users' sessions; on real sockets."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI, Request
from langchain_core.documents import Document
from langserve import RemoteRunnable
from langserve.lzstring import LZString
from openai_harmony import HarmonyEncodingName, load_harmony_encoding

from langchain_gptoss import ChatGptOss, FaissStore, create_chatbot
from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.serve import Caller, Keys, ServerSettings, add_chatbot_routes, add_gate, add_key, create_app
from tests.integration_tests.serve.test_langserve_routes import (
    ANSWER,
    QUESTION,
    Words,
    chatbot_over,
    harmony,
    running,
    scripted,
)

SECRET = "The salary of the director is 9,000 euros."
SALARY = {"question": "What is the salary of the director?"}
ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
CALLERS = {
    "staff": Caller(name="staff", labels=("hr",)),
    "guest": Caller(name="guest"),
    "old": Caller(name="old", labels=("hr",), expires=date(2020, 1, 31)),
}


def labelled_bot(**options: Any):
    """A chatbot over a public and a labelled document, and its engine."""
    engine = ScriptedEngine([harmony(SECRET)] * 200)
    documents = [
        Document(page_content=SECRET, metadata={"source": "hr.md", "access": ["hr"]}),
        Document(page_content=ANSWER, metadata={"source": "prices.md", "access": ["public"]}),
    ]
    store = FaissStore(Words())
    store.add_documents(documents)
    llm = ChatGptOss(model="gpt-oss-20b", engine=engine)
    return create_chatbot(llm, store.as_retriever(), access="access", **options), engine


class Office:
    """A running server, asked by its callers."""

    def __init__(self, address: str, keys: dict[str, str], engine: Any) -> None:
        self.keys, self.engine = keys, engine
        self.client = httpx.Client(base_url=address, timeout=60)

    def ask(self, who: str | None, path: str, body: Any = None, *, method: str = "", **headers: str) -> httpx.Response:
        if who is not None:
            headers["Authorization"] = f"Bearer {self.keys[who]}"
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        method = method or ("GET" if body is None else "POST")
        return self.client.request(method, path, json=body, headers=headers)

    def prompts_since(self, before: int) -> str:
        return "".join(ENCODING.decode(request.prompt_ids) for request in self.engine.requests[before:])


@pytest.fixture(scope="module")
def office(tmp_path_factory) -> Iterator[Office]:
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    keys = {name: add_key(file, name, labels=caller.labels, expires=caller.expires) for name, caller in CALLERS.items()}
    bot, engine = labelled_bot(sessions=":memory:")
    settings = ServerSettings(keys=Keys.load(file), requests_per_minute=None)
    with running(create_app(bot, settings=settings)) as address:
        office = Office(address, keys, engine)
        with office.client:
            yield office


PATHS = ["/chatbot/invoke", "/v1/models", "/documents?source=hr.md", "/sessions", "/metrics", "/openapi.json", "/none"]


@pytest.mark.parametrize("path", PATHS)
def test_without_a_key_everything_but_page_and_health_is_closed(office, path):
    answer = office.ask(None, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "A key is needed" in answer.text
    assert office.ask("old", path).status_code == 401
    assert "expired on 2020-01-31" in office.ask("old", path).text
    assert "not known here" in office.ask(None, path, X_API_Key="gptoss-guess").text


def test_page_and_health_are_open_and_what_lies_beside_them_is_not(office):
    assert [office.ask(None, path).status_code for path in ("/", "/healthz", "/readyz")] == [200, 200, 200]
    for path in ("/assets/../sessions", "/assets/%2e%2e/sessions", "/assets/page/../../sessions", "/assets/none"):
        assert office.ask(None, path).status_code in (401, 404)
    for path in ("/healthz/", "/readyz/x", "/assets", "/Healthz"):
        assert office.ask(None, path).status_code == 401


def test_a_key_comes_in_either_header(office):
    assert office.ask("guest", "/v1/models").status_code == 200
    assert office.ask(None, "/v1/models", X_API_Key=office.keys["guest"]).status_code == 200
    assert office.ask(None, "/v1/models", Authorization=f"bearer  {office.keys['guest']}").status_code == 200
    assert office.ask(None, "/v1/models", Authorization=office.keys["guest"]).status_code == 401


ASKED = [
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
@pytest.mark.parametrize(("path", "body"), ASKED)
def test_a_key_decides_what_is_found_whichever_way_it_is_asked(office, path, body):
    seen = office.ask("staff", path, body)
    assert seen.status_code == 200
    assert "9,000" in seen.text
    before = len(office.engine.requests)
    hidden = office.ask("guest", path, body)
    assert hidden.status_code == 200
    assert "9,000" not in hidden.text
    assert "hr.md" not in hidden.text
    assert "9,000" not in office.prompts_since(before)


def test_a_document_is_shown_to_whom_its_labels_allow(office):
    assert office.ask("staff", "/documents?source=hr.md").json()["text"] == SECRET
    assert office.ask("guest", "/documents?source=hr.md").status_code == 404
    assert office.ask("guest", "/documents?source=hr.md").json() == office.ask("guest", "/documents?source=no").json()
    assert office.ask("guest", "/documents?source=prices.md").json()["text"] == ANSWER


@pytest.mark.parametrize("wanted", [{"access_labels": ["hr"]}, {"user_id": "staff"}, {"thread_id": "staff/s"}])
def test_a_client_cannot_say_who_it_is(office, wanted):
    config, before = {"configurable": wanted}, len(office.engine.requests)
    for path, body in (
        ("/chatbot/invoke", {"input": SALARY, "config": config}),
        ("/chatbot/stream", {"input": SALARY, "config": config}),
        ("/chatbot/batch", {"inputs": [SALARY], "config": [config]}),
        ("/retriever/invoke", {"input": SALARY["question"], "config": config}),
        (f"/retriever/c/{LZString.compressToEncodedURIComponent(json.dumps(config))}/invoke", {"input": "salary"}),
    ):
        answer = office.ask("guest", path, body)
        assert answer.status_code in (200, 400, 422), path
        assert "9,000" not in answer.text
        assert "9,000" not in office.prompts_since(before)
    metadata = office.ask("guest", "/chatbot/invoke", {"input": SALARY, "config": {"metadata": wanted, "tags": ["a"]}})
    assert "9,000" not in metadata.text


def test_sessions_are_their_users_own(office):
    first = {"input": {"question": SALARY["question"], "session_id": "mine"}}
    assert office.ask("staff", "/chatbot/invoke", first).status_code == 200
    assert [each["session_id"] for each in office.ask("staff", "/sessions").json()] == ["mine"]
    assert office.ask("staff", "/sessions/mine").json()["messages"][1]["data"]["content"].startswith(SECRET)

    assert office.ask("guest", "/sessions").json() == []
    for name in ("mine", "staff/mine", "../staff/mine", "..%2Fstaff%2Fmine", "%2e%2e/staff/mine", "staff%252Fmine"):
        assert office.ask("guest", f"/sessions/{name}").status_code == 404
        assert office.ask("guest", f"/sessions/{name}", method="DELETE").status_code in (204, 404)
    before = len(office.engine.requests)
    for name in ("mine", "staff/mine", "../staff/mine"):
        follow = {"question": "And how much is that in pounds?", "session_id": name}
        assert office.ask("guest", "/chatbot/invoke", {"input": follow}).status_code == 200
        assert office.ask("guest", "/chatbot/batch", {"inputs": [follow]}).status_code == 200
    assert "9,000" not in office.prompts_since(before)
    assert len(office.ask("staff", "/sessions/mine").json()["messages"]) == 2
    assert len(office.ask("guest", "/sessions/mine").json()["messages"]) == 4
    assert office.ask("staff", "/sessions/mine", method="DELETE").status_code == 204
    assert office.ask("staff", "/sessions/mine").status_code == 404
    assert office.ask("guest", "/sessions/mine").status_code == 200


def test_a_client_may_tell_its_own_users_apart_and_become_no_other_clients(office):
    question = {"input": QUESTION | {"session_id": "s"}}
    assert office.ask("guest", "/chatbot/invoke", question, X_GptOss_User="ann@shop").status_code == 200
    assert len(office.ask("guest", "/sessions", X_GptOss_User="ann@shop").json()) == 1
    for who, user in (("guest", "bob"), ("guest", "staff"), ("staff", "ann@shop"), ("staff", "guest")):
        assert office.ask(who, "/sessions/s", X_GptOss_User=user).status_code == 404
    for user in ("", "a b", "a/b", "../staff", "a" * 101, "a%00b", "a:b"):
        assert office.ask("guest", "/sessions", X_GptOss_User=user).status_code == 422
        refused = office.ask("guest", "/chatbot/invoke", question, X_GptOss_User=user)
        assert (refused.status_code, "X-GptOss-User must be" in refused.text) == (422, True)


@pytest.mark.parametrize("name", ["a/b", "é ü", "a?b#c", "..", "<script>", "a'; DROP TABLE checkpoints; --", "%41"])
def test_a_session_may_have_any_readable_name(office, name):
    asked = {"input": QUESTION | {"session_id": name}}
    assert office.ask("staff", "/chatbot/invoke", asked).status_code == 200
    path = f"/sessions/{quote(name, safe='').replace('.', '%2E')}"
    if name != "..":  # what a client makes of dots is its own business
        assert office.ask("staff", path).json()["session_id"] == name
        assert office.ask("staff", path, method="DELETE").status_code == 204
        assert office.ask("staff", path).status_code == 404


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x00b", "\u202ea", "x" * 201])
def test_a_session_with_another_name_is_refused(office, name):
    refused = office.ask("staff", "/chatbot/invoke", {"input": QUESTION | {"session_id": name}})
    assert refused.status_code == 422
    assert "session_id is" in refused.json()["detail"]


def test_an_app_of_ones_own_names_the_caller_itself():
    users = {"ann": Caller(name="ann", labels=("hr",)), "bob": Caller(name="bob")}
    bot, _ = labelled_bot(sessions=":memory:")
    app = FastAPI()

    @app.middleware("http")
    async def who(request: Request, call_next: Any) -> Any:
        if (name := request.headers.get("x-logged-in")) is not None:
            request.state.caller = users[name]
        return await call_next(request)

    add_chatbot_routes(app, bot, path="/help")
    with running(app) as address:

        def ask(question: dict[str, str], **headers: str) -> dict[str, Any]:
            return RemoteRunnable(f"{address}/help", headers=headers).invoke(question)

        assert ask(SALARY, **{"x-logged-in": "ann"})["answer"] == f"{SECRET} [1]"
        assert ask(SALARY, **{"x-logged-in": "bob"})["abstained"]
        assert ask(SALARY)["abstained"]
        ask(SALARY | {"session_id": "s"}, **{"x-logged-in": "ann"})
        ask(QUESTION | {"session_id": "s"}, **{"x-logged-in": "bob"})
    assert [len(bot.sessions.get_messages(user, "s")) for user in ("ann", "bob", "anonymous")] == [2, 2, 0]


def test_an_app_of_ones_own_with_the_gate(tmp_path):
    key = add_key(tmp_path / "keys.toml", "shop")
    app = FastAPI()

    @app.get("/")
    async def own() -> str:
        return "own"

    add_chatbot_routes(app, chatbot_over(scripted(ANSWER)))
    add_gate(app, ServerSettings(keys=Keys.load(tmp_path / "keys.toml")))
    with running(app) as address:
        assert httpx.get(f"{address}/").status_code == 401
        bearer = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{address}/", headers=bearer).json() == "own"
        assert RemoteRunnable(f"{address}/chatbot", headers=bearer).invoke(QUESTION)["answer"] == f"{ANSWER} [1]"
        assert 'gptoss_answers_total{outcome="answered"} 1.0' in httpx.get(f"{address}/metrics", headers=bearer).text
