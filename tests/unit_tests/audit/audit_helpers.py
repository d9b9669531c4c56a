"""Shared by the tests of the audit log: logs, records, and the findings of verification."""

import json
from pathlib import Path

from langchain_gptoss.audit import AnswerRecord, AuditLog, get_provenance, verify
from langchain_gptoss.audit.files import Head, get_companion_path, write_head
from langchain_gptoss.audit.line_format import ZERO_HASH, Hasher, build_line, parse_line
from langchain_gptoss.chatbot.types import ChatbotOutput, Citation, Source
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


def build_record(**fields) -> AnswerRecord:
    """Return the record of an answer with one citation."""
    values = {"question": "How long?", "user": "ada", "session": "s1", "prompt_version": "a1b2", "domain": "support"}
    model = get_provenance(resolve_model("gpt-oss-20b"))
    return AnswerRecord.from_output(OUTPUT, **values, model=model, sampling={"temperature": 0.5}, **fields)


def write_log(path: Path, count: int = 6, **options) -> Path:
    """Append some records to a log."""
    with AuditLog(path, sync="never", **options) as log:
        for number in range(count):
            log.append(AnswerRecord(question=f"Question {number}?", answer="Réponse.", user="ada"))
    return path


def read_lines(path: Path) -> list[bytes]:
    """Return the lines of a log with their line ends."""
    return path.read_bytes().splitlines(keepends=True)


def find_problem_kinds(path: Path, key: bytes | None, **options) -> list[str]:
    """Return the kinds of the problems that verification finds."""
    verification = verify(path, key=key, **options)
    assert verification.ok == (not verification.problems)
    return [problem.kind for problem in verification.problems]


def backdate(path: Path, hasher: Hasher, old: int) -> None:
    """Rewrite a log so that its first records are from 2020."""
    previous, kept = ZERO_HASH, []
    for number, line in enumerate(read_lines(path)):
        entry = parse_line(line[:-1])
        time = "2020-01-01T00:00:00.000000Z" if number < old else entry.time
        record = json.dumps(entry.record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        previous, line = build_line(hasher, seq=entry.seq, time=time, previous=previous, record=record)
        kept.append(line)
    path.write_bytes(b"".join(kept))
    log = json.loads(get_companion_path(path, "head").read_bytes())["log"]
    write_head(path, Head.create(hasher, log, len(kept) - 1, previous))
