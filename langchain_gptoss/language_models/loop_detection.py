"""Detection of answers that repeat themselves without end, which small and damaged models write.

A loop is an exact repetition of tokens at the end of the answer. Tables, code, JSON and texts that the user asks to
repeat may have long repetitions too, and come to an end; they are given far more tokens than repeated prose.
"""

import re
from collections.abc import Callable, Sequence

from langchain_gptoss.text.repetition import Repetition, find_repetitions

MAX_REPEATED_PROSE = 384
"""Tokens of repeated sentences after which an answer is a loop."""
MAX_REPEATED_TOKENS = 2048
"""Tokens of any repeated text after which an answer is a loop."""
_MIN_REPETITIONS = 3  # of one unit, after its first occurrence; a draft may be copied once or twice
_CHECK_INTERVAL = 64  # a check costs about a millisecond
_WINDOW_TOKENS = 4096
_STRUCTURE = re.compile(r"[][{}|<>=;\\`#*_\t]")
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”»)]*(?:\s+|$)")
_WORD = re.compile(r"[^\W\d_]{2,}")
_MIN_PROSE_WORDS = 4  # distinct words of a repeated unit


class LoopDetector:
    """Reads an answer token by token and notices a loop.

    Args:
        decode: Returns the text of token ids.
        prompt_ids: Token ids of the prompt. A sentence of the prompt may be repeated because the user asked for it.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], prompt_ids: Sequence[int]) -> None:
        self._decode = decode
        self._prompt_ids = prompt_ids
        self._token_ids: list[int] = []
        self._count = 0

    def feed(self, token_id: int) -> bool:
        """Add a token, and return True if the answer has ended in a loop."""
        self._token_ids.append(token_id)
        self._count += 1
        if self._count < MAX_REPEATED_PROSE or self._count % _CHECK_INTERVAL:
            return False
        self._token_ids = self._token_ids[-_WINDOW_TOKENS:]
        return any(self._is_loop(repetition) for repetition in find_repetitions(self._token_ids))

    def _is_loop(self, repetition: Repetition) -> bool:
        if repetition.count < max(MAX_REPEATED_PROSE, _MIN_REPETITIONS * repetition.period):
            return False
        return repetition.count >= MAX_REPEATED_TOKENS or self._is_own_prose(repetition.period)

    def _is_own_prose(self, period: int) -> bool:
        """Return True if the repeated unit consists of sentences, and the prompt does not have them."""
        # Two units have at least one whole sentence, wherever the period begins.
        text = self._decode(self._token_ids[-2 * period :])
        words = {word.lower() for word in _WORD.findall(text)}
        if len(words) < _MIN_PROSE_WORDS or _STRUCTURE.search(text) or not _SENTENCE_END.search(text):
            return False
        sentence = max(_SENTENCE_END.split(text), key=len)
        return _join_words(sentence) not in _join_words(self._decode(self._prompt_ids))


def _join_words(text: str) -> str:
    return " ".join(text.lower().split())
