"""Guess of the encoding of a text that does not say it and is not UTF-8.

Each encoding that can decode the bytes is judged by the characters that are not ASCII: whether they belong to the
alphabet of one language, and whether they stand where such characters stand (no capital inside of a word, no symbol
between letters). A sentence with one accent is usually enough, where statistics over the bytes, such as those of
charset-normalizer, need paragraphs: of short French and German texts they recognize less than half.
"""

import codecs
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

from langchain_gptoss.text.language import identify_language

# Letters that are not ASCII, the most frequent ones first.
# Each alphabet with the codes of its languages, if `identify_language` knows them.
_ALPHABETS = {
    "éàèêçôîûùâïœëüæÿ": "fr",  # French
    "üäößéà": "de",  # German
    "óíáéñúü": "es",  # Spanish
    "ãçáéõóêíâúàôü": "pt",  # Portuguese
    "àèòùéìóîú": "it",  # Italian
    "ëéïèöüêóáî": "nl",  # Dutch
    "äöåéüèá": "sv fi",  # Swedish, Finnish
    "øåæéòèêóôü": "da no",  # Danish, Norwegian
    "áíðþóéúöæý": "",  # Icelandic
    "łąężśćóńź": "pl",  # Polish
    "íáéěýřžčšůúťďňó": "cs",  # Czech
    "áéíčýšžľťúňôďóäŕĺ": "",  # Slovak
    "éáöőíóüúű": "hu",  # Hungarian
    "ăîâșțşţ": "ro",  # Romanian, also with cedillas
    "ıişüğçöâîû": "tr",  # Turkish
    "čšžćđ": "",  # Croatian, Slovenian
    "āīšēūļžņģčķ": "",  # Latvian
    "ėšžųįūčęą": "",  # Lithuanian
    "äõüöšž": "",  # Estonian
    "àéèíòóçúïü": "ca",  # Catalan
    "éñïöüèçêáóíôâäîåøß": "en",  # words that English borrowed
    "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё": "",  # Russian, Bulgarian
    "оаинтевірслкудмпязьбгйчхжїюцшщєфґ": "",  # Ukrainian
    "аоеинртсвукдјпмлзгбшчцњжћљхђфџ": "",  # Serbian
    "αοιετσνηυρπκμλςωδγχθφβόίάέήώύξζψϊϋΐΰ": "",  # Greek
    "יולהמאתבשרנחקדפעטכזצסגםןךףץ": "",  # Hebrew
    "ايلموتنرعدبسفقكحهجشطصخةزذضغءثظأإىئؤآ": "",  # Arabic
    "านรอกเงมยลวดทสตะปบคหแพชขใไจโซผฟถธศณษภญัิี่้ืุูํ็์ำๆ": "",  # Thai
}
_FREQUENT_SYMBOLS = "’“”«»–—€…•\xa0°£§„、。「」（），！？"
_RARE_SYMBOLS = "‘©®™²³½¼¾·¿¡ºª×±µ÷‹›†‡¢¥‰№−≤≥；：・"
_BETWEEN_LETTERS = "’‘\xa0·-"
_OPENING = "«“„‘¿¡"
_NOT_BESIDE_LETTERS = "€£¢¥½¼¾÷×±"
_ONE_LETTER_WORDS = "àéèêòóôyáíîâåöøüоаивсукяіζόήηοאב"
_ELISIONS = re.compile(r"(?:^|\W)(?:[cdjlmnst]|qu|(?:jus|lors|puis|quoi|pres)qu|aujourd)$", re.IGNORECASE)
_CONTRACTIONS = re.compile(r"(?:s|t|d|m|ll|re|ve)(?!\w)", re.IGNORECASE)

# Encodings, each with a handicap: by how much it must be better than others to be believed.
_CANDIDATES = {
    "cp1252": 0.0,
    "iso8859-15": 0.5,
    "mac-roman": 1.5,
    "cp850": 1.5,
    "cp858": 2.0,
    "cp1250": 1.5,
    "iso8859-2": 2.5,
    "cp852": 3.0,
    "cp1254": 2.0,
    "cp1257": 2.5,
    "cp1251": 0.5,
    "koi8-r": 1.5,
    "koi8-u": 2.0,
    "cp866": 2.0,
    "iso8859-5": 2.5,
    "cp1253": 2.0,
    "iso8859-7": 2.5,
    "cp1255": 2.0,
    "cp1256": 2.0,
    "cp874": 3.0,
    "cp932": 1.0,
    "euc_jp": 1.5,
    "gb18030": 1.0,
    "big5": 1.5,
    "cp949": 1.5,
}
# Standards and the first bytes of their frequent characters, to tell apart encodings that decode the same bytes.
_FREQUENT_BYTES = {
    "cp932": ("euc_jp", 0xB0, 0xCF),
    "euc_jp": ("euc_jp", 0xB0, 0xCF),
    "gb18030": ("gb2312", 0xB0, 0xD7),
    "big5": ("big5", 0xA4, 0xC6),
    "cp949": ("euc_kr", 0xB0, 0xC8),
}
_EAST_ASIAN = "\u3000"  # the first character of East Asian punctuation, kana and ideographs
_SAMPLE_BYTES, _SMALL_SAMPLE_BYTES = 16_000, 2000
_NEAR_ODDNESS = 1.0  # more than the best: codecs that are judged by a large sample after a small one
_MIN_BYTES = 4  # of a text without ASCII letters
_MAX_ODDNESS = 3.2  # of a text that is believed
_MAX_ODDNESS_OF_FEW = 5.0  # of a text in ASCII with a few other characters, such as a rare symbol
_MANY_ASCII = 0.95
_OTHER_LANGUAGE_COST = 1.0  # of a character in the alphabet of another language than the text's
_CONTEXT = 7  # characters before and after one that are looked at

_MAX_CONTROLS = 0.02  # of the characters of a text
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # without white space and ESC, which terminals print
_UNCERTAIN_WORD = re.compile(rb"[^\s\x80-\xff]*+[\x80-\xff]\S*+")  # a word with a character that is not ASCII
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def guess_encoding(data: bytes) -> str | None:
    """Return the codec that most likely wrote these bytes, None if no codec makes a text of them."""
    if is_binary(data) or (len(data) < _MIN_BYTES and not re.search(rb"[A-Za-z]", data)):
        return None
    ascii_share = sum(byte < 0x80 for byte in data[:_SAMPLE_BYTES]) / len(data[:_SAMPLE_BYTES])
    limit = _MAX_ODDNESS_OF_FEW if ascii_share >= _MANY_ASCII else _MAX_ODDNESS
    judged = _judge_candidates(data, _CANDIDATES, _SMALL_SAMPLE_BYTES)
    if len(data) > _SMALL_SAMPLE_BYTES and judged:
        best = judged[0][0]
        near = [codec for oddness, codec in judged if oddness <= best + _NEAR_ODDNESS]
        judged = _judge_candidates(data, near, _SAMPLE_BYTES) or judged
    for oddness, codec in judged:
        if oddness <= limit and can_decode(data, codec):
            return codec
    return None


def is_binary(data: bytes) -> bool:
    """Return True if there are too many control characters for a text."""
    return len(_CONTROLS.findall(data)) > _MAX_CONTROLS * len(data)


def can_decode(data: bytes, codec: str) -> bool:
    """Return True if all bytes have a meaning in an encoding."""
    try:
        data.decode(codec)
    except UnicodeError:
        return False
    return True


def _choose_sample(data: bytes, size: int) -> bytes:
    """Return lines from all over a text that have characters beyond ASCII, about as many as have this size."""
    if len(data) <= size:
        return data
    lines = [line for line in data.split(b"\n") if not line.isascii()]
    sample = b"\n".join(lines[:: max(1, sum(map(len, lines)) // size)])
    return sample if len(sample) <= 2 * size else sample[:size]


def _judge_candidates(data: bytes, codecs_to_judge: Iterable[str], size: int) -> list[tuple[float, str]]:
    """Return the codecs that can decode a sample of a text, the most likely one first, each with its oddness."""
    sample = _choose_sample(data, size)
    language = identify_language(_UNCERTAIN_WORD.sub(b" ", sample).decode("ascii"))
    judged = []
    for codec in codecs_to_judge:
        try:
            # The sample may end in the middle of a character.
            text = codecs.getincrementaldecoder(codec)().decode(sample, final=len(sample) == len(data))
        except UnicodeError:
            continue
        count = len(_NOT_ASCII.findall(text))
        judged.append((compute_oddness(text, codec, language) + _CANDIDATES[codec] / max(count, 1), codec))
    return sorted(judged)


def compute_oddness(text: str, codec: str = "", language: str | None = None) -> float:
    """Return how odd the characters of a text are that are not ASCII: their mean cost, 1 to 3 in a usual text.

    Args:
        text: The text.
        codec: The codec that decoded it, which says what characters of East Asian scripts are frequent.
        language: The language of its ASCII words, None if it is uncertain.
    """
    places = Counter(
        (text[max(match.start() - _CONTEXT, 0) : match.start()], match[0], text[match.end() : match.end() + _CONTEXT])
        for match in _NOT_ASCII.finditer(text[:_SAMPLE_BYTES])
    )
    if not places:
        return 0.0
    cost = sum(count * _compute_place_cost(*place, language) for place, count in places.items())
    characters = Counter[str]()
    for (_, character, _), count in places.items():
        characters[character.lower()[:1]] += count
    cost += min(
        sum(count * _compute_character_cost(character, alphabet, codec) for character, count in characters.items())
        + _OTHER_LANGUAGE_COST * (language is not None and language not in languages) * sum(characters.values())
        for alphabet, languages in _ALPHABETS.items()
    )
    # A single Cyrillic letter or Chinese full stop in a Latin text is rather another character in another encoding.
    foreign = sum(
        count for character, count in characters.items() if _is_foreign_letter(character) or character >= _EAST_ASIAN
    )
    if foreign and sum(character.isascii() and character.isalpha() for character in text) > foreign:
        cost += 2.0 * foreign
    return cost / sum(places.values())


@cache
def _compute_character_cost(character: str, alphabet: str, codec: str) -> float:
    rank = alphabet.find(character)
    if rank >= 0:
        return 0.5 + 2.5 * rank / len(alphabet)
    if character in _FREQUENT_SYMBOLS:
        return 1.5
    if character in _RARE_SYMBOLS:
        return 3.0
    if character.isalpha():
        return _compute_east_asian_cost(character, codec) if codec in _FREQUENT_BYTES else 5.0
    return 7.0 if character.isprintable() else 12.0


def _compute_east_asian_cost(character: str, codec: str) -> float:
    if "\u3040" <= character <= "\u30ff":
        return 0.5 if codec in ("cp932", "euc_jp") else 2.0
    standard, first, last = _FREQUENT_BYTES[codec]
    try:
        is_frequent = first <= character.encode(standard)[0] <= last
    except UnicodeEncodeError:
        is_frequent = False
    if is_frequent and "\uac00" <= character <= "\ud7a3":
        return 0.6
    return 1.2 if is_frequent else 4.5


def _compute_place_cost(before: str, character: str, after: str, language: str | None) -> float:
    left, right = before[-1:], after[:1]
    if character.isalpha():
        return _compute_letter_cost(left, character, right)
    if left.isalpha() and right.isalpha():
        if character == "’":
            return 0.0 if _ELISIONS.search(before) or _CONTRACTIONS.match(after) else 2.5
        if character in "–—":
            return 0.5 if language == "en" else 3.0
        return 0.0 if character in _BETWEEN_LETTERS else 5.0
    if character in _NOT_BESIDE_LETTERS and (left.isalpha() or right.isalpha()):
        return 4.0
    if character in "€£" and not any(map(str.isdigit, before + after)):
        return 2.0
    if character in "–—" and left.isalpha() != right.isalpha() and (left.isspace() or right.isspace()):
        return 2.0
    if character == "…" and left == " " and right.isspace():
        return 1.5
    return 2.0 if character in _OPENING and left.isalnum() else 0.0


def _compute_letter_cost(left: str, character: str, right: str) -> float:
    if _is_foreign_letter(character):
        cost = 6.0 * (_is_latin_letter(left) or _is_latin_letter(right))
        cost += 4.0 * (character == "ς" and right.isalpha()) + (character.isupper() and left.isupper())
    else:
        is_word = not left.isalpha() and not right.isalpha()
        cost = 3.0 * (is_word and character.lower() not in _ONE_LETTER_WORDS)
    if character == left and not _is_foreign_letter(character):
        cost += 3.0
    if character.isupper() and left.islower():
        cost += 5.0
    if character.islower() and left.isupper() and right.isupper():
        cost += 5.0
    if character.isupper() and left.isupper() and right.islower():
        cost += 3.0
    return cost + 2.0 * (left.isdigit() or right.isdigit())


def _is_latin_letter(character: str) -> bool:
    return character.isalpha() and (character < "\u0250" or "\u1e00" <= character <= "\u1eff")


def _is_foreign_letter(character: str) -> bool:
    return character.isalpha() and not _is_latin_letter(character)
