"""The model's part, after everything else: cases for mutants that survived and lines that did not run.

A small model only fills the arguments of a call, each held to its type by a JSON schema; what the call
must return is then read off the code. A capable model writes whole cases with what they rest on. Either
way code builds the call, and the call is tried, judged and chosen exactly as all others. What a model
expects is never turned round to fit the code: a case whose expectation fails is dropped, or, where the
docstring's own words stand behind it and two samples agree, reported as a possible bug.
"""

import ast
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from kodo.client.answer import Answer
from kodo.client.errors import KodoError
from kodo.client.session import Session
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.load import LIBRARY
from kodo.jobs.testgen import argument_schema, render
from kodo.jobs.testgen.cases import SCHEMA, ModelCase, calls, read
from kodo.jobs.testgen.model import Options
from kodo.jobs.testgen.pipeline import Pipeline
from kodo.jobs.testgen.select import Arc, Chosen
from kodo.jobs.testgen.trials import Trials

_MAX_CONCURRENT = 4
_MAX_FUNCTIONS = 12
_SMALL_TOKENS, _CAPABLE_TOKENS = 160, 2000
_CASES = 8
Request = tuple[str | Sequence[Mapping[str, Any]], Mapping[str, Any], int]
"""Input, schema and the most tokens of an answer."""


@dataclass(frozen=True, slots=True)
class ModelCases:
    """What the model added; ``notes`` say what went wrong on the way, one line each."""

    trials: Trials
    chosen: tuple[Chosen, ...]
    model: str
    notes: tuple[str, ...]


class _CaseRequests:
    """Asks for the cases of each function that has something left, and keeps the model's name and the errors."""

    def __init__(
        self,
        pipeline: Pipeline,
        session: Session,
        generator: CandidateGenerator,
        left: Mapping[str, list[str]],
        kept_calls: Sequence[Call],
    ) -> None:
        self.pipeline, self.session, self.generator, self.left, self.kept_calls = (
            pipeline,
            session,
            generator,
            left,
            kept_calls,
        )
        self.model = ""
        self.error = ""

    def send(self, requests: Sequence[Request]) -> list[Answer | None]:
        """Send requests, a few in parallel; None for one that failed."""

        def one(
            request: Request,
        ) -> Answer | None:
            content, schema, tokens = request
            if self.error:
                return None
            try:
                return self.session.respond(
                    content,
                    text_format=schema,
                    max_output_tokens=tokens,
                    temperature=1.0,
                    store=False,
                    job="tests",
                )
            except KodoError as error:
                self.error = f"the model was not asked to the end: {error}"
                return None

        with ThreadPoolExecutor(_MAX_CONCURRENT) as pool:
            answers = list(pool.map(one, requests))
        self.model = next((answer.model for answer in answers if answer), self.model)
        return answers

    def small(self, function: Function) -> list[Call]:
        """Arguments only, one call an answer."""
        params = [param for param in function.params if not param.variadic]
        if not params:
            return []
        fields = {param.name: argument_schema.schema(param.type) for param in params}
        if any(field is None for field in fields.values()):
            return []
        schema = {
            "type": "object", "title": "arguments", "properties": fields, "required": list(fields), "additionalProperties": False,
        }  # fmt: skip
        prompt = _prompt("small", source=_source(function), calls=self._calls(function, 4))
        answers = self.send([(prompt, schema, _SMALL_TOKENS)] * self.pipeline.options.samples)
        rows: list[tuple[str, ...]] = []
        for answer in answers:
            values = _object(answer.text) if answer else None
            if values is not None and set(values) == set(fields):
                rows.append(tuple(argument_schema.source(values[param.name], param.type) for param in params))
        return self.generator.from_arguments(function, dict.fromkeys(rows))

    def capable(self, function: Function) -> list[Call]:
        """Whole cases, best of N; those that cannot be read go back with the reason, for a few turns."""
        module, options = self.pipeline.worker.module, self.pipeline.options
        prompt = _prompt(
            "capable",
            source=_source(function),
            names=", ".join(sorted({*module.defined, *LIBRARY})),
            calls=self._calls(function, 8),
            survived="\n".join(self.left[function.qualname][:12]) or "(nothing known)",
            count=str(_CASES),
        )
        cases: list[ModelCase] = []
        talks: list[list[dict[str, Any]]] = [
            [{"role": "user", "content": prompt}] for _ in range(options.samples)
        ]
        for _ in range(options.repairs + 1):
            answers = self.send([(talk, SCHEMA, _CAPABLE_TOKENS) for talk in talks])
            again: list[list[dict[str, Any]]] = []
            for talk, answer in zip(talks, answers, strict=True):
                if answer is None:
                    continue
                good, problems = read(answer.text, function)
                cases += good
                if problems:
                    repair = _prompt("repair", problems="\n".join(f"- {one}" for one in problems))
                    again.append(
                        [
                            *talk,
                            {"role": "assistant", "content": answer.text},
                            {"role": "user", "content": repair},
                        ]
                    )
            talks = again
            if not talks:
                break
        return self.generator.from_cases(calls(cases, function))

    def _calls(self, function: Function, count: int) -> str:
        shown = [
            render.fill(call.expression, call)
            for call in self.kept_calls
            if call.function == function.qualname
        ]
        return "\n".join(shown[:count]) or "(none)"


def request_cases(
    pipeline: Pipeline,
    session: Session,
    generator: CandidateGenerator,
    chosen: Sequence[Chosen],
    trials: Trials,
) -> ModelCases:
    """Ask the model for what is left, and choose among its calls as among all others.

    An error of the client ends the asking, not the job: what came until then is used and a note says so.
    """
    covered: frozenset[Arc] = frozenset(arc for one in chosen for arc in trials.seen[one.call.id].arcs)
    killed = frozenset(mutant for one in chosen for mutant in one.kills)
    left = _uncovered(pipeline, covered, killed)
    asking = _CaseRequests(pipeline, session, generator, left, [one.call for one in chosen])
    wanted = [one for one in pipeline.functions if one.qualname in left][:_MAX_FUNCTIONS]
    ask = asking.capable if pipeline.options.model_size == "capable" else asking.small
    proposed = [call for function in wanted for call in (ask(function) if pipeline.options.samples else [])]
    notes = (asking.error,) if asking.error else ()
    name = asking.model or session.settings.model or "none"
    again = pipeline.attempt(proposed)
    again = again.without(
        {number: reason for number, reason in _unfounded(again).items() if number not in again.rejected}
    )
    more = pipeline.choose(
        again,
        pipeline.kills(again, only=frozenset(one.id for one in pipeline.places) - killed),
        covered,
        killed,
    )
    return ModelCases(again, tuple(more), name, notes)


def bound(functions: Sequence[Function], options: Options) -> tuple[int, int]:
    """The most requests, and tokens in and out, for these functions. A token is at least one byte."""
    capable = options.model_size == "capable"
    turns, out = (options.repairs + 1, _CAPABLE_TOKENS) if capable else (1, _SMALL_TOKENS)
    requests = tokens = 0
    longest = sorted((len(_source(one).encode()) for one in functions), reverse=True)[:_MAX_FUNCTIONS]
    for source in longest:
        for turn in range(turns):
            requests += options.samples
            tokens += options.samples * (source + 6000 + out + turn * (out + 4000))
    return requests, tokens


def _uncovered(pipeline: Pipeline, covered: frozenset[Arc], killed: frozenset[int]) -> dict[str, list[str]]:
    """Function -> what its tests do not see yet, in words; functions where nothing is left are left out."""
    ran = {line for arc in covered for line in arc}
    out: dict[str, list[str]] = {}
    for place in pipeline.places:
        if place.id not in killed:
            out.setdefault(place.function, []).append(f"line {place.line}: {place.change}")
    for function in pipeline.functions:
        body = {
            node.lineno
            for statement in function.node.body
            for node in ast.walk(statement)
            if isinstance(node, ast.stmt)
        }
        missed = sorted(
            line
            for line in body
            if line not in ran and not (function.doc and line == function.node.body[0].lineno)
        )
        if missed:
            out.setdefault(function.qualname, []).append(
                f"lines that did not run: {', '.join(map(str, missed))}"
            )
    return out


def _unfounded(trials: Trials) -> dict[int, str]:
    """The model's expectations that failed: dropped, unless the documentation stands behind them."""
    return {
        call.id: f"the model expected {call.expect.text}, which the code does not do and no documentation says"
        for call in trials.calls
        if call.expect is not None
        and call.expect.basis == "code"
        and (seen := trials.seen.get(call.id)) is not None
        and seen.meets is False
    }


def _prompt(name: str, **parts: str) -> str:
    text = (files("kodo.jobs.testgen") / "prompts" / f"{name}.md").read_text(encoding="utf-8")
    for part, value in parts.items():
        text = text.replace("{" + part + "}", value)
    return text


def _source(function: Function) -> str:
    return ast.unparse(function.node)


def _object(text: str) -> dict[str, object] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
