"""The application and its parts, over real sockets."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from langchain_core.runnables import RunnableLambda

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.serve import Caller, Keys, ServerSettings, add_chatbot_routes, add_gate, add_key
from tests.integration_tests.serve.helpers import (
    ANSWER,
    INPUT,
    connect,
    disable_langserve,
    make_chatbot,
    make_engine,
    run_server,
    serve_chatbot,
)
from tests.integration_tests.serve.test_access import SALARY, SECRET, make_labelled_chatbot


def test_health_readiness_and_description():
    with serve_chatbot(make_chatbot(make_engine()), title="Help desk") as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").json() == {"status": "ready"}
        description = client.get("/openapi.json").json()
        assert description["info"]["title"] == "Help desk"
        expected = {"/chatbot/ask", "/v1/chat/completions", "/v1/models", "/documents", "/metrics", "/healthz"}
        assert expected <= set(description["paths"])
        # FastAPI's own documentation pages would load scripts from another host.
        assert client.get("/docs").status_code == client.get("/redoc").status_code == 404


@pytest.mark.parametrize("path", ["chatbot", "/chatbot/", "/", ""])
def test_an_invalid_path_is_refused(path):
    with pytest.raises(InvalidInputError, match="begin with a slash"):
        add_chatbot_routes(FastAPI(), RunnableLambda(dict), path=path)


def test_another_application_sets_the_caller():
    users = {"ann": Caller(user_id="ann", access_labels=("hr",)), "bob": Caller(user_id="bob")}
    chatbot, _ = make_labelled_chatbot(sessions=":memory:")
    app = FastAPI()

    @app.middleware("http")
    async def set_caller(request: Request, call_next: Any) -> Any:
        if (name := request.headers.get("x-logged-in")) is not None:
            request.state.caller = users[name]
        return await call_next(request)

    with disable_langserve():
        add_chatbot_routes(app, chatbot, path="/help")
    with run_server(app) as address, connect(address) as client:

        def ask(question: dict[str, str], **headers: str) -> str:
            return client.post("/help/ask", json=question, headers=headers).text

        assert SECRET in ask(SALARY, **{"x-logged-in": "ann"})
        assert SECRET not in ask(SALARY, **{"x-logged-in": "bob"})
        assert SECRET not in ask(SALARY)
        ask(SALARY | {"session_id": "s"}, **{"x-logged-in": "ann"})
        ask(INPUT | {"session_id": "s"}, **{"x-logged-in": "bob"})
    assert [len(chatbot.sessions.get_messages(user, "s")) for user in ("ann", "bob", "anonymous")] == [2, 2, 0]


@pytest.mark.parametrize(("caller", "status_code"), [("ann", 500), (Caller(user_id="shop/ann"), 422)])
def test_an_invalid_caller_of_another_application_is_an_error(caller, status_code):
    app = FastAPI()

    @app.middleware("http")
    async def set_caller(request: Request, call_next: Any) -> Any:
        request.state.caller = caller
        return await call_next(request)

    with disable_langserve():
        add_chatbot_routes(app, make_chatbot(make_engine()))
    with run_server(app) as address:
        assert httpx.post(f"{address}/chatbot/ask", json=INPUT).status_code == status_code


def test_another_application_with_the_gate(tmp_path):
    key = add_key(tmp_path / "keys.toml", "shop")
    app = FastAPI()

    @app.get("/")
    async def get_root() -> str:
        return "own"

    with disable_langserve():
        add_chatbot_routes(app, make_chatbot(make_engine(ANSWER)))
    add_gate(app, ServerSettings(keys=Keys.load(tmp_path / "keys.toml")))
    with run_server(app) as address:
        assert httpx.get(f"{address}/").status_code == 401
        with connect(address, headers={"Authorization": f"Bearer {key}"}) as client:
            assert client.get("/").json() == "own"
            assert ANSWER in client.post("/chatbot/ask", json=INPUT).text
            assert 'gptoss_answers_total{outcome="answered"} 1.0' in client.get("/metrics").text
