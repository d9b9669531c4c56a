"""A chatbot over HTTP on FastAPI: a web page, OpenAI's API, sessions, API keys, limits and metrics.

Needs the extra `serve`; importing this module without it raises `MissingDependencyError`. LangServe's routes are added
if the extra `langserve` is installed.
"""

from langchain_gptoss._optional import require

for _module in ("fastapi", "uvicorn", "prometheus_client"):
    require(_module, extra="serve")

from langchain_gptoss.chatbot.caller import Caller  # noqa: E402
from langchain_gptoss.serve.app import add_chatbot_routes, add_gate, create_app, serve  # noqa: E402 (checked above)
from langchain_gptoss.serve.inputs import ServedInput  # noqa: E402
from langchain_gptoss.serve.keys import ApiKey, Keys, add_key  # noqa: E402
from langchain_gptoss.serve.settings import ServerSettings  # noqa: E402

__all__ = [
    "ApiKey",
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
