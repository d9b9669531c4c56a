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
    assert 10 <= times.choose_prefill_tokens(2, max_tokens=512) <= 15
    assert times.choose_prefill_tokens(2, max_tokens=8) == 8


def test_drafts_leave_less_time_for_a_prompt() -> None:
    times = StepTimes()
    _record(times, 0.1, decode=1)
    _record(times, 0.14, decode=1, draft=4)
    _record(times, 0.18, decode=1, draft=4, prefill=4)  # of which the prompt took 0.04
    alone = times.choose_prefill_tokens(1, max_tokens=512)
    assert 10 <= alone <= 15
    assert times.choose_prefill_tokens(1, draft_tokens=8, max_tokens=512) == alone - 8


def test_prompt_advances_on_a_slow_machine() -> None:
    times = StepTimes()
    _record(times, 0.1, decode=1)
    for _ in range(20):
        _record(times, 9.0, decode=1, prefill=4)
    assert times.choose_prefill_tokens(1, max_tokens=512) == 2


def test_one_slow_step_changes_little() -> None:
    times = StepTimes()
    _record(times, 0.1, decode=1)
    _record(times, 0.14, decode=1, prefill=4)
    expected = times.choose_prefill_tokens(1, max_tokens=512)
    _record(times, 5.0, decode=1)
    assert times.choose_prefill_tokens(1, max_tokens=512) <= 1.3 * expected


def test_a_step_without_the_prompt_measures_the_answers_again_from_time_to_time() -> None:
    times = StepTimes()
    _record(times, 0.1, decode=1)
    chosen = []
    for _ in range(100):
        chosen.append(times.choose_prefill_tokens(1, max_tokens=512))
        _record(times, 0.1 + 0.01 * chosen[-1], decode=1, prefill=chosen[-1])
    assert 2 <= chosen.count(0) <= 5
    assert min(chosen[:20]) > 0


def test_cost_of_a_draft_token_is_a_share_of_one_answer() -> None:
    times = StepTimes()
    _record(times, 0.2, decode=4)
    _record(times, 0.3, decode=4, draft=2)
    assert abs(times.estimate_draft_cost(4) - 1.0) < 1e-9
    assert abs(times.estimate_draft_cost(1) - 0.25) < 1e-9
