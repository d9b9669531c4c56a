"""What a chatbot says by itself, in each of its languages: of the domain's profile, or of none."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from langchain_gptoss.chatbot.prompts import DECLINE, REFUSE
from langchain_gptoss.domains import DomainProfile, available_languages, load_domain, system_text


@dataclass(frozen=True, kw_only=True)
class Voice:
    """The texts of one language.

    Attributes:
        language: `"en"` or `"fr"`.
        decline: Said where the documents do not answer.
        refuse: Said where the policy refuses the question.
        instructions: What the model is told of the domain, or empty.
        disclaimer: What stands beside every answer, or empty.
        profile: The domain's profile, or None.
    """

    language: str
    decline: str
    refuse: str
    instructions: str = ""
    disclaimer: str = ""
    profile: DomainProfile | None = None


def voices_of(domain: str | Path | DomainProfile | None, language: str | None) -> Mapping[str, Voice]:
    """Returns a chatbot's languages, the first of which is taken where a question is in none of them.

    Args:
        domain: A ready-made domain, the path of a TOML file, a profile, or None for plain texts.
        language: `"en"` or `"fr"`; None means every language of the domain.

    Raises:
        InvalidInputError: There is no such domain or language, or its profile cannot be read.
    """
    if domain is None:
        return {name: _plain(name) for name in ([language] if language else DECLINE)}
    ready_made = isinstance(domain, str) and not domain.lower().endswith(".toml")
    wanted = available_languages(str(domain)) if ready_made and language is None else (language,)
    profiles = [load_domain(domain, language=each) for each in wanted]
    return {profile.language: _of(profile) for profile in profiles}


def _plain(language: str) -> Voice:
    return Voice(language=language, decline=DECLINE[language], refuse=REFUSE[language])


def _of(profile: DomainProfile) -> Voice:
    return Voice(
        language=profile.language,
        decline=profile.not_in_documents,
        refuse=profile.refusal,
        instructions=f"{system_text(profile)}\n\n",
        disclaimer=profile.disclaimer,
        profile=profile,
    )
