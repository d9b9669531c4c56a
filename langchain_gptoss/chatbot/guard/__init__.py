"""The guard rails of a chatbot, in one place: questions in, passages as quotations, answers out.

- `clean_question`: what comes in is a text that can be read.
- `quoted`, `instructions_in`: retrieved text is content, and instructions in it are left out.
- `OutputCheck`, `refused_calls`: an answer holds no link, command or call that no document holds.
- `PolicyGuard`: questions and answers keep to the domain's policy.

docs/guard.md says what this stops, how often, and what it does not stop.
"""

from langchain_gptoss.chatbot.guard.injection import Finding, instructions_in, neutralised, untouched
from langchain_gptoss.chatbot.guard.output_checks import OutputCheck, refused_calls
from langchain_gptoss.chatbot.guard.policy import PolicyGuard, PolicyRule, Verdict
from langchain_gptoss.chatbot.guard.quotation import injected, quoted, shown
from langchain_gptoss.chatbot.guard.sanitization import clean_question, defused, one_line, visible

__all__ = [
    "Finding",
    "OutputCheck",
    "PolicyGuard",
    "PolicyRule",
    "Verdict",
    "clean_question",
    "defused",
    "injected",
    "instructions_in",
    "neutralised",
    "one_line",
    "quoted",
    "refused_calls",
    "shown",
    "untouched",
    "visible",
]
