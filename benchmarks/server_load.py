"""Fifty clients at once for a minute: is an answer lost, does memory grow, do clients that vanish free their places?

A real server in a process of its own, by default `gptoss serve` with the demo model over the sample handbook. Each
client asks, waits for the whole answer (at once or as a stream), and asks again; every tenth request is left in the
middle. A client that is told to come back (503, 429) waits as long as it was told, and is counted apart.

    python benchmarks/server_load.py --clients 50 --seconds 60
    python benchmarks/server_load.py --scripted --seconds 5     # the server alone, without a model

Exit status 1 where an answer was lost or a place was not freed.
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
bot = create_chatbot(llm, retriever, decline_below=0.0)
serve(bot, port=int(sys.argv[1]), settings=ServerSettings(requests_per_minute=None))
"""


@dataclass
class Load:
    """What happened."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def fault(self, what: str) -> None:
        """Notes an answer that was lost."""
        self.counts["errors"] += 1
        self.faults.append(what[:200])


@contextmanager
def server(scripted: bool) -> Iterator[tuple[str, psutil.Process]]:
    """Yields the address and the process of a server that is ready."""
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
        while not _ready(address):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise SystemExit(f"The server did not start: {process.communicate()[1].decode()[-2000:]}")
            time.sleep(0.2)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False


async def client(number: int, http: httpx.AsyncClient, load: Load, until: float) -> None:
    """Asks again and again."""
    chance = random.Random(number)
    while time.monotonic() < until:
        body = {"input": {"question": chance.choice(QUESTIONS)}}
        way, began = chance.random(), time.monotonic()
        try:
            if way < 0.1:
                await _vanish(http, body, load, chance)
                continue
            answer = await (_invoked if way < 0.55 else _streamed)(http, body)
        except httpx.HTTPError as error:
            load.fault(repr(error))
            continue
        if answer.status_code in (429, 503):
            load.counts["told to come back"] += 1
            await asyncio.sleep(float(answer.headers["retry-after"]))
        elif answer.status_code != 200 or '"citations"' not in answer.text or "event: error" in answer.text:
            load.fault(f"{answer.status_code} {answer.text[-150:]}")
        else:
            load.counts["answers"] += 1
            load.seconds.append(time.monotonic() - began)


async def _invoked(http: httpx.AsyncClient, body: Any) -> httpx.Response:
    return await http.post("/chatbot/invoke", json=body)


async def _streamed(http: httpx.AsyncClient, body: Any) -> httpx.Response:
    answer = await http.post("/chatbot/stream", json=body)
    if answer.status_code == 200 and "event: end" not in answer.text:
        raise httpx.RemoteProtocolError("The stream has no end.")
    return answer


async def _vanish(http: httpx.AsyncClient, body: Any, load: Load, chance: random.Random) -> None:
    """Leaves an answer: before its first piece, or at it."""
    load.counts["left"] += 1
    try:
        async with asyncio.timeout(chance.random() * 2):
            if chance.random() < 0.5:
                await http.post("/chatbot/invoke", json=body)
                return
            async with http.stream("POST", "/chatbot/stream", json=body) as stream:
                async for _ in stream.aiter_lines():
                    return
    except TimeoutError:
        pass


async def watch(process: psutil.Process, load: Load, until: float) -> None:
    """Notes the server's memory every second."""
    while time.monotonic() < until:
        load.memory.append(process.memory_info().rss / MEGABYTE)
        await asyncio.sleep(1)


async def run(address: str, process: psutil.Process, clients: int, seconds: float) -> dict[str, Any]:
    """Returns the figures of one run."""
    load, began = Load(), time.monotonic()
    until = began + seconds
    limits = httpx.Limits(max_connections=clients * 2)
    async with httpx.AsyncClient(base_url=address, timeout=900, limits=limits) as http:
        await asyncio.gather(watch(process, load, until), *(client(n, http, load, until) for n in range(clients)))
        took, gauge = time.monotonic() - began, await _answering(http)
        deadline = time.monotonic() + 10
        while gauge and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            gauge = await _answering(http)
    load.memory.append(process.memory_info().rss / MEGABYTE)
    cuts = statistics.quantiles(load.seconds, n=20) if len(load.seconds) > 1 else [0.0] * 19
    return {
        "clients": clients,
        "seconds": round(took, 1),
        **{name: load.counts[name] for name in ("answers", "errors", "told to come back", "left")},
        "answers_per_second": round(load.counts["answers"] / took, 2),
        "p50_seconds": round(cuts[9], 2),
        "p95_seconds": round(cuts[18], 2),
        "memory_mb": {
            "start": round(load.memory[0]),
            "middle": round(load.memory[len(load.memory) // 2]),
            "end": round(load.memory[-1]),
        },
        "answering_at_the_end": gauge,
        "faults": load.faults[:10],
    }


async def _answering(http: httpx.AsyncClient) -> float:
    found = re.search(r"^gptoss_answering (\S+)$", (await http.get("/metrics")).text, re.MULTILINE)
    assert found
    return float(found.group(1))


def main() -> int:
    """Runs the load and prints it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--scripted", action="store_true", help="without a model")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    options = parser.parse_args()
    with server(options.scripted) as (address, process):
        figures = asyncio.run(run(address, process, options.clients, options.seconds))
    print("| | |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name.replace('_', ' ')} | {value} |")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return int(figures["errors"] > 0 or figures["answering_at_the_end"] != 0 or not figures["answers"])


if __name__ == "__main__":
    sys.exit(main())
