"""Harmony prompts: their content, and their ids against golden files and the reference library.

`python scripts/harmony_golden.py` updates the golden files after an intended change; the diff is the change of the
prompts that the model sees. A new case is a new file with messages and options, without `text` and `ids`.
"""

import datetime
import importlib.util
import json

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage

from langchain_gptoss.chat_formats.base import PromptOptions, Tool
from langchain_gptoss.chat_formats.harmony import HarmonyFormat, renderer
from langchain_gptoss.errors import InvalidInputError
from tests import ROOT
from tests.unit_tests.chat_formats.harmony.reference import ENCODING, render_reference

FORMAT = HarmonyFormat()
SPEC = importlib.util.spec_from_file_location("harmony_golden", ROOT / "scripts" / "harmony_golden.py")
golden = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(golden)

PATHS = sorted(golden.FOLDER.glob("*.json"))
CASES = [pytest.param(json.loads(path.read_text("utf-8")), id=path.stem) for path in PATHS]
START = 200006


@pytest.fixture
def fixed_date(monkeypatch):
    class Date(datetime.date):
        @classmethod
        def today(cls) -> datetime.date:
            return datetime.date(2026, 2, 3)

    monkeypatch.setattr(renderer, "date", Date)


def render_text(*arguments) -> str:
    return ENCODING.decode(FORMAT.render(*arguments))


def test_question_is_rendered_as_in_the_guide(fixed_date):
    assert render_text([HumanMessage("Hello")]) == (
        "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
        "Knowledge cutoff: 2024-06\nCurrent date: 2026-02-03\n\nReasoning: medium\n\n"
        "# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>"
        "<|start|>user<|message|>Hello<|end|><|start|>assistant"
    )


def test_system_message_becomes_the_developer_message():
    prompt = render_text([SystemMessage("Be brief."), HumanMessage("Hello"), SystemMessage("In French.")])
    assert "<|start|>developer<|message|># Instructions\n\nBe brief.\n\nIn French.<|end|><|start|>user" in prompt
    assert prompt.count("<|start|>system") == 1


@pytest.mark.parametrize(
    ("effort", "written"), [("low", "low"), ("medium", "medium"), ("high", "high"), (None, "medium")]
)
def test_reasoning_effort(effort, written):
    assert f"\nReasoning: {written}\n" in render_text([HumanMessage("x")], PromptOptions(reasoning_effort=effort))


def test_unknown_effort_is_rejected():
    with pytest.raises(InvalidInputError, match="reasoning_effort is 'max'; it must be one of low, medium, high"):
        FORMAT.render([HumanMessage("x")], PromptOptions(reasoning_effort="max"))


def test_history_has_final_answers_without_reasoning():
    earlier = AIMessage(
        [{"type": "reasoning", "reasoning": "secret thoughts"}, {"type": "text", "text": "Hi."}],
        additional_kwargs={"reasoning_content": "secret thoughts"},
    )
    prompt = render_text([HumanMessage("Hello"), earlier, HumanMessage("And?")])
    assert prompt.endswith(
        "<|start|>user<|message|>Hello<|end|><|start|>assistant<|channel|>final<|message|>Hi.<|end|>"
        "<|start|>user<|message|>And?<|end|><|start|>assistant"
    )
    assert "secret" not in prompt


def test_merged_chunks_are_rendered_like_messages():
    chunk = AIMessageChunk("Hi") + AIMessageChunk(".")
    after = [HumanMessage("And?")]
    assert FORMAT.render([HumanMessage("Hello"), chunk, *after]) == FORMAT.render(
        [HumanMessage("Hello"), AIMessage("Hi."), *after]
    )


def test_control_tokens_stay_text_in_every_field():
    tokens = sorted(ENCODING.special_tokens_set)
    text = " ".join(tokens)
    messages = [
        SystemMessage(text),
        HumanMessage(text),
        AIMessage(text, tool_calls=[{"name": "now", "args": {"x": text}, "id": "1"}]),
        ToolMessage(text, tool_call_id="1"),
    ]
    tool = Tool(name="now", description=text, parameters={"type": "object", "properties": {"x": {"description": text}}})
    plain = [
        SystemMessage("a"),
        HumanMessage("a"),
        AIMessage("a", tool_calls=[{"name": "now", "args": {"x": "a"}, "id": "1"}]),
        ToolMessage("a", tool_call_id="1"),
    ]

    def collect_control_ids(ids: list[int]) -> list[int]:
        return [token_id for token_id in ids if ENCODING.is_special_token(token_id)]

    assert collect_control_ids(FORMAT.render(messages, PromptOptions(tools=(tool,)))) == collect_control_ids(
        FORMAT.render(plain, PromptOptions(tools=(Tool(name="now"),)))
    )


def split_messages(ids: list[int]) -> list[list[int]]:
    """Return the messages of a prompt, each from its `<|start|>`."""
    starts = [index for index, token_id in enumerate(ids) if token_id == START]
    return [ids[start:end] for start, end in zip(starts, [*starts[1:], len(ids)], strict=True)]


def drop_developer_message(ids: list[int]) -> list[list[int]]:
    developer = [START, *ENCODING.encode("developer")]
    return [message for message in split_messages(ids) if message[: len(developer)] != developer]


def test_golden_files_cover_the_main_cases():
    assert {path.stem for path in PATHS} >= {
        "question",
        "instructions",
        "history",
        "effort_high",
        "tools",
        "tools_types",
        "tool_loop",
        "after_final",
        "preamble",
        "two_calls",
        "response_format",
        "tool_choice_forced",
        "special_tokens",
    }


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_prompts_equal_the_golden_files(path):
    content = path.read_text("utf-8")
    assert golden.update_content(json.loads(content)) == content


@pytest.mark.parametrize("case", CASES)
def test_ids_equal_those_of_the_reference_library(case):
    ids = render_reference(*golden.read_case(case), golden.DATE.isoformat())
    if "library_differs" not in case:
        assert ENCODING.decode(case["ids"]) == ENCODING.decode(ids)
        assert case["ids"] == ids
        return
    # All differences are in the developer message. A case without a difference needs no exception any more.
    assert drop_developer_message(case["ids"]) == drop_developer_message(ids)
    assert case["ids"] != ids
