"""Text from outside made harmless: invisible characters, control tokens of chat formats, and questions that are none.

A chat format encodes message text as text, whatever is written in it. What is done here is for the people and programs
behind it as well: a terminal that obeys control characters, a server whose chat template takes `<|im_start|>` at its
word, a reader who does not see what a model reads.
"""

import re
from collections.abc import Iterator

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.text.normalization import remove_invisible

MAX_QUESTION_CHARS = 100_000
_FEW = 2  # unreadable characters prove nothing
_MAX_BINARY = 0.1  # the share of unreadable characters above which a text is taken for binary data
_REPLACEMENT = "\ufffd"

_CONTROL = re.compile("[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f\ufdd0-\ufdef\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LINE_END = re.compile("\r\n?|[\u000b\u000c\u0085\u2028\u2029]")

# Control tokens of harmony, ChatML, Llama, Mistral, Gemma, Phi, DeepSeek, Command R and the tool marks of open models.
_TOKENS = re.compile(
    r"<[|｜][^\s<>]{0,60}?[|｜]>"
    r"|\[/?(?:INST|SYS|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|SYSTEM_PROMPT|IMG)\]"
    r"|<</?SYS>>"
    r"|</?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|tool_call|tool_response|tools|think|function_calls?)>"
    r"|<(?:start|end)_of_(?:turn|image)>",
    re.IGNORECASE,
)
# Each bracket becomes one that looks like it and begins no token, so that every offset stays what it was.
_LOOKALIKES = str.maketrans({"<": "‹", ">": "›", "[": "⟦", "]": "⟧", "|": "¦", "｜": "¦"})


def clean_question(text: object, *, max_chars: int = MAX_QUESTION_CHARS) -> str:
    """Returns a question as it may be searched for, shown to a model, and written into a log.

    Invisible characters are taken out, control characters become spaces, lone surrogates become U+FFFD, and control
    tokens of chat formats are written with other brackets. Nothing else changes: accents, emoji and every script stay.

    Args:
        text: What came in.
        max_chars: The longest question that is looked at. The model's context usually ends sooner, and is checked by
            the chatbot in tokens (`ContextLengthError`).

    Raises:
        InvalidInputError: It is no text, empty, longer than `max_chars`, or binary data.
    """
    if not isinstance(text, str):
        raise InvalidInputError(f"The question is of type {type(text).__name__}; it must be a text.")
    if len(text) > max_chars:
        raise InvalidInputError(
            f"The question has {len(text)} characters, and at most {max_chars} are read. Ask in fewer words; long "
            "texts belong among the documents."
        )
    bad = unreadable(text)
    if "\0" in text or bad > max(_FEW, _MAX_BINARY * len(text)):
        raise InvalidInputError("The question looks like binary data. Ask in words; files belong among the documents.")
    cleaned = defused(visible(text)).strip()
    if not cleaned.strip(_REPLACEMENT):
        raise InvalidInputError("The question is empty. Ask in words.")
    return cleaned


def unreadable(text: str) -> int:
    """Returns how many characters no written text holds: controls, lone surrogates, failed decodings."""
    return len(_CONTROL.findall(text)) + len(_SURROGATE.findall(text)) + text.count(_REPLACEMENT)


def visible(text: str) -> str:
    """Returns a text without characters that nobody sees, all line ends alike, spaces for control characters."""
    text = _LINE_END.sub("\n", _SURROGATE.sub(_REPLACEMENT, text))
    return remove_invisible(_CONTROL.sub(" ", text))


def defused(text: str) -> str:
    """Returns a text whose control tokens (`<|start|>`, `[INST]`, `</s>`) have brackets that no tokenizer knows.

    It is as long as before, so offsets stay right.
    """
    return _TOKENS.sub(lambda token: token[0].translate(_LOOKALIKES), text)


def one_line(text: str, *, max_chars: int = 200) -> str:
    """Returns a file name or heading as it may stand in a prompt: visible, defused, on one line, and cut."""
    line = " ".join(defused(visible(text)).split())
    return line if len(line) <= max_chars else f"{line[: max_chars - 1]}…"


def control_tokens(text: str) -> Iterator[tuple[int, int]]:
    """Yields the span of each control token that somebody wrote as text."""
    yield from (token.span() for token in _TOKENS.finditer(text))
