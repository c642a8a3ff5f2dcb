"""How `tool_choice: auto` chooses: requests that need a tool, and requests that need none, in English and Japanese.

    python -m bench.bench_auto [--base-url URL] [--model NAME]

Needs a running server. Prints, for requests that need a tool, how often the right one was called, another one, none;
for the others how often a tool was called all the same. The set is written by hand and small.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

import openai


def _tool(name: str, description: str, **properties: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {key: {"type": "string", "description": text} for key, text in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }
    return {
        "type": "function",
        "name": name,
        "description": description,
        "parameters": schema,
        "strict": True,
    }


TOOLS = [
    _tool("get_weather", "Get the current weather of a city.", city="Name of the city"),
    _tool(
        "search_files", "Search the project's files for a text.", pattern="Text or regular expression to find"
    ),
    _tool("send_email", "Send an email to somebody.", to="Address", body="Text of the message"),
    _tool("run_tests", "Run the project's test suite and report failures.", path="Folder or file of tests"),
    _tool("create_issue", "Create an issue in the bug tracker.", title="Title of the issue"),
]
NEEDED = [
    ("What is the weather in Paris right now?", "get_weather"),
    ("Will I need an umbrella in Osaka today?", "get_weather"),
    ("Tell me how hot it is in Cairo.", "get_weather"),
    ("東京の天気を教えてください。", "get_weather"),
    ("Find all files that mention TODO.", "search_files"),
    ("Where in the project is parse_config used?", "search_files"),
    ("Search the code for deprecated imports.", "search_files"),
    ("プロジェクトのファイルから error_handler を検索して。", "search_files"),
    ("Send an email to bob@example.com that the build is green.", "send_email"),
    ("Let alice@example.com know by mail that I am late.", "send_email"),
    ("Run the tests in tests/unit.", "run_tests"),
    ("Check whether the test suite still passes.", "run_tests"),
    ("tests フォルダのテストを実行してください。", "run_tests"),
    ("Please create an issue: login fails on Safari.", "create_issue"),
    ("File a bug that the export button does nothing.", "create_issue"),
]
NOT_NEEDED = [
    "What is 2 + 2?",
    "Write a haiku about autumn.",
    "Explain what a hash table is.",
    "Say hello in French.",
    "Translate 'good morning' to Japanese.",
    "What is the capital of Italy?",
    "Write a Python function that reverses a string.",
    "Why is the sky blue?",
    "こんにちは。自己紹介をしてください。",
    "再帰とは何ですか。",
    "What is the difference between a list and a tuple?",
    "Thank you, that was helpful.",
    "Is a test suite useful for a small project?",
    "Name three good email providers.",
    "How does a weather radar work?",
]


def chosen(client: openai.OpenAI, model: str, text: str) -> str | None:
    """The tool that is called; None: it answered."""
    answer = client.responses.create(
        model=model,
        input=text,
        tools=TOOLS,  # type: ignore[arg-type]  # plain dicts, as scripts send them
        temperature=0,
        max_output_tokens=64,
    )
    return next((item.name for item in answer.output if item.type == "function_call"), None)


def main() -> None:
    """Ask, count, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base-url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--model", default="codex-mini-latest")
    given = parser.parse_args()
    client = openai.OpenAI(base_url=given.base_url, api_key="none")
    counts: Counter[str] = Counter()
    for text, right in NEEDED:
        name = chosen(client, given.model, text)
        end = "the right tool" if name == right else "another tool" if name else "an answer in words"
        counts[f"a tool is needed | {end}"] += 1
        if name != right:
            print(f"- {text} -> {name or 'words'}, not {right}")
    for text in NOT_NEEDED:
        name = chosen(client, given.model, text)
        counts[f"none is needed | {'a tool' if name else 'an answer in words'}"] += 1
        if name:
            print(f"- {text} -> {name}")
    print("\n| requests | it gave | of |\n| --- | --- | --- |")
    for key, number in sorted(counts.items()):
        total = len(NEEDED) if key.startswith("a ") else len(NOT_NEEDED)
        print(f"| {key}: {number} | {total} |")


if __name__ == "__main__":
    main()
