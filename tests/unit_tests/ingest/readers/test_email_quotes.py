"""Quotes in e-mail: what a message says itself, what it answers, what it forwards; English and French."""

import pytest

from langchain_gptoss.ingest.readers.email_quotes import split_quotes


def split(text: str, **options: bool) -> list[tuple[str, str]]:
    return [(part.kind, part.text) for part in split_quotes(text, **options)]


def get_texts(text: str, kind: str, **options: bool) -> str:
    return "\n".join(part for part_kind, part in split(text, **options) if part_kind == kind)


OWN = "The drill moves to 12 June.\n\nL'exercice est le 12 juin."
OLD = "The drill is on 6 June.\nL'exercice est le 6 juin."
MARKED = "\n".join(f"> {line}" for line in OLD.split("\n"))
HEADERS_EN = "From: Tom Small <tom@x.example>\nSent: Monday, 2 June 2025 10:00\nTo: Nora\nSubject: RE: drill"
HEADERS_FR = "De : Tom Petit <tom@x.example>\nEnvoyé : lundi 2 juin 2025 10:00\nÀ : Nora\nObjet : RE: exercice"

# Each begins the message that is answered.
QUOTED_WITH_MARKS = [
    "On 1 June, Tom wrote:",
    "On Tue, 3 Jun 2025 at 10:00, Tom Small <tom@x.example> wrote:",
    "On Tue, 3 Jun 2025 at 10:00, Tom Small <\ntom@x.example> wrote:",
    "Tom wrote:",
    "Tom Small <tom@x.example> wrote on 3 June:",
    "Le 3 juin 2025 à 10:00, Tom Petit <tom@x.example> a écrit :",
    "Le mar. 3 juin 2025 à 10:00, Tom Petit\n<tom@x.example> a\nécrit :",
    "Tom a écrit\xa0:",
    "Tom Petit écrivait :",
    "Quoting Tom Small <tom@x.example>:",
    "Am 03.06.2025 um 10:00 schrieb Tom:",
    "2025-06-03 10:00 GMT+02:00 Tom Small <tom@x.example>:",
]
QUOTED_WITHOUT_MARKS = [
    f"-----Original Message-----\n{HEADERS_EN}\n",
    "-----Original Message-----",
    f"-----Message d'origine-----\n{HEADERS_FR}\n",
    "-------- Message original --------",
    "‐‐‐‐‐‐‐ Original Message ‐‐‐‐‐‐‐",
    "----- Mail original -----",
    HEADERS_EN + "\n",
    HEADERS_FR + "\n",
    HEADERS_FR.replace("\n", "\n\n") + "\n",
    "**De :** Tom Petit  \n**Envoyé :** lundi 2 juin 2025  \n**À :** Nora  \n**Objet :** exercice\n",
    "*From:* Tom <tom@x.example>\n*Date:* Monday 2 June 2025\n",
    "________________________________\n" + HEADERS_EN + "\n",
    "De : Tom Petit Envoyé : lundi 2 juin 2025 10:00 À : Nora Objet : RE: exercice",
    "On Tue, 3 Jun 2025 at 10:00, Tom Small <tom@x.example> wrote:\n",
    "Le mar. 3 juin 2025 à 10:00, Tom Petit <tom@x.example> a écrit :\n",
    "Von: Tom\nGesendet: Montag, 2. Juni 2025\nAn: Nora\nBetreff: AW: Übung\n",
]
FORWARDED = [
    f"---------- Forwarded message ---------\n{HEADERS_EN}\n",
    "---------- Forwarded message ----------",
    f"-------- Message transféré --------\nSujet : exercice\nDate : 2 juin\n{HEADERS_FR.splitlines()[0]}\nPour : Nora\n",
    "---------- Message transféré ---------",
    f"Begin forwarded message:\n\n{HEADERS_EN}\n",
    f"Début du message réexpédié :\n\n{HEADERS_FR}\n",
    "----- Forwarded by Tom Small/Larkspur on 03/06/2025 10:00 -----",
    "----- Mail transféré -----",
]


@pytest.mark.parametrize("opening", QUOTED_WITH_MARKS)
@pytest.mark.parametrize("bottom", ["", "\n\nAnd one more thing: bring a helmet."])
def test_lines_with_marks_are_quoted_and_text_below_is_not(opening, bottom):
    text = f"{OWN}\n\n{opening}\n\n{MARKED}{bottom}"
    assert get_texts(text, "reply") == f"{opening}\n\n{OLD}"
    assert get_texts(text, "") == OWN + bottom.replace("\n\n", "\n")


@pytest.mark.parametrize("opening", QUOTED_WITHOUT_MARKS)
def test_everything_below_is_quoted_where_lines_have_no_marks(opening):
    assert split(f"{OWN}\n\n{opening}\n{OLD}") == [("", OWN), ("reply", f"{opening}\n{OLD}")]


@pytest.mark.parametrize("opening", FORWARDED)
def test_forwarded_messages_are_parts_of_their_own(opening):
    assert split(f"FYI\n\n{opening}\n{OLD}") == [("", "FYI"), ("forward", f"{opening}\n{OLD}")]


@pytest.mark.parametrize("opening", [HEADERS_EN, HEADERS_FR, f"-----Original Message-----\n{HEADERS_EN}"])
def test_a_block_of_headers_in_a_forward_begins_the_forwarded_message(opening):
    text = f"Pour info\n\n{opening}\n\n{OLD}"
    assert [kind for kind, _ in split(text, is_forward=True)] == ["", "forward"]
    assert [kind for kind, _ in split(text)] == ["", "reply"]


def test_what_a_forwarded_message_answers_is_a_reply():
    text = f"FYI\n\n-------- Forwarded Message --------\n{HEADERS_EN}\n\nnewer\n\n{HEADERS_FR}\n\nolder"
    assert [kind for kind, _ in split(text, is_forward=True)] == ["", "forward", "reply"]
    text = "Begin forwarded message:\n\n> From: Tom <t@x>\n> Date: 2 June\n> Subject: s\n>\n> newer\n>> older\n\nBye"
    parts = split_quotes(text)
    assert [part.kind for part in parts] == ["forward", "reply", ""]
    assert parts[0].text.endswith("newer")
    assert (parts[1].text, parts[2].text) == ("older", "Bye")


def test_quotation_that_begins_as_a_forward_is_one():
    lines = f"Begin forwarded message:\n\n{HEADERS_EN}\n\n{OLD}\n> older".split("\n")
    text = "FYI\n\n" + "\n".join(f"> {line}" for line in lines)
    parts = split_quotes(text)
    assert [part.kind for part in parts] == ["", "forward", "reply"]
    assert parts[1].text.endswith(OLD)
    assert parts[1].origin.startswith("From: Tom Small")
    # Whoever answers a forward quotes it.
    text = "Thanks\n\nOn 3 June, Ann wrote:\n" + "\n".join(f"> {line}" for line in lines)
    assert [part.kind for part in split_quotes(text)] == ["", "reply"]


def test_attribution_within_a_quotation_is_its_origin():
    (_, quoted) = split_quotes("New.\n\n> On 1 June, Tom wrote:\n> Old.")
    assert (quoted.origin, quoted.text) == ("On 1 June, Tom wrote", "On 1 June, Tom wrote:\nOld.")


def test_answers_between_quoted_lines_are_own_text():
    text = "Le 2 juin, Tom a écrit :\n> Quand ?\nLe 12 juin.\n\n> Où ?\n>> Ici ?\n\nAu pont B.\n-- \nNora"
    assert split(text) == [
        ("reply", "Le 2 juin, Tom a écrit :\nQuand ?"),
        ("", "Le 12 juin."),
        ("reply", "Où ?\nIci ?"),
        ("", "Au pont B.\n-- \nNora"),
    ]


def test_each_quoted_message_names_its_origin():
    text = f"{OWN}\n\n{HEADERS_EN}\n\nold\n\n{HEADERS_FR}\n\nolder"
    assert [part.origin for part in split_quotes(text)] == [
        "",
        "From: Tom Small <tom@x.example>; Sent: Monday, 2 June 2025 10:00",
        "De : Tom Petit <tom@x.example>; Envoyé : lundi 2 juin 2025 10:00",
    ]
    (_, reply) = split_quotes(f"{OWN}\n\nOn 1 June, Tom wrote:\n> old")
    assert reply.origin == "On 1 June, Tom wrote"


@pytest.mark.parametrize(
    "text",
    [
        "Tarif :\n> 30 kg : 12 €\n> 50 kg : 20 €\nVoilà.",
        "Rule: >= 5 items",
        "De : Lyon\nÀ : Paris\nDate : 12 juin\nLe train part à 8 h.",
        "Objet : Formation\nDate : 12 juin\nDe : 9 h à 12 h\nLieu : salle B12",
        "From: Lyon\nTo: Paris\nDate: 12 June\nThe train leaves at 8.",
        "On page 3, Smith wrote:\nA sentence that matters.\nMore of it.",
        "Le directeur a écrit :\nVenez tous.",
        "I wrote to Tom on 3 June 2025.\nHe has not answered.",
        "Subject: the drill\nBring a helmet.",
        "Title\n-----\nText below a title\n\n---\nMore",
        "Le message transféré hier est faux.",
        "",
    ],
)
def test_own_text_is_not_taken_for_a_quotation(text):
    assert [kind for kind, _ in split(text)] == [""] * bool(text)


def test_marks_before_numbers_are_quotations_in_a_reply():
    assert get_texts("Yes\n> 30 kg: 12 €", "reply", is_reply=True) == "30 kg: 12 €"


def test_long_texts_take_linear_time():
    text = "\n".join(["On the word of " + "on " * 200, "De : " + "à " * 200, "wrote " * 100] * 300)
    assert [kind for kind, _ in split(text)] == [""]
