"""The error tree: messages, LangChain's classes, retries, pickles."""

import pickle

import pytest
from langchain_core import exceptions as langchain_errors

from langchain_gptoss import errors

ERRORS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, errors.GptOssError) and value.__module__ == errors.__name__
]


def create(kind):
    return kind(9, 5) if kind is errors.ContextLengthError else kind("It failed.", hint="Do this.")


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_are_langchain_s_and_survive_pickling(kind):
    error = create(kind)
    assert isinstance(error, langchain_errors.ModelError)
    assert isinstance(error.is_retryable, bool)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.hint) == (str(error), error.hint)


@pytest.mark.parametrize(
    ("kind", "parent", "is_retryable"),
    [
        (errors.GptOssError, langchain_errors.ModelError, False),
        (errors.ModelNotFoundError, langchain_errors.ModelNotFoundError, False),
        (errors.InvalidInputError, langchain_errors.ModelInvalidRequestError, False),
        (errors.InvalidInputError, ValueError, False),
        (errors.ContextLengthError, langchain_errors.ContextOverflowError, False),
        (errors.GptOssMemoryError, MemoryError, False),
        (errors.DownloadError, langchain_errors.ModelError, True),
        (errors.EngineBusyError, langchain_errors.ModelRateLimitError, True),
        (errors.DeadlineError, langchain_errors.ModelTimeoutError, True),
        (errors.RemoteServerError, langchain_errors.ModelError, False),
        (errors.RemoteAuthenticationError, langchain_errors.ModelAuthenticationError, False),
        (errors.RemotePermissionError, langchain_errors.ModelPermissionDeniedError, False),
        (errors.RemoteModelNotFoundError, langchain_errors.ModelNotFoundError, False),
        (errors.RemoteRequestError, langchain_errors.ModelInvalidRequestError, False),
        (errors.RemoteContextError, langchain_errors.ContextOverflowError, False),
        (errors.RemoteRateLimitError, langchain_errors.ModelRateLimitError, True),
        (errors.RemoteFailureError, langchain_errors.ModelAPIError, True),
        (errors.RemoteConnectionError, langchain_errors.ModelConnectionError, True),
        (errors.RemoteTimeoutError, langchain_errors.ModelTimeoutError, True),
    ],
)
def test_errors_have_their_class_in_langchain_s_tree(kind, parent, is_retryable):
    error = create(kind)
    assert isinstance(error, parent)
    assert error.is_retryable is is_retryable
    if parent.__module__ == langchain_errors.__name__:
        assert parent.is_retryable is is_retryable or parent is langchain_errors.ModelError


def test_errors_of_one_kind_are_not_of_another():
    """A handler of server failures must not catch a wrong key."""
    assert not issubclass(errors.RemoteAuthenticationError, langchain_errors.ModelAPIError)
    assert not issubclass(errors.RemoteTimeoutError, langchain_errors.ModelConnectionError)
    assert not issubclass(errors.RemoteRequestError, ValueError)
