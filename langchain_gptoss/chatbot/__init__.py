"""Ready-made chatbots: retrieve, answer, verify, cite."""

from langchain_gptoss.chatbot.chain import ChatbotInput, ChatbotOutput, Source, create_chatbot
from langchain_gptoss.chatbot.citations import Citation

__all__ = ["ChatbotInput", "ChatbotOutput", "Citation", "Source", "create_chatbot"]
