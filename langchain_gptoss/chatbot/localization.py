"""The chatbot's own texts in each of its languages, from the profile of a domain or from the defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from langchain_gptoss.chatbot.prompts import DECLINE, INTRODUCTION, REFUSE
from langchain_gptoss.domains import DomainProfile, format_instructions, list_languages, load_domain


@dataclass(frozen=True, kw_only=True)
class LocalizedTexts:
    """The chatbot's texts in one language.

    Attributes:
        language: `"en"` or `"fr"`.
        decline: Sent if the documents do not answer the question.
        refuse: Sent if the policy refuses the question.
        introduction: What the chatbot does, in a sentence or two.
        instructions: The domain's instructions to the model, or empty.
        disclaimer: Shown with every answer, or empty.
        profile: The domain's profile, or None.
    """

    language: str
    decline: str
    refuse: str
    introduction: str
    instructions: str = ""
    disclaimer: str = ""
    profile: DomainProfile | None = None


def load_texts(domain: str | Path | DomainProfile | None, language: str | None) -> Mapping[str, LocalizedTexts]:
    """Return a chatbot's texts by language. The first language is used for questions in other languages.

    Args:
        domain: The name of a built-in domain, the path of a TOML file, a profile, or None for the default texts.
        language: `"en"` or `"fr"`; None means every language of the domain.

    Raises:
        InvalidInputError: The domain or the language does not exist, or the profile cannot be read.
    """
    if domain is None:
        return {name: _load_default_texts(name) for name in ([language] if language else DECLINE)}
    is_built_in = isinstance(domain, str) and not domain.lower().endswith(".toml")
    languages = list_languages(str(domain)) if is_built_in and language is None else (language,)
    profiles = [load_domain(domain, language=name) for name in languages]
    return {profile.language: _take_texts(profile) for profile in profiles}


def _load_default_texts(language: str) -> LocalizedTexts:
    return LocalizedTexts(
        language=language, decline=DECLINE[language], refuse=REFUSE[language], introduction=INTRODUCTION[language]
    )


def _take_texts(profile: DomainProfile) -> LocalizedTexts:
    return LocalizedTexts(
        language=profile.language,
        decline=profile.not_in_documents,
        refuse=profile.refusal,
        introduction=profile.introduction or profile.out_of_scope,
        instructions=f"{format_instructions(profile)}\n\n",
        disclaimer=profile.disclaimer,
        profile=profile,
    )
