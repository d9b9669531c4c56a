"""Parts of agents on these models, for LangChain's `create_agent`."""

from langchain_gptoss.agents.middleware import InvalidToolCallMiddleware
from langchain_gptoss.agents.repeated_calls import RepeatedToolCallMiddleware

__all__ = ["InvalidToolCallMiddleware", "RepeatedToolCallMiddleware"]
