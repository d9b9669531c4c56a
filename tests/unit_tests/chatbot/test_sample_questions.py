"""Sample questions: made from sentences and headings, and only those that the documents answer."""

import pytest
from langchain_core.documents import Document

from langchain_gptoss import create_chatbot
from langchain_gptoss.chatbot.sample_questions import suggest_questions
from langchain_gptoss.serve.page_samples import SampleQuestions
from langchain_gptoss.vectorstores import FaissStore
from tests.unit_tests.chatbot.fakes import build_model, build_retriever
from tests.unit_tests.vectorstores.store_helpers import WordEmbeddings

TEXTS = {
    "prices.md": ("en", "Delivery", "Express delivery costs 12.90 euros. It takes one day."),
    "returns.md": ("en", "Returns", "An opened laptop can be returned within 14 days. A refund takes seven days."),
    "livraison.md": ("fr", "Livraison", "La livraison express coûte 12,90 euros et prend un jour ouvré."),
    "retours.md": ("fr", "Retours", "Un téléphone ouvert peut être retourné dans les 14 jours."),
}


def build_settings(*, access=None, **options):
    documents = [
        Document(
            text,
            metadata={"source": source, "title": title, "heading": title, "language": language, "access": ["public"]},
        )
        for source, (language, title, text) in TEXTS.items()
    ]
    documents.append(
        Document(
            "A secret ticket costs 5 euros.",
            metadata={"source": "staff.md", "title": "Staff", "language": "en", "access": ["staff"]},
        )
    )
    store = FaissStore.from_documents(documents, WordEmbeddings("words", 512))
    return create_chatbot(build_model(), store.as_retriever(), access=access, **options).settings


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", ["How much does express delivery cost?", "Within what time can an opened laptop be returned?"]),
        ("fr", ["Combien coûte la livraison express ?", "Dans quel délai un téléphone ouvert peut-il être retourné ?"]),
    ],
)
def test_questions_come_from_several_documents_in_the_language(language, expected):
    assert suggest_questions(build_settings(access="access"), language=language, count=2) == expected


def test_questions_of_the_domain_that_are_not_answered_are_left_out():
    settings = build_settings(domain="support", access="access")
    questions = suggest_questions(settings, language="en")
    assert "How much does express delivery cost?" in questions
    assert "How do I cancel my subscription?" not in questions
    assert suggest_questions(settings, language="en", quotes_documents=False) == []


def test_documents_with_labels_give_no_questions():
    questions = suggest_questions(build_settings(access="access"), language="en", count=9)
    assert questions
    assert not any("secret" in question for question in questions)


def test_no_questions_without_a_list_of_documents():
    assert suggest_questions(create_chatbot(build_model(), build_retriever()).settings, language="en") == []


async def test_page_finds_questions_once(monkeypatch):
    calls = []

    def suggest(settings, **options):
        calls.append(options)
        if options["language"] == "fr":
            raise OSError("no index")
        return ["How much?"]

    monkeypatch.setattr("langchain_gptoss.serve.page_samples.suggest_questions", suggest)
    monkeypatch.setattr("langchain_gptoss.serve.page_samples._MAX_WAIT_S", 60.0)
    samples = SampleQuestions(build_settings(), quotes_documents=False)
    assert [await samples.get("en"), await samples.get("en"), await samples.get("fr")] == [["How much?"]] * 2 + [[]]
    assert calls == [
        {"language": "en", "quotes_documents": False},
        {"language": "fr", "quotes_documents": False},
    ]
