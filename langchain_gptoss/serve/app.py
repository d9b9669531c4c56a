"""The FastAPI application: a chatbot with everything around it, and its routes for an application of one's own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.runnables import Runnable
from sse_starlette.sse import AppStatus

from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.chatbot import Chatbot, Sessions
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.serve.caller import USER_HEADER, caller_of, user_of
from langchain_gptoss.serve.documents import DocumentReader
from langchain_gptoss.serve.error_responses import STATUS, told
from langchain_gptoss.serve.gate import Gate
from langchain_gptoss.serve.langserve_routes import chatbot_routes, model_routes, retriever_routes
from langchain_gptoss.serve.metrics import Metrics
from langchain_gptoss.serve.openai_api import openai_routes
from langchain_gptoss.serve.page import page_routes
from langchain_gptoss.serve.settings import ServerSettings

_OPEN = ("/", "/assets/", "/healthz", "/readyz")
_HERE = ("127.0.0.1", "localhost", "::1", "[::1]")


def create_app(
    chatbot: Runnable[Any, Any], *, title: str = "langchain-gptoss", settings: ServerSettings | None = None
) -> FastAPI:
    """Returns a web application around a chatbot.

    | route | what |
    |---|---|
    | `/` | a page to talk with it |
    | `/chatbot`, `/model`, `/chat`, `/retriever` | LangServe: invoke, batch, stream, playground |
    | `/v1/chat/completions`, `/v1/models` | OpenAI's API |
    | `/sessions`, `/documents` | remembered conversations; a cited document's text |
    | `/healthz`, `/readyz`, `/metrics` | is it there, can it answer, what has it done |
    | `/openapi.json` | all of them, described |

    Args:
        chatbot: What `create_chatbot` returned; any other Runnable with the same input and output is served without
            the routes that need its model, retriever or sessions.
        title: The name in the page and in the API's description.
        settings: Keys and limits.
    """
    settings = settings or ServerSettings()
    # FastAPI's own pages of documentation load their scripts from another host.
    app = FastAPI(title=title, docs_url=None, redoc_url=None)
    parts = chatbot.settings if isinstance(chatbot, Chatbot) else None
    add_chatbot_routes(app, chatbot)
    llm = parts.llm if parts is not None and settings.chat_model else None
    app.include_router(openai_routes(chatbot, llm))
    if llm is not None:
        app.include_router(model_routes(llm))
    if parts is not None:
        app.include_router(retriever_routes(parts.retriever, parts.access))
        app.include_router(_document_routes(DocumentReader(parts.retriever, parts.access)))
    if isinstance(chatbot, Chatbot) and chatbot.sessions is not None:
        app.include_router(_session_routes(chatbot.sessions))
    app.include_router(page_routes(chatbot, title=title, needs_key=settings.keys is not None))
    app.include_router(_state_routes(lambda: _loaded(parts.llm if parts else None)))
    add_gate(app, settings, open_paths=_OPEN)
    # Else sse-starlette cuts LangServe's streams off at once; now they have the time of grace, and then the gate ends
    # them. It can be said for a whole process only.
    AppStatus.enable_automatic_graceful_drain = False
    return app


def add_gate(app: FastAPI, settings: ServerSettings | None = None, *, open_paths: Collection[str] = ()) -> None:
    """Puts keys, limits and metrics (at `/metrics`) before everything in an application.

    Args:
        app: The application.
        settings: Keys and limits.
        open_paths: What is answered without a key, such as `"/healthz"`; a path that ends with a slash stands for all
            below it.
    """
    settings, metrics = settings or ServerSettings(), Metrics()
    app.state.settings, app.state.metrics_callbacks = settings, metrics.callbacks

    @app.get("/metrics", tags=["State"])
    async def written() -> Response:
        """What was counted, for Prometheus."""
        return Response(metrics.written(), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.add_middleware(Gate, settings=settings, metrics=metrics, open_paths=tuple(open_paths))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", USER_HEADER],
        )


def add_chatbot_routes(app: FastAPI, chatbot: Runnable[Any, Any], *, path: str = "/chatbot") -> None:
    """Adds a chatbot to an application: LangServe's invoke, batch, stream, stream_events, schemas and playground.

    `langserve.RemoteRunnable(url)` uses it like a local chatbot. A request that the chatbot cannot work with is
    answered with status 422 and `{"detail": message}`. Where a stream has begun already, LangServe ends it with an
    error event without the message, which is in the server's log.

    Keys and limits come with `add_gate`. An application that knows its users already says who asks instead: where it
    sets `request.state.caller = Caller(name=..., labels=...)` before the route, as a middleware does, that user's
    sessions are found and that user's documents are searched. Who is not named sees what is public.

    Args:
        app: The application. Its requests that raise one of this package's errors are answered with a status of
            their own from now on.
        chatbot: What `create_chatbot` returned, or any Runnable with the same input and output.
        path: Where the routes go; it begins with a slash.

    Raises:
        InvalidInputError: `path` does not begin with a slash, or ends with one.
    """
    if not path.startswith("/") or path.endswith("/"):
        raise InvalidInputError(f"path is {path!r}; it must begin with a slash and not end with one.")
    for error in STATUS:
        app.add_exception_handler(error, _answer)
    app.include_router(chatbot_routes(chatbot, path))


def serve(
    chatbot: Runnable[Any, Any],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    title: str = "langchain-gptoss",
    settings: ServerSettings | None = None,
) -> None:
    """Serves a chatbot until it is interrupted (Ctrl+C, SIGTERM); answers that are being written may end first.

    Args:
        chatbot: What `create_chatbot` returned, or any Runnable with the same input and output.
        host: The address to listen at. The default is reached from this machine alone.
        port: The port to listen at.
        title: The name in the page.
        settings: Keys and limits. Without keys everybody who reaches the server may use it.
    """
    settings = settings or ServerSettings()
    if host in _HERE and settings.keys is None and not settings.hosts:
        settings = dataclasses.replace(settings, hosts=_HERE)
    app = create_app(chatbot, title=title, settings=settings)
    uvicorn.run(app, host=host, port=port, timeout_graceful_shutdown=math.ceil(settings.grace_seconds))


async def _answer(_request: Request, error: Exception) -> JSONResponse:
    status, message = told(error) or (500, "The server failed to answer.")
    return JSONResponse({"detail": message}, status_code=status)


def _loaded(llm: BaseChatModel | None) -> bool:
    return not isinstance(llm, ChatGptOss) or llm.engine is not None or "running_engine" in llm.__dict__


def _state_routes(ready: Callable[[], bool]) -> APIRouter:
    router = APIRouter(tags=["State"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Says that the server answers."""
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz(response: Response) -> dict[str, str]:
        """Says whether it can answer questions: the model is loaded."""
        if ready():
            return {"status": "ready"}
        response.status_code = 503
        return {"status": "not ready"}

    return router


def _document_routes(reader: DocumentReader) -> APIRouter:
    router = APIRouter(tags=["Documents"])

    @router.get("/documents")
    async def document(request: Request, source: str) -> dict[str, Any]:
        """Returns the text of a document that an answer cites, with the offset at which it starts."""
        found = await reader.read(source, caller_of(request).labels)
        if found is None:
            raise HTTPException(404, "There is no such document here.")  # nor one that the caller may not see
        return dataclasses.asdict(found)

    return router


def _session_routes(sessions: Sessions) -> APIRouter:
    router = APIRouter(prefix="/sessions", tags=["Sessions"])

    @router.get("")
    async def listed(request: Request) -> list[dict[str, Any]]:
        """Lists the caller's conversations, the latest first."""
        return [dataclasses.asdict(each) for each in await sessions.alist(user_of(request))]

    @router.get("/{session_id:path}")
    async def exported(request: Request, session_id: str) -> dict[str, Any]:
        """Returns one of the caller's conversations."""
        user = user_of(request)
        try:
            return await sessions.aexport(user, session_id)
        except InvalidInputError as error:  # nor is another user's
            raise HTTPException(404, str(error)) from error

    @router.delete("/{session_id:path}", status_code=204)
    async def deleted(request: Request, session_id: str) -> None:
        """Forgets one of the caller's conversations."""
        await sessions.adelete(user_of(request), session_id)

    return router
