"""An agent of LangChain on a model: 20 small tasks with tools, in English and French.

A task is done if the last message holds the expected values. An agent that fails with an error is a fault of the
product, whatever the model writes.

    python benchmarks/agents.py --model demo
    python benchmarks/agents.py --model FOLDER --tools prompt --json agents.json
"""

import argparse
import json
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage

from langchain_gptoss import ChatGptOss
from langchain_gptoss.agents import InvalidToolCallMiddleware, RepeatedToolCallMiddleware

MAX_TOKENS = 160

_STOCK = {"lamp": 14, "chair": 3, "table": 0, "lampe": 14, "chaise": 3}
_PRICES = {"lamp": 35, "chair": 80, "table": 240, "lampe": 35, "chaise": 80}
_WEATHER = {"nantes": "rain, 12 degrees", "oslo": "snow, -4 degrees", "marseille": "sun, 21 degrees"}
_PHONES = {"martin": "02 40 11 22 33", "dupont": "01 55 66 77 88"}
_OPENING = {"library": "9 to 18 o'clock", "pool": "7 to 20 o'clock", "museum": "10 to 17 o'clock"}


def get_stock(product: str) -> str:
    """Return how many pieces of a product are in stock. Products: lamp, chair, table."""
    return f"{_STOCK.get(product.lower().rstrip('s'), 'unknown product')} in stock"


def get_price(product: str) -> str:
    """Return the price of a product in euros. Products: lamp, chair, table."""
    return f"{_PRICES.get(product.lower().rstrip('s'), 'unknown product')} euros"


def get_weather(city: str) -> str:
    """Return the weather in a city."""
    return _WEATHER.get(city.lower(), "unknown city")


def get_phone(name: str) -> str:
    """Return the phone number of an employee by the last name."""
    return _PHONES.get(name.lower().split()[-1], "nobody has this name")


def get_opening_hours(place: str) -> str:
    """Return the opening hours of a place: library, pool or museum."""
    return _OPENING.get(place.lower(), "unknown place")


def add(a: float, b: float) -> str:
    """Add two numbers."""
    return f"{a + b:g}"


def multiply(a: float, b: float) -> str:
    """Multiply two numbers."""
    return f"{a * b:g}"


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task with the tools for it and the values that the answer must hold; of a tuple any one."""

    question: str
    tools: tuple[Callable[..., str], ...]
    expected: tuple[str | tuple[str, ...], ...]


_SHOP = (get_stock, get_price, multiply)
_TOWN = (get_weather, get_opening_hours, get_phone)
_NUMBERS = (add, multiply)

TASKS = [
    Task(question="How many lamps are in stock?", tools=_SHOP, expected=("14",)),
    Task(question="What does a chair cost?", tools=_SHOP, expected=("80",)),
    Task(question="Is the table in stock?", tools=_SHOP, expected=(("0", "no", "not", "out of stock"),)),
    Task(question="What is the price of a table, and how many lamps are in stock?", tools=_SHOP,
         expected=("240", "14")),
    Task(question="What do 6 lamps cost together? Look up the price, then multiply.", tools=_SHOP, expected=("210",)),
    Task(question="What is the weather in Oslo?", tools=_TOWN, expected=(("snow", "-4"),)),
    Task(question="When is the library open?", tools=_TOWN, expected=("9", "18")),
    Task(question="What is the phone number of Mr Martin?", tools=_TOWN, expected=("02 40 11 22 33",)),
    Task(question="What is 127 times 46?", tools=_NUMBERS, expected=(("5842", "5,842"),)),
    Task(question="Add 318 and 277, then multiply the sum by 3.", tools=_NUMBERS, expected=(("1785", "1,785"),)),
    Task(question="Combien de chaises y a-t-il en stock ?", tools=_SHOP, expected=(("3", "trois"),)),
    Task(question="Combien coûte une lampe ?", tools=_SHOP, expected=("35",)),
    Task(question="Quel est le prix d'une table ?", tools=_SHOP, expected=("240",)),
    Task(question="Combien coûtent 3 chaises ensemble ? Cherche le prix, puis multiplie.", tools=_SHOP,
         expected=("240",)),
    Task(question="Quel temps fait-il à Nantes ?", tools=_TOWN, expected=(("pluie", "pleut", "pluvieux", "12"),)),
    Task(question="Quel temps fait-il à Marseille ?", tools=_TOWN, expected=(("soleil", "ensoleille", "21"),)),
    Task(question="Quand le musée est-il ouvert ?", tools=_TOWN, expected=("10", "17")),
    Task(question="Quel est le numéro de téléphone de Madame Dupont ?", tools=_TOWN, expected=("01 55 66 77 88",)),
    Task(question="Combien font 35 fois 62 ?", tools=_NUMBERS, expected=(("2170", "2 170", "2,170"),)),
    Task(question="Combien font 1290 plus 845 ?", tools=_NUMBERS, expected=(("2135", "2 135", "2,135"),)),
]  # fmt: skip
ENGLISH_TASKS = 10  # the others are French


def normalize(text: str) -> str:
    """Return a text in lower case, without accents and with plain spaces."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def is_done(task: Task, answer: str) -> bool:
    """Return True if an answer holds all expected values."""
    text = normalize(answer)
    alternatives = [(value,) if isinstance(value, str) else value for value in task.expected]
    return all(any(value in text for value in values) for values in alternatives)


def run(llm: ChatGptOss, task: Task, *, has_middleware: bool) -> dict[str, Any]:
    """Return the answer of an agent, its number of model calls and tool calls, and the error if there was one."""
    middleware = [InvalidToolCallMiddleware(), RepeatedToolCallMiddleware()] if has_middleware else []
    agent = create_agent(llm, list(task.tools), middleware=middleware)
    try:
        # Without the middleware, a model that repeats its call would go on until this limit.
        state = agent.invoke({"messages": [HumanMessage(task.question)]}, {"recursion_limit": 60})
    except Exception as error:  # every error is reported as a fault
        return {"answer": "", "error": f"{type(error).__name__}: {str(error)[:200]}", "rounds": 0, "calls": []}
    turns = [message for message in state["messages"] if isinstance(message, AIMessage)]
    calls = [
        f"{call['name']}({json.dumps(call['args'], ensure_ascii=False)})" for turn in turns for call in turn.tool_calls
    ]
    return {"answer": turns[-1].text, "error": None, "rounds": len(turns), "calls": calls}


def main() -> None:
    """Measure one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", help="name in the catalog, folder or hub id")
    parser.add_argument("--tools", choices=["template", "prompt"], help="how tools are shown; by the model if left out")
    parser.add_argument("--no-middleware", action="store_true", help="leave out the middleware of this package")
    parser.add_argument("--json", type=Path, help="write the runs to this file")
    options = parser.parse_args()
    llm = ChatGptOss(model=options.model, tool_format=options.tools, temperature=0, max_tokens=MAX_TOKENS)
    runs, start = [], time.perf_counter()
    for task in TASKS:
        result = run(llm, task, has_middleware=not options.no_middleware)
        result |= {"question": task.question, "is_done": is_done(task, result["answer"])}
        runs.append(result)
        mark = "done " if result["is_done"] else "ERROR" if result["error"] else "     "
        print(
            f"{mark} {task.question}\n      {result['calls']}\n      {result['error'] or result['answer']!r}",
            flush=True,
        )
    done = [entry["is_done"] for entry in runs]
    print(
        f"{sum(done)} of {len(runs)} tasks done (English {sum(done[:ENGLISH_TASKS])}, "
        f"French {sum(done[ENGLISH_TASKS:])}), "
        f"{sum(entry['error'] is not None for entry in runs)} errors, at most {max(entry['rounds'] for entry in runs)} "
        f"answers of the model, {(time.perf_counter() - start) / len(runs):.1f} s each"
    )
    if options.json:
        options.json.write_text(json.dumps(runs, indent=2, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
