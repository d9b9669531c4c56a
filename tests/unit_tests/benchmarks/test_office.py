"""The questions about office files: they fit the files, and the benchmark judges answers as it says."""

import importlib

import pytest

from langchain_gptoss.chatbot import ChatbotOutput, Citation
from langchain_gptoss.ingest import load_documents
from tests import ROOT

pytest.importorskip("openpyxl")
pytest.importorskip("pptx")


@pytest.fixture(scope="module")
def office():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield importlib.import_module("office")


def create_output(*citations):
    return ChatbotOutput(answer=" ".join(citation.claim for citation in citations), citations=list(citations))


def create_citation(claim, *, verdict="supported", source="en/hours.html", quote="- Place: Shop; Saturday: 9:00-17:30"):
    return Citation(number=1, claim=claim, verdict=verdict, source=source, start=0, end=len(quote), quote=quote)


@pytest.fixture
def question(office):
    return office.OfficeQuestion(
        language="en",
        file="hours.html",
        question="When does the shop close on Saturday?",
        facts=["17:30|5:30 pm"],
        row=["Shop", "Saturday"],
        wrong=["18:00"],
    )


def test_there_are_sixty_questions_about_twenty_files(office, tmp_path):
    office.write_files(tmp_path)
    files = {(path.parent.name, path.name) for path in tmp_path.glob("*/*")}
    questions = office.read_questions()
    assert len(files) == 20
    assert {(question.language, question.file) for question in questions} == files
    assert len({question.question for question in questions}) == len(questions) == 60
    assert all(question.facts and question.row for question in questions)


@pytest.mark.filterwarnings(
    "ignore::langchain_gptoss.errors.DocumentWarning"
)  # of the files that are faulty on purpose
def test_every_file_is_read(office, tmp_path):
    pytest.importorskip("pypdfium2")
    office.write_files(tmp_path)
    skipped = []
    documents = load_documents(tmp_path, on_skip=skipped.append)
    assert skipped == []
    assert len({document.metadata["source"] for document in documents}) == 20


def test_no_wrong_value_is_among_the_facts(office):
    for question in office.read_questions():
        forms = [form for fact in question.facts for form in fact.split("|")]
        assert not any(office.has_phrase(office.normalize(form), value) for form in forms for value in question.wrong)


@pytest.mark.parametrize(
    ("text", "phrase", "expected"),
    [
        ("the fee is 85 euros", "85", True),
        ("the fee is 185 euros", "85", False),
        ("the fee is 850 euros", "85", False),
        ("185 euros, then 85", "85", True),
        ("l'étage", "étage", True),
        ("12 €", "€", True),
    ],
)
def test_a_phrase_is_not_found_inside_of_a_longer_word_or_number(office, text, phrase, expected):
    assert office.has_phrase(text, phrase) is expected


@pytest.mark.parametrize(
    ("citation", "expected"),
    [
        (create_citation("The shop closes at 5:30 PM."), True),
        (create_citation("The shop closes at 18:00."), False),
        (create_citation("-", verdict="quoted"), True),
        (create_citation("The shop closes at 17:30.", source="en/other.html"), False),
        (create_citation("The shop closes at 17:30.", quote="- Place: Desk; Saturday: 9:00-17:30"), False),
        (create_citation("-", verdict="quoted", quote="- Place: Shop; Saturday: 9:00-18:00"), False),
    ],
)
def test_an_answer_is_right_if_the_right_row_states_the_fact(office, question, citation, expected):
    assert office.is_right(citation, question) is expected


@pytest.mark.parametrize(
    ("citations", "expected"),
    [
        ([create_citation("The shop closes at 17:30.")], False),
        ([create_citation("The shop closes at 18:00.")], True),
        ([create_citation("The shop is by the lake.")], True),
        ([create_citation("The shop closes at 17:30."), create_citation("It opens at 9:00.")], False),
        ([create_citation("The shop closes at 17:30."), create_citation("It closes at 18:00.")], True),
        ([create_citation("The shop closes at 18:00.", verdict="quoted")], False),
        ([], False),
    ],
)
def test_an_answer_is_wrong_if_another_value_is_shown_as_supported(office, question, citations, expected):
    assert office.is_wrong(create_output(*citations), question) is expected
