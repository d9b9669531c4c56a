"""Measure how many follow-ups are found and completed, and how many complete questions are taken for follow-ups.

    python benchmarks/follow_ups.py --data DIR [--half 1] [--show 20]
    python benchmarks/follow_ups.py --model demo-large [--conversations FILE] [--show 20]
    python benchmarks/follow_ups.py --model none

With `--model`, a chatbot completes the last question of each conversation of FILE, and the question that it would
search for must have the words that the file names. `none` has no model: the rules alone.

DIR has PIAF and SQuAD 2 as in the table in benchmarks/README.md. Their questions are judged with another question of
the set before them. Half 0 of the articles was used for writing the rules, half 1 was not. Many of the questions that
are found have a pronoun that only their passage explains; `--show` prints a sample of them. The follow-ups, and the
complete questions with words of follow-ups, are those of the unit tests.
"""

import argparse
import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.retrievers import BaseRetriever

from langchain_gptoss import ChatGptOss, create_chatbot
from langchain_gptoss.text.follow_ups import is_follow_up, may_be_follow_up

SETS = ("piaf-v1.1.json", "squad2-dev-cs224n.json")
OWN = Path(__file__).parents[1] / "tests" / "unit_tests" / "text" / "follow_ups" / "data"
CONVERSATIONS = Path(__file__).with_name("own_questions") / "conversations.jsonl"
SEED = 7
USERS = 8  # questions that the engine reads in one batch


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """Two turns, and what the search question of the second one must have.

    Attributes:
        language: Language of the last question.
        kind: "follow-up", "complete" or "language switch".
        history: The messages before it, a user's first.
        question: The last question.
        needs: Words of which each must be in the search question; of "a/b" one is enough.
        avoid: Words that may not be in it.
    """

    language: str
    kind: str
    history: Sequence[str]
    question: str
    needs: Sequence[str]
    avoid: Sequence[str]

    @classmethod
    def load_all(cls, file: Path) -> list[Self]:
        """Return the conversations of a file with one JSON object per line."""
        return [cls(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]

    @property
    def messages(self) -> list[BaseMessage]:
        """The messages before the last question."""
        types = (HumanMessage, AIMessage)
        return [types[index % 2](text) for index, text in enumerate(self.history)]

    def is_right(self, search_question: str) -> bool:
        """Return True if a search question has the words that it needs, and none to avoid."""
        text = search_question.lower()
        has_all = all(any(word in text for word in words.lower().split("/")) for words in self.needs)
        return has_all and not any(word.lower() in text for word in self.avoid)


class EmptyRetriever(BaseRetriever):
    """Finds nothing, so that the chatbot declines as soon as it has the search question."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return []


def load_model(name: str) -> BaseChatModel:
    """Return a model; "none" is one whose questions are never usable, so that the rules complete them."""
    return FakeListChatModel(responses=[""]) if name == "none" else ChatGptOss(model=name)


def complete_questions(llm: BaseChatModel, conversations: Sequence[Conversation]) -> list[str]:
    """Return the question that a chatbot searches for, for the last question of each conversation."""
    bot = create_chatbot(llm, EmptyRetriever(), focus=0)
    inputs = [{"question": each.question, "chat_history": each.messages} for each in conversations]
    return [output.standalone_question for output in bot.batch(inputs, {"max_concurrency": USERS})]


def measure_conversations(llm: BaseChatModel, conversations: Sequence[Conversation], shown: int) -> None:
    """Print how many search questions are right, per language and kind, and some that are wrong."""
    started = time.perf_counter()
    found = complete_questions(llm, conversations)
    duration = time.perf_counter() - started
    results = [each.is_right(text) for each, text in zip(conversations, found, strict=True)]
    for groups in ([each.language for each in conversations], [f"{e.language}, {e.kind}" for e in conversations]):
        right = Counter(group for group, is_right in zip(groups, results, strict=True) if is_right)
        for group, count in Counter(groups).items():
            print(f"{group}: {right[group]} of {count} search questions are right")
    print(f"{duration / len(conversations):.2f} s per question, {USERS} at a time")
    wrong = [
        pair for pair, is_right in zip(zip(conversations, found, strict=True), results, strict=True) if not is_right
    ]
    for each, text in wrong[:shown]:
        print(f"    {' / '.join(each.history)} / {each.question}\n        -> {text}")


def load_questions(path: Path, half: int) -> list[str]:
    """Return the questions of half the articles, chosen by the hash of their titles."""
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    chosen = [each for each in articles if hashlib.sha256(each.get("title", "").encode()).digest()[-1] % 2 == half]
    return [each["question"] for article in chosen for part in article["paragraphs"] for each in part["qas"]]


def read_lines(name: str) -> list[str]:
    """Return the lines of a file of the unit tests, without comments."""
    lines = (OWN / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def measure_rules(data: Path, half: int, shown: int) -> None:
    """Print how many questions of the sets and of the unit tests are taken for follow-ups."""
    rng = random.Random(SEED)
    for name in SETS:
        questions = load_questions(data / name, half)
        pairs = [(question, [rng.choice(questions)]) for question in questions]
        found = [question for question, before in pairs if is_follow_up(question, before)]
        asked = sum(may_be_follow_up(*pair) and not is_follow_up(*pair) for pair in pairs)
        print(f"{name}: {len(found)} of {len(questions)} questions ({len(found) / len(questions):.2%}) are follow-ups")
        print(f"    a model is asked about {asked} others ({asked / len(questions):.2%})")
        for question in rng.sample(found, min(shown, len(found))):
            print(f"    {question}")
    pairs = [line.split(" | ") for line in read_lines("follow_ups.txt")]
    hits = sum(is_follow_up(question, [previous]) for previous, question in pairs)
    print(f"own follow-ups: {hits} of {len(pairs)} found ({hits / len(pairs):.1%})")
    complete = read_lines("complete_questions.txt")
    wrong = sum(map(is_follow_up, complete))
    print(f"own complete questions: {wrong} of {len(complete)} are follow-ups ({wrong / len(complete):.1%})")


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the question sets")
    parser.add_argument("--half", type=int, choices=(0, 1), default=1, help="half of the articles")
    parser.add_argument("--model", help='model that completes the follow-ups; "none" for the rules alone')
    parser.add_argument("--conversations", type=Path, default=CONVERSATIONS, help="conversations to complete")
    parser.add_argument("--show", type=int, default=0, help="number of found or wrong questions to print")
    options = parser.parse_args()
    if options.data:
        measure_rules(options.data, options.half, options.show)
    if options.model:
        measure_conversations(load_model(options.model), Conversation.load_all(options.conversations), options.show)


if __name__ == "__main__":
    main()
