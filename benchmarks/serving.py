"""Measure the engine as a server uses it: many users, long conversations, shared documents; see benchmarks/README.md.

    python benchmarks/serving.py --demo-gguf /data/demo-q8.gguf
    python benchmarks/serving.py --only users-20b,start-20b --checkpoint /data/20b --gguf /data/20b.gguf
    python benchmarks/serving.py --list

Every measurement runs in its own process, one at a time. The systems take turns, so slow changes of the machine affect
them all. The best round counts, because other processes only slow a measurement down; ratios between two figures of one
process are medians over the rounds.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from cpu import describe_machine, warm_page_cache
from serving_runners import FIRST_TOKEN, Figures, Job

ROOT = Path(__file__).resolve().parents[1]
RUNNERS = Path(__file__).with_name("serving_runners.py")
HANDBOOK = files("langchain_gptoss") / "samples" / "handbook" / "en"
USERS = 8
GIGABYTE = 1e9
MAX_OTHER_LOAD = 0.1
# Questions, and the two pages of the sample handbook that are given with them.
QUOTE_QUESTIONS = (
    ("What is written about annual leave?", ("leave-and-holidays", "payment")),
    ("What is written about the tiers of the loyalty programme?", ("loyalty", "orders")),
    ("What is written about placing an order?", ("orders", "privacy")),
    ("What is written about returns?", ("returns", "stores")),
    ("What is written about delivery?", ("shipping", "trade-in")),
    ("What is written about the warranty?", ("warranty", "repairs")),
)
DOCUMENT_QUESTIONS = (
    "How long do I have to return a product?",
    "How much does standard delivery cost?",
    "Which tiers does the loyalty programme have?",
    "How long is the warranty?",
)
DOCUMENTS = ("returns", "shipping", "loyalty", "warranty")

Rounds = dict[str, list[Figures]]


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A figure with a limit.

    Attributes:
        text: What is compared.
        compute: Returns the figure from the rounds of each system.
        limit: The limit.
        is_maximum: True if the figure must be at most the limit, False if at least.
    """

    text: str
    compute: Callable[[Rounds], float]
    limit: float
    is_maximum: bool = False

    def is_met(self, value: float) -> bool:
        """Return True if a figure meets the goal."""
        return value <= self.limit if self.is_maximum else value >= self.limit


@dataclass(frozen=True, kw_only=True)
class Case:
    """One measurement of several systems.

    Attributes:
        name: Name for `--only`.
        measure: Name of the measurement in serving_runners.py.
        model: `"demo"` or `"20b"`.
        context: Length of the context of one user, in tokens.
        tokens: Length of an answer, in tokens.
        create_prompts: Returns the prompts for a tokenizer and a seed.
        describe: Returns the figures of the best rounds as a text.
        goals: Goals.
        systems: Names of the systems.
        users: Number of users.
        is_slow: True if the case runs only when it is named.
    """

    name: str
    measure: str
    model: str
    context: int
    tokens: int
    create_prompts: "Callable[[Texts, int], list[list[int]]]"
    describe: Callable[[Figures], str]
    goals: tuple[Goal, ...]
    systems: tuple[str, ...] = ("ours", "llama.cpp")
    users: int = 1
    is_slow: bool = False


@dataclass(kw_only=True)
class Texts:
    """Prompts from the texts of this repository, in the tokens of one model."""

    folder: Path
    _tokenizer: Any = field(init=False)

    def __post_init__(self) -> None:
        """Load the tokenizer."""
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(self.folder)

    @property
    def stop_ids(self) -> list[int]:
        """Ids of the tokens that end an answer."""
        return [self._tokenizer.eos_token_id]

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, ids: list[int]) -> str:
        """Return the text of token ids."""
        return str(self._tokenizer.decode(ids))

    def render(self, system: str, question: str) -> list[int]:
        """Return the token ids of a conversation with one question; without a template, those of the texts."""
        if not self._tokenizer.chat_template:
            return self.encode(f"{system}\n\n{question}\n")
        messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
        text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return self.encode(text)

    def cut_page(self, name: str, tokens: int) -> str:
        """Return the beginning of a page of the sample handbook."""
        return self.decode(self.encode((HANDBOOK / f"{name}.md").read_text(encoding="utf-8"))[:tokens])

    def take_tokens(self, count: int, seed: int) -> list[int]:
        """Return consecutive tokens of this repository's documentation, from a random place."""
        pages = sorted((ROOT / "docs").glob("*.md"))
        ids = self.encode("\n\n".join(page.read_text(encoding="utf-8") for page in pages))
        start = random.Random(seed).randrange(len(ids) - count)
        return ids[start : start + count]


def create_user_prompts(texts: Texts, seed: int) -> list[list[int]]:
    """Return a short prompt for each user."""
    return [texts.take_tokens(32, seed * 100 + number) for number in range(USERS)]


def create_turns(texts: Texts, seed: int) -> list[list[int]]:
    """Return a conversation of 2,000 tokens and the next question."""
    return [texts.take_tokens(2000, seed), texts.take_tokens(30, seed + 1000)]


def create_document_prompts(texts: Texts, _seed: int) -> list[list[int]]:
    """Return four questions after the same four documents of 400 tokens."""
    pages = "\n\n".join(texts.cut_page(name, 400) for name in DOCUMENTS)
    system = f"Answer the question from these documents, and quote them.\n\n{pages}"
    return [texts.render(system, question) for question in DOCUMENT_QUESTIONS]


def create_quote_prompts(texts: Texts, _seed: int) -> list[list[int]]:
    """Return questions that ask for a quotation from one of two documents of 400 tokens."""
    prompts = []
    for question, names in QUOTE_QUESTIONS:
        pages = "\n\n".join(texts.cut_page(name, 400) for name in names)
        system = f"Answer each question with the sentences of the documents about it, word for word.\n\n{pages}"
        prompts.append(texts.render(system, question))
    return prompts


def create_gap_prompts(texts: Texts, seed: int) -> list[list[int]]:
    """Return the prompt of the running answer and the long prompt that arrives."""
    return [texts.take_tokens(64, seed), texts.take_tokens(2000, seed + 1000)]


def create_long_prompts(texts: Texts, seed: int) -> list[list[int]]:
    """Return a prompt of 4,096 tokens with its answer for each user; they have no common beginning."""
    return [texts.take_tokens(4096 - 8, seed * 100 + number) for number in range(USERS)]


def create_short_prompt(texts: Texts, seed: int) -> list[list[int]]:
    """Return one short prompt."""
    return [texts.take_tokens(8, seed)]


def compare_within(numerator: str, denominator: str) -> Callable[[Rounds], float]:
    """Return a function that divides two figures of the same process of our engine: the median over the rounds."""
    return lambda rounds: statistics.median(figures[numerator] / figures[denominator] for figures in rounds["ours"])


def compare_with(peer: str, key: str, choose: Callable[[Iterator[float]], float]) -> Callable[[Rounds], float]:
    """Return a function that divides the best figure of our engine by that of a peer; `choose` is min or max."""
    return lambda rounds: choose(f[key] for f in rounds["ours"]) / choose(f[key] for f in rounds[peer])


def find_best(key: str, *, scale: float = 1.0) -> Callable[[Rounds], float]:
    """Return a function that finds the lowest figure of our engine."""
    return lambda rounds: min(figures[key] for figures in rounds["ours"]) * scale


def _list_user_cases() -> Iterator[Case]:
    for model, least, tokens in (("demo", 4.0, 64), ("20b", 2.0, 12)):
        yield Case(
            name=f"users-{model}",
            measure="users",
            model=model,
            context=1024,
            tokens=tokens,
            users=USERS,
            create_prompts=create_user_prompts,
            describe=lambda f: f"1 user {f['one']:.1f} tok/s, {USERS} users {f['all']:.1f} tok/s",
            goals=(
                Goal(text=f"{USERS} users against one", compute=compare_within("all", "one"), limit=least),
                Goal(
                    text=f"{USERS} users against llama.cpp's {USERS} slots",
                    compute=compare_with("llama.cpp", "all", max),
                    limit=1.2,
                ),
            ),
        )


def _list_conversation_cases() -> Iterator[Case]:
    for model, is_slow in (("demo", False), ("20b", True)):
        yield Case(
            name=f"turns-{model}",
            measure="turns",
            model=model,
            context=2560,
            tokens=32,
            create_prompts=create_turns,
            describe=lambda f: (
                f"first token of turn 1 after {f['first']:.2f} s, of turn 2 after {f['second']:.3f} s "
                f"({f['cached']} tokens cached)"
            ),
            goals=(
                Goal(
                    text="second turn against the first",
                    compute=compare_within("second", "first"),
                    limit=0.1,
                    is_maximum=True,
                ),
                Goal(
                    text="second turn against llama.cpp's prompt cache",
                    compute=compare_with("llama.cpp", "second", min),
                    limit=1.0,
                    is_maximum=True,
                ),
            ),
            is_slow=is_slow,
        )
        yield Case(
            name=f"gap-{model}",
            measure="gap",
            model=model,
            context=4096,
            tokens=40 if model == "demo" else 10,
            users=2,
            create_prompts=create_gap_prompts,
            describe=lambda f: (
                f"usual gap {f['usual'] * 1e3:.0f} ms, longest {f['longest'] * 1e3:.0f} ms, median meanwhile "
                f"{f['median_during'] * 1e3:.0f} ms; the prompt took {f['arrival']:.1f} s"
            ),
            goals=(
                Goal(
                    text="longest gap against the usual one",
                    compute=compare_within("longest", "usual"),
                    limit=3.0,
                    is_maximum=True,
                ),
            ),
            is_slow=is_slow,
        )


def _list_document_cases() -> Iterator[Case]:
    yield Case(
        name="documents-demo",
        measure="documents",
        model="demo",
        context=2560,
        tokens=40,
        create_prompts=create_document_prompts,
        describe=lambda f: f"four answers in {f['without']:.2f} s without reuse, {f['with']:.2f} s with it",
        goals=(Goal(text="without reuse against with it", compute=compare_within("without", "with"), limit=2.5),),
    )
    yield Case(
        name="quotes-demo",
        measure="quotes",
        model="demo",
        context=2560,
        tokens=96,
        create_prompts=create_quote_prompts,
        describe=lambda f: (
            f"{f['tokens']} tokens in {f['plain']:.2f} s without speculation, {f['fast']:.2f} s with it; prompts "
            f"included {f['plain_whole']:.2f} and {f['fast_whole']:.2f} s"
        ),
        goals=(
            Goal(text="decode without speculation against with it", compute=compare_within("plain", "fast"), limit=1.5),
            Goal(
                text="the same tokens in all rounds",
                compute=lambda rounds: float(all(figures["are_equal"] for figures in rounds["ours"])),
                limit=1.0,
            ),
        ),
        systems=("ours",),
    )


def _list_process_cases() -> Iterator[Case]:
    yield Case(
        name="start-20b",
        measure="start",
        model="20b",
        context=512,
        tokens=1,
        create_prompts=create_short_prompt,
        describe=lambda f: f"{f['start']:.1f} s from the start of Python to the first token",
        goals=(Goal(text="seconds", compute=find_best("start"), limit=5.0, is_maximum=True),),
        systems=("ours", "llama.cpp", "ik_llama.cpp"),
    )
    yield Case(
        name="memory-20b",
        measure="memory",
        model="20b",
        context=4096,
        tokens=8,
        users=USERS,
        create_prompts=create_long_prompts,
        describe=lambda f: f"planned {f['planned'] / GIGABYTE:.2f} GB, measured {f['measured'] / GIGABYTE:.2f} GB",
        goals=(
            Goal(
                text="planned against measured, deviation",
                compute=lambda rounds: abs(compare_within("planned", "measured")(rounds) - 1),
                limit=0.1,
                is_maximum=True,
            ),
            Goal(text="GB", compute=find_best("measured", scale=1 / GIGABYTE), limit=16.0, is_maximum=True),
        ),
        systems=("ours",),
        is_slow=True,
    )


CASES = {
    case.name: case
    for cases in (_list_user_cases(), _list_conversation_cases(), _list_document_cases(), _list_process_cases())
    for case in cases
}


def main() -> None:
    """Measure the cases and print the table."""
    options = _parse_options()
    machine = describe_machine()
    print(f"{machine['cpu']}, {options.threads} threads, {machine['when']}, {' '.join(machine['simd'])}")
    report: dict[str, Any] = {"machine": machine, "cases": {}}
    tables = []
    for name in options.only:
        rounds = _measure_case(CASES[name], options)
        report["cases"][name] = rounds
        tables.append((CASES[name], rounds))
    print_table(tables)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names of cases, separated by commas; default: all that are not slow")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument(
        "--checkpoint", type=Path, help="a checkpoint of the 20b shape; without it, its cases are left out"
    )
    parser.add_argument("--gguf", type=Path, help="the same model as a GGUF file")
    parser.add_argument("--demo-gguf", type=Path, help="the demo model as a GGUF file (make_demo_gguf.py)")
    parser.add_argument("--ik-python", default=sys.executable, help="a Python with ik-llama-cpp-python")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--systems", help="measure only these systems, separated by commas")
    parser.add_argument("--json", type=Path, help="write the figures of every round into this file")
    options = parser.parse_args()
    if options.list:
        for case in CASES.values():
            print(f"{case.name:15} {'slow, ' if case.is_slow else ''}{'; '.join(goal.text for goal in case.goals)}")
        sys.exit()
    names = options.only.split(",") if options.only else [case.name for case in CASES.values() if not case.is_slow]
    if unknown := set(names) - CASES.keys():
        parser.error(f"unknown cases in --only: {', '.join(sorted(unknown))}. --list shows them all.")
    if options.checkpoint is None:
        if options.only and any(CASES[name].model == "20b" for name in names):
            parser.error("the cases of the 20b shape need --checkpoint; make_checkpoint.py writes one.")
        names = [name for name in names if CASES[name].model != "20b"]
    options.only = names
    options.systems = options.systems.split(",") if options.systems else None
    return options


def _measure_case(case: Case, options: argparse.Namespace) -> Rounds:
    checkpoint, gguf = _find_model(case.model, options)
    systems = [
        name
        for name in case.systems
        if (options.systems is None or name in options.systems) and (name == "ours" or gguf is not None)
    ]
    texts = Texts(folder=checkpoint)
    rounds: Rounds = {name: [] for name in systems}
    for seed in range(options.rounds):
        job: Job = {"measure": case.measure, "threads": options.threads, "context": case.context, "users": case.users}
        job |= {"checkpoint": str(checkpoint), "gguf": str(gguf), "tokens": case.tokens, "stop_ids": texts.stop_ids}
        job |= {"prompts": case.create_prompts(texts, seed), "flash": True, "repack": True}
        for name in systems:
            warm_page_cache([gguf] if name != "ours" else sorted(checkpoint.glob("*.safetensors")))
            figures = run_job(job | {"system": name}, options.ik_python if name == "ik_llama.cpp" else sys.executable)
            if "error" in figures:
                print(f"{case.name}, round {seed + 1}, {name}: {figures['error']}", flush=True)
                continue
            disturbed = "*" if figures.get("others", 0) > MAX_OTHER_LOAD else ""
            print(f"{case.name}, round {seed + 1}, {name}{disturbed}: {case.describe(figures)}", flush=True)
            rounds[name].append(figures)
    return rounds


def _find_model(model: str, options: argparse.Namespace) -> tuple[Path, Path | None]:
    if model == "20b":
        return options.checkpoint, options.gguf
    from langchain_gptoss.models.demo import fetch_demo_model

    return fetch_demo_model(), options.demo_gguf


def run_job(job: Job, python: str) -> Figures:
    """Return the figures of a job, or `{"error": ...}` with the last lines of its standard error."""
    threads = str(job["threads"])
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    began = time.perf_counter()
    process = subprocess.Popen(
        [python, str(RUNNERS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(job))
    process.stdin.close()
    if job["measure"] == "start":
        for line in process.stdout:
            if line.strip() == FIRST_TOKEN:
                process.kill()
                process.wait()
                return {"start": time.perf_counter() - began}
    output = process.stdout.read()
    assert process.stderr
    errors = process.stderr.read()
    try:
        figures: Figures = json.loads(output.strip().splitlines()[-1])
    except (IndexError, ValueError):
        last_lines = "\n".join(errors.strip().splitlines()[-5:])
        return {"error": f"exit status {process.wait()}: {last_lines}"}
    return figures


def print_table(results: list[tuple[Case, Rounds]]) -> None:
    """Print one row for each goal, with the figures of the first system's last round and of its peers."""
    print("\n| case | compared | figure | goal | |\n|---|---|---|---|---|")
    for case, rounds in results:
        for goal in case.goals:
            sign = "at most" if goal.is_maximum else "at least"
            try:
                value = goal.compute(rounds)
            except (KeyError, ValueError):  # a system was left out, or failed in every round
                print(f"| {case.name} | {goal.text} | not measured | {sign} {goal.limit:g} | |")
                continue
            verdict = "met" if goal.is_met(value) else "missed"
            print(f"| {case.name} | {goal.text} | {value:.2f} | {sign} {goal.limit:g} | {verdict} |")
    print("\n| case | system | figures of every round |\n|---|---|---|")
    for case, rounds in results:
        for name, figures in rounds.items():
            disturbed = "* " if any(one.get("others", 0) > MAX_OTHER_LOAD for one in figures) else ""
            print(f"| {case.name} | {name} | {disturbed}{'; then '.join(map(case.describe, figures))} |")
    print(f"\n* other processes used more than {MAX_OTHER_LOAD:.0%} of the processor")


if __name__ == "__main__":
    main()
