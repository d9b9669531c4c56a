"""Context of one answer: everything that the steps receive besides its state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from langchain_core.runnables import RunnableConfig

from langchain_gptoss.chatbot.caller import Caller
from langchain_gptoss.chatbot.recorder import AnswerRecorder
from langchain_gptoss.chatbot.settings import ChatbotSettings
from langchain_gptoss.chatbot.state import AnswerWriter
from langchain_gptoss.chatbot.types import ChatbotChunk


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """LangGraph's context of one run.

    Attributes:
        caller: The user, the access labels and the session.
        send: Receives the chunks of the output; None sends them to LangGraph's own stream.
        abandoned: Set when the caller has stopped reading.
        recorder: Records the answer in the audit log.
    """

    caller: Caller
    recorder: AnswerRecorder
    send: Callable[[ChatbotChunk], None] | None = None
    abandoned: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """The surroundings of a step: everything it receives besides the state.

    Attributes:
        settings: The parts and options of the chatbot.
        caller: The user, the access labels and the session.
        writer: Sends chunks of the output to the caller.
        config: LangChain's configuration of the run, with its callbacks.
        recorder: Records the answer in the audit log.
    """

    settings: ChatbotSettings
    caller: Caller
    writer: AnswerWriter
    recorder: AnswerRecorder
    config: RunnableConfig
