"""The route for embeddings. The form is that of https://platform.openai.com/docs/api-reference/embeddings."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from langchain_core.embeddings import Embeddings
from pydantic import Field

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.ingest import create_token_counter
from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.openai.error_form import respond_to_error
from langchain_gptoss.serve.openai.models import ServedModels
from langchain_gptoss.serve.openai.requests import (
    Integer,
    RequestPart,
    build_ignored_fields_header,
    list_ignored_fields,
    parse_request,
)

MAX_TEXTS = 2048
"""Largest number of texts in a request, as in OpenAI's API."""

_BATCH_SIZE = 64  # the work on a batch cannot be stopped when the client disconnects
_ESTIMATED_TOKEN_BYTES = 4
_QUERY_TYPES = ("query", "search_query")


class EmbeddingRequest(RequestPart):
    """A request for embeddings. `input_type` is no field of OpenAI's: some models embed queries in another way."""

    model: str
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Integer | None = Field(default=None, ge=1)
    user: str | None = None
    input_type: Literal["document", "passage", "search_document", "query", "search_query"] = "document"

    def get_texts(self) -> list[str]:
        """Return the texts.

        Raises:
            RequestRefused: There are none or too many, or one is empty or not a text.
        """
        items = [self.input] if isinstance(self.input, str) else self.input
        if not items:
            raise _refuse("input", "the array is empty", code="empty_array")
        if len(items) > MAX_TEXTS:
            raise _refuse(
                "input", f"it has {len(items)} texts; send at most {MAX_TEXTS}", code="array_above_max_length"
            )
        for number, item in enumerate(items):
            field = "input" if isinstance(self.input, str) else f"input[{number}]"
            if isinstance(item, int | list) and not isinstance(item, bool):
                raise _refuse(
                    field,
                    "token ids are not supported, because clients use other vocabularies than the model. Send text "
                    "(LangChain: OpenAIEmbeddings(check_embedding_ctx_length=False))",
                    code="invalid_type",
                )
            if not isinstance(item, str):
                raise _refuse(field, f"expected a string, but got {item!r}", code="invalid_type")
            if not item:
                raise _refuse(field, "the text is empty", code="invalid_value")
        return items


def add_embedding_route(router: APIRouter, models: ServedModels) -> None:
    """Add the route `/embeddings`."""

    @router.post("/embeddings")
    async def create_embeddings(request: Request) -> Response:
        """Compute the vectors of texts."""
        embedding_request: EmbeddingRequest | None = None
        try:
            embedding_request = parse_request(await request.body(), EmbeddingRequest)
            embeddings = models.get_embeddings(embedding_request.model)
            texts = embedding_request.get_texts()
            token_count = _count_tokens(embeddings, texts)
            vectors = await _embed(embeddings, texts, is_query=embedding_request.input_type in _QUERY_TYPES)
            headers = build_ignored_fields_header(list_ignored_fields(embedding_request))
            return JSONResponse(_build_answer(embedding_request, vectors, token_count), headers=headers)
        except Exception as error:
            return respond_to_error(error, embedding_request)


def _count_tokens(embeddings: Embeddings, texts: Sequence[str]) -> int:
    """Return the number of tokens of all texts, estimated if the model's own tokens cannot be counted.

    Raises:
        RequestRefused: A text is longer than the model reads; it would ignore the rest.
    """
    try:
        count = create_token_counter(embeddings)
    except InvalidInputError:
        return sum(-(-len(text.encode()) // _ESTIMATED_TOKEN_BYTES) for text in texts)
    limit = getattr(getattr(embeddings, "_client", None), "max_seq_length", None)
    lengths = [count(text) for text in texts]
    for number, length in enumerate(lengths):
        if limit is not None and length > limit:
            message = f"the text has {length} tokens, and the model reads {limit}. Send it in parts"
            raise _refuse(f"input[{number}]", message, code="context_length_exceeded")
    return sum(lengths)


async def _embed(embeddings: Embeddings, texts: list[str], *, is_query: bool) -> list[list[float]]:
    if is_query:
        return [await embeddings.aembed_query(text) for text in texts]
    vectors: list[list[float]] = []
    for start in range(0, len(texts), _BATCH_SIZE):
        vectors += await embeddings.aembed_documents(texts[start : start + _BATCH_SIZE])
    return vectors


def _build_answer(request: EmbeddingRequest, vectors: list[list[float]], token_count: int) -> dict[str, Any]:
    """Return the answer.

    Raises:
        RequestRefused: The request asks for another number of dimensions than the model has.
    """
    size = len(vectors[0])
    if request.dimensions not in (None, size):
        reason = f"the vectors of this model have {size} dimensions and cannot be shortened"
        raise _refuse("dimensions", reason, code="invalid_value")
    encode = _encode_base64 if request.encoding_format == "base64" else list
    data = [
        {"object": "embedding", "index": index, "embedding": encode(vector)} for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": token_count, "total_tokens": token_count}
    return {"object": "list", "data": data, "model": request.model, "usage": usage}


def _encode_base64(vector: Sequence[float]) -> str:
    """Return the numbers as little-endian 32-bit floats, in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")


def _refuse(field: str, reason: str, *, code: str) -> RequestRefused:
    return RequestRefused(400, f"Invalid '{field}': {reason}.", param=field, code=code)
