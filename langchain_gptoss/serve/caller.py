"""Who asks, as a chatbot wants to know it: from the key that came with the request, never from its body."""

import re

from fastapi import Request
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.serve.keys import ANONYMOUS, Caller

USER_HEADER = "X-GptOss-User"
_USER = re.compile(r"[\w.@+-]{1,100}")


def caller_of(request: Request) -> Caller:
    """Returns whose key came with a request, or whom an application of one's own put into `request.state.caller`.

    Raises:
        TypeError: It put something else there.
    """
    caller = getattr(request.state, "caller", ANONYMOUS)
    if not isinstance(caller, Caller):
        raise TypeError(f"request.state.caller is {type(caller).__name__}; it must be langchain_gptoss.serve.Caller.")
    return caller


def user_of(request: Request) -> str:
    """Returns the user: the key's name, and after a slash whom the client names in `X-GptOss-User`.

    So a client may tell its own users apart, and can never become another client's user.

    Raises:
        InvalidInputError: The name cannot be used.
    """
    caller, named = caller_of(request), request.headers.get(USER_HEADER)
    if named is None:
        return caller.name
    if not _USER.fullmatch(named):
        raise InvalidInputError(f"{USER_HEADER} must be 1 to 100 letters, digits and . _ @ + -")
    return f"{caller.name}/{named}"


def run_config(request: Request) -> RunnableConfig:
    """Returns the configuration under which a chatbot answers a request."""
    who = {"user_id": user_of(request), "access_labels": list(caller_of(request).labels)}
    metrics: BaseCallbackHandler | None = getattr(request.app.state, "metrics_callbacks", None)
    return {"configurable": who, "callbacks": [] if metrics is None else [metrics]}
