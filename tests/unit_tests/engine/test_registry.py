"""The registry: engines are shared if they have the requested options."""

import pytest

from langchain_gptoss.engine import GenerationRequest, SamplingParams, registry
from langchain_gptoss.engine.registry import close_all, get_local_engine, get_remote_engine
from langchain_gptoss.errors import GptOssError, GptOssForkError, InvalidInputError
from tests.unit_tests.forked import call_forked, needs_fork

REQUEST = GenerationRequest(prompt_ids=(5, 6), sampling=SamplingParams(temperature=0.0, max_tokens=10))


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_local_entries", [])
    monkeypatch.setattr(registry, "_remote_engines", {})
    yield
    close_all()


def test_engine_is_shared_by_requests_with_matching_options(tiny_checkpoint):
    first = get_local_engine(tiny_checkpoint, device="cpu", dtype="float32")
    assert get_local_engine(tiny_checkpoint / ".", device="cpu", dtype="float32") is first
    assert get_local_engine(tiny_checkpoint) is first
    assert get_local_engine(tiny_checkpoint, dtype="float32", max_context=512) is first
    assert get_local_engine(tiny_checkpoint, device="cpu", dtype="bfloat16") is not first
    shorter = get_local_engine(tiny_checkpoint, max_context=100)
    assert (first.context_length, shorter.context_length) == (512, 100)
    assert get_local_engine(tiny_checkpoint, device="cpu", cache_gb=0.01) not in {first, shorter}


def test_prompts_on_disk_are_read_by_the_next_engine(tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("GPTOSS_HOME", str(tmp_path))
    request = GenerationRequest(prompt_ids=tuple(range(3, 60)), sampling=REQUEST.sampling)
    cached = []
    for _ in range(2):
        engine = get_local_engine(tiny_checkpoint, device="cpu", dtype="float32", prompt_cache_gb=0.01)
        stream = engine.submit(request)
        assert len(list(stream)) == 10
        cached.append(stream.cached_tokens)
        assert get_local_engine(tiny_checkpoint, prompt_cache_gb=0.01) is engine
        close_all()
    assert cached == [0, 48]
    without = get_local_engine(tiny_checkpoint)
    assert get_local_engine(tiny_checkpoint, prompt_cache_gb=0.01) is not without


def test_closed_engine_is_loaded_again(tiny_checkpoint):
    first = get_local_engine(tiny_checkpoint, device="cpu", dtype="float32")
    close_all()
    with pytest.raises(GptOssError, match="was closed"):
        first.submit(REQUEST)
    again = get_local_engine(tiny_checkpoint, device="cpu", dtype="float32")
    assert again is not first
    assert len(list(again.submit(REQUEST))) == 10


def test_remote_engines_with_the_same_arguments_are_shared():
    options = {"api_key": None, "timeout": 5.0, "max_retries": 1}
    first = get_remote_engine("http://host:1/v1", "m", **options)
    assert get_remote_engine("http://host:1/v1", "m", **options) is first
    assert get_remote_engine("http://host:1/v1", "other", **options) is not first


@pytest.mark.parametrize("address", ["host:8000", "ftp://host", ""])
def test_invalid_address_is_rejected(address):
    with pytest.raises(InvalidInputError, match="must be like 'http://host:8000/v1'"):
        get_remote_engine(address, "m", api_key=None, timeout=5.0, max_retries=1)


@needs_fork
def test_a_forked_process_is_refused_once_its_parent_has_loaded_a_model(tiny_checkpoint, tmp_path):
    engine = get_local_engine(tiny_checkpoint, device="cpu", dtype="float32")
    assert isinstance(call_forked(lambda: list(engine.submit(REQUEST))), GptOssForkError)
    with registry._lock:  # as if another thread were loading a model during the fork
        assert isinstance(call_forked(lambda: get_local_engine(tiny_checkpoint)), GptOssForkError)
        assert isinstance(call_forked(lambda: get_local_engine(tmp_path)), GptOssForkError)
        assert call_forked(close_all) is None
    assert len(list(engine.submit(REQUEST))) == 10
