"""`GptOssDecisions`: a chat model of this package as a LangChain decision model."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from langchain_core.decisions import (
    Answer,
    BaseDecisionModel,
    Choice,
    ChoiceAnswer,
    ClassifierResponse,
    Noul,
    NoulAnswer,
    Question,
    Score,
    ScoreAnswer,
    State,
)
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, UsageMetadata
from pydantic import ConfigDict, Field, PrivateAttr, TypeAdapter, ValidationError, model_validator

from langchain_gptoss._flow import Flow, arun_flow, call, run_flow
from langchain_gptoss.chat_formats.base import PromptOptions
from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.decisions.calibration import (
    DecisionCalibration,
    calculate_probabilities,
    compute_model_digest,
    find_bundled_calibration,
)
from langchain_gptoss.decisions.prompts import (
    SYSTEM_TEXT,
    PromptPrefix,
    QuestionPrompt,
    write_question,
    write_state,
)
from langchain_gptoss.decisions.scoring import LabelScores, ScoringPrompt, encode_labels, score_labels
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.language_models.options import read_configured_options

# The answer follows the prompt at once, so the prompt asks for the least reasoning.
_OPTIONS = PromptOptions(reasoning_effort="low")
_QUESTIONS: TypeAdapter[dict[str, Question]] = TypeAdapter(dict[str, Question])


class GptOssDecisions(BaseDecisionModel):
    """Answers typed questions about a text with probabilities, in one forward pass per question.

    The model does not write. The log-probabilities of the allowed answers at the place of the answer are normalized
    over these answers, and calibrated if a calibration is given. All questions of a call are submitted together, and
    the state is read once for all of them. Reasoning models answer without reasoning.

    A `PromptPrefix` as the state asks the questions at the end of messages with which another prompt begins, too, such
    as that of a chat: what stands before the question is then read once for both.

    `ChoiceAnswer.confidence` is the probability of the selected label, and `ScoreAnswer.confidence` that of the most
    likely level. A `Box` is refused, because gpt-oss models read text only.

    Example:
        .. code-block:: python

            from langchain_core.decisions import Noul

            from langchain_gptoss.decisions import GptOssDecisions

            decisions = GptOssDecisions(model="demo")
            response = decisions.invoke(
                {
                    "state": "Production is down. Please help immediately.",
                    "questions": {"urgent": Noul(instructions="Does this message need an answer today?")},
                }
            )
            print(response.nouls["urgent"].noul)

    Attributes:
        model: Name of the model, as for `ChatGptOss`; by default that of `llm`.
        llm: The chat model; None creates `ChatGptOss(model=model)`. Its options for scheduling apply, such as
            `priority` and `cache_salt`, and so do those in the configuration of a run.
        instructions: Further instructions before the text, such as a policy by which it is judged.
        calibration: The model's calibration; None takes the model's own distribution. `"auto"` takes the calibration
            that the package has for the model (docs/decisions.md), and its own distribution if there is none.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: str = ""
    llm: ChatGptOss = Field(default_factory=ChatGptOss, repr=False)  # always given: see `_complete_model`
    instructions: str = ""
    calibration: DecisionCalibration | Literal["auto"] | None = "auto"

    _is_calibration_checked: bool = PrivateAttr(default=False)

    @model_validator(mode="before")
    @classmethod
    def _complete_model(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        llm, model = values.get("llm"), values.get("model")
        if llm is None:
            if model is None:
                raise InvalidInputError("No model is named.", hint="Pass model= or llm=, as in model='demo'.")
            llm = ChatGptOss(model=model)
        if not isinstance(llm, ChatGptOss):
            raise InvalidInputError(
                f"{type(llm).__name__} does not report the log-probabilities of given answers, from which decisions "
                "are made.",
                hint="Pass a ChatGptOss; with base_url= it may run on a vLLM or llama.cpp server.",
            )
        return {**values, "llm": llm, "model": str(model or llm.card.name)}

    @property
    def _provider(self) -> str:
        return "gptoss"

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy that shares the loaded model; a calibration is checked again."""
        copied = super().model_copy(update=update, deep=False)
        copied._is_calibration_checked = False
        return copied

    def _classify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        return run_flow(self._answer(state, questions))

    async def _aclassify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        return await arun_flow(self._answer(state, questions))

    def _answer(self, state: State, questions: Mapping[str, Any]) -> Flow[ClassifierResponse]:
        checked = _check_questions(questions)
        prompts = {name: write_question(question) for name, question in checked.items()}
        overrides = read_configured_options(None)
        # Rendering reads the tokenizer and encodes the whole text, so it must not run on the event loop.
        options = self._choose_options(state)
        rendered = yield from call(lambda: self._render(state, list(prompts.values()), options))
        scores = yield from score_labels(self.llm, rendered, options, overrides)
        answers = {
            name: self._build_answer(question, entry)
            for (name, question), entry in zip(checked.items(), scores, strict=True)
        }
        return ClassifierResponse(model=self.model, answers=answers, usage=_sum_usage(scores))

    def _render(self, state: State, prompts: list[QuestionPrompt], options: PromptOptions) -> list[ScoringPrompt]:
        self._check_calibration()
        chat_format, first = self.llm.format, self._build_first_messages(state)
        rendered = []
        for prompt in prompts:
            messages = [*first[:-1], HumanMessage(f"{first[-1].text}\n\n{prompt.text}".lstrip("\n"))]
            prompt_ids = (*chat_format.render(messages, options), *chat_format.answer_start_ids)
            labels = encode_labels(prompt.labels, chat_format.encode)
            rendered.append(ScoringPrompt(prompt_ids=prompt_ids, messages=messages, labels=labels))
        return rendered

    def _choose_options(self, state: State) -> PromptOptions:
        """Return the options of the prompt: those of the chat model where the prompt begins as one of its own."""
        return (
            PromptOptions(reasoning_effort=self.llm.reasoning_effort) if isinstance(state, PromptPrefix) else _OPTIONS
        )

    def _build_first_messages(self, state: State) -> list[BaseMessage]:
        """Return the messages before a question, which continues the last one."""
        if isinstance(state, PromptPrefix):
            is_open = bool(state) and isinstance(state[-1], HumanMessage)
            return [*state] if is_open else [*state, HumanMessage("")]
        system = SystemMessage("\n\n".join(part for part in (SYSTEM_TEXT, self.instructions) if part))
        return [system, HumanMessage(f"Text:\n{write_state(state)}")]

    def _check_calibration(self) -> None:
        if isinstance(self.calibration, DecisionCalibration) and not self._is_calibration_checked:
            self.calibration.check_model(compute_model_digest(self.llm))
            self._is_calibration_checked = True

    def _build_answer(self, question: Question, scores: LabelScores) -> Answer:
        calibration = find_bundled_calibration(self.llm) if self.calibration == "auto" else self.calibration
        probabilities = calculate_probabilities(question.type, scores.logprobs, calibration)
        if isinstance(question, Noul):
            return NoulAnswer(type="noul", noul=probabilities[0])
        likeliest = max(range(len(probabilities)), key=lambda index: probabilities[index])
        if isinstance(question, Choice):
            names = list(question.criteria)
            return ChoiceAnswer(
                type="choice",
                choice=names[likeliest],
                probabilities=dict(zip(names, probabilities, strict=True)),
                confidence=probabilities[likeliest],
            )
        assert isinstance(question, Score)
        return ScoreAnswer(
            type="score",
            score=sum(level * probability for level, probability in enumerate(probabilities)),
            legend=dict(enumerate(question.criteria)),
            probabilities=dict(enumerate(probabilities)),
            confidence=probabilities[likeliest],
        )


def as_decision_model(model: Any) -> BaseDecisionModel | None:
    """Return a decision model for one, or for a chat model of this package; None for a model of another type."""
    if isinstance(model, ChatGptOss):
        return GptOssDecisions(llm=model)
    return model if isinstance(model, BaseDecisionModel) else None


def _check_questions(questions: Mapping[str, Any]) -> dict[str, Question]:
    if not questions:
        raise InvalidInputError("The request has no questions.", hint="Pass at least one Noul, Choice or Score.")
    try:
        return _QUESTIONS.validate_python(dict(questions))
    except ValidationError as error:
        raise InvalidInputError(
            f"The questions cannot be read: {error.errors()[0]['msg']}.",
            hint="Pass a Noul, Choice or Score of langchain_core.decisions for each name.",
        ) from error


def _sum_usage(scores: list[LabelScores]) -> UsageMetadata:
    input_tokens, passes = sum(entry.prompt_tokens for entry in scores), sum(entry.passes for entry in scores)
    return UsageMetadata(
        input_tokens=input_tokens,
        output_tokens=passes,
        total_tokens=input_tokens + passes,
        input_token_details={"cache_read": sum(entry.cached_tokens for entry in scores)},
    )
