"""The caller of a request: taken from its key or from the application, never from the body."""

import dataclasses
import re

from fastapi import Request
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig

from langchain_gptoss.chatbot.caller import Caller
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.serve.keys import check_name

USER_HEADER = "X-GptOss-User"
_USER_NAME = re.compile(r"[\w.@+-]{1,100}")


def get_caller(request: Request) -> Caller:
    """Return the caller: the owner of the request's key, or the caller that the user's own application has set.

    If the header `X-GptOss-User` is there, its value is added to the user's id after a slash. So a client can keep its
    own users apart, and can never act as a user of another client.

    Raises:
        TypeError: The application has put something else into `request.state.caller`.
        InvalidInputError: The user's id, or the name in the header, is not allowed.
    """
    caller = getattr(request.state, "caller", None) or Caller()
    if not isinstance(caller, Caller):
        raise TypeError(f"request.state.caller is {type(caller).__name__}; it must be langchain_gptoss.serve.Caller.")
    check_name(caller.user_id)
    user_name = request.headers.get(USER_HEADER)
    if user_name is None:
        return caller
    if not _USER_NAME.fullmatch(user_name):
        raise InvalidInputError(f"{USER_HEADER} must be 1 to 100 letters, digits and . _ @ + -")
    return dataclasses.replace(caller, user_id=f"{caller.user_id}/{user_name}")


def build_run_config(request: Request) -> RunnableConfig:
    """Return the configuration with which a chatbot answers a request: the caller and the metrics."""
    caller = get_caller(request)
    configurable = {"user_id": caller.user_id, "access_labels": list(caller.access_labels)}
    metrics: BaseCallbackHandler | None = getattr(request.app.state, "metrics_handler", None)
    return {"configurable": configurable, "callbacks": [] if metrics is None else [metrics]}
