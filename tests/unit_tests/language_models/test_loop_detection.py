"""Loops: noticed in prose with short and long periods, and not in what may repeat itself."""

import json

import pytest

from langchain_gptoss.language_models.loop_detection import MAX_REPEATED_PROSE, MAX_REPEATED_TOKENS
from langchain_gptoss.serve.openai.model_completion import choose_finish_reason
from tests.unit_tests.scripted_models import build_chat_model, build_completion_model, encode, write_final

SENTENCE = " I am happy to help you with anything that you need."
PARAGRAPH = "".join(
    f" The {name} of the house was built of {material} by a family that came from the sea long ago."
    for name, material in (
        ("door", "oak"), ("roof", "slate"), ("wall", "stone"), ("floor", "clay"), ("gate", "iron"), ("yard", "gravel")
    )
)  # fmt: skip


def write_loop(unit: str, *, tokens: int = 4000) -> str:
    return "<|channel|>final<|message|>Well." + unit * (tokens // len(encode(unit)))


@pytest.mark.parametrize("unit", [SENTENCE, PARAGRAPH, " Bien sûr, je suis là pour vous aider.\n\n"])
def test_repeated_prose_ends_the_answer(unit):
    llm = build_chat_model(write_loop(unit))
    message = llm.invoke("Hello")
    assert message.response_metadata["finish_reason"] == "repetition"
    assert llm.engine.streams[0].is_cancelled
    period = len(encode(unit))
    assert message.usage_metadata["output_tokens"] <= max(MAX_REPEATED_PROSE, 3 * period) + period + 80
    assert message.content.startswith("Well." + unit)


def test_loop_in_the_reasoning_ends_the_answer():
    llm = build_chat_model(write_loop(SENTENCE).replace("final", "analysis", 1))
    message = llm.invoke("Hello")
    assert message.response_metadata["finish_reason"] == "repetition"
    assert message.content == ""


async def test_loop_ends_a_stream_and_a_completion():
    chunks = [chunk async for chunk in build_chat_model(write_loop(SENTENCE)).astream("Hello")]
    assert chunks[-1].response_metadata["finish_reason"] == "repetition"
    result = build_completion_model(write_loop(SENTENCE)).generate(["Hello"])
    assert result.generations[0][0].generation_info["finish_reason"] == "repetition"


def test_single_token_without_end_is_a_loop():
    llm = build_chat_model("<|channel|>final<|message|>" + " no" * 5000)
    message = llm.invoke("Hello")
    assert message.response_metadata["finish_reason"] == "repetition"
    assert message.usage_metadata["output_tokens"] <= MAX_REPEATED_TOKENS + 80


def test_cut_call_in_a_loop_is_invalid():
    call = "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>" + '{"city": "' + SENTENCE * 200
    message = build_chat_model(call).invoke(
        "Hello", tools=[{"name": "get_weather", "description": "", "parameters": {}}]
    )
    assert message.response_metadata["finish_reason"] == "repetition"
    assert not message.tool_calls


@pytest.mark.parametrize(
    "text",
    [
        "| name | value |\n| --- | --- |\n" + "| none. | 0 of the usual values |\n" * 100,
        json.dumps([{"name": "Nothing to report.", "is_open": False, "count": 0}] * 60, indent=1),
        "values = [\n" + "    0, 0, 0, 0, 0, 0, 0, 0,\n" * 64 + "]",
        "\n".join(["    print(total)  # show the sum. and go on with it."] * 80),
        "".join(f"{number}. Open the box and take the parts out.\n" for number in range(1, 120)),
        PARAGRAPH * 3 + " So the final version is this:" + PARAGRAPH,
        "name,role,active,note\n" + "alice,admin,true,nothing to see here\n" * 60,
    ],
    ids=["table", "json", "numbers", "code", "numbered list", "copied draft", "csv"],
)
def test_texts_that_may_repeat_themselves_are_no_loops(text):
    message = build_chat_model(write_final(text)).invoke("Hello")
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.content == text


def test_sentence_that_the_user_wants_repeated_is_no_loop():
    line = "I will not talk in class.\n"
    message = build_chat_model(write_final(line * 100)).invoke("Write a hundred times: I will not talk in class.")
    assert message.response_metadata["finish_reason"] == "stop"
    assert build_chat_model(write_final(line * 100)).invoke("Hi").response_metadata["finish_reason"] == "repetition"


def test_detection_can_be_switched_off():
    text = (SENTENCE * 200).strip()
    message = build_chat_model(write_final(text), stops_loops=False).invoke("Hello")
    assert message.content == text


def test_servers_report_a_loop_as_a_cut_answer():
    assert choose_finish_reason("repetition", False) == "length"
    assert choose_finish_reason("repetition", True) == "length"
