"""Guess of an encoding: short texts in the encodings that office programs write."""

import pytest

from langchain_gptoss.ingest.readers.encoding_guess import compute_oddness, guess_encoding

FRENCH = [
    "Le rendez-vous est fixé à l'hôtel.",
    "Le délai est payé.",
    "Tarif été : 12 €",
    "L’abonnement coûte 30 € – cœur de gamme.",
    "Où êtes-vous né ?",
    "Garçon, l'addition s'il vous plaît !",
    "« Bonjour », dit-elle à l’élève.",
    "RÈGLEMENT INTÉRIEUR",
    "Client;Téléphone;Adresse\nHélène;0612345678;Orléans",
    "Température : 20 °C",
    "Noël approche, et l'œuvre est achevée.",
]
GERMAN = [
    "Für die Rückgabe gilt eine Frist von 14 Tagen.",
    "Schöne Grüße aus München",
    "Öffnungszeiten: 9–18 Uhr",
    "Der Preis beträgt 30 €.",
    "GESCHÄFTSFÜHRER",
    "„Guten Tag“, sagte er für sich.",
]
OTHERS = [
    ("La atención al cliente está abierta mañana, ¿verdad?", ["cp1252", "iso8859-15", "mac-roman", "cp850"]),
    ("He kept the title of King—an important status—and the right to sell it.", ["cp1252"]),
    ("The temperature of the boiler must be around 30 °C for an hour.", ["cp1252", "iso8859-15"]),
    ("Add ½ cup of the flour to it and stir.", ["cp1252"]),
    ("The café’s naïve waiters said “no” – twice.", ["cp1252", "mac-roman"]),
    ("Wszyscy ludzie rodzą się wolni i równi pod względem swej godności.", ["cp1250", "iso8859-2"]),
    ("Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti.", ["cp1250", "iso8859-2"]),
    ("Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.", ["cp1254"]),
    ("Все люди рождаются свободными и равными.", ["cp1251", "koi8-r", "cp866", "iso8859-5"]),
    ("Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι.", ["cp1253", "iso8859-7"]),
    ("כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.", ["cp1255"]),
    ("すべての人間は、生まれながらにして自由であり、", ["cp932", "euc_jp"]),
    ("人人生而自由,在尊严和权利上一律平等。", ["gb18030"]),
    ("모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.", ["cp949"]),
]


def create_cases():
    for text in (*FRENCH, *GERMAN):
        for codec in ("cp1252", "iso8859-15", "mac-roman", "cp850"):
            yield text, codec
    for text, codecs in OTHERS:
        for codec in codecs:
            yield text, codec


def can_encode(text: str, codec: str) -> bool:
    try:
        return not text.encode(codec).isascii()
    except UnicodeEncodeError:
        return False


@pytest.mark.parametrize(("text", "codec"), [case for case in create_cases() if can_encode(*case)])
def test_short_texts_are_decoded_right(text, codec):
    data = text.encode(codec)
    guess = guess_encoding(data)
    assert guess is not None
    assert data.decode(guess) == text


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff",
        bytes(range(128, 256)) * 3,
        b"\x89PNG\r\n\x1a\n\xf3\xc1\xee\x9a\x81",
        b"\x03\xe2\x28\xa1\x11\x98\x9d\x02\xf8\xb6\x0e\x81" * 9,
    ],
)
def test_bytes_that_are_no_text_are_not_guessed(data):
    assert guess_encoding(data) is None


def test_long_text_of_two_byte_characters_may_be_cut_by_the_sample():
    text = "a" + "すべての人間は、生まれながらにして自由であり、" * 3000
    assert guess_encoding(text.encode("cp932")) == "cp932"


def test_right_text_is_less_odd_than_a_wrong_decoding():
    for text in (*FRENCH, *GERMAN):
        data = text.encode("cp1252")
        assert compute_oddness(text) < min(3, compute_oddness(data.decode("cp850", "replace"))), text
