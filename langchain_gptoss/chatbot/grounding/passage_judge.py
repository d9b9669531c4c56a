"""A decision model that judges whether passages answer a question, combined with the confidence of the rules.

The rules decide first and cost nothing. The model is asked only about passages that they accept, in one pass, and both
are combined by fitted weights (`passage_judge.json`). So it can decline more questions, and never fewer.

The model reads the two sentences that are nearest to the question, after their headings and lead-ins. A model of 1.5
billion parameters judges a sentence better than passages, two better than one (benchmarks/judge.py), and reads a fifth
of the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.decisions import BaseDecisionModel, ClassifierRequest, ClassifierResponse, Noul
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages.ai import UsageMetadata
from langchain_core.runnables import RunnableConfig

from langchain_gptoss._flow import Flow, call
from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.chatbot.grounding.answer_fit import is_open_question
from langchain_gptoss.chatbot.grounding.judge_weights import JudgeWeights, load_judge_weights
from langchain_gptoss.chatbot.grounding.passages import Span
from langchain_gptoss.decisions import GptOssDecisions, as_decision_model
from langchain_gptoss.decisions.calibration import find_bundled_calibration
from langchain_gptoss.errors import InvalidInputError

_SENTENCES = 2  # that the model reads
_NAME = "answered"  # name of the question to the decision model
_INSTRUCTIONS = "Does the text state the answer to this question: {question}"


@dataclass(frozen=True, kw_only=True)
class PassageJudgement:
    """The judgement of rules and model about passages.

    Attributes:
        probability: Probability that the passages answer the question.
        usage: Tokens that the model read; None if it does not report them.
    """

    probability: float
    usage: UsageMetadata | None


class PassageJudge:
    """Asks a decision model whether passages answer a question."""

    def __init__(self, model: BaseDecisionModel, weights: JudgeWeights | None = None) -> None:
        """Store the parts.

        Args:
            model: The decision model. The weights are its calibration, so a `GptOssDecisions` is used without one.
            weights: Weights of rules and model; None means those of the package.
        """
        is_own = isinstance(model, GptOssDecisions)
        self._model = model.model_copy(update={"calibration": None}) if is_own else model
        self._weights = weights or load_judge_weights("passage_judge")

    def get_threshold(self, question: str) -> float:
        """Return the probability below which a question is declined."""
        return self._weights.threshold if is_open_question(question) else self._weights.closed_threshold

    @property
    def quote_threshold(self) -> float:
        """Probability from which documents are quoted if no sentence of the model is supported."""
        return self._weights.quote_threshold

    def judge(self, question: str, evidence: str, confidence: float, config: RunnableConfig) -> Flow[PassageJudgement]:
        """Judge whether the passages answer the question.

        Args:
            question: The question, complete without the conversation.
            evidence: What `build_evidence` returns for the passages.
            confidence: Confidence of the rules.
            config: LangChain's configuration of the run.
        """
        decision = Noul(instructions=_INSTRUCTIONS.format(question=question))
        request = ClassifierRequest(state=evidence, questions={_NAME: decision})
        model = self._model
        response: ClassifierResponse = yield from call(
            lambda: model.invoke(request, config), lambda: model.ainvoke(request, config)
        )
        probability = self._weights.combine(rules=confidence, judge=response.nouls[_NAME].noul)
        return PassageJudgement(probability=probability, usage=response.usage)


def build_evidence(spans: Sequence[Span]) -> str:
    """Return what the model reads: the sentences nearest to the question, after their headings and lead-ins.

    Args:
        spans: The sentences of the passages, the nearest to the question first.
    """
    return "\n".join(
        span.statement if place and span.context == spans[place - 1].context else span.text_with_context
        for place, span in enumerate(spans[:_SENTENCES])
    )


def create_passage_judge(judge: Any, llm: BaseChatModel, *, is_able: bool) -> PassageJudge | None:
    """Return the judge of a chatbot; None leaves the decision to the rules.

    Args:
        judge: A decision model, a `ChatGptOss`, `"auto"` for the chatbot's own model if the package has a calibration
            for it, True for it in any case, or False for none.
        llm: The chatbot's own model.
        is_able: False if that model is too small to judge; `"auto"` and True then mean none.

    Raises:
        InvalidInputError: The judge cannot decide.
    """
    if judge is False or judge is None or (judge in (True, "auto") and not is_able):
        return None
    if judge == "auto" and (not isinstance(llm, ChatGptOss) or find_bundled_calibration(llm) is None):
        return None
    given = llm if judge in (True, "auto") else judge
    model = as_decision_model(given)
    if model is None:
        raise InvalidInputError(
            f"{type(given).__name__} is no decision model.",
            hint="Pass judge=GptOssDecisions(...), or leave it out.",
        )
    return PassageJudge(model)
