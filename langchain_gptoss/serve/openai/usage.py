"""Token usage in the form of OpenAI's API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def convert_usage(usage: Any) -> dict[str, Any]:
    """Return LangChain's `UsageMetadata`, or None, in the form of OpenAI's API."""
    usage = usage or {}
    input_tokens, output_tokens = usage.get("input_tokens") or 0, usage.get("output_tokens") or 0
    details: dict[str, Any] = {}
    if (reasoning_tokens := (usage.get("output_token_details") or {}).get("reasoning")) is not None:
        details["completion_tokens_details"] = {"reasoning_tokens": reasoning_tokens}
    if (cached_tokens := (usage.get("input_token_details") or {}).get("cache_read")) is not None:
        details["prompt_tokens_details"] = {"cached_tokens": cached_tokens}
    total_tokens = input_tokens + output_tokens
    return {"prompt_tokens": input_tokens, "completion_tokens": output_tokens, "total_tokens": total_tokens, **details}


def sum_choices(usages: Sequence[Any]) -> dict[str, Any]:
    """Return the usage of several answers to one prompt: the prompt counts once, the answers together.

    Args:
        usages: LangChain's `UsageMetadata` of each answer, or None.
    """
    total, *others = [convert_usage(usage) for usage in usages]
    for other in others:
        total["completion_tokens"] += other["completion_tokens"]
        if "prompt_tokens_details" in other and "prompt_tokens_details" in total:
            # The answers after the first one take the whole prompt from the cache, because the first one put it there.
            details = (usage["prompt_tokens_details"] for usage in (total, other))
            total["prompt_tokens_details"] = min(details, key=lambda each: int(each["cached_tokens"]))
        if "completion_tokens_details" in other and "completion_tokens_details" in total:
            reasoning_tokens = other["completion_tokens_details"]["reasoning_tokens"]
            total["completion_tokens_details"]["reasoning_tokens"] += reasoning_tokens
    total["total_tokens"] = total["prompt_tokens"] + total["completion_tokens"]
    return total
