"""The measurements of benchmarks/serving.py, with a system whose times are known, and its goals and table."""

import importlib
import threading
import time

import numpy as np
import pytest

from langchain_gptoss.models.shapes import SHAPES
from tests import ROOT


@pytest.fixture
def load_script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.fixture
def runners(load_script):
    return load_script("serving_runners")


@pytest.fixture
def serving(load_script):
    return load_script("serving")


@pytest.fixture
def system(runners):
    """A system that takes turns: a long prompt holds up every answer, and a reused prompt is not read again."""

    class FakeSystem(runners.System):
        def __init__(self):
            self.is_reading = threading.Lock()
            self.known = []
            self.requests = []

        def load(self, job):
            pass

        def fill(self, answer, prompt, limit, **options):
            self.requests.append(options)
            if options.get("reuse", True) and any(prompt[: len(one)] == one for one in self.known):
                answer.cached_tokens = len(self.known[0])
            else:
                with self.is_reading:
                    time.sleep(len(prompt) / 1000)
            self.known.append(list(prompt))
            for number in range(limit):
                if answer.is_stopped:
                    return
                time.sleep(0.001)
                with self.is_reading:
                    answer.times.append(time.perf_counter())
                    answer.ids.append(number)

    return FakeSystem()


def test_users_are_measured_together_and_alone(runners, system):
    job = {"prompts": [[number] * 4 for number in range(3)], "tokens": 20, "context": 5000}
    figures = runners.measure_users(system, job)
    assert 0 < figures["one"] < 1000
    assert 0 < figures["all"] < 3000


def test_the_second_turn_contains_the_first_turn_and_its_answer(runners, system):
    figures = runners.measure_turns(system, {"prompts": [[1] * 200, [2] * 5], "tokens": 3})
    assert system.known[1] == [1] * 200 + [0, 1, 2] + [2] * 5
    assert figures["cached"] == 200
    assert figures["first"] >= 0.2


def test_the_longest_gap_is_the_reading_of_the_long_prompt(runners, system):
    figures = runners.measure_gap(system, {"prompts": [[1], [2] * 300], "tokens": 5, "context": 100_000})
    assert figures["longest"] >= 0.2
    assert figures["arrival"] >= 0.3


def test_documents_are_asked_without_reuse_first(runners, system):
    figures = runners.measure_documents(system, {"prompts": [[1] * 50] * 4, "tokens": 2})
    assert [options["reuse"] for options in system.requests] == [False] * 4 + [True] * 4
    assert figures["without"] >= 0.2


def test_quotes_compare_the_tokens_of_both_ways(runners, system):
    job = {"prompts": [[1], [2]], "tokens": 3, "stop_ids": [9]}
    assert runners.measure_quotes(system, job)["are_equal"]
    fill = system.fill
    system.fill = lambda answer, prompt, limit, **options: fill(answer, prompt, limit - options["speculate"], **options)
    assert not runners.measure_quotes(system, job)["are_equal"]


def test_an_error_in_a_thread_is_raised(runners, system):
    def fail(*_, **__):
        raise ValueError("no answer")

    system.fill = fail
    with pytest.raises(ValueError, match="no answer"), system.ask_in_threads([[1]], limit=1):
        pass


def test_goals_compare_rounds_and_systems(serving):
    rounds = {"ours": [{"all": 8.0, "one": 2.0}, {"all": 9.0, "one": 3.0}], "llama.cpp": [{"all": 6.0}]}
    assert serving.compare_within("all", "one")(rounds) == 3.5
    assert serving.compare_with("llama.cpp", "all", max)(rounds) == 1.5
    assert serving.find_best("one")(rounds) == 2.0


def test_the_table_says_what_was_met_and_what_is_missing(serving, capsys):
    rounds = {"ours": [{"all": 90.0, "one": 10.0, "others": 0.5}]}
    serving.print_table([(serving.CASES["users-demo"], rounds)])
    text = capsys.readouterr().out
    assert "| users-demo | 8 users against one | 9.00 | at least 4 | met |" in text
    assert "| users-demo | 8 users against llama.cpp's 8 slots | not measured | at least 1.2 | |" in text
    assert "| users-demo | ours | * 1 user 10.0 tok/s, 8 users 90.0 tok/s |" in text


def test_all_cases_have_goals_and_known_measurements(serving, runners):
    for case in serving.CASES.values():
        assert case.goals
        assert case.measure in {*runners.MEASUREMENTS, "start"}


def test_divergence_is_zero_for_equal_and_positive_for_other_probabilities(load_script):
    script = load_script("accuracy")
    probabilities = np.array([[0.5, 0.25, 0.125, 0.125]])
    expected, ids = np.log(probabilities), np.arange(4)
    same = script.summarize(expected, iter([(expected[0], ids)]))
    assert (same["mean"], same["agreement"]) == (pytest.approx(0), 1)
    reported = script.summarize(expected, iter([(np.log([0.5, 0.25]), np.array([0, 1]))]))
    assert reported["mean"] == pytest.approx(0)
    other = script.summarize(expected, iter([(np.log([0.25, 0.5]), np.array([0, 1]))]))
    assert other["mean"] == pytest.approx(0.25 * np.log(2))
    assert other["agreement"] == 0


def test_more_users_read_more_experts_but_the_dense_weights_once(load_script):
    script, shape = load_script("gpu"), SHAPES["20b"]
    dense = (shape.attention_weights + shape.embedding_weights) * 2
    one = script.compute_step_bytes(shape, 1, expert_bits=4.25) - dense
    many = script.compute_step_bytes(shape, 1000, expert_bits=4.25) - dense
    assert one == pytest.approx(shape.active_expert_weights * 4.25 / 8)
    assert many == pytest.approx(shape.expert_weights * 4.25 / 8)
