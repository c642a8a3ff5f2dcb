"""The model's part, after everything else: cases for mutants that live and lines that did not run.

A small model only fills the arguments of a call, each held to its type by a JSON schema; what the call
must return is then read off the code. A capable model writes whole cases with what they rest on. Either
way code builds the call, and the call is tried, judged and chosen exactly as all others. What a model
expects is never turned round to fit the code: a case whose expectation fails is dropped, or, where the
docstring's own words stand behind it and two samples agree, reported as a possible bug.
"""

import ast
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import msgspec

from kodo.client.answer import Answer
from kodo.client.errors import KodoError
from kodo.client.session import Session
from kodo.toolkit.testgen import render
from kodo.toolkit.testgen.candidates import Maker
from kodo.toolkit.testgen.model import Basis, Call, Expectation, Options
from kodo.toolkit.testgen.pipeline import Pipeline, Tried
from kodo.toolkit.testgen.select import Arc, Chosen
from kodo.toolkit.testgen.shapes import Shape
from kodo.toolkit.testgen.target import Function
from kodo.toolkit.testgen.worker.load import LIBRARY

_AT_ONCE = 4
_MOST_FUNCTIONS = 12
_SMALL_TOKENS, _CAPABLE_TOKENS = 160, 2000
_CASES = 8
_AGREE = 2
_CASE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "title": "cases",
    "additionalProperties": False,
    "required": ["cases"],
    "properties": {
        "cases": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["setup", "call", "expected", "raises", "rests_on", "quote"],
                "properties": {
                    "setup": {"type": "array", "items": {"type": "string"}},
                    "call": {"type": "string"},
                    "expected": {"type": ["string", "null"]},
                    "raises": {"type": ["string", "null"]},
                    "rests_on": {"type": "string", "enum": ["docstring", "example", "code"]},
                    "quote": {"type": "string"},
                },
            },
        }
    },
}


class Case(msgspec.Struct, frozen=True):
    """One case as a capable model writes it."""

    setup: list[str]
    call: str
    expected: str | None
    raises: str | None
    rests_on: str
    quote: str


class Cases(msgspec.Struct, frozen=True):
    """An answer of a capable model."""

    cases: list[Case]


@dataclass(frozen=True, slots=True)
class TopUp:
    """What the model added; `notes` say what went wrong on the way, one line each."""

    tried: Tried
    chosen: tuple[Chosen, ...]
    model: str
    notes: tuple[str, ...]


class _Asking:
    """Asks for the cases of each function that has something left, and keeps the model's name and the errors."""

    def __init__(
        self,
        pipeline: Pipeline,
        session: Session,
        maker: Maker,
        left: Mapping[str, list[str]],
        had: Sequence[Call],
    ) -> None:
        self.pipeline, self.session, self.maker, self.left, self.had = pipeline, session, maker, left, had
        self.model = ""
        self.error = ""

    def send(
        self, requests: Sequence[tuple[str | Sequence[Mapping[str, Any]], Mapping[str, Any], int, int]]
    ) -> list[Answer | None]:
        """Send (input, schema, tokens, seed) requests, a few at once; None for one that failed."""

        def one(
            request: tuple[str | Sequence[Mapping[str, Any]], Mapping[str, Any], int, int],
        ) -> Answer | None:
            content, schema, tokens, seed = request
            if self.error:
                return None
            try:
                return self.session.respond(
                    content,
                    text_format=schema,
                    max_output_tokens=tokens,
                    temperature=1.0,
                    seed=seed,
                    store=False,
                    job="tests",
                )
            except KodoError as error:
                self.error = f"the model was not asked to the end: {error}"
                return None

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = list(pool.map(one, requests))
        self.model = next((answer.model for answer in answers if answer), self.model)
        return answers

    def small(self, function: Function) -> list[Call]:
        """Arguments only, one call an answer."""
        params = [param for param in function.params if not param.variadic]
        if not params:
            return []
        fields = {param.name: _schema(param.shape) for param in params}
        if any(field is None for field in fields.values()):
            return []
        schema = {
            "type": "object", "title": "arguments", "properties": fields, "required": list(fields), "additionalProperties": False,
        }  # fmt: skip
        prompt = _prompt("small", source=_source(function), calls=self._calls(function, 4))
        options = self.pipeline.options
        answers = self.send(
            [(prompt, schema, _SMALL_TOKENS, options.seed + at) for at in range(options.samples)]
        )
        rows: list[tuple[str, ...]] = []
        for answer in answers:
            values = _object(answer.text) if answer else None
            if values is not None and set(values) == set(fields):
                rows.append(tuple(_value(values[param.name], param.shape) for param in params))
        return self.maker.from_arguments(function, dict.fromkeys(rows))

    def capable(self, function: Function) -> list[Call]:
        """Whole cases, best of N; those that cannot be read go back with the reason, for a few turns."""
        module, options = self.pipeline.worker.module, self.pipeline.options
        prompt = _prompt(
            "capable",
            source=_source(function),
            names=", ".join(sorted({*module.defined, *LIBRARY})),
            calls=self._calls(function, 8),
            living="\n".join(self.left[function.qualname][:12]) or "(nothing known)",
            count=str(_CASES),
        )
        cases: list[Case] = []
        talks: list[list[dict[str, Any]]] = [
            [{"role": "user", "content": prompt}] for _ in range(options.samples)
        ]
        for turn in range(options.repairs + 1):
            answers = self.send(
                [
                    (talk, _CASE_SCHEMA, _CAPABLE_TOKENS, options.seed + at + 100 * turn)
                    for at, talk in enumerate(talks)
                ]
            )
            again: list[list[dict[str, Any]]] = []
            for talk, answer in zip(talks, answers, strict=True):
                if answer is None:
                    continue
                read, problems = _read_cases(answer.text, function)
                cases += read
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
        return self.maker.from_cases(
            [_call(case, function, _votes(cases)[_key(case)]) for case in _unique(cases)]
        )

    def _calls(self, function: Function, count: int) -> str:
        shown = [
            render.fill(call.expression, call) for call in self.had if call.function == function.qualname
        ]
        return "\n".join(shown[:count]) or "(none)"


def top_up(
    pipeline: Pipeline, session: Session, maker: Maker, chosen: Sequence[Chosen], tried: Tried
) -> TopUp:
    """Ask the model for what is left, and choose among its calls as among all others.

    An error of the client ends the asking, not the job: what came until then is used and a note says so.
    """
    covered: frozenset[Arc] = frozenset(arc for one in chosen for arc in tried.seen[one.call.id].arcs)
    dead = frozenset(mutant for one in chosen for mutant in one.kills)
    left = _left(pipeline, covered, dead)
    asking = _Asking(pipeline, session, maker, left, [one.call for one in chosen])
    wanted = [one for one in pipeline.functions if one.qualname in left][:_MOST_FUNCTIONS]
    ask = asking.capable if pipeline.options.model_size == "capable" else asking.small
    calls = [call for function in wanted for call in (ask(function) if pipeline.options.samples else [])]
    notes = (asking.error,) if asking.error else ()
    name = asking.model or session.settings.model or "none"
    again = pipeline.attempt(calls)
    again = again.without(
        {number: reason for number, reason in _unfounded(again).items() if number not in again.fell}
    )
    more = pipeline.choose(
        again, pipeline.kills(again, only=frozenset(one.id for one in pipeline.places) - dead), covered, dead
    )
    return TopUp(again, tuple(more), name, notes)


def bound(functions: Sequence[Function], options: Options) -> tuple[int, int]:
    """The most requests, and tokens in and out, for these functions. A token is at least one byte."""
    capable = options.model_size == "capable"
    turns, out = (options.repairs + 1, _CAPABLE_TOKENS) if capable else (1, _SMALL_TOKENS)
    requests = tokens = 0
    longest = sorted((len(_source(one).encode()) for one in functions), reverse=True)[:_MOST_FUNCTIONS]
    for source in longest:
        for turn in range(turns):
            requests += options.samples
            tokens += options.samples * (source + 6000 + out + turn * (out + 4000))
    return requests, tokens


def _left(pipeline: Pipeline, covered: frozenset[Arc], dead: frozenset[int]) -> dict[str, list[str]]:
    """Function -> what its tests do not see yet, in words; functions where nothing is left are left out."""
    ran = {line for arc in covered for line in arc}
    out: dict[str, list[str]] = {}
    for place in pipeline.places:
        if place.id not in dead:
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


def _unfounded(tried: Tried) -> dict[int, str]:
    """The model's expectations that failed: dropped, unless the documentation stands behind them."""
    return {
        call.id: f"the model expected {call.expect.text}, which the code does not do and no documentation says"
        for call in tried.calls
        if call.expect is not None
        and call.expect.basis == "code"
        and (seen := tried.seen.get(call.id)) is not None
        and seen.meets is False
    }


def _prompt(name: str, **parts: str) -> str:
    text = (files("kodo.toolkit.testgen") / "prompts" / f"{name}.md").read_text(encoding="utf-8")
    for part, value in parts.items():
        text = text.replace("{" + part + "}", value)
    return text


def _source(function: Function) -> str:
    return ast.unparse(function.node)


def _schema(shape: Shape) -> dict[str, Any] | None:
    """The JSON schema of a shape; None for what JSON cannot hold."""
    match shape.kind:
        case "int":
            return {"type": "integer", "minimum": -10000, "maximum": 10000}
        case "float" | "decimal":
            return {"type": "number", "minimum": -10000, "maximum": 10000}
        case "bool":
            return {"type": "boolean"}
        case "str":
            return {"type": "string", "maxLength": 40}
        case "none":
            return {"type": "null"}
        case "any":
            return {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 20}]}
        case "list" | "tuple" | "set" | "frozenset":
            inner = _schema(shape.args[0]) if shape.args else {"type": "integer"}
            return None if inner is None else {"type": "array", "items": inner, "maxItems": 6}
        case "dict":
            inner = _schema(shape.args[1]) if shape.args[0].kind in ("str", "any") else None
            return (
                None
                if inner is None
                else {"type": "object", "additionalProperties": inner, "maxProperties": 4}
            )
        case "union":
            parts = [_schema(arg) for arg in shape.args]
            return None if None in parts else {"anyOf": parts}
        case _:
            return None


def _value(value: object, shape: Shape) -> str:
    """The source of a JSON value as a value of the shape."""
    if shape.kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return repr(float(value))
    if shape.kind == "decimal":
        return f"decimal.Decimal({str(value)!r})"
    if shape.kind == "tuple" and isinstance(value, list):
        return repr(tuple(value))
    if shape.kind in ("set", "frozenset") and isinstance(value, list):
        items = ", ".join(map(repr, value))
        return f"frozenset([{items}])" if shape.kind == "frozenset" else f"{{{items}}}" if items else "set()"
    return repr(value)


def _object(text: str) -> dict[str, object] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _read_cases(text: str, function: Function) -> tuple[list[Case], list[str]]:
    """The cases that can be used, and what is wrong with the others."""
    try:
        cases = msgspec.json.decode(text, type=Cases).cases
    except msgspec.DecodeError as error:
        return [], [f"the answer is not JSON of the form asked for: {error}"]
    good: list[Case] = []
    problems: list[str] = []
    for case in cases:
        wrong = _wrong(case, function)
        if wrong:
            problems.append(f"{case.call[:200]}: {wrong}")
        else:
            good.append(case)
    return good, problems


def _wrong(case: Case, function: Function) -> str:
    """Why a case cannot be used; empty if it can."""
    try:
        tree = ast.parse(case.call, mode="eval")
        for line in case.setup:
            ast.parse(line)
        if case.expected is not None:
            ast.parse(case.expected, mode="eval")
    except (SyntaxError, ValueError) as error:
        return f"it does not parse: {error}"
    name = function.owner if function.name == "__init__" else function.name
    named = {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(tree)}
    if name not in named and not name.startswith("__"):
        return f"it does not call {name}"
    if (case.expected is None) == (case.raises is None):
        return "exactly one of expected and raises must be given"
    if case.raises is not None and not case.raises.replace(".", "").isidentifier():
        return "raises must be the name of an exception"
    return ""


def _key(case: Case) -> tuple[object, ...]:
    return tuple(case.setup), case.call, case.expected, case.raises


def _votes(cases: Sequence[Case]) -> Counter[tuple[object, ...]]:
    return Counter(map(_key, cases))


def _unique(cases: Sequence[Case]) -> list[Case]:
    return list({_key(case): case for case in cases}.values())


def _call(case: Case, function: Function, votes: int) -> Call:
    """A call with the model's expectation; it counts as documented only if the quote is there and samples agree."""
    quoted = len(case.quote) > 10 and " ".join(case.quote.split()) in " ".join(function.doc.split())
    founded = quoted and votes >= _AGREE and case.rests_on in ("docstring", "example")
    basis: Basis = ("example" if case.rests_on == "example" else "docstring") if founded else "code"
    if case.raises is not None:
        expect = Expectation("raises", case.raises.rsplit(".", 1)[-1], basis, case.quote)
    else:
        expect = Expectation("value", case.expected or "None", basis, case.quote)
    receiver = (
        case.setup[0].split("=")[0].strip() if case.setup and function.owner and "=" in case.setup[0] else ""
    )
    return Call(
        0,
        function.qualname,
        case.call,
        (),
        tuple(case.setup),
        receiver if receiver.isidentifier() else "",
        "model",
        expect,
    )
