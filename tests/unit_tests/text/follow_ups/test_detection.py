"""Follow-ups are recognised, and complete questions are not taken for them."""

import json
import os
from pathlib import Path

import pytest

from langchain_gptoss.text.follow_ups import find_antecedent, is_follow_up, may_be_follow_up

DATA = Path(__file__).parent / "data"
# Folder of the public question sets that the benchmarks read.
QUESTION_SETS = Path(os.environ.get("QUESTION_SETS", "question-sets"))
PREVIOUS = "How much does standard delivery cost?"


def read_lines(name: str) -> list[str]:
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_follow_ups_are_found():
    pairs = [line.split(" | ") for line in read_lines("follow_ups.txt")]
    missed = [question for previous, question in pairs if not is_follow_up(question, [previous])]
    assert len(pairs) >= 100
    assert len(missed) <= 0.05 * len(pairs), missed


def test_complete_questions_are_no_follow_ups():
    questions = read_lines("complete_questions.txt")
    wrong = [question for question in questions if is_follow_up(question, [PREVIOUS])]
    assert len(questions) >= 100
    assert len(wrong) <= 0.03 * len(questions), wrong


@pytest.mark.parametrize(("name", "limit"), [("piaf-v1.1.json", 0.04), ("squad2-dev-cs224n.json", 0.02)])
def test_few_questions_of_public_sets_are_taken_for_follow_ups(name, limit):
    """Most of the questions that are found have a pronoun that only their passage explains."""
    path = QUESTION_SETS / name
    if not path.exists():
        pytest.skip("the question sets are not here")
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    questions = [each["question"] for article in articles for part in article["paragraphs"] for each in part["qas"]]
    assert sum(map(is_follow_up, questions)) <= limit * len(questions)


@pytest.mark.parametrize(
    ("complete", "follow_up"),
    [
        ("When did Ada Lovelace die and where was she born?", "When did she die?"),
        ("Is it possible to return a laptop?", "Is it possible?"),
        ("How long does it take to ship a parcel?", "How long does it take?"),
        ("Why is the sky blue?", "Why is that?"),
        ("Who said that the museum is closed?", "Who said that?"),
        ("Are there showers at the pool?", "How do I get there?"),
        ("Which country lost its independence?", "What are its neighbours?"),
        ("Who sold his company?", "Who is his father?"),
        ("What is the difference between a router and a switch?", "What is the difference?"),
        ("Le musée est-il ouvert ?", "Est-il ouvert ?"),
        ("Le musee est il ouvert ?", "Est il ouvert ?"),
        ("Où Mozart est-il né ?", "Où est-il né ?"),
        ("Faut-il un visa pour la Chine ?", "Faut-il le déclarer ?"),
        ("Y a-t-il un parking à Namur ?", "Y en a-t-il à Namur ?"),
        ("Combien coûte-t-il de refaire un passeport ?", "Combien coûte-t-il ?"),
        ("Est-il possible de rendre un colis ?", "Est-il possible ?"),
        ("Peut-on voyager en France en hiver ?", "Peut-on en acheter ?"),
        ("Ou se trouve la gare de Lyon ?", "Ou le dimanche ?"),
        ("Comment protéger sa vie privée ?", "Quelle est sa durée ?"),
        ("C'est quoi le RGPD ?", "C'est gratuit ?"),
        ("Est-ce que c'est l'employeur qui paie ?", "Est-ce que ça coûte cher ?"),
        ("Comment le maire est-il élu ?", "Comment le rendre ?"),
        ("Qui peut consulter le dossier médical ?", "Qui peut le consulter ?"),
        ("Que risque un employeur s'il ne paie pas ?", "Que risque-t-il ?"),
        ("Dans quel cas une amende est-elle due ?", "Et dans ce cas ?"),
    ],
)
def test_the_same_words_with_and_without_what_they_stand_for(complete, follow_up):
    assert is_follow_up(follow_up)
    assert not is_follow_up(complete)


@pytest.mark.parametrize("apostrophe", ["'", "’", "ʼ"])
def test_every_apostrophe_is_read(apostrophe):
    assert is_follow_up(f"Peut-on l{apostrophe}annuler ?")
    assert not is_follow_up(f"Qu{apostrophe}est-ce qu{apostrophe}une donnée personnelle ?")


def test_this_church_points_back_if_a_church_was_mentioned():
    question = "What color are the windows of this church?"
    assert is_follow_up(question, ["Where is the old church of Cologne?"])
    assert not is_follow_up(question, [PREVIOUS])


def test_a_french_pronoun_needs_a_noun_with_its_gender():
    assert is_follow_up("Quand est-elle morte ?", ["Où est la commande de Paul ?"])
    assert not is_follow_up("Quand est-il mort ?", ["Combien coûte la livraison standard ?"])
    assert not is_follow_up("Quand sont-ils morts ?", ["Combien coûte la livraison standard ?"])
    assert is_follow_up("Quand sont-ils morts ?", ["Combien coûtent les colis ?"])


def test_a_french_pronoun_may_stand_for_a_noun_of_another_language():
    assert is_follow_up("Quand est-elle rendue ?", ["What is the deposit?", "The deposit is 80 euros."])


def test_the_limit_points_back_if_the_conversation_explains_it():
    uploads = ["How large may uploaded files be?", "Files of up to 25 MB can be uploaded."]
    assert is_follow_up("Can the limit be raised?", uploads)
    assert is_follow_up("Are the files encrypted?", uploads)
    assert is_follow_up("Les fichiers sont-ils chiffrés ?", ["Quelle est la taille des fichiers ?"])
    for question in ("Can the limit be raised?", "Are the files encrypted?"):
        assert not is_follow_up(question)
    assert not is_follow_up("Is the pool heated?", uploads)
    assert not is_follow_up("What is the limit of the loan?", uploads)
    assert not is_follow_up("Quelle est la limite du prêt ?", ["Quelle est la taille des fichiers ?"])
    for complete in ("How much is the bonus of the directors?", "Quelle est la prime du directeur ?"):
        assert not is_follow_up(complete, [complete])


def test_a_french_sentence_with_words_of_related_languages_is_read_for_agreement():
    green_waste = ["Où déposer les déchets verts ?", "Les déchets verts se déposent à la déchetterie de Pontivry."]
    assert is_follow_up("Est-elle ouverte le dimanche ?", green_waste)


def test_il_before_a_participle_is_a_person():
    assert is_follow_up("Qu'y a-t-il inventé ?", ["Où Marcel Duvray a-t-il étudié ?"])
    assert not is_follow_up("Qu'y a-t-il dans le parc de Lussac ?", ["Où Marcel Duvray a-t-il étudié ?"])


def test_a_noun_with_an_adjective_says_what_it_means():
    returns = ["Dans quel délai peut-on retourner un appareil ?", "Le délai commence le jour de la livraison."]
    assert not is_follow_up("Combien coûte la livraison standard ?", returns)
    assert is_follow_up("Combien coûte la livraison ?", returns)


@pytest.mark.parametrize(
    "question",
    ["Is there a student discount?", "Are dogs allowed?", "Faut-il réserver ?", "Un certificat est-il exigé ?"],
)
def test_a_short_question_without_a_name_may_be_a_follow_up(question):
    assert may_be_follow_up(question, [PREVIOUS])
    assert not may_be_follow_up(question, [])
    assert not is_follow_up(question, [PREVIOUS])


@pytest.mark.parametrize(
    "question",
    [
        "Is there a student discount at the Louvre?",
        "Is there a student discount for the summer course in pottery?",
        "Y a-t-il un tarif réduit à Lussac ?",
        "Qui a écrit « La Chute » ?",
        "How much does express delivery cost?",
        "Merci !",
        "Bonjour",
        "",
        "?",
    ],
)
def test_a_question_with_a_topic_of_its_own_is_no_follow_up_at_all(question):
    assert not may_be_follow_up(question, [PREVIOUS])


@pytest.mark.parametrize("question", ["", "?", "...", "12345", "🙂", "a" * 5000, "the " * 3000])
def test_unusual_texts_are_judged(question):
    assert is_follow_up(question) in (True, False)


def test_the_antecedent_is_the_last_complete_question():
    questions = [PREVIOUS, "Is shipping to Canada possible?", "How long does it take?", "And to Mexico?"]
    assert find_antecedent(questions) == "Is shipping to Canada possible?"
    assert find_antecedent(["And to Mexico?"]) == "And to Mexico?"
    assert find_antecedent([]) == ""
