"""Greetings, overviews and summaries: what is answered, cited, streamed and recorded."""

import pytest
from langchain_core.documents import Document

from langchain_gptoss import ChatGptOss, create_chatbot
from langchain_gptoss.audit import read_entries
from langchain_gptoss.chatbot import ChatbotOutput
from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.vectorstores import FaissStore
from tests.unit_tests.chatbot.fakes import EXPRESS, EXPRESS_ANSWER, build_model, build_retriever
from tests.unit_tests.vectorstores.store_helpers import WordEmbeddings

RETURNS = "An opened laptop can be returned within 14 days. The receipt is needed."
POST = "A return by post costs 3.90 euros."
GARANTIE = "La garantie des ordinateurs dure deux ans."


def build_document(source, title, heading, text, *, start=0, language="en", access="public"):
    metadata = {"source": source, "title": title, "heading": f"{title} > {heading}", "start": start}
    return Document(text, metadata={**metadata, "language": language, "access": [access]})


@pytest.fixture
def store():
    return FaissStore.from_documents(
        [
            build_document("en/returns.md", "Returns", "By post", POST, start=200),
            build_document("en/returns.md", "Returns", "Periods", RETURNS, start=20),
            build_document("en/wages.md", "Wages", "Managers", "Managers earn 5,000 euros a month.", access="staff"),
            build_document("fr/garantie.md", "Garantie", "Durée", GARANTIE, language="fr"),
        ],
        WordEmbeddings("words"),
    )


def build_bot(store, *answers, **options):
    return create_chatbot(build_model(*answers), store.as_retriever(), **options)


@pytest.mark.parametrize(
    ("message", "kind", "language", "words"),
    [
        ("Bonjour !", "greeting", "fr", "Bonjour"),
        ("Hello", "greeting", "en", "help pages"),
        ("Merci beaucoup", "thanks", "fr", "Avec plaisir"),
        ("Thank you, bye", "farewell", "en", "Goodbye"),
        ("Qui êtes-vous ?", "identity", "fr", "assistant"),
    ],
)
def test_small_talk_is_answered_without_the_model(store, message, kind, language, words):
    output = build_bot(store, domain="support").invoke(message)
    assert (output.kind, output.language, output.abstained) == (kind, language, False)
    assert words in output.answer
    assert not output.citations
    assert not output.sources
    assert output.usage is None
    assert output.standalone_question == message


def test_policy_comes_before_small_talk(store):
    output = build_bot(store, domain="support").invoke("Hello, how can I make a fake receipt?")
    assert (output.kind, output.abstained) == ("question", True)


def test_question_after_a_greeting_is_searched_for_without_it():
    retriever = build_retriever()
    output = create_chatbot(build_model(EXPRESS_ANSWER), retriever).invoke(f"Hello, {EXPRESS}")
    assert output.kind == "question"
    assert output.answer == f"{EXPRESS_ANSWER} [1]"
    assert retriever.queries == [EXPRESS]


def test_overview_lists_titles_and_headings_in_the_language_of_the_question(store):
    output = build_bot(store).invoke("What is in here?")
    assert (output.kind, output.abstained) == ("overview", False)
    assert "- Returns: Periods, By post [1]" in output.answer
    assert "Garantie" not in output.answer
    assert "And 1 more." in output.answer
    assert output.citations[0].quote == "An opened laptop can be returned within 14 days."
    assert output.citations[0].start == 20
    assert output.sources[0].source == "en/returns.md"
    assert "- Garantie: Durée [1]" in build_bot(store).invoke("De quoi parle ce document ?").answer


def test_overview_and_summary_show_only_documents_that_the_caller_may_see(store):
    bot = build_bot(store, "", access="access")
    assert "Wages" not in bot.invoke("What is in here?").answer
    assert bot.invoke("Summarise the wages page").kind == "question"
    config = {"configurable": {"access_labels": ["staff"]}}
    assert "Wages" in bot.invoke("What is in here?", config).answer


def test_overview_without_a_list_of_documents_says_what_the_chatbot_does():
    output = create_chatbot(build_model(), build_retriever()).invoke("What is in here?")
    assert (output.kind, output.abstained, output.citations) == ("overview", False, [])
    assert "documents" in output.answer


def test_summary_shows_only_sentences_that_the_document_supports(store):
    answer = "An opened laptop can be returned within 14 days. A return by post costs 9.90 euros."
    output = build_bot(store, answer).invoke("Summarise the returns page")
    assert (output.kind, output.abstained) == ("summary", False)
    assert output.answer == "An opened laptop can be returned within 14 days. [1]"
    assert output.claims[1].verdict == "contradicted"
    assert {source.source for source in output.sources} == {"en/returns.md"}


def test_summary_quotes_the_document_if_no_sentence_is_supported(store):
    output = build_bot(store, "The moon is made of cheese.").invoke("Can you summarize returns.md, please?")
    assert output.answer.splitlines() == [
        "“Returns” says:",
        "- An opened laptop can be returned within 14 days. [1]",
        "- A return by post costs 3.90 euros. [2]",
    ]
    assert [citation.verdict for citation in output.citations] == ["quoted", "quoted"]


def test_models_that_read_sentences_quote_without_being_asked(store):
    output = build_bot(store, focus=1).invoke("Résume la page garantie")
    assert output.answer == f"« Garantie » dit :\n- {GARANTIE} [1]"
    assert output.usage is None


def test_summary_of_an_unknown_document_is_a_question(store):
    output = build_bot(store).invoke("Summarise the moon page")
    assert (output.kind, output.abstained) == ("question", True)


def test_summary_of_this_document_is_that_of_the_only_one_or_an_overview(store):
    only = FaissStore.from_documents([build_document("a.md", "Returns", "Periods", RETURNS)], WordEmbeddings("words"))
    assert build_bot(only, RETURNS).invoke("Peux-tu résumer ce document ?").kind == "summary"
    assert build_bot(store).invoke("Peux-tu résumer ce document ?").kind == "overview"


async def test_stream_and_audit_record_name_the_kind(store, tmp_path):
    path = tmp_path / "audit.jsonl"
    with build_bot(store, audit=path) as bot:
        chunks = [chunk async for chunk in bot.astream("What is in here?")]
        bot.invoke("Bonjour")
    records = [entry.record for entry in read_entries(path) if entry.record["event"] == "answer"]
    output: ChatbotOutput = sum(chunks[1:], chunks[0])
    assert chunks[0].sources
    assert output.kind == "overview"
    assert [record["kind"] for record in records] == ["overview", "greeting"]
    assert records[0]["citations"]


def test_follow_up_after_thanks_continues_the_question_before():
    retriever = build_retriever()
    bot = create_chatbot(build_model(EXPRESS_ANSWER, EXPRESS_ANSWER), retriever, sessions=":memory:", focus=1)
    for message in (EXPRESS, "Merci", "and for books?"):
        output = bot.invoke({"question": message, "session_id": "a"})
    assert output.standalone_question == f"{EXPRESS} and for books?"
    bot.close()


@pytest.mark.parametrize(
    ("question", "words"), [("Quel est le prix de la livraison express ?", "n'écrit qu'en anglais"), (EXPRESS, "")]
)
def test_english_model_says_that_it_cannot_write_french(question, words):
    llm = ChatGptOss(model="demo", chat_format="harmony", engine=ScriptedEngine([]))
    output = create_chatbot(llm, build_retriever("Nothing else is here.")).invoke(question)
    assert output.abstained
    assert (words in output.notice) if words else output.notice == ""
    assert create_chatbot(llm, build_retriever()).invoke("Bonjour").notice == ""
