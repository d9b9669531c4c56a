"""The calibration of the package: word weights and provenance."""

from langchain_gptoss.chatbot.grounding.calibration import load_calibration, weigh_word


def test_common_words_have_a_lower_weight():
    assert weigh_word("year") < weigh_word("laptop") <= 1
    assert weigh_word("nombre") < weigh_word("zzyzx") == 1


def test_calibration_has_its_provenance():
    calibration = load_calibration()
    assert calibration.threshold == 0.5
    assert {"date", "script", "data", "split", "questions"} <= calibration.provenance.keys()
    assert set(calibration.judge) == {"scored", "unscored", "translated"}
    for name in ("passage", "margin"):
        assert calibration.judge["scored"][name] > 0
    assert calibration.judge["scored"]["names_missing"] < 0
