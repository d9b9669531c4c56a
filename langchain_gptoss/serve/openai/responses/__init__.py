"""The Responses API of OpenAI: items in, items out, and stored responses that a request can continue."""

from langchain_gptoss.serve.openai.responses.routes import add_response_routes
from langchain_gptoss.serve.openai.responses.store import open_response_store

__all__ = ["add_response_routes", "open_response_store"]
