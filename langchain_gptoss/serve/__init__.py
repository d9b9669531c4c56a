"""A chatbot over HTTP: a page, LangServe's routes, OpenAI's API, keys, limits and metrics, on FastAPI.

Needs the extra `serve`; without it, importing this module raises `MissingDependencyError`.
"""

from langchain_gptoss._optional import require

for _module in ("fastapi", "sse_starlette", "uvicorn", "langserve", "prometheus_client"):
    require(_module, extra="serve")

from langchain_gptoss.serve.app import add_chatbot_routes, add_gate, create_app, serve  # noqa: E402 (checked above)
from langchain_gptoss.serve.keys import Caller, Keys, add_key  # noqa: E402
from langchain_gptoss.serve.langserve_routes import ServedInput  # noqa: E402
from langchain_gptoss.serve.settings import ServerSettings  # noqa: E402

__all__ = [
    "Caller",
    "Keys",
    "ServedInput",
    "ServerSettings",
    "add_chatbot_routes",
    "add_gate",
    "add_key",
    "create_app",
    "serve",
]
