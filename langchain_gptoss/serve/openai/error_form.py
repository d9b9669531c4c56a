"""Errors in the form of OpenAI's API."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from fastapi.responses import JSONResponse

from langchain_gptoss.errors import ContextLengthError
from langchain_gptoss.serve.error_responses import ErrorResponse, RequestRefused, build_error_response


def build_openai_error(error: Exception) -> ErrorResponse:
    """Return the response to an error with OpenAI's status codes: 400 for every invalid request."""
    response = build_error_response(error)
    if response.status_code == 422:
        response = dataclasses.replace(response, status_code=400)
    if isinstance(error, ContextLengthError):
        response = dataclasses.replace(response, code="context_length_exceeded")
    return response


def respond_to_error(error: Exception) -> JSONResponse:
    """Return the response to an error."""
    response = build_openai_error(error)
    return JSONResponse(response.to_openai(), response.status_code, dict(response.headers))


def refuse_model(model: str, available: Iterable[str]) -> RequestRefused:
    """Return the refusal of a request that names an unknown model."""
    message = f"There is no model {model!r}. Available: {', '.join(map(repr, available))}."
    return RequestRefused(404, message, param="model", code="model_not_found")
