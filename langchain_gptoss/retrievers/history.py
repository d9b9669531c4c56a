"""Complete a follow-up question from the conversation before it is searched for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig

from langchain_gptoss.retrievers.adapters import (
    AnyRetriever,
    Count,
    aask,
    ask,
    checked_k,
)
from langchain_gptoss.retrievers.query_rewriting import HistoryInput, Standalone, arewrite, read_input, rewrite
from langchain_gptoss.vectorstores.filters import Filter


class HistoryAwareRetriever(BaseRetriever):
    """Makes a follow-up question complete before it is searched for: "And for express?" says what it is about.

    `invoke` takes a question, or a question with the conversation before it:
    `{"question": "And for express?", "chat_history": [HumanMessage(...), AIMessage(...)]}`. Without a conversation the
    question is searched for as it is and no model is asked. A rewriting that is empty, too long, in another language or
    about something else is not used; then the question is searched for together with the one before it.

    Attributes:
        retriever: A vector store, a retriever or a Runnable from a query to documents.
        llm: The chat model that rewrites.
        k: How many documents are returned; None leaves it to the retriever.
    """

    retriever: AnyRetriever
    llm: BaseChatModel
    k: Count | None = None

    @property
    def InputType(self) -> Any:  # noqa: N802 (LangChain's name)
        """What `invoke` takes."""
        return str | HistoryInput

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:
        """Returns the documents for a question, or for a question with the conversation before it.

        Args:
            input: The question, or a `HistoryInput`.
            config: As of every Runnable.
            **kwargs: `k` and `filter`.

        Raises:
            InvalidInputError: There is no question.
        """
        question, history = read_input(input)
        return super().invoke(question, config, chat_history=history, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:
        """Returns what `invoke` does."""
        question, history = read_input(input)
        return await super().ainvoke(question, config, chat_history=history, **kwargs)

    def standalone(self, input: str | HistoryInput) -> Standalone:
        """Returns the question that would be searched for, and how it came about."""
        question, history = read_input(input)
        return rewrite(self.llm, question, history, RunnableConfig())

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        chat_history: Sequence[BaseMessage] = (),
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        config = RunnableConfig(callbacks=run_manager.get_child())
        question = rewrite(self.llm, query, chat_history, config).question
        k = self.k if k is None else checked_k(k)
        return ask(self.retriever, question, k=k, filter=filter, callbacks=run_manager.get_child())

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        chat_history: Sequence[BaseMessage] = (),
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        config = RunnableConfig(callbacks=run_manager.get_child())
        question = (await arewrite(self.llm, query, chat_history, config)).question
        k = self.k if k is None else checked_k(k)
        return await aask(self.retriever, question, k=k, filter=filter, callbacks=run_manager.get_child())
