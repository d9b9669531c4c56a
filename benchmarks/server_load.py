"""Load test of the server: many clients at once, some of which disconnect in the middle of an answer.

A real server runs in its own process, by default `gptoss serve` with the demo model over the sample handbook. Each
client asks a question, reads the whole answer, and asks again; every tenth request is abandoned. A client that gets 503
or 429 waits as long as `Retry-After` says; these responses are counted separately.

    python benchmarks/server_load.py --clients 50 --seconds 60
    python benchmarks/server_load.py --scripted --seconds 5     # the server without a model

The exit status is 1 if an answer was lost or a place was not freed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import psutil

QUESTIONS = (
    "How much does standard delivery cost?",
    "How long do I have to return a product?",
    "How much does express delivery cost?",
    "Who is the king of Atlantis?",
)
MEGABYTE = 1e6
PATH = "/chatbot/ask"
SCRIPTED = """
import sys
from langchain_core.documents import Document
from openai_harmony import HarmonyEncodingName, load_harmony_encoding
from langchain_gptoss import BM25Retriever, ChatGptOss, create_chatbot
from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.serve import ServerSettings, serve

text = "Standard delivery costs 4.90 euros."
encoding = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
ids = encoding.encode(f"<|channel|>final<|message|>{text}<|return|>", allowed_special="all")
retriever = BM25Retriever.from_documents([Document(page_content=text, metadata={"source": "shipping.md"})])
llm = ChatGptOss(model="gpt-oss-20b", engine=ScriptedEngine([ids] * 20_000))
chatbot = create_chatbot(llm, retriever, decline_below=0.0)
serve(chatbot, port=int(sys.argv[1]), settings=ServerSettings(requests_per_minute=None))
"""


@dataclass
class Load:
    """Counts and measurements of one run.

    Attributes:
        counts: Responses by kind.
        seconds: Duration of each complete answer.
        problems: Descriptions of lost answers.
        memory_mb: Resident memory of the server, once a second.
    """

    counts: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    def add_problem(self, description: str) -> None:
        """Record a lost answer."""
        self.counts["errors"] += 1
        self.problems.append(description[:200])


@contextmanager
def run_server(scripted: bool) -> Iterator[tuple[str, psutil.Process]]:
    """Yield the address and the process of a server that is ready."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    docs = str(files("langchain_gptoss") / "samples" / "handbook" / "en")
    command = [sys.executable, "-c", SCRIPTED, port]
    if not scripted:
        options = ["--docs", docs, "--port", port, "--rate", "1000000", "--sessions", ":memory:"]
        command = [sys.executable, "-c", "from langchain_gptoss.cli import main; main()", "serve", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 300
        while not _is_ready(address):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise SystemExit(f"The server did not start: {process.communicate()[1].decode()[-2000:]}")
            time.sleep(0.2)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False


async def run_client(number: int, http: httpx.AsyncClient, load: Load, deadline: float) -> None:
    """Ask questions until the deadline."""
    random_numbers = random.Random(number)
    while time.monotonic() < deadline:
        value = {"question": random_numbers.choice(QUESTIONS)}
        start = time.monotonic()
        try:
            if random_numbers.random() < 0.1:
                await _abandon_answer(http, value, load, random_numbers)
                continue
            response = await http.post(PATH, json=value)
        except httpx.HTTPError as error:
            load.add_problem(repr(error))
            continue
        if response.status_code in (429, 503):
            load.counts["asked to retry"] += 1
            await asyncio.sleep(float(response.headers["retry-after"]))
        elif response.status_code != 200 or '"citations"' not in response.text or "event: end" not in response.text:
            load.add_problem(f"{response.status_code} {response.text[-150:]}")
        else:
            load.counts["answers"] += 1
            load.seconds.append(time.monotonic() - start)


async def _abandon_answer(http: httpx.AsyncClient, value: Any, load: Load, random_numbers: random.Random) -> None:
    """Abandon an answer before its first chunk or at it."""
    load.counts["disconnected"] += 1
    try:
        async with asyncio.timeout(random_numbers.random() * 2), http.stream("POST", PATH, json=value) as stream:
            async for _ in stream.aiter_lines():
                return
    except TimeoutError:
        pass


async def watch_memory(process: psutil.Process, load: Load, deadline: float) -> None:
    """Record the server's memory every second until the deadline."""
    while time.monotonic() < deadline:
        load.memory_mb.append(process.memory_info().rss / MEGABYTE)
        await asyncio.sleep(1)


async def run_load(address: str, process: psutil.Process, clients: int, seconds: float) -> dict[str, Any]:
    """Run the clients and return the figures."""
    load, start, start_cpu = Load(), time.monotonic(), _read_cpu_seconds(process)
    deadline = start + seconds
    limits = httpx.Limits(max_connections=clients * 2)
    async with httpx.AsyncClient(base_url=address, timeout=900, limits=limits) as http:
        tasks = [run_client(number, http, load, deadline) for number in range(clients)]
        await asyncio.gather(watch_memory(process, load, deadline), *tasks)
        duration, answering = time.monotonic() - start, await _read_answering(http)
        cpu_seconds = _read_cpu_seconds(process) - start_cpu
        last_check = time.monotonic() + 10
        while answering and time.monotonic() < last_check:
            await asyncio.sleep(0.2)
            answering = await _read_answering(http)
    load.memory_mb.append(process.memory_info().rss / MEGABYTE)
    percentiles = statistics.quantiles(load.seconds, n=20) if len(load.seconds) > 1 else [0.0] * 19
    return {
        "clients": clients,
        "seconds": round(duration, 1),
        **{name: load.counts[name] for name in ("answers", "errors", "asked to retry", "disconnected")},
        "answers_per_second": round(load.counts["answers"] / duration, 2),
        "cpu_seconds_per_answer": round(cpu_seconds / max(load.counts["answers"], 1), 3),
        "p50_seconds": round(percentiles[9], 2),
        "p95_seconds": round(percentiles[18], 2),
        "memory_mb": {
            "start": round(load.memory_mb[0]),
            "middle": round(load.memory_mb[len(load.memory_mb) // 2]),
            "end": round(load.memory_mb[-1]),
        },
        "answering_at_the_end": answering,
        "problems": load.problems[:10],
    }


def _read_cpu_seconds(process: psutil.Process) -> float:
    """Return the time of all cores that the server has used, which other processes change little."""
    times = process.cpu_times()
    return times.user + times.system


async def _read_answering(http: httpx.AsyncClient) -> float:
    match = re.search(r"^gptoss_answering (\S+)$", (await http.get("/metrics")).text, re.MULTILINE)
    assert match
    return float(match.group(1))


def main() -> int:
    """Run the load test and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--scripted", action="store_true", help="use a scripted model")
    parser.add_argument("--json", type=Path, help="write the figures into this file")
    options = parser.parse_args()
    with run_server(options.scripted) as (address, process):
        figures = asyncio.run(run_load(address, process, options.clients, options.seconds))
    print("| | |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name.replace('_', ' ')} | {value} |")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return int(figures["errors"] > 0 or figures["answering_at_the_end"] != 0 or not figures["answers"])


if __name__ == "__main__":
    sys.exit(main())
