"""Recognition of secrets that a text announces: "password: ...", "mon mot de passe est ...", "the PIN is 1234"."""

import re

_SPACE = r"[^\S\n]"
_OPENING = "[\"'«“‘`*]{0,3}"
_PASSWORD_NOUNS = (
    r"(?:pass[ -]?(?:words?|wd|phrases?|codes?)|pwd|pswd|psw|mots? de passe|mdp|phrase (?:de passe|secrète)"
    r"|code (?:secret|confidentiel|d['’]accès|wi-?fi)|clé wi-?fi|(?:wi-?fi|wpa2?) key|access code)"
)
_TOKEN_NOUNS = (
    r"(?:(?:api|secret|access|private|encryption|signing|master|audit)[ _-]?key|secret|(?:access|auth|refresh)?token"
    r"|clé (?:d['’])?api|clé (?:secrète|privée)|jeton|pass)"
)
# Words between the noun and the sign: "password for the wifi: ...". Others would join a heading and its text.
_QUALIFIERS = (
    rf"(?:{_SPACE}{{1,2}}(?:(?:(?:for|of|to|du|des?|pour|on|sur){_SPACE}|d['’])[\w.@’'-]{{1,20}}(?:{_SPACE}[\w.@’'-]{{1,20}}){{0,3}}?"
    rf"|wi-?fi|admin|root|guest|invité|user|utilisateur|provisoire|temporaire|temporary))?"
)
_SIGN = (
    rf"(?:[\"'`*)]{{0,3}}{_SPACE}{{0,3}}(?:->|=>|:=|==?|[:>→]){_SPACE}{{0,3}}"
    rf"|{_SPACE}(?:is|est|was|était|c['’]est){_SPACE}?:?{_SPACE}{{1,2}})"
)
# A dot, a bracket or a question mark that ends the sentence is no part of the value.
_VALUE = (
    r"(?!\[[a-z_]+-[0-9]+\])(?:[^\s\"'»”’`<>,;&*]|[,;*](?=[^\s\"'»”’`<>,;&*])){1,200}?"
    r"(?=[.)?\]}*]{0,3}(?:[,;]?(?:[\s\"'»”’`<>&]|$)))"
)
ANNOUNCED_PASSWORD = (
    rf"(?i:(?<![^\W_]){_PASSWORD_NOUNS}{_QUALIFIERS}{_SIGN}{_OPENING}{_SPACE}?|--pass(?:word|wd)?{_SPACE})"
    rf"(?P<value>{_VALUE})"
)
QUOTED_PASSWORD = (
    rf"(?i:(?<![^\W_]){_PASSWORD_NOUNS}{_QUALIFIERS}{_SIGN})[*]{{0,2}}"
    r"(?:(?P<quote>[\"'`])|[«“‘])\s?(?P<value>(?!\[[a-z_]+-[0-9]+\])[^\"«»“”`\n]{1,200}?)\s?(?(quote)(?P=quote)|[»”’])"
)
PASSPHRASE = (
    rf"(?i:(?<![^\W_])(?:pass[ -]?phrase|phrase (?:de passe|secrète)){_QUALIFIERS}{_SIGN})"
    r"(?P<value>(?!\[[a-z_]+-[0-9]+\])\w[^\s.;,]{0,40}(?:[ -][^\s.;,]{1,40}){2,11})"
)
ANNOUNCED_TOKEN = (
    rf"(?i:(?<![^\W_])(?:bearer{_SPACE}{{1,3}}|(?:authorization|proxy-authorization):{_SPACE}{{0,3}}\w{{3,10}}{_SPACE}{{1,3}}"
    rf"|{_TOKEN_NOUNS}{_SIGN}){_OPENING}{_SPACE}?)"
    r"(?P<value>(?!\[[a-z_]+-[0-9]+\])(?:(?=[^\s\"'»]{0,80}[0-9])(?=[^\s\"'»]{0,80}[A-Za-z])[^\s\"'»,;&<]{6,400}"
    r"|(?=[^\s\"'»]{0,80}[A-Z])(?=[^\s\"'»]{0,80}[a-z])[A-Za-z0-9+/_=-]{20,400}))"
)
ANNOUNCED_PIN = (
    r"(?i:(?<![^\W_])(?:(?:code )?pin(?: code| number)?|cvv2?|cvc2?|cryptogramme|digicode|security code"
    r"|code (?:secret|confidentiel|d['’]accès|de (?:sécurité|déverrouillage|carte)|à \w+ chiffres)|access code|passcode"
    rf"|(?:my|your|our|mon|ton|votre|notre) code(?: secret| confidentiel)?)(?:{_SPACE}?(?:number|visuel|n[°º]))?"
    rf"{_QUALIFIERS}(?:{_SPACE}{{0,3}}[:=#]|{_SPACE}(?:is|est|was|était|c['’]est):?)?{_SPACE}{{0,3}}{_OPENING}{_SPACE}?)"
    r"(?P<value>(?:[A-Z]?[0-9]{4,8}[A-Z]?|[0-9]{3}|[0-9]{1,4}[A-Z][0-9]{1,4}))(?![\w%€$£°]|[.,:/-][0-9])"
)
PASSWORD_HINTS = (
    *("password", "pass word", "pass-word", "passwd", "pass wd", "pass-wd", "passphrase", "pass phrase", "pass-phrase"),
    *("passcode", "pass code", "pass-code", "pwd", "pswd", "psw", "de passe", "mdp", "secrète", "code secret"),
    *("code confidentiel", "code d'acc", "code d’acc", "code wifi", "code wi-fi", "clé wi", "wifi key", "wi-fi key"),
    *("wpa key", "wpa2 key", "access code"),
)
TOKEN_HINTS = ("bearer", "authorization:", "key", "secret", "token", "jeton", "clé", "pass:", "pass ", "pass=", 'pass"')
PIN_HINTS = (
    *(
        "pin ",
        "pin:",
        "pin=",
        "pin#",
        "pin\u00a0",
        "cvv",
        "cvc",
        "cryptogramme",
        "digicode",
        "code secret",
        "code conf",
    ),
    *(
        "code d",
        "code à",
        "ess code",
        "passcode",
        "security code",
        "my code",
        "r code",
        "mon code",
        "ton code",
        "tre code",
    ),
)

# Words that describe a password, or start a sentence about one.
_PLAIN_WORDS = """
a an the this that these those it its my your our his her their one some any no not none never always only also at as
by for from in into of on or and to with without if when then must should shall can could may might will would be been
being is are was were has have had do does did enter type see use choose set change reset forgot forgotten click here
required mandatory optional needed necessary missing empty blank unknown null nil true false yes ok valid invalid
correct incorrect wrong right good bad weak strong short long simple complex too very so secret private public safe
secure secured unsafe insecure important sensitive personal unique new old same different stored hashed encrypted
hidden masked protected expired changed lost stolen sent shared known available visible unavailable string text number
minimum maximum least most un une le la les l' ce cet cette ces il elle son sa ses mon ma mes votre vos notre nos leur
leurs des du de d' au aux à en dans par pour sur sous avec sans ou et si ne pas non oui que qui quoi quand doit
doivent peut peuvent sera est sont ont été être voir saisir saisissez entrer entrez choisir choisissez utiliser
utilisez cliquez cliquer modifier changez ici requis requise obligatoire facultatif nécessaire manquant vide inconnu
vrai faux valide invalide incorrecte erroné bon mauvais mauvaise faible fort forte court courte longue complexe trop
très plus moins bien mal secrète privé privée sûr sûre sécurisé sensible personnel personnelle confidentiel
confidentielle nouveau ancien même différent oublié perdu volé expiré changé modifié envoyé stocké haché chiffré
masqué caché protégé partagé connu disponible indisponible caractères chiffres lettres texte nombre toujours jamais
aussi encore déjà
"""
_WORDS_ABOUT_PASSWORDS = frozenset(_PLAIN_WORDS.split())
_DESCRIBING_ENDINGS = ("ed", "ing", "ly", "able", "ible", "é", "ée", "és", "ées", "ment")
_SIGN_BEFORE = re.compile(r"(?:[:=>→]|--\w+)[\s\"'«“‘`*]*$")
_OWN = re.compile(r"(?i)\b(?:my|our|mon|ma|notre|c['’]est)\b")
_CLAUSE_END = re.compile(
    r"[.)?!\]}*\"'»”’`]{0,4}(?:\s*$|\n|[,;<&]|\s(?:and|et|but|mais|or|ou|for|pour|on|sur|[–-])\b|[.!?]\s|\s[\"»”])"
)
_VARIABLE = re.compile(r"\$\{?\w+\}?|%\w?|\{\{?.*|os\.\w+.*|self\.\w+.*|process\.env.*|getenv.*")
_MAX_PLAIN_WORDS = 2  # in a passphrase; a sentence has more
_MIN_DIGITS = 4  # "password: 8 characters"


def is_announced_password(match: str, before: str, after: str) -> bool:
    """Return True for a password, and False for words about passwords ("password: required").

    Args:
        match: What follows the announcement.
        before: The text before it, with the announcement.
        after: The text after it.
    """
    word = match.casefold().strip(".!?:")
    if not any(character.isalnum() for character in match) or _VARIABLE.fullmatch(match):
        return False
    if word in _WORDS_ABOUT_PASSWORDS or word.split("'")[0].split("’")[0] + "'" in _WORDS_ABOUT_PASSWORDS:
        return False
    if word.isdecimal():
        return len(word) >= _MIN_DIGITS
    if not word.isalpha():
        return True
    if _SIGN_BEFORE.search(before):
        return True
    is_described = word.endswith(_DESCRIBING_ENDINGS)
    return not is_described and (_OWN.search(before) is not None or _CLAUSE_END.match(after) is not None)


def is_passphrase(match: str, before: str, after: str) -> bool:
    """Return True for several words that are announced as a passphrase, and False for a sentence about one.

    Args:
        match: What follows the announcement.
        before: The text before it.
        after: The text after it.
    """
    return sum(word.casefold() in _WORDS_ABOUT_PASSWORDS for word in match.split()) < _MAX_PLAIN_WORDS


def is_announced_pin(match: str, before: str, after: str) -> bool:
    """Return True for a code; a code of three digits needs the name of a card's code.

    Args:
        match: The digits.
        before: The text before them, with the announcement.
        after: The text after them.
    """
    return (
        len(match) > 3 or re.search(r"(?i)(?:cv[vc]2?|crypto\w*|security code|code de sécurité)\W", before) is not None
    )
