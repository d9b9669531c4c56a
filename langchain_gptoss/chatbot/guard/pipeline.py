"""The guard rails of one chatbot: policies by language, and passages without the instructions hidden in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from langchain_core.language_models.chat_models import BaseChatModel

from langchain_gptoss.chatbot.grounding.passages import Passage
from langchain_gptoss.chatbot.guard import OutputCheck, PolicyGuard, injected, neutralised, shown
from langchain_gptoss.chatbot.localization import Voice
from langchain_gptoss.errors import InvalidInputError


@dataclass(frozen=True, kw_only=True)
class Rails:
    """What questions and answers are held to.

    Attributes:
        questions: The policy for questions, by language: rules, and the policy model where there is one.
        answers: The policy for answers, by language: the model alone, because rules are written for questions. Empty
            without a model; with one, an answer is shown when it has been checked as a whole.
    """

    questions: Mapping[str, PolicyGuard] = field(default_factory=dict)
    answers: Mapping[str, PolicyGuard] = field(default_factory=dict)


def rails_of(voices: Mapping[str, Voice], model: BaseChatModel | None) -> Rails:
    """Returns the rails that the profiles ask for.

    Args:
        voices: The chatbot's languages, with their profiles.
        model: A model that judges by a written policy, such as gpt-oss-safeguard, or None.

    Raises:
        InvalidInputError: A model is given and no profile has a policy for it.
    """
    profiles = {language: voice.profile for language, voice in voices.items() if voice.profile is not None}
    policies = {language: profile for language, profile in profiles.items() if profile.safety.policy.strip()}
    if model is not None and not policies:
        raise InvalidInputError("guard_model is given and no policy for it. Give domain=, whose profile has a policy.")
    judge = {language: model for language in policies if model is not None}
    questions = {
        language: PolicyGuard(
            profile.safety.refuse,
            policy=profile.safety.policy,
            model=judge.get(language),
            refusal=profile.refusal,
        )
        for language, profile in profiles.items()
    }
    answers = {
        language: PolicyGuard(policy=profile.safety.policy, model=model, refusal=profile.refusal)
        for language, profile in policies.items()
        if model is not None
    }
    return Rails(questions=questions, answers=answers)


def without_instructions(passages: Sequence[Passage]) -> tuple[list[Passage], list[str]]:
    """Returns passages in which what speaks to a model is blank, with all offsets as before, and what was found."""
    found = injected(passages)
    clean = [
        replace(passage, text=neutralised(passage.text, found[passage.number])) if passage.number in found else passage
        for passage in passages
    ]
    notes = [
        f"instruction in passage {number} ({finding.kind}): {finding.text[:120]}"
        for number, findings in found.items()
        for finding in findings
    ]
    return clean, notes


def output_check(question: str, passages: Sequence[Passage], prompt: str) -> OutputCheck:
    """Returns the check of an answer from these passages.

    Args:
        question: What was asked.
        passages: What the model was shown.
        prompt: What it was told besides.
    """
    quotations = [shown(f"{passage.heading}\n{passage.text}") for passage in passages]
    return OutputCheck([question, *quotations], prompt=prompt)
