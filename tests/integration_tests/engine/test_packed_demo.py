"""The demo model with its experts in MXFP4, packed and unpacked."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from safetensors.torch import load_file, save_file

from langchain_gptoss import ChatGptOss
from langchain_gptoss.engine import GenerationRequest, SamplingParams, registry
from langchain_gptoss.engine.kernels.mxfp4 import quantize_mxfp4
from langchain_gptoss.engine.registry import get_local_engine
from langchain_gptoss.models.demo import fetch_demo_model
from tests import scale

pytestmark = pytest.mark.slow

PROMPTS = ["Write a long story about a fox.", "What is the capital of France?"]


@pytest.fixture(scope="module")
def packed_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the demo model in the layout of the published checkpoints."""
    folder = Path(shutil.copytree(fetch_demo_model(), tmp_path_factory.mktemp("packed") / "demo-mxfp4"))
    shards = sorted(folder.glob("*.safetensors"))
    weights = {name: tensor for shard in shards for name, tensor in load_file(shard).items()}
    for path in (*shards, *folder.glob("*.index.json")):
        path.unlink()
    for name in [name for name in weights if name.endswith(("gate_up_proj", "down_proj"))]:
        blocks, scales = quantize_mxfp4(weights.pop(name).transpose(1, 2).contiguous())
        weights |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "mxfp4"}}))
    entries, registry._local_entries = registry._local_entries, []
    yield folder
    for entry in registry._local_entries:
        entry.engine.close()
    registry._local_entries = entries


@pytest.mark.parametrize("prompt", PROMPTS)
def test_packed_and_unpacked_experts_give_the_same_greedy_tokens(packed_demo, prompt):
    """The packed experts round more, so the tokens may differ where two are almost equally likely."""
    token_count = scale(200, minimum=40)
    ids = tuple(ChatGptOss(model=packed_demo).format.render([HumanMessage(prompt)]))
    sampling = SamplingParams(temperature=0, max_tokens=token_count, logprobs=2)
    answers = []
    for experts in ("packed", "unpacked"):
        engine = get_local_engine(packed_demo, device="cpu", experts=experts, dtype="float32")
        stream = engine.submit(GenerationRequest(prompt_ids=ids, sampling=sampling))
        answers.append([(token_id, stream.logprobs) for token_id in stream])
    assert len(answers[0]) == token_count
    for (packed_id, _), (unpacked_id, logprobs) in zip(*answers, strict=True):
        if packed_id != unpacked_id:
            assert logprobs.top[0][1] - logprobs.top[1][1] < 0.1
            break  # the answers are different texts from here on


def test_packed_model_with_int8_matrices_answers(packed_demo):
    llm = ChatGptOss(model=packed_demo, temperature=0, max_tokens=30)
    assert "Paris" in llm.invoke("What is the capital of France?").content
