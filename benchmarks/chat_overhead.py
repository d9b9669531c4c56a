"""What a streamed token costs above the engine, and what rendering a long conversation costs.

The engine is scripted, so what is timed is ours: parser, chunks, callbacks. The peer is LangChain's own
GenericFakeChatModel streaming the same text. Both run in turns in one process; the medians are printed.

    python benchmarks/chat_overhead.py
"""

import statistics
import time
from typing import Any

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from openai_harmony import HarmonyEncodingName, load_harmony_encoding

from langchain_gptoss import ChatGptOss
from langchain_gptoss.chat_formats.base import PromptOptions, Tool
from langchain_gptoss.chat_formats.harmony import HarmonyFormat
from langchain_gptoss.engine import ScriptedEngine

TOKENS, ROUNDS = 2000, 7
ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
WORDS = [" word", " another", " thing", " said", "."] * (TOKENS // 5)


def timed(model: Any) -> float:
    """Returns microseconds per chunk."""
    began = time.perf_counter()
    chunks = sum(1 for _ in model.stream("Hello"))
    return (time.perf_counter() - began) / chunks * 1e6


def ours() -> float:
    ids = ENCODING.encode("<|channel|>final<|message|>" + "".join(WORDS) + "<|return|>", allowed_special="all")
    engine = ScriptedEngine([ids])
    microseconds = timed(ChatGptOss(model="gpt-oss-20b", engine=engine))
    engine.close()
    return microseconds


def engine_alone() -> float:
    """Returns microseconds per token that the scripted engine and its stream cost by themselves."""
    from langchain_gptoss.engine import GenerationRequest

    engine = ScriptedEngine([[5] * TOKENS])
    began = time.perf_counter()
    count = sum(1 for _ in engine.submit(GenerationRequest(prompt_ids=(1,))))
    microseconds = (time.perf_counter() - began) / count * 1e6
    engine.close()
    return microseconds


def theirs() -> float:
    # It splits at white space and streams the white space too, so half the words make as many chunks.
    return timed(GenericFakeChatModel(messages=iter([AIMessage(" ".join(["word"] * (TOKENS // 2)))])))


def rendering() -> float:
    """Returns milliseconds for 50 messages and 20 tools."""
    schema = {
        "type": "object",
        "properties": {f"field_{n}": {"type": "string", "description": "What it is."} for n in range(6)},
        "required": ["field_0"],
    }
    tools = tuple(Tool(name=f"tool_{n}", description="Does something useful.", parameters=schema) for n in range(20))
    messages: list[Any] = []
    for n in range(13):
        call = {"name": "tool_1", "args": {"field_0": "value " * 10}, "id": str(n)}
        messages += [HumanMessage("A question of some length? " * 8), AIMessage("", tool_calls=[call])]
        messages += [ToolMessage("A result of some length. " * 8, tool_call_id=str(n)), AIMessage("An answer. " * 20)]
    chat_format, times = HarmonyFormat(), []
    for _ in range(20):
        began = time.perf_counter()
        chat_format.render(messages[:50], PromptOptions(tools=tools))
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def main() -> None:
    """Prints the figures."""
    ours(), theirs()  # imports and caches
    rounds = [(ours(), theirs(), engine_alone()) for _ in range(ROUNDS)]
    mine, peer, engine = (statistics.median(column) for column in zip(*rounds, strict=True))
    above = mine - engine
    print(f"ChatGptOss            {mine:6.1f} us per chunk, {above:.1f} above the engine ({engine:.1f})")
    print(f"GenericFakeChatModel  {peer:6.1f} us per chunk")
    print(f"ratio                 {above / peer:6.2f} (goal: at most 1.5)")
    print(f"render 50 messages, 20 tools: {rendering():.1f} ms (goal: under 20)")


if __name__ == "__main__":
    main()
