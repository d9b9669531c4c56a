"""Writes audit logs in children that die at chosen points, and prints their receipts and the state of the logs.

test_log.py runs it as a script, because a process with threads must not fork.
"""

import json
import os
import random
import signal
import sys
import threading
from pathlib import Path

from langchain_gptoss.audit import AnswerRecord, AuditLog, files, read_entries, verify

RECORD = AnswerRecord(question="Where is Bob's order?", answer="On its way. " * 20, user="bob")


def kill_after_calls(calls: int, share: float):
    """Replace the writer: its n-th call writes a share of the bytes and kills the process."""
    original, count = files.write_all, [0]

    def write_or_die(fd: int, data: bytes) -> None:
        if count[0] == calls:
            original(fd, data[: round(len(data) * share)])
            os.kill(os.getpid(), signal.SIGKILL)
        count[0] += 1
        original(fd, data)

    files.write_all = write_or_die


def append_forever(path: Path, output: int, threads: int) -> None:
    """Append records, and write each receipt to a pipe."""
    log = AuditLog(path, pseudonym_key=b"a key of the pseudonyms")

    def append_records() -> None:
        while True:
            receipt = log.append(RECORD)
            os.write(output, f"{receipt.seq} {receipt.hash}\n".encode())

    for _ in range(threads - 1):
        threading.Thread(target=append_records).start()
    append_records()


def run_child(path: Path, *, prepare=None, threads: int = 1, kill_after: int | None = None) -> list[str]:
    """Return the receipts that a child wrote before it died."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        if prepare:
            prepare()
        append_forever(path, writing, threads)
    os.close(writing)
    received = b""
    while block := os.read(reading, 4096):
        received += block
        if kill_after is not None and len(received) >= kill_after:
            os.kill(pid, signal.SIGKILL)
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    return received.decode().splitlines()


def inspect_log(path: Path, receipts: list[str]) -> dict:
    """Return the state of a log after a crash, and after it was opened and written to again."""
    problems = [problem.kind for problem in verify(path).problems]
    with AuditLog(path, pseudonym_key=b"a key of the pseudonyms") as log:
        log.append(RECORD)
    after = verify(path)
    present = {f"{entry.seq} {entry.hash}" for entry in read_entries(path)}
    lost = [receipt for receipt in receipts if receipt not in present]
    return {"before": problems, "after": [str(p) for p in after.problems], "notes": len(after.notes), "lost": lost,
            "receipts": len(receipts), "torn": len(list(path.parent.glob(f"{path.name}.torn-*")))}  # fmt: skip


def main() -> None:
    """Print the state of each log as JSON."""
    folder = Path(sys.argv[1])
    states = []
    for calls in range(9):  # head, first line, head; then a line and a head for each record
        is_head = calls % 2 == 0
        for share in (0.0, 1.0) if is_head else (0.0, 0.01, 0.5, 0.9, 1.0):
            path = folder / f"call-{calls}-{share}.jsonl"
            receipts = run_child(path, prepare=lambda calls=calls, share=share: kill_after_calls(calls, share))
            states.append({"point": path.stem, **inspect_log(path, receipts)})
    for number in range(int(sys.argv[2])):
        path = folder / f"kill-{number}.jsonl"
        receipts = run_child(path, threads=3, kill_after=random.Random(number).randrange(1, 9000))
        states.append({"point": path.stem, **inspect_log(path, receipts)})
    print(json.dumps(states))  # noqa: T201 (read by the test)


if __name__ == "__main__":
    main()
