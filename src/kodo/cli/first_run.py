"""The first minute: one streamed answer in the terminal, then how to get the next one from curl and from the SDK."""

from __future__ import annotations

import json
import time

import typer

PROMPT = "Write a Python function that adds two numbers."


async def announce(url: str) -> None:
    """One line that says where the server is."""
    typer.echo(f"kodo serves {url}/v1 (Ctrl-C stops it)", err=True)


async def show_first_answer(url: str) -> None:
    """Ask the server that has just started for a first answer, as any client would."""
    import httpx2

    typer.echo(f"kodo serves {url}/v1\n\n> {PROMPT}\n")
    body = {
        "model": "codex-mini-latest",
        "input": PROMPT,
        "stream": True,
        "store": False,
        "max_output_tokens": 120,
    }
    began = time.monotonic()
    first = None
    try:
        async with (
            httpx2.AsyncClient(verify=False, timeout=None, trust_env=False) as client,
            client.stream("POST", f"{url}/v1/responses", json=body) as answer,
        ):
            if answer.status_code != 200:
                typer.echo(
                    f"(the first answer failed with status {answer.status_code}; is there an API key?)"
                )
            else:
                async for line in answer.aiter_lines():
                    if line.startswith("data: ") and (text := _delta(line)):
                        first = first or time.monotonic() - began
                        typer.echo(text, nl=False)
    except httpx2.HTTPError as error:
        typer.echo(f"(the first answer failed: {error})")
    typer.echo(f"\n\n{_usage(url, first)}")


def _delta(line: str) -> str:
    event = json.loads(line[6:])
    return str(event["delta"]) if event["type"] == "response.output_text.delta" else ""


def _usage(url: str, first: float | None) -> str:
    seen = "" if first is None else f"First token after {first:.2f} s. "
    return f"""{seen}Use it:

  curl {url}/v1/responses -H 'content-type: application/json' \\
    -d '{{"model": "codex-mini-latest", "input": "Say hello."}}'

  from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key="none")
  print(client.responses.create(model="codex-mini-latest", input="Say hello.").output_text)

Ctrl-C stops the server."""
