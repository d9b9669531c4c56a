from langchain_gptoss.engine.scheduling.speculation import DraftPolicy, NgramIndex


def test_proposes_what_followed_the_same_tokens() -> None:
    assert NgramIndex([1, 2, 3, 4, 5, 1, 2]).draft_tokens(3) == [3, 4, 5]


def test_proposes_the_latest_occurrence() -> None:
    assert NgramIndex([1, 2, 3, 1, 2, 4, 1, 2]).draft_tokens(1) == [4]


def test_prefers_the_longest_ngram() -> None:
    assert NgramIndex([9, 1, 2, 7, 8, 1, 2, 6, 9, 1, 2]).draft_tokens(1) == [7]


def test_proposes_nothing_for_new_tokens_or_a_limit_of_zero() -> None:
    assert NgramIndex([1, 2, 3, 4]).draft_tokens(4) == []
    assert NgramIndex().draft_tokens(4) == []
    assert NgramIndex([1, 2, 1, 2]).draft_tokens(0) == []


def test_token_by_token_is_the_same_as_at_once() -> None:
    token_ids = [1, 2, 3, 1, 2, 3, 4, 2, 3]
    index = NgramIndex()
    for count, token_id in enumerate(token_ids, start=1):
        index.extend([token_id])
        assert index.draft_tokens(4) == NgramIndex(token_ids[:count]).draft_tokens(4)


def test_drafts_grow_with_acceptance_and_stop_without_it() -> None:
    good, bad = DraftPolicy(), DraftPolicy()
    first = good.choose_length(0.25)
    for _ in range(50):
        good.record_result(proposed=4, accepted=4)
        bad.record_result(proposed=4, accepted=0)
    assert good.choose_length(0.25) > first > 0
    assert bad.choose_length(0.25) == 0


def test_probes_after_a_pause() -> None:
    policy = DraftPolicy(acceptance=0.0)
    lengths = [policy.choose_length(0.25) for _ in range(200)]
    assert 0 < sum(lengths) < 5


def test_expensive_tokens_switch_drafts_off() -> None:
    policy = DraftPolicy()
    assert policy.choose_length(0.1) > policy.choose_length(0.4) > policy.choose_length(1.0) == 0
