"""Sanitization of untrusted text: invisible characters, control tokens of chat formats, and unusable questions.

The chat formats of this package never turn message text into control tokens. Other readers of the text are less strict:
a terminal obeys control characters, a server's chat template may obey `<|im_start|>`, and people do not see invisible
characters that a model reads.
"""

import re
from collections.abc import Iterator

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.text.normalization import remove_invisible

MAX_QUESTION_CHARS = 100_000
# A text counts as binary data above this number and this share of unreadable characters.
_MAX_UNREADABLE_CHARS = 2
_MAX_UNREADABLE_SHARE = 0.1
_REPLACEMENT = "\ufffd"

_CONTROL = re.compile("[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f\ufdd0-\ufdef\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LINE_END = re.compile("\r\n?|[\u000b\u000c\u0085\u2028\u2029]")

# Control tokens of harmony, ChatML, Llama, Mistral, Gemma, Phi, DeepSeek, Command R and the tool marks of open models.
_CONTROL_TOKENS = re.compile(
    r"<[|｜][^\s<>]{0,60}?[|｜]>"
    r"|\[/?(?:INST|SYS|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|SYSTEM_PROMPT|IMG)\]"
    r"|<</?SYS>>"
    r"|</?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|tool_call|tool_response|tools|think|function_calls?)>"
    r"|<(?:start|end)_of_(?:turn|image)>",
    re.IGNORECASE,
)
# Each bracket becomes a similar one that begins no token, so that all offsets stay the same.
_LOOKALIKES = str.maketrans({"<": "‹", ">": "›", "[": "⟦", "]": "⟧", "|": "¦", "｜": "¦"})


def clean_question(text: object, *, max_chars: int = MAX_QUESTION_CHARS) -> str:
    """Return a question that is safe to search for, to show to a model, and to write into a log.

    Invisible characters are removed, control characters become spaces, lone surrogates become U+FFFD, and control
    tokens of chat formats get other brackets. Nothing else changes: accents, emoji and every script stay.

    Args:
        text: The question.
        max_chars: Maximum length of the question. The model's context is usually shorter; the chatbot checks it in
            tokens (`ContextLengthError`).

    Raises:
        InvalidInputError: The question is not a string, is empty, longer than `max_chars`, or binary data.
    """
    if not isinstance(text, str):
        raise InvalidInputError(f"The question is of type {type(text).__name__}.", hint="Pass a string.")
    if len(text) > max_chars:
        raise InvalidInputError(
            f"The question has {len(text)} characters, and at most {max_chars} are read.",
            hint="Ask in fewer words; long texts belong among the documents.",
        )
    if is_unreadable(text):
        raise InvalidInputError(
            "The question looks like binary data.", hint="Ask in words; files belong among the documents."
        )
    question = escape_control_tokens(sanitize_text(text)).strip()
    if not question.strip(_REPLACEMENT):
        raise InvalidInputError("The question is empty.", hint="Ask in words.")
    return question


def is_unreadable(text: str) -> bool:
    """Return True if a text looks like binary data: a null character, or many characters that no text contains."""
    count = len(_CONTROL.findall(text)) + len(_SURROGATE.findall(text)) + text.count(_REPLACEMENT)
    return "\0" in text or count > max(_MAX_UNREADABLE_CHARS, _MAX_UNREADABLE_SHARE * len(text))


def sanitize_text(text: str) -> str:
    """Return a text without invisible characters, with spaces for control characters and equal line ends."""
    text = _LINE_END.sub("\n", _SURROGATE.sub(_REPLACEMENT, text))
    return remove_invisible(_CONTROL.sub(" ", text))


def escape_control_tokens(text: str) -> str:
    """Return a text of the same length whose control tokens (`<|start|>`, `[INST]`, `</s>`) have other brackets."""
    return _CONTROL_TOKENS.sub(lambda token: token[0].translate(_LOOKALIKES), text)


def format_one_line(text: str, *, max_chars: int = 200) -> str:
    """Return a file name or heading for a prompt: visible, escaped, on one line, and cut to `max_chars`."""
    line = " ".join(escape_control_tokens(sanitize_text(text)).split())
    return line if len(line) <= max_chars else f"{line[: max_chars - 1]}…"


def find_control_tokens(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each control token in a text."""
    yield from (token.span() for token in _CONTROL_TOKENS.finditer(text))
