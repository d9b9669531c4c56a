"""Update the golden files of harmony prompts: `python scripts/harmony_golden.py`, then read the diff.

A file in `tests/unit_tests/chat_formats/harmony/golden/` has messages and options, written by hand, and the prompt as
text and ids, written by this script. A new case is a new file without `text` and `ids`. `schemas.json` in the folder
`library` beside it has schemas of tools, and our text of those that openai-harmony writes differently.
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
from langchain_gptoss.chat_formats.harmony.typescript import write_namespace

FOLDER = Path(__file__).parents[1] / "tests" / "unit_tests" / "chat_formats" / "harmony" / "golden"
SCHEMAS = FOLDER.parent / "library" / "schemas.json"
DATE = datetime.date(2026, 2, 3)
ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)


@contextmanager
def fix_date() -> Iterator[None]:
    """Replace the current date, which is part of every prompt, by `DATE`."""
    with patch.object(renderer, "date") as date:
        date.today.return_value = DATE
        yield


def read_case(case: dict[str, Any]) -> tuple[list[BaseMessage], PromptOptions]:
    """Return the messages and the options of a golden file."""
    options = dict(case["options"])
    if "tools" in options:
        options["tools"] = tuple(Tool(**tool) for tool in options["tools"])
    if "response_format" in options:
        options["response_format"] = ResponseFormat(**options["response_format"])
    return messages_from_dict(case["messages"]), PromptOptions(**options)


def render_case(case: dict[str, Any]) -> tuple[list[str], list[int]]:
    """Return the prompt of a golden file, as lines that add up to its text, and as ids."""
    with fix_date():
        ids = HarmonyFormat().render(*read_case(case))
    return re.findall(r".*?(?:\n|<\|end\|>|<\|call\|>|$)", ENCODING.decode(ids))[:-1], ids


def update_content(case: dict[str, Any]) -> str:
    """Return the content of a golden file with the current prompt."""
    lines, ids = render_case(case)
    content = json.dumps({**case, "text": lines, "ids": "IDS"}, ensure_ascii=False, indent=2)
    wrapped_ids = textwrap.fill(", ".join(map(str, ids)), 116, initial_indent="    ", subsequent_indent="    ")
    return content.replace('"IDS"', f"[\n{wrapped_ids}\n  ]") + "\n"


def write_type(parameters: dict[str, Any]) -> list[str]:
    """Return the lines of a function with these parameters."""
    text = write_namespace([Tool(name="f", parameters=parameters)])
    return text.split("namespace functions {\n\n")[1].split("\n\n} // namespace")[0].split("\n")


def update_schemas(entries: list[dict[str, Any]]) -> str:
    """Return the content of the file of schemas with our text where it differs from the library's."""
    updated = [
        {**entry, "written": write_type(entry["parameters"])} if "differs" in entry else entry for entry in entries
    ]
    return json.dumps(updated, ensure_ascii=False, indent=1) + "\n"


def main() -> None:
    """Update every golden file."""
    SCHEMAS.write_text(update_schemas(json.loads(SCHEMAS.read_text("utf-8"))), "utf-8", newline="\n")
    for path in sorted(FOLDER.glob("*.json")):
        path.write_text(update_content(json.loads(path.read_text("utf-8"))), "utf-8", newline="\n")


if __name__ == "__main__":
    main()
