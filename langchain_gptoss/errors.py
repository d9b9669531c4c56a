"""One error tree: every message says what happened, why, and what to do next.

GptOssError
├── ModelNotFoundError       no model answers to this name
├── CheckpointError          a folder or repository is not a checkpoint that can be loaded
├── DownloadError            something could not be fetched, or arrived altered
├── StorageError             the disk is full, or a folder cannot be written
├── GptOssMemoryError        the model does not fit into the memory that is free
├── ContextLengthError       prompt and answer are longer than the model's context
├── DocumentsError           there is nothing to index at this place
├── IndexStoreError          a saved index is missing, altered or made for other embeddings
├── RetrievalError           a retriever failed
├── SessionBusyError         a conversation is still being answered
├── RemoteServerError        a server that runs the model cannot be reached, refuses, or breaks off
├── InvalidInputError        an argument that cannot work
└── MissingDependencyError   an optional package is not installed
"""

from langchain_core.exceptions import ContextOverflowError


class GptOssError(Exception):
    """Base of every error that this package raises on purpose."""


class ModelNotFoundError(GptOssError):
    """No model answers to the name that was given."""


class CheckpointError(GptOssError):
    """A folder or a repository does not hold a checkpoint that can be loaded."""


class DownloadError(GptOssError):
    """A file could not be fetched, or it arrived truncated or altered."""


class StorageError(GptOssError):
    """A file could not be written: the disk is full or the folder is read-only."""


class GptOssMemoryError(GptOssError, MemoryError):
    """The model needs more memory than is free."""


class ContextLengthError(GptOssError, ContextOverflowError):
    """The prompt does not fit into the model's context.

    Also a `langchain_core.exceptions.ContextOverflowError`, so that LangChain's own handlers see it.

    Attributes:
        prompt_tokens: Length of the prompt, in tokens.
        context_length: What the model can read and write in all, in tokens.
    """

    def __init__(self, prompt_tokens: int, context_length: int) -> None:
        """Says both lengths."""
        self.prompt_tokens = prompt_tokens
        self.context_length = context_length
        super().__init__(
            f"The prompt has {prompt_tokens} tokens and the model's context holds {context_length}, answer included. "
            "Shorten the question, the history or the passages."
        )


class DocumentsError(GptOssError):
    """There is nothing to index at the place that was given."""


class IndexStoreError(GptOssError):
    """A saved index is missing, altered, or was made with other embeddings."""


class RetrievalError(GptOssError):
    """A retriever failed, so that there is nothing to answer from."""


class SessionBusyError(GptOssError):
    """A conversation is still being answered, and takes no second question meanwhile."""


class RemoteServerError(GptOssError):
    """A server that runs the model cannot be reached, refuses, or breaks off."""


class InvalidInputError(GptOssError, ValueError):
    """An argument that cannot work, named, with what would."""


class MissingDependencyError(GptOssError, ImportError):
    """An optional package is not installed; the message says which extra brings it."""
