"""The streaming routes of LangServe's protocol: `stream`, `stream_events` and `stream_log`.

LangServe's own routes show the runs inside a Runnable: prompts, retrieved documents before the access filter, answers
before they are checked. These routes are built from the Runnable's output alone. They also close the Runnable's stream
as soon as the client disconnects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Request
from fastapi.responses import Response
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import BaseModel, ValidationError

from langchain_gptoss.serve.caller import build_run_config
from langchain_gptoss.serve.event_stream import stream_events
from langchain_gptoss.serve.inputs import read_json, refuse_input

STREAM_ENDPOINTS: tuple[Literal["stream"], Literal["stream_events"], Literal["stream_log"]] = (
    "stream",
    "stream_events",
    "stream_log",
)
_LAST_EVENT = "event: end\ndata: {}\n\n"

EventBuilder = Callable[["_Run", AsyncIterator[Any]], AsyncIterator[tuple[str, Any]]]


class _EventFilter(BaseModel):
    """The fields of a request that select events. There is one run, so they select all of its events or none."""

    include_names: list[str] | None = None
    include_types: list[str] | None = None
    include_tags: list[str] | None = None
    exclude_names: list[str] | None = None
    exclude_types: list[str] | None = None
    exclude_tags: list[str] | None = None

    def includes(self, name: str, kind: str) -> bool:
        """Return True if the events of a run without tags are selected."""
        is_unfiltered = self.include_names is None and self.include_types is None and self.include_tags is None
        is_included = is_unfiltered or name in (self.include_names or ()) or kind in (self.include_types or ())
        return is_included and name not in (self.exclude_names or ()) and kind not in (self.exclude_types or ())


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One run of a Runnable, as its client sees it.

    Attributes:
        name: The name of the Runnable.
        kind: LangChain's type of the run, `"chain"` or `"chat_model"`.
        input: The input in JSON.
        filter: Selects events.
        id: The id of the run.
    """

    name: str
    kind: str
    input: Any
    filter: _EventFilter
    id: UUID = field(default_factory=uuid4)

    def build_event(self, moment: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return an event in the second version of LangChain's format."""
        event = {"event": f"on_{self.kind}_{moment}", "data": data, "name": self.name, "run_id": str(self.id)}
        return "data", {**event, "tags": [], "metadata": {}, "parent_ids": []}


def add_stream_routes(
    router: APIRouter,
    runnable: Runnable[Any, Any],
    path: str,
    *,
    input_schema: Any,
    serialize: Callable[[Any], bytes],
    dependencies: list[Any],
) -> None:
    """Add the streaming routes of a Runnable to a router.

    Args:
        router: Receives the routes.
        runnable: The Runnable.
        path: Prefix of the routes.
        input_schema: The Pydantic model of the input.
        serialize: Returns the JSON of an object.
        dependencies: FastAPI's dependencies of the routes; they have checked the input.
    """
    kind = "chat_model" if isinstance(runnable, BaseChatModel) else "chain"

    async def respond(request: Request, build_events: EventBuilder) -> Response:
        body = await read_json(request)
        try:
            filter, value = _EventFilter.model_validate(body), input_schema.model_validate(body["input"])
        except ValidationError as error:
            raise refuse_input(error) from error
        run = _Run(name=runnable.get_name(), kind=kind, input=body["input"], filter=filter)
        config: RunnableConfig = {**build_run_config(request), "run_id": run.id}
        return await stream_events(
            _read_events(runnable, getattr(value, "root", value), config, run, build_events),
            path=request.url.path,
            format_chunk=lambda event: f"event: {event[0]}\ndata: {serialize(event[1]).decode()}\n\n",
            last_event=_LAST_EVENT,
        )

    for name, build_events in zip(STREAM_ENDPOINTS, (_build_output, _build_run_events, _build_log), strict=True):
        _add_route(router, path, name, _bind(respond, build_events), dependencies)


def _bind(respond: Callable[..., Any], build_events: EventBuilder) -> Callable[..., Any]:
    async def stream(request: Request, config_hash: str = "") -> Response:
        """Send the output as server-sent events. The configuration of the client is ignored."""
        response: Response = await respond(request, build_events)
        return response

    return stream


def _add_route(router: APIRouter, path: str, name: str, endpoint: Callable[..., Any], dependencies: list[Any]) -> None:
    for route, is_listed in ((f"{path}/{name}", True), (f"{path}/c/{{config_hash}}/{name}", False)):
        router.add_api_route(
            route,
            endpoint,
            methods=["POST"],
            dependencies=dependencies,
            include_in_schema=is_listed,
            name=f"{path} {name}",
            tags=[path.strip("/")],
            response_model=None,
        )


async def _read_events(
    runnable: Runnable[Any, Any], value: Any, config: RunnableConfig, run: _Run, build_events: EventBuilder
) -> AsyncIterator[tuple[str, Any]]:
    stream: Any = runnable.astream(value, config)
    async with aclosing(stream) as chunks, aclosing(build_events(run, chunks)) as events:  # type: ignore[type-var]
        async for event in events:
            yield event


async def _build_output(run: _Run, chunks: AsyncIterator[Any]) -> AsyncIterator[tuple[str, Any]]:
    """Yield the events of `stream`: the id of the run, and the chunks."""
    is_first = True
    async for chunk in chunks:
        if is_first:
            yield "metadata", {"run_id": str(run.id)}
            is_first = False
        yield "data", chunk


async def _build_run_events(run: _Run, chunks: AsyncIterator[Any]) -> AsyncIterator[tuple[str, Any]]:
    """Yield the events of `stream_events`: the start of the run, its chunks, and its output."""
    output: Any = None
    is_included, is_first = run.filter.includes(run.name, run.kind), True
    async for chunk in chunks:
        if is_first and is_included:
            yield run.build_event("start", {"input": run.input})
        if is_included:
            yield run.build_event("stream", {"chunk": chunk})
        output, is_first = chunk if is_first else _add_chunks(output, chunk), False
    if is_included:
        yield run.build_event("end", {"output": output})


async def _build_log(run: _Run, chunks: AsyncIterator[Any]) -> AsyncIterator[tuple[str, Any]]:
    """Yield the events of `stream_log`: JSON patches that add the chunks, and the output once at the end."""
    output: Any = None
    is_first = True
    async for chunk in chunks:
        if is_first:
            log: dict[str, Any] = {"id": str(run.id), "name": run.name, "type": run.kind, "logs": {}}
            log |= {"streamed_output": [], "final_output": None}
            yield "data", {"ops": [{"op": "replace", "path": "", "value": log}]}
        yield "data", {"ops": [{"op": "add", "path": "/streamed_output/-", "value": chunk}]}
        output, is_first = chunk if is_first else _add_chunks(output, chunk), False
    yield "data", {"ops": [{"op": "replace", "path": "/final_output", "value": output}]}


def _add_chunks(output: Any, chunk: Any) -> Any:
    """Return the sum of two chunks; the last one if they cannot be added, as LangChain does."""
    try:
        return output + chunk
    except TypeError:
        return chunk
