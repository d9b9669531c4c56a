"""Separators and month names of languages, for formats that name one by its Windows code (MS-LCID)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Locale:
    """Conventions of a language.

    Attributes:
        decimal: The decimal mark.
        group: The mark between groups of three digits, "" to write numbers without groups.
        months: Names of the months.
        days: Names of the days, from Monday.
    """

    decimal: str
    group: str
    months: tuple[str, ...]
    days: tuple[str, ...]

    def shorten_name(self, name: str) -> str:
        """Return the short form of a month or a day."""
        return _SHORT_NAMES.get(name, name[:3])


def _read_names(names: str) -> tuple[str, ...]:
    return tuple(names.split())


_SHORT_NAMES = {
    "janvier": "janv.", "février": "févr.", "mars": "mars", "avril": "avr.", "mai": "mai", "juin": "juin",
    "juillet": "juil.", "août": "août", "septembre": "sept.", "octobre": "oct.", "novembre": "nov.",
    "décembre": "déc.", "lundi": "lun.", "mardi": "mar.", "mercredi": "mer.", "jeudi": "jeu.", "vendredi": "ven.",
    "samedi": "sam.", "dimanche": "dim.",
}  # fmt: skip

_ENGLISH = (
    _read_names("January February March April May June July August September October November December"),
    _read_names("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
)
_FRENCH = (
    _read_names("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
    _read_names("lundi mardi mercredi jeudi vendredi samedi dimanche"),
)
_GERMAN = (
    _read_names("Januar Februar März April Mai Juni Juli August September Oktober November Dezember"),
    _read_names("Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag"),
)
_SPANISH = (
    _read_names("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"),
    _read_names("lunes martes miércoles jueves viernes sábado domingo"),
)
_ITALIAN = (
    _read_names("gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre"),
    _read_names("lunedì martedì mercoledì giovedì venerdì sabato domenica"),
)

# By the primary language, the low ten bits of the code.
_LANGUAGES = {
    0x07: (",", ".", *_GERMAN),
    0x09: (".", ",", *_ENGLISH),
    0x0A: (",", ".", *_SPANISH),
    0x0C: (",", " ", *_FRENCH),
    0x10: (",", ".", *_ITALIAN),
}
_LANGUAGE_CODES = {"de": 0x07, "en": 0x09, "es": 0x0A, "fr": 0x0C, "it": 0x10}
_SWISS = {0x0807, 0x100C, 0x0810}


def find_locale(code: int, language: str, *, has_fraction: bool = False) -> Locale:
    """Return the conventions of a Windows language code.

    Args:
        code: The code, 0 for none. Without one, the conventions are those of the workbook's language.
        language: ISO 639-1 code of the workbook's language, "" if it is in doubt. Then numbers have a decimal point.
        has_fraction: True if the number has decimal places. In a workbook whose language is in doubt, other numbers
            have no groups: a reader could take "1,234" for a fraction, but not "1,234.00".
    """
    primary = code & 0x3FF or _LANGUAGE_CODES.get(language, 0)
    if primary in _LANGUAGES:
        decimal, group, months, days = _LANGUAGES[primary]
        if code in _SWISS:
            decimal, group = ".", "’"
        return Locale(decimal=decimal, group=group, months=months, days=days)
    months, days = _ENGLISH
    return Locale(decimal=".", group="," if has_fraction else "", months=months, days=days)
