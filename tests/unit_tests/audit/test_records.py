"""Records of answers, provenance of their models, and the command line of the log."""

import hashlib
import json
import re
from types import SimpleNamespace

import pytest
from langchain_core.language_models import FakeListChatModel
from pydantic import ValidationError
from typer.testing import CliRunner

from langchain_gptoss import ChatGptOss
from langchain_gptoss.audit import (
    AnswerRecord,
    AuditLog,
    find_entry,
    generate_id,
    get_provenance,
    get_sampling,
    read_entries,
    read_last_entries,
)
from langchain_gptoss.chatbot.types import ChatbotOutput, Citation, Source
from langchain_gptoss.cli.audit import audit_app
from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.models.catalog import resolve_model

KEY = b"0123456789abcdef0123456789abcdef"
PLACE = {"source": "returns.md", "heading": "Returns > Laptops", "page": 3, "start": 10, "end": 31}
OUTPUT = ChatbotOutput(
    sources=[Source(number=1, text="Fourteen days to send", **PLACE)],
    answer="You have fourteen days. [1]",
    reasoning="Let me see.",
    citations=[Citation(number=1, claim="You have.", verdict="supported", quote="Fourteen days", **PLACE)],
    unsupported=["Perhaps more."],
    reason="1 of 2 sentences is supported.",
    standalone_question="How long may a laptop be returned?",
    language="en",
    usage={"input_tokens": 100, "output_tokens": 9, "total_tokens": 109},
    timings={"retrieve": 0.01},
    metadata={"domain": "support"},
)


def build_record(**more) -> AnswerRecord:
    values = {"question": "How long?", "user": "ada", "session": "s1", "prompt_version": "a1b2", "domain": "support"}
    model = get_provenance(resolve_model("gpt-oss-20b"))
    return AnswerRecord.from_output(OUTPUT, **values, model=model, sampling={"temperature": 0.5}, **more)


def test_record_from_a_chatbot_output():
    record = build_record(guard=["a finding", {"rule": "injection"}])
    (passage,) = record.passages
    assert passage.sha256 == hashlib.sha256(b"Fourteen days to send").hexdigest()
    assert (passage.source, passage.page, passage.start, passage.end) == ("returns.md", 3, 10, 31)
    assert "Fourteen days to send" not in record.model_dump_json()
    assert record.citations[0]["quote"] == "Fourteen days"
    assert record.standalone_question == "How long may a laptop be returned?"
    assert record.guard == ({"what": "a finding"}, {"rule": "injection"})


def test_record_from_a_dict_ignores_unknown_keys():
    plain = OUTPUT.model_dump()
    assert AnswerRecord.from_output(plain, id="1") == AnswerRecord.from_output(OUTPUT, id="1")
    sparse = AnswerRecord.from_output(
        {"answer": "Yes.", "usage": None, "whatever": 1, "passages": [{"text": "x", "n": 1}]}
    )
    assert sparse.answer == "Yes."
    assert sparse.passages[0].sha256 == hashlib.sha256(b"x").hexdigest()
    assert AnswerRecord.from_output({}, user=None).user is None


def test_misspelt_field_raises_an_error_and_records_are_frozen():
    with pytest.raises(ValidationError, match="sesion"):
        AnswerRecord.from_output({}, sesion="x")
    with pytest.raises(ValidationError):
        build_record().answer = "Other."


def test_ids_sort_by_time_and_are_version_7():
    ids = [generate_id() for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", name) for name in ids)
    assert [name[:12] for name in ids] == sorted(name[:12] for name in ids)


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
    llm = ChatGptOss(model="gpt-oss-20b", seed=7, top_p=0.9, base_url="http://gpu/v1")
    assert get_sampling(llm) == {"temperature": 1.0, "top_p": 0.9, "top_k": 0, "seed": 7}
    assert get_sampling(object()) == {}


@pytest.fixture(params=[None, KEY], ids=["sha256", "hmac"])
def log(request, tmp_path):
    path = tmp_path / "audit.jsonl"
    with AuditLog(path, key=request.param, sync="never") as written:
        for number in range(3):
            written.append(build_record(id=f"{number}" * 32))
        written.append({"event": "login", "user": "ada"})
    if request.param:
        (tmp_path / "key").write_bytes(KEY)
    return path, ["--key-file", str(tmp_path / "key")] if request.param else []


def run(*arguments, code=0):
    result = CliRunner().invoke(audit_app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_verify_command(log):
    path, key = log
    printed = run("verify", path, *key).stdout
    assert "5 records" in printed
    assert ": as written." in printed
    head = re.search(r"Head (\d+:[0-9a-f]{64})", printed)[1]
    assert json.loads(run("verify", path, "--head", head, "--json", *key).stdout)["ok"]
    path.write_bytes(path.read_bytes().replace(b"fourteen", b"thirteen", 1))
    printed = run("verify", path, *key, code=1).stdout
    assert "line 2: altered: record 1 is not what was written" in printed
    assert "NOT as written" in printed
    assert json.loads(run("verify", path, "--json", *key, code=1).stdout)["problems"][0]["kind"] == "altered"


def test_verify_command_explains_errors(log, tmp_path):
    path, key = log
    assert "no audit log" in run("verify", tmp_path / "none", code=2).stderr
    assert "SEQ:HASH" in run("verify", path, "--head", "x", *key, code=2).stderr
    if key:
        assert "--key-file" in run("verify", path, code=2).stderr


def test_show_command_explains_an_answer(log):
    path, key = log
    printed = run("show", path, "111111", *key).stdout
    order = [
        "Question: How long?",
        "Searched for: How long may",
        "returns.md, page 3",
        "sha256 ",
        "Prompt version: a1b2",
    ]
    order += ["Model: Built with gpt-oss-20b", "temperature: 0.5", "Answer: You have fourteen", "“Fourteen days”"]
    places = [printed.find(text) for text in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)
    assert "matches the record" in printed
    whole = json.loads(run("show", path, "2", "--json", *key).stdout)
    assert whole["record"]["id"] == "1" * 32
    assert whole["hash_matches"] is True
    assert "login" in run("show", path, "4", *key).stdout
    if key:
        assert "needs the key" in run("show", path, "2").stdout


def test_show_command_detects_an_altered_record(log):
    path, key = log
    path.write_bytes(path.read_bytes().replace(b"fourteen", b"thirteen", 1))
    assert "DOES NOT MATCH" in run("show", path, "1", *key, code=1).stdout


def test_find_entry_rejects_unknown_and_ambiguous_names(log):
    path, _ = log
    assert find_entry(path, "0" * 32).seq == 1
    for which, message in (("999", "No record"), ("abc", "neither"), ("ffffff", "No record")):
        with pytest.raises(InvalidInputError, match=message):
            find_entry(path, which)
    with AuditLog(path.with_name("two"), sync="never") as twins:
        twins.append(build_record(id="a" * 31 + "1"))
        twins.append(build_record(id="a" * 31 + "2"))
    with pytest.raises(InvalidInputError, match="2 records"):
        find_entry(path.with_name("two"), "aaaaaa")
    assert "neither" in run("show", path, "?", code=2).stderr


def test_list_command(log, tmp_path):
    path, _ = log
    lines = run("list", path, "-n", "2").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["3", "4"]
    assert "2" * 32 in lines[0]
    assert "How long?" in lines[0]
    assert [entry["seq"] for entry in json.loads(run("list", path, "--json").stdout)] == [0, 1, 2, 3, 4]
    assert "no audit log" in run("list", tmp_path / "none", code=2).stderr
    assert [entry.seq for entry in read_last_entries(path, 3)] == [2, 3, 4]


def test_last_entries_are_read_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("langchain_gptoss.audit.files.BLOCK_BYTES", 37)
    path = tmp_path / "a.jsonl"
    with AuditLog(path, sync="never") as log:
        for _ in range(5):
            log.append(build_record())
    assert read_last_entries(path, 99) == list(read_entries(path))


def test_prune_command(log):
    path, key = log
    assert "Removed 0 records" in run("prune", path, "--older-than", "180d", *key).stdout
    printed = run("prune", path, "--older-than", "0h", "--reason", "on request", *key).stdout
    assert "Removed 5 records; the log has 2 lines." in printed
    assert "on request" in run("verify", path, *key).stderr
    assert "180d" in run("prune", path, "--older-than", "soon", *key, code=2).stderr
