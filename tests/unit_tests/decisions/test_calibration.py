"""The fit of a calibration, its file, and the digest of a model."""

import json
import math
import random

import pytest
from langchain_core.decisions import Choice, Noul, Score

from langchain_gptoss import ChatGptOss
from langchain_gptoss.decisions import DecisionCalibration, GptOssDecisions, LabelledDecision, fit_calibration
from langchain_gptoss.decisions.calibration import (
    calculate_probabilities,
    compute_model_digest,
    find_bundled_calibration,
)
from langchain_gptoss.decisions.prompts import PROMPT_VERSION
from langchain_gptoss.errors import InvalidInputError

from tests.unit_tests.scripted_models import ScoringEngine  # isort: skip

QUESTION = Noul(instructions="Is it so?")


def build_examples(*, temperature: float, bias: float, count: int = 300) -> list[LabelledDecision]:
    """Return examples whose text states the model's log odds, which are too large and biased."""
    rng = random.Random(5)
    examples = []
    for _ in range(count):
        true_log_odds = rng.gauss(0, 1.5)
        answer = rng.random() < 1 / (1 + math.exp(-true_log_odds))
        stated = (true_log_odds - bias) * temperature
        examples.append(LabelledDecision(state=f"odds {stated:.6f} end", question=QUESTION, answer=answer))
    return examples


def get_stated_shares(prompt: str) -> dict[str, float]:
    log_odds = float(prompt.split("odds ")[1].split(" end")[0])
    share = 1 / (1 + math.exp(-log_odds))
    return {"Yes": share, "No": 1 - share, "A": 0.98, "B": 0.02, "0": 0.02, "1": 0.98}


@pytest.fixture
def decisions():
    return GptOssDecisions(llm=ChatGptOss(model="gpt-oss-20b", engine=ScoringEngine(get_stated_shares)))


def test_temperature_and_bias_are_recovered_from_examples(decisions):
    calibration = fit_calibration(decisions, build_examples(temperature=3.0, bias=0.8), provenance={"data": "made up"})
    assert calibration.noul_temperature == pytest.approx(3.0, rel=0.2)
    assert calibration.noul_bias == pytest.approx(0.8, abs=0.3)
    assert calibration.choice_temperature == 1.0
    assert calibration.provenance == {"examples": {"noul": 300}, "data": "made up"}


def test_known_answers_of_the_model_are_not_asked_for_again(decisions):
    examples = build_examples(temperature=3.0, bias=0.8, count=30)
    requests = [{"state": example.state, "questions": {"q": QUESTION}} for example in examples]
    answers = [response.answers["q"] for response in decisions.batch(requests)]
    asked = len(decisions.llm.engine.requests)
    calibration = fit_calibration(decisions, examples, answers=answers)
    assert len(decisions.llm.engine.requests) == asked
    assert calibration == fit_calibration(decisions, examples)
    with pytest.raises(InvalidInputError, match="30 examples and 29 answers"):
        fit_calibration(decisions, examples, answers=answers[1:])


def test_answers_that_are_too_sure_get_a_higher_temperature(decisions):
    choice = Choice(instructions="Which?", criteria={"first": None, "second": None})
    score = Score(instructions="How?", criteria=["low", "high"])
    examples = [
        LabelledDecision(state="odds 0 end", question=choice, answer="first" if index % 4 else "second")
        for index in range(200)
    ] + [LabelledDecision(state="odds 0 end", question=score, answer=int(index % 4 > 0)) for index in range(200)]
    calibration = fit_calibration(decisions, examples)
    calibrated = decisions.model_copy(update={"calibration": calibration})
    response = calibrated.invoke({"state": "odds 0 end", "questions": {"choice": choice, "score": score}})
    assert response.choices["choice"].confidence == pytest.approx(0.75, abs=0.03)
    assert response.scores["score"].confidence == pytest.approx(0.75, abs=0.03)


def test_few_right_answers_do_not_make_a_model_sure_of_everything(decisions):
    choice = Choice(instructions="Which?", criteria={"first": None, "second": None})
    examples = [LabelledDecision(state="odds 0 end", question=choice, answer="first")] * 10
    assert 0.4 < fit_calibration(decisions, examples).choice_temperature < 1


def test_a_fit_needs_examples_with_answers_of_their_questions(decisions):
    with pytest.raises(InvalidInputError, match="no examples"):
        fit_calibration(decisions, [])
    with pytest.raises(InvalidInputError, match="'maybe' is not an answer"):
        fit_calibration(decisions, [LabelledDecision(state="odds 0 end", question=QUESTION, answer="maybe")])


def test_examples_of_one_answer_give_a_finite_calibration(decisions):
    examples = [LabelledDecision(state="odds 2 end", question=QUESTION, answer=True)] * 5
    calibration = fit_calibration(decisions, examples)
    assert 0 < calibration.noul_temperature < math.inf
    assert math.isfinite(calibration.noul_bias)


def test_a_file_gives_the_same_calibration(tmp_path):
    calibration = DecisionCalibration(
        model="demo", model_digest="ab", noul_temperature=2.5, noul_bias=-0.5, provenance={"data": "été"}
    )
    calibration.save(tmp_path / "calibration.json")
    assert DecisionCalibration.load(tmp_path / "calibration.json") == calibration
    assert json.loads((tmp_path / "calibration.json").read_text(encoding="utf-8"))["version"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "no calibration of version 1"),
        ('{"version": 2, "model": "demo", "model_digest": "ab"}', "no calibration of version 1"),
        ('{"version": 1, "model": "demo"}', "no calibration of version 1"),
        ('{"version": 1, "model": "demo", "model_digest": "ab", "heat": 1}', "no calibration of version 1"),
        ('{"version": 1, "model": "demo", "model_digest": "ab", "noul_temperature": 0}', "must be a number above 0"),
        ('{"version": 1, "model": "demo", "model_digest": "ab", "noul_bias": "x"}', "noul_bias is 'x'"),
    ],
)
def test_damaged_files_are_refused(tmp_path, text, message):
    (tmp_path / "calibration.json").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=message):
        DecisionCalibration.load(tmp_path / "calibration.json")


def test_a_calibration_of_other_prompts_is_refused():
    calibration = DecisionCalibration(model="demo", model_digest="ab", prompt_version=0)
    with pytest.raises(InvalidInputError, match="version 0 of the prompts"):
        calibration.check_model("ab")


def test_answers_that_are_all_impossible_are_equally_likely():
    assert calculate_probabilities("choice", [-math.inf, -math.inf]) == [0.5, 0.5]
    assert calculate_probabilities("choice", [-2000.0, -math.inf]) == [1.0, 0.0]


def test_the_digest_tells_checkpoints_apart(tmp_path):
    digests = set()
    for name, weights in (("one", b"a" * 100), ("two", b"a" * 99 + b"b")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text("{}", encoding="utf-8")
        (folder / "model.safetensors").write_bytes(weights)
        llm = ChatGptOss(model=folder)
        llm.__dict__["checkpoint"] = folder
        digests.add(compute_model_digest(llm))
        assert compute_model_digest(llm) in digests
    assert len(digests) == 2


def build_llm(**options):
    return ChatGptOss(engine=ScoringEngine(get_stated_shares), chat_format="harmony", **options)


def test_the_package_has_a_calibration_of_demo_large_for_these_prompts():
    calibration = find_bundled_calibration(build_llm(model="demo-large"))
    assert calibration.model == "demo-large"
    assert calibration.prompt_version == PROMPT_VERSION
    assert calibration.provenance["examples"]["noul"] >= 40
    assert calibration != DecisionCalibration(model="demo-large", model_digest=calibration.model_digest)


@pytest.mark.parametrize(
    "options", [{"model": "demo"}, {"model": "gpt-oss-20b"}, {"adapter": "a"}, {"experts": "packed"}]
)
def test_other_models_have_no_bundled_calibration(options, tmp_path):
    assert find_bundled_calibration(ChatGptOss(**{"model": "demo-large", **options})) is None
    (tmp_path / "demo-large").mkdir()
    (tmp_path / "demo-large" / "config.json").write_text("{}", encoding="utf-8")
    assert find_bundled_calibration(ChatGptOss(model=tmp_path / "demo-large")) is None
    assert find_bundled_calibration(ChatGptOss(model="demo-large", base_url="http://localhost:1/v1")) is None


def test_decisions_take_the_bundled_calibration_unless_another_one_is_given():
    llm = build_llm(model="demo-large")
    request = {"state": "odds 1.5 end", "questions": {"q": QUESTION}}

    def ask(**fields):
        return GptOssDecisions(llm=llm, **fields).invoke(request).nouls["q"].noul

    calibration = find_bundled_calibration(llm)
    log_odds = 1.5 / calibration.noul_temperature + calibration.noul_bias
    assert ask() == pytest.approx(1 / (1 + math.exp(-log_odds)), abs=1e-6)
    assert ask(calibration=None) == pytest.approx(1 / (1 + math.exp(-1.5)), abs=1e-6)
    own = DecisionCalibration(model="x", model_digest=compute_model_digest(llm), noul_temperature=3.0)
    assert ask(calibration=own) == pytest.approx(1 / (1 + math.exp(-0.5)), abs=1e-6)
