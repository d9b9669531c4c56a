"""What does not change between two runs of `answers.py`: retrieved documents, and the model's texts.

Documents are stored by question, and the model's text by its whole prompt. So a run with another check of the answers
asks the model nothing, and a run with another prompt searches nothing.
"""

import json
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models.chat_models import BaseChatModel, generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from pydantic import PrivateAttr

_KEY_LETTERS = 20


class JsonLinesCache:
    """A dictionary whose entries are appended to a file.

    Args:
        file: The file; it is created with the first entry.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        self._entries: dict[str, Any] = {entry["key"]: entry["value"] for entry in map(json.loads, lines)}

    def get(self, key: str) -> Any:
        """Return a value, None if there is none."""
        return self._entries.get(key)

    def add(self, key: str, value: Any) -> None:
        """Store a value and write it to the file."""
        with self._lock:
            self._entries[key] = value
            with self._file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"key": key, "value": value}, ensure_ascii=False) + "\n")


class CachedModel(BaseChatModel):
    """A chat model that keeps its texts in a file, by the text of the prompt. Several threads may use it.

    Args:
        load: Returns the real model; called when the first prompt is not in the file.
        file: The file.
        options: The fields of a chat model.
    """

    _load: Callable[[], BaseChatModel] = PrivateAttr()
    _model: BaseChatModel | None = PrivateAttr(default=None)
    _texts: JsonLinesCache = PrivateAttr()
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, load: Callable[[], BaseChatModel], file: Path, **options: Any) -> None:
        super().__init__(**options)
        self._load = load
        self._texts = JsonLinesCache(file)

    @property
    def _llm_type(self) -> str:
        return "cached"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        prompt = json.dumps([(message.type, str(message.text)) for message in messages])
        key = sha256(prompt.encode()).hexdigest()[:_KEY_LETTERS]
        text = self._texts.get(key)
        if text is None:
            text = str(self._get_model().invoke(messages).text)
            self._texts.add(key, text)
        yield ChatGenerationChunk(message=AIMessageChunk(content=text, chunk_position="last"))

    def _get_model(self) -> BaseChatModel:
        with self._lock:
            if self._model is None:
                self._model = self._load()
            return self._model


class CachedRetriever(BaseRetriever):
    """A retriever that keeps its documents in a file, by question.

    Args:
        build: Returns the real retriever; called when the first question is not in the file.
        file: The file.
        options: The fields of a retriever.
    """

    _build: Callable[[], BaseRetriever] = PrivateAttr()
    _retriever: BaseRetriever | None = PrivateAttr(default=None)
    _documents: JsonLinesCache = PrivateAttr()
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, build: Callable[[], BaseRetriever], file: Path, **options: Any) -> None:
        super().__init__(**options)
        self._build = build
        self._documents = JsonLinesCache(file)

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        with self._lock:
            found = self._documents.get(query)
            if found is None:
                if self._retriever is None:
                    self._retriever = self._build()
                found = [[document.page_content, document.metadata] for document in self._retriever.invoke(query)]
                self._documents.add(query, found)
        return [Document(page_content=text, metadata=dict(metadata)) for text, metadata in found]
