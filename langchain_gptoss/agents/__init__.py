"""What agents on these models need besides LangChain."""

from langchain_gptoss.agents.middleware import InvalidToolCallMiddleware

__all__ = ["InvalidToolCallMiddleware"]
