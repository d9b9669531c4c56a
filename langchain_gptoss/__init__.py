"""Run OpenAI's GPT-OSS models on your own machine in LangChain, with cited answers from your own documents.

The names below are loaded when they are first used: importing the package loads neither torch nor transformers.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_gptoss.audit import AuditLog
    from langchain_gptoss.chat_models import ChatGptOss
    from langchain_gptoss.chatbot import create_chatbot
    from langchain_gptoss.domains import DomainProfile
    from langchain_gptoss.embeddings import load_embeddings
    from langchain_gptoss.errors import GptOssError
    from langchain_gptoss.ingest import index_documents
    from langchain_gptoss.llms import GptOssLLM
    from langchain_gptoss.models.conversion.convert import convert_checkpoint
    from langchain_gptoss.retrievers import (
        BM25Retriever,
        HistoryAwareRetriever,
        HybridRetriever,
        NeighbourRetriever,
        RerankRetriever,
    )
    from langchain_gptoss.vectorstores import FaissStore

__version__ = "0.1.0"

_MODULES = {
    "AuditLog": "audit",
    "BM25Retriever": "retrievers",
    "ChatGptOss": "chat_models",
    "DomainProfile": "domains",
    "FaissStore": "vectorstores",
    "GptOssError": "errors",
    "GptOssLLM": "llms",
    "HistoryAwareRetriever": "retrievers",
    "HybridRetriever": "retrievers",
    "NeighbourRetriever": "retrievers",
    "RerankRetriever": "retrievers",
    "convert_checkpoint": "models.conversion.convert",
    "create_chatbot": "chatbot",
    "index_documents": "ingest",
    "load_embeddings": "embeddings",
}

__all__ = [
    "AuditLog",
    "BM25Retriever",
    "ChatGptOss",
    "DomainProfile",
    "FaissStore",
    "GptOssError",
    "GptOssLLM",
    "HistoryAwareRetriever",
    "HybridRetriever",
    "NeighbourRetriever",
    "RerankRetriever",
    "convert_checkpoint",
    "create_chatbot",
    "index_documents",
    "load_embeddings",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
