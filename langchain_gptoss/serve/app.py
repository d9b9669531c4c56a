"""The FastAPI application, and its routes for an application of one's own. The only importer of langserve."""

from typing import Annotated, Any, NotRequired

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from langchain_core.messages import AnyMessage, BaseMessage
from langchain_core.runnables import Runnable
from langserve import add_routes
from pydantic import BeforeValidator, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from langchain_gptoss.errors import ContextLengthError, InvalidInputError


def _typed(message: Any) -> Any:
    """Names what is missing: LangChain's own check of a message without a type raises a TypeError."""
    if isinstance(message, BaseMessage) or (isinstance(message, dict) and "type" in message):
        return message
    raise ValueError('a message looks like {"type": "human", "content": "..."}')


class ServedInput(TypedDict):
    """The chatbot's input as it travels over HTTP.

    A message must name its `type` ("human", "ai", ...): only then does it arrive as the message that it was.
    """

    question: str
    chat_history: NotRequired[list[Annotated[AnyMessage, BeforeValidator(_typed)]]]


_INPUT: TypeAdapter[ServedInput] = TypeAdapter(ServedInput)


def create_app(chatbot: Runnable[Any, Any], *, title: str = "langchain-gptoss") -> FastAPI:
    """Returns a web application that serves a chatbot under `/chatbot` and its health at `/healthz`.

    Args:
        chatbot: What `create_chatbot` returned, or any Runnable with the same input and output.
        title: The name in the API's documentation, which is at `/docs`.
    """
    app = FastAPI(title=title)
    add_chatbot_routes(app, chatbot)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Says that the server answers."""
        return {"status": "ok"}

    return app


def add_chatbot_routes(app: FastAPI, chatbot: Runnable[Any, Any], *, path: str = "/chatbot") -> None:
    """Adds a chatbot to an application: LangServe's invoke, batch, stream, stream_events, schemas and playground.

    `langserve.RemoteRunnable(url)` uses it like a local chatbot. A request that the chatbot cannot work with is
    answered with status 422 and `{"detail": message}`. Where a stream has begun already, LangServe ends it with an
    error event without the message, which is in the server's log.

    Args:
        app: The application. Its requests that raise `InvalidInputError` or `ContextLengthError` are answered with
            status 422 from now on.
        chatbot: What `create_chatbot` returned, or any Runnable with the same input and output.
        path: Where the routes go; it begins with a slash.

    Raises:
        InvalidInputError: `path` does not begin with a slash, or ends with one.
    """
    if not path.startswith("/") or path.endswith("/"):
        raise InvalidInputError(f"path is {path!r}; it must begin with a slash and not end with one.")
    for error in (InvalidInputError, ContextLengthError):
        app.add_exception_handler(error, _answer_bad_input)
    # Through a router, because LangServe prints a banner when an application of its own starts.
    router = APIRouter()
    add_routes(
        router,
        chatbot.with_types(input_type=ServedInput),
        path=path,
        dependencies=[Depends(_check_input)],
        enable_feedback_endpoint=False,
    )
    app.include_router(router)


def serve(chatbot: Runnable[Any, Any], *, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serves a chatbot until it is interrupted (Ctrl+C).

    Args:
        chatbot: What `create_chatbot` returned, or any Runnable with the same input and output.
        host: The address to listen at. The default is reached from this machine alone; there is no password.
        port: The port to listen at.
    """
    uvicorn.run(create_app(chatbot), host=host, port=port)


async def _answer_bad_input(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=422)


async def _check_input(request: Request) -> None:
    """Refuses a bad input before LangServe takes it, which would answer 500 for a batch and begin a stream.

    Raises:
        HTTPException: Status 422, with a message that says what is wrong.
    """
    if request.method != "POST":
        return
    try:
        body = await request.json()
    except ValueError as error:
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
