"""Prompts beside those of openai-harmony 0.0.8: the same, or different for a reason that is named.

`scripts/library_golden.py` writes the library's texts, in an environment of its own. `oss-harmony`, which is installed
here, is a second witness: it writes schemas as that library does.
"""

import json

import pytest
from openai_harmony import DeveloperContent, Message, Role, ToolDescription

from langchain_gptoss.chat_formats.harmony import HarmonyFormat
from tests.unit_tests.chat_formats.harmony.reference import ENCODING
from tests.unit_tests.chat_formats.harmony.test_renderer import golden

FOLDER = golden.FOLDER.parent / "library"
SCHEMAS = [pytest.param(entry, id=entry["name"]) for entry in json.loads((FOLDER / "schemas.json").read_text("utf-8"))]
CONVERSATIONS = [
    pytest.param(case, id=case["name"]) for case in json.loads((FOLDER / "conversations.json").read_text("utf-8"))
]


@pytest.mark.parametrize("entry", SCHEMAS)
def test_types_are_those_of_the_library_or_differ_for_a_reason(entry):
    written = golden.write_type(entry["parameters"])
    if "differs" in entry:
        assert written == entry["written"]
        assert written != entry["library"], "this schema needs no exception any more"
    else:
        assert written == entry["library"]


def test_schemas_cover_the_keywords():
    content = (FOLDER / "schemas.json").read_text("utf-8")
    assert len(SCHEMAS) >= 80
    for keyword in (
        "$ref", "additionalProperties", "allOf", "anyOf", "const", "default", "description", "enum", "examples",
        "items", "nullable", "oneOf", "patternProperties", "prefixItems", "properties", "required", "title", "type",
    ):  # fmt: skip
        assert f'"{keyword}"' in content


@pytest.mark.parametrize("entry", SCHEMAS)
def test_the_installed_library_agrees_with_openai_harmony(entry):
    tool = ToolDescription.new("f", "", entry["parameters"])
    message = Message.from_role_and_content(Role.DEVELOPER, DeveloperContent.new().with_function_tools([tool]))
    text = ENCODING.decode(ENCODING.render(message))
    assert "\n".join(entry["library"]) in text


@pytest.mark.parametrize("case", CONVERSATIONS)
def test_conversations_have_the_ids_of_the_library(case):
    options = {
        **case["options"],
        "tools": [{**t, "parameters": t["parameters"] or {}} for t in case["options"]["tools"]],
    }
    messages, prompt_options = golden.read_case({"messages": case["messages"], "options": options})
    with golden.fix_date():
        ids = HarmonyFormat().render(messages, prompt_options)
    assert ENCODING.decode(move_recipient_of_calls(ids)) == case["library"]
    assert " ".join(map(str, move_recipient_of_calls(ids))) == case["library_ids"]


def move_recipient_of_calls(ids: list[int]) -> list[int]:
    """Return ids with the recipients of calls before the channel, where the library writes them.

    The guide's examples have it behind the channel, and so do the models' answers. The guide allows both.
    """
    channel = ENCODING.encode("<|channel|>commentary", allowed_special="all")
    recipient = ENCODING.encode(" to=functions")
    end = ENCODING.encode(" <|constrain|>", allowed_special="all")
    moved: list[int] = []
    index = 0
    while index < len(ids):
        if ids[index : index + len(channel) + len(recipient)] == [*channel, *recipient]:
            start = index + len(channel)
            index = next(i for i in range(start, len(ids)) if ids[i : i + len(end)] == end)
            moved += [*ids[start:index], *channel]
        else:
            moved.append(ids[index])
            index += 1
    return moved


def test_calls_in_the_library_data_have_their_recipient_before_the_channel():
    texts = [case.values[0]["library"] for case in CONVERSATIONS]
    assert sum(text.count("to=functions.look_up_tide<|channel|>commentary <|constrain|>json") for text in texts) >= 5
    assert sum(text.count("functions.look_up_tide to=assistant<|channel|>commentary<|message|>") for text in texts) >= 5
