"""The sum of the chunks of an answer has the same calls as the answer of `invoke`."""

import asyncio
import pickle
from collections.abc import Iterable
from typing import Any

import pytest
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message
from langchain_core.messages.tool import tool_call_chunk
from langgraph.graph.message import add_messages

from langchain_gptoss.language_models.message_chunks import AnswerChunk, invalidate_calls
from tests.unit_tests.scripted_models import PREAMBLE, build_chat_model, get_time, get_weather, write_answer, write_call

VALID = write_call("get_weather", '{"city":"Nantes"}', "<|end|>")
MADE_UP = write_call("search_web", '{"q":"x"}', "<|end|>")
ANSWERS = {
    "answer": write_answer("Hello"),
    "empty": "<|return|>",
    "valid": VALID,
    "unoffered": f"{PREAMBLE}{MADE_UP}",
    "cut": write_call("get_weather", '{"city":"Nantes"}', ""),
    "cut in the arguments": write_call("get_weather", '{"city":"Na', ""),
    "cut before the arguments": write_call("get_weather", "", ""),
    "list": write_call("get_weather", "[1]"),
    "no arguments": write_call("get_time", ""),
    "raw line break": write_call("get_weather", '{"city":"Nan\ntes\t"}'),
    "code fence": write_call("get_weather", '```json\n{"city":"Nantes"}\n```'),
    "encoded twice": write_call("get_weather", '"{\\"city\\": \\"Nantes\\"}"'),
    "near miss": write_call("Get-Weather?", '{"city":"Nantes"}'),
    "valid first": f"{VALID}<|start|>assistant{MADE_UP}",
    "unoffered first": f"{MADE_UP}<|start|>assistant{VALID}",
    "three": f"{MADE_UP}<|start|>assistant{VALID}<|start|>assistant{write_call('get_time', '{oops')}",
}


def build(name: str, version: str | None) -> Any:
    return build_chat_model(ANSWERS[name], output_version=version).bind_tools([get_weather, get_time])


def add_up(chunks: Iterable[Any]) -> Any:
    total = None
    for chunk in chunks:
        total = chunk if total is None else total + chunk
    return total


def describe(message: Any) -> dict[str, Any]:
    """Return what matters of a message, without the random ids."""

    def drop_ids(calls: Iterable[Any]) -> list[dict[str, Any]]:
        kept = [{key: value for key, value in call.items() if key not in {"id", "index"}} for call in calls]
        return sorted(kept, key=str)

    metadata = {key: message.response_metadata.get(key) for key in ("finish_reason", "repairs")}
    blocks = [block for block in message.content_blocks if block["type"] in {"tool_call", "invalid_tool_call"}]
    calls = {"valid": drop_ids(message.tool_calls), "invalid": drop_ids(message.invalid_tool_calls)}
    return {"text": message.text, "blocks": drop_ids(blocks), **calls, **metadata}


async def collect_events(llm: Any) -> tuple[list[Any], Any]:
    """Return the chunks and the message of an event stream."""
    chunks, output = [], None
    async for event in llm.astream_events("x", version="v2"):
        if event["event"] == "on_chat_model_stream":
            chunks.append(event["data"]["chunk"])
        if event["event"] == "on_chat_model_end":
            output = event["data"]["output"]
    return chunks, output


@pytest.mark.parametrize("version", [None, "v1"])
@pytest.mark.parametrize("name", ANSWERS)
def test_sums_agree_with_invoke(name, version):
    message = build(name, version).invoke("x")
    assert type(message) is AIMessage
    total = add_up(build(name, version).stream("x"))
    assert describe(total) == describe(message)
    assert (AIMessageChunk(content=[]) + total).tool_calls == (total + AIMessageChunk(content=[])).tool_calls
    assert describe(AIMessageChunk(content=[]) + total)["valid"] == describe(message)["valid"]
    assert describe(message_chunk_to_message(total)) == describe(message)
    chunks, output = asyncio.run(collect_events(build(name, version)))
    assert describe(add_up(chunks)) == describe(output) == describe(message)


@pytest.mark.parametrize("name", ANSWERS)
def test_sums_that_begin_with_an_ordinary_chunk_agree_with_invoke(name):
    message = build(name, None).invoke("x")
    total = AIMessageChunk(content="")
    for chunk in build(name, None).stream("x"):
        total += chunk
    assert describe(total) == describe(message)
    chunks = list(build(name, None).stream("x"))
    assert describe(chunks[0] + chunks[1:] if len(chunks) > 1 else chunks[0]) == describe(message)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")  # v3 is experimental
@pytest.mark.parametrize("name", ANSWERS)
def test_messages_of_protocol_events_agree_with_invoke(name):
    stream = build(name, None).stream_events("x", version="v3")
    assert list(stream)
    expected = describe(build(name, None).invoke("x"))
    found = describe(stream.output)
    found["invalid"] = [call | {"args": call["args"] or ""} for call in found["invalid"]]
    assert {**expected, "blocks": found["blocks"]} == found


@pytest.mark.parametrize("version", [None, "v1"])
def test_calls_that_cannot_be_made_are_streamed_as_they_are_written(version):
    chunks = list(build("unoffered", version).stream("x"))
    pieces = [piece for chunk in chunks for piece in chunk.tool_call_chunks]
    assert pieces[0]["name"] == "search_web"
    assert "".join(piece["args"] for piece in pieces) == '{"q":"x"}'


@pytest.mark.parametrize("name", ["unoffered", "cut", "three"])
def test_langgraph_keeps_invalid_calls_apart(name):
    (merged,) = add_messages([], [add_up(build(name, None).stream("x"))])
    assert type(merged) is AIMessage
    assert describe(merged) == describe(build(name, None).invoke("x"))


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_chunks_are_saved_as_ordinary_chunks():
    chunk = AnswerChunk(content="", tool_call_chunks=[tool_call_chunk(name="f", args="{}", id="1", index=2)])
    loaded = load(dumpd(chunk), allowed_objects="messages")
    assert type(loaded) is AIMessageChunk
    assert loaded.tool_call_chunks == chunk.tool_call_chunks
    assert pickle.loads(pickle.dumps(chunk)) == chunk


def test_a_cached_answer_keeps_its_invalid_calls():
    from langchain_core.caches import InMemoryCache

    llm = build_chat_model(ANSWERS["three"], cache=InMemoryCache()).bind_tools([get_weather, get_time])
    assert describe(llm.invoke("x")) == describe(llm.invoke("x"))


def test_other_messages_are_unchanged():
    message = AIMessage("Hi", tool_calls=[{"name": "f", "args": {}, "id": "1"}])
    assert invalidate_calls(message) is message
