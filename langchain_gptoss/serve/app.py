"""The FastAPI application around a chatbot, and its parts for applications of the user's own."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sys
from collections.abc import Callable, Collection
from types import ModuleType
from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.runnables import Runnable
from uvicorn.config import STARTUP_FAILURE

from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.chatbot import Chatbot, Sessions
from langchain_gptoss.errors import GptOssError, InvalidInputError, MissingDependencyError
from langchain_gptoss.retrievers.adapters import find_embeddings
from langchain_gptoss.serve.caller import USER_HEADER, get_caller
from langchain_gptoss.serve.chatbot_routes import build_chatbot_routes, respond_to_error
from langchain_gptoss.serve.connections import build_server
from langchain_gptoss.serve.documents import DocumentReader, build_document_routes
from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.gate import Gate
from langchain_gptoss.serve.metrics import Metrics
from langchain_gptoss.serve.openai import IGNORED_FIELDS_HEADER, add_error_handler, build_openai_routes
from langchain_gptoss.serve.page import build_page_routes
from langchain_gptoss.serve.public_output import PublicChatbot
from langchain_gptoss.serve.settings import ServerSettings
from langchain_gptoss.serve.visibility import warn_if_nothing_is_visible
from langchain_gptoss.text.terminal import TerminalFilter

_OPEN_PATHS = ("/", "/assets/", "/healthz", "/readyz")


def create_app(
    chatbot: Runnable[Any, Any],
    *,
    title: str = "langchain-gptoss",
    settings: ServerSettings | None = None,
    embeddings: Embeddings | None = None,
) -> FastAPI:
    """Return a web application around a chatbot.

    | route | content |
    |---|---|
    | `/` | a web page to ask the chatbot |
    | `/chatbot/ask` | an answer as server-sent events |
    | `/v1/chat/completions`, `/v1/responses`, `/v1/models` | OpenAI's API |
    | `/v1/completions`, `/v1/embeddings` | OpenAI's API: the chat model continues a text; the retriever's embeddings |
    | `/sessions`, `/documents` | saved conversations; the text of a cited document |
    | `/healthz`, `/readyz`, `/metrics` | the server runs; the model is loaded; Prometheus metrics |
    | `/openapi.json` | description of all routes |
    | `/chatbot`, `/model`, `/chat`, `/retriever` | LangServe, if it is installed: invoke, batch, stream, playground |

    Args:
        chatbot: The result of `create_chatbot`. Another Runnable with the same input and output is served without the
            routes that need its model, retriever or sessions.
        title: Title of the page and of the API's description.
        settings: Keys and limits.
        embeddings: The embedding model for `/v1/embeddings`; None means that of the chatbot's retriever.
    """
    settings = settings or ServerSettings()
    # FastAPI's own documentation pages load scripts from another host.
    app = FastAPI(title=title, docs_url=None, redoc_url=None)
    parts = chatbot.settings if isinstance(chatbot, Chatbot) else None
    llm = parts.llm if parts is not None and settings.serve_chat_model else None
    add_chatbot_routes(app, chatbot)
    if not settings.serve_chat_model:
        embeddings = None
    elif embeddings is None and parts is not None:
        embeddings = find_embeddings(parts.retriever)
    app.include_router(build_openai_routes(chatbot, llm, embeddings, max_completions=settings.max_batch))
    add_error_handler(app)
    if (langserve_routes := _load_langserve_routes()) is not None:
        if llm is not None:
            app.include_router(langserve_routes.build_model_routes(llm))
        if parts is not None:
            app.include_router(langserve_routes.build_retriever_routes(parts.retriever, parts.access))
    if parts is not None:
        warn_if_nothing_is_visible(parts, None if settings.keys is None else settings.keys.labels)
        app.include_router(build_document_routes(DocumentReader(parts.retriever, parts.access)))
    if isinstance(chatbot, Chatbot) and chatbot.sessions is not None:
        app.include_router(_build_session_routes(chatbot.sessions))
    app.include_router(build_page_routes(chatbot, title=title, needs_key=settings.keys is not None))
    app.include_router(_build_health_routes(lambda: _is_loaded(parts.llm if parts else None)))
    add_gate(app, settings, open_paths=_OPEN_PATHS, llm=parts.llm if parts else None)
    return app


def add_gate(
    app: FastAPI,
    settings: ServerSettings | None = None,
    *,
    open_paths: Collection[str] = (),
    llm: BaseChatModel | None = None,
) -> None:
    """Put keys, limits and metrics in front of all routes of an application, and add `/metrics`.

    Args:
        app: The application.
        settings: Keys and limits.
        open_paths: Paths that need no key, such as `"/healthz"`; a path that ends with a slash includes all paths
            below it.
        llm: A `ChatGptOss` whose engine's metrics are shown too; another model has none.
    """
    settings, metrics = settings or ServerSettings(), Metrics()
    if isinstance(llm, ChatGptOss):
        metrics.add_engine(lambda: None if llm.loaded_engine is None else llm.loaded_engine.stats)
    app.state.settings, app.state.metrics, app.state.metrics_handler = settings, metrics, metrics.handler

    @app.get("/metrics", tags=["State"])
    async def get_metrics() -> Response:
        """Return the metrics in Prometheus' text format."""
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.add_middleware(Gate, settings=settings, metrics=metrics, open_paths=tuple(open_paths))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", USER_HEADER],
            expose_headers=[IGNORED_FIELDS_HEADER],
        )


def add_chatbot_routes(app: FastAPI, chatbot: Runnable[Any, Any], *, path: str = "/chatbot") -> None:
    """Add the routes of a chatbot to an application.

    `POST {path}/ask` takes the chatbot's input as JSON and sends the answer as server-sent events. LangServe's routes
    are added if the extra `langserve` is installed: invoke, batch, stream, stream_events, schemas and playground. Then
    `langserve.RemoteRunnable(url)` works like the chatbot itself.

    An invalid request gets status 422 and `{"detail": message}`. An error in the middle of an answer becomes an error
    event.

    Keys and limits come with `add_gate`. An application with its own login sets
    `request.state.caller = Caller(user_id=..., access_labels=...)` before the route, for example in a middleware. The
    chatbot then uses the sessions and the access labels of that user. Without a caller only public documents are found.

    Args:
        app: The application. It also gets exception handlers for the errors of this package.
        chatbot: The result of `create_chatbot`, or any Runnable with the same input and output.
        path: Prefix of the routes; it begins with a slash.

    Raises:
        InvalidInputError: `path` does not begin with a slash, or ends with one.
    """
    if not path.startswith("/") or path.endswith("/"):
        raise InvalidInputError(f"path is {path!r}; it must begin with a slash and not end with one.")
    for kind in (GptOssError, RequestRefused):
        app.add_exception_handler(kind, _handle_error)
    public_chatbot = PublicChatbot(chatbot)
    app.include_router(build_chatbot_routes(public_chatbot, path))
    if (langserve_routes := _load_langserve_routes()) is not None:
        app.include_router(langserve_routes.build_langserve_chatbot_routes(public_chatbot, path))


def serve(
    chatbot: Runnable[Any, Any],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    title: str = "langchain-gptoss",
    settings: ServerSettings | None = None,
    embeddings: Embeddings | None = None,
) -> None:
    """Serve a chatbot until the process is interrupted (Ctrl+C, SIGTERM); running answers may finish first.

    Args:
        chatbot: The result of `create_chatbot`, or any Runnable with the same input and output.
        host: Address to listen on. The default can be reached from this machine only.
        port: Port to listen on.
        title: Title of the page.
        settings: Keys and limits. Without keys everyone who reaches the server may use it.
        embeddings: The embedding model for `/v1/embeddings`; None means that of the chatbot's retriever.
    """
    settings = settings or ServerSettings()
    app = create_app(chatbot, title=title, settings=settings, embeddings=embeddings)
    _make_logs_safe()
    server = build_server(app, host=host, port=port, settings=settings)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _make_logs_safe() -> None:
    """Replace control characters in the server's log, which quotes errors; paths in the access log are quoted."""
    logger = logging.getLogger("uvicorn.error")
    if not any(isinstance(present, TerminalFilter) for present in logger.filters):
        logger.addFilter(TerminalFilter())


def _load_langserve_routes() -> ModuleType | None:
    """Return the module with LangServe's routes, or None if the extra `langserve` is not installed."""
    try:
        from langchain_gptoss.serve import langserve_routes
    except MissingDependencyError:
        return None
    return langserve_routes


async def _handle_error(request: Request, error: Exception) -> Response:
    return respond_to_error(request, error)


def _is_loaded(llm: BaseChatModel | None) -> bool:
    return not isinstance(llm, ChatGptOss) or llm.loaded_engine is not None


def _build_health_routes(is_ready: Callable[[], bool]) -> APIRouter:
    router = APIRouter(tags=["State"])

    @router.get("/healthz")
    async def check_health() -> dict[str, str]:
        """Return the status "ok": the server runs."""
        return {"status": "ok"}

    @router.get("/readyz")
    async def check_readiness(response: Response) -> dict[str, str]:
        """Return the status "ready" if the model is loaded, else status code 503."""
        if is_ready():
            return {"status": "ready"}
        response.status_code = 503
        return {"status": "not ready"}

    return router


def _build_session_routes(sessions: Sessions) -> APIRouter:
    router = APIRouter(prefix="/sessions", tags=["Sessions"])

    @router.get("")
    async def list_sessions(request: Request) -> list[dict[str, Any]]:
        """Return the caller's conversations, the latest first."""
        return [dataclasses.asdict(each) for each in await sessions.alist(get_caller(request).user_id)]

    @router.get("/{session_id:path}")
    async def export_session(request: Request, session_id: str) -> dict[str, Any]:
        """Return one of the caller's conversations."""
        user_id = get_caller(request).user_id
        try:
            return await sessions.aexport(user_id, session_id)
        except InvalidInputError as error:  # also for a conversation of another user: the response must not differ
            raise HTTPException(404, str(error)) from error

    @router.delete("/{session_id:path}", status_code=204)
    async def delete_session(request: Request, session_id: str) -> None:
        """Delete one of the caller's conversations."""
        await sessions.adelete(get_caller(request).user_id, session_id)

    return router
