"""What the dashboard costs: its first view from a million stored responses, and the API's throughput while it is open.

    make bench-dashboard ARGS="[--responses 1000000] [--home FOLDER] [--rounds 8] [--seconds 5]"

The database is filled by the store's own code, 5,000 responses to a transaction, over thirty days, four projects and three
models. Then ``kodo serve`` is started on it, with the scripted engine: the first request to ``/ui`` is the first one that
this process answers. The throughput is that of eight clients which ask one thing after another; what a browser does with an
open overview (a stream of live numbers, the plots anew each 15 s) is on in every second round. Rounds
alternate; figures are medians. The server is one process on one core, so where other programs take that core from it, its
processor time a request says what the rate does not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import httpx2

from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.records import ItemRow, ResponseRow, Timing
from kodo.server.store import responses
from kodo.server.store.sql import SqlConnection
from kodo.server.store.sqlite import SqliteStore
from kodo.server.wire.items import InputText, Message, OutputText

MODELS: Final = ("codex-mini-latest", "qwen2.5-coder-7b", "smollm2-135m")
PROJECTS: Final = ("default", "ci", "editor", "nightly")
CHUNK: Final = 5000
DAYS: Final = 30
CLIENTS: Final = 8
CONFIG: Final = '[models.codex-mini-latest]\nengine = "scripted"\ntarget = ""\n'


def _message(id_: str, role: str, text: str) -> ItemRow:
    part = OutputText(text=text) if role == "assistant" else InputText(text=text)
    return ItemRow(id=id_, context=ContextItem(item=Message(id=id_, role=role, content=(part,))))  # type: ignore[arg-type]


def _write(connection: SqlConnection, numbers: range, count: int, now: float) -> None:
    """Store responses that are over, as the lifecycle does."""
    chance = random.Random(numbers.start)
    for number in numbers:
        model, given, made = MODELS[chance.randrange(3)], chance.randrange(50, 4000), chance.randrange(1, 400)
        usage = {
            "input_tokens": given,
            "input_tokens_details": {"cached_tokens": given // 3},
            "output_tokens": made,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": given + made,
        }
        row = ResponseRow(
            id=f"resp_{number:048x}",
            owner=PROJECTS[chance.randrange(4)],
            status="failed" if number % 97 == 0 else "completed",
            created_at=now - DAYS * 86_400 * (1 - number / count),
            parent=None,
            request=b'{"key_id":null}',
            response=json.dumps({"model": model, "usage": usage}).encode(),
            timing=Timing(queued=0.001, first_token=chance.random() / 2 + 0.002, total=1 + chance.random()),
        )
        asked = _message(f"msg_{number:x}a", "user", f"Question {number}: what does this function return?")
        said = _message(f"msg_{number:x}b", "assistant", "It returns None when the list is empty.")
        responses.store(connection, row, [asked], [said], None)


async def fill(home: Path, count: int) -> float:
    """Fill a database; seconds."""
    begun, now = time.perf_counter(), time.time()
    store = SqliteStore(home)
    await store.open()
    for start in range(0, count, CHUNK):
        numbers = range(start, min(start + CHUNK, count))
        await store._write(partial(_write, numbers=numbers, count=count, now=now))
    await store.close()
    return time.perf_counter() - begun


@contextmanager
def server(home: Path) -> Iterator[tuple[str, int]]:
    """``kodo serve`` in a process of its own; its URL and process id."""
    (home / "config.toml").write_text(CONFIG)
    environment = {**os.environ, "KODO_HOME": str(home)}
    command = [sys.executable, "-m", "kodo", "serve", "--port", "0"]
    with (home / "serve.log").open("w+") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            while (found := re.search(r"http://127\.0\.0\.1:\d+", (home / "serve.log").read_text())) is None:
                if process.poll() is not None:
                    raise SystemExit((home / "serve.log").read_text())
                time.sleep(0.05)
            yield found[0], process.pid
        finally:
            process.terminate()
            process.wait()


def views(url: str) -> None:
    """Print the times of pages, the first and the median of the next twenty, in milliseconds."""
    pages = (
        "/ui",
        "/ui/overview/series",
        "/ui/overview/series?range=7d",
        "/ui/overview/series?range=30d",
        "/ui/requests",
        "/ui/requests?q=nothing",
    )
    with httpx2.Client(base_url=url, timeout=60) as http:
        while http.get("/ready").status_code != 200:
            time.sleep(0.05)
        for path in pages:
            taken = []
            for _ in range(21):
                begun = time.perf_counter()
                answer = http.get(path)
                taken.append((time.perf_counter() - begun) * 1000)
                assert answer.status_code == 200, answer.text
            print(
                f"{path:32} first {taken[0]:7.1f} ms   then {statistics.median(taken[1:]):6.1f} ms",
                flush=True,
            )


async def _look(url: str) -> None:
    """What a browser does while the overview is open, until it is cancelled."""
    async with httpx2.AsyncClient(base_url=url, timeout=None) as http:

        async def numbers() -> None:
            async with http.stream("GET", "/ui/overview/live") as answer:
                async for _ in answer.aiter_bytes():
                    pass

        following = asyncio.create_task(numbers())
        try:
            while True:
                (await http.get("/ui/overview/series")).raise_for_status()
                await asyncio.sleep(15)
        finally:
            following.cancel()


def cpu_seconds(process: int) -> float:
    """The processor time that a process has had, as Linux counts it."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


async def throughput(
    url: str, process: int, rounds: int, seconds: float
) -> tuple[list[float], list[float], list[float]]:
    """Requests a second with the dashboard closed and open, and the server's processor time a request (closed, open)."""
    spent, asked = [0.0, 0.0], [0, 0]
    rates: tuple[list[float], list[float]] = ([], [])
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:

        async def ask(until: float) -> int:
            done = 0
            while time.perf_counter() < until:
                answer = await http.post(
                    "/v1/responses", json={"model": MODELS[0], "input": "one two three four"}
                )
                assert answer.status_code == 200, answer.text
                done += 1
            return done

        for number in range(2 * rounds):
            is_open = number % 4 in (1, 2)  # closed, open, open, closed: what drifts meets both alike
            looking = asyncio.create_task(_look(url)) if is_open else None
            await asyncio.sleep(0.3)
            begun, cpu = time.perf_counter(), cpu_seconds(process)
            done = sum(await asyncio.gather(*(ask(begun + seconds) for _ in range(CLIENTS))))
            rates[is_open].append(done / (time.perf_counter() - begun))
            spent[is_open] += cpu_seconds(process) - cpu
            asked[is_open] += done
            if looking is not None:
                looking.cancel()
    return *rates, [seconds / number for seconds, number in zip(spent, asked, strict=True)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Fill, look, measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--responses", type=int, default=1_000_000)
    parser.add_argument(
        "--home", type=Path, help="a folder for the database, kept; one that is full is used again"
    )
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=15.0)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        home = given.home or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "kodo.db").exists():
            print(
                f"{given.responses} responses written in {asyncio.run(fill(home, given.responses)):.0f} s",
                flush=True,
            )
        with server(home) as (url, process):
            views(url)
            closed, opened, each = asyncio.run(throughput(url, process, given.rounds, given.seconds))
    ratio = statistics.median(opened) / statistics.median(closed)
    print(
        f"requests/s, dashboard closed: {statistics.median(closed):.0f}   {[round(rate) for rate in closed]}"
    )
    print(
        f"requests/s, dashboard open:   {statistics.median(opened):.0f}   {[round(rate) for rate in opened]}"
    )
    print(f"open / closed: {ratio:.3f}")
    print(
        f"processor time a request: closed {each[0] * 1000:.3f} ms, open {each[1] * 1000:.3f} ms: {each[0] / each[1]:.3f}x"
    )


if __name__ == "__main__":
    main()
