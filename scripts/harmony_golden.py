"""Writes the golden files of harmony: `python scripts/harmony_golden.py`, then read the diff.

A file of `tests/unit_tests/chat_formats/harmony/golden/` holds a conversation and its task, which are written
by hand, and the prompt they become, as text and as ids, which is written here.
A new shape is a new file without `text` and `ids`.
"""

import datetime
import json
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from langchain_core.messages import BaseMessage, messages_from_dict
from openai_harmony import HarmonyEncodingName, load_harmony_encoding

from langchain_gptoss.chat_formats.base import PromptOptions, ResponseFormat, Tool
from langchain_gptoss.chat_formats.harmony import HarmonyFormat, renderer

FOLDER = Path(__file__).parents[1] / "tests" / "unit_tests" / "chat_formats" / "harmony" / "golden"
DAY = datetime.date(2026, 2, 3)
ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)


@contextmanager
def that_day() -> Iterator[None]:
    """Stops the calendar: a prompt holds the date."""

    class Date(datetime.date):
        @classmethod
        def today(cls) -> datetime.date:
            return DAY

    with patch.object(renderer, "date", Date):
        yield


def read(shape: dict[str, Any]) -> tuple[list[BaseMessage], PromptOptions]:
    """Returns a file's conversation and task."""
    options = dict(shape["options"])
    if "tools" in options:
        options["tools"] = tuple(Tool(**tool) for tool in options["tools"])
    if "response_format" in options:
        options["response_format"] = ResponseFormat(**options["response_format"])
    return messages_from_dict(shape["messages"]), PromptOptions(**options)


def prompt(shape: dict[str, Any]) -> tuple[list[str], list[int]]:
    """Returns the prompt that a file's conversation becomes, as lines that add up to its text, and as ids."""
    with that_day():
        ids = HarmonyFormat().render(*read(shape))
    return re.findall(r".*?(?:\n|<\|end\|>|<\|call\|>|$)", ENCODING.decode(ids))[:-1], ids


def written(shape: dict[str, Any]) -> str:
    """Returns a file's content, brought up to date."""
    lines, ids = prompt(shape)
    content = json.dumps({**shape, "text": lines, "ids": "IDS"}, ensure_ascii=False, indent=2)
    wrapped = textwrap.fill(", ".join(map(str, ids)), 116, initial_indent="    ", subsequent_indent="    ")
    return content.replace('"IDS"', f"[\n{wrapped}\n  ]") + "\n"


def main() -> None:
    """Brings every file up to date."""
    for path in sorted(FOLDER.glob("*.json")):
        path.write_text(written(json.loads(path.read_text("utf-8"))), "utf-8", newline="\n")


if __name__ == "__main__":
    main()
