"""The demo model with its experts in MXFP4: packed, it writes what it writes unpacked."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from safetensors.torch import load_file, save_file

from langchain_gptoss import ChatGptOss
from langchain_gptoss.engine import GenerationRequest, SamplingParams, registry
from langchain_gptoss.engine.kernels.mxfp4 import packed
from langchain_gptoss.engine.kernels.native import get_kernel_status
from langchain_gptoss.engine.registry import get_local_engine
from langchain_gptoss.models.demo import fetch_demo_model

PROMPTS = ["Write a long story about a fox.", "What is the capital of France?"]


@pytest.fixture(scope="module")
def packed_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the demo model, laid out as the published checkpoints are."""
    folder = Path(shutil.copytree(fetch_demo_model(), tmp_path_factory.mktemp("packed") / "demo-mxfp4"))
    weights = load_file(folder / "model.safetensors")
    for name in [name for name in weights if name.endswith(("gate_up_proj", "down_proj"))]:
        blocks, scales = packed(weights.pop(name).transpose(1, 2).contiguous())
        weights |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "mxfp4"}}))
    yield folder
    for entry in [entry for entry in registry._local if entry[0] == folder.resolve()]:
        registry._local.remove(entry)
        entry[2].close()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_200_greedy_tokens_are_the_same(packed_demo, prompt):
    assert get_kernel_status().level != "none"
    ids = tuple(ChatGptOss(model=packed_demo).format.render([HumanMessage(prompt)]))
    request = GenerationRequest(prompt_ids=ids, sampling=SamplingParams(temperature=0, max_tokens=200))
    written = [
        list(get_local_engine(packed_demo, device="cpu", experts=experts, dtype="float32").submit(request))
        for experts in ("packed", "unpacked")
    ]
    assert len(written[0]) == 200
    assert written[0] == written[1]


def test_packed_with_int8_matrices_answers_too(packed_demo):
    llm = ChatGptOss(model=packed_demo, temperature=0, max_tokens=30)
    assert "Paris" in llm.invoke("What is the capital of France?").content
