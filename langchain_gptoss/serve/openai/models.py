"""The models that a server offers under OpenAI's API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.runnables import Runnable

from langchain_gptoss.serve.openai.error_form import refuse_model, respond_to_error

CHATBOT = "chatbot"


class ServedModels:
    """The chatbot, and the chat model under its own name.

    Attributes:
        chatbot: Answers as the model "chatbot".
        llm: The chat model; None if it is not served.
        llm_name: Name of the chat model; None if it is not served.
    """

    def __init__(self, chatbot: Runnable[Any, Any], llm: BaseChatModel | None) -> None:
        self.chatbot, self.llm = chatbot, llm
        self.llm_name = None if llm is None else get_model_name(llm)

    @property
    def answering(self) -> Mapping[str, Runnable[Any, Any]]:
        """The models that answer conversations, by name."""
        models: dict[str, Runnable[Any, Any]] = {CHATBOT: self.chatbot}
        if self.llm is not None and self.llm_name is not None:
            models[self.llm_name] = self.llm
        return models


def add_model_routes(router: APIRouter, models: ServedModels) -> None:
    """Add the routes that list the models."""
    created = int(time.time())

    def describe_model(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": created, "owned_by": "langchain-gptoss"}

    @router.get("/models")
    async def list_models() -> dict[str, Any]:
        """List the models."""
        return {"object": "list", "data": [describe_model(name) for name in models.answering]}

    @router.get("/models/{model:path}")
    async def get_model(model: str) -> Any:
        """Return one of the models."""
        names = models.answering
        return describe_model(model) if model in names else respond_to_error(refuse_model(model, names))


def get_model_name(llm: BaseChatModel) -> str:
    """Return the name of a chat model."""
    card = getattr(llm, "card", None)
    names = (getattr(card, "name", None), getattr(llm, "model_name", None), getattr(llm, "model", None))
    return str(next((name for name in names if name), type(llm).__name__))
