"""The route for chat completions. The form is that of https://platform.openai.com/docs/api-reference/chat.

Two models are served: the chat model under its own name, and the model `chatbot`, which answers from the documents.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from langchain_gptoss.serve.caller import build_run_config
from langchain_gptoss.serve.openai.chat_requests import ChatCompletionRequest
from langchain_gptoss.serve.openai.chatbot_completion import ChatbotCompletion
from langchain_gptoss.serve.openai.completion import ChatCompletion
from langchain_gptoss.serve.openai.error_form import respond_to_error
from langchain_gptoss.serve.openai.events import stream_chunks
from langchain_gptoss.serve.openai.model_completion import ModelCompletion
from langchain_gptoss.serve.openai.models import CHATBOT, ServedModels
from langchain_gptoss.serve.openai.requests import build_ignored_fields_header, list_ignored_fields, parse_request


def add_chat_completion_route(router: APIRouter, models: ServedModels) -> None:
    """Add the route `/chat/completions`."""

    @router.post("/chat/completions")
    async def create_chat_completion(request: Request) -> Response:
        """Answer a conversation."""
        chat_request: ChatCompletionRequest | None = None
        try:
            chat_request = parse_request(await request.body(), ChatCompletionRequest)
            completion = _start_completion(request, chat_request, models)
            headers = build_ignored_fields_header([*list_ignored_fields(chat_request), *completion.ignored_fields])
            if chat_request.stream:
                return await stream_chunks(completion.stream(), request, headers)
            return JSONResponse(await completion.create(), headers=headers)
        except Exception as error:
            return respond_to_error(error, chat_request)


def _start_completion(request: Request, chat_request: ChatCompletionRequest, models: ServedModels) -> ChatCompletion:
    name, config = chat_request.model, build_run_config(request, cache_key=chat_request.prompt_cache_key)
    if name == CHATBOT:
        return ChatbotCompletion(models.chatbot, chat_request, config)
    return ModelCompletion(models.get_chat_model(name), chat_request, config)
