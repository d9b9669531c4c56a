"""Writes a profile as the instructions that a model reads before the passages."""

from langchain_gptoss.domains.profile import DomainProfile, Language

GLOSSARY_CHARS = 2000  # about 500 tokens: what a glossary may take from the passages' place

_LABELS: dict[Language, dict[str, str]] = {
    "en": {
        "tone": "Tone: {text}",
        "scope": "You answer on: {text}",
        "outside": "You do not answer on: {text}",
        "out_of_scope": "To a question outside this field, say exactly: “{text}”",
        "not_in_documents": "If the passages do not answer, say exactly: “{text}”",
        "answer_format": "Form of the answer: {text}",
        "disclaimer": "This notice stands beside every answer. Keep to it, and do not repeat it: “{text}”",
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


def system_text(profile: DomainProfile, *, glossary_chars: int = GLOSSARY_CHARS) -> str:
    """Returns the instructions of a field, in its language.

    They are a text, not a template: braces in a profile stand as they are, and the text is to be given to a prompt as
    the value of a variable.

    Args:
        profile: The field.
        glossary_chars: How many characters of the glossary are kept, whole terms in their order; 0 leaves it out.

    Returns:
        Paragraphs, without a line break at the end.
    """
    labels = _LABELS[profile.language]
    parts = [profile.persona]
    parts += [_labelled(labels[key], text) for key in _ORDER if (text := getattr(profile, key))]
    terms: list[str] = []
    for term, meaning in profile.glossary.items():
        line = labels["term"].replace("{meaning}", meaning).replace("{term}", term, 1)
        if sum(map(len, terms)) + len(line) > glossary_chars:
            break
        terms.append(line)
    if terms:
        parts.append("\n".join([labels["glossary"], *terms]))
    return "\n\n".join(parts)


def _labelled(label: str, text: str) -> str:
    """Puts a text in its place, a list on lines of its own; replaced, not formatted: its own braces are no fields."""
    return label.replace(" {text}", f"\n{text}") if "\n" in text else label.replace("{text}", text)
