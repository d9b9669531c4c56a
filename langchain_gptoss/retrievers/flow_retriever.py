"""Base class of retrievers whose search is written once, as a flow."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun, Callbacks
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from langchain_gptoss._flow import Flow, arun_flow, run_flow
from langchain_gptoss.vectorstores.filters import Filter


class FlowRetriever(BaseRetriever):
    """Retriever that runs the same flow for `invoke` and `ainvoke`.

    Both pass the options of the call, such as `k` and `filter`, to `_retrieve`.
    """

    @abstractmethod
    def _retrieve(
        self, query: str, *, callbacks: Callbacks, k: int | None = None, filter: Filter | None = None
    ) -> Flow[list[Document]]:
        """Return the documents for a query, best first.

        Args:
            query: The query.
            callbacks: Callbacks for the runs of other retrievers and models.
            k: Maximum number of documents; None means the number that the retriever was made with.
            filter: Condition on the documents' metadata, in addition to the retriever's own.
        """

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return run_flow(self._retrieve(query, callbacks=run_manager.get_child(), **options))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return await arun_flow(self._retrieve(query, callbacks=run_manager.get_child(), **options))
