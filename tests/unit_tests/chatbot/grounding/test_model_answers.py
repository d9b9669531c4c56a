"""Sentences as a model of 1.5 billion parameters writes them: longer names, counted groups, and items of lists.

Each text has a true sentence, which is supported, and near misses, which are not.
"""

import pytest

from langchain_gptoss.chatbot.grounding.claim_support import judge_claim
from tests.unit_tests.chatbot.grounding.helpers import split_text

CHEQUES = "Larkspur accepts cards and bank transfers. Larkspur does not accept cheques or cash."
MEMBERS = (
    "The Parliament consists of 129 elected members. Of these, 73 represent individual districts and are known as "
    "district members; 56 represent eight regions."
)
COUNCIL = (
    "L'assemblée compte 52 membres. Parmi eux, 38 sont élus par les communes et portent le titre de conseillers "
    "communautaires ; 14 sont désignés par le préfet."
)
MILL = "The Brass mill was restored in 2004. Of its 60 employees, 41 work at the mill itself and 19 in the offices."
DUVRAY = "He had studied chemistry there for six years. Duvray left Lausanne in 1912 for a post in Geneva."
PAPERS = "The following documents are needed:\n\n- an identity card\n- a proof of address"
FEE = "The fee covers:\n- the rental of skates;\n- the locker.\n\nThe fee does not cover:\n- lessons.\n- insurance."
PIECES = "Vous devez fournir :\n\n- une pièce d'identité\n- un justificatif de domicile de moins de 3 mois"
INVENTOR = "# Marcel Duvray\n\nL'inventeur étudie la chimie à Lausanne. Après 1912, il travaille à Genève, dans une usine de colorants."
SERIES = "Harbour Lights is a television series created by Yvette Bowser that ran on the Fox network for five years."
NORWAY = "Shipping abroad: we ship to Norway for 12 euros and to Iceland for 19 euros."


def is_supported(question, sentence, text, **metadata):
    return judge_claim(sentence, question, split_text(text, **metadata)).verdict == "supported"


@pytest.mark.parametrize(
    ("question", "sentence", "text"),
    [
        ("Does Larkspur Electronics accept cheques?", "Larkspur Electronics does not accept cheques.", CHEQUES),
        ("Does Larkspur Electronics accept bank transfers?", "Larkspur Electronics accepts bank transfers.", CHEQUES),
        ("When did Marcel Duvray leave Lausanne?", "Marcel Duvray left Lausanne in 1912.", DUVRAY),
        ("How many district members are there?", "There are 73 district members.", MEMBERS),
        ("How many people work at the mill?", "There are 41 people working at the mill.", MILL),
        ("Combien y a-t-il de conseillers communautaires ?", "Il y a 38 conseillers communautaires.", COUNCIL),
        ("Which documents are needed?", "An identity card and a proof of address are needed.", PAPERS),
        ("What does the fee cover?", "The fee covers the rental of skates and the locker.", FEE),
        (
            "Quels documents faut-il fournir ?",
            "Il faut fournir une pièce d'identité et un justificatif de domicile.",
            PIECES,
        ),
        ("Où Marcel Duvray travaille-t-il après 1912 ?", "Il travaille à Genève après 1912.", INVENTOR),
        ("Who created Harbour Lights?", "Yvette Bowser created the series Harbour Lights.", SERIES),
    ],
)
def test_a_true_sentence_of_a_model_is_supported(question, sentence, text):
    assert is_supported(question, sentence, text)


@pytest.mark.parametrize(
    ("question", "sentence", "text"),
    [
        ("Does Larkspur Electronics accept cheques?", "Larkspur Electronics accepts cheques.", CHEQUES),
        ("Does Larkspur Electronics accept cheques?", "Brightwell Electronics does not accept cheques.", CHEQUES),
        # The question names no company, so nobody said that the two names are of the same one.
        ("Are cheques accepted?", "Larkspur Electronics does not accept cheques.", CHEQUES),
        (
            "Does Larkspur Travel accept cheques?",
            "Larkspur Travel does not accept cheques.",
            CHEQUES.replace("Larkspur", "Larkspur Electronics"),
        ),
        (
            "When did Marcel Duvray leave Lausanne?",
            "Marcel Duvray left Lausanne in 1912.",
            DUVRAY.replace("Duvray", "His brother Paul Duvray"),
        ),
        ("When did Marcel Duvray leave Lausanne?", "Marcel Duvray left Lausanne in 1913.", DUVRAY),
        ("Who created Harbour Lights?", "Harbour Lights created Yvette Bowser.", SERIES),
        ("Who created Harbour Lights?", "Paul Bowser created Harbour Lights.", SERIES),
        ("How many district members are there?", "There are 56 district members.", MEMBERS),
        ("How many district members are there?", "There are 129 district members.", MEMBERS),
        ("How many regional members are there?", "There are 73 regional members.", MEMBERS),
        ("How many people work at the mill?", "There are 19 people working at the mill.", MILL),
        ("How many people work in the offices?", "There are 41 people working in the offices.", MILL),
        ("Combien y a-t-il de conseillers communautaires ?", "Il y a 14 conseillers communautaires.", COUNCIL),
        ("Which documents are needed?", "An identity card and a tax notice are needed.", PAPERS),
        ("Which documents are needed?", "An identity card and a proof of address are not needed.", PAPERS),
        ("What does the fee cover?", "The fee covers lessons and insurance.", FEE),
        ("What does the fee cover?", "The fee covers the locker and the lessons.", FEE),
        ("Quels documents faut-il fournir ?", "Il faut fournir un avis d'imposition et une photo.", PIECES),
        ("Où Marcel Duvray travaille-t-il après 1912 ?", "Il travaille à Lausanne après 1912.", INVENTOR),
    ],
)
def test_a_near_miss_of_a_model_is_not_supported(question, sentence, text):
    assert not is_supported(question, sentence, text)


def test_we_is_the_one_whose_document_it_is():
    question, title = "Does Larkspur ship to Norway?", "Larkspur"
    assert is_supported(question, "Larkspur ships to Norway for 12 euros.", NORWAY, title=title)
    assert not is_supported(question, "Larkspur ships to Norway for 19 euros.", NORWAY, title=title)
    assert not is_supported(question, "Larkspur ships to Norway for 12 euros.", NORWAY.replace("we", "they"))


def test_items_with_values_of_their_own_are_not_read_together():
    prices = "Prices at the rink:\n- skates: with a deposit\n- lockers: free of charge"
    assert is_supported("What is free at the rink?", "Lockers are free of charge.", prices)
    assert not is_supported("What is free at the rink?", "Skates and lockers are free of charge.", prices)


@pytest.mark.parametrize(
    ("text", "question", "right", "wrong"),
    [
        (
            DUVRAY,
            "Which city did Duvray leave in 1912?",
            "Duvray left Lausanne in 1912.",
            "Duvray left Geneva in 1912.",
        ),
        (
            "Anna visited Rome in 1901 with friends from Naples.",
            "What did Anna visit in 1901?",
            "Anna visited Rome in 1901.",
            "Anna visited Naples in 1901.",
        ),
        (
            "The company sold its Lyon plant in 2010 to buy a site in Nantes.",
            "Which plant did the company sell in 2010?",
            "The company sold its Lyon plant in 2010.",
            "The company sold its Nantes plant in 2010.",
        ),
        (
            "Marie quitta Dijon en 1920 pour un poste à Besançon.",
            "Quelle ville Marie quitta-t-elle en 1920 ?",
            "Marie quitta Dijon en 1920.",
            "Marie quitta Besançon en 1920.",
        ),
        (
            "The minister met Chancellor Braun in Vienna to discuss a treaty with Hungary.",
            "Whom did the minister meet?",
            "The minister met Braun.",
            "The minister met Hungary.",
        ),
        (
            "The choir visited Rome and Siena in 1998. It visited Turin on the way back from Milan.",
            "Which cities did the choir visit?",
            "The choir visited Turin.",
            "The choir visited Milan.",
        ),
        (
            "In 1920 the club joined the city of Dijon's league, against the wish of Beaune.",
            "What did the club join in 1920?",
            "In 1920 the club joined the league of Dijon.",
            "In 1920 the club joined the league of Beaune.",
        ),
    ],
)
def test_the_object_of_a_verb_is_the_one_of_the_document(text, question, right, wrong):
    assert is_supported(question, right, text)
    assert not is_supported(question, wrong, text)


@pytest.mark.parametrize(
    ("text", "question", "right", "wrong"),
    [
        (
            "Une licence activée ne peut pas être retournée.",
            "Peut-on retourner une licence activée ?",
            "Non, une licence activée ne peut pas être retournée.",
            "Oui, une licence activée ne peut pas être retournée.",
        ),
        ("Pickup is free.", "Is pickup free?", "Yes, pickup is free.", "No, pickup is free."),
        (
            "There is no fee for returns.",
            "Are returns free?",
            "Yes, there is no fee for returns.",
            "Yes, returns are not free.",
        ),
    ],
)
def test_yes_or_no_does_not_contradict_the_rest_of_the_sentence(text, question, right, wrong):
    assert is_supported(question, right, text)
    assert not is_supported(question, wrong, text)
