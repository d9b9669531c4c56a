"""Conversations as the reference library, `openai_harmony`, writes them: read by itself, not by the package's reader."""

import json
from collections.abc import Iterator, Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from openai_harmony import (
    Author,
    Conversation,
    DeveloperContent,
    HarmonyEncodingName,
    Message,
    ReasoningEffort,
    RenderConversationConfig,
    Role,
    SystemContent,
    ToolDescription,
    load_harmony_encoding,
)

from langchain_gptoss.chat_formats.base import PromptOptions, Tool

ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)


def reference_ids(messages: Sequence[BaseMessage], task: PromptOptions, day: str) -> list[int]:
    """Returns the library's prompt. It knows neither response formats nor tool choices, and leaves them out."""
    system = SystemContent.new().with_conversation_start_date(day)
    system = system.with_reasoning_effort(ReasoningEffort[(task.reasoning_effort or "medium").upper()])
    turns = [Message.from_role_and_content(Role.SYSTEM, system)]
    instructions = "\n\n".join(message.content for message in messages if isinstance(message, SystemMessage))
    if instructions or task.tools:
        developer = DeveloperContent.new()
        developer = developer.with_instructions(instructions) if instructions else developer
        described = [_described(tool) for tool in task.tools]
        developer = developer.with_function_tools(described) if described else developer
        turns.append(Message.from_role_and_content(Role.DEVELOPER, developer))
    # The library's own dropping of analysis stops at the first final.
    finals = [i for i, message in enumerate(messages) if isinstance(message, AIMessage) and not message.tool_calls]
    names: dict[str, str] = {}
    for index, message in enumerate(messages):
        turns += _turns(message, names, thinks=index > max(finals, default=-1))
    config = RenderConversationConfig(auto_drop_analysis=False)
    return ENCODING.render_conversation_for_completion(Conversation.from_messages(turns), Role.ASSISTANT, config)


def _described(tool: Tool) -> ToolDescription:
    # The guide writes a function without arguments as `() => any`, the library only where it is told of no schema.
    parameters = dict(tool.parameters) if tool.parameters.get("properties") else None
    return ToolDescription.new(tool.name, tool.description, parameters)


def _turns(message: BaseMessage, names: dict[str, str], *, thinks: bool) -> Iterator[Message]:
    if isinstance(message, HumanMessage):
        yield Message.from_role_and_content(Role.USER, message.content)
    elif isinstance(message, ToolMessage):
        author = Author.new(Role.TOOL, f"functions.{names[message.tool_call_id]}")
        result = Message.from_author_and_content(author, message.content)
        yield result.with_recipient("assistant").with_channel("commentary")
    elif isinstance(message, AIMessage):
        if thinks and (thought := message.additional_kwargs.get("reasoning_content")):
            yield _said(thought, "analysis")
        if message.content:
            yield _said(message.content, "commentary" if message.tool_calls else "final")
        for call in message.tool_calls:
            names[call["id"]] = call["name"]
            written = json.dumps(call["args"], ensure_ascii=False, separators=(",", ":"))
            said = _said(written, "commentary").with_recipient(f"functions.{call['name']}")
            yield said.with_content_type("<|constrain|>json")


def _said(text: str, channel: str) -> Message:
    return Message.from_role_and_content(Role.ASSISTANT, text).with_channel(channel)
