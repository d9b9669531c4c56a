"""A LangChain loader for tests of foreign loaders."""

from pathlib import Path

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document


class LineLoader(BaseLoader):
    """A loader of another package: one document per line, with little metadata."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lazy_load(self):
        for number, line in enumerate(self.path.read_text().splitlines()):
            yield Document(page_content=line, metadata={"source": str(self.path), "line": number})
