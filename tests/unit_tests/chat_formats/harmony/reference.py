"""Prompts as the library `oss-harmony` renders them, without any code of the package."""

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


def render_reference(messages: Sequence[BaseMessage], options: PromptOptions, date: str) -> list[int]:
    """Return the library's prompt, which lacks response formats and tool choices."""
    system = SystemContent.new().with_conversation_start_date(date)
    system = system.with_reasoning_effort(ReasoningEffort[(options.reasoning_effort or "medium").upper()])
    turns = [Message.from_role_and_content(Role.SYSTEM, system)]
    instructions = "\n\n".join(message.content for message in messages if isinstance(message, SystemMessage))
    if instructions or options.tools:
        developer = DeveloperContent.new()
        developer = developer.with_instructions(instructions) if instructions else developer
        tools = [_convert_tool(tool) for tool in options.tools]
        developer = developer.with_function_tools(tools) if tools else developer
        turns.append(Message.from_role_and_content(Role.DEVELOPER, developer))
    # The library drops analysis up to the first final message, which is too little.
    answers = [i for i, message in enumerate(messages) if isinstance(message, AIMessage) and not message.tool_calls]
    names: dict[str, str] = {}
    for index, message in enumerate(messages):
        turns += _convert_message(message, names, keep_reasoning=index > max(answers, default=-1))
    config = RenderConversationConfig(auto_drop_analysis=False)
    ids = ENCODING.render_conversation_for_completion(Conversation.from_messages(turns), Role.ASSISTANT, config)
    return _move_recipient_of_results(ids)


def _move_recipient_of_results(ids: Sequence[int]) -> list[int]:
    """Return ids with the recipient of tool results before the channel.

    The guide, the published chat template and openai-harmony 0.0.8 write it there; this library writes it behind.
    """
    recipient = ENCODING.encode(" to=assistant")
    channel = ENCODING.encode("<|channel|>commentary", allowed_special="all")
    written, moved = [*channel, *recipient], [*recipient, *channel]
    moved_ids = list(ids)
    for index in range(len(ids)):
        if ids[index : index + len(written)] == written:
            moved_ids[index : index + len(written)] = moved
    return moved_ids


def _convert_tool(tool: Tool) -> ToolDescription:
    # The guide writes a function without arguments as `() => any`; the library does so without a schema only.
    parameters = dict(tool.parameters) if tool.parameters.get("properties") else None
    return ToolDescription.new(tool.name, tool.description, parameters)


def _convert_message(message: BaseMessage, names: dict[str, str], *, keep_reasoning: bool) -> Iterator[Message]:
    if isinstance(message, HumanMessage):
        yield Message.from_role_and_content(Role.USER, message.content)
    elif isinstance(message, ToolMessage):
        author = Author.new(Role.TOOL, f"functions.{names[message.tool_call_id]}")
        result = Message.from_author_and_content(author, message.content)
        yield result.with_recipient("assistant").with_channel("commentary")
    elif isinstance(message, AIMessage):
        if keep_reasoning and (reasoning := message.additional_kwargs.get("reasoning_content")):
            yield _build_assistant_message(reasoning, "analysis")
        if message.content:
            yield _build_assistant_message(message.content, "commentary" if message.tool_calls else "final")
        for call in message.tool_calls:
            names[call["id"]] = call["name"]
            arguments = json.dumps(call["args"], ensure_ascii=False, separators=(",", ":"))
            converted = _build_assistant_message(arguments, "commentary")
            yield converted.with_recipient(f"functions.{call['name']}").with_content_type("<|constrain|>json")


def _build_assistant_message(text: str, channel: str) -> Message:
    return Message.from_role_and_content(Role.ASSISTANT, text).with_channel(channel)
