"""Write what openai-harmony 0.0.8 makes of our test data: `python scripts/library_golden.py`, then read the diff.

It needs an environment of its own with `openai-harmony==0.0.8`, which cannot stand beside `oss-harmony`, and the
variable TIKTOKEN_ENCODINGS_BASE with the folder of `o200k_base.tiktoken`. The files in
`tests/unit_tests/chat_formats/harmony/library/` have schemas and conversations, written by hand, and the library's text
of each, written by this script; `scripts/harmony_golden.py` adds our own text where it differs.
"""

import json
from pathlib import Path
from typing import Any

from openai_harmony import (
    Author,
    Conversation,
    DeveloperContent,
    HarmonyEncodingName,
    Message,
    ReasoningEffort,
    RenderConversationConfig,
    Role,
    SystemContent,
    ToolDescription,
    load_harmony_encoding,
)

FOLDER = Path(__file__).parents[1] / "tests" / "unit_tests" / "chat_formats" / "harmony" / "library"
DATE = "2026-02-03"  # as in `scripts/harmony_golden.py`
ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)


def write_type(parameters: dict[str, Any]) -> list[str]:
    """Return the lines of a function with these parameters."""
    developer = DeveloperContent.new().with_function_tools([ToolDescription.new("f", "", parameters)])
    text = ENCODING.decode(ENCODING.render(Message.from_role_and_content(Role.DEVELOPER, developer)))
    return text.split("namespace functions {\n\n")[1].split("\n\n} // namespace")[0].split("\n")


def write_conversation(case: dict[str, Any]) -> tuple[str, list[int]]:
    """Return the text and the ids of a conversation in the library's own form."""
    given = case["library_input"]
    effort = ReasoningEffort[case["options"]["reasoning_effort"].upper()]
    system = SystemContent.new().with_conversation_start_date(DATE).with_reasoning_effort(effort)
    messages = [Message.from_role_and_content(Role.SYSTEM, system)]
    developer = DeveloperContent.new()
    if given["instructions"]:
        developer = developer.with_instructions(given["instructions"])
    if tools := [ToolDescription.new(**tool) for tool in case["options"]["tools"]]:
        developer = developer.with_function_tools(tools)
    if given["instructions"] or tools:
        messages.append(Message.from_role_and_content(Role.DEVELOPER, developer))
    messages += [build_message(turn) for turn in given["turns"]]
    config = RenderConversationConfig(auto_drop_analysis=given["auto_drop_analysis"])
    ids = ENCODING.render_conversation_for_completion(Conversation.from_messages(messages), Role.ASSISTANT, config)
    return ENCODING.decode(ids), ids


def build_message(turn: dict[str, str]) -> Message:
    """Return one message of a conversation in the library's own form."""
    message = Message.from_author_and_content(Author.new(Role(turn["role"]), turn.get("name")), turn["text"])
    if "channel" in turn:
        message = message.with_channel(turn["channel"])
    if "recipient" in turn:
        message = message.with_recipient(turn["recipient"])
    return message.with_content_type(turn["content_type"]) if "content_type" in turn else message


def main() -> None:
    """Update both files."""
    path = FOLDER / "schemas.json"
    schemas = [{**entry, "library": write_type(entry["parameters"])} for entry in json.loads(path.read_text("utf-8"))]
    write(path, schemas)
    path = FOLDER / "conversations.json"
    cases = json.loads(path.read_text("utf-8"))
    for case in cases:
        case["library"], ids = write_conversation(case)
        case["library_ids"] = " ".join(map(str, ids))
    write(path, cases)


def write(path: Path, entries: list[dict[str, Any]]) -> None:
    """Write a file of test data."""
    path.write_text(json.dumps(entries, ensure_ascii=False, indent=1) + "\n", "utf-8", newline="\n")


if __name__ == "__main__":
    main()
