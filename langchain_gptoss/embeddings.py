"""`load_embeddings()`: picks a sentence-transformers model and configures LangChain's own `HuggingFaceEmbeddings`."""

from langchain_core.embeddings import Embeddings

from langchain_gptoss._optional import require
from langchain_gptoss._progress import without_transformers_bars
from langchain_gptoss.models.demo import demo_embeddings


def load_embeddings(name: str | None = None) -> Embeddings:
    """Returns embeddings that run on this machine, with vectors of length 1.

    Args:
        name: A folder or a hub id of a sentence-transformers model. Without it, the demo embedding model
            (all-MiniLM-L6-v2, English, 384 dimensions), which is fetched once and then works offline.

    Raises:
        DownloadError: The demo embedding model is not cached and cannot be fetched.
        MissingDependencyError: The extra `rag` is not installed.
    """
    require("sentence_transformers", extra="rag")
    model = name or str(demo_embeddings())
    with without_transformers_bars():
        embeddings: Embeddings = require("langchain_huggingface", extra="rag").HuggingFaceEmbeddings(
            model_name=model, encode_kwargs={"normalize_embeddings": True}
        )
    return embeddings
