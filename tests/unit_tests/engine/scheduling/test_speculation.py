from langchain_gptoss.engine.scheduling.speculation import DraftPolicy, NgramIndex


def test_proposes_what_followed_the_same_tokens() -> None:
    assert NgramIndex([1, 2, 3, 4, 5, 1, 2]).propose(3) == [3, 4, 5]


def test_proposes_the_latest_occurrence() -> None:
    assert NgramIndex([1, 2, 3, 1, 2, 4, 1, 2]).propose(1) == [4]


def test_prefers_the_longest_ngram() -> None:
    assert NgramIndex([9, 1, 2, 7, 8, 1, 2, 6, 9, 1, 2]).propose(1) == [7]


def test_proposes_nothing_for_new_tokens_or_a_limit_of_zero() -> None:
    assert NgramIndex([1, 2, 3, 4]).propose(4) == []
    assert NgramIndex().propose(4) == []
    assert NgramIndex([1, 2, 1, 2]).propose(0) == []


def test_token_by_token_is_the_same_as_at_once() -> None:
    token_ids = [1, 2, 3, 1, 2, 3, 4, 2, 3]
    index = NgramIndex()
    for count, token_id in enumerate(token_ids, start=1):
        index.extend([token_id])
        assert index.propose(4) == NgramIndex(token_ids[:count]).propose(4)


def test_drafts_grow_with_acceptance_and_stop_without_it() -> None:
    good, bad = DraftPolicy(), DraftPolicy()
    first = good.choose_length()
    for _ in range(50):
        good.record_result(proposed=4, accepted=4)
        bad.record_result(proposed=4, accepted=0)
    assert good.choose_length() > first > 0
    assert bad.choose_length() == 0


def test_probes_after_a_pause() -> None:
    policy = DraftPolicy(acceptance=0.0)
    lengths = [policy.choose_length() for _ in range(200)]
    assert 0 < sum(lengths) < 5


def test_expensive_tokens_switch_drafts_off() -> None:
    policy = DraftPolicy()
    for _ in range(100):
        policy.record_cost(1.0)
    assert policy.choose_length() == 0
