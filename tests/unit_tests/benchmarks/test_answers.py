"""The benchmark of answers: its cache asks nothing twice, and its figures count what they say."""

import importlib
import json

import pytest
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage

from langchain_gptoss.chatbot import ChatbotOutput
from langchain_gptoss.chatbot.types import CheckedClaim
from langchain_gptoss.evals import GoldSpan, Question
from tests import ROOT
from tests.unit_tests.chatbot.fakes import FixedRetriever, build_model

QUESTION = Question(text="When was the mill built?", answerable=True, gold=(GoldSpan(text="in 1904"),))


@pytest.fixture(scope="module")
def modules():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield importlib.import_module("answer_cache"), importlib.import_module("answer_figures")


def create_output(*claims, answer=""):
    checked = [CheckedClaim(claim=text, verdict=verdict, score=0.9, reason="") for text, verdict in claims]
    return ChatbotOutput(answer=answer, claims=checked)


def test_the_model_is_asked_once_for_each_prompt(modules, tmp_path):
    cache, _ = modules
    model = build_model("In 1904.", "In 1950.")

    def ask(question):
        cached = cache.CachedModel(lambda: model, tmp_path / "texts.jsonl")
        return "".join(str(chunk.text) for chunk in cached.stream([HumanMessage(question)]))

    assert [ask(question) for question in ("mill?", "bridge?", "mill?")] == ["In 1904.", "In 1950.", "In 1904."]
    assert len(model.prompts) == 2
    cached = cache.CachedModel(lambda: model, tmp_path / "texts.jsonl")
    assert cached.invoke([HumanMessage("bridge?")]).text == "In 1950."
    assert len(model.prompts) == 2


def test_the_retriever_is_asked_once_for_each_question(modules, tmp_path):
    cache, _ = modules
    retriever = FixedRetriever(documents=[Document("The mill was built in 1904.", metadata={"source": "a"})])
    for _ in range(2):
        cached = cache.CachedRetriever(lambda: retriever, tmp_path / "documents.jsonl")
        assert cached.invoke("mill?") == retriever.documents
    assert retriever.queries == ["mill?"]


@pytest.mark.parametrize(
    ("text", "has_gold"),
    [("Built IN 1904.", True), ("It was built in the 1904.", True), ("In 19041.", False), ("1904", False)],
)
def test_a_gold_answer_is_found_whatever_its_case_and_articles(modules, text, has_gold):
    _, figures = modules
    assert figures.has_gold(QUESTION, text) is has_gold


def test_figures_tell_what_the_model_wrote_from_what_was_shown(modules):
    _, figures = modules
    outputs = [
        create_output(("It was built in 1904.", "supported"), answer="It was built in 1904. [1]"),
        create_output(("It was built in 1904.", "partly"), answer="I could not find this."),
        create_output(("It was built in 1950.", "supported"), answer="It was built in 1950. [1]"),
    ]
    values = figures.summarize_texts([QUESTION] * 3, outputs)
    shares = {name: (share["hits"], share["total"]) for name, share in values.items()}
    assert shares == {
        "gold_in_answer": (1, 3),
        "model_right": (2, 3),
        "right_refused": (1, 2),
        "supported_right": (1, 2),
    }


def test_the_judgements_of_our_own_questions_are_of_these_questions(modules):
    _, figures = modules
    folder = ROOT / "benchmarks" / "own_questions"
    asked, judged = (
        [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]
        for name in ("questions.jsonl", "judgements.jsonl")
    )
    known = {(row["question"], row["answerable"]) for row in asked}
    assert {(row["question"], row["answerable"]) for row in judged} <= known
    assert not any(row["is_right"] and not row["answerable"] for row in judged)
    shares = figures.summarize_judgements(folder / "judgements.jsonl")
    assert {name: (share["hits"], share["total"]) for name, share in shares.items()} == {
        "supported_true": (54, 54),
        "right_refused": (5, 59),
        "declined_rightly": (33, 34),
        "declined_by_mistake": (5, 66),
    }
