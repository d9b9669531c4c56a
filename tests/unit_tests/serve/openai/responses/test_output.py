"""Pieces of an answer become items and events; every event is validated against the types of OpenAI's client."""

from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from langchain_gptoss.serve.openai.responses.items import convert_items, normalize_input
from langchain_gptoss.serve.openai.responses.output import OutputEnd, OutputPiece, ResponseBuilder
from langchain_gptoss.serve.openai.responses.request import ResponseRequest

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def text(value: str, **fields: Any) -> OutputPiece:
    return OutputPiece(kind="text", text=value, **fields)


def reason(value: str) -> OutputPiece:
    return OutputPiece(kind="reasoning", text=value)


def call(index: int, value: str = "", name: str | None = None) -> OutputPiece:
    return OutputPiece(kind="call", text=value, call_index=index, call_id=name and f"call_{name}", name=name)


def make_builder(**options: Any) -> ResponseBuilder:
    request = ResponseRequest(model="m", input="Hello")
    return ResponseBuilder(request.build_response("resp_" + "0" * 32), **options)


def build(*pieces: OutputPiece, end: OutputEnd | None = None, **options: Any) -> tuple[list[Any], Any]:
    """Return the checked events and the response."""
    builder = make_builder(**options)
    events = list(builder.start())
    for piece in pieces:
        events += builder.add(piece)
    events += [*builder.close(end or OutputEnd()), builder.finish()]
    return check(events), Response.model_validate(builder.response)


def check(events: list[Any]) -> list[Any]:
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return [EVENT.validate_python(event) for event in events]


def simplify(response: Any) -> list[Any]:
    simple = []
    for item in response.output:
        if item.type == "function_call":
            simple.append((item.name, item.arguments, item.status))
        else:
            parts = item.content or item.summary
            simple.append((item.type, "".join(part.text for part in parts), item.status))
    return simple


@pytest.mark.parametrize(
    ("pieces", "items"),
    [
        ([], [("message", "", "completed")]),
        ([reason("a")], [("reasoning", "a", "completed"), ("message", "", "completed")]),
        ([text("a"), text("b")], [("message", "ab", "completed")]),
        ([reason("a"), text("b")], [("reasoning", "a", "completed"), ("message", "b", "completed")]),
        ([call(0, name="f"), call(0, "{"), call(0, "}")], [("f", "{}", "completed")]),
        ([call(0, "{}", "f"), call(1, "[]", "g")], [("f", "{}", "completed"), ("g", "[]", "completed")]),
        (
            [text("a"), reason("b"), text("\n\n"), text("c")],
            [("message", "a", "completed"), ("reasoning", "b", "completed"), ("message", "c", "completed")],
        ),
        (
            [text("a"), reason("b"), text("\n\nc"), text("\nd")],
            [("message", "a", "completed"), ("reasoning", "b", "completed"), ("message", "c\nd", "completed")],
        ),
        ([text("\n"), text("\n"), text("a\n")], [("message", "a\n", "completed")]),
        ([text("\n\n"), call(0, "{}", "f"), text("\n")], [("f", "{}", "completed")]),
        ([reason("a"), text("\n\n")], [("reasoning", "a", "completed"), ("message", "", "completed")]),
        (
            [text("a"), call(5, "{}", "f"), text("\n\n")],
            [("message", "a", "completed"), ("f", "{}", "completed")],
        ),
        (
            [reason("a"), call(0, "{}", "f"), reason("b"), call(1, "{}", "g")],
            [
                ("reasoning", "a", "completed"),
                ("f", "{}", "completed"),
                ("reasoning", "b", "completed"),
                ("g", "{}", "completed"),
            ],
        ),
    ],
)
def test_pieces_become_items(pieces, items):
    events, response = build(*pieces)
    assert simplify(response) == items
    assert [event.item for event in events if event.type == "response.output_item.done"] == response.output
    assert len({item.id for item in response.output}) == len(items)
    assert response.status == "completed"


@pytest.mark.parametrize("has_summaries", [False, True])
def test_each_item_is_added_filled_and_done_before_the_next(has_summaries):
    pieces = [reason("a"), reason("b"), text("c"), text("d"), call(0, "{", "f"), call(0, "}"), call(1, "{}", "g")]
    events, response = build(*pieces, has_summaries=has_summaries)
    open_item: str | None = None
    for event in events:
        if event.type == "response.output_item.added":
            assert open_item is None
            open_item = event.item.id
        elif event.type == "response.output_item.done":
            assert event.item.id == open_item
            open_item = None
        elif hasattr(event, "item_id"):
            assert event.item_id == open_item
            assert response.output[event.output_index].id == open_item
    assert open_item is None
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "function_call"]


def test_the_deltas_of_an_item_add_up_to_it():
    events, response = build(reason("a"), reason("b"), text("c"), text("d"), call(0, '{"a"', "f"), call(0, ": 1}"))
    for number, expected in enumerate(["ab", "cd", '{"a": 1}']):
        deltas = [e.delta for e in events if e.type.endswith(".delta") and e.output_index == number]
        assert len(deltas) == 2
        assert "".join(deltas) == expected
    assert response.output_text == "cd"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([], []),
        ([reason("a")], ["incomplete"]),
        ([reason("a"), text("b")], ["completed", "incomplete"]),
        ([call(0, '{"a"', "f")], ["incomplete"]),
    ],
)
def test_the_last_item_of_a_cut_answer_is_incomplete(pieces, status):
    events, response = build(*pieces, end=OutputEnd(is_cut=True))
    assert [item.status for item in response.output] == status
    assert events[-1].type == "response.incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.completed_at is None


@pytest.mark.parametrize("has_summaries", [False, True])
def test_reasoning_can_be_packed_for_clients_that_keep_nothing_else(has_summaries):
    _, response = build(reason("a"), reason("b"), text("c"), has_summaries=has_summaries, packs_reasoning=True)
    packed = response.output[0].encrypted_content
    items = normalize_input([{"type": "reasoning", "summary": [], "encrypted_content": packed}], "0")
    assert convert_items(items)[0].additional_kwargs == {"reasoning_content": "ab"}
    assert build(reason("a"))[1].output[0].encrypted_content is None


def test_an_error_closes_the_item_and_the_response():
    builder = make_builder()
    events = [*builder.start(), *builder.add(text("a")), *builder.fail("Sorry.", "server_error")]
    *_, done, failed = check(events)
    assert (done.type, done.item.status) == ("response.output_item.done", "incomplete")
    assert (failed.type, failed.response.status) == ("response.failed", "failed")
    assert (failed.response.error.code, failed.response.error.message) == ("server_error", "Sorry.")
    assert failed.response.output == [done.item]


def test_an_earlier_event_does_not_change_later():
    builder = make_builder()
    events = [*builder.start(), *builder.add(reason("a")), *builder.add(text("b")), *builder.close(OutputEnd())]
    created, in_progress, added, part_added, *_ = check(events)
    assert created.response.output == in_progress.response.output == []
    assert created.response.status == "in_progress"
    assert added.item.content == []
    assert part_added.part.text == ""


def test_annotations_and_own_fields_stand_in_the_message():
    annotation = {"type": "file_citation", "file_id": "a.md", "filename": "a.md", "index": 1, "quote": "b"}
    end = OutputEnd(annotations=[annotation, annotation], message_fields={"sources": ["c"]})
    events, response = build(text("a"), end=end)
    added = [event for event in events if event.type == "response.output_text.annotation.added"]
    assert [event.annotation_index for event in added] == [0, 1]
    [message] = response.output
    assert message.content[0].annotations[0].model_extra == {"quote": "b"}
    assert message.model_extra == {"sources": ["c"]}


def test_log_probabilities_are_collected():
    entry = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    events, response = build(text("a", logprobs=[entry]), text("b", logprobs=[entry]), text("c"))
    assert len(response.output[0].content[0].logprobs) == 2
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert [len(event.logprobs) for event in deltas] == [1, 1, 0]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, (0, 0, 0, 0, 0)),
        ({"input_tokens": 3, "output_tokens": 2}, (3, 0, 2, 0, 5)),
        (
            {
                "input_tokens": 3,
                "output_tokens": 2,
                "input_token_details": {"cache_read": 1},
                "output_token_details": {"reasoning": 1},
            },
            (3, 1, 2, 1, 5),
        ),
    ],
)
def test_usage_is_counted(usage, expected):
    counts = build(text("a"), end=OutputEnd(usage=usage))[1].usage
    cached, reasoning = counts.input_tokens_details.cached_tokens, counts.output_tokens_details.reasoning_tokens
    assert (counts.input_tokens, cached, counts.output_tokens, reasoning, counts.total_tokens) == expected
