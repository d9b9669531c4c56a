"""Complete answers through the harmony parser."""

from typing import Any

from langchain_gptoss.chat_formats.harmony import HarmonyFormat

FORMAT = HarmonyFormat()
TOOL_NAMES = ["get_weather", "now"]


def parse(ids: list[int], tools: list[str] = TOOL_NAMES) -> dict[str, Any]:
    """Return the reasoning, the text, the calls and the repairs of an answer."""
    parser = FORMAT.parser(tools)
    deltas = [delta for token_id in ids for delta in parser.feed(token_id)] + parser.flush()
    answer: dict[str, Any] = {"reasoning": "", "text": "", "calls": [], "repairs": list(parser.repairs)}
    for delta in deltas:
        if delta.kind != "tool_call":
            assert delta.text
            answer[delta.kind] += delta.text
            continue
        if delta.name:
            answer["calls"].append([delta.name, ""])
        assert delta.call_index == len(answer["calls"]) - 1
        answer["calls"][delta.call_index][1] += delta.text
    return answer
