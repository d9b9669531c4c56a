"""Errors in the form of OpenAI's API."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from fastapi import FastAPI, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from langchain_gptoss.errors import ContextLengthError, InvalidInputError
from langchain_gptoss.serve.error_responses import ErrorResponse, RequestRefused, build_error_response, is_openai_path

_FIRST_WORD = re.compile(r"\w+")


def build_openai_error(error: Exception, request: BaseModel | None = None) -> ErrorResponse:
    """Return the response to an error with OpenAI's status codes: 400 for every invalid request.

    Args:
        error: The error.
        request: The request, if it could be read. An invalid value is reported with the field that its message names.
    """
    response = build_error_response(error)
    if response.status_code == 422:
        response = dataclasses.replace(response, status_code=400)
    if isinstance(error, ContextLengthError):
        return dataclasses.replace(response, code="context_length_exceeded")
    if isinstance(error, InvalidInputError) and request is not None:
        # Messages about a value begin with its name: "top_k is -1; it must be ..."
        field = _FIRST_WORD.match(error.message)
        if field and field[0] in type(request).model_fields:
            return dataclasses.replace(response, param=field[0], code="invalid_value")
    return response


def respond_to_error(error: Exception, request: BaseModel | None = None) -> JSONResponse:
    """Return the response to an error; see `build_openai_error`."""
    response = build_openai_error(error, request)
    return JSONResponse(response.to_openai(), response.status_code, dict(response.headers))


def refuse_model(model: str, available: Iterable[str]) -> RequestRefused:
    """Return the refusal of a request that names an unknown model."""
    message = f"There is no model {model!r}. Available: {', '.join(map(repr, available))}."
    return RequestRefused(404, message, param="model", code="model_not_found")


def add_error_handler(app: FastAPI) -> None:
    """Give unknown paths and methods under `/v1` an error in OpenAI's form; other paths keep FastAPI's form."""

    @app.exception_handler(HTTPException)
    async def handle_http_error(request: Request, error: HTTPException) -> Response:
        if not is_openai_path(request.url.path):
            return await http_exception_handler(request, error)
        response = ErrorResponse(
            status_code=error.status_code,
            message=_describe_http_error(request, error),
            headers=error.headers or {},
            code={404: "unknown_url", 405: "method_not_allowed"}.get(error.status_code),
        )
        return JSONResponse(response.to_openai(), response.status_code, dict(response.headers))


def _describe_http_error(request: Request, error: HTTPException) -> str:
    if error.status_code == 404:
        return f"Invalid URL ({request.method} {request.url.path}). The routes are listed at /openapi.json."
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return f"{request.method} is not allowed at {request.url.path}. Use {allowed}."
    return str(error.detail)
