"""Measure how many complete questions are taken for follow-ups, and how many follow-ups are found.

    python benchmarks/follow_ups.py --data DIR [--half 1] [--show 20]

DIR has PIAF and SQuAD 2 as in the table in benchmarks/README.md. Their questions are judged with another question of
the set before them. Half 0 of the articles was used for writing the rules, half 1 was not. Many of the questions that
are found have a pronoun that only their passage explains; `--show` prints a sample of them. The follow-ups, and the
complete questions with words of follow-ups, are those of the unit tests.
"""

import argparse
import hashlib
import json
import random
from pathlib import Path

from langchain_gptoss.text.follow_ups import is_follow_up

SETS = ("piaf-v1.1.json", "squad2-dev-cs224n.json")
OWN = Path(__file__).parents[1] / "tests" / "unit_tests" / "text" / "follow_ups" / "data"
SEED = 7


def load_questions(path: Path, half: int) -> list[str]:
    """Return the questions of half the articles, chosen by the hash of their titles."""
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    chosen = [each for each in articles if hashlib.sha256(each.get("title", "").encode()).digest()[-1] % 2 == half]
    return [each["question"] for article in chosen for part in article["paragraphs"] for each in part["qas"]]


def read_lines(name: str) -> list[str]:
    """Return the lines of a file of the unit tests, without comments."""
    lines = (OWN / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the question sets")
    parser.add_argument("--half", type=int, choices=(0, 1), default=1, help="half of the articles")
    parser.add_argument("--show", type=int, default=0, help="number of found questions to print")
    options = parser.parse_args()
    rng = random.Random(SEED)
    for name in SETS:
        questions = load_questions(options.data / name, options.half)
        found = [question for question in questions if is_follow_up(question, [rng.choice(questions)])]
        print(f"{name}: {len(found)} of {len(questions)} questions ({len(found) / len(questions):.2%}) are follow-ups")
        for question in rng.sample(found, min(options.show, len(found))):
            print(f"    {question}")
    pairs = [line.split(" | ") for line in read_lines("follow_ups.txt")]
    hits = sum(is_follow_up(question, [previous]) for previous, question in pairs)
    print(f"own follow-ups: {hits} of {len(pairs)} found ({hits / len(pairs):.1%})")
    complete = read_lines("complete_questions.txt")
    wrong = sum(map(is_follow_up, complete))
    print(f"own complete questions: {wrong} of {len(complete)} are follow-ups ({wrong / len(complete):.1%})")


if __name__ == "__main__":
    main()
