"""Step "check": check that the question fits the model's context and the domain's policy."""

from dataclasses import replace

from langchain_core.language_models.chat_models import BaseChatModel

from langchain_gptoss._flow import Flow, call
from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.chatbot.context import StepContext
from langchain_gptoss.chatbot.localization import LocalizedTexts
from langchain_gptoss.chatbot.settings import ChatbotSettings
from langchain_gptoss.chatbot.state import GraphState
from langchain_gptoss.chatbot.steps.retrieval import begin_answer
from langchain_gptoss.errors import ContextLengthError
from langchain_gptoss.text.dialogue_acts import DialogueAct, detect_dialogue_act


def check_question(state: GraphState, context: StepContext) -> Flow[GraphState]:
    """Select the language of the question, and refuse the question if the domain's policy forbids it.

    Raises:
        ContextLengthError: The question does not fit into the model's context.
        StorageError: The audit log cannot be written, and is set to stop then.
    """
    settings, answer = context.settings, state["answer_state"]
    act = detect_dialogue_act(answer.question)
    texts = yield from call(lambda: _read_question(settings, answer.question, act))
    answer = replace(answer, texts=texts)
    if act is not None:
        answer = replace(answer, kind=act.kind, topic=act.topic, standalone_question=answer.question)
    if policy := settings.policies.questions.get(texts.language):
        verdict = yield from policy.judge(answer.question, context.config)
        if not verdict.allowed:
            answer = replace(answer, kind="question").refuse("question", verdict)
            yield from begin_answer(answer, context)
    return {"answer_state": answer}


def _read_question(settings: ChatbotSettings, question: str, act: DialogueAct | None) -> LocalizedTexts:
    _check_length(settings.llm, question)
    # A greeting is too short to detect its language.
    return settings.select_texts(question) if act is None else settings.get_texts(act.language)


def _check_length(llm: BaseChatModel, question: str) -> None:
    # Checked here because retrievers cut long queries without an error.
    if isinstance(llm, ChatGptOss):
        length, context_length = len(llm.get_token_ids(question)), llm.running_engine.context_length
        if length >= context_length:
            raise ContextLengthError(length, context_length)
