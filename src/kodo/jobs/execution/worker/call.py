"""Make one call and write down what it did: result, error, output, changes, and the arcs it ran.

Everything here happens in a child of the worker. What cannot be written as an assertion is ``unusable``,
with the reason.
"""

import contextlib
import copy
import functools
import importlib
import inspect
import io
import itertools
import os
import re
import shutil
import sys
import time
import types
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Set,
)
from pathlib import Path
from typing import Any, TypeGuard, cast

import msgspec

from kodo.jobs.execution.model import IN_LOOP, Call, Expectation, Observed
from kodo.jobs.execution.worker import literal
from kodo.jobs.execution.worker.arcs import Arcs, current_trace, seems_untraced
from kodo.jobs.execution.worker.errors import importable_name, origin
from kodo.jobs.execution.worker.expectation import meets
from kodo.jobs.execution.worker.facts import facts, texts
from kodo.jobs.execution.worker.fixtures import fixtures, written_files
from kodo.jobs.execution.worker.held_parts import parts
from kodo.jobs.execution.worker.load import TooLong, cpu_limit, time_limit
from kodo.jobs.execution.worker.mock_calls import answer, forget, is_mock, mock_calls, recorded
from kodo.jobs.execution.worker.raw_result import RawResult
from kodo.jobs.execution.worker.result_uses import uses

_LONGEST_ITERATOR = 50
FIRST_ITEMS = 5
"""Of an iterator that yields more than can be written down, the items that a test asks for."""
_BUILT_IN_CONTAINERS = (str, bytes, bytearray, list, tuple, dict, set, frozenset, range)
"""Those whose source is a literal."""
_SETS = re.compile(r"setattr\((\w+), '(\w+)', _0\)")
"""A call that sets a property."""
_UNASSERTABLE = (MemoryError, RecursionError, KeyboardInterrupt, GeneratorExit)


class Unusable(Exception):
    """The call says nothing a test could assert; the message is the reason, ``uses`` what can be done with the result.
    ``stopped`` is the statement of the setup that raised something else than an AssertionError, -1 for none.
    """

    def __init__(self, reason: str, uses: tuple[str, ...] = (), stopped: int = -1) -> None:
        super().__init__(reason)
        self.uses = uses
        self.stopped = stopped


def observe(
    call: Call,
    names: dict[str, object],
    defined: dict[str, object],
    invariants: tuple[Expectation, ...],
    seconds: float,
    arcs: Arcs | None,
    *,
    package: str = "",
) -> Observed:
    """Run a call in a fresh copy of ``names`` and write down what it did; with a ``package``, also its objects that the result holds."""
    with fixtures(call) as made:
        return _observe(call, {**names, **made}, defined, invariants, seconds, arcs, package)


def _observe(
    call: Call,
    space: dict[str, object],
    defined: dict[str, object],
    invariants: tuple[Expectation, ...],
    seconds: float,
    arcs: Arcs | None,
    package: str,
) -> Observed:
    started = time.perf_counter()
    before = _files_here()
    try:
        is_asked = call.expect is not None or bool(invariants)
        ran = run_call(
            call,
            space,
            defined,
            seconds,
            arcs,
            originals=is_asked,
            parts=True,
            as_source=True,
            limit=cpu_limit,
        )
        spent = time.perf_counter() - started
        if left := _files_here() - before:
            _clear(map(Path, left))
            raise Unusable("it leaves files behind")
        seen = _write_down(call, ran, space, defined, invariants, arcs, spent)
        if package and seen.kind == "value" and not ran.wrap:
            return msgspec.structs.replace(seen, parts=parts(ran.result, package))
        return seen
    except TooLong:
        return Observed(call.id, "timeout", f"not done after {seconds:g} s")
    except Unusable as error:
        ran_lines = tuple(sorted(arcs.seen)) if arcs else ()
        return Observed(call.id, "unusable", str(error), uses=error.uses, arcs=ran_lines)
    except Exception as error:  # noqa: BLE001 - values of foreign classes may raise anything while they are looked at
        return Observed(call.id, "unusable", f"its result cannot be looked at: {type(error).__name__}")


def run_call(
    call: Call,
    space: dict[str, object],
    defined: dict[str, object],
    seconds: float,
    arcs: Arcs | None,
    *,
    originals: bool = True,
    parts: bool = False,
    in_loop: bool = False,
    as_source: bool = False,
    limit: Callable[[float], contextlib.AbstractContextManager[None]] = time_limit,
) -> RawResult:
    """Make the inputs in ``space``, run the setup, and make the call; ``originals``: keep copies of the inputs as they were;
    ``parts``: read the iterators in a tuple that is returned; ``in_loop``: make it all in a running event loop where it needs one;
    ``as_source``: mocks keep what the setup told them, as they do in a test;
    ``limit``: the clock that ``seconds`` are of.

    Raises:
        TooLong: it was not done after ``seconds``.
        Unusable: its inputs cannot be made.
    """
    ran = RawResult()
    output = io.StringIO()
    with limit(seconds), contextlib.redirect_stdout(output), seems_untraced():

        def begin() -> object:
            """Make the inputs, and with these the call."""
            with arcs.preparing() if arcs is not None else contextlib.nullcontext():
                _make_arguments(call, space, ran, originals=originals)
                _set_up(call, space, ran)
            if not as_source:
                forget(call, space)
            output.seek(0)
            output.truncate()
            ran.before = state(call, space, defined, as_source=as_source)
            ran.has_begun = True
            sys.settrace(arcs if arcs is not None else previous)
            return eval(_code(call.expression, "eval"), space)  # noqa: S307 - in the sandbox; running it is the point

        previous = current_trace()
        try:
            try:
                result = begin()
                ran.result = result if as_source and is_mock(result) else _read(result, ran, parts=parts)
            except RuntimeError as error:
                if not (in_loop and _lacks_loop(error)):
                    raise
                sys.settrace(previous)
                ran.wrap, ran.has_begun, ran.skipped = IN_LOOP, False, []
                ran.result = _run_async(_awaited(begin))
        except (TooLong, Unusable):
            raise
        except BaseException as error:  # noqa: BLE001 - generated code may raise anything, and a test may assert it
            if not ran.has_begun:
                raise Unusable(f"its inputs cannot be made: {type(error).__name__}") from None
            ran.error = error
        finally:
            sys.settrace(previous)
    ran.output = output.getvalue()
    return ran


@functools.lru_cache(maxsize=20_000)
def _code(source: str, mode: str) -> types.CodeType:
    """A piece of a call, compiled once: a mutant is tried on the calls that the last one was tried on."""
    return compile(source.lstrip(" \t"), "<string>", mode, dont_inherit=True)


def compile_ahead(calls: Iterable[Call]) -> None:
    """Compile the pieces of calls before the children are forked that make them; of those that do not compile, the calls say so."""
    for call in calls:
        with contextlib.suppress(SyntaxError, ValueError, RecursionError):
            _code(call.expression, "eval")
            for arg in call.args:
                _code(arg.source, "eval")
            for statement in call.setup:
                _code(statement, "exec")


def _make_arguments(call: Call, space: dict[str, object], ran: RawResult, *, originals: bool) -> None:
    for at, arg in enumerate(call.args):
        space[f"_{at}"] = eval(_code(arg.source, "eval"), space)  # noqa: S307 - in the sandbox; running it is the point
        if originals:
            _keep(f"_{at}", space[f"_{at}"], ran)


def _read(result: object, ran: RawResult, *, parts: bool) -> object:
    """What a call gave, with what it promises: a coroutine is awaited, items are taken from iterators."""
    if inspect.iscoroutine(result):
        ran.wrap = "asyncio.run"
        return _run_async(result)
    if isinstance(result, AsyncIterator):
        ran.wrap = "async list"
        return _run_async(_first_items(result))
    if isinstance(result, Iterator):
        ran.wrap = "list"
        return list(itertools.islice(result, _LONGEST_ITERATOR + 1))
    if parts and _holds_iterators(result):
        ran.wrap = "each list"
        return [list(itertools.islice(one, _LONGEST_ITERATOR + 1)) for one in result]
    return result


async def _awaited(begin: Callable[[], object]) -> object:
    """What a call gives that is begun while a loop runs."""
    result = begin()
    if inspect.iscoroutine(result):
        return await result
    return await _first_items(result) if inspect.isasyncgen(result) else result


def _lacks_loop(error: RuntimeError) -> bool:
    """Whether something was made that belongs to a running event loop, such as a future."""
    return "no running event loop" in str(error) or "not currently running on any" in str(error).lower()


def _keep(name: str, value: object, ran: RawResult) -> None:
    """Copy an input before the call; of one that cannot be copied, as a frozen class with slots, that is noted."""
    try:
        ran.originals[name] = None if inspect.isgenerator(value) else copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - foreign code may raise anything; the call itself can be made all the same
        ran.uncopied = True


def _holds_iterators(result: object) -> TypeGuard[tuple[Iterator[object], ...]]:
    """Whether a result is a tuple of iterators, which show what they are only where each is read."""
    return type(result) is tuple and bool(result) and all(isinstance(one, Iterator) for one in result)


def _run_async(work: Coroutine[Any, Any, object]) -> object:
    return importlib.import_module("asyncio").run(
        work
    )  # here: half of the worker's start, and few modules need it


async def _first_items(items: AsyncIterator[object]) -> list[object]:
    """What an asynchronous iterator yields, up to one more than the bound."""
    out: list[object] = []
    async for item in items:
        out.append(item)
        if len(out) > _LONGEST_ITERATOR:
            break
    return out


def _set_up(call: Call, space: dict[str, object], ran: RawResult) -> None:
    """Run the setup; of statements that we made up ourselves, those that raise are left out."""
    for at, statement in enumerate(call.setup):
        try:
            exec(_code(statement, "exec"), space)  # noqa: S102 - in the sandbox; running it is the point
        except TooLong:
            raise
        except BaseException as error:
            if isinstance(error, RuntimeError) and _lacks_loop(error):
                raise
            if not (call.receiver and statement.startswith(f"{call.receiver}.")):
                made = (
                    statement.partition("=")[2].strip().partition("(")[0]
                    or statement.strip().partition("(")[0]
                )
                raise Unusable(
                    f"its inputs cannot be made: {made} raises {type(error).__name__}",
                    stopped=-1 if isinstance(error, AssertionError) else at,
                ) from None
            ran.skipped.append(at)


def state(
    call: Call, space: dict[str, object], defined: dict[str, object], *, as_source: bool = False
) -> dict[str, str]:
    """Source of what a call may change: mutable arguments, files in memory, and the receiver's public attributes, length and items.

    What mocks recorded is a text, with ``as_source`` the source of all of it.
    """
    out: dict[str, str] = {}
    for at in range(len(call.args)):
        value = space[f"_{at}"]
        if isinstance(value, list | dict | set | bytearray):
            with contextlib.suppress(literal.NoSource):
                out[f"_{at}"] = literal.source(value, defined)
        elif isinstance(value, io.StringIO | io.BytesIO) and not value.closed:
            out[f"_{at}.getvalue()"] = repr(value.getvalue())
    if isinstance(folder := space.get("tmp_path"), Path):
        out |= written_files(folder)
    out |= recorded(call, space, defined) if as_source else mock_calls(call, space)
    receiver = space.get(call.receiver) if call.receiver else None
    if receiver is not None:
        for name, text in literal.attributes(receiver, defined).items():
            out[f"{call.receiver}.{name}"] = text
        if hasattr(type(receiver), "__len__"):
            with contextlib.suppress(Exception):  # an instance in a bad state has no length to compare
                out[f"len({call.receiver})"] = str(len(receiver))  # type: ignore[arg-type] # it has __len__
        if read := _reader(receiver):
            with contextlib.suppress(Exception):  # nor items; and some items have no source
                items = itertools.islice(cast("Iterable[object]", receiver), _LONGEST_ITERATOR + 1)
                if len(list(items)) <= _LONGEST_ITERATOR:
                    out[f"{read.__name__}({call.receiver})"] = literal.source(read(receiver), defined)
    return out


def _set_property(call: Call, space: dict[str, object], defined: dict[str, object]) -> dict[str, str]:
    """What a property is after it was set, whether that is new or not."""
    found = _SETS.fullmatch(call.expression)
    if found is None:
        return {}
    with contextlib.suppress(Exception):  # foreign code may raise anything; then there is nothing to assert
        return {f"{found[1]}.{found[2]}": literal.source(getattr(space[found[1]], found[2]), defined)}
    return {}


def _reader(receiver: object) -> Callable[[Any], object] | None:
    """What shows the items of a container of a class of its own, whatever its order: what it holds may be private."""
    if isinstance(receiver, _BUILT_IN_CONTAINERS) or not isinstance(receiver, Collection):
        return None
    if isinstance(receiver, Mapping):
        return dict
    if isinstance(receiver, Sequence) or hasattr(type(receiver), "__getitem__"):
        return list
    return set if isinstance(receiver, Set) else None


def _write_down(
    call: Call,
    ran: RawResult,
    space: dict[str, object],
    defined: dict[str, object],
    invariants: tuple[Expectation, ...],
    arcs: Arcs | None,
    spent: float,
) -> Observed:
    after = state(call, space, defined, as_source=True)
    changed = {name: text for name, text in after.items() if ran.before.get(name) != text}
    changed |= _set_property(call, space, defined)
    filename = arcs.filename if arcs else ""
    seen = tuple(sorted(arcs.seen)) if arcs else ()
    setup_lines = tuple(sorted(arcs.setup_lines)) if arcs else ()
    held = meets(call.expect, call, ran, changed, space, filename) if call.expect else None
    if ran.error is not None:
        if isinstance(ran.error, _UNASSERTABLE):
            raise Unusable(f"it ends in {type(ran.error).__name__}")
        return Observed(
            call.id,
            "raises",
            importable_name(ran.error, defined),
            ran.wrap,
            ran.output,
            changed,
            held,
            skipped=tuple(ran.skipped),
            error_origin=origin(ran.error, filename),
            arcs=seen,
            setup_lines=setup_lines,
            seconds=spent,
        )
    broken = tuple(
        at for at, one in enumerate(invariants) if meets(one, call, ran, changed, space, filename) is False
    )
    if any(_hidden_nan(value) for value in changed.values()):
        raise Unusable("a value holds a NaN, which equals nothing")
    _shorten(ran)
    text, wrap, found, ways = _result(call, ran, space, defined)
    return Observed(
        call.id,
        "value",
        text,
        wrap,
        ran.output,
        changed | found,
        held,
        broken,
        tuple(ran.skipped),
        arcs=seen,
        setup_lines=setup_lines,
        seconds=spent,
        uses=ways,
    )


def _shorten(ran: RawResult) -> None:
    """Leave the first items of an iterator that yields more than can be written down, which may be without an end.

    Raises:
        Unusable: it is one of several iterators in the result.
    """
    if ran.wrap == "list" and isinstance(ran.result, list) and len(ran.result) > _LONGEST_ITERATOR:
        ran.result, ran.wrap = ran.result[:FIRST_ITEMS], "first"
    if ran.wrap == "async list" and isinstance(ran.result, list) and len(ran.result) > _LONGEST_ITERATOR:
        raise Unusable(f"it yields more than {_LONGEST_ITERATOR} values")
    if (
        ran.wrap == "each list"
        and isinstance(ran.result, list)
        and max(map(len, ran.result)) > _LONGEST_ITERATOR
    ):
        raise Unusable(f"it yields more than {_LONGEST_ITERATOR} values")


def _result(
    call: Call, ran: RawResult, space: dict[str, object], defined: dict[str, object]
) -> tuple[str, str, dict[str, str], tuple[str, ...]]:
    """The source of a result and how it was read; for a value without source, the facts that can be asserted of it and its uses.

    Where it is the receiver itself, that is the fact, and what it writes of itself: what the call changed is said of the receiver.

    Raises:
        Unusable: nothing of it can be asserted.
    """
    try:
        text = _source(ran.result, space, defined)
    except literal.NoSource as error:
        if is_mock(ran.result):
            if place := answer(ran.result, call, space):
                return "", f"{ran.wrap} facts".strip(), {f"result is {place}": "True"}, ()
            raise Unusable("its result is a mock") from None
        found = facts(ran.result, defined)
        kind = type(ran.result).__name__
        is_own = defined.get(kind) is type(ran.result)
        ways = uses(ran.result, defined) if not ran.wrap else ()
        if call.receiver and ran.result is space.get(call.receiver):
            return (
                "",
                f"{ran.wrap} facts".strip(),
                {f"result is {call.receiver}": "True"} | texts(ran.result),
                ways,
            )
        if not (found or is_own):
            raise Unusable(str(error), ways) from None
        wrap = f"isinstance:{kind}" if is_own else "facts"
        return "", f"{ran.wrap} {wrap}".strip(), found, ways
    if _hidden_nan(text) and text != "float('nan')":
        raise Unusable("a value holds a NaN, which equals nothing")
    return text, ran.wrap, {}, ()


def _hidden_nan(text: str) -> bool:
    return "float('nan')" in text


def _source(value: object, space: dict[str, object], defined: dict[str, object]) -> str:
    """The source of a value, seen to give an equal one.

    Raises:
        NoSource: there is none, or it gives something else.
    """
    text = literal.source(value, defined)
    try:
        equal = _hidden_nan(text) or bool(eval(_code(text, "eval"), dict(space)) == value)  # noqa: S307 - in the sandbox
    except Exception as error:  # noqa: BLE001 - the text comes from foreign classes
        raise literal.NoSource(f"its source cannot be evaluated: {type(error).__name__}") from None
    if not equal:
        raise literal.NoSource("its source does not give an equal value")
    return text


def _files_here() -> frozenset[str]:
    return frozenset(os.listdir())  # noqa: PTH208 - twice for each call, where a Path takes many times as long


def _clear(paths: Iterable[Path]) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
