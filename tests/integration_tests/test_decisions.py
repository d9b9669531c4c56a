"""Decisions of the real demo model: probabilities of the whole vocabulary, the shared text, a calibration."""

import math

import pytest
from langchain_core.decisions import Choice, Noul, Score

from langchain_gptoss import ChatGptOss
from langchain_gptoss.decisions import GptOssDecisions, LabelledDecision, fit_calibration
from langchain_gptoss.engine import GenerationRequest, SamplingParams

TEXT = "The parcel is broken and nobody answers the telephone. Please send a new one this week. " * 6
QUESTIONS = {
    "complaint": Noul(instructions="Is this a complaint?"),
    "team": Choice(instructions="Which team?", criteria={"shipping": "Parcels.", "sales": "Prices.", "other": None}),
    "anger": Score(instructions="How angry is the writer?", criteria=["Calm.", "Cross.", "Furious."]),
}


def test_the_text_is_read_once_for_all_questions(demo_llm: ChatGptOss):
    decisions = GptOssDecisions(llm=demo_llm)
    response = decisions.invoke({"state": TEXT, "questions": QUESTIONS})
    text_tokens = len(demo_llm.get_token_ids(TEXT))
    assert response.usage is not None
    assert response.usage["input_token_details"]["cache_read"] >= 2 * (text_tokens - 16)
    assert sum(response.choices["team"].probabilities.values()) == pytest.approx(1)
    assert sum(response.scores["anger"].probabilities.values()) == pytest.approx(1)
    again = decisions.invoke({"state": TEXT, "questions": {"complaint": QUESTIONS["complaint"]}})
    assert again.nouls["complaint"].noul == pytest.approx(response.nouls["complaint"].noul, abs=0.02)


def test_requested_log_probabilities_are_those_of_the_likeliest_tokens(demo_llm: ChatGptOss):
    demo_llm.load()
    prompt_ids = tuple(demo_llm.get_token_ids("The capital of France is"))
    plain = SamplingParams(temperature=0.0, max_tokens=1, logprobs=20)
    stream = demo_llm.running_engine.submit(GenerationRequest(prompt_ids=prompt_ids, sampling=plain))
    list(stream)
    top = dict(stream.logprobs.top)
    stream = demo_llm.start_scoring(prompt_ids, [*top, 0], {})
    list(stream)
    requested = dict(stream.logprobs.requested)
    assert {token_id: requested[token_id] for token_id in top} == pytest.approx(top, abs=0.05)
    assert requested[0] < min(top.values())


def test_a_calibration_of_the_model_is_accepted_by_it_and_lowers_the_loss(demo_llm: ChatGptOss):
    decisions = GptOssDecisions(llm=demo_llm)
    question = Noul(instructions="Is the text about an animal?")
    texts = {"The cat sleeps.": True, "A dog barks.": True, "The train is late.": False, "It rains.": False}
    examples = [LabelledDecision(state=text, question=question, answer=answer) for text, answer in texts.items()]
    calibrated = decisions.model_copy(update={"calibration": fit_calibration(decisions, examples)})

    def compute_loss(model: GptOssDecisions) -> float:
        answers = [model.invoke({"state": item.state, "questions": {"q": question}}) for item in examples]
        right = [
            a.nouls["q"].noul if e.answer else 1 - a.nouls["q"].noul for a, e in zip(answers, examples, strict=True)
        ]
        return -sum(map(math.log, right))

    assert compute_loss(calibrated) <= compute_loss(decisions) + 0.01
