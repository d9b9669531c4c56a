"""Provenance and sampling parameters of models."""

import hashlib
import json
from types import SimpleNamespace

from langchain_core.language_models import FakeListChatModel

from langchain_gptoss import ChatGptOss
from langchain_gptoss.audit import get_provenance, get_sampling
from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.models.catalog import resolve_model


def test_provenance_of_a_published_model():
    details = get_provenance(resolve_model("gpt-oss-20b"))
    assert details["id"] == "openai/gpt-oss-20b"
    assert details["licence"] == "Apache-2.0"
    assert details["line"].startswith("Built with gpt-oss-20b (OpenAI), Apache-2.0")
    assert "USAGE_POLICY" in details["line"]


def write_checkpoint(folder, **config):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt_oss", **config}))
    return folder


def test_provenance_of_a_folder(tmp_path):
    folder = write_checkpoint(tmp_path / "mine", quantization_config={"quant_method": "mxfp4"})
    engine = ScriptedEngine([[1]])
    llm = ChatGptOss(model=str(folder), engine=engine)
    details = get_provenance(llm)
    assert (details["id"], details["quantization"], details["checksum"], details["licence"]) == (
        "mine",
        "mxfp4",
        None,
        None,
    )
    assert details["line"] == "Built with mine, under the licence of its publisher"
    (folder / "SHA256SUMS").write_text(f"{'ab' * 32}  model.safetensors\n{'cd' * 32} *config.json\n")
    (folder / "config.json").write_text(json.dumps({"dtype": "bfloat16"}))
    details = get_provenance(llm)
    listed = f"{'cd' * 32}  config.json\n{'ab' * 32}  model.safetensors\n"
    assert details["checksum"] == hashlib.sha256(listed.encode()).hexdigest()
    assert (details["checksum_of"], details["quantization"]) == ("files", "bfloat16")
    engine.close()


def test_provenance_of_the_hub_cache_has_revision_and_checksum(tmp_path):
    blob = tmp_path / "blobs" / ("ef" * 32)
    blob.parent.mkdir()
    blob.write_text(json.dumps({"quantization_config": {"quant_method": "mxfp4"}}))
    folder = tmp_path / "snapshots" / ("0a" * 20)
    folder.mkdir(parents=True)
    (folder / "config.json").symlink_to(f"../../blobs/{blob.name}")
    llm = SimpleNamespace(card=resolve_model("gpt-oss-20b"), checkpoint=folder)
    details = get_provenance(llm)
    assert details["revision"] == "0a" * 20
    assert details["checksum"] == hashlib.sha256(f"{'ef' * 32}  config.json\n".encode()).hexdigest()
    assert "revision 0a0a0a0a0a0a" in details["line"]


def test_provenance_of_a_server_and_of_the_demo():
    served = ChatGptOss(model="gpt-oss-20b", base_url="http://me:pw@gpu:8000/v1", api_key="secret-key")
    details = get_provenance(served)
    assert details["provider"] == "server http://gpu:8000/v1"
    assert "pw" not in json.dumps(details)
    demo = get_provenance(ChatGptOss(model="demo", device="cpu").bind(stop=["x"]))
    assert (demo["id"], demo["checksum_of"], demo["device"]) == ("demo", "package", "cpu")
    assert "SmolLM2" in demo["line"]


def test_provenance_of_other_models():
    details = get_provenance(FakeListChatModel(responses=["x"]))
    assert details["provider"]
    assert details["revision"] is None
    assert details["line"].startswith("Built with ")
    assert get_provenance(object())["id"] == "object"

    class Broken(FakeListChatModel):
        def _get_ls_params(self, stop=None, **kwargs):
            raise RuntimeError

    assert get_provenance(Broken(responses=["x"]))["id"] == "Broken"


def test_sampling_parameters():
    llm = ChatGptOss(model="gpt-oss-20b", seed=7, top_p=0.9, logit_bias={12: -1.5}, base_url="http://gpu/v1")
    neutral = {"top_k": 0, "min_p": 0.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}
    assert get_sampling(llm) == {"temperature": 1.0, "top_p": 0.9, "seed": 7, "logit_bias": {"12": -1.5}, **neutral}
    assert get_sampling(object()) == {}
