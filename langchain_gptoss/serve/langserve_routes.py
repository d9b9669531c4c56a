"""LangServe's routes for the chatbot, the chat model and the retriever. The only module that imports langserve.

LangServe is archived: it gets no new features. Its routes stay for programs that use `langserve.RemoteRunnable`. They
need the extra `langserve`; importing this module without it raises `MissingDependencyError`. The streaming routes are
those of `langserve_streams`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from fastapi import APIRouter, Depends, Request
from langchain_core.documents import Document
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.base import RunnableBinding
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from langchain_gptoss._flow import arun_flow, run_flow
from langchain_gptoss._optional import require
from langchain_gptoss.chatbot.access import Access
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers.adapters import query_retriever
from langchain_gptoss.serve.caller import build_run_config
from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.html_headers import PlaygroundRoute
from langchain_gptoss.serve.inputs import Messages, ServedInput, read_json, refuse_input, require_question
from langchain_gptoss.serve.langserve_streams import STREAM_ENDPOINTS, add_stream_routes
from langchain_gptoss.serve.openai.models import get_client_options
from langchain_gptoss.serve.settings import ServerSettings

for _module in ("langserve", "sse_starlette"):
    require(_module, extra="langserve")

import orjson  # noqa: E402 (a dependency of langserve)
from langserve import add_routes  # noqa: E402
from langserve.serialization import WellKnownLCSerializer  # noqa: E402


class Conversation(TypedDict):
    """A conversation, as LangServe's chat playground sends it."""

    messages: Messages


# The configuration of the request, for LangServe's batch, which drops most of what a server adds to a configuration.
_REQUEST_CONFIG: ContextVar[RunnableConfig | None] = ContextVar("gptoss_request_config", default=None)


class _Serializer(WellKnownLCSerializer):
    """Serializes every output; a value that JSON cannot hold becomes the name of its type."""

    def dumps(self, obj: Any) -> bytes:
        """Return the JSON of an object."""
        return orjson.dumps(obj, default=_convert_to_plain, option=orjson.OPT_NON_STR_KEYS)


def _convert_to_plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else f"<{type(value).__name__}>"


def _store_request_config(_config: dict[str, Any], request: Request) -> dict[str, Any]:
    _REQUEST_CONFIG.set(build_run_config(request))
    return {}


def build_langserve_chatbot_routes(chatbot: Runnable[Any, Any], path: str) -> APIRouter:
    """Return LangServe's routes of a chatbot."""
    router = APIRouter(route_class=PlaygroundRoute)
    example = '{"question": "..."}'
    _add_routes(router, chatbot, path, input_type=ServedInput, check=require_question, example=example)
    return router


def build_model_routes(llm: BaseChatModel) -> APIRouter:
    """Return the routes of the chat model: `/model`, and `/chat` with a chat playground."""
    router = APIRouter(route_class=PlaygroundRoute)
    # A copy and not a binding, whose events would be those of a chain.
    model = llm.model_copy(update=get_client_options(llm))
    _add_routes(router, model, "/model")
    get_messages = RunnableLambda(lambda value: value["messages"], name="gptoss_messages")
    chat = (get_messages | model).with_config(run_name="gptoss_chat")
    example = '{"messages": [{"type": "human", "content": "..."}]}'
    _add_routes(
        router, chat, "/chat", input_type=Conversation, output_type=AIMessage, example=example, playground_type="chat"
    )
    return router


def build_retriever_routes(retriever: Any, access: Access | None) -> APIRouter:
    """Return the routes of the retriever; callers find only documents that their labels allow."""

    def get_labels(config: RunnableConfig) -> list[str]:
        return list((config.get("configurable") or {}).get("access_labels") or [])

    def build_options(config: RunnableConfig) -> dict[str, Any]:
        filter = None if access is None else access.build_filter(get_labels(config))
        return {"k": None, "filter": filter, "callbacks": config.get("callbacks")}

    def select_visible(documents: list[Document], config: RunnableConfig) -> list[Document]:
        return documents if access is None else access.select_visible(documents, get_labels(config))

    def find(query: str, config: RunnableConfig) -> list[Document]:
        return select_visible(run_flow(query_retriever(retriever, query, **build_options(config))), config)

    async def afind(query: str, config: RunnableConfig) -> list[Document]:
        return select_visible(await arun_flow(query_retriever(retriever, query, **build_options(config))), config)

    router = APIRouter(route_class=PlaygroundRoute)
    runnable = RunnableLambda(find, afunc=afind, name="gptoss_retriever")
    _add_routes(router, runnable, "/retriever", input_type=str, output_type=list[Document])
    return router


def _add_routes(
    router: APIRouter,
    runnable: Runnable[Any, Any],
    path: str,
    *,
    input_type: Any = None,
    output_type: Any = None,
    check: Callable[[Any], None] = lambda _: None,
    example: str = '"..."',
    **options: Any,
) -> None:
    """Add a Runnable's routes to a router.

    Clients configure nothing: their identity and access labels come from their key.

    Args:
        router: Receives the routes. LangServe prints a banner when an application, not a router, gets them.
        runnable: The Runnable.
        path: Prefix of the routes.
        input_type: Type of the input; None uses the Runnable's own.
        output_type: Type of the output; None uses the Runnable's own.
        check: Raises an error for an input that its type allows and the Runnable does not.
        example: An input in JSON, for error messages.
        **options: Further arguments of LangServe's `add_routes`.
    """
    bound: RunnableBinding[Any, Any] = RunnableBinding(
        bound=runnable,
        config_factories=[lambda _: _REQUEST_CONFIG.get() or {}],
        custom_input_type=input_type,
        custom_output_type=output_type,
    )
    input_schema, serializer = bound.get_input_schema(), _Serializer()
    dependencies = [Depends(_InputCheck(input_schema, check, example))]
    add_routes(
        router,
        bound,
        path=path,
        dependencies=dependencies,
        config_keys=(),
        disabled_endpoints=STREAM_ENDPOINTS,
        enable_feedback_endpoint=False,
        include_callback_events=False,
        per_req_config_modifier=_store_request_config,
        serializer=serializer,
        **options,
    )
    add_stream_routes(
        router, runnable, path, input_schema=input_schema, serialize=serializer.dumps, dependencies=dependencies
    )


class _InputCheck:
    """Refuses invalid input before LangServe reads it: LangServe would answer 500 or start a stream."""

    def __init__(self, schema: Any, check: Callable[[Any], None], example: str) -> None:
        self._schema, self._check, self._example = schema, check, example

    async def __call__(self, request: Request) -> None:
        """Check a request.

        Raises:
            RequestRefused: Status 422, with a message that describes the problem.
        """
        if request.method != "POST":
            return
        body, is_batch = await read_json(request), request.url.path.endswith("/batch")
        inputs = _get_inputs(body, self._example, is_batch=is_batch)
        max_batch = (getattr(request.app.state, "settings", None) or ServerSettings()).max_batch
        if len(inputs) > max_batch:
            raise RequestRefused(422, f"The batch has {len(inputs)} inputs; {max_batch} are allowed.")
        for value in inputs:
            try:
                self._schema.model_validate(value)
                self._check(value)
            except (ValidationError, TypeError, InvalidInputError) as error:
                raise refuse_input(error) from error


def _get_inputs(body: Any, example: str, *, is_batch: bool) -> list[Any]:
    """Return the inputs of a request.

    Raises:
        RequestRefused: The request has no input.
    """
    fields = body if isinstance(body, dict) else {}
    if is_batch and isinstance(inputs := fields.get("inputs"), list):
        return inputs
    if not is_batch and "input" in fields:
        return [fields["input"]]
    expected = f'{{"inputs": [{example}, ...]}}' if is_batch else f'{{"input": {example}}}'
    raise RequestRefused(422, f"The request has no input. Send {expected}.")
