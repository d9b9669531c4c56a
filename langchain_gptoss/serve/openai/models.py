"""The models that a server offers under OpenAI's API."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.runnables import Runnable

from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.openai.error_form import refuse_model, respond_to_error

CHATBOT = "chatbot"


class ServedModels:
    """The chatbot, and the models below it under their own names.

    Attributes:
        chatbot: Answers as the model "chatbot".
        llm: The chat model; None if it is not served.
        embeddings: The embedding model; None if it is not served.
        embeddings_name: Name of the embedding model; None if it is not served.
    """

    def __init__(
        self, chatbot: Runnable[Any, Any], llm: BaseChatModel | None = None, embeddings: Embeddings | None = None
    ) -> None:
        self.chatbot, self.llm, self.embeddings = chatbot, llm, embeddings
        self._llm_name = None if llm is None else get_model_name(llm)
        self.embeddings_name = None if embeddings is None else get_embeddings_name(embeddings)

    @property
    def names(self) -> list[str]:
        """Names of all models."""
        return [name for name in (CHATBOT, self._llm_name, self.embeddings_name) if name is not None]

    def get_chat_model(self, name: str) -> BaseChatModel:
        """Return the chat model with a name.

        Raises:
            RequestRefused: Another model has this name, or none.
        """
        if self.llm is None or name != self._llm_name:
            raise self._refuse(name, "does not answer conversations", [CHATBOT, self._llm_name])
        return self.llm

    def get_completion_model(self, name: str) -> ChatGptOss:
        """Return the chat model with a name, whose engine can continue a text.

        Raises:
            RequestRefused: Another model has this name, or none.
        """
        if not isinstance(self.llm, ChatGptOss) or name != self._llm_name:
            usable = [self._llm_name] if isinstance(self.llm, ChatGptOss) else []
            raise self._refuse(name, "does not continue texts", usable)
        return self.llm

    def get_embeddings(self, name: str) -> Embeddings:
        """Return the embedding model with a name.

        Raises:
            RequestRefused: Another model has this name, or none.
        """
        if self.embeddings is None or name != self.embeddings_name:
            raise self._refuse(name, "does not compute embeddings", [self.embeddings_name])
        return self.embeddings

    def _refuse(self, name: str, reason: str, usable: list[str | None]) -> RequestRefused:
        usable_names = [each for each in usable if each is not None]
        if name not in self.names:
            return refuse_model(name, usable_names or self.names)
        available = ", ".join(map(repr, usable_names)) or "no model"
        message = f"The model {name!r} {reason}. Available here: {available}."
        return RequestRefused(400, message, param="model", code="unsupported_model")


def add_model_routes(router: APIRouter, models: ServedModels) -> None:
    """Add the routes that list the models."""
    created = int(time.time())

    def describe_model(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": created, "owned_by": "langchain-gptoss"}

    @router.get("/models")
    async def list_models() -> dict[str, Any]:
        """List the models."""
        return {"object": "list", "data": [describe_model(name) for name in models.names]}

    @router.get("/models/{model:path}")
    async def get_model(model: str) -> Any:
        """Return one of the models."""
        names = models.names
        return describe_model(model) if model in names else respond_to_error(refuse_model(model, names))


def get_client_options(llm: BaseChatModel) -> dict[str, Any]:
    """Return the options of a chat model for messages that a client has written.

    The system messages are the client's own and may be secret, so that clients share nothing of them in the engine's
    cache.
    """
    return {"shares_system_prompt": False} if isinstance(llm, ChatGptOss) else {}


def get_model_name(llm: BaseChatModel) -> str:
    """Return the name of a chat model."""
    card = getattr(llm, "card", None)
    names = (getattr(card, "name", None), getattr(llm, "model_name", None), getattr(llm, "model", None))
    return str(next((name for name in names if name), type(llm).__name__))


def get_embeddings_name(embeddings: Embeddings) -> str:
    """Return the name of an embedding model; that of a model in a folder is the folder's name."""
    names = (getattr(embeddings, "model_name", None), getattr(embeddings, "model", None))
    name = str(next((name for name in names if name), type(embeddings).__name__))
    return Path(name).name if Path(name).is_dir() else name
