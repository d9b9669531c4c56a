"""Masking of personal data and secrets in French and English text: replaces them by placeholders.

It uses patterns and checksums, not a model, takes about a millisecond, and needs no network. It finds data with a
fixed form (addresses, numbers, keys), but not names, postal addresses, or facts about a person in a sentence. Similar
text stays: prices, dates, article numbers, order numbers, versions, SIREN and SIRET.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from langchain_gptoss.audit.announced_secrets import (
    ANNOUNCED_PASSWORD,
    ANNOUNCED_PIN,
    ANNOUNCED_TOKEN,
    PASSPHRASE,
    PASSWORD_HINTS,
    PIN_HINTS,
    QUOTED_PASSWORD,
    TOKEN_HINTS,
    is_announced_password,
    is_announced_pin,
    is_passphrase,
)
from langchain_gptoss.audit.checksums import (
    cut_iban,
    is_card,
    is_iban,
    is_ipv4,
    is_ipv6,
    is_nir,
)
from langchain_gptoss.audit.phone_numbers import (
    ANNOUNCED_PHONE,
    PHONE,
    PHONE_HINTS,
    is_announced_phone,
    is_phone,
)
from langchain_gptoss.audit.span_decoding import Span
from langchain_gptoss.errors import InvalidInputError

_SECRETS = (
    r"\bgptoss-(?=[0-9_-]{0,42}[A-Za-z])(?=[a-z0-9_-]{0,42}[A-Z])[A-Za-z0-9_-]{43,}"
    r"|-----BEGIN (?P<pem>[A-Z ]{0,30}PRIVATE KEY)-----.{1,8000}?-----END (?P=pem)-----"
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"
    r"|\b(?:sk|pk|rk)[-_](?:[A-Za-z]{2,10}[-_]){0,2}[A-Za-z0-9_-]{16,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{30,}|\bglpat-[\w-]{18,}"
    r"|\bhf_[A-Za-z0-9]{28,}|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[\w-]{35}|\bxox[abeprs]-[\w-]{10,}"
    r"|\bnpm_[A-Za-z0-9]{36}|\bpypi-[\w-]{50,}|\bSG\.[\w-]{20,}\.[\w-]{20,}|\bya29\.[\w-]{20,}|\bgsk_[A-Za-z0-9]{40,}"
)
_EMAIL = r"(?<![\w.+%-])\w[\w.+%-]{0,63}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])"
_CREDENTIALS = r"(?<=://)(?P<value>[^\s/@:\"'<>]{1,128}:[^\s/@\"'<>]{1,256})(?=@)"
_IBAN = r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ \u00a0\u202f-]?[A-Za-z0-9]){11,32}"
_NIR_GAP = "[ ./\u00a0\u202f-]"
_NIR_NUMBER = (
    rf"[1-478]{_NIR_GAP}{{0,2}}[0-9]{{2}}{_NIR_GAP}{{0,2}}[0-9]{{2}}{_NIR_GAP}{{0,2}}(?:[0-9]{{2}}|2[ABab]){_NIR_GAP}{{0,2}}"
    rf"[0-9]{{3}}{_NIR_GAP}{{0,2}}[0-9]{{3}}"
)
_NIR_KEY = r"[\s./,;|–-]{0,3}(?:\(?(?i:cl[ée]f?|key)\s?(?::|=|est|is)?\s{0,2}|\(|\[)?[0-9]{2}(?![0-9])[)\]]?"
_NIR = rf"(?<![0-9]){_NIR_NUMBER}{_NIR_KEY}"
_ANNOUNCED_NIR = (
    r"(?i:(?<!\w)(?:nir|n[°º]?\s?ss|insee|s[ée]cu(?:rit[ée])?(?:\s+sociale)?|social\s+security(?:\s+number)?)"
    r"(?:\s+(?:is|est))?[\s:=(]{1,4})"
    rf"(?P<value>{_NIR_NUMBER}(?:{_NIR_KEY})?)(?![0-9])"
)
_CARD = (
    r"(?<![0-9.-])(?:[0-9]{15,16}|[0-9]{4}(?:(?P<gap>[ \u00a0\u202f-])[0-9]{4})(?:(?P=gap)[0-9]{4}){2}"
    r"|3[47][0-9]{2}[ \u00a0\u202f-][0-9]{6}[ \u00a0\u202f-][0-9]{5})(?![0-9]|[.-][0-9])"
)
_IPV4 = r"(?<![\w.-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w-]|\.[0-9])"
_IPV6 = r"(?<![\w:.])(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{4,39}(?:(?<=:)(?:[0-9]{1,3}\.){3}[0-9]{1,3})?(?![\w:])"

Check = Callable[[str, str, str], bool]
"""Takes a match, the text before it, in which earlier matches are masked, and the text after it."""


def _accept(match: str, before: str, after: str) -> bool:
    return True


@dataclass(frozen=True)
class _Rule:
    """A pattern for one kind of data.

    Attributes:
        kind: The name in the placeholder.
        pattern: If it has a group named `value`, that is masked; otherwise the whole match.
        check: Returns True if a match is real.
        hints: Every text with a match contains one of them, in lower case. Most texts contain none and are not
            searched.
        needs: Every text with a match has a match of this pattern too; None if there is no such pattern.
    """

    kind: str
    pattern: re.Pattern[str]
    check: Check = _accept
    hints: tuple[str, ...] = ()
    needs: re.Pattern[str] | None = None


_DIGIT = re.compile("[0-9]")
_LONG_NUMBER = re.compile(
    r"[0-9](?:[ .()/_\u00a0\u202f\u2010-\u2013-]{0,5}[0-9]){5}"
)  # phones, cards and NIR have more digits


def _make_rule(
    kind: str,
    pattern: str,
    check: Check = _accept,
    *,
    hints: Iterable[str] = (),
    needs: re.Pattern[str] | None = _DIGIT,
) -> _Rule:
    return _Rule(kind, re.compile(pattern, re.DOTALL), check, tuple(hints), needs)


_SECRET_HINTS = (
    *("gptoss-", "-----begin", "eyj", "sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    *("_pat_", "glpat-", "hf_", "akia", "asia", "aiza", "xox", "npm_", "pypi-", "sg.", "ya29", "gsk_"),
)
_NIR_HINTS = ("nir", "ss", "insee", "sécu", "secu", "social")

# The order matters: a key may contain an address, and an IBAN or a card number may look like a phone number.
_RULES = (
    _make_rule("secret", _SECRETS, hints=_SECRET_HINTS, needs=None),  # a random key may have no digit
    _make_rule("secret", ANNOUNCED_TOKEN, hints=TOKEN_HINTS, needs=None),
    _make_rule("secret", PASSPHRASE, is_passphrase, hints=("phrase",), needs=None),
    _make_rule("secret", QUOTED_PASSWORD, is_announced_password, hints=PASSWORD_HINTS, needs=None),
    _make_rule("secret", ANNOUNCED_PASSWORD, is_announced_password, hints=PASSWORD_HINTS, needs=None),
    _make_rule("secret", ANNOUNCED_PIN, is_announced_pin, hints=PIN_HINTS),
    _make_rule("credentials", _CREDENTIALS, hints=("://",), needs=None),
    _make_rule("email", _EMAIL, hints=("@",), needs=None),
    _make_rule("iban", _IBAN, is_iban),
    _make_rule("nir", _NIR, is_nir, needs=_LONG_NUMBER),
    _make_rule("nir", _ANNOUNCED_NIR, hints=_NIR_HINTS, needs=_LONG_NUMBER),
    _make_rule("card", _CARD, is_card, needs=_LONG_NUMBER),
    _make_rule("phone", PHONE, is_phone, needs=_LONG_NUMBER),
    _make_rule("phone", ANNOUNCED_PHONE, is_announced_phone, hints=PHONE_HINTS, needs=_LONG_NUMBER),
    _make_rule("ip", _IPV4, is_ipv4, hints=(".",)),
    _make_rule("ip", _IPV6, is_ipv6, hints=(":",)),
)
KINDS = tuple(dict.fromkeys(rule.kind for rule in _RULES))
CONTEXT_CHARACTERS = 40  # before and after a match, for its check
_KINDS_WITH_GAPS = frozenset({"iban", "nir", "card", "phone"})  # equal values may differ in spaces
_KINDS_OF_WORDS = frozenset({"person", "address"})  # equal values may differ in case and spaces
_PLACEHOLDER = re.compile(r"(\[[a-z_]+-[0-9]+\])")
_GAPS = re.compile(r"[^0-9A-Za-z+]")


class Detector(Protocol):
    """Finds personal data that has no fixed form, such as `PrivacyFilter`."""

    def find_spans(self, text: str) -> Sequence[Span]:
        """Return the data in a text; the labels of the spans name the placeholders.

        Args:
            text: A text in which the data that patterns find is already masked.
        """
        ...


class Masker:
    """Replaces personal data by placeholders such as `[email-1]`; equal values get the same one within a record.

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
        detectors: Sequence[Detector] = (),
    ) -> None:
        """Compile the patterns.

        Args:
            kinds: Kinds of data to mask, from `KINDS`.
            patterns: Patterns of your own by kind: `{"employee": r"EMP-[0-9]{5}"}`. They are applied first. A group
                named `value` limits masking to that part of a match.
            detectors: Models that find names and addresses, such as `PrivacyFilter.load()`. They read texts in which
                the other data is masked.

        Raises:
            InvalidInputError: A kind is unknown, the name of a kind is not a word, or a pattern is not a regular
                expression.
        """
        enabled_kinds = list(kinds)
        if unknown := [kind for kind in enabled_kinds if kind not in KINDS]:
            raise InvalidInputError(f"Unknown kind {unknown[0]!r}.", hint=f"The kinds are {', '.join(KINDS)}.")
        own_rules = []
        for kind, pattern in (patterns or {}).items():
            if not re.fullmatch(r"[a-z][a-z_]{0,30}", kind):
                raise InvalidInputError(
                    f"{kind!r} cannot name a kind.", hint="Use lower-case letters, such as 'employee'."
                )
            own_rules.append(_Rule(kind, _compile_pattern(kind, pattern)))
        self._detectors = tuple(detectors)
        self._rules = (*own_rules, *(rule for rule in _RULES if rule.kind in enabled_kinds))

    def mask(self, text: str, placeholders: dict[tuple[str, str], str] | None = None) -> str:
        """Return a text in which personal data is replaced by placeholders.

        Args:
            text: Any text.
            placeholders: Placeholders by kind and value, if several texts share them; new ones are added.
        """
        rules = _select_rules(self._rules, text)
        return self._mask_text(text, rules, {} if placeholders is None else placeholders)

    def mask_all(
        self, value: Any, *, keep: Collection[str] = (), placeholders: dict[tuple[str, str], str] | None = None
    ) -> Any:
        """Return a copy of nested dicts and lists in which every text is masked.

        Args:
            value: The value; numbers and other objects stay as they are.
            keep: Keys, at any depth, whose values stay as they are.
            placeholders: As in `mask`.
        """
        # The rules that have a hint somewhere: a record has many short texts, and few of the rules.
        rules = _select_rules(self._rules, "\n".join(_collect_texts(value, keep)))
        return self._mask_nested(value, keep, rules, {} if placeholders is None else placeholders)

    def _mask_nested(
        self, value: Any, keep: Collection[str], rules: Sequence[_Rule], placeholders: dict[tuple[str, str], str]
    ) -> Any:
        if isinstance(value, str):
            return self._mask_text(value, _select_rules(rules, value), placeholders)
        if isinstance(value, Mapping):
            return {
                key: item if key in keep else self._mask_nested(item, keep, rules, placeholders)
                for key, item in value.items()
            }
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
            return [self._mask_nested(item, keep, rules, placeholders) for item in value]
        return value

    def _mask_text(self, text: str, rules: Sequence[_Rule], placeholders: dict[tuple[str, str], str]) -> str:
        for rule in rules:
            text = _replace_matches(text, rule, placeholders)
        for detector in self._detectors:
            text = _replace_spans(text, detector.find_spans(text), placeholders)
        return text


def _select_rules(rules: Sequence[_Rule], text: str) -> list[_Rule]:
    """Return the rules that may have a match in a text."""
    lowered = text.lower()
    has = {pattern: pattern.search(text) is not None for pattern in (_DIGIT, _LONG_NUMBER)}
    return [
        rule
        for rule in rules
        if (rule.needs is None or has[rule.needs]) and (not rule.hints or any(map(lowered.__contains__, rule.hints)))
    ]


def _collect_texts(value: Any, keep: Collection[str]) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key not in keep:
                yield from _collect_texts(item, keep)
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        for item in value:
            yield from _collect_texts(item, keep)


def _compile_pattern(kind: str, pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InvalidInputError(f"The pattern of {kind!r} is not a regular expression: {error}.") from error


def _replace_matches(text: str, rule: _Rule, placeholders: dict[tuple[str, str], str]) -> str:
    pieces: list[str] = []
    done = position = 0
    masks_whole_match = "value" not in rule.pattern.groupindex
    while position <= len(text) and (match := rule.pattern.search(text, position)) is not None:
        start, end = match.span() if masks_whole_match else match.span("value")
        if rule.check is is_iban:
            end = start + len(cut_iban(match[0]))
        position = match.start() + 1  # a match that fails the check may overlap the start of a real one
        before = text[max(done, start - CONTEXT_CHARACTERS) : start]
        before = f"{pieces[-1]}{before}" if pieces and start - done < CONTEXT_CHARACTERS else before
        if 0 <= start < end and rule.check(text[start:end], before, text[end : end + CONTEXT_CHARACTERS]):
            pieces += [text[done:start], _get_placeholder(rule.kind, text[start:end], placeholders)]
            done = position = end
    return "".join(pieces) + text[done:]


def _replace_spans(text: str, spans: Sequence[Span], placeholders: dict[tuple[str, str], str]) -> str:
    """Return a text in which spans are masked; placeholders inside a span are kept."""
    pieces: list[str] = []
    done = 0
    for span in sorted(spans, key=lambda each: (each.start, each.end)):
        start, end = max(span.start, done), min(span.end, len(text))
        if start >= end:
            continue
        pieces.append(text[done:start])
        for part in _PLACEHOLDER.split(text[start:end]):
            value = part.strip()
            is_data = any(character.isalnum() for character in value) and not _PLACEHOLDER.fullmatch(part)
            placeholder = _get_placeholder(span.label, value, placeholders) if is_data else value
            pieces.append(part.replace(value, placeholder, 1) if value else part)
        done = end
    return "".join(pieces) + text[done:]


def _get_placeholder(kind: str, value: str, placeholders: dict[tuple[str, str], str]) -> str:
    """Return the placeholder of a value; emails that differ in case, or numbers that differ in spaces, share one."""
    normalized = value.lower() if kind in {"email", "ip"} else value
    normalized = " ".join(value.casefold().split()) if kind in _KINDS_OF_WORDS else normalized
    normalized = _GAPS.sub("", value).upper() if kind in _KINDS_WITH_GAPS else normalized
    count = sum(1 for other, _ in placeholders if other == kind)
    return placeholders.setdefault((kind, normalized), f"[{kind}-{count + 1}]")
