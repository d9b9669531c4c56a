"""OpenAI's API, for programs that use its client: one module for each kind of request, and what they share."""

from langchain_gptoss.serve.openai.error_form import add_error_handler
from langchain_gptoss.serve.openai.requests import IGNORED_FIELDS_HEADER
from langchain_gptoss.serve.openai.routes import build_openai_routes

__all__ = ["IGNORED_FIELDS_HEADER", "add_error_handler", "build_openai_routes"]
