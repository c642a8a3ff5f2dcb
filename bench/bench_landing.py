"""Forced calls and structured answers with the shapes of real tools, on the default model: valid, cut, seconds.

    make bench-landing [ARGS="--count 200 --cap 256"]

Starts a server of its own on the installed model. ``bench/landing/schemas.jsonl`` holds the shapes of tools of MCP servers
and of clients, without their descriptions; ``odd-mcp`` are keywords that cannot be enforced. A ``text.format`` that uses
one is refused, as documented, and counted apart.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import openai

from kodo.home import kodo_home

SCHEMAS = Path(__file__).parent / "landing" / "schemas.jsonl"
ASKED = (
    "Fill this in for the project kodo: the login page fails on Safari, reported by Aiko.",
    "Use the file src/app/main.py in /home/aiko/kodo, branch fix-login.",
    "東京の天気とログインの不具合について、これを埋めてください。",
    "The customer is Ada Lovelace, ada@example.com, order 1207, 3 items, due 2026-12-24.",
)


@contextmanager
def server() -> Iterator[str]:
    """A fresh server with the installed models; its base URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "models").symlink_to(kodo_home() / "models")
        command = [sys.executable, "-m", "kodo", "serve", "--port", str(port)]
        process = subprocess.Popen(
            command,
            env={**os.environ, "KODO_HOME": home},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"{url}/ready", timeout=5)
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"{url}/v1"
        finally:
            process.terminate()
            process.wait()


def result_of(schema: dict[str, Any], text: str, status: str) -> str:
    """What became of one request."""
    if status != "completed":
        return "cut"
    try:
        jsonschema.Draft202012Validator(schema).validate(json.loads(text))
    except (ValueError, jsonschema.ValidationError) as error:
        return f"invalid ({getattr(error, 'validator', 'JSON')})"
    except Exception as error:  # noqa: BLE001 - a schema that jsonschema itself cannot resolve
        return f"unchecked ({type(error).__name__})"
    return "valid"


def ask(client: openai.OpenAI, kind: str, entry: dict[str, Any], text: str, cap: int) -> tuple[str, int, int]:
    """One request: what became of it, its tokens of input and of output."""
    schema = entry["schema"]
    asked: dict[str, Any] = {"model": "codex-mini-latest", "input": text, "max_output_tokens": cap}
    try:
        if kind == "call":
            tool = {"type": "function", "name": "fill", "description": entry["name"], "parameters": schema}
            answer = client.responses.create(
                **asked, tools=[{**tool, "strict": False}], tool_choice={"type": "function", "name": "fill"}
            )
            text = next((item.arguments for item in answer.output if item.type == "function_call"), "")
        else:
            form = {"type": "json_schema", "name": "fill", "schema": schema}
            answer = client.responses.create(**asked, text={"format": form})
            text = answer.output_text
    except openai.BadRequestError as error:
        return f"refused ({error.code})", 0, 0
    used = answer.usage
    counts = (used.input_tokens, used.output_tokens) if used else (0, 0)
    return (result_of(schema, text, answer.status or ""), *counts)


def main() -> None:
    """Ask, count, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--cap", type=int, default=256, help="max_output_tokens of each request")
    parser.add_argument("--verbose", action="store_true", help="a line for each request")
    given = parser.parse_args()
    entries = [json.loads(line) for line in SCHEMAS.read_text().splitlines()]
    step = max(len(entries) // given.count, 1)
    entries = entries[::step][: given.count]
    print(f"load before: {os.getloadavg()[0]:.1f}")
    print("\n| requests | outcome | number |\n| --- | --- | --- |")
    lines: list[str] = []
    with server() as url:
        client = openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=600)
        for kind in ("call", "format"):
            outcomes: Counter[str] = Counter()
            seconds: list[float] = []
            for number, entry in enumerate(entries):
                begun = time.monotonic()
                outcome, read, written = ask(client, kind, entry, ASKED[number % len(ASKED)], given.cap)
                seconds.append(time.monotonic() - begun)
                outcomes[outcome] += 1
                if given.verbose:
                    print(
                        f"{seconds[-1]:6.2f} {read:5} {written:4} {kind} {entry['origin']} {entry['name']}: {outcome}",
                        flush=True,
                    )
                if outcome != "valid":
                    lines.append(f"- {kind} {entry['origin']} {entry['name']}: {outcome}")
            for outcome, count in outcomes.most_common():
                print(f"| {kind} | {outcome} | {count} |")
            seconds.sort()
            print(
                f"| {kind} | median, p95 seconds | {seconds[len(seconds) // 2]:.2f}, {seconds[len(seconds) * 95 // 100]:.2f} |"
            )
    print("\n" + "\n".join(lines))
    print(f"\nload after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
