"""evaluate: saved answers and the report."""

import json

from langchain_core.runnables import RunnableLambda

from langchain_gptoss.errors import RemoteServerError
from langchain_gptoss.evals import GoldSpan, evaluate
from tests.unit_tests.evals.helpers import TEXT, create_output, create_question


def test_evaluate_saves_answers_and_does_not_ask_again(tmp_path):
    questions_asked = []

    def answer(value):
        questions_asked.append(value["question"])
        if value["question"] == "broken":
            raise RemoteServerError("The model stopped.")
        return create_output(abstained=value["question"] == "unknown").model_dump()

    bot = RunnableLambda(answer)
    questions = [
        create_question("known", gold=(GoldSpan(text="4.90 euros"),)),
        create_question("unknown", answerable=False),
        create_question("broken", answerable=False),
    ]
    numbers = []
    file = tmp_path / "kept.jsonl"
    report = evaluate(bot, questions, texts={"a.md": TEXT}, answers_file=file, on_answer=lambda n, _: numbers.append(n))
    assert numbers == [1, 2, 3]
    figures = report.to_dict()
    assert figures["decline_recall"]["value"] == 1
    assert figures["declined_by_mistake"]["value"] == 0
    assert figures["citation_validity"] == {"value": 1.0, "interval": [0.2065, 1.0], "hits": 1, "total": 1}
    assert figures["gold_in_cited_passage"]["value"] == 1
    assert report.outputs[2].reason == "RemoteServerError: The model stopped."
    again = evaluate(bot, questions, texts={"a.md": TEXT}, answers_file=file)
    assert questions_asked == ["known", "unknown", "broken"]
    assert again.to_dict() == figures
    json.dumps(figures)


def test_own_time_excludes_search_and_model():
    bot = RunnableLambda(lambda _: create_output())
    assert evaluate(bot, [create_question()]).to_dict()["median_own_ms"] == 3.0
