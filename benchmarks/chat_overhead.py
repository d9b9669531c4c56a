"""Overhead of a streamed token above the engine, and time to render a long conversation.

The engine is scripted, so that the parser, the chunks and the callbacks are measured. The reference is LangChain's own
GenericFakeChatModel with the same text. Both run in turns in one process; the medians are printed.

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


def measure_chunk_us(model: Any) -> float:
    """Return the microseconds per chunk of a stream."""
    start = time.perf_counter()
    chunks = sum(1 for _ in model.stream("Hello"))
    return (time.perf_counter() - start) / chunks * 1e6


def measure_gptoss_us() -> float:
    """Return the microseconds per chunk of ChatGptOss with a scripted engine."""
    ids = ENCODING.encode("<|channel|>final<|message|>" + "".join(WORDS) + "<|return|>", allowed_special="all")
    engine = ScriptedEngine([ids])
    microseconds = measure_chunk_us(ChatGptOss(model="gpt-oss-20b", engine=engine))
    engine.close()
    return microseconds


def measure_engine_us() -> float:
    """Return the microseconds per token of the scripted engine and its stream alone."""
    from langchain_gptoss.engine import GenerationRequest

    engine = ScriptedEngine([[5] * TOKENS])
    start = time.perf_counter()
    count = sum(1 for _ in engine.submit(GenerationRequest(prompt_ids=(1,))))
    microseconds = (time.perf_counter() - start) / count * 1e6
    engine.close()
    return microseconds


def measure_fake_model_us() -> float:
    """Return the microseconds per chunk of LangChain's fake model."""
    # The fake model streams the white space between words as chunks too, so half the words give as many chunks.
    return measure_chunk_us(GenericFakeChatModel(messages=iter([AIMessage(" ".join(["word"] * (TOKENS // 2)))])))


def measure_rendering_ms() -> float:
    """Return the milliseconds to render 50 messages and 20 tools."""
    schema = {
        "type": "object",
        "properties": {f"field_{n}": {"type": "string", "description": "A field."} for n in range(6)},
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
        start = time.perf_counter()
        chat_format.render(messages[:50], PromptOptions(tools=tools))
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def main() -> None:
    """Print the figures."""
    measure_gptoss_us(), measure_fake_model_us()  # imports and caches
    rounds = [(measure_gptoss_us(), measure_fake_model_us(), measure_engine_us()) for _ in range(ROUNDS)]
    gptoss, fake, engine = (statistics.median(column) for column in zip(*rounds, strict=True))
    overhead = gptoss - engine
    print(f"ChatGptOss            {gptoss:6.1f} us per chunk, {overhead:.1f} above the engine ({engine:.1f})")
    print(f"GenericFakeChatModel  {fake:6.1f} us per chunk")
    print(f"ratio                 {overhead / fake:6.2f} (goal: at most 1.5)")
    print(f"render 50 messages, 20 tools: {measure_rendering_ms():.1f} ms (goal: under 20)")


if __name__ == "__main__":
    main()
