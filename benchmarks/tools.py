"""Tool calls and structured outputs of a model: 20 of each, in English and French, graded by exact values.

Every question is asked with all eight tools, and the model chooses (`--choice any` demands a call). The schema of a
structured output is enforced while the model writes. Strings are compared without case.

    python benchmarks/tools.py --model demo
    python benchmarks/tools.py --model FOLDER --tools template --json tools.json
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langchain_core.exceptions import OutputParserException
from tool_cases import CALLS, OUTPUTS, SCHEMAS, TOOLS, CallCase, OutputCase

from langchain_gptoss import ChatGptOss

ENGLISH_CASES = 10  # of each kind; the others are French
MAX_TOKENS = 120


def normalize(value: Any) -> Any:
    """Return a JSON value with its strings in lower case and without white space around them."""
    if isinstance(value, str):
        return value.strip().casefold()
    if isinstance(value, list):
        return [normalize(item) for item in value]
    if isinstance(value, dict):
        return {key: normalize(item) for key, item in value.items()}
    return value


def is_right_call(case: CallCase, calls: list[dict[str, Any]]) -> bool:
    """Return True if the only call is the expected one."""
    if len(calls) != 1 or calls[0]["name"] != case.tool:
        return False
    arguments = calls[0]["args"]
    further = {key: value for key, value in arguments.items() if key not in case.arguments}
    expected = {**case.arguments, **{key: case.optional.get(key) for key in further}}
    return bool(normalize(arguments) == normalize(expected))


def ask_call(llm: ChatGptOss, case: CallCase, choice: str) -> tuple[bool, Any]:
    """Return True for the right call, and what the model wrote."""
    message = llm.bind_tools(TOOLS, tool_choice=choice).invoke(case.question)
    calls = [{"name": call["name"], "args": call["args"]} for call in message.tool_calls]
    return is_right_call(case, calls), calls or message.content or message.invalid_tool_calls


def ask_output(llm: ChatGptOss, case: OutputCase) -> tuple[bool, Any]:
    """Return True for the right object, and what the model wrote."""
    try:
        value = llm.with_structured_output(SCHEMAS[case.schema]).invoke(case.text)
    except OutputParserException as error:
        return False, str(error)[:200]
    return normalize(value) == normalize(case.value), value


def measure(name: str, cases: list[Any], ask: Callable[[Any], tuple[bool, Any]]) -> dict[str, Any]:
    """Print the wrong answers, and return the numbers of right ones."""
    rights, start = [], time.perf_counter()
    for case in cases:
        is_right, written = ask(case)
        rights.append(is_right)
        if not is_right:
            print(f"  {name}: {getattr(case, 'question', None) or case.text}\n    {written}", flush=True)
    return {
        "right": sum(rights),
        "english": sum(rights[:ENGLISH_CASES]),
        "french": sum(rights[ENGLISH_CASES:]),
        "of": len(cases),
        "seconds_per_case": round((time.perf_counter() - start) / len(cases), 2),
    }


def main() -> None:
    """Measure one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", help="name in the catalog, folder or hub id")
    parser.add_argument("--tools", choices=["template", "prompt"], help="how tools are shown; by the model if left out")
    parser.add_argument("--choice", choices=["auto", "any"], default="auto", help="any demands a call")
    parser.add_argument("--only", choices=["calls", "outputs"], help="measure one of the two")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    llm = ChatGptOss(model=options.model, tool_format=options.tools, temperature=0, max_tokens=MAX_TOKENS)
    results = {}
    if options.only != "outputs":
        results["calls"] = measure("call", CALLS, lambda case: ask_call(llm, case, options.choice))
    if options.only != "calls":
        results["outputs"] = measure("output", OUTPUTS, lambda case: ask_output(llm, case))
    for name, result in results.items():
        print(
            f"{name}: {result['right']} of {result['of']} right (English {result['english']}, French "
            f"{result['french']}), {result['seconds_per_case']} s each"
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
