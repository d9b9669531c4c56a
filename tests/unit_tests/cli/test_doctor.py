"""`gptoss doctor`: a row for every model in 80 columns, and the same numbers as JSON."""

import json
import re
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from langchain_gptoss.cli import doctor as cli_doctor
from langchain_gptoss.cli.app import app
from langchain_gptoss.models.planning.hardware import Gpu, Hardware

GB = 10**9
PC = Hardware(
    system="Linux x86_64",
    cpu="AMD Ryzen 9 7950X 16-Core Processor",
    physical_cores=16,
    usable_cores=32,
    simd="avx512-vnni",
    fast_bfloat16=True,
    ram_total=32 * GB,
    ram_free=24 * GB,
    bandwidth=58.3,
    cpu_kernel="avx512-vnni",
    cpu_kernel_reason="compiled here",
)
GPU = Gpu(index=0, name="NVIDIA GeForce RTX 4090", total_bytes=24 * GB, free_bytes=23 * GB, capability=(8, 9))
GPUS = replace(PC, gpus=tuple(replace(GPU, index=index) for index in range(4)), has_triton=True, ram_free=200 * GB)
SMALL = replace(PC, ram_total=4 * GB, ram_free=3 * GB, cpu_kernel="none", cpu_kernel_reason="no C compiler was found")
SIZES = {
    "num_local_experts": 32,
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "vocab_size": 201_088,
    "dtype": "bfloat16",
}
ROWS = [
    "gpt-oss-20b",
    "gpt-oss-120b",
    "gpt-oss-safeguard-20b",
    "gpt-oss-safeguard-120b",
    "1.0b shape",
    "3.6b shape",
    "demo-large",
    "demo",
]


@pytest.fixture(params=[PC, GPUS, SMALL], ids=["pc", "gpus", "small"])
def hardware(request, monkeypatch) -> Hardware:
    return use_hardware(request.param, monkeypatch)


@pytest.fixture
def pc(monkeypatch) -> Hardware:
    return use_hardware(PC, monkeypatch)


def use_hardware(hardware: Hardware, monkeypatch) -> Hardware:
    monkeypatch.setattr(cli_doctor, "probe_machine", lambda: hardware)
    return hardware


def run(*arguments: str):
    return CliRunner().invoke(app, ["doctor", *arguments])


def test_the_table_has_a_row_for_every_model(hardware):
    result = run()
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    rows = [line for line in lines if re.search(r"\d (yes|no)$", line)]
    assert [row[:23].strip() for row in rows] == ROWS
    assert max(map(len, lines)) <= 80
    assert hardware.cpu in result.stdout
    assert hardware.cpu_kernel_reason in result.stdout


def test_json_has_the_rows_of_the_table(hardware):
    found = json.loads(run("--json").stdout)
    assert found["hardware"]["ram_free"] == hardware.ram_free
    assert [row["model"] for row in found["models"]] == ROWS
    for row in found["models"]:
        assert row["fits"] == (row["needed_bytes"] <= row["free_bytes"]) == (not row["advice"])
        assert row["memory"]["total"] > row["memory"]["experts"] > 0
        assert row["reasons"]


def test_models_that_fit_depend_on_the_machine(monkeypatch):
    fitting = {}
    for name, machine in {"pc": PC, "gpus": GPUS, "small": SMALL}.items():
        use_hardware(machine, monkeypatch)
        fitting[name] = {row["model"] for row in json.loads(run("--json").stdout)["models"] if row["fits"]}
    assert fitting["gpus"] == set(ROWS)
    assert fitting["pc"] == set(ROWS) - {"gpt-oss-120b", "gpt-oss-safeguard-120b"}
    assert fitting["small"] == {"1.0b shape", "demo"}


@pytest.mark.parametrize("machine", [PC, GPUS, SMALL])
def test_one_model_is_shown_with_its_complete_plan(monkeypatch, machine):
    use_hardware(machine, monkeypatch)
    result = run("--model", "gpt-oss-20b", "--context", "8192", "--users", "2")
    assert result.exit_code == 0
    for part in ("KV cache", "peak while loading", "A context of 8,192 tokens, as requested.", "Estimate"):
        assert part in result.stdout
    assert ("does not fit" in result.stdout) == ("Possible changes" in result.stdout) == (machine is SMALL)
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_context_users_and_size_change_the_cache(pc):
    def cache(*arguments: str) -> int:
        return json.loads(run("--model", "20b", "--json", *arguments).stdout)["models"][0]["memory"]["cache"]

    one, two = (cache("--context", "65536", "--users", users) for users in ("8", "16"))
    assert two == 2 * one == 16 * 65_536 * 49_152
    assert cache("--context", "8192") < cache("--context", "131072")
    assert cache("--context", "8192", "--cache-gb", "1.5") == 1_500_000_000


def test_a_folder_is_planned_from_its_config(pc, tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "gpt_oss", "num_hidden_layers": 2, "num_local_experts": 4, "dtype": "bfloat16"})
    )
    row = json.loads(run("--model", str(tmp_path), "--json").stdout)["models"][0]
    assert row["memory"]["experts"] == 2 * 4 * 3 * 2880 * 2880 * 17 // 16
    assert (row["model"], row["experts"], row["dtype"], row["runner"]) == (tmp_path.name, "unpacked", "int8", "native")


def test_packing_is_announced(pc, tmp_path, monkeypatch):
    monkeypatch.setenv("GPTOSS_HOME", str(tmp_path / "cache"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt_oss", "num_hidden_layers": 24} | SIZES))
    output = run("--model", str(tmp_path), "--json")
    packing, model = json.loads(output.stdout)["packing"], json.loads(output.stdout)["models"][0]
    assert (packing["storage"], packing["is_done"]) == ("mxfp4", False)
    assert packing["size_bytes"] == pytest.approx(13.8e9, rel=0.01)
    assert packing["peak_bytes"] < 1.5e9
    assert model["experts"] == "packed"
    shown = " ".join(run("--model", str(tmp_path)).stdout.split())
    assert "packed once before it is loaded (experts in MXFP4): 13.8 GB in" in shown
    unpacked = json.loads(run("--model", str(tmp_path), "--experts", "unpacked", "--json").stdout)
    assert "packing" not in unpacked


def test_an_adapter_needs_a_model_on_this_machine(pc):
    result = run("--model", "some/model", "--adapter", "some/adapter")
    assert result.exit_code != 0
    assert "not on this machine" in result.stderr


def test_dtype_and_device_override_the_plan(pc):
    row = json.loads(run("--model", "20b", "--dtype", "bfloat16", "--device", "cpu", "--json").stdout)["models"][0]
    assert (row["device"], row["dtype"]) == ("cpu", "bfloat16")


def test_impossible_options_are_shown_in_the_row_of_the_model(pc):
    result = run("--experts", "packed")
    assert result.exit_code == 0
    assert "not in MXFP4" in " ".join(result.stdout.split())
    rows = {row["model"]: row for row in json.loads(run("--experts", "packed", "--json").stdout)["models"]}
    assert rows["gpt-oss-20b"]["fits"]
    assert not rows["demo"]["fits"]


def test_the_table_limits_the_context_to_each_model(pc):
    rows = {row["model"]: row for row in json.loads(run("--context", "16384", "--json").stdout)["models"]}
    assert (rows["demo"]["context"], rows["gpt-oss-20b"]["context"]) == (8192, 16384)


def test_shapes_have_plans(pc):
    assert json.loads(run("--model", "1.0b", "--json").stdout)["models"][0]["model"] == "1.0b shape"
    assert "none is published" in run("--model", "3.6b shape").stderr
    assert "3.6 billion is the number of parameters" in run("--model", "gpt-oss-3.6b").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "gtp-oss-20b"), "Did you mean gpt-oss-20b"),
        (("--model", "gpt-oss-1.0b"), "is a shape"),
        (("--model", "somebody/their-model"), "config.json"),
        (("--model", "demo", "--device", "cuda"), "no CUDA GPU here"),
        (("--model", "demo", "--context", "9000"), "between 1 and 8192"),
        (("--model", "demo", "--experts", "packed"), "not in MXFP4"),
    ],
)
def test_invalid_input_is_reported_in_one_line(pc, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_folder_of_another_architecture_is_reported(pc, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert "'llama'" in run("--model", str(tmp_path)).stderr


def test_the_probed_machine_has_the_kernel_level_and_its_reason(monkeypatch):
    from langchain_gptoss.engine.kernels import native as kernel
    from langchain_gptoss.models.planning import hardware as module

    monkeypatch.setattr(kernel, "get_kernel_status", lambda: kernel.KernelStatus(level="portable", reason="because"))
    monkeypatch.setattr(module, "measure_bandwidth", lambda **_: 10.0)
    found = cli_doctor.probe_machine()
    assert (found.cpu_kernel, found.cpu_kernel_reason) == ("portable", "because")
