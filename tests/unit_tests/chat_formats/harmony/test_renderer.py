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


CALL = {"name": "get_weather", "args": {"city": "Nantes"}, "id": "1"}
CALLED = (
    '<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"Nantes"}'
    "<|call|>"
)


def render_turns(*messages) -> str:
    """Return what a prompt holds between the question and the start of the next answer."""
    text = render_text([HumanMessage("Hello"), *messages])
    return text.split("<|message|>Hello<|end|>")[1].removesuffix("<|start|>assistant")


def think(reasoning: str, content="", **fields) -> AIMessage:
    return AIMessage(content, additional_kwargs={"reasoning_content": reasoning}, **fields)


@pytest.mark.parametrize("content", ["", " ", "\n\t", [], [""], [{"type": "text", "text": " "}]])
def test_assistant_messages_without_text_write_no_empty_message(content):
    assert render_turns(AIMessage(content), HumanMessage("And?")) == "<|start|>user<|message|>And?<|end|>"
    thoughts = "<|start|>assistant<|channel|>analysis<|message|>Hm.<|end|>"
    assert render_turns(think("Hm.", content)) == thoughts
    assert render_turns(think(" \n", content)) == ""
    assert render_turns(think("Hm.", content, tool_calls=[CALL])) == f"{thoughts}{CALLED}"
    assert render_turns(AIMessage(content, tool_calls=[CALL])) == CALLED


def test_assistant_message_without_content_is_not_written():
    message = AIMessage("")
    message.content = None
    assert render_turns(message) == ""


@pytest.mark.parametrize(
    ("blocks", "text"),
    [
        ([{"type": "refusal", "refusal": "I cannot."}], "I cannot."),
        ([{"type": "text", "text": ""}, {"type": "refusal", "refusal": "No."}], "No."),
        ([{"type": "refusal", "refusal": ""}], None),
        ([{"type": "refusal", "refusal": None}], None),
    ],
)
def test_refusals_are_answers(blocks, text):
    written = f"<|start|>assistant<|channel|>final<|message|>{text}<|end|>" if text else ""
    assert render_turns(AIMessage(blocks)) == written


def test_refusal_beside_the_content_is_an_answer():
    refusal = {"refusal": "I cannot."}
    written = "<|start|>assistant<|channel|>final<|message|>{}<|end|>"
    assert render_turns(AIMessage("", additional_kwargs=refusal)) == written.format("I cannot.")
    assert render_turns(AIMessage("Yes.", additional_kwargs=refusal)) == written.format("Yes.")
    assert render_turns(AIMessage("", additional_kwargs={"refusal": None})) == ""


def test_conversation_that_was_trimmed_to_a_tool_loop_keeps_its_reasoning():
    text = render_text(
        [SystemMessage("Be brief."), think("Hm.", tool_calls=[CALL]), ToolMessage("rain", tool_call_id="1")]
    )
    assert text.endswith(
        f"Be brief.<|end|><|start|>assistant<|channel|>analysis<|message|>Hm.<|end|>{CALLED}"
        "<|start|>functions.get_weather to=assistant<|channel|>commentary<|message|>rain<|end|><|start|>assistant"
    )


def test_reasoning_of_a_turn_without_an_answer_is_kept():
    turns = [think("Cut off"), HumanMessage("Go on."), think("Hm.", tool_calls=[CALL])]
    assert render_turns(*turns).count("<|channel|>analysis") == 2
    assert render_turns(*turns, ToolMessage("rain", tool_call_id="1"), AIMessage("Rain.")).count("analysis") == 0


def test_reasoning_of_this_turn_survives_several_calls():
    clock = {"name": "now", "args": {}, "id": "2"}
    turns = [
        think("First the weather.", "I look.", tool_calls=[CALL]),
        ToolMessage("rain", tool_call_id="1"),
        think("Then the time.", tool_calls=[clock, {**clock, "id": "3"}]),
        ToolMessage("8:15", tool_call_id="2"),
        ToolMessage("8:16", tool_call_id="3"),
    ]
    prompt = render_turns(*turns)
    called = "<|start|>assistant<|channel|>commentary to=functions.now <|constrain|>json<|message|>{}<|call|>"
    assert prompt == (
        "<|start|>assistant<|channel|>analysis<|message|>First the weather.<|end|>"
        f"<|start|>assistant<|channel|>commentary<|message|>I look.<|end|>{CALLED}"
        "<|start|>functions.get_weather to=assistant<|channel|>commentary<|message|>rain<|end|>"
        f"<|start|>assistant<|channel|>analysis<|message|>Then the time.<|end|>{called}{called}"
        "<|start|>functions.now to=assistant<|channel|>commentary<|message|>8:15<|end|>"
        "<|start|>functions.now to=assistant<|channel|>commentary<|message|>8:16<|end|>"
    )
    later = render_turns(
        *turns, think("Done.", "Rain at 8:15."), HumanMessage("And?"), think("Again.", tool_calls=[CALL])
    )
    assert "analysis<|message|>Again.<|end|>" in later
    assert later.count("<|channel|>analysis") == 1
    assert later.count("<|call|>") == 4


def test_text_in_a_message_before_the_calls_is_a_preamble():
    split = [think("Hm.", "I look."), think("So.", tool_calls=[CALL])]
    preamble = "<|start|>assistant<|channel|>commentary<|message|>I look.<|end|>"
    assert render_turns(*split) == (
        f"<|start|>assistant<|channel|>analysis<|message|>Hm.<|end|>{preamble}"
        f"<|start|>assistant<|channel|>analysis<|message|>So.<|end|>{CALLED}"
    )
    # A message of the user between them ends the turn.
    assert "<|channel|>final<|message|>I look." in render_turns(split[0], HumanMessage("Go on."), split[1])


def test_results_stand_behind_the_name_of_their_tool():
    calls = [{**CALL, "id": "a"}, {"name": "now", "args": {}, "id": "b"}]
    results = [ToolMessage("8:15", tool_call_id="b"), ToolMessage("rain", tool_call_id="a")]
    prompt = render_turns(AIMessage("", tool_calls=calls), *results)
    assert prompt.endswith(
        "<|start|>functions.now to=assistant<|channel|>commentary<|message|>8:15<|end|>"
        "<|start|>functions.get_weather to=assistant<|channel|>commentary<|message|>rain<|end|>"
    )


@pytest.mark.parametrize(
    ("name", "recipient"),
    [
        ("python", "python"),
        ("browser.search", "browser.search"),
        ("container.exec", "container.exec"),
        ("browser", None),
        ("pythonic", None),
        ("weather.now", None),
    ],
)
def test_built_in_tools_keep_their_names_and_channel(name, recipient):
    invalid = {"name": name, "args": "print(1)", "id": "1", "error": "not offered", "type": "invalid_tool_call"}
    turns = [AIMessage("", invalid_tool_calls=[invalid]), ToolMessage("There is no such tool.", tool_call_id="1")]
    called = f"analysis to={name} code" if recipient else f"commentary to=functions.{name} <|constrain|>json"
    author = recipient or f"functions.{name}"
    channel = "analysis" if recipient else "commentary"
    assert render_turns(*turns) == (
        f"<|start|>assistant<|channel|>{called}<|message|>print(1)<|call|>"
        f"<|start|>{author} to=assistant<|channel|>{channel}<|message|>There is no such tool.<|end|>"
    )
    offered = render_text([HumanMessage("Hello"), *turns], PromptOptions(tools=(Tool(name=name),)))
    assert f"<|start|>functions.{name} to=assistant<|channel|>commentary" in offered


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
