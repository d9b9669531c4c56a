"""Times of day with their zones, and durations written like them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from langchain_gptoss.text.quantities.folding import FoldedSentence
from langchain_gptoss.text.quantities.model import Quantity, create_amount

_ZONES = {
    "utc": 0,
    "gmt": 0,
    "wet": 0,
    "west": 60,
    "cet": 60,
    "cest": 120,
    "eet": 120,
    "eest": 180,
    "est": -300,
    "edt": -240,
    "cst": -360,
    "cdt": -300,
    "mst": -420,
    "mdt": -360,
    "pst": -480,
    "pdt": -420,
    "jst": 540,
}
_TIME_WORDS = frozenset(
    "noon midday midi midnight minuit clock am pm past heure heures morning evening night".split()  # noqa: SIM905
)
_ZONE = re.compile(
    r" ?\(?(?:(?P<offset>(?:utc|gmt) ?[+-] ?\d{1,2}(?::?\d{2})?)|(?P<name>utc|gmt|wet|west|cet|cest|eet"
    r"|eest|est|edt|cst|cdt|mst|mdt"
    r"|pst|pdt|jst|bst|ist|et|pt)(?!\w)|(?P<zulu>z)(?!\w)|(?:,? ?(?:heure (?:de |d')?(?P<french>[a-z]+)"
    r"|(?P<english>[a-z]+(?: york)?) time)(?!\w)))\)?"
)
_HOUR_WORDS = {
    word: value
    for words in (
        "one two three four five six seven eight nine ten eleven twelve",
        "une deux trois quatre cinq six sept huit neuf dix onze douze",
    )
    for value, word in enumerate(words.split(), 1)
}
_WORDS = "|".join(sorted(_HOUR_WORDS, key=len, reverse=True))
_HALF_DAY = r"a\.m\.?|p\.m\.?|am|pm"
_PART = (
    r"(?: (?:(?P<evening>in the (?:afternoon|evening)|at night|tonight|du soir|de l'apres-midi)"
    r"|(?P<morning>in the morning|du matin|de la nuit)))?"
)
_MINUTES = r"[0-5]\d"
_TIME = re.compile(
    rf"(?<![\w.,:/'$€£])(?<![^\dmh. ]-)(?:(?P<hour>\d{{1,2}})(?P<mark>[:.])"
    rf"(?P<minute>{_MINUTES})"
    rf"(?::(?P<second>{_MINUTES}))?(?![\d]|[:.,]\d)(?: ?(?P<half>{_HALF_DAY})(?!\w)"
    rf"|(?P<hours> ?(?:h|hours?|heures?|hrs?)(?!\w)))?"
    rf"|(?P<hour2>\d{{1,2}}|{_WORDS})(?: ?(?P<half2>{_HALF_DAY})(?!\w)| ?o'clock|(?= (?:in the (?:morning"
    rf"|afternoon|evening)|at night)(?!\w))))" + _PART
)
_NO_MINUTES = r"(?!\w|[.,]\d| ?[%€]| (?:personnes|euros|jours|km|kg|m)\b)"  # what follows another number
_H_FORM = re.compile(
    rf"(?<![\w.,:/'$€£])(?<![^\dmh. ]-)(?P<hour>\d{{1,2}}|(?:{_WORDS})(?= heures?))"
    rf"(?: ?h ?(?P<minute>{_MINUTES})(?: ?(?:min|mn|minutes?)\b)?{_NO_MINUTES}| ?h(?:rs?)?(?!\w)"
    rf"| heures?(?: (?P<minute2>{_MINUTES})(?: ?(?:min|mn|minutes?)\b)?{_NO_MINUTES}|(?P<demi> et demie))?(?!\w))"
    + _PART
)
_NAMED = re.compile(r"\b(?:12(?::00)? )?(?:(?P<noon>noon|midday|midi)|(?P<midnight>midnight|minuit))\b")
_HALF_PAST = re.compile(
    rf"\b(?P<what>half|quarter) (?P<past>past|to) (?P<hour>{_WORDS}|\d{{1,2}})(?!\w)(?: ?(?P<half>{_HALF_DAY}))?"
    + _PART
)
_TIME_CONTEXT = re.compile(
    r"(?:(?<!jusqu')\b(?:a|at|vers|des|dès|avant|apres|before|after|until|till|by|since|depuis|entre"
    r"|between|around|open|ouvert|ouverte|ferme|fermee"
    r"|horaires?|matin|soir|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche)[ :]+|jusqu'a "
    r"|a partir de |\d{1,2} ?h(?: ?\d\d)? ?(?:-|a|et) ?|[(:] ?)$"
)
_TIME_AFTER = re.compile(r" ?(?:-|a|et) ?\d{1,2} ?(?:h|heures)(?![a-z])")
_DURATION_CONTEXT = re.compile(
    r"\b(?:dure|durent|duree|duree est|pendant|en|sous|for|in|within|takes?|lasts?|environ|de|d'|about"
    r"|plus de|moins de|total|totale|toutes les|every|les)"
    r"(?: (?:de|d'environ|environ|est de|about|est d'|:))?[ ]?$"
)
_DURATION_AFTER = re.compile(
    r" ?(?:/|\+|(?:par|per|an?|de|of|avant|apres|before|after|minimum|maximum|min|max|au moins|au plus"
    r"|hebdo\w*|mensuel\w*|consecutive\w*"
    r"|ou plus|ou moins|et plus|plus tard|later|par jour) ?\b|d')"
)
_RANGE_AFTER = re.compile(
    r" ?(?:-|to|until|till) ?(?P<hour>\d{1,2})(?:[:.](?P<minute>[0-5]\d))? ?(?P<half>a\.?m\.?|p\.?m\.?)(?!\w)"
)
_BARE_HOUR = re.compile(
    r"(?<![\w.,:/'$€£-])(?P<hour>\d{1,2})(?=(?: ?- ?| to )\d{1,2}(?:[:.]\d\d)? ?(?:a\.m|p\.m|am\b|pm\b))"
)


def find_times(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    """Yield the times of day of a text, and durations such as "30:15".

    Args:
        sentence: The folded text.
        text: Its lower-case form in which what was found before is blank.
    """
    if not (sentence.has_digit or sentence.vocabulary & _TIME_WORDS):
        return
    taken: list[tuple[int, int]] = []
    for finder in (_find_clock_times, _find_h_forms, _find_named_times):
        for quantity in finder(sentence, text):
            if not any(quantity.start < end and start < quantity.end for start, end in taken):
                taken.append((quantity.start, quantity.end))
                yield _add_zone(text, quantity) if quantity.kind == "time" else quantity


def _find_clock_times(_: FoldedSentence, text: str) -> Iterator[Quantity]:
    for match in _HALF_PAST.finditer(text):
        hour, half = _read_hour(match["hour"]), _read_half(match, match["half"])
        minutes = 30 if match["what"] == "half" else 15
        value = _convert_to_24h(hour, half) * 60 + (minutes if match["past"] == "past" else -minutes)
        yield _create_time(match.start(), match.end(), value, meridiem=half or "12")
    for match in _BARE_HOUR.finditer(text):
        after = _RANGE_AFTER.match(text, match.end())
        if after and 1 <= int(match["hour"]) <= 12:
            half = after["half"][0] + "m"
            first, second = int(match["hour"]) % 12, int(after["hour"]) % 12
            if half == "pm" and first > second:
                half = "am"  # 9 to 5 pm
            yield _create_time(
                match.start(), match.end(), _convert_to_24h(int(match["hour"]), half) * 60, meridiem=half
            )
    for match in _TIME.finditer(text):
        if match["hour2"]:
            hour, half = _read_hour(match["hour2"]), _read_half(match, match["half2"])
            if 0 <= hour <= 12:
                value = _convert_to_24h(hour, half) * 60
                yield _create_time(match.start(), match.end(), value, meridiem=half or "12")
            continue
        quantity = _read_colon_time(match)
        if quantity is not None:
            yield quantity


def _read_colon_time(match: re.Match[str]) -> Quantity | None:
    hour, minute = int(match["hour"]), int(match["minute"])
    half = _read_half(match, match["half"])
    if match["mark"] == "." and not half:
        return None
    if match["hours"] or hour > 24:
        seconds = hour * 3600 + minute * 60 + int(match["second"] or 0)
        written = match[0].removesuffix(match["hours"] or "").strip()
        return create_amount(match.start(), match.end(), Fraction(seconds, 3600), unit="hour", written=written)
    value = Fraction(_convert_to_24h(hour, half) * 60 + minute) + Fraction(int(match["second"] or 0), 60)
    return _create_time(match.start(), match.end(), value, meridiem=half)


def _find_h_forms(_: FoldedSentence, text: str) -> Iterator[Quantity]:
    for match in _H_FORM.finditer(text):
        hour = _read_hour(match["hour"])
        minute = int(match["minute"] or match["minute2"] or (30 if match["demi"] else 0))
        half = "pm" if match["evening"] else "am" if match["morning"] else ""
        before, start, end = text[max(0, match.start() - 20) : match.start()], match.start(), match.end()
        is_time = bool(half or _TIME_CONTEXT.search(before) or _TIME_AFTER.match(text, end))
        duration = Fraction(hour * 60 + minute)
        is_counted = not is_time and bool(_DURATION_AFTER.match(text, end))
        if (
            hour > 24
            or is_counted
            or (_DURATION_CONTEXT.search(before) and not _TIME_AFTER.match(text, end) and not half)
        ):
            yield create_amount(start, end, duration / 60, unit="hour", written=match["hour"] if not minute else "")
            continue
        value = duration if not half else Fraction(_convert_to_24h(hour, half) * 60 + minute)
        yield _create_time(start, end, value, meridiem=half, duration=None if is_time else duration)


def _find_named_times(_: FoldedSentence, text: str) -> Iterator[Quantity]:
    for match in _NAMED.finditer(text):
        is_noon = bool(match["noon"])
        if text[match.end() : match.end() + 1] == "-" or text[match.start() - 1 : match.start()] == "-":
            continue  # "après-midi"
        yield _create_time(match.start(), match.end(), Fraction(720 if is_noon else 0), meridiem="")


def _create_time(start: int, end: int, minutes: Fraction | int, **attributes: object) -> Quantity:
    value = Fraction(minutes) % 1440
    return create_amount(start, end, value, kind="time", **attributes)


def _read_hour(text: str) -> int:
    return int(text) if text.isdigit() else _HOUR_WORDS[text]


def _read_half(match: re.Match[str], written: str | None) -> str:
    if written:
        return f"{written[0]}m"
    return "pm" if match["evening"] else "am" if match["morning"] else ""


def _convert_to_24h(hour: int, half: str) -> int:
    if half == "pm":
        return hour % 12 + 12 if hour <= 12 else hour
    return hour % 12 if half == "am" and hour == 12 else hour


def _add_zone(text: str, quantity: Quantity) -> Quantity:
    match = _ZONE.match(text, quantity.end)
    if not match:
        return quantity
    place = match["french"] or match["english"]
    if place in ("of", "the", "this", "that", "same", "first", "full", "part", "de", "d", "every", "any", "at", "some"):
        return quantity
    if (
        match["name"] in ("est", "et", "pt")
        and not text[match.end() :].lstrip().startswith((".", ",", ")", ";"))
        and text[match.end() :].strip()
    ):
        return quantity  # French "est" and "et"
    if match["offset"]:
        zone = _read_offset(match["offset"])
    elif match["zulu"] or match["name"] in _ZONES:
        zone = str(0 if match["zulu"] else _ZONES[match["name"]])
    else:
        zone = match["name"] or place
    zone = "local" if zone in ("locale", "local") else zone
    return quantity.change(end=match.end(), zone=zone)


def _read_offset(offset: str) -> str:
    match = re.search(r"([+-]) ?(\d{1,2}):?(\d{2})?", offset)
    if not match:
        return "0"
    minutes = int(match[2]) * 60 + int(match[3] or 0)
    return str(-minutes if match[1] == "-" else minutes)
