"""Generating code: the request, and what may be done with the answer. No sessions here; ``code`` sends."""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Mapping
from importlib.resources import files

from kodo.client.answer import Answer
from kodo.client.errors import KodoError
from kodo.jobs.generate.fences import extract_code
from kodo.jobs.job import Rejected, Result, Verified


class UnusableCodeError(KodoError):
    """The model's answer holds no usable code. ``text`` is what it wrote."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(reason)
        self.text = text


def instructions(language: str | None) -> str:
    """The system prompt that asks for code and nothing else."""
    prompt = files("kodo.jobs.generate").joinpath("prompts", "code.md").read_text("utf-8")
    return prompt.format(language=f" of {language}" if language else "").strip()


def with_files(prompt: str, context: Mapping[str, str]) -> str:
    """The prompt, with named texts before it as material. Fences are longer than any in the text."""
    parts = []
    for name, text in context.items():
        fence = "`" * max(3, _longest_run(text) + 1)
        parts.append(f"{name}:\n{fence}\n{text.rstrip()}\n{fence}\n")
    return "\n".join([*parts, prompt])


def _longest_run(text: str) -> int:
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return longest


_PARSED = ("python", "py", "json", "toml")


def can_check(language: str | None) -> None:
    """Whether code of a language can be parsed here, asked before anything is sent.

    Raises:
        ValueError: it cannot.
    """
    if (language or "").lower() not in _PARSED:
        raise ValueError(f"check: no parser for {language!r}; there is one for python, json and toml")


def verify(answer: Answer, language: str | None, *, check: bool) -> Result[str]:
    """The code in an answer, if there is some.

    Args:
        check: also parse it; ``language`` is one that :func:`can_check` lets pass.
    """
    fenced = extract_code(answer.text)
    code = answer.text if fenced is None else fenced
    if not code.strip():
        return Rejected("the answer holds no code", answer.text, (answer,))
    if answer.status == "incomplete":
        reason = f"the answer was cut off ({answer.incomplete_reason or 'no reason given'})"
        return Rejected(reason, answer.text, (answer,))
    if check and (problem := _problem(code, language)):
        return Rejected(f"the code is not valid {language}: {problem}", answer.text, (answer,))
    return Verified(code, "parsed" if check else "code found", (answer,))


def _problem(code: str, language: str | None) -> str | None:
    try:
        match (language or "").lower():
            case "python" | "py":
                ast.parse(code)
            case "json":
                json.loads(code)
            case "toml":
                tomllib.loads(code)
            case _:
                raise ValueError(
                    f"check: no parser for {language!r} here; there is one for python, json and toml"
                )
    except SyntaxError as error:
        return f"{error.msg} (line {error.lineno})"
    except (
        ValueError,
        RecursionError,
        MemoryError,
    ) as error:  # NUL bytes, nesting too deep; JSON and TOML errors
        return str(error)
    return None


def usable(result: Result[str]) -> str:
    """The code of a verified result.

    Raises:
        UnusableCodeError: it was rejected.
    """
    if isinstance(result, Rejected):
        raise UnusableCodeError(result.reason, result.text)
    return result.value
