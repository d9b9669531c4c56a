"""Metrics of the engine, in Prometheus' text format."""

from langchain_gptoss.engine import EngineStats
from langchain_gptoss.serve.metrics import Metrics


def read_samples(metrics):
    lines = [line for line in metrics.render().decode().splitlines() if line.startswith("gptoss_engine_")]
    return dict(line.rsplit(" ", 1) for line in lines)


def test_counters_and_state_of_an_engine_are_shown_as_they_are_now():
    stats = EngineStats(finished={"stop": 3, "cancelled": 1}, running=2, waiting=5, cached_tokens=70, busy_s=1.5)
    metrics = Metrics()
    current = [stats]
    metrics.add_engine(lambda: current[0])
    samples = read_samples(metrics)
    assert samples["gptoss_engine_running"] == "2.0"
    assert samples["gptoss_engine_waiting"] == "5.0"
    assert samples["gptoss_engine_cached_tokens_total"] == "70.0"
    assert samples["gptoss_engine_busy_seconds_total"] == "1.5"
    assert samples['gptoss_engine_finished_total{reason="stop"}'] == "3.0"
    assert samples['gptoss_engine_finished_total{reason="cancelled"}'] == "1.0"
    current[0] = EngineStats(finished={}, cached_tokens=71)
    assert read_samples(metrics)["gptoss_engine_cached_tokens_total"] == "71.0"


def test_every_counter_is_shown():
    metrics = Metrics()
    metrics.add_engine(lambda: EngineStats(finished={"stop": 1}))
    names = {sample.partition("{")[0] for sample in read_samples(metrics)}
    fields = {name.removesuffix("_s") for name in EngineStats.__dataclass_fields__}
    assert {field for field in fields if not any(field in name for name in names)} == set()


def test_an_engine_that_is_not_loaded_has_no_metrics():
    metrics = Metrics()
    metrics.add_engine(lambda: None)
    assert read_samples(metrics) == {}
