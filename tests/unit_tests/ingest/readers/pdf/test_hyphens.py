"""Words that a line's end breaks: joined if they are words, with their hyphen if they are compounds or codes."""

import pytest

from langchain_gptoss.ingest.readers.pdf import read_pdf
from langchain_gptoss.ingest.readers.pdf.hyphens import join_broken_words
from langchain_gptoss.ingest.readers.pdf.words import LINE_HYPHEN
from tests.unit_tests.ingest.readers.pdf.placed_text import create_placed_pdf, place_lines

ENGLISH = "The engine of the ship is to be checked by the owner. "
FRENCH = "Le moteur du bateau est à vérifier par le propriétaire de la maison. "

BROKEN_ENGLISH = """oper-ation mainte-nance infor-mation ver-sion docu-ment cus-tomer pro-duct war-ranty sup-port
under-standing manage-ment techni-cian lubri-cation bear-ings certi-fied recom-mendation pres-sure tempera-ture
envi-ronment Oper-ation OPER-ATION inspec-tion (equip-ment) decommis-sioning"""
BROKEN_FRENCH = """infor-mation garan-tie rembourse-ment entre-prise ser-vice main-tenance techni-cien pres-sion
tempéra-ture véri-fication équi-pement chauf-fage obliga-toire condi-tions l'hy-draulique d'ins-tallation Garan-ties
chaus-sée dé-marrage utilisa-teurs aujour-d'hui"""
COMPOUNDS_ENGLISH = """deck-guide X-ray e-mail FX-2207 B-12 COVID-19 Jean-Pierre T-shirt vitamin-C 2-year DIN-A4
long-term part-time state-of-the-art mother-in-law Stratford-upon-Avon rendez-vous A-B well-known
https://example.org/deck-guide www.deck-guide.example deck-guide.html zoe-martin@larkspur.example REF_A-build"""
COMPOUNDS_FRENCH = """rendez-vous peut-être est-il a-t-il celui-ci Jean-Pierre Saint-Denis vas-y dit-elle c'est-à-dire
là-bas demi-heure arc-en-ciel FX-2207 elle-même sous-traitant porte-avions avez-vous"""


def break_word(word: str) -> str:
    head, _, tail = word.rpartition("-")
    return f"{head}-\n{tail}"


@pytest.mark.parametrize("word", BROKEN_ENGLISH.split())
def test_broken_english_words_are_one_word(word):
    assert join_broken_words([f"{ENGLISH}{break_word(word)} here"]) == [f"{ENGLISH}{word.replace('-', '')} here"]


@pytest.mark.parametrize("word", BROKEN_FRENCH.split())
def test_broken_french_words_are_one_word(word):
    assert join_broken_words([f"{FRENCH}{break_word(word)} ici"]) == [f"{FRENCH}{word.replace('-', '')} ici"]


@pytest.mark.parametrize("word", COMPOUNDS_ENGLISH.split())
@pytest.mark.parametrize("end", ["", ",", ".", ")"])
def test_english_compounds_and_codes_keep_their_hyphen(word, end):
    assert join_broken_words([f"{ENGLISH}{break_word(word)}{end} x"]) == [f"{ENGLISH}{word}{end} x"]


@pytest.mark.parametrize("word", COMPOUNDS_FRENCH.split())
def test_french_compounds_and_codes_keep_their_hyphen(word):
    assert join_broken_words([f"{FRENCH}{break_word(word)} ici"]) == [f"{FRENCH}{word} ici"]


@pytest.mark.parametrize(
    ("rest", "broken", "expected"),
    [
        ("The quinzelbar is new.", "quin-\nzelbar", "quinzelbar"),
        ("The quinzel-bar is new.", "quinzel-\nbar", "quinzel-bar"),
        ("Larkspur is a shop.", "Larks-\npur", "Larkspur"),
        ("A re-creation was played.", "re-\ncreation", "re-creation"),
    ],
)
def test_the_rest_of_the_document_decides(rest, broken, expected):
    assert join_broken_words([rest, f"{ENGLISH}{broken}."]) == [rest, f"{ENGLISH}{expected}."]


def test_marks_of_other_kinds():
    assert join_broken_words(["oper\u00ad\nation zzq\u00ad\nxxw"]) == ["operation zzqxxw"]
    assert join_broken_words([f"{ENGLISH}zimbol\u2010\nation"]) == [f"{ENGLISH}zimbolation"]
    assert join_broken_words([f"{ENGLISH}for\u2010\ntune"]) == [f"{ENGLISH}fortune"]
    assert join_broken_words([f"{ENGLISH}long\u2010term, long\u2010\nterm"]) == [
        f"{ENGLISH}long\u2010term, long\u2010term"
    ]
    assert join_broken_words([f"oper{LINE_HYPHEN}\nation, B{LINE_HYPHEN}\n12, x{LINE_HYPHEN}"]) == [
        "operation, B-12, x-"
    ]


def test_other_languages_join_words_that_are_not_known():
    german = "Die Anlage ist von dem Betreiber der Maschine zu prüfen und darf nicht ohne Aufsicht sein. "
    assert join_broken_words([f"{german}Maschi-\nnenwartung"]) == [f"{german}Maschinenwartung"]


@pytest.mark.parametrize("text", ["a\nb", "- item\n- item", "from 3 -\n4", "he said --\nno", "10\n-5 degrees", ""])
def test_other_line_ends_stay(text):
    assert join_broken_words([text]) == [text]


def test_long_lines_take_linear_time():
    text = "x" * 200_000 + "-\n" + "y" * 200_000
    assert join_broken_words([text, "a-\nb " * 20_000])[0] == text.replace("\n", "")


def test_hyphens_of_a_file():
    lines = [
        "The spare filter has the number FX-",
        "2207. Read example.org/deck-",
        "guide. The oper-",
        "ation takes an hour.",
    ]
    (text,) = read_pdf(create_placed_pdf(place_lines(50, 700, *lines)), 0).pages
    assert text == "The spare filter has the number FX-2207. Read example.org/deck-guide. The operation takes an hour."


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        (["It takes the oper-", "ation of a pump."], ["It takes the operation", "of a pump."]),
        (["The filter FX-", "2207 is new."], ["The filter FX-2207", "is new."]),
        (["He went -", "and came."], ["He went -", "and came."]),
        (["one -\ntwo", "three"], ["one -\ntwo", "three"]),
        (["a main-", "tenance of the oper-", "ation today"], ["a maintenance", "of the operation", "today"]),
    ],
)
def test_words_broken_by_the_end_of_a_page(pages, expected):
    assert join_broken_words(pages) == expected
