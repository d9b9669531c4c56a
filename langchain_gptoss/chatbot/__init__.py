"""Chatbots that answer from documents: retrieve, judge, answer, verify, cite."""

from langchain_gptoss.chatbot.prompts import ChatbotPrompts
from langchain_gptoss.chatbot.runnable import Chatbot, create_chatbot
from langchain_gptoss.chatbot.sessions import Sessions, SessionSummary, open_checkpointer
from langchain_gptoss.chatbot.types import ChatbotChunk, ChatbotInput, ChatbotOutput, Citation, Source

__all__ = [
    "Chatbot",
    "ChatbotChunk",
    "ChatbotInput",
    "ChatbotOutput",
    "ChatbotPrompts",
    "Citation",
    "SessionSummary",
    "Sessions",
    "Source",
    "create_chatbot",
    "open_checkpointer",
]
