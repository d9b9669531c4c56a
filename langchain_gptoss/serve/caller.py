"""The caller of a request: taken from its key or from the application, never from the body."""

import re

from fastapi import Request
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.serve.keys import ANONYMOUS, Caller

USER_HEADER = "X-GptOss-User"
_USER_NAME = re.compile(r"[\w.@+-]{1,100}")


def get_caller(request: Request) -> Caller:
    """Return the owner of the request's key, or the caller that the user's own application has set.

    Raises:
        TypeError: The application has put something else into `request.state.caller`.
    """
    caller = getattr(request.state, "caller", ANONYMOUS)
    if not isinstance(caller, Caller):
        raise TypeError(f"request.state.caller is {type(caller).__name__}; it must be langchain_gptoss.serve.Caller.")
    return caller


def get_user_id(request: Request) -> str:
    """Return the user's id: the caller's name, and after a slash the name in the header `X-GptOss-User`.

    So a client can keep its own users apart, and can never act as a user of another client.

    Raises:
        InvalidInputError: The name in the header is not allowed.
    """
    caller, user_name = get_caller(request), request.headers.get(USER_HEADER)
    if user_name is None:
        return caller.name
    if not _USER_NAME.fullmatch(user_name):
        raise InvalidInputError(f"{USER_HEADER} must be 1 to 100 letters, digits and . _ @ + -")
    return f"{caller.name}/{user_name}"


def build_run_config(request: Request) -> RunnableConfig:
    """Return the configuration with which a chatbot answers a request: the caller and the metrics."""
    configurable = {"user_id": get_user_id(request), "access_labels": list(get_caller(request).labels)}
    metrics: BaseCallbackHandler | None = getattr(request.app.state, "metrics_handler", None)
    return {"configurable": configurable, "callbacks": [] if metrics is None else [metrics]}
