"""LangServe's routes for chatbot, model and retriever. The only importer of langserve."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from fastapi import APIRouter, Depends, HTTPException, Request
from langchain_core.documents import Document
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langserve import add_routes
from pydantic import BeforeValidator, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from langchain_gptoss._retrieval.sides import aask, ask
from langchain_gptoss.chatbot.access import Access
from langchain_gptoss.serve.context import run_config


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


_INPUT: TypeAdapter[ServedInput] = TypeAdapter(ServedInput)
# What a client may configure: nothing. Who it is and what it may see comes from its key.
_OPTIONS: dict[str, Any] = {"enable_feedback_endpoint": False, "config_keys": ()}


def _per_request(config: dict[str, Any], request: Request) -> dict[str, Any]:
    return {**run_config(request, config)}  # type: ignore[arg-type]


def chatbot_routes(chatbot: Runnable[Any, Any], path: str) -> APIRouter:
    """Returns a chatbot's routes."""
    router = APIRouter()
    add_routes(
        router,  # through a router, because LangServe prints a banner when an application of its own starts
        chatbot.with_types(input_type=ServedInput),
        path=path,
        dependencies=[Depends(_check_input)],
        per_req_config_modifier=_per_request,
        **_OPTIONS,
    )
    return router


def model_routes(llm: BaseChatModel) -> APIRouter:
    """Returns the chat model's routes: as it is under `/model`, and under `/chat` with a playground to talk in."""
    router = APIRouter()
    add_routes(router, llm, path="/model", per_req_config_modifier=_per_request, **_OPTIONS)
    messages = RunnableLambda(lambda value: value["messages"], name="gptoss_messages")
    talk = (messages | llm).with_types(input_type=Conversation, output_type=AIMessage)
    add_routes(
        router,
        talk.with_config(run_name="gptoss_chat"),
        path="/chat",
        playground_type="chat",
        per_req_config_modifier=_per_request,
        **_OPTIONS,
    )
    return router


def retriever_routes(retriever: Any, access: Access | None) -> APIRouter:
    """Returns the retriever's routes; a caller is given what the key's labels allow."""

    def labels(config: RunnableConfig) -> list[str]:
        return list((config.get("configurable") or {}).get("access_labels") or [])

    def find(query: str, config: RunnableConfig) -> list[Document]:
        filter = None if access is None else access.filter(labels(config))
        found = ask(retriever, query, k=None, filter=filter, callbacks=config.get("callbacks"))
        return found if access is None else access.visible(found, labels(config))

    async def afind(query: str, config: RunnableConfig) -> list[Document]:
        filter = None if access is None else access.filter(labels(config))
        found = await aask(retriever, query, k=None, filter=filter, callbacks=config.get("callbacks"))
        return found if access is None else access.visible(found, labels(config))

    router = APIRouter()
    served: Runnable[Any, Any] = RunnableLambda(find, afunc=afind, name="gptoss_retriever")
    add_routes(
        router,
        served.with_types(input_type=str, output_type=list[Document]),
        path="/retriever",
        per_req_config_modifier=_per_request,
        **_OPTIONS,
    )
    return router


async def _check_input(request: Request) -> None:
    """Refuses a bad input before LangServe takes it, which would answer 500 for a batch and begin a stream.

    Raises:
        HTTPException: Status 422, with a message that says what is wrong.
    """
    if request.method != "POST":
        return
    try:
        body = await request.json()
    except (ValueError, RecursionError) as error:
        raise HTTPException(422, f"The request is not JSON ({error}).") from error
    for value in _inputs(body, batch=request.url.path.endswith("/batch")):
        try:
            question = _INPUT.validate_python(value)["question"]
        except ValidationError as error:
            raise HTTPException(422, f"The input cannot be read. {_first(error)}") from error
        if not question.strip():
            raise HTTPException(422, 'The question is empty. Pass it as {"question": "..."}.')


def _inputs(body: Any, *, batch: bool) -> list[Any]:
    """Returns the inputs of a request.

    Raises:
        HTTPException: It has none.
    """
    fields = body if isinstance(body, dict) else {}
    if batch and isinstance(inputs := fields.get("inputs"), list):
        return inputs
    if not batch and "input" in fields:
        return [fields["input"]]
    wanted = '{"inputs": [{"question": "..."}, ...]}' if batch else '{"input": {"question": "..."}}'
    raise HTTPException(422, f"The request holds no input. Send {wanted}.")


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}." if place else f"{first['msg']}."
