"""Guard of the chatbot: clean questions, quoted passages, checked answers, policies.

- `clean_question`: the question is readable text.
- `find_injections`, `quote_passages`: retrieved text is content; instructions in it are left out.
- `OutputCheck`, `find_tool_calls`: an answer contains no link, command or tool call from outside the passages.
- `PolicyGuard`: questions and answers follow the domain's policy.

docs/guard.md gives the detection rates and the limitations.
"""

from langchain_gptoss.chatbot.guard.injection import Finding, blank_injections, find_injections
from langchain_gptoss.chatbot.guard.output_checks import OutputCheck, find_tool_calls
from langchain_gptoss.chatbot.guard.policy import PolicyGuard, PolicyRule, Verdict
from langchain_gptoss.chatbot.guard.quotation import find_passage_injections, quote_passages, render_for_model
from langchain_gptoss.chatbot.guard.sanitization import (
    clean_question,
    escape_control_tokens,
    format_one_line,
    sanitize_text,
)

__all__ = [
    "Finding",
    "OutputCheck",
    "PolicyGuard",
    "PolicyRule",
    "Verdict",
    "blank_injections",
    "clean_question",
    "escape_control_tokens",
    "find_injections",
    "find_passage_injections",
    "find_tool_calls",
    "format_one_line",
    "quote_passages",
    "render_for_model",
    "sanitize_text",
]
