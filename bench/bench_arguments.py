"""Forced calls of a model: how often the right tool, and how often it with the right arguments.

    python -m bench.bench_arguments [--set scored|tuning|FILE] [--bfcl FILE --half even|odd] [--base-url URL] [--verbose]

Without ``--base-url`` a server of its own is started on the installed model. ``bench/arguments/scored.jsonl`` holds 100
requests, half of them Japanese, over 20 tools; it was written before the method that it measures, and is only ever scored.
``tuning.jsonl`` is what the method was made on: 40 other requests over 8 other tools. Each request offers four tools and asks
for a call (``tool_choice: required``) at temperature 0.

Lines of a set are ``{"define": TOOL}``, or ``{"ask", "tools", "tool", "arguments"}``. An argument's list holds the values
that count as right, null among them if it may be missing; null in place of a list: anything is right. An argument that is
not listed must be missing. ``--bfcl`` takes a file of the Berkeley Function Calling Leaderboard instead.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

import openai

from bench.arguments.bfcl import read_bfcl
from bench.bench_landing import server

SETS = Path(__file__).parent / "arguments"


def read_set(path: Path) -> list[dict[str, Any]]:
    """The requests of a set, each with its tools."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    tools = {line["define"]["name"]: line["define"] for line in lines if "define" in line}
    return [{**line, "tools": [tools[name] for name in line["tools"]]} for line in lines if "ask" in line]


def _path(name: str) -> Path:
    path = SETS / f"{name}.jsonl"
    return path if path.exists() else Path(name)


def same(value: object, right: object) -> bool:
    """Whether a value counts as the right one: texts but for case and white space around them."""
    if isinstance(value, str) and isinstance(right, str):
        return value.strip().casefold() == right.strip().casefold()
    return (type(value) is type(right) and value == right) or _same_number(value, right)


def _same_number(value: object, right: object) -> bool:
    numbers = (int, float)
    return (
        isinstance(value, numbers)
        and isinstance(right, numbers)
        and not isinstance(value, bool)
        and value == right
    )


def right_arguments(given: dict[str, Any], wanted: dict[str, list[Any] | None]) -> bool:
    """Whether all arguments are right."""
    if given.keys() - wanted.keys():
        return False
    return all(
        values is None or any(same(given.get(key), right) for right in values)
        for key, values in wanted.items()
    )


def call(client: openai.OpenAI, model: str, request: dict[str, Any]) -> Any:
    """The call that a request leads to; None: there was none, or it was cut."""
    answer = client.responses.create(
        model=model,
        input=request["ask"],
        tools=[{"type": "function", "strict": False, **tool} for tool in request["tools"]],  # type: ignore[misc]
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0,
        max_output_tokens=256,
    )
    found = next((item for item in answer.output if item.type == "function_call"), None)
    return found if answer.status == "completed" else None


def main() -> None:
    """Ask, count, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--set", default="scored", help="scored, tuning, or a file of that form")
    parser.add_argument("--bfcl", type=Path, help="a file of BFCL, its answers beside it in possible_answer/")
    parser.add_argument("--half", choices=("even", "odd"), default="odd")
    parser.add_argument("--count", type=int, help="the first so many only")
    parser.add_argument("--base-url")
    parser.add_argument("--model", default="codex-mini-latest")
    parser.add_argument("--verbose", action="store_true", help="a line for each request that went wrong")
    given = parser.parse_args()
    requests = read_bfcl(given.bfcl, given.half) if given.bfcl else read_set(_path(given.set))
    requests = requests[: given.count]
    names = arguments = 0
    seconds: list[float] = []
    with contextlib.nullcontext(given.base_url) if given.base_url else server() as url:
        client = openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=600)
        for request in requests:
            begun = time.monotonic()
            found = call(client, given.model, request)
            seconds.append(time.monotonic() - begun)
            is_right = found is not None and found.name == request["tool"]
            fits = is_right and right_arguments(json.loads(found.arguments), request["arguments"])
            names, arguments = names + is_right, arguments + fits
            if given.verbose and not fits:
                wrote = "none" if found is None else f"{found.name} {found.arguments}"
                print(
                    f"- {request['ask']} -> {wrote}, not {request['tool']} {request['arguments']}", flush=True
                )
    seconds.sort()
    print("| requests | right tool | right tool and arguments | median, p95 seconds | load |")
    print("| --- | --- | --- | --- | --- |")
    print(
        f"| {len(requests)} | {names} | {arguments} | {seconds[len(seconds) // 2]:.2f}, "
        f"{seconds[len(seconds) * 95 // 100]:.2f} | {os.getloadavg()[0]:.1f} |"
    )


if __name__ == "__main__":
    main()
