"""Facts that the documentation states and the code does not hold: "this may be a bug".

A suspect rests on an example, a docstring sentence or the annotations, never on a model's opinion alone,
and comes with the smallest input that shows it. At most one for each fact.
"""

import ast
import re
from collections.abc import Iterator

from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.model import INDIRECT, Call, Expectation, Observed
from kodo.jobs.execution.stated_facts import leaves_open
from kodo.jobs.testgen import render
from kodo.jobs.testgen.model import Framework, SuspectedBug
from kodo.jobs.testgen.pipeline import Pipeline
from kodo.jobs.testgen.trials import Trials
from kodo.jobs.testgen.worker.jobs import Shrink, Shrunk

# Errors that a call with arguments of the annotated types has no business to end in, unless documented.
_UNEXPECTED_ERRORS = frozenset({"TypeError", "AttributeError", "NameError", "UnboundLocalError"})
_SHRINK_SECONDS = 1.0


def find(pipeline: Pipeline, trials: Trials) -> tuple[SuspectedBug, ...]:
    """The suspects among the calls that were tried."""
    functions = {one.qualname: one for one in pipeline.functions}
    stated = list(_stated(trials))
    broken = list(_broken(trials, pipeline.invariants, functions))
    out = [
        _suspected_bug(functions[call.function], call, expect, seen, "", pipeline.options.framework)
        for call, expect, seen in stated
    ]
    if broken:
        job = Shrink(
            pipeline.worker.where,
            tuple(call for call, _, _ in broken),
            tuple(expect for _, expect, _ in broken),
            _SHRINK_SECONDS,
        )
        answers = [
            answer for answer in pipeline.worker.ask(job, 30.0 * len(broken)) if isinstance(answer, Shrunk)
        ]
        small = {answer.call.id: answer for answer in answers if answer.observed.kind != "unusable"}
        for call, expect, seen in broken:
            smallest = small.get(call.id)
            now, observed = (smallest.call, smallest.observed) if smallest else (call, seen)
            before = render.fill(call.expression, call)
            shrunk_from = before if before != render.fill(now.expression, now) else ""
            out.append(
                _suspected_bug(
                    functions[call.function], now, expect, observed, shrunk_from, pipeline.options.framework
                )
            )
    return tuple(out)


def find_pinned(pipeline: Pipeline, trials: Trials) -> dict[int, str]:
    """The calls that must not become characterisation tests, because they would pin down a suspect: number -> reason.

    Those that failed an expectation, those that make the same call, and all that end in the same slip.
    """
    functions = {one.qualname: one for one in pipeline.functions}
    failing = {_key(call) for call, _, _ in _failures(trials)}
    out: dict[int, str] = {}
    for call in trials.usable:
        seen = trials.seen[call.id]
        slip = _is_slip(call, seen, functions)
        if seen.broken or slip or _key(call) in failing:
            out[call.id] = "this may be a bug: it is reported, not turned into a test"
    return out


def _key(call: Call) -> tuple[object, ...]:
    return call.function, call.setup, render.fill(call.expression, call)


def _failures(trials: Trials) -> Iterator[tuple[Call, Expectation, Observed]]:
    """Every call that failed what is documented for it, but those that do something else each time."""
    for call in trials.calls:
        seen = trials.seen.get(call.id)
        flaky = "not deterministic" in trials.rejected.get(call.id, "")
        if call.expect is None or call.expect.basis == "code" or seen is None or flaky:
            continue
        if seen.meets is False:
            yield call, call.expect, seen


def _stated(trials: Trials) -> Iterator[tuple[Call, Expectation, Observed]]:
    """The first, which is the smallest, failing call of each example and each stated condition."""
    done: set[tuple[str, str]] = set()
    for call, expect, seen in _failures(trials):
        if (call.function, expect.quote) not in done and not _is_notation(expect, seen):
            done.add((call.function, expect.quote))
            yield call, expect, seen


def _is_notation(expect: Expectation, seen: Observed) -> bool:
    """Whether a documented text has the words of the result, in their order, and other signs: ``Key('a')`` where repr says ``<Key a>``."""
    shown = seen.after.get("repr(result)", seen.text)
    words = re.findall(r"\w+", expect.text)
    return expect.kind == "shows" and "<" in shown and words == re.findall(r"\w+", shown.strip("'\""))


def _broken(
    trials: Trials, invariants: dict[str, tuple[Expectation, ...]], functions: dict[str, Function]
) -> Iterator[tuple[Call, Expectation, Observed]]:
    """The shortest call that breaks each standing expectation, and each slip of a fully annotated function."""
    best: dict[tuple[str, str, str], tuple[Call, Expectation, Observed]] = {}
    for call in trials.usable:
        seen = trials.seen[call.id]
        failing = [invariants[call.function][at] for at in seen.broken]
        if _is_slip(call, seen, functions):
            failing.append(Expectation("raises", seen.text, "types", _signature(functions[call.function])))
        for expect in failing:
            key = (call.function, expect.kind, expect.quote)
            if key not in best or _size(call) < _size(best[key][0]):
                best[key] = (call, expect, seen)
    yield from best.values()


def _is_slip(call: Call, seen: Observed, functions: dict[str, Function]) -> bool:
    """Whether a call that was made for a function under test ended in an error that only a slip explains."""
    function = functions.get(call.function)
    if function is None or call.origin in INDIRECT or seen.kind != "raises":
        return False
    return _is_unexpected_error(call, seen, function)


def _is_unexpected_error(call: Call, seen: Observed, function: Function) -> bool:
    """Whether a type-correct call ended in an error that only a slip explains."""
    if (
        seen.text not in _UNEXPECTED_ERRORS
        or seen.error_origin != "operation"
        or call.setup
        or function.owner
    ):
        return False
    if not function.params or not all(one.typed and not leaves_open(one.type) for one in function.params):
        return False
    says_so = seen.text in function.doc or any(
        isinstance(node, ast.Raise) and node.exc is not None and seen.text in ast.unparse(node.exc)
        for node in ast.walk(function.node)
    )
    exotic = any("float('" in arg.source or "lambda" in arg.source for arg in call.args)
    return not (says_so or exotic) and call.origin not in ("model",)


def _signature(function: Function) -> str:
    args = ast.unparse(function.node.args)
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"def {function.name}({args}){returns}"


def _size(call: Call) -> int:
    return sum(len(arg.source) for arg in call.args) + 20 * len(call.setup)


def _suspected_bug(
    function: Function,
    call: Call,
    expect: Expectation,
    seen: Observed,
    shrunk_from: str,
    framework: Framework,
) -> SuspectedBug:
    slip = expect.kind == "raises" and expect.basis == "types"
    if slip:
        lines = [*call.setup, f"{render.fill(call.expression, call)}  # ends in {expect.text}"]
        expected = "a result: the arguments are of the annotated types"
    else:
        lines = render.documented(call, expect, framework)
        expected = {"raises": f"raises {expect.text}", "returns": f"a value of type {expect.text}"}.get(
            expect.kind, expect.text
        )
    name = render.name_for(call, Observed(call.id, "value"), set()) + "_may_be_a_bug"
    written = render.function(name, lines, render.comment(expect.basis, expect.quote), framework)
    got = (
        f"raises {seen.text}"
        if seen.kind == "raises"
        else seen.text or "; ".join(f"{key} = {value}" for key, value in seen.after.items())
    )
    shown = "; ".join([*call.setup, render.fill(call.expression, call)])
    return SuspectedBug(
        function.qualname,
        function.line,
        expect.basis,
        expect.quote,
        shown,
        expected,
        got,
        written.source,
        call.origin,
        shrunk_from,
    )
