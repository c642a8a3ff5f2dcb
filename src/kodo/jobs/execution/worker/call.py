"""Make one call and write down what it did: result, error, output, changes, and the arcs it ran.

Everything here happens in a child of the worker. What cannot be written as an assertion is ``unusable``,
with the reason.
"""

import asyncio
import contextlib
import copy
import doctest
import inspect
import io
import itertools
import shutil
import sys
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kodo.jobs.execution.model import Call, Expectation, Observed
from kodo.jobs.execution.worker import literal
from kodo.jobs.execution.worker.conform import conforms
from kodo.jobs.execution.worker.load import TooLong, time_limit

_LONGEST_ITERATOR = 50
_UNASSERTABLE = (MemoryError, RecursionError, KeyboardInterrupt, GeneratorExit)
_DOCTEST_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# What sys.settrace takes, which refers to itself; typeshed has it under a private name.
Trace = Callable[[types.FrameType, str, Any], Any]


@dataclass
class Arcs:
    """The pairs of lines of one file that ran one after the other, in the same frame. -1 is entry."""

    filename: str
    seen: set[tuple[int, int]] = field(default_factory=set)

    def __call__(self, frame: types.FrameType, event: str, argument: Any) -> Trace | None:
        """The global trace function."""
        if frame.f_code.co_filename != self.filename or frame.f_code.co_name == "<module>":
            return None
        previous = -frame.f_code.co_firstlineno

        def local(frame: types.FrameType, event: str, argument: Any) -> Trace | None:
            nonlocal previous
            if event == "line":
                self.seen.add((previous, frame.f_lineno))
                previous = frame.f_lineno
            elif event == "return":
                self.seen.add((previous, -frame.f_code.co_firstlineno))
            return local

        return local


@dataclass
class Ran:
    """The raw result of a call, before it is written down."""

    result: object = None
    error: BaseException | None = None
    output: str = ""
    wrap: str = ""
    before: dict[str, str] = field(default_factory=dict)
    originals: dict[str, object] = field(default_factory=dict)
    skipped: list[int] = field(default_factory=list)


class Unusable(Exception):
    """The call says nothing a test could assert; the message is the reason."""


def observe(
    call: Call,
    names: dict[str, object],
    defined: dict[str, object],
    invariants: tuple[Expectation, ...],
    seconds: float,
    arcs: Arcs | None,
) -> Observed:
    """Run a call in a fresh copy of ``names`` and write down what it did."""
    space = dict(names)
    started = time.perf_counter()
    try:
        ran = _run(call, space, defined, seconds, arcs)
        spent = time.perf_counter() - started
        left = list(Path.cwd().iterdir())
        if left:
            _clear(left)
            raise Unusable("it leaves files behind")
        return _write_down(call, ran, space, defined, invariants, arcs, spent)
    except TooLong:
        return Observed(call.id, "timeout", f"not done after {seconds:g} s")
    except Unusable as error:
        return Observed(call.id, "unusable", str(error))


def _run(
    call: Call, space: dict[str, object], defined: dict[str, object], seconds: float, arcs: Arcs | None
) -> Ran:
    ran = Ran()
    output = io.StringIO()
    with time_limit(seconds), contextlib.redirect_stdout(output):
        try:
            for at, arg in enumerate(call.args):
                space[f"_{at}"] = eval(arg.source, space)  # noqa: S307 - in the sandbox; running it is the point
                ran.originals[f"_{at}"] = (
                    copy.deepcopy(space[f"_{at}"]) if not inspect.isgenerator(space[f"_{at}"]) else None
                )
        except TooLong:
            raise
        except BaseException as error:  # noqa: BLE001 - generated code may raise anything
            raise Unusable(f"its inputs cannot be made: {type(error).__name__}") from None
        _set_up(call, space, ran)
        output.seek(0)
        output.truncate()
        ran.before = _state(call, space, defined)
        previous = sys.gettrace()
        if arcs is not None:
            sys.settrace(arcs)
        try:
            result = eval(call.expression, space)  # noqa: S307 - in the sandbox; running it is the point
            if inspect.iscoroutine(result):
                ran.wrap = "asyncio.run"
                result = asyncio.run(result)
            elif isinstance(result, Iterator):
                ran.wrap = "list"
                result = list(itertools.islice(result, _LONGEST_ITERATOR + 1))
            ran.result = result
        except TooLong:
            raise
        except BaseException as error:  # noqa: BLE001 - generated code may raise anything, and a test may assert it
            ran.error = error
        finally:
            sys.settrace(previous)
    ran.output = output.getvalue()
    return ran


def _set_up(call: Call, space: dict[str, object], ran: Ran) -> None:
    """Run the setup; of statements that we made up ourselves, those that raise are left out."""
    for at, statement in enumerate(call.setup):
        try:
            exec(statement, space)  # noqa: S102 - in the sandbox; running it is the point
        except TooLong:
            raise
        except BaseException as error:  # noqa: BLE001 - generated code may raise anything
            if at == 0 or not call.receiver:
                raise Unusable(f"its inputs cannot be made: {type(error).__name__}") from None
            ran.skipped.append(at)


def _state(call: Call, space: dict[str, object], defined: dict[str, object]) -> dict[str, str]:
    """Source of what a call may change: mutable arguments, and the receiver's public attributes and length."""
    out: dict[str, str] = {}
    for at in range(len(call.args)):
        value = space[f"_{at}"]
        if isinstance(value, list | dict | set | bytearray):
            with contextlib.suppress(literal.NoSource):
                out[f"_{at}"] = literal.source(value, defined)
    receiver = space.get(call.receiver) if call.receiver else None
    if receiver is not None:
        for name, text in literal.attributes(receiver, defined).items():
            out[f"{call.receiver}.{name}"] = text
        if hasattr(type(receiver), "__len__"):
            with contextlib.suppress(Exception):  # an instance in a bad state has no length to compare
                out[f"len({call.receiver})"] = str(len(receiver))  # type: ignore[arg-type] # it has __len__
    return out


def _write_down(
    call: Call,
    ran: Ran,
    space: dict[str, object],
    defined: dict[str, object],
    invariants: tuple[Expectation, ...],
    arcs: Arcs | None,
    spent: float,
) -> Observed:
    after = _state(call, space, defined)
    changed = {name: text for name, text in after.items() if ran.before.get(name) != text}
    seen = tuple(sorted(arcs.seen)) if arcs else ()
    meets = _meets(call.expect, ran, changed, space, defined) if call.expect else None
    if ran.error is not None:
        name = _exception_name(ran.error, defined)
        on_purpose = not _raised_in_target(ran.error, arcs.filename if arcs else "")
        return Observed(
            call.id,
            "raises",
            name,
            ran.wrap,
            ran.output,
            changed,
            meets,
            skipped=tuple(ran.skipped),
            raised_in_target=not on_purpose,
            arcs=seen,
            seconds=spent,
        )
    broken = tuple(
        at for at, one in enumerate(invariants) if _meets(one, ran, changed, space, defined) is False
    )
    text, wrap = "", ran.wrap
    if any(_hidden_nan(value) for value in changed.values()):
        raise Unusable("a value holds a NaN, which equals nothing")
    if isinstance(ran.result, list) and wrap == "list" and len(ran.result) > _LONGEST_ITERATOR:
        raise Unusable(f"it yields more than {_LONGEST_ITERATOR} values")
    try:
        text = literal.source(ran.result, defined)
        if _hidden_nan(text) and text != "float('nan')":
            raise Unusable("a value holds a NaN, which equals nothing")
    except literal.NoSource as error:
        found = literal.attributes(ran.result, defined)
        kind = type(ran.result).__name__
        if kind not in defined or wrap:
            raise Unusable(str(error)) from None
        wrap = f"isinstance:{kind}"
        changed |= {f"result.{name}": value for name, value in found.items()}
    return Observed(
        call.id,
        "value",
        text,
        wrap,
        ran.output,
        changed,
        meets,
        broken,
        tuple(ran.skipped),
        arcs=seen,
        seconds=spent,
    )


def _hidden_nan(text: str) -> bool:
    return "float('nan')" in text


def _exception_name(error: BaseException, defined: dict[str, object]) -> str:
    kind = type(error)
    if isinstance(error, _UNASSERTABLE):
        raise Unusable(f"it ends in {kind.__name__}")
    if kind.__module__ == "builtins" or defined.get(kind.__name__) is kind:
        return kind.__name__
    if "<locals>" in kind.__qualname__ or kind.__module__.startswith("_"):
        raise Unusable(f"{kind.__name__} cannot be imported")
    return f"{kind.__module__}.{kind.__qualname__}"


def _raised_in_target(error: BaseException, filename: str) -> bool:
    """Whether an operation in the target failed, as against a ``raise`` or an error of what it called."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or last.tb_frame.f_code.co_filename != filename:
        return False
    lines, start = inspect.getsourcelines(last.tb_frame.f_code)
    at = last.tb_lineno - max(start, 1)
    return not (0 <= at < len(lines) and lines[at].lstrip().startswith(("raise", "assert")))


def _meets(
    expect: Expectation,
    ran: Ran,
    changed: dict[str, str],
    space: dict[str, object],
    defined: dict[str, object],
) -> bool | None:
    """Whether an expectation held; None where it says nothing about this outcome."""
    if expect.kind == "raises":
        return ran.error is not None and any(kind.__name__ == expect.text for kind in type(ran.error).__mro__)
    if ran.error is not None:
        return False if expect.kind in ("value", "shows") else None
    if expect.kind == "returns":
        return conforms(ran.result, expect.text, space) if not ran.wrap or ran.wrap == "asyncio.run" else None
    if expect.kind == "shows":
        shown = ran.output if ran.result is None else f"{ran.output}{ran.result!r}\n"
        return doctest.OutputChecker().check_output(expect.text + "\n", shown, _DOCTEST_FLAGS)
    if expect.text == "unchanged":
        return not any(name.startswith("_") for name in changed)
    try:
        if expect.kind == "value":
            return _equal(eval(expect.text, dict(space)), ran.result)  # noqa: S307 - in the sandbox
        return bool(eval(expect.text, {**space, **ran.originals, "result": ran.result}))  # noqa: S307 - in the sandbox
    except Exception:  # noqa: BLE001 - the result may be anything; a property that cannot be asked says nothing
        return None


def _equal(wanted: object, got: object) -> bool:
    if isinstance(wanted, float) and isinstance(got, int | float):
        return (
            wanted == got
            or abs(wanted - got) <= 1e-9 * max(abs(wanted), abs(got))
            or (wanted != wanted and got != got)
        )
    return bool(wanted == got)


def _clear(paths: list[Path]) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
