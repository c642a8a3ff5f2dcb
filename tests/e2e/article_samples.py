"""The samples of a tutorial on calling a code model with the OpenAI SDK, written anew, and the helpers it has readers paste.

``PASTED`` are the helpers as such a tutorial has them, ``IMPORTED`` what replaces them; ``PROGRAM`` is everything else,
which must not change. The program prints one line a fact, so that a test can compare.
"""

PASTED = '''
import asyncio
import functools
import random
import time

import openai


def exponential_backoff_retry(func, max_retries=5, base_delay=1.0, max_delay=60.0, jitter=True):
    """関数を指数バックオフで再試行する"""
    for attempt in range(max_retries + 1):
        try:
            return func()
        except (openai.RateLimitError, openai.APIConnectionError, openai.InternalServerError):
            if attempt == max_retries:
                raise
            delay = min(base_delay * 2**attempt, max_delay)
            time.sleep(random.uniform(0, delay) if jitter else delay)


def retry_with_backoff(max_retries=3, base_delay=1.0):
    def decorator(func):
        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            return exponential_backoff_retry(lambda: func(*args, **kwargs), max_retries, base_delay)

        return wrapper

    return decorator


class UsageTracker:
    """トークン使用量と費用の集計"""

    def __init__(self):
        self.input_tokens = self.output_tokens = 0

    def add_usage(self, input_tokens, output_tokens):
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens

    def get_estimated_cost(self):
        return self.input_tokens / 1e6 * 1.50 + self.output_tokens / 1e6 * 6.00

    def report(self):
        print(f"入力 {self.input_tokens} / 出力 {self.output_tokens} / ${self.get_estimated_cost():.4f}")


def review_code(code, language):
    response = openai.OpenAI().responses.create(
        model="codex-mini-latest",
        instructions=f"あなたは熟練した {language} のコードレビュアーです。",
        input=f"次のコードをレビューしてください。\\n\\n{code}",
    )
    return response.output_text


def generate_tests(code, framework="pytest"):
    response = openai.OpenAI().responses.create(
        model="codex-mini-latest",
        instructions=f"{framework} のテストだけを書いてください。",
        input=code,
    )
    return response.output_text


async def generate_batch(prompts):
    client = openai.AsyncOpenAI()

    async def one(prompt):
        response = await client.responses.create(model="codex-mini-latest", input=prompt)
        return response.output_text

    return await asyncio.gather(*(one(prompt) for prompt in prompts), return_exceptions=True)
'''

IMPORTED = """
import asyncio

from kodo import (
    UsageTracker,
    exponential_backoff_retry,
    generate_batch,
    generate_tests,
    retry_with_backoff,
    review_code,
)
"""

PROGRAM = '''
from openai import OpenAI

client = OpenAI()
tracker = UsageTracker()

# 1. 最初の呼び出し
response = client.responses.create(
    model="codex-mini-latest",
    instructions="あなたは親切なプログラミングアシスタントです。",
    input="二つの整数の最大公約数を求める関数を書いてください。",
)
print("回答:", bool(response.output_text))
tracker.add_usage(response.usage.input_tokens, response.usage.output_tokens)

# 2. ストリーミング
text = ""
with client.responses.stream(model="codex-mini-latest", input="素数を列挙してください。") as stream:
    for event in stream:
        if event.type == "response.output_text.delta":
            text += event.delta
    usage = stream.get_final_response().usage
tracker.add_usage(usage.input_tokens, usage.output_tokens)
print("ストリーム:", bool(text))

# 3. 続きの会話
follow_up = client.responses.create(
    model="codex-mini-latest", input="再帰を使わずに書き直してください。", previous_response_id=response.id
)
print("続き:", follow_up.previous_response_id == response.id)


# 4. 再試行
attempts = []


def unstable():
    attempts.append(1)
    if len(attempts) < 3:
        raise ConnectionResetError("途切れました") if HELPERS == "imported" else _connection_error()
    return client.responses.create(model="codex-mini-latest", input="こんにちは")


def _connection_error():
    import httpx2
    import openai

    return openai.APIConnectionError(request=httpx2.Request("POST", "http://127.0.0.1/v1"))


result = exponential_backoff_retry(unstable, max_retries=4, base_delay=0.01, max_delay=0.05, jitter=True)
print("再試行:", len(attempts), result.status)
result = exponential_backoff_retry(lambda: client.models.list(), 2, 0.01, 0.05, False)
print("位置引数:", "codex-mini-latest" in [model.id for model in result.data])


@retry_with_backoff(max_retries=3)
def ask(prompt: str) -> str:
    """一つの質問"""
    response = client.responses.create(model="codex-mini-latest", input=prompt)
    tracker.add_usage(response.usage.input_tokens, response.usage.output_tokens)
    return response.output_text


print("飾り:", bool(ask("クイックソートを説明してください。")), ask.__name__, ask.__doc__)


# 5. 使用量を記録しながらの繰り返し
def tracked_request(prompt, budget=0.01):
    if tracker.get_estimated_cost() > budget:
        raise RuntimeError("予算を超えました")
    response = client.responses.create(model="codex-mini-latest", input=prompt, max_output_tokens=64)
    tracker.add_usage(response.usage.input_tokens, response.usage.output_tokens)
    return response.output_text


for topic in ("連結リスト", "二分木", "ハッシュ表"):
    tracked_request(f"{topic}とは何ですか。")
cost = tracker.get_estimated_cost()
print(f"費用: ${cost:.4f}", cost > 0, round(0.5 - cost, 1) == 0.5, cost * 150.0 < 100)
tracker.report()

# 6. レビューとテストの生成
CODE = """
def average(values):
    total = 0
    for value in values:
        total += value
    return total / len(values)


def run(command, cache=[]):
    import subprocess
    cache.append(command)
    return subprocess.call(command, shell=True)
"""
review = review_code(CODE, "python")
print("レビュー:", isinstance(review, str), len(review) > 0, "run" in review)
review_code("fun main() {}", "Kotlin")
tests = generate_tests("def double(x: int) -> int:\\n    return 2 * x\\n", "pytest")
print("テスト:", isinstance(tests, str), "double" in tests)


# 7. まとめて送る
async def main():
    prompts = ["一つ目の質問です。", "長" * 200_000, "三つ目の質問です。"]
    results = await generate_batch(prompts)
    for prompt, result in zip(prompts, results):
        if isinstance(result, Exception):
            print("失敗:", len(prompt))
        else:
            print("成功:", str(result)[:40] == f"{result}"[:40])
    return len(results)


print("件数:", asyncio.run(main()))
print("同期:", len(asyncio.run(generate_batch(["もう一つ"]))))
'''
