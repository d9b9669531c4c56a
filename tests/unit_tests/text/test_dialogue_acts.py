"""Small talk and questions about the documents as a whole, and the questions that only look like them."""

import pytest

from langchain_gptoss.text.dialogue_acts import detect_dialogue_act, remove_courtesies

ACTS = {
    ("greeting", "en"): ["Hello", "hi there!", "Good morning", "Hello how are you?", "Hey, how's it going?"],
    ("greeting", "fr"): ["Bonjour", "bonjour à tous !", "Salut, ça va ?", "Bonjour, comment allez-vous ?", "BONSOIR."],
    ("thanks", "en"): ["Thanks!", "Thank you very much for your help.", "Great, thanks!", "ok"],
    ("thanks", "fr"): ["Merci", "Merci beaucoup pour votre aide !", "Ok merci", "Bonjour. Merci."],
    ("farewell", "en"): ["Bye!", "Thanks, goodbye", "See you later"],
    ("farewell", "fr"): ["Au revoir", "Merci, au revoir.", "À bientôt !", "Bonne journée"],
    ("identity", "en"): ["Who are you?", "Hello, what can you do?", "Are you a bot?", "Can you help me, please?"],
    ("identity", "fr"): ["Qui êtes-vous ?", "Bonjour, qui es-tu ?", "Que peux-tu faire ?", "Pouvez-vous m’aider ?"],
    ("overview", "en"): [
        "What is in here?",
        "What's in these documents?",
        "What are these documents about?",
        "Which documents do you have?",
        "What topics do you cover?",
        "Summarise this document",
    ],
    ("overview", "fr"): [
        "De quoi parle ce document ?",
        "De quoi parlent ces documents ?",
        "Qu'est-ce qu'il y a dans ces documents ?",
        "Quels documents avez-vous ?",
        "Bonjour, que contiennent ces fichiers ?",
    ],
}
QUESTIONS = [
    "Bonjour, quel est le délai de retour ?",
    "Merci, et pour les livres ?",
    "Hello, how long do I have?",
    "Au revoir, et comment retourner un produit ?",
    "Merci de me dire le prix",
    "Thanks to whom was it built?",
    "What is in the box?",
    "What does the warranty cover?",
    "What does express delivery cost?",
    "Who are your customers?",
    "de quoi parle l'article 5 ?",
    "Help with returns",
    "Is there a thank you gift?",
    "Quels documents faut-il fournir ?",
    "Which documents are required?",
    "How do you work with suppliers?",
    "Ça va coûter combien ?",
    "Hello Kitty bags?",
    "Aide au logement : quelles conditions ?",
    "",
    "?!",
    "Bonjour " * 100,
]


@pytest.mark.parametrize(
    ("kind", "language", "message"), [(*act, message) for act, messages in ACTS.items() for message in messages]
)
def test_small_talk_and_questions_about_the_documents_are_known(kind, language, message):
    act = detect_dialogue_act(message)
    assert act is not None
    assert (act.kind, act.language, act.topic) == (kind, language, "")


@pytest.mark.parametrize("message", QUESTIONS)
def test_questions_are_no_small_talk(message):
    assert detect_dialogue_act(message) is None


@pytest.mark.parametrize(
    ("message", "language", "topic"),
    [
        ("Summarise the returns page", "en", "the returns page"),
        ("Can you summarize returns.md, please?", "en", "returns.md"),
        ("Give me a short summary of the warranty document", "en", "the warranty document"),
        ("What does the warranty page say?", "en", "the warranty page"),
        ("Résume la page des retours", "fr", "la page des retours"),
        ("Pouvez-vous me faire un résumé de la page garantie, s'il vous plaît ?", "fr", "la page garantie"),
        ("Peux-tu résumer ce document ?", "fr", ""),
    ],
)
def test_document_to_summarize_is_found(message, language, topic):
    act = detect_dialogue_act(message)
    assert act is not None
    assert (act.kind, act.language, act.topic) == ("summary", language, topic)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Bonjour, quel est le délai de retour ?", "quel est le délai de retour ?"),
        ("bonjour quel est le prix", "quel est le prix"),
        ("Merci beaucoup ! Et pour les livres ?", "Et pour les livres ?"),
        ("Hi there! OK, thanks. How much is it?", "How much is it?"),
        ("Merci de me dire le prix", "Merci de me dire le prix"),
        ("Hello Kitty bags?", "Hello Kitty bags?"),
        ("Hi-fi prices?", "Hi-fi prices?"),
        ("Bonjour", "Bonjour"),
    ],
)
def test_courtesies_before_a_question_are_removed(question, expected):
    assert remove_courtesies(question) == expected
