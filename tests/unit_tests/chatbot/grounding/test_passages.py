"""Passages: ranking of their sentences by words and embeddings."""

import pytest
from langchain_core.documents import Document

from langchain_gptoss.chatbot.grounding.passages import (
    collect_passages,
    collect_spans,
    estimate_likelihoods,
    rank_spans,
)
from tests.unit_tests.chatbot.grounding.helpers import DOCUMENTS, EXPRESS, create_passages


def test_spans_are_ranked_and_likelihoods_sum_to_1():
    passages = create_passages(0.5, 0.4, 0.3)
    assert rank_spans([(EXPRESS, 1.0)], passages, None)[0][0].text.startswith("Express delivery costs 12.90")
    likelihoods = estimate_likelihoods(EXPRESS, collect_spans(passages))
    assert sum(likelihoods) == pytest.approx(1)
    assert max(likelihoods) == likelihoods[1]
    assert estimate_likelihoods(EXPRESS, []) == []


def test_only_the_best_sentences_are_embedded():
    class RecordingEmbeddings:
        def __init__(self):
            self.texts = []

        def embed_documents(self, texts):
            self.texts += texts
            return [[1.0, 0.0] if "return" in text else [0.0, 1.0] for text in texts]

        def embed_query(self, text):
            return [1.0, 0.0]

    long = (
        " ".join(f"Delivery number {n} costs {n} euros." for n in range(200)) + " Laptops can be returned for a cost."
    )
    embeddings = RecordingEmbeddings()
    ranked = rank_spans([("What does a return cost?", 1.0)], create_passages(texts=[long]), embeddings)
    assert len(embeddings.texts) <= 8
    assert ranked[0][0].text.startswith("Laptops")
    assert len(ranked) == 201


def test_spans_are_ranked_by_words_without_embeddings():
    ranked = rank_spans([(EXPRESS, 1.0)], collect_passages(DOCUMENTS, limit=4), None, limit=2)
    assert ranked[0][0].text.startswith("Express delivery costs")
    assert ranked[0][1] > ranked[1][1]


def test_passages_know_if_they_are_quoted_in_an_email():
    documents = [Document(page_content="own"), Document(page_content="old", metadata={"quoted": "reply"})]
    assert [passage.quoted for passage in collect_passages(documents, limit=5)] == ["", "reply"]
    same = [Document(page_content="own", metadata={"quoted": "reply"}), *documents]
    assert [(passage.text, passage.quoted) for passage in collect_passages(same, limit=5)] == [
        ("own", "reply"), ("own", ""), ("old", "reply"),
    ]  # fmt: skip
