"""Audit logs: every alteration of a log is found, with and without a key."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from langchain_gptoss.audit import AnswerRecord, AuditLog, verify
from langchain_gptoss.errors import GptOssError
from scripts.attack.report import Report

AREA = "logs"
_KEY = bytes(range(32))
_RECORDS = 8

Alteration = Callable[[bytes, random.Random], bytes]


def attack_logs(report: Report, rng: random.Random, share: float, folder: Path) -> None:
    """Alter logs and verify them."""
    for name, key in (("plain", None), ("keyed", _KEY)):
        original = folder / name / "audit.jsonl"
        original.parent.mkdir()
        with AuditLog(original, key=key, sync="never") as log:
            for number in range(_RECORDS):
                log.append(AnswerRecord(question=f"Question {number}?", answer="Réponse.", user="ada"))
        report.check(AREA, verify(original, key=key).ok, f"the unaltered {name} log is refused")
        content = original.read_bytes()
        for number in range(round(600 * share)):
            alteration = _ALTERATIONS[number % len(_ALTERATIONS)]
            altered = alteration(content, rng)
            if altered != content:
                place = folder / f"{name}-altered"
                shutil.rmtree(place, ignore_errors=True)
                shutil.copytree(original.parent, place)
                (place / original.name).write_bytes(altered)
                _verify_altered(report, place / original.name, key, f"{name}: {alteration.__name__} {number}")


def _verify_altered(report: Report, log: Path, key: bytes | None, attempt: str) -> None:
    try:
        is_found = not verify(log, key=key).ok
    except GptOssError:
        is_found = True
    except Exception as error:
        report.check(AREA, False, f"{attempt}: {type(error).__name__}: {error}")
        return
    report.check(AREA, is_found, f"{attempt} was not noticed")


def _flip_bit(content: bytes, rng: random.Random) -> bytes:
    altered = bytearray(content)
    altered[rng.randrange(len(altered))] ^= 1 << rng.randrange(8)
    return bytes(altered)


def _remove_bytes(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.randint(1, 200) :]


def _insert_bytes(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + rng.randbytes(rng.randint(1, 20)) + content[start:]


def _remove_line(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def _repeat_line(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    return b"".join(lines)


def _shuffle_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    rng.shuffle(lines)
    return b"".join(lines)


def _replace_answer(content: bytes, rng: random.Random) -> bytes:
    number = rng.randrange(_RECORDS)
    return content.replace(f"Question {number}?".encode(), f"Question {number + 1}?".encode())


def _cut_end(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join(lines[: rng.randrange(len(lines))])


_ALTERATIONS: tuple[Alteration, ...] = (
    _flip_bit,
    _remove_bytes,
    _insert_bytes,
    _remove_line,
    _repeat_line,
    _shuffle_lines,
    _replace_answer,
    _cut_end,
)
