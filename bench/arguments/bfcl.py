"""Reads a file of the Berkeley Function Calling Leaderboard (BFCL v4) as a set of requests.

Nothing of it is copied in: the folder ``bfcl_eval/data`` of a clone is the input. Names have ``_`` for ``.``, as the
leaderboard's own runner writes them for this API; its types are written as JSON Schema's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}


def read_bfcl(path: Path, half: str) -> list[dict[str, Any]]:
    """The requests of the even or odd lines, in the form of :mod:`bench.bench_arguments`, each with its own tools."""
    lines = path.read_text(encoding="utf-8").splitlines()
    answers = (path.parent / "possible_answer" / path.name).read_text(encoding="utf-8").splitlines()
    start = 0 if half == "even" else 1
    return [
        _request(json.loads(line), json.loads(answer))
        for line, answer in list(zip(lines, answers, strict=True))[start::2]
    ]


def _request(line: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    assert line["id"] == answer["id"]
    ((name, wanted),) = answer["ground_truth"][0].items()
    return {
        "ask": "\n".join(message["content"] for message in line["question"][0] if message["role"] == "user"),
        "tools": [
            {**tool, "name": _name(tool["name"]), "parameters": _schema(tool["parameters"])}
            for tool in line["function"]
        ],
        "tool": _name(name),
        "arguments": {
            key: [None if value == "" else value for value in values] for key, values in wanted.items()
        },
    }


def _name(name: str) -> str:
    return name.replace(".", "_")[:64]


def _schema(node: Any) -> Any:
    if isinstance(node, list):
        return [_schema(part) for part in node]
    if not isinstance(node, dict):
        return node
    result = {
        key: _schema(value)
        for key, value in node.items()
        if key not in ("optional", "format") or isinstance(value, dict)
    }
    if isinstance(node.get("type"), str):
        result["type"] = _TYPES.get(node["type"], node["type"])
    return result
