"""Token usage in the form of OpenAI's API."""

from langchain_core.messages.ai import UsageMetadata

from langchain_gptoss.serve.openai.usage import convert_usage, sum_choices


def make_usage(output: int, *, cached: int = 0) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=10,
        output_tokens=output,
        total_tokens=10 + output,
        input_token_details={"cache_read": cached},
        output_token_details={"reasoning": 2},
    )


def test_the_details_are_converted():
    assert convert_usage(make_usage(5, cached=4)) == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "completion_tokens_details": {"reasoning_tokens": 2},
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    assert convert_usage(None) == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def test_the_prompt_counts_once_and_the_answers_together():
    assert sum_choices([make_usage(5), make_usage(7, cached=9), make_usage(1)]) == {
        "prompt_tokens": 10,
        "completion_tokens": 13,
        "total_tokens": 23,
        "completion_tokens_details": {"reasoning_tokens": 6},
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    assert sum_choices([None, None])["total_tokens"] == 0
