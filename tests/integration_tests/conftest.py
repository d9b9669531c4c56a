"""The real demo model and the sample handbook, loaded once for all integration tests."""

from importlib.resources import files
from pathlib import Path

import pytest

from langchain_gptoss import ChatGptOss, FaissStore, index_documents


@pytest.fixture(scope="session")
def demo_llm() -> ChatGptOss:
    """The demo model from the user's own cache, fetched on first use."""
    return ChatGptOss(model="demo")


@pytest.fixture(scope="session")
def handbook_store() -> FaissStore:
    """The sample handbook, English and French, under the demo embedding model."""
    return index_documents(Path(str(files("langchain_gptoss") / "samples" / "handbook")))
