"""The first minute: one streamed answer in the terminal, then how to get the next one from curl and from the SDK."""

from __future__ import annotations

import json
import time

import typer

from kodo.cli.error_words import describe_error
from kodo.cli.output import Output
from kodo.client.i18n import Catalogue

PROMPT = "Write a Python function that adds two numbers."
MAX_TOKENS = 120

MESSAGES = Catalogue(
    {
        "serves": (
            "kodo serves {url}/v1 (Ctrl-C stops it)",
            "kodo は {url}/v1 で動作中です（Ctrl-C で停止）",
        ),
        "serves_here": ("kodo serves {url}/v1", "kodo は {url}/v1 で動作中です"),
        "bad_status": (
            "(the first answer failed with status {status}; is there an API key?)",
            "（最初の回答が状態 {status} で失敗しました。API キーが設定されていませんか）",
        ),
        "failed": ("(the first answer failed: {error})", "（最初の回答に失敗しました: {error}）"),
        "cut": (
            "(the example ends here, at its limit of {tokens} tokens; your own calls have no such limit)",
            "（例はここで終わります。上限は {tokens} トークンです。実際の呼び出しにこの上限はありません）",
        ),
        "seen": ("First token after {seconds:.2f} s. ", "最初のトークンまで {seconds:.2f} 秒。"),
        "use_it": ("{seen}Use it:", "{seen}使い方:"),
        "stop": ("Ctrl-C stops the server.", "Ctrl-C でサーバーを停止します。"),
    }
)


async def announce(output: Output, url: str) -> None:
    """One line that says where the server is."""
    output.warn("serves", url=url)


async def show_first_answer(output: Output, url: str) -> None:
    """Ask the server that has just started for a first answer, as any client would."""
    import httpx2

    typer.echo(f"{output.say('serves_here', url=url)}\n\n> {PROMPT}\n")
    body = {
        "model": "codex-mini-latest",
        "input": PROMPT,
        "stream": True,
        "store": False,
        "max_output_tokens": MAX_TOKENS,
    }
    began = time.monotonic()
    first, cut = None, False
    try:
        async with (
            httpx2.AsyncClient(verify=False, timeout=None, trust_env=False) as client,
            client.stream("POST", f"{url}/v1/responses", json=body) as answer,
        ):
            if answer.status_code != 200:
                typer.echo(output.say("bad_status", status=answer.status_code))
            else:
                async for line in answer.aiter_lines():
                    cut = cut or line == "event: response.incomplete"
                    if line.startswith("data: ") and (text := _delta(line)):
                        first = first or time.monotonic() - began
                        typer.echo(text, nl=False)
    except httpx2.HTTPError as error:
        typer.echo(output.say("failed", error=describe_error(error, output.lang)))
    if cut:
        typer.echo(f"\n{output.say('cut', tokens=MAX_TOKENS)}", nl=False)
    typer.echo(f"\n\n{_usage(output, url, first)}")


def _delta(line: str) -> str:
    event = json.loads(line[6:])
    return str(event["delta"]) if event["type"] == "response.output_text.delta" else ""


def _usage(output: Output, url: str, first: float | None) -> str:
    seen = "" if first is None else output.say("seen", seconds=first)
    return f"""{output.say("use_it", seen=seen)}

  curl {url}/v1/responses -H 'content-type: application/json' \\
    -d '{{"model": "codex-mini-latest", "input": "Say hello."}}'

  from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key="none")
  print(client.responses.create(model="codex-mini-latest", input="Say hello.").output_text)

{output.say("stop")}"""
