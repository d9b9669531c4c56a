"""The caller of a request: taken from its key or from the application, never from the body."""

import dataclasses
import re
from typing import Any

from fastapi import Request
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig

from langchain_gptoss.chatbot.caller import ANONYMOUS, Caller
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


def build_engine_options(request: Request, *, cache_key: str | None = None) -> dict[str, Any]:
    """Return the options of the engine that depend on the caller: priority, and the salt of the prefix cache.

    Callers with a name share no cached prompts with others, so that nobody can find out by timing what others asked.
    Callers without a name share them.

    Args:
        request: The request.
        cache_key: Divides the prompts of this caller further; the client chooses it.
    """
    caller = get_caller(request)
    is_named = caller.user_id.split("/")[0] != ANONYMOUS
    # Names have no line breaks, so a client cannot choose a key that leads to the prompts of another caller.
    parts = [caller.user_id if is_named else "", *([cache_key] if cache_key else [])]
    options: dict[str, Any] = {"priority": caller.priority} if caller.priority else {}
    return options | ({"cache_salt": "\n".join(parts)} if any(parts) else {})


def build_run_config(request: Request, *, cache_key: str | None = None) -> RunnableConfig:
    """Return the configuration with which a request is answered: the caller, the engine's options and the metrics.

    Args:
        request: The request.
        cache_key: Divides the cached prompts of this caller; see `build_engine_options`.
    """
    caller = get_caller(request)
    configurable = {"user_id": caller.user_id, "access_labels": list(caller.access_labels)}
    configurable |= build_engine_options(request, cache_key=cache_key)
    metrics: BaseCallbackHandler | None = getattr(request.app.state, "metrics_handler", None)
    return {"configurable": configurable, "callbacks": [] if metrics is None else [metrics]}
