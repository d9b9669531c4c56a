"""The guard of one chatbot: its policies by language, and passages without injections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from langchain_core.language_models.chat_models import BaseChatModel

from langchain_gptoss.chatbot.grounding.passages import Passage
from langchain_gptoss.chatbot.guard import (
    OutputCheck,
    PolicyGuard,
    blank_injections,
    find_passage_injections,
    render_for_model,
)
from langchain_gptoss.chatbot.localization import LocalizedTexts
from langchain_gptoss.decisions import GptOssDecisions
from langchain_gptoss.errors import InvalidInputError

_MAX_NOTE_CHARS = 120


@dataclass(frozen=True, kw_only=True)
class Policies:
    """The policies for questions and answers.

    Attributes:
        questions: The policy for questions, by language: rules, and the policy model if there is one.
        answers: The policy for answers, by language: the policy model only, because rules are written for questions.
            Empty without a policy model.
    """

    questions: Mapping[str, PolicyGuard] = field(default_factory=dict)
    answers: Mapping[str, PolicyGuard] = field(default_factory=dict)

    @property
    def withholds_answers(self) -> bool:
        """True if an answer is shown only after it was checked as a whole."""
        return bool(self.answers)


def build_policies(texts: Mapping[str, LocalizedTexts], model: BaseChatModel | GptOssDecisions | None) -> Policies:
    """Return the policies that the domain's profiles define.

    Args:
        texts: The chatbot's texts by language, with the profiles.
        model: A model that judges by a written policy, such as gpt-oss-safeguard, or None.

    Raises:
        InvalidInputError: A model is given, and no profile has a policy for it.
    """
    profiles = {language: text.profile for language, text in texts.items() if text.profile is not None}
    with_policy = {language: profile for language, profile in profiles.items() if profile.safety.policy.strip()}
    if model is not None and not with_policy:
        raise InvalidInputError(
            "guard_model is given, and there is no policy for it.", hint="Give domain= with a profile that has one."
        )
    questions = {
        language: PolicyGuard(
            profile.safety.refuse,
            policy=profile.safety.policy,
            model=model if language in with_policy else None,
            refusal=profile.refusal,
        )
        for language, profile in profiles.items()
    }
    answers = {
        language: PolicyGuard(policy=profile.safety.policy, model=model, refusal=profile.refusal)
        for language, profile in with_policy.items()
        if model is not None
    }
    return Policies(questions=questions, answers=answers)


def blank_passage_injections(passages: Sequence[Passage]) -> tuple[list[Passage], list[str]]:
    """Return passages with prompt injections blanked, and notes on the injections; offsets are unchanged."""
    findings = find_passage_injections(passages)
    blanked = [
        replace(passage, text=blank_injections(passage.text, findings.get(passage.number, ()))) for passage in passages
    ]
    notes = [
        f"instruction in passage {number} ({finding.kind}): {finding.text[:_MAX_NOTE_CHARS]}"
        for number, injections in findings.items()
        for finding in injections
    ]
    return blanked, notes


def build_output_check(question: str, passages: Sequence[Passage], instructions: str) -> OutputCheck:
    """Return the check of an answer from these passages.

    Args:
        question: The question.
        passages: The passages that the model reads.
        instructions: The instructions that the model reads besides.
    """
    quotations = [render_for_model(f"{passage.heading}\n{passage.text}") for passage in passages]
    return OutputCheck([question, *quotations], prompt=instructions)
