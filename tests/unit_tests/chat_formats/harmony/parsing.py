"""Complete answers through the harmony parser."""

from typing import Any

from langchain_gptoss.chat_formats.harmony import HarmonyFormat

FORMAT = HarmonyFormat()
TOOL_NAMES = ["get_weather", "now"]


def parse(ids: list[int], tools: list[str] = TOOL_NAMES, *, is_complete: bool = False) -> dict[str, Any]:
    """Return the reasoning, the text, the calls and the repairs of an answer.

    `calls` holds the valid calls, and `invalid_calls` the others with the reasons.
    """
    parser = FORMAT.parser(tools)
    deltas = [delta for token_id in ids for delta in parser.feed(token_id)] + parser.flush(is_complete=is_complete)
    answer: dict[str, Any] = {"reasoning": "", "text": "", "repairs": list(parser.repairs), "ended": parser.has_ended}
    calls: list[list[str]] = []
    for delta in deltas:
        if delta.kind != "tool_call":
            assert delta.text
            answer[delta.kind] += delta.text
            continue
        if delta.name:
            calls.append([delta.name, ""])
        assert delta.call_index == len(calls) - 1
        calls[delta.call_index][1] += delta.text
    errors = parser.call_errors
    assert set(errors) <= set(range(len(calls)))
    answer["calls"] = [call for index, call in enumerate(calls) if index not in errors]
    answer["invalid_calls"] = [[*call, errors[index]] for index, call in enumerate(calls) if index in errors]
    return answer
