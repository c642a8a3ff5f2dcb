"""What a gateway costs in front of the same trivial upstream: kodo, LiteLLM's proxy, agentic-api, in turn in one run.

Each gateway has a process of its own; the upstream answers at once, so what is measured is the gateway. `wrk` asks (one
thread), every answer that is no 200 is counted as an error. kodo runs as `kodo serve` with an API key, its store and its
limits on; LiteLLM's proxy with a master key and the `hosted_vllm` route, no database; agentic-api with its SQLite store.
A cell is requests a second, latency p50 / p99, and what a request took of the gateway's processes: CPU time, and time in which a
thread could have run but the machine's cores were others'. The last column is the ratio of the rates, pair by pair, and that of
the CPU times. The others are installed by hand, each in an environment of its own, LiteLLM's of the same Python as kodo's:

    python -m venv L && L/bin/pip install 'litellm[proxy]'
    python -m venv A && A/bin/pip install agentic-api
    make bench-upstream ARGS="--litellm L/bin/litellm --agentic A/bin/agentic-server"
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %(key)s"
wrk.body = %(body)s
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    e.status + e.connect + e.read + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""
START_SECONDS = 120


@dataclass(frozen=True)
class Gateway:
    """A server to be asked. ``chat`` and ``responses``: whether it has these routes."""

    name: str
    url: str
    key: str
    process: psutil.Process | None


@dataclass(frozen=True)
class Load:
    """One row of the table."""

    title: str
    path: str
    body: dict[str, object]
    connections: int
    gateways: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """One run of wrk. Latencies in ms; ``cpu``: ms of the gateway's processes a request; ``waited``: ms a request that its
    threads could have run and had no core."""

    rate: float
    errors: int
    p50: float
    p99: float
    cpu: float
    waited: float


def _chat(text: str, **more: object) -> dict[str, object]:
    return {"model": "trivial", "messages": [{"role": "user", "content": text}], **more}


def loads() -> list[Load]:
    """The rows."""
    responses = {"model": "trivial", "input": "Hello"}
    both, stored = ("direct", "kodo", "litellm"), ("direct", "kodo", "agentic")
    return [
        Load("Chat", "/v1/chat/completions", _chat("Hello"), 1, both),
        Load("Chat", "/v1/chat/completions", _chat("Hello"), 16, both),
        Load("Chat, 200 tokens streamed", "/v1/chat/completions", _chat("tokens=200", stream=True), 32, both),
        Load("Responses, stored", "/v1/responses", responses, 1, stored),
        Load("Responses, stored", "/v1/responses", responses, 16, stored),
        Load("Responses, store: false", "/v1/responses", {**responses, "store": False}, 1, stored),
        Load("Responses, store: false", "/v1/responses", {**responses, "store": False}, 16, stored),
    ]


def measure(gateway: Gateway, load: Load, seconds: float, folder: Path) -> Measured:
    """Ask one gateway for so many seconds."""
    script = folder / "load.lua"
    script.write_text(LUA % {"key": gateway.key, "body": json.dumps(json.dumps(load.body))})
    command = [
        "wrk",
        "-t1",
        f"-c{load.connections}",
        f"-d{round(seconds)}s",
        "--timeout",
        "20s",
        "-s",
        str(script),
    ]
    before, waited = cpu_seconds(gateway), waited_seconds(gateway)
    done = subprocess.run([*command, gateway.url + load.path], capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    spent, waited = cpu_seconds(gateway) - before, waited_seconds(gateway) - waited
    count, microseconds, errors, p50, p99 = (int(word) for word in line.split()[1:])
    return Measured(
        (count - errors) / (microseconds / 1e6),
        errors,
        p50 / 1000,
        p99 / 1000,
        spent * 1000 / max(count, 1),
        waited * 1000 / max(count, 1),
    )


# --- the processes ----------------------------------------------------------------------------------------------------


def free_port() -> int:
    """A port of 127.0.0.1 that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(command: Sequence[str], url: str, folder: Path, **environment: str) -> Iterator[psutil.Process]:
    """A process that answers at a URL."""
    with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
            cwd=folder,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                with contextlib.suppress(urllib.error.HTTPError):
                    urllib.request.urlopen(url, timeout=2).close()
                break
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"{command[0]} did not start; see {log.name}")
            time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def start_kodo(stack: contextlib.ExitStack, folder: Path, upstream: str, api: str) -> Gateway:
    """`kodo serve` with one upstream model and a key."""
    home, port = folder / f"kodo-{api}", free_port()
    home.mkdir()
    config = f'[models.trivial]\nengine = "upstream"\nbase_url = "{upstream}/v1"\ntarget = "trivial"\napi = "{api}"\n'
    (home / "config.toml").write_text(config)
    kodo = str(Path(sys.executable).with_name("kodo"))
    environment = {"KODO_HOME": str(home), "KODO_MODELS": "{}"}
    made = subprocess.run(
        [kodo, "keys", "create", "--name", "bench"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    key = made.stdout.split()[-1]
    command = [kodo, "serve", "--port", str(port)]
    process = stack.enter_context(running(command, f"http://127.0.0.1:{port}/healthz", folder, **environment))
    return Gateway("kodo", f"http://127.0.0.1:{port}", key, process)


def start_litellm(stack: contextlib.ExitStack, folder: Path, upstream: str, binary: str) -> Gateway:
    """LiteLLM's proxy on the ``hosted_vllm`` route, with a master key, without a database."""
    port = free_port()
    entry = {"model_name": "trivial", "litellm_params": {"model": "hosted_vllm/trivial", "api_base": f"{upstream}/v1", "api_key": "none"}}  # fmt: skip
    (folder / "litellm.json").write_text(
        json.dumps({"model_list": [entry], "general_settings": {"master_key": "sk-bench-key"}})
    )
    command = [binary, "--config", str(folder / "litellm.json"), "--port", str(port), "--num_workers", "1"]
    url = f"http://127.0.0.1:{port}"
    process = stack.enter_context(
        running(
            command,
            f"{url}/health/liveliness",
            folder,
            LITELLM_LOG="ERROR",
            LITELLM_LOCAL_MODEL_COST_MAP="True",
        )
    )
    return Gateway("litellm", url, "sk-bench-key", process)


def start_agentic(stack: contextlib.ExitStack, folder: Path, upstream: str, binary: str) -> Gateway:
    """agentic-api with its SQLite store."""
    port = free_port()
    command = [binary, "--llm-api-base", upstream, "--gateway-host", "127.0.0.1", "--gateway-port", str(port)]
    command += ["--skip-llm-ready-check", "--db-url", f"sqlite://{folder}/agentic.db?mode=rwc"]
    url = f"http://127.0.0.1:{port}"
    process = stack.enter_context(
        running(command, f"{url}/health", folder, OPENAI_API_KEY="none", HOME=str(folder))
    )
    return Gateway("agentic", url, "none", process)


# --- the table --------------------------------------------------------------------------------------------------------


def cpu_seconds(gateway: Gateway) -> float:
    """CPU time of a gateway with its children, so far."""
    if gateway.process is None:
        return 0.0
    found = [gateway.process, *gateway.process.children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in found)


def waited_seconds(gateway: Gateway) -> float:
    """Time that the threads of a gateway with its children were ready to run and waited for a core, so far."""
    if gateway.process is None:
        return 0.0
    total = 0
    for process in (gateway.process, *gateway.process.children(recursive=True)):
        for path in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):  # the thread has ended
                total += int(path.read_text().split()[1])
    return total / 1e9


def memory(gateway: Gateway) -> float:
    """MB resident of a gateway with its children."""
    if gateway.process is None:
        return 0.0
    found = [gateway.process, *gateway.process.children(recursive=True)]
    return sum(process.memory_info().rss for process in found) / 1e6


def row(load: Load, runs: dict[str, list[Measured]]) -> str:
    """A row of the table: medians, and kodo's rate over the other's, pair by pair."""
    cells = [f"{load.title}, {load.connections}"]
    for name in ("direct", "kodo", "litellm", "agentic"):
        found = runs.get(name)
        if not found:
            cells.append("")
            continue
        rate, p50, p99, cpu, waited = (
            statistics.median(getattr(one, field) for one in found)
            for field in ("rate", "p50", "p99", "cpu", "waited")
        )
        errors = sum(one.errors for one in found)
        used = f", CPU {cpu:.2f} + {waited:.2f} ms" if cpu else ""
        cells.append(
            f"{rate:,.0f}/s, {p50:.1f} / {p99:.1f} ms{used}" + (f", {errors} errors" if errors else "")
        )
    other = runs.get("litellm") or runs.get("agentic")
    if other:
        ratios = [
            mine.rate / max(theirs.rate, 0.01) for mine, theirs in zip(runs["kodo"], other, strict=True)
        ]
        work = [theirs.cpu / mine.cpu for mine, theirs in zip(runs["kodo"], other, strict=True) if mine.cpu]
        cells.append(
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), by CPU {statistics.median(work):.2f}"
        )
    else:
        cells.append("")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description="gateways in front of a trivial upstream")
    parser.add_argument("--litellm", help="path of litellm's command")
    parser.add_argument("--agentic", help="path of agentic-api's server")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument(
        "--api", choices=["chat", "responses"], default="chat", help="how kodo asks the upstream"
    )
    parser.add_argument("--only", default="", help="loads whose title contains this")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: apt install wrk")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = free_port()
        upstream = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "bench.trivial_upstream", str(port)]
        root = str(Path(__file__).resolve().parents[1])
        stack.enter_context(running(command, f"{upstream}/v1/models", folder, PYTHONPATH=root))
        gateways = [Gateway("direct", upstream, "none", None), start_kodo(stack, folder, upstream, given.api)]
        if given.litellm:
            gateways.append(start_litellm(stack, folder, upstream, given.litellm))
        if given.agentic:
            gateways.append(start_agentic(stack, folder, upstream, given.agentic))
        print(
            f"load of the machine before: {os.getloadavg()[0]:.1f}; {given.rounds} rounds of {given.seconds:g} s"
        )
        print("\n| load, connections | upstream alone | kodo | LiteLLM | agentic-api | kodo over the other |")
        print("| --- | --- | --- | --- | --- | --- |")
        for load in loads():
            if given.only not in load.title:
                continue
            runs: dict[str, list[Measured]] = {}
            for number in range(given.rounds):
                chosen = [gateway for gateway in gateways if gateway.name in load.gateways]
                for gateway in chosen if number % 2 == 0 else reversed(chosen):
                    seconds = 1.0 if gateway.name == "direct" else given.seconds
                    runs.setdefault(gateway.name, []).append(measure(gateway, load, seconds, folder))
            print(row(load, runs), flush=True)
        print(
            "\nresident: " + ", ".join(f"{one.name} {memory(one):.0f} MB" for one in gateways if one.process)
        )


if __name__ == "__main__":
    main()
