"""Claims about rows of tables: a value belongs to its column, whose name the claim or the question has."""

import pytest
from langchain_core.documents import Document

from langchain_gptoss.chatbot.grounding.citations import cite
from langchain_gptoss.chatbot.grounding.claim_support import judge_claim
from langchain_gptoss.chatbot.grounding.passages import Span, collect_passages, collect_spans

CABINS = (
    "- Cabin: Larch; Summer / Night: 84 €; Summer / Week: 510 €; Winter / Night: 61 €; Winter / Week: 370 €; Beds: 4"
)
STAFF = "- Name: Ines Carvalho; Duty: Beekeeper; Phone: 555-0187; Room: 12; Budget: 18,400 €"
GITES = """| Gîte | Haute saison / Nuit | Basse saison / Nuit | Caution |
| --- | --- | --- | --- |
| Les Mélèzes | 92 € | 68 € | 200 € |
| La Cabane | 75 € | 54 € | 150 € |
"""
HOURS = """# Opening hours

| Place | Monday to Friday | Saturday | Sunday |
| --- | --- | --- | --- |
| Workshop | 8:00-17:00 | 9:00-12:00 | closed |
| Museum | 10:00-18:00 | 10:00-20:00 | 11:00-16:00 |
"""
MEMBRES = "- Nom: Odile Rambert; Fonction: Trésorière; Téléphone: 04 50 55 61 20; Bureau: 3; Budget: 7 200 €"
YEARS = "- Item: Honey; 2023: 4,100 €; 2024: 5,350 €; 2025: 4,890 €"

CABIN_QUESTION = "What does the Larch cabin cost for a week in winter?"
GITE_QUESTION = "Combien coûte la nuit aux Mélèzes en basse saison ?"


def collect(text: str) -> list[Span]:
    return collect_spans(collect_passages([Document(text)], limit=1))


def judge(text: str, question: str, claim: str) -> str:
    return judge_claim(claim, question, collect(text)).verdict


@pytest.mark.parametrize(
    ("text", "question", "claim"),
    [
        (
            CABINS,
            "What does the Larch cabin cost per week in winter?",
            "The Larch cabin costs 370 € per week in winter.",
        ),
        (CABINS, "What does the Larch cabin cost per week in winter?", "370 €"),
        (CABINS, "How many beds does the Larch cabin have?", "The Larch cabin has 4 beds."),
        (STAFF, "What is the phone number of Ines Carvalho?", "The phone number of Ines Carvalho is 555-0187."),
        (STAFF, "In which room is Ines Carvalho?", "Ines Carvalho is in room 12."),
        (STAFF, "What is the duty of Ines Carvalho?", "Ines Carvalho is a beekeeper."),
        (GITES, GITE_QUESTION, "La nuit aux Mélèzes coûte 68 € en basse saison."),
        (GITES, "Quelle est la caution pour La Cabane ?", "La caution pour La Cabane est de 150 €."),
        (HOURS, "When is the museum open on Saturday?", "The museum is open on Saturday 10:00-20:00."),
        (HOURS, "Is the workshop open on Sunday?", "The workshop is closed on Sunday."),
        (MEMBRES, "Quel est le téléphone d'Odile Rambert ?", "Le téléphone d'Odile Rambert est le 04 50 55 61 20."),
        (MEMBRES, "Quel est le budget d'Odile Rambert ?", "Le budget d'Odile Rambert est de 7 200 €."),
        (YEARS, "How much was honey in 2024?", "Honey was 5,350 € in 2024."),
    ],
)
def test_values_of_the_column_that_is_asked_are_supported(text, question, claim):
    assert judge(text, question, claim) == "supported"


@pytest.mark.parametrize(
    ("text", "question", "claim"),
    [
        (CABINS, CABIN_QUESTION, "The Larch cabin costs 510 € for a week in winter."),
        (CABINS, CABIN_QUESTION, "The Larch cabin costs 61 € for a week in winter."),
        (CABINS, CABIN_QUESTION, "The Larch cabin costs 61 € a night in winter."),
        (CABINS, CABIN_QUESTION, "510 €"),
        (CABINS, CABIN_QUESTION, "The Larch cabin costs 84 €."),
        (CABINS, "How many beds does the Larch cabin have?", "The Larch cabin has 61 beds."),
        (STAFF, "What is the phone number of Ines Carvalho?", "The phone number of Ines Carvalho is 18,400 €."),
        (STAFF, "What is the phone number of Ines Carvalho?", "The phone number of Ines Carvalho is 12."),
        (STAFF, "What is the phone number of Ines Carvalho?", "12"),
        (STAFF, "In which room is Ines Carvalho?", "Ines Carvalho is in room 555-0187."),
        (STAFF, "What is the duty of Ines Carvalho?", "Ines Carvalho has room 12."),
        (GITES, GITE_QUESTION, "La nuit aux Mélèzes coûte 92 € en basse saison."),
        (GITES, GITE_QUESTION, "92 €"),
        (GITES, GITE_QUESTION, "La nuit aux Mélèzes coûte 54 € en basse saison."),
        (GITES, "Quelle est la caution pour La Cabane ?", "La caution pour La Cabane est de 75 €."),
        (HOURS, "When is the museum open on Saturday?", "The museum is open on Saturday 11:00-16:00."),
        (HOURS, "When is the museum open on Saturday?", "11:00-16:00"),
        (HOURS, "When is the museum open on Saturday?", "The museum is open on Saturday."),
        (MEMBRES, "Quel est le téléphone d'Odile Rambert ?", "Le téléphone d'Odile Rambert est 7 200 €."),
        (MEMBRES, "Quel est le téléphone d'Odile Rambert ?", "7 200 €"),
        (YEARS, "What was the income from honey in 2024?", "The income from honey in 2024 was 4,890 €."),
        (YEARS, "What was the income from honey in 2024?", "2024: 4,890 €; 2025: 4,890 €"),
        (YEARS, "What was the income from honey in 2024?", "The income from honey in 2023 was 4,100 €."),
    ],
)
def test_values_of_other_columns_are_not_supported(text, question, claim):
    assert judge(text, question, claim) != "supported"


@pytest.mark.parametrize(
    ("question", "claim", "evidence"),
    [
        ("When does the mill open on Friday?", "The mill opens on Friday.", "The mill opens on Friday at 8:00."),
        ("Quand le moulin ouvre-t-il le samedi ?", "Le moulin ouvre le samedi.", "Le moulin ouvre le samedi à 8 h."),
        ("How much is a tank of 600 litres?", "A tank of 400 litres costs 25 euros.", "A tank of 400 litres costs 25 euros."),
        ("Combien coûte la cuve de 600 litres ?", "La cuve de 400 litres coûte 25 euros.", "La cuve de 400 litres coûte 25 euros."),
    ],
)  # fmt: skip
def test_true_sentences_that_do_not_answer_are_not_supported(question, claim, evidence):
    assert judge(evidence, question, claim) != "supported"
    assert judge(evidence, "", claim) == "supported"


@pytest.mark.parametrize(
    ("question", "claim", "evidence"),
    [
        ("How many of the 600 seats are taken?", "400 seats are taken.", "Of the 600 seats, 400 seats are taken."),
        ("Does the tank hold 600 litres?", "The tank holds 400 litres.", "The tank holds 400 litres."),
        ("Is the mill or the barn older?", "The mill is older.", "The mill is older than the barn."),
        ("When is the ride free?", "It is free as long as the ride is short.", "The ride is free while the ride is short."),
        ("What is the fee after 2 days?", "The fee is 5 euros for 12 hours.", "After 2 days, the fee is 5 euros for 12 hours."),
        ("When is the mill closed?", "The mill is never closed.", "The mill is never closed."),
        ("When does the fair that opens on 2 May end?", "The fair ends on 9 May.", "The fair ends on 9 May."),
    ],
)  # fmt: skip
def test_short_answers_stay_supported(question, claim, evidence):
    assert judge(evidence, question, claim) == "supported"


def test_a_row_is_shown_with_the_names_of_its_columns():
    row = next(span for span in collect(f"Prices of the huts:\n\n{GITES}") if "Cabane" in span.text)
    citation = cite(row, row.text, number=1, verdict="quoted")
    assert citation.quote == "La Cabane | 75 € | 54 € | 150 €"
    assert citation.context == (
        "Prices of the huts: Gîte: La Cabane; Haute saison / Nuit: 75 €; Basse saison / Nuit: 54 €; Caution: 150 €"
    )


def test_a_row_of_a_later_chunk_has_the_names_of_its_lead_in():
    chunk = Document("| La Cabane | 75 € |", metadata={"lead_in": "Prices of the huts: Gîte | Nuit"})
    (span,) = collect_spans(collect_passages([chunk], limit=1))
    assert (span.lead_in, span.row) == ("Prices of the huts:", "Gîte: La Cabane; Nuit: 75 €")
