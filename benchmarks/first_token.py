"""Measure how long a cited answer takes until its first token, and what the model has to read for it.

    python benchmarks/first_token.py [--model demo-large] [--excerpt-chars 1200] [--language fr] [--warm]

A chatbot over the sample handbook is asked three questions: the first one with a cold prefix cache, a second one about
something else, and a follow-up to it. For each call of the model the table has the tokens of the prompt, those that the
engine had in its cache, and the seconds until the first token. `start` counts from the question, retrieval included;
`shown` is the first text of the answer, which waits for the check of a whole sentence.
"""

import argparse
import time
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult

from langchain_gptoss import ChatGptOss, create_chatbot, load_embeddings
from langchain_gptoss.ingest import index_documents

QUESTIONS = {
    "en": ("How long do I have to return a laptop?", "How much does standard delivery cost?", "And express delivery?"),
    "fr": (
        "Dans quel délai peut-on retourner un ordinateur portable ?",
        "Combien coûte la livraison standard ?",
        "Et la livraison express ?",
    ),
}
EMBEDDINGS = {"en": "demo", "fr": "demo-multilingual"}
GOALS_S = (8.0, 3.0)


@dataclass
class Call:
    """One call of the model.

    Attributes:
        started: Time when the model was called.
        first_token: Time of its first token.
        usage: Tokens of the prompt and of the answer.
    """

    started: float
    first_token: float = 0.0
    usage: dict[str, Any] = field(default_factory=dict)


class CallTimes(BaseCallbackHandler):
    """Records the calls of the model."""

    def __init__(self) -> None:
        self.calls: dict[UUID, Call] = {}

    def on_chat_model_start(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Record the start."""
        self.calls[run_id] = Call(time.perf_counter())

    def on_llm_new_token(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Record the first token."""
        call = self.calls[run_id]
        call.first_token = call.first_token or time.perf_counter()

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Record the tokens, and the time of an answer that came as a whole."""
        call = self.calls[run_id]
        call.first_token = call.first_token or time.perf_counter()
        message: Any = response.generations[0][0]
        call.usage = dict(message.message.usage_metadata or {})


def build_chatbot(model: str, language: str, excerpt_chars: int) -> Any:
    """Return a chatbot over the sample handbook, its model and index loaded and nothing read by the model yet."""
    handbook = Path(str(files("langchain_gptoss") / "samples" / "handbook" / language))
    index = index_documents(handbook, embeddings=load_embeddings(EMBEDDINGS[language]))
    llm = ChatGptOss(model=model)
    llm.load()
    return create_chatbot(llm, index.as_retriever(), excerpt_chars=excerpt_chars, sessions=":memory:")


def measure_question(bot: Any, question: str, session: str) -> float:
    """Ask a question, print what it took, and return the seconds until the first token of the answer."""
    times, start, shown, output = CallTimes(), time.perf_counter(), 0.0, None
    config = {"callbacks": [times], "configurable": {"user_id": "user"}}
    for chunk in bot.stream({"question": question, "session_id": session}, config):
        shown = shown or (time.perf_counter() if chunk.answer else 0.0)
        output = chunk if output is None else output + chunk
    print(f"\n{question}\n  -> {output.answer}\n  steps: {output.timings}")
    first = 0.0
    for number, call in enumerate(times.calls.values(), 1):
        first = call.first_token - start
        read, cached = call.usage.get("input_tokens", 0), call.usage.get("input_token_details", {}).get("cache_read", 0)
        print(
            f"  call {number}: {read} tokens, {cached} of them cached; first token after "
            f"{call.first_token - call.started:.2f} s, from the start {first:.2f} s; {call.usage.get('output_tokens')} "
            "tokens written"
        )
    print(f"  shown after {shown - start:.2f} s")
    return first


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo-large")
    parser.add_argument("--language", choices=tuple(QUESTIONS), default="en")
    parser.add_argument(
        "--excerpt-chars", type=int, default=1200, help="length of what the model reads; 0: whole passages"
    )
    parser.add_argument("--warm", action="store_true", help="read the prompts first, as `gptoss serve` does")
    options = parser.parse_args()
    bot = build_chatbot(options.model, options.language, options.excerpt_chars)
    if options.warm:
        started = time.perf_counter()
        bot.warm_up()
        print(f"The prompts' beginnings were read in {time.perf_counter() - started:.1f} s.")
    seconds = [measure_question(bot, question, "session") for question in QUESTIONS[options.language]]
    names = ("cold prefix", "second question")
    for name, value, goal in zip(names, seconds, GOALS_S, strict=False):
        print(f"first token, {name}: {value:.1f} s (goal: at most {goal:.0f} s)")


if __name__ == "__main__":
    main()
