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


def test_part_of_a_prompt_takes_about_as_long_as_the_answers_of_the_step() -> None:
    times = StepTimes()
    _record(times, 0.1, decode=2)
    _record(times, 0.14, decode=2, prefill=4)
    assert 10 <= times.choose_prefill_tokens(2, max_tokens=512) <= 13
    assert times.choose_prefill_tokens(2, max_tokens=8) == 8


def test_prompt_advances_on_a_slow_machine() -> None:
    times = StepTimes()
    _record(times, 0.1, decode=1)
    _record(times, 9.0, decode=1, prefill=4)
    assert times.choose_prefill_tokens(1, max_tokens=512) == 4


def test_cost_of_a_draft_token_is_a_share_of_one_answer() -> None:
    times = StepTimes()
    _record(times, 0.2, decode=4)
    _record(times, 0.3, decode=4, draft=2)
    assert abs(times.estimate_draft_cost(4) - 1.0) < 1e-9
    assert abs(times.estimate_draft_cost(1) - 0.25) < 1e-9
