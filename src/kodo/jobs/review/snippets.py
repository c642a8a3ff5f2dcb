"""A capable model proposes snippets that would show a change of behaviour; running both versions judges them.

Nothing that the model says counts: a snippet that shows no difference is dropped and counted, and the remark is the
snippet with both outputs.
"""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from kodo.client.errors import KodoError
from kodo.jobs.execution.model import Call
from kodo.jobs.execution.time_limit import Deadline
from kodo.jobs.review.changes import ChangedFile, unified
from kodo.jobs.review.checks.prompt_injection import redact_injections
from kodo.jobs.review.model_asker import ModelAsker, RequestLimitError
from kodo.jobs.review.options import ReviewOptions
from kodo.jobs.review.prompt_templates import canary_for, prompt

if TYPE_CHECKING:
    from kodo.client.session import Session

MAX_SNIPPETS = 6
MAX_LINES = 9
GROUP = "<snippets>"
"""The name under which the snippets of a module are compared."""
_ANSWER_TOKENS = 1000
_CHARACTERS_A_TOKEN = 3
_OVERHEAD_TOKENS = 1600
SCHEMA: dict[str, object] = {
    "title": "snippets",
    "type": "object",
    "properties": {"snippets": {"type": "array", "items": {"type": "string"}}},
    "required": ["snippets"],
    "additionalProperties": False,
}


class _Answer(msgspec.Struct):
    snippets: list[str]


@dataclass
class Proposer:
    """Asks for snippets, one request a changed module. Mutable, because it counts what was dropped."""

    session: Session
    options: ReviewOptions
    deadline: Deadline
    rejected: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """The way to the model, with the review's limit of requests."""
        self.asker = ModelAsker(self.session, self.options, self.deadline)

    def propose(self, file: ChangedFile, module: str) -> list[Call]:
        """Snippets about one changed module as calls; none where the model does not answer, which is noted."""
        diff = redact_injections(unified(file.before or "", file.after))
        room = (self.options.window - _OVERHEAD_TOKENS) * _CHARACTERS_A_TOKEN
        canary = canary_for(diff)
        instructions = prompt("snippets.md").format(module=module, count=MAX_SNIPPETS, canary=canary)
        try:
            answer = self.asker.ask(
                instructions, f"DIFF\n{diff[:room]}\n", schema=SCHEMA, tokens=_ANSWER_TOKENS
            )
        except RequestLimitError:
            return []
        except KodoError as error:
            self.notes.append(f"the model, asked for snippets: {error}")
            return []
        try:
            snippets = msgspec.json.decode(answer.text, type=_Answer).snippets
        except msgspec.MsgspecError:
            self.rejected["no snippets in the answer"] += 1
            return []
        calls = [call for call in map(self._call, snippets[:MAX_SNIPPETS]) if call is not None]
        return [msgspec.structs.replace(call, id=number) for number, call in enumerate(calls)]

    def _call(self, snippet: str) -> Call | None:
        """A snippet as setup and expression; None, counted, for one of another form."""
        try:
            *setup, last = ast.parse(snippet).body
        except (SyntaxError, ValueError):
            self.rejected["a snippet that does not parse"] += 1
            return None
        if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call):
            printed = last.value
            if isinstance(printed.func, ast.Name) and printed.func.id == "print" and len(printed.args) == 1:
                last = ast.Expr(printed.args[0])
        if not isinstance(last, ast.Expr) or len(snippet.strip().splitlines()) > MAX_LINES:
            self.rejected["a snippet of another form"] += 1
            return None
        lines = tuple(ast.unparse(statement) for statement in setup)
        return Call(0, GROUP, ast.unparse(last.value), (), lines, "", "model")
