import pytest

from langchain_gptoss.engine.scheduling.step_times import StepTimes


def _record(times: StepTimes, seconds: float, *, decode: int = 0, draft: int = 0, prefill: int = 0) -> None:
    times.record(seconds, decode_tokens=decode, draft_tokens=draft, prefill_tokens=prefill)


def test_a_step_without_answers_reads_as_much_as_it_may() -> None:
    assert StepTimes().choose_prefill_tokens(0, max_tokens=512) == 512


def test_first_prompt_beside_an_answer_is_read_in_small_parts() -> None:
    times = StepTimes()
    _record(times, 0.5, prefill=512)  # fast, because the tokens were many
    _record(times, 0.01, decode=1)
    assert times.choose_prefill_tokens(1, max_tokens=512) <= 4


def _read_prompt(times: StepTimes, steps: int, *, step_s: float, token_s: float) -> list[int]:
    """Return the parts of a prompt that were read beside an answer, whose step takes 0.1 s."""
    chosen = []
    for _ in range(steps):
        chosen.append(times.choose_prefill_tokens(1, max_tokens=512))
        seconds = step_s + token_s * chosen[-1] if chosen[-1] else 0.1
        _record(times, seconds, decode=1, prefill=chosen[-1])
    return chosen


@pytest.mark.parametrize(("step_s", "token_s", "limit"), [(0.1, 0.01, 14), (0.2, 0.004, 10), (0.1, 0.002, 70)])
def test_parts_of_a_prompt_grow_until_a_step_takes_too_long(step_s, token_s, limit) -> None:
    times = StepTimes()
    _record(times, 0.1, decode=1)
    parts = [count for count in _read_prompt(times, 100, step_s=step_s, token_s=token_s) if count]
    assert max(parts) <= limit + 1
    assert sum(parts[-20:]) / 20 >= 0.8 * limit


def test_drafts_leave_half_of_a_step_to_a_prompt() -> None:
    times = StepTimes()
    _record(times, 0.1, decode=1)
    _read_prompt(times, 20, step_s=0.1, token_s=0.001)
    limit = times.limit_draft_tokens()
    assert limit > 3
    assert limit <= times.choose_prefill_tokens(1, draft_tokens=limit, max_tokens=512) <= limit + 1


def test_drafts_take_the_place_of_prompt_tokens() -> None:
    times = StepTimes()
    _record(times, 0.1, decode=1)
    _read_prompt(times, 20, step_s=0.1, token_s=0.001)
    alone = times.choose_prefill_tokens(1, max_tokens=512)
    assert alone > 8
    assert times.choose_prefill_tokens(1, draft_tokens=4, max_tokens=512) == alone - 4
    assert 0 < times.choose_prefill_tokens(1, draft_tokens=100, max_tokens=512) < 4  # prompts advance beside any drafts


def test_maximum_bounds_the_part_of_a_prompt() -> None:
    times = StepTimes()
    _record(times, 0.1, decode=1)
    _read_prompt(times, 30, step_s=0.1, token_s=0.001)
    assert times.choose_prefill_tokens(1, max_tokens=8) == 8


def test_prompt_advances_on_a_slow_machine() -> None:
    times = StepTimes()
    _record(times, 0.1, decode=1)
    assert set(_read_prompt(times, 20, step_s=9.0, token_s=0.1)) == {2}


def test_one_slow_step_changes_little() -> None:
    times = StepTimes()
    _record(times, 0.1, decode=1)
    expected = _read_prompt(times, 60, step_s=0.1, token_s=0.01)[-1]
    _record(times, 5.0, decode=1)
    _record(times, 5.0, decode=1, prefill=expected)
    assert abs(times.choose_prefill_tokens(1, max_tokens=512) - expected) <= 4


def test_a_step_without_the_prompt_measures_the_answers_again_from_time_to_time() -> None:
    times = StepTimes()
    _record(times, 0.1, decode=1)
    chosen = _read_prompt(times, 100, step_s=0.1, token_s=0.01)
    assert 2 <= chosen.count(0) <= 5
    assert min(chosen[:20]) > 0


def test_cost_of_a_draft_token_is_a_share_of_one_answer() -> None:
    times = StepTimes()
    _record(times, 0.2, decode=4)
    _record(times, 0.3, decode=4, draft=2)
    assert abs(times.estimate_draft_cost(4) - 1.0) < 1e-9
    assert abs(times.estimate_draft_cost(1) - 0.25) < 1e-9
