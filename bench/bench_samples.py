"""The samples of an introduction to the Codex API, written anew, with Japanese prompts: each ends, and shows an answer.

    python -m bench.bench_samples [--only NAME] [--show]

Starts a fresh server with the default model and runs one sample after the other, alone on it. Prints for each how long it
took, how its answers ended (their status, or why one does not read as finished), and how many tokens they have.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import openai

from bench.bench_landing import server

MODEL = "codex-mini-latest"
_Result = TypeVar("_Result")


class Samples:
    """The samples, as methods that return the answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=600)

    def ask(self, text: str, **options: Any) -> Any:
        """One answer."""
        return self.client.responses.create(model=MODEL, input=text, **options)

    def prime_check(self) -> list[Any]:
        """A function that says whether a number is prime."""
        return [
            self.ask(
                "Pythonで素数を判定する関数を書いてください。",
                instructions="あなたは優秀なPythonエンジニアです。",
            )
        ]

    def typescript(self) -> list[Any]:
        """Deduplication in TypeScript, with a large cap of the client's."""
        text = "TypeScriptで配列から重複を取り除く関数を作成してください。型も付けてください。"
        return [self.ask(text, max_output_tokens=4096)]

    def fizzbuzz(self) -> list[Any]:
        """FizzBuzz; the whole response is printed."""
        answer = self.ask("PythonでFizzBuzzを実装してください。", temperature=0.2)
        assert answer.model_dump_json()
        return [answer]

    def counter(self) -> list[Any]:
        """A counter class in three turns."""
        answers: list[Any] = []
        for text in (
            "カウンタークラスをPythonで作ってください。",
            "減算メソッドを追加してください。",
            "リセットメソッドも追加してください。",
        ):
            before = {"previous_response_id": answers[-1].id} if answers else {}
            answers.append(self.ask(text, **before))
        return answers

    def express(self) -> list[Any]:
        """An Express server, streamed."""
        return [self._streamed("ExpressでREST APIサーバーを作成してください。")]

    def react(self) -> list[Any]:
        """A to-do list in React, streamed."""
        return [self._streamed("ReactでTodoリストのコンポーネントを書いてください。")]

    def _streamed(self, text: str) -> Any:
        final: Any = None
        for event in self.client.responses.create(model=MODEL, input=text, stream=True):
            if event.type in ("response.completed", "response.incomplete", "response.failed"):
                final = event.response
        return final

    def upload(self) -> list[Any]:
        """A file upload, streamed asynchronously."""

        async def stream() -> Any:
            final: Any = None
            async with openai.AsyncOpenAI(base_url=self.url, api_key="none", timeout=600) as client:
                text = "FastAPIでファイルアップロードのエンドポイントを書いてください。"
                async for event in await client.responses.create(model=MODEL, input=text, stream=True):
                    if event.type in ("response.completed", "response.incomplete", "response.failed"):
                        final = event.response
            return final

        return [asyncio.run(stream())]

    def quicksort(self) -> list[Any]:
        """A sort, with the synchronous retry helper."""
        return [with_retry(lambda: self.ask("クイックソートをPythonで実装してください。"))]

    def mergesort(self) -> list[Any]:
        """A sort, with the asynchronous retry helper."""

        async def ask() -> Any:
            async with openai.AsyncOpenAI(base_url=self.url, api_key="none", timeout=600) as client:
                return await client.responses.create(
                    model=MODEL, input="マージソートをPythonで実装してください。"
                )

        return [asyncio.run(with_async_retry(ask))]

    def review(self) -> list[Any]:
        """A review of a few lines."""
        code = "def divide(a, b):\n    return a / b\n\ndef first(items):\n    return items[0]\n"
        text = f"次のコードをレビューして、問題点と改善案を挙げてください。\n\n```python\n{code}```"
        return [self.ask(text, instructions="あなたは経験豊富なコードレビュアーです。")]

    def tests(self) -> list[Any]:
        """Unit tests for a function."""
        code = "def add(a: int, b: int) -> int:\n    return a + b\n"
        return [self.ask(f"次の関数のpytestのテストを書いてください。\n\n```python\n{code}```")]

    def batch(self) -> list[Any]:
        """Four at the same time."""
        texts = [
            f"{topic}をPythonで書いてください。"
            for topic in ("階乗", "フィボナッチ数列", "回文判定", "最大公約数")
        ]
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(self.ask, texts))

    def tracked(self) -> list[Any]:
        """Three requests whose usage is added up."""
        answers = [
            self.ask(text)
            for text in (
                "ハローワールドを書いてください。",
                "リストを逆順にしてください。",
                "辞書を結合してください。",
            )
        ]
        assert all(answer.usage.total_tokens > 0 for answer in answers)
        return answers

    def cached(self) -> list[Any]:
        """A cache key that is kept for a day."""
        return [self._cached("デコレーターの例を書いてください。")]

    def cached_again(self) -> list[Any]:
        """The same key once more."""
        return [self._cached("ジェネレーターの例を書いてください。")]

    def _cached(self, text: str) -> Any:
        instructions = "あなたはPythonの専門家です。簡潔に、型ヒントを付けて答えてください。" * 5
        options = {"prompt_cache_key": "samples", "prompt_cache_retention": "24h"}
        return self.ask(text, instructions=instructions, **options)


def with_retry(call: Callable[[], _Result], attempts: int = 3) -> _Result:
    """Try again after a pause that doubles."""
    for attempt in range(attempts - 1):
        try:
            return call()
        except openai.APIError:
            time.sleep(2**attempt)
    return call()


async def with_async_retry(call: Callable[[], Awaitable[_Result]], attempts: int = 3) -> _Result:
    """The same, asynchronously."""
    for attempt in range(attempts - 1):
        try:
            return await call()
        except openai.APIError:
            await asyncio.sleep(2**attempt)
    return await call()


_ENDS = tuple(".。…!！?？:：)）]}」』\"'`*|;")


def unfinished(text: str) -> str | None:
    """Why an answer does not read as finished: empty, in an open code block, or cut in a sentence; None if it does."""
    lines = text.rstrip().splitlines()
    if not lines:
        return "empty"
    if sum(line.lstrip().startswith("```") for line in lines) % 2:
        return "in an open code block"
    last = lines[-1].strip()
    is_item = re.match(r"([-*+]|\d+[.)]) ", last)
    return None if last.endswith(_ENDS) or is_item else "cut in a sentence"


def names() -> Iterator[str]:
    """The samples' names, in order."""
    for name, value in vars(Samples).items():
        if callable(value) and not name.startswith("_") and name != "ask":
            yield name


def main() -> None:
    """Run, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", action="append", help="a sample's name")
    parser.add_argument("--show", action="store_true", help="print the answers")
    given = parser.parse_args()
    print(
        f"load before: {os.getloadavg()[0]:.1f}\n\n| sample | seconds | ended | tokens |\n| --- | --- | --- | --- |"
    )
    with server() as url:
        samples = Samples(url)
        for name in given.only or names():
            begun = time.monotonic()
            answers = getattr(samples, name)()
            seconds = time.monotonic() - begun
            ended = ", ".join(unfinished(answer.output_text) or str(answer.status) for answer in answers)
            tokens = ", ".join(str(answer.usage.output_tokens) for answer in answers)
            print(f"| {name} | {seconds:.1f} | {ended} | {tokens} |", flush=True)
            if given.show:
                print("\n".join(answer.output_text for answer in answers))
    print(f"\nload after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
