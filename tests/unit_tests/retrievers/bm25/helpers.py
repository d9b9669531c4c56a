"""Documents and texts for the tests of BM25."""

import random

from langchain_core.documents import Document

from langchain_gptoss.retrievers import BM25Retriever

DOCUMENTS = [
    Document(id="a", page_content="Express shipping costs 12.90 euros.", metadata={"year": 2023, "source": "ship.md"}),
    Document(
        id="b", page_content="Standard shipping is free above 50 euros.", metadata={"year": 2024, "source": "ship.md"}
    ),
    Document(
        id="c", page_content="Returned goods are refunded within 14 days.", metadata={"year": 2024, "source": "back.md"}
    ),
    Document(id="d", page_content="The shop in Lyon is open on Saturdays; shipping is not done there.", metadata={}),
]


def create_retriever(**options) -> BM25Retriever:
    """Return a retriever of `DOCUMENTS`."""
    return BM25Retriever.from_documents(DOCUMENTS, language="en", **options)


def make_texts(count: int, seed: int) -> list[str]:
    """Return texts of 1 to 40 random words; equal seeds give equal texts."""
    chooser = random.Random(seed)
    return [" ".join(chooser.choices([f"w{n}" for n in range(30)], k=chooser.randint(1, 40))) for _ in range(count)]
