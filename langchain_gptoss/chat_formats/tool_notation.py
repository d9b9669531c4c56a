"""The notation of tool calls: that of a checkpoint's chat template, if it can be recognized, or our own.

Chat templates are programs, and nothing declares the notation in them. So a template renders a conversation with an
invented tool, and the notation is read from what it writes around the call. What is not understood completely is not
used.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CALL_START, CALL_END = "<tool_call>", "</tool_call>"
_ARGUMENTS_KEYS = ("arguments", "parameters")


@dataclass(frozen=True, kw_only=True)
class ToolNotation:
    """The text around and inside tool calls, which are JSON objects with a name and arguments.

    Attributes:
        start: Text before the first call.
        separator: Text between two calls; None if one answer has one call only.
        end: Text after the last call.
        arguments_key: Key of the arguments in the object of a call.
        has_name_first: True if the name stands before the arguments.
    """

    start: str
    separator: str | None
    end: str
    arguments_key: str = "arguments"
    has_name_first: bool = True

    @property
    def opening(self) -> str:
        """The mark that begins calls; empty if nothing stands before their JSON."""
        return self.start.strip().removesuffix("[").strip()

    @property
    def closing(self) -> str:
        """The mark that ends calls; empty if they go on to the end of the answer."""
        return self.end.strip().removeprefix("]").strip()


PROMPT_NOTATION = ToolNotation(start=CALL_START, separator=f"{CALL_END}\n{CALL_START}", end=CALL_END)
"""The notation that our own prompt asks for."""

_PROBE_QUESTION = {"role": "user", "content": "probe question"}
_PROBE_TOOL = {
    "type": "function",
    "function": {
        "name": "probe_tool",
        "description": "Probe description.",
        "parameters": {
            "type": "object",
            "properties": {"probe_key": {"type": "string", "description": "Probe hint."}},
            "required": ["probe_key"],
        },
    },
}
_PROBE_ARGUMENTS = ({"probe_key": "first value"}, {"probe_key": "second value"})
_PROBE_RESULT = "probe result"


def build_call_id(number: int) -> str:
    """Return the id of a call for a chat template; some demand exactly nine letters and digits."""
    return f"call{number:05d}"


def find_notation(render: Callable[..., str], stop_tokens: Collection[str]) -> ToolNotation | None:
    """Return the notation of a chat template; None if it has none for tools or if it is not understood.

    Args:
        render: Renders messages: `render(messages, tools=..., add_generation_prompt=...)`.
        stop_tokens: The tokens that end a turn.
    """
    try:
        return _read_notation(render, stop_tokens)
    except Exception:  # templates raise what they like on messages that they do not know
        return None


def _read_notation(render: Callable[..., str], stop_tokens: Collection[str]) -> ToolNotation | None:
    if not _can_list_tools(render):
        return None
    prompt = render([_PROBE_QUESTION], tools=[_PROBE_TOOL], add_generation_prompt=True)
    calls = [_build_probe_call(number, arguments) for number, arguments in enumerate(_PROBE_ARGUMENTS)]
    written = _write_calls(render, prompt, calls[:1], stop_tokens)
    if written is None or not _can_show_results(render, calls[0]):
        return None
    call, start, end = _read_call(written, 0)
    arguments_key = next((key for key in _ARGUMENTS_KEYS if call.get(key) == _PROBE_ARGUMENTS[0]), None)
    if arguments_key is None or call.get("name") != "probe_tool":
        return None
    keys = list(call)
    notation = ToolNotation(
        start=written[:start],
        separator=None,
        end=written[end:],
        arguments_key=arguments_key,
        has_name_first=keys.index("name") < keys.index(arguments_key),
    )
    if not notation.opening and notation.closing:
        return None
    return _add_separator(notation, _write_several_calls(render, prompt, calls, stop_tokens))


def _can_list_tools(render: Callable[..., str]) -> bool:
    """Return True if a prompt with tools describes them completely."""
    with_tools = render([_PROBE_QUESTION], tools=[_PROBE_TOOL], add_generation_prompt=True)
    without_tools = render([_PROBE_QUESTION], tools=None, add_generation_prompt=True)
    facts = ("probe_tool", "Probe description.", "probe_key", "Probe hint.")
    return all(fact in with_tools and fact not in without_tools for fact in facts)


def _can_show_results(render: Callable[..., str], call: Mapping[str, Any]) -> bool:
    messages = [_PROBE_QUESTION, _build_calling_message([call]), build_result_message("probe_tool", _PROBE_RESULT, 0)]
    return _PROBE_RESULT in render(messages, tools=[_PROBE_TOOL], add_generation_prompt=True)


def _write_several_calls(
    render: Callable[..., str], prompt: str, calls: Sequence[Mapping[str, Any]], stop_tokens: Collection[str]
) -> str | None:
    try:
        return _write_calls(render, prompt, calls, stop_tokens)
    except Exception:  # such as the templates of models that make one call at a time
        return None


def _write_calls(
    render: Callable[..., str], prompt: str, calls: Sequence[Mapping[str, Any]], stop_tokens: Collection[str]
) -> str | None:
    """Return what the template writes for an answer with these calls, without the stop token; None if that is unclear.

    Args:
        render: Renders messages.
        prompt: The prompt up to the answer.
        calls: The calls.
        stop_tokens: The tokens that end a turn.
    """
    messages = [_PROBE_QUESTION, _build_calling_message(calls)]
    text = render(messages, tools=[_PROBE_TOOL], add_generation_prompt=False)
    if not text.startswith(prompt):
        return None
    answer = text[len(prompt) :]
    ends = [position for token in stop_tokens if (position := answer.find(token)) >= 0]
    return answer[: min(ends)] if ends else None


def _read_call(written: str, position: int) -> tuple[dict[str, Any], int, int]:
    """Return the first JSON object from a position on, its start and its end."""
    start = written.index("{", position)
    call, end = json.JSONDecoder().raw_decode(written, start)
    return call, start, end


def _add_separator(notation: ToolNotation, written: str | None) -> ToolNotation:
    """Return the notation with the separator of an answer with two calls, if it fits the answer with one."""
    if written is None or not written.startswith(notation.start):
        return notation
    try:
        _, _, first_end = _read_call(written, len(notation.start))
        call, second_start, second_end = _read_call(written, first_end)
    except ValueError:
        return notation
    if call.get(notation.arguments_key) != _PROBE_ARGUMENTS[1] or written[second_end:] != notation.end:
        return notation
    return ToolNotation(
        start=notation.start,
        separator=written[first_end:second_start],
        end=notation.end,
        arguments_key=notation.arguments_key,
        has_name_first=notation.has_name_first,
    )


def _build_probe_call(number: int, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return build_template_call("probe_tool", arguments, number)


def build_template_call(name: str, arguments: Any, number: int) -> dict[str, Any]:
    """Return a call in the form in which chat templates read it.

    Args:
        name: Name of the tool.
        arguments: The arguments, an object unless the model wrote something else.
        number: Position of the call in the conversation.
    """
    function = {"name": name, "arguments": arguments}
    return {"id": build_call_id(number), "type": "function", "function": function}


def _build_calling_message(calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "tool_calls": list(calls)}


def build_result_message(name: str, text: str, number: int) -> dict[str, Any]:
    """Return the result of a call in the form in which chat templates read it; see `build_template_call`."""
    return {"role": "tool", "name": name, "tool_call_id": build_call_id(number), "content": text}
