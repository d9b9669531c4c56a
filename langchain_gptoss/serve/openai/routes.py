"""The router of OpenAI's API."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.runnables import Runnable

from langchain_gptoss.chatbot import Chatbot
from langchain_gptoss.serve.openai.chat_completions import add_chat_completion_route
from langchain_gptoss.serve.openai.completions import add_completion_route
from langchain_gptoss.serve.openai.embeddings import add_embedding_route
from langchain_gptoss.serve.openai.models import ServedModels, add_model_routes
from langchain_gptoss.serve.openai.responses import add_response_routes, open_response_store
from langchain_gptoss.serve.public_output import PublicChatbot


def build_openai_routes(
    chatbot: Runnable[Any, Any],
    llm: BaseChatModel | None,
    embeddings: Embeddings | None = None,
    *,
    max_completions: int = 32,
) -> APIRouter:
    """Return the routes under `/v1`: models, chat completions and responses, with a model also completions, embeddings.

    Args:
        chatbot: Answers as the model "chatbot".
        llm: Answers under its own name; None leaves it out.
        embeddings: The embedding model; None leaves it out.
        max_completions: Largest number of text completions in a request.
    """
    router, models = APIRouter(prefix="/v1", tags=["OpenAI"]), ServedModels(PublicChatbot(chatbot), llm, embeddings)
    add_model_routes(router, models)
    add_chat_completion_route(router, models)
    if llm is not None:
        add_completion_route(router, models, max_completions=max_completions)
    if embeddings is not None:
        add_embedding_route(router, models)
    sessions = chatbot.sessions if isinstance(chatbot, Chatbot) else None
    add_response_routes(router, models, open_response_store(sessions))
    return router
