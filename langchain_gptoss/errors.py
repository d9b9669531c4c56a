"""The error tree. Every message says what happened, why, and what to do next.

All errors are also LangChain's `ModelError`, whose `is_retryable` tells retries, such as LangChain's
`ModelRetryMiddleware`, whether another try may help. Errors with a counterpart in LangChain's tree subclass it too.

GptOssError
├── ModelNotFoundError       no model has this name
├── CheckpointError          a folder or repository is not a checkpoint that can be loaded
│   └── DamagedCheckpointError   its files are missing, truncated or altered
├── DownloadError            a file could not be fetched, or arrived truncated or altered
├── StorageError             the disk is full, or a folder cannot be written
├── GptOssMemoryError        the model does not fit into the free memory
├── KernelError              the native kernel cannot be built or failed
├── GptOssForkError          a forked process uses a model that its parent loaded
├── ContextLengthError       prompt and answer are longer than the model's context
├── DocumentsError           there is nothing to index at this place
├── IndexStoreError          a saved index is missing, altered, or made for other embeddings
├── RetrievalError           a retriever failed
├── SessionBusyError         a conversation is still being answered
├── EngineBusyError          too many requests wait for the model
├── DeadlineError            a request was not complete at its deadline
├── RemoteServerError        a server that runs the model cannot be reached, refuses, or breaks off
│   ├── RemoteAuthenticationError   it refuses the key (401)
│   ├── RemotePermissionError       the key has no access (403)
│   ├── RemoteModelNotFoundError    it does not have the model (404)
│   ├── RemoteRequestError          it refuses the request (other 4xx)
│   ├── RemoteContextError          the prompt is longer than its context
│   ├── RemoteRateLimitError        it has too many requests (429)
│   ├── RemoteFailureError          it failed (5xx)
│   ├── RemoteConnectionError       it cannot be reached, or the connection broke off
│   └── RemoteTimeoutError          it was silent for too long
├── InvalidInputError        an argument has a value that cannot work
└── MissingDependencyError   an optional package is not installed
"""

from typing import Any, ClassVar

from langchain_core import exceptions as langchain_errors


class GptOssError(langchain_errors.ModelError):
    """Base class of every error that this package raises on purpose.

    Args:
        message: What happened and why, in one or two sentences.
        hint: What the user can do about it.

    Attributes:
        message: What happened and why.
        hint: What the user can do about it; empty if `message` already says it.
        is_retryable: True if the same call may succeed later without a change.
        status_code: The HTTP status with which a server answers. 500 marks an error of the server itself: clients get
            a general message, and the log gets the error.
        is_public: True if a server may show the text of the error to its clients.
    """

    is_retryable: bool = False
    status_code: ClassVar[int] = 500
    is_public: ClassVar[bool] = False

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message} {hint}".strip())

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by fields, so that errors with their own constructors survive process boundaries."""
        return _restore_error, (type(self), self.args, self.__dict__)


def _restore_error(kind: type[GptOssError], args: tuple[object, ...], fields: dict[str, object]) -> GptOssError:
    # `MemoryError.__new__` refuses classes with another base before it. The base that decides the layout does not.
    layout: Any = kind.__base__
    error: GptOssError = layout.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class ModelNotFoundError(GptOssError, langchain_errors.ModelNotFoundError):
    """No model has the given name."""


class CheckpointError(GptOssError):
    """A folder or a repository does not hold a checkpoint that can be loaded."""


class DamagedCheckpointError(CheckpointError):
    """Files of a checkpoint are missing, truncated or altered; copying or fetching them again may repair it."""


class DownloadError(GptOssError):
    """A file could not be fetched, or it arrived truncated or altered."""

    is_retryable = True


class StorageError(GptOssError):
    """A file could not be written: the disk is full or the folder is read-only."""


class GptOssMemoryError(GptOssError, MemoryError):
    """The model needs more memory than is free."""


class EngineBusyError(GptOssError, langchain_errors.ModelRateLimitError):
    """Too many requests wait for the model; the message says when to try again.

    Attributes:
        retry_after_s: Seconds after which a place is likely to be free.
    """

    is_retryable = True
    status_code = 503
    is_public = True

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class DeadlineError(GptOssError, langchain_errors.ModelTimeoutError):
    """A request was not complete at its deadline; the tokens before it were delivered."""

    is_retryable = True
    status_code = 504
    is_public = True


class KernelError(GptOssError):
    """The native kernel could not be built or loaded, or a call to it failed."""


class GptOssForkError(GptOssError):
    """A forked process uses a model that its parent loaded; the threads that run it exist in the parent only."""


class ContextLengthError(GptOssError, langchain_errors.ContextOverflowError):
    """The prompt does not fit into the model's context.

    This is also a `langchain_core.exceptions.ContextOverflowError`, so LangChain's own handlers catch it.

    Attributes:
        prompt_tokens: Length of the prompt, in tokens.
        context_length: Length of the model's context, prompt and answer together, in tokens.
    """

    status_code = 422
    is_public = True

    def __init__(self, prompt_tokens: int, context_length: int) -> None:
        self.prompt_tokens = prompt_tokens
        self.context_length = context_length
        super().__init__(
            f"The prompt has {prompt_tokens} tokens and the model's context holds {context_length}, answer included.",
            hint="Shorten the question, the history or the passages.",
        )


class DocumentsError(GptOssError):
    """There is nothing to index at the given place."""


class SchemaWarning(UserWarning):
    """A part of a JSON schema is not enforced during generation, and what the model writes is checked afterwards."""


class DocumentWarning(UserWarning):
    """The text of a document may not be what its file says: its encoding was guessed, or a part was left out."""


class IndexStoreError(GptOssError):
    """A saved index is missing, altered, or was made with other embeddings."""


class RetrievalError(GptOssError):
    """A retriever failed, so there is nothing to answer from."""

    is_retryable = True
    status_code = 502


class SessionBusyError(GptOssError):
    """A conversation is still being answered and cannot take a second question."""

    is_retryable = True
    status_code = 409
    is_public = True


class RemoteServerError(GptOssError):
    """A server that runs the model cannot be reached, refuses, or breaks off.

    Raised itself if the server does not follow its protocol.
    """


class RemoteAuthenticationError(RemoteServerError, langchain_errors.ModelAuthenticationError):
    """The server refuses the key (401)."""


class RemotePermissionError(RemoteServerError, langchain_errors.ModelPermissionDeniedError):
    """The key has no access (403)."""


class RemoteModelNotFoundError(RemoteServerError, langchain_errors.ModelNotFoundError):
    """The server does not have the model, or nothing at this address (404)."""


class RemoteRequestError(RemoteServerError, langchain_errors.ModelInvalidRequestError):
    """The server refuses the request (400, 422 and other 4xx)."""


class RemoteContextError(RemoteServerError, langchain_errors.ContextOverflowError):
    """The server refuses the request because it is longer than its context."""


class RemoteRateLimitError(RemoteServerError, langchain_errors.ModelRateLimitError):
    """The server has too many requests (429)."""

    is_retryable = True


class RemoteFailureError(RemoteServerError, langchain_errors.ModelAPIError):
    """The server failed (5xx)."""

    is_retryable = True


class RemoteConnectionError(RemoteServerError, langchain_errors.ModelConnectionError):
    """The server cannot be reached, or the connection broke off."""

    is_retryable = True


class RemoteTimeoutError(RemoteServerError, langchain_errors.ModelTimeoutError):
    """The server was silent for too long (also 408 and 504)."""

    is_retryable = True


class InvalidInputError(GptOssError, langchain_errors.ModelInvalidRequestError, ValueError):
    """An argument has a value that cannot work; the message names it and the values that would work."""

    status_code = 422
    is_public = True


class MissingDependencyError(GptOssError, ImportError):
    """An optional package is not installed; the message names the extra that installs it."""
