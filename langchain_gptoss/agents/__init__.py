"""Parts of agents on these models, for LangChain's `create_agent`."""

from langchain_gptoss.agents.middleware import InvalidToolCallMiddleware

__all__ = ["InvalidToolCallMiddleware"]
