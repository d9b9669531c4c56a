"""The instructions of a domain, which the model reads before the passages."""

from langchain_gptoss.domains.profile import DomainProfile, Language
from langchain_gptoss.errors import InvalidInputError

GLOSSARY_CHARS = 2000  # about 500 tokens, so that most of the context is left for the passages

_LABELS: dict[Language, dict[str, str]] = {
    "en": {
        "tone": "Tone: {text}",
        "scope": "You answer on: {text}",
        "outside": "You do not answer on: {text}",
        "out_of_scope": "To a question outside this field, say exactly: “{text}”",
        "not_in_documents": "If the passages do not answer, say exactly: “{text}”",
        "answer_format": "Form of the answer: {text}",
        "disclaimer": "This notice is shown with every answer. Keep to it, and do not repeat it: “{text}”",
        "glossary": "Terms of the field:",
        "term": "- {term}: {meaning}",
    },
    "fr": {
        "tone": "Ton : {text}",
        "scope": "Vous répondez sur : {text}",
        "outside": "Vous ne répondez pas sur : {text}",
        "out_of_scope": "À une question hors de ce domaine, dites exactement : « {text} »",
        "not_in_documents": "Si les passages ne répondent pas, dites exactement : « {text} »",
        "answer_format": "Forme de la réponse : {text}",
        "disclaimer": "Cet avertissement figure à côté de chaque réponse. Respectez-le sans le répéter : « {text} »",
        "glossary": "Termes du domaine :",
        "term": "- {term} : {meaning}",
    },
}
_ORDER = ("tone", "scope", "outside", "out_of_scope", "not_in_documents", "answer_format", "disclaimer")


def format_instructions(profile: DomainProfile, *, glossary_chars: int = GLOSSARY_CHARS) -> str:
    """Return the instructions of a domain in its language: paragraphs, without a line break at the end.

    The result is a text, not a template: braces in a profile have no meaning. Give it to a prompt as the value of a
    variable.

    Args:
        profile: The profile of the domain.
        glossary_chars: Maximum length of the glossary, in characters; only whole terms are kept. 0 leaves it out.

    Raises:
        InvalidInputError: `glossary_chars` is negative.
    """
    if glossary_chars < 0:
        raise InvalidInputError(f"glossary_chars is {glossary_chars}.", hint="Use 0 or more.")
    labels = _LABELS[profile.language]
    parts = [profile.persona]
    parts += [_label_text(labels[key], text) for key in _ORDER if (text := getattr(profile, key))]
    terms: list[str] = []
    for term, meaning in profile.glossary.items():
        line = labels["term"].replace("{meaning}", meaning).replace("{term}", term, 1)
        if sum(map(len, terms)) + len(line) > glossary_chars:
            break
        terms.append(line)
    if terms:
        parts.append("\n".join([labels["glossary"], *terms]))
    return "\n\n".join(parts)


def _label_text(label: str, text: str) -> str:
    """Return a label with a text; a text of several lines starts on its own line."""
    # `str.format` would take braces in the text for fields.
    return label.replace(" {text}", f"\n{text}") if "\n" in text else label.replace("{text}", text)
