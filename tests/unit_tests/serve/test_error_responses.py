"""Responses to errors follow the fields of the errors."""

import json

import pytest

from langchain_gptoss.errors import (
    ContextLengthError,
    DeadlineError,
    EngineBusyError,
    GptOssError,
    InvalidInputError,
    RetrievalError,
    SessionBusyError,
)
from langchain_gptoss.serve.error_responses import RequestRefused, build_error_response


@pytest.mark.parametrize(
    ("error", "status_code", "message", "headers"),
    [
        (InvalidInputError("k is 0.", hint="Use 1."), 422, "k is 0. Use 1.", {}),
        (ContextLengthError(9, 8), 422, str(ContextLengthError(9, 8)), {}),
        (SessionBusyError("Wait."), 409, "Wait.", {"Retry-After": "5"}),
        (EngineBusyError("Full.", retry_after_s=2.4), 503, "Full.", {"Retry-After": "3"}),
        (DeadlineError("Late."), 504, "Late.", {"Retry-After": "5"}),
        (RequestRefused(429, "Slower.", headers={"Retry-After": "7"}), 429, "Slower.", {"Retry-After": "7"}),
    ],
)
def test_public_errors_are_shown(error, status_code, message, headers):
    response = build_error_response(error)
    assert (response.status_code, response.message, response.headers) == (status_code, message, headers)


@pytest.mark.parametrize(
    ("error", "status_code", "headers"),
    [
        (RetrievalError("secret"), 502, {"Retry-After": "5"}),
        (GptOssError("secret"), 500, {}),
        (RuntimeError("secret"), 500, {}),
    ],
)
def test_other_errors_are_logged_and_hidden(caplog, error, status_code, headers):
    response = build_error_response(error)
    assert (response.status_code, response.headers) == (status_code, headers)
    assert "secret" not in response.message
    assert "secret" in caplog.text


def test_each_api_has_its_form():
    response = build_error_response(InvalidInputError("k is 0."))
    assert response.to_body("/chatbot/ask") == {"detail": "k is 0."}
    assert response.to_body("/v1/models")["error"]["type"] == "invalid_request_error"
    events = response.to_last_events("/chatbot/ask").decode().splitlines()
    assert events[0] == "event: error"
    assert json.loads(events[1][6:]) == {"status_code": 422, "message": "k is 0."}
    assert response.to_last_events("/v1/chat/completions").endswith(b"data: [DONE]\n\n")
