"""Token usage in the form of OpenAI's API."""

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
