"""Messages to a chatbot that are no questions about the content of documents: greetings, thanks, "What is in here?".

A message has such an act only if all of it is known. "Hello, how long do I have to return a book?" and "Thanks, and for
books?" are questions.
"""

import re
from dataclasses import dataclass

from langchain_gptoss.text.dialogue_patterns import (
    COURTESIES,
    DOCUMENTS_EN,
    DOCUMENTS_FR,
    REQUESTS,
    DialogueActKind,
    Patterns,
)
from langchain_gptoss.text.normalization import fold_for_rules


@dataclass(frozen=True, kw_only=True)
class DialogueAct:
    """Purpose of a message.

    Attributes:
        kind: `"greeting"`, `"thanks"`, `"farewell"`; `"identity"` asks what the chatbot is and can do, `"overview"`
            what the documents are about, `"summary"` for a summary of a document.
        language: `"en"` or `"fr"`.
        topic: The document to summarize as the user calls it, without accents; empty if it is "this document".
    """

    kind: DialogueActKind
    language: str
    topic: str = ""


def _compile(patterns: Patterns) -> list[tuple[DialogueActKind, str, re.Pattern[str]]]:
    return [
        (kind, language, re.compile("|".join(texts).replace("@en", DOCUMENTS_EN).replace("@fr", DOCUMENTS_FR)))
        for kind, language, texts in patterns
    ]


_COURTESIES, _REQUESTS = _compile(COURTESIES), _compile(REQUESTS)
_THIS_DOCUMENT = re.compile(
    r"(?:this|the|that|your|ce|cet|cette|le|la|ton|votre)? ?"
    r"(?:document|doc|file|page|text|fichier|texte|dossier|it|this|that)"
)
_CLAUSE_END = re.compile(r"[,;:!?…()\n]+|\.+(?=\s|$)|\s[-–—]\s")
_POLITE = re.compile(
    r"\b(?:please|kindly|pls|s'il (?:vous|te) plait|svp|stp|merci d'avance|thanks in advance|thank you in advance)\b"
)
_OPENING = re.compile(
    r"""^\W*(?:
      (?:bonjour|bonsoir|salut|coucou|hello|hi|hey|good\ (?:morning|afternoon|evening))
        (?:\ (?:there|all|à\ tous|madame|monsieur))?(?:\s*[,;:.!…]+\s*|\s+(?=(?-i:[a-zà-ÿ])))
     |(?:(?:ok|okay|d[’']accord|parfait|super|great|perfect)[\s,]+)?
        (?:merci|thanks|thank\ you|thx|ok|okay|d[’']accord|parfait|super|great|perfect)
        (?:\ (?:beaucoup|bien|a\ lot|so\ much|very\ much))?\s*[,;:.!…]+\s*
    )+(?=.*\w)""",
    re.IGNORECASE | re.VERBOSE,
)
_MAX_CHARS = 200  # a longer message is no small talk


def detect_dialogue_act(message: str) -> DialogueAct | None:
    """Return what a message does, or None if it is a question or statement about something else."""
    if len(message) > _MAX_CHARS:
        return None
    folded = _POLITE.sub(" ", fold_for_rules(message).lower())
    clauses = [clause for part in _CLAUSE_END.split(folded) if (clause := _clean_clause(part))]
    courtesies = [_match_courtesy(clause) for clause in clauses]
    rest = [clause for clause, act in zip(clauses, courtesies, strict=True) if act is None]
    if not rest:
        return _choose_act([act for act in courtesies if act is not None])
    return _match_request(rest[0]) if len(rest) == 1 else None


def remove_courtesies(question: str) -> str:
    """Return a question without a greeting or thanks before it, which are no words to search for."""
    return _OPENING.sub("", question)


def _clean_clause(text: str) -> str:
    return " ".join(re.sub(r"[^\w'. -]", " ", text).split()).strip("-'. ")


def _match_courtesy(clause: str) -> DialogueAct | None:
    for kind, language, pattern in _COURTESIES:
        if pattern.fullmatch(clause):
            return DialogueAct(kind=kind, language=language)
        # "Hello how are you", "thanks bye": two without punctuation.
        if (match := pattern.match(clause)) and clause[match.end() :].startswith(" "):
            rest = clause[match.end() + 1 :]
            second = _match_courtesy(rest)
            if second is not None:
                return _choose_act([DialogueAct(kind=kind, language=language), second])
    return None


def _choose_act(acts: list[DialogueAct]) -> DialogueAct | None:
    """Return the act that decides the answer to several courtesies: "Thanks, bye" is a farewell."""
    order = ("farewell", "thanks", "greeting")
    return min(reversed(acts), key=lambda act: order.index(act.kind), default=None)


def _match_request(clause: str) -> DialogueAct | None:
    for kind, language, pattern in _REQUESTS:
        if not (match := pattern.fullmatch(clause)):
            continue
        topic = match.groupdict().get("topic") or ""
        return DialogueAct(kind=kind, language=language, topic="" if _THIS_DOCUMENT.fullmatch(topic) else topic)
    return None
