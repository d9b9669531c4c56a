"""Finds personal data and secrets in French and English text, and puts placeholders in their place.

By patterns and checksums, not by a model: it takes well under a millisecond and never looks anything up. It finds what
has a form (addresses, numbers, keys); names, postal addresses and what a sentence says of somebody have none.
What only looks like it stays: prices, dates, article numbers, order numbers, versions, SIREN and SIRET.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_gptoss.audit.checksums import (
    iban_in,
    is_card,
    is_iban,
    is_ipv4,
    is_ipv6,
    is_nir,
    is_phone,
)
from langchain_gptoss.errors import InvalidInputError

_GAP = "[ .\u00a0\u202f-]"

_SECRETS = (
    r"-----BEGIN (?P<pem>[A-Z ]{0,30}PRIVATE KEY)-----.{1,8000}?-----END (?P=pem)-----"
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"
    r"|\b(?:sk|pk|rk)[-_](?:[A-Za-z]{2,10}[-_]){0,2}[A-Za-z0-9_-]{16,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{30,}|\bglpat-[\w-]{18,}"
    r"|\bhf_[A-Za-z0-9]{28,}|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[\w-]{35}|\bxox[abeprs]-[\w-]{10,}"
)
# A word that announces a secret, then a value that mixes letters and digits: "password: required" stays.
_ANNOUNCED = (
    r"(?i:\b(?:bearer|(?:pass(?:word|wd|phrase)|pwd|mot de passe|mdp|api[ _-]?key|clé (?:d['’])?api|secret(?:[ _-]key)?"
    r"|(?:access|auth|refresh)?[ _-]?token|jeton)(?:\s{0,3}[:=]|\s(?:is|est)\b))\s{0,3}[\"'«]?\s?)"
    r"(?P<value>(?!\[[a-z_]+-[0-9]+\])(?=[^\s\"'»]{0,80}[0-9])(?=[^\s\"'»]{0,80}[A-Za-z])[^\s\"'»,;&]{6,200})"
)
_EMAIL = r"(?<![\w.+%-])\w[\w.+%-]{0,63}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])"
_CREDENTIALS = r"(?<=://)(?P<value>[^\s/@:\"'<>]{1,128}:[^\s/@\"'<>]{1,256})(?=@)"
_IBAN = r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ \u00a0\u202f-]?[A-Za-z0-9]){11,32}"
_NIR = (
    rf"(?<![0-9])[1-478]{_GAP}?[0-9]{{2}}{_GAP}?[0-9]{{2}}{_GAP}?(?:[0-9]{{2}}|2[ABab]){_GAP}?[0-9]{{3}}{_GAP}?"
    rf"[0-9]{{3}}{_GAP}?[0-9]{{2}}(?![0-9])"
)
_CARD = (
    r"(?<![0-9.,-])(?:[0-9]{15,16}|[0-9]{4}(?:(?P<gap>[ \u00a0\u202f-])[0-9]{4})(?:(?P=gap)[0-9]{4}){2}"
    r"|3[47][0-9]{2}[ \u00a0\u202f-][0-9]{6}[ \u00a0\u202f-][0-9]{5})(?![0-9]|[.,-][0-9])"
)
_PHONE = (
    r"(?<![\w+.,/-])(?=[+(0-9])(?:"
    rf"(?:(?:\+|00)33{_GAP}?(?:\(0\){_GAP}?)?[1-9]|0[1-79])(?:{_GAP}?[0-9]{{2}}){{4}}"
    rf"|\+33{_GAP}?[1-9][0-9]{{2}}(?:{_GAP}[0-9]{{3}}){{2}}"
    r"|(?:\+[1-9]|00 ?[1-9])(?:[ ./()\u00a0\u202f-]{0,2}[0-9]){7,14}"
    r"|\([2-9][0-9]{2}\)[ -]?[2-9][0-9]{2}-[0-9]{4}"
    r"|[2-9][0-9]{2}(?P<dash>[-.])[2-9][0-9]{2}(?P=dash)[0-9]{4}"
    r"|07[0-9]{3} ?[0-9]{6}|020 ?[0-9]{4} ?[0-9]{4}"
    r")(?![\w]|[.,/-][0-9])"
)
_IPV4 = r"(?<![\w.-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w-]|\.[0-9])"
_IPV6 = r"(?<![\w:.])(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{4,39}(?:(?<=:)(?:[0-9]{1,3}\.){3}[0-9]{1,3})?(?![\w:])"

Check = Callable[[str, str, str], bool]  # the match, what stands before it, what stands after it


def _always(found: str, before: str, after: str) -> bool:
    return True


@dataclass(frozen=True)
class _Rule:
    """What to look for.

    Attributes:
        kind: The name in the placeholder.
        pattern: A group named `value` is what is replaced, else the whole match.
        check: Whether a match is what it looks like.
        hints: One of them stands in every text with a match, in lower case: most texts need no search.
        needs: Something that every text with a match has, or None.
    """

    kind: str
    pattern: re.Pattern[str]
    check: Check = _always
    hints: tuple[str, ...] = ()
    needs: re.Pattern[str] | None = None


_A_DIGIT = re.compile("[0-9]")
_A_NUMBER = re.compile(r"[0-9](?:[ .()/\u00a0\u202f-]{0,3}[0-9]){5}")  # no phone, card or NIR has fewer in a row


def _rule(
    kind: str,
    pattern: str,
    check: Check = _always,
    *,
    hints: str = "",
    needs: re.Pattern[str] | None = _A_DIGIT,
) -> _Rule:
    return _Rule(kind, re.compile(pattern, re.DOTALL), check, tuple(hints.split()), needs)


_FORMS_HINTS = "-----begin eyj sk- sk_ pk- pk_ rk- rk_ ghp_ gho_ ghu_ ghs_ ghr_ _pat_ glpat- hf_ akia asia aiza xox"
_ANNOUNCED_HINTS = "bearer pass pwd mdp key api secret token jeton"

# In this order: a key may hold an address, and an IBAN or a card what looks like a phone number.
_RULES = (
    _rule("secret", _SECRETS, hints=_FORMS_HINTS),
    _rule("secret", _ANNOUNCED, hints=_ANNOUNCED_HINTS),
    _rule("credentials", _CREDENTIALS, hints="://", needs=None),
    _rule("email", _EMAIL, hints="@", needs=None),
    _rule("iban", _IBAN, is_iban),
    _rule("nir", _NIR, is_nir, needs=_A_NUMBER),
    _rule("card", _CARD, is_card, needs=_A_NUMBER),
    _rule("phone", _PHONE, is_phone, needs=_A_NUMBER),
    _rule("ip", _IPV4, is_ipv4, hints="."),
    _rule("ip", _IPV6, is_ipv6, hints=":"),
)
KINDS = tuple(dict.fromkeys(rule.kind for rule in _RULES))
_NEAR = 40  # characters before and after a match that a check sees
_SPACED = frozenset({"iban", "nir", "card", "phone"})  # the same with other spaces
_CHARACTER_GAPS = re.compile("[ .()/\u00a0\u202f-]")


class Masker:
    """Replaces personal data by placeholders such as `[email-1]`; the same value has the same one within a record.

    Example:
        .. code-block:: python

            Masker().mask("Write to ada@example.org or call 06 12 34 56 78.")
            # 'Write to [email-1] or call [phone-1].'
    """

    def __init__(
        self,
        *,
        kinds: Iterable[str] = KINDS,
        patterns: Mapping[str, str | re.Pattern[str]] | None = None,
    ) -> None:
        """Compiles the patterns.

        Args:
            kinds: Which of `KINDS` to look for.
            patterns: More of them, by kind: `{"employee": r"EMP-[0-9]{5}"}`. They go first. A group named `value`
                masks that part of a match alone.

        Raises:
            InvalidInputError: An unknown kind, a name that is not a word, or a pattern that is not one.
        """
        wanted = list(kinds)
        if unknown := [kind for kind in wanted if kind not in KINDS]:
            raise InvalidInputError(f"Unknown kind {unknown[0]!r}. There are {', '.join(KINDS)}.")
        own = []
        for kind, pattern in (patterns or {}).items():
            if not re.fullmatch(r"[a-z][a-z_]{0,30}", kind):
                raise InvalidInputError(f"{kind!r} cannot name a kind: use lower-case letters, as in 'employee'.")
            own.append(_Rule(kind, _compiled(kind, pattern)))
        self._rules = (*own, *(rule for rule in _RULES if rule.kind in wanted))

    def mask(self, text: str, seen: dict[tuple[str, str], str] | None = None) -> str:
        """Returns a text with placeholders.

        Args:
            text: Any text.
            seen: Values and their placeholders so far, where several texts belong together; it is added to.
        """
        seen = {} if seen is None else seen
        lowered = text.lower()
        has = {pattern: pattern.search(text) is not None for pattern in (_A_DIGIT, _A_NUMBER)}
        for rule in self._rules:
            if (rule.needs is None or has[rule.needs]) and (
                not rule.hints or any(hint in lowered for hint in rule.hints)
            ):
                text = _substituted(text, rule, seen)
        return text

    def mask_all(
        self, value: Any, *, keep: Collection[str] = (), seen: dict[tuple[str, str], str] | None = None
    ) -> Any:
        """Returns a value of dicts, lists and texts with every text masked.

        Args:
            value: What to mask; numbers and the like stay.
            keep: Keys whose values stay as they are, wherever they stand.
            seen: As for `mask`.
        """
        seen = {} if seen is None else seen
        if isinstance(value, str):
            return self.mask(value, seen)
        if isinstance(value, Mapping):
            return {k: v if k in keep else self.mask_all(v, keep=keep, seen=seen) for k, v in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
            return [self.mask_all(each, keep=keep, seen=seen) for each in value]
        return value


def _compiled(kind: str, pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InvalidInputError(f"The pattern of {kind!r} is not a regular expression: {error}.") from error


def _substituted(text: str, rule: _Rule, seen: dict[tuple[str, str], str]) -> str:
    pieces: list[str] = []
    done = place = 0
    whole = "value" not in rule.pattern.groupindex
    while place <= len(text) and (match := rule.pattern.search(text, place)) is not None:
        start, end = match.span() if whole else match.span("value")
        if rule.check is is_iban:
            end = start + len(iban_in(match[0]))
        place = match.start() + 1  # what only looks like it may hide the beginning of what is
        around = text[max(0, start - _NEAR) : start], text[end : end + _NEAR]
        if 0 <= start < end and rule.check(text[start:end], *around):
            pieces += [text[done:start], _placeholder(rule.kind, text[start:end], seen)]
            done = place = end
    return "".join(pieces) + text[done:]


def _placeholder(kind: str, found: str, seen: dict[tuple[str, str], str]) -> str:
    same = found.lower() if kind in {"email", "ip"} else found
    same = _CHARACTER_GAPS.sub("", found).upper() if kind in _SPACED else same
    count = sum(1 for other, _ in seen if other == kind)
    return seen.setdefault((kind, same), f"[{kind}-{count + 1}]")
