import numpy as np
import numpy.typing as npt
import pytest

from langchain_gptoss.engine.request import GenerationRequest, SamplingParams
from langchain_gptoss.engine.scheduling.sequence import SequenceState
from langchain_gptoss.engine.token_stream import TokenStream
from langchain_gptoss.errors import GptOssError


def _create_sequence(limit: int = 10) -> SequenceState:
    request = GenerationRequest(prompt_ids=(1, 2, 3), sampling=SamplingParams(temperature=0), stop_ids=frozenset({9}))
    sequence = SequenceState(request, TokenStream(), token_limit=limit)
    sequence.computed_count = 3  # as after the pass whose logits it gets
    return sequence


def _create_logits(*token_ids: int) -> npt.NDArray[np.float32]:
    return np.eye(10, dtype=np.float32)[list(token_ids)]


def test_only_the_last_chunk_of_a_prompt_requests_logits() -> None:
    sequence = _create_sequence()
    sequence.computed_count = 0
    assert sequence.create_chunk(2).logit_count == 0
    sequence.computed_count = 2
    chunk = sequence.create_chunk(1, draft=[4, 5])
    assert (list(chunk.token_ids), chunk.start, chunk.logit_count) == ([3, 4, 5], 2, 3)


def test_ends_a_draft_at_the_first_difference() -> None:
    sequence = _create_sequence()
    assert sequence.choose_tokens(_create_logits(4, 6, 7), draft=[4, 5]) is None
    assert (sequence.draft_count, sequence.accepted_count) == (2, 1)
    assert sequence.token_ids == [1, 2, 3, 4, 6]
    assert (sequence.computed_count, sequence.pending_count) == (4, 1)


def test_complete_draft_gives_one_token_more() -> None:
    sequence = _create_sequence()
    assert sequence.choose_tokens(_create_logits(4, 5, 7), draft=[4, 5]) is None
    assert (sequence.token_ids[3:], sequence.pending_count) == ([4, 5, 7], 1)


def test_stop_token_and_limit_end_the_answer_within_a_draft() -> None:
    stopped, limited = _create_sequence(), _create_sequence(limit=2)
    assert stopped.choose_tokens(_create_logits(9, 5), draft=[9]) == "stop"
    assert limited.choose_tokens(_create_logits(4, 5, 7), draft=[4, 5]) == "length"
    assert limited.token_ids == [1, 2, 3, 4, 5]


def test_tokens_reach_the_reader_when_they_are_delivered() -> None:
    sequence = _create_sequence()
    sequence.choose_tokens(_create_logits(4, 5), draft=[4])
    sequence.stream.finish("stop")
    sequence.deliver_tokens()
    sequence.deliver_tokens()
    assert list(sequence.stream) == [4, 5]


def test_logits_that_are_not_numbers_are_an_error() -> None:
    sequence = _create_sequence()
    with pytest.raises(GptOssError, match="not numbers"):
        sequence.choose_tokens(_create_logits(4) * np.nan)
    assert sequence.token_ids == [1, 2, 3]
