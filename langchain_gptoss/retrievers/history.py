"""Retrieval with a conversation: a follow-up question is completed before it is searched for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import (
    Callbacks,
)
from langchain_core.documents import Document
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from langchain_gptoss._flow import Flow, run_flow
from langchain_gptoss.retrievers.adapters import AnyRetriever, Count, check_k, query_retriever
from langchain_gptoss.retrievers.flow_retriever import FlowRetriever
from langchain_gptoss.retrievers.query_rewriting import (
    HistoryInput,
    RewrittenQuestion,
    read_input,
    rewrite_question,
)
from langchain_gptoss.vectorstores.filters import Filter


class HistoryAwareRetriever(FlowRetriever):
    """Completes a follow-up question, such as "And for express?", from the conversation before searching for it.

    `invoke` takes a question, or a question with the conversation before it:
    `{"question": "And for express?", "chat_history": [HumanMessage(...), AIMessage(...)]}`. Without a conversation the
    question is searched for as it is, and the model is not called. If the model's question is empty, too long, in
    another language, about something else or only repeats a follow-up, the follow-up is searched for together with the
    question that it follows, and a question that can be understood alone as it is.

    Attributes:
        retriever: A vector store, a retriever or a Runnable from a query to documents.
        llm: Chat model that completes the question.
        k: Maximum number of documents; None leaves it to the retriever.
    """

    retriever: AnyRetriever
    llm: BaseChatModel
    k: Count | None = None

    @property
    def InputType(self) -> Any:  # noqa: N802 (LangChain's name)
        """The input type of `invoke`."""
        return str | HistoryInput

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:
        """Return the documents for a question, or for a question with the conversation before it.

        Args:
            input: The question, or a `HistoryInput`.
            config: The config of the run, as for every Runnable.
            **kwargs: `k` and `filter`.

        Raises:
            InvalidInputError: The question is missing or empty.
        """
        question, history = read_input(input)
        return super().invoke(question, config, chat_history=history, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:
        """Async version of `invoke`."""
        question, history = read_input(input)
        return await super().ainvoke(question, config, chat_history=history, **kwargs)

    def rewrite_question(self, input: str | HistoryInput) -> RewrittenQuestion:
        """Return the question that would be searched for, and the reason.

        Raises:
            InvalidInputError: The question is missing or empty.
        """
        question, history = read_input(input)
        return run_flow(rewrite_question(self.llm, question, history, RunnableConfig()))

    def _retrieve(
        self,
        query: str,
        *,
        callbacks: Callbacks,
        k: int | None = None,
        filter: Filter | None = None,
        chat_history: Sequence[BaseMessage] = (),
    ) -> Flow[list[Document]]:
        rewritten = yield from rewrite_question(self.llm, query, chat_history, RunnableConfig(callbacks=callbacks))
        k = self.k if k is None else check_k(k)
        documents = yield from query_retriever(
            self.retriever, rewritten.question, k=k, filter=filter, callbacks=callbacks
        )
        return documents
