"""The harmony format as a whole: rendering and parsing are inverse, and text stays text."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_gptoss.chat_formats.base import PromptOptions, Tool
from tests import scale
from tests.unit_tests.chat_formats.harmony.parsing import FORMAT, parse
from tests.unit_tests.scripted_models import ENCODING, encode

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = (Tool(name="get_weather", description="Gets the weather.", parameters=WEATHER), Tool(name="now"))
QUESTION = HumanMessage("What is the weather in Nantes?")
RESULT = ToolMessage("rain", tool_call_id="1")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


ARGUMENTS = st.dictionaries(
    TEXT, st.one_of(TEXT, st.integers(-99, 99), st.none(), st.lists(TEXT, max_size=2)), max_size=3
)


@given(reasoning=st.one_of(st.just(""), TEXT), text=TEXT, arguments=st.one_of(st.none(), ARGUMENTS))
@settings(deadline=None, max_examples=scale(150))
def test_rendered_messages_are_parsed_back(reasoning, text, arguments):
    calls = [] if arguments is None else [{"name": "get_weather", "args": arguments, "id": "1"}]
    message = AIMessage(text, tool_calls=calls, additional_kwargs={"reasoning_content": reasoning})
    before = FORMAT.render([QUESTION], PromptOptions(tools=TOOLS))
    after = FORMAT.render([QUESTION, message, *([RESULT] if calls else [])], PromptOptions(tools=TOOLS))
    answer = parse(cut_turn(before, after))
    assert answer["repairs"] == []
    # White space alone is not written. Reasoning before an answer is not part of the history; before a call it is.
    assert answer["text"] == (text if text.strip() else "")
    assert answer["reasoning"] == (reasoning if reasoning.strip() and (calls or not text.strip()) else "")
    assert [[name, json.loads(value)] for name, value in answer["calls"]] == (
        [["get_weather", arguments]] if calls else []
    )


def cut_turn(before: list[int], after: list[int]) -> list[int]:
    """Return the assistant's turn, which ends before the tool's result or the next prompt."""
    assert after[: len(before)] == before
    ids = after[len(before) :]
    result = encode("<|start|>functions.get_weather")
    places = [i for i in range(len(ids)) if ids[i : i + len(result)] == result]
    end = places[0] if places else len(ids) - len(encode("<|start|>assistant"))
    return ids[:end]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
@settings(deadline=None, max_examples=scale(100))
def test_any_text_is_kept(text):
    assert ENCODING.decode(FORMAT.render([HumanMessage(text)])).endswith(
        f"<|start|>user<|message|>{text}<|end|><|start|>assistant"
    )
    assert ENCODING.decode(FORMAT.encode(text)) == text


def test_names_of_control_tokens_are_encoded_as_text():
    assert not any(ENCODING.is_special_token(i) for i in FORMAT.encode("<|end|><|constrain|>"))


def test_decode_token_names_control_tokens():
    assert FORMAT.decode_token(200007) == b"<|end|>"
    assert FORMAT.decode_token(5_000_000) == b""
    assert FORMAT.stop_ids == {200002, 200012, 199999}


def test_text_after_the_start_of_an_answer_is_read_as_its_final_text():
    assert ENCODING.decode(FORMAT.answer_start_ids) == "<|channel|>final<|message|>"
    answer = parse([*FORMAT.answer_start_ids, *encode("Yes<|return|>")])
    assert answer["text"] == "Yes"
    assert answer["repairs"] == []
