"""A chatbot over HTTP: LangServe routes and a health check on FastAPI.

Needs the extra `serve`; without it, importing this module raises `MissingDependencyError`.
"""

from langchain_gptoss._optional import require

for _module in ("fastapi", "sse_starlette", "uvicorn", "langserve"):
    require(_module, extra="serve")

from langchain_gptoss.serve.app import ServedInput, add_chatbot_routes, create_app, serve  # noqa: E402 (checked above)

__all__ = ["ServedInput", "add_chatbot_routes", "create_app", "serve"]
