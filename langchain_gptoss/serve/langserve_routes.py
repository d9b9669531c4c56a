"""LangServe's routes for chatbot, model and retriever. The only importer of langserve."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import ContextVar
from typing import Annotated, Any, NotRequired

import orjson
from fastapi import APIRouter, Depends, HTTPException, Request
from langchain_core.documents import Document
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.base import RunnableBinding
from langserve import add_routes
from langserve.serialization import WellKnownLCSerializer
from pydantic import BaseModel, BeforeValidator, ValidationError
from typing_extensions import TypedDict

from langchain_gptoss._flow import arun_flow, run_flow
from langchain_gptoss.chatbot.access import Access
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers.adapters import query_retriever
from langchain_gptoss.serve.caller import run_config
from langchain_gptoss.serve.settings import ServerSettings


def _typed(message: Any) -> Any:
    """Names what is missing: LangChain's own check of a message without a type raises a TypeError."""
    if isinstance(message, BaseMessage) or (isinstance(message, dict) and "type" in message):
        return message
    raise ValueError('a message looks like {"type": "human", "content": "..."}')


_Messages = list[Annotated[AnyMessage, BeforeValidator(_typed)]]


class ServedInput(TypedDict):
    """The chatbot's input as it travels over HTTP.

    A message must name its `type` ("human", "ai", ...): only then does it arrive as the message that it was.
    """

    question: str
    chat_history: NotRequired[_Messages]
    session_id: NotRequired[str | None]


class Conversation(TypedDict):
    """A conversation, as LangServe's chat playground sends it."""

    messages: _Messages


# Who asks, for LangServe's batch: that drops whatever else a server adds to the configuration of a request.
_CONFIG: ContextVar[RunnableConfig | None] = ContextVar("gptoss_request_config", default=None)


class _Serializer(WellKnownLCSerializer):
    """Writes what passes between a chatbot's steps too, which `stream_events` shows: what is no data, by its type."""

    def dumps(self, obj: Any) -> bytes:
        return orjson.dumps(obj, default=_plain, option=orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else f"<{type(value).__name__}>"


def _per_request(_config: dict[str, Any], request: Request) -> dict[str, Any]:
    _CONFIG.set(run_config(request))
    return {}


def _add(
    router: APIRouter,
    served: Runnable[Any, Any],
    path: str,
    *,
    takes: Any = None,
    gives: Any = None,
    check: Callable[[Any], None] = lambda _: None,
    example: str = '"..."',
    **options: Any,
) -> None:
    """Adds a Runnable's routes.

    A client configures nothing: who it is and what it may see comes from its key.

    Args:
        router: Where to.
        served: The Runnable.
        path: Where its routes begin.
        takes: The type of its input; None asks the Runnable.
        gives: The type of its output.
        check: Raises an error for an input that its type lets pass.
        example: An input, as JSON.
        **options: LangServe's.
    """
    bound: RunnableBinding[Any, Any] = RunnableBinding(
        bound=served,
        config_factories=[lambda _: _CONFIG.get() or {}],
        custom_input_type=takes,
        custom_output_type=gives,
    )
    add_routes(
        router,  # through a router, because LangServe prints a banner when an application of its own starts
        bound,
        path=path,
        dependencies=[Depends(_InputCheck(bound.get_input_schema(), check, example))],
        config_keys=(),
        enable_feedback_endpoint=False,
        per_req_config_modifier=_per_request,
        serializer=_Serializer(),
        **options,
    )


def chatbot_routes(chatbot: Runnable[Any, Any], path: str) -> APIRouter:
    """Returns a chatbot's routes."""
    router = APIRouter()
    _add(router, chatbot, path, takes=ServedInput, check=_check_question, example='{"question": "..."}')
    return router


def model_routes(llm: BaseChatModel) -> APIRouter:
    """Returns the chat model's routes: as it is under `/model`, and under `/chat` with a playground to talk in."""
    router = APIRouter()
    _add(router, llm, "/model")
    messages = RunnableLambda(lambda value: value["messages"], name="gptoss_messages")
    talk = (messages | llm).with_config(run_name="gptoss_chat")
    example = '{"messages": [{"type": "human", "content": "..."}]}'
    _add(router, talk, "/chat", takes=Conversation, gives=AIMessage, example=example, playground_type="chat")
    return router


def retriever_routes(retriever: Any, access: Access | None) -> APIRouter:
    """Returns the retriever's routes; a caller is given what the key's labels allow."""

    def labels(config: RunnableConfig) -> list[str]:
        return list((config.get("configurable") or {}).get("access_labels") or [])

    def find(query: str, config: RunnableConfig) -> list[Document]:
        filter = None if access is None else access.build_filter(labels(config))
        found = run_flow(query_retriever(retriever, query, k=None, filter=filter, callbacks=config.get("callbacks")))
        return found if access is None else access.select_visible(found, labels(config))

    async def afind(query: str, config: RunnableConfig) -> list[Document]:
        filter = None if access is None else access.build_filter(labels(config))
        found = await arun_flow(
            query_retriever(retriever, query, k=None, filter=filter, callbacks=config.get("callbacks"))
        )
        return found if access is None else access.select_visible(found, labels(config))

    router = APIRouter()
    served = RunnableLambda(find, afunc=afind, name="gptoss_retriever")
    _add(router, served, "/retriever", takes=str, gives=list[Document])
    return router


class _InputCheck:
    """Refuses a bad input before LangServe takes it, which would answer 500 for a batch and begin a stream."""

    def __init__(self, schema: Any, check: Callable[[Any], None], example: str) -> None:
        self._schema, self._check, self._example = schema, check, example

    async def __call__(self, request: Request) -> None:
        """Checks a request.

        Raises:
            HTTPException: Status 422, with a message that says what is wrong.
        """
        if request.method != "POST":
            return
        body, batch = await _json(request), request.url.path.endswith("/batch")
        inputs = _inputs(body, self._example, batch=batch)
        most = (getattr(request.app.state, "settings", None) or ServerSettings()).max_batch
        if len(inputs) > most:
            raise HTTPException(422, f"The batch holds {len(inputs)} inputs; {most} are allowed.")
        for value in inputs:
            try:
                self._schema.model_validate(value)
                self._check(value)
            except ValidationError as error:
                raise HTTPException(422, f"The input cannot be read. {_first(error)}") from error
            except (TypeError, InvalidInputError) as error:
                raise HTTPException(422, f"The input cannot be read. {error}") from error


async def _json(request: Request) -> Any:
    """Returns what a request holds.

    Raises:
        HTTPException: It is no JSON, or holds half a character, which no text can.
    """
    try:
        body = await request.json()
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise HTTPException(422, "The request holds half a character (a lone surrogate such as \\ud800).") from None
    except (ValueError, RecursionError) as error:
        raise HTTPException(422, f"The request is not JSON ({error}).") from error
    return body


def _check_question(value: Any) -> None:
    if not value["question"].strip():
        raise InvalidInputError('The question is empty. Pass it as {"question": "..."}.')


def _inputs(body: Any, example: str, *, batch: bool) -> list[Any]:
    """Returns the inputs of a request.

    Raises:
        HTTPException: It has none.
    """
    fields = body if isinstance(body, dict) else {}
    if batch and isinstance(inputs := fields.get("inputs"), list):
        return inputs
    if not batch and "input" in fields:
        return [fields["input"]]
    wanted = f'{{"inputs": [{example}, ...]}}' if batch else f'{{"input": {example}}}'
    raise HTTPException(422, f"The request holds no input. Send {wanted}.")


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}." if place else f"{first['msg']}."
