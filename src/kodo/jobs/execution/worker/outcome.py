"""What one call did, in parts that two versions of the code can be compared by."""

import dis
import os
import random
import re
import sys
import traceback
import types
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.call import Unusable, run_call, state
from kodo.jobs.execution.worker.describe import describe, placeless, printed
from kodo.jobs.execution.worker.fixtures import fixtures
from kodo.jobs.execution.worker.load import TooLong
from kodo.jobs.execution.worker.operands import Sides
from kodo.jobs.execution.worker.probe import Inner
from kodo.jobs.execution.worker.result_uses import taken_by

# Errors that an operation raises by itself when it is given what it was not made for.
_ACCIDENTS = (
    TypeError,
    AttributeError,
    NameError,
    KeyError,
    IndexError,
    RecursionError,
    AssertionError,
    ZeroDivisionError,
)


_LACKING = {AttributeError: "module ", ImportError: "cannot import name ", NameError: "name "}
"""How the messages of errors begin that speak of a name which a module does not have."""

_MOCKS = re.compile(r"\b(?:Magic|Async|NonCallableMagic)Mock\b|'_ANY'")
_EXPRESSION = "<string>", "<module>"
"""The file and the function of an expression that is evaluated."""


class Outcome(msgspec.Struct, frozen=True):
    """What one call did. ``parts`` are compared: ``result``, ``type``, ``result.name``, ``raises``, ``message``,
    ``output``, and what the call changed.

    ``lines``, ``inner`` and ``compared`` are what a probe saw of the functions asked for. ``accident`` says that an error was an operation's own and not raised on purpose,
    ``deliberate`` that a statement raised it, or that the class itself lacks an attribute that its own code asks for; ``unbound`` that the call's
    arguments do not fit the signature, and ``lacks_name`` that the call itself asks for a name which a module does not have:
    that error says nothing of what the module does. ``reached`` names the functions asked for that the call went through.
    """

    id: int
    kind: Literal["value", "raises", "timeout", "died", "unusable"]
    parts: dict[str, str] = {}
    accident: bool = False
    deliberate: bool = False
    unbound: bool = False
    lacks_name: bool = False
    of_mock: bool = False
    """Whether an operation failed on a mock, which is no number, no text and nothing to await: a real object may be."""
    of_test: bool = False
    """Whether it is an assertion of a test that failed, and none of the code under test."""
    wrap: str = ""
    reached: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()
    inner: tuple[Inner, ...] = ()
    compared: tuple[Sides, ...] = ()
    unsteady: frozenset[str] = frozenset()
    """Parts that came out otherwise when the call was made again."""
    takes: str = ""
    """What a function that came back takes, as ``(name, *more)``; "" for what is no function."""
    drawn: bool = False
    """Whether random numbers were drawn, which start at the same place for every call."""
    bytes_drawn: int = 0
    """How many random bytes of the system were drawn, which are the same for every call."""
    stopped: int = -1
    """The statement of the setup that raised, so that the call was not made; -1 for none."""

    def same(self, other: "Outcome") -> bool:
        """Whether nothing that is compared differs."""
        return (self.kind, self.parts, self.wrap) == (other.kind, other.parts, other.wrap)

    def steady(self, again: "Outcome") -> "Outcome | None":
        """This outcome with the parts that came out alike twice; None where the kind did not."""
        if (self.kind, self.wrap) != (again.kind, again.wrap):
            return None
        both = self.parts.keys() | again.parts.keys()
        lost = frozenset(key for key in both if self.parts.get(key) != again.parts.get(key))
        kept = {key: text for key, text in self.parts.items() if key not in lost}
        return msgspec.structs.replace(self, parts=kept, unsteady=lost)


def outcome_of(
    call: Call,
    names: Mapping[str, object],
    defined: dict[str, object],
    seconds: float,
    root: str,
    without: Collection[str] = (),
) -> Outcome:
    """Make one call in a fresh copy of ``names``, with the fixtures it asks for; attributes ``without`` are not compared. What it does to
    the environment ends with it, so that it says nothing of the next call.
    """
    with _same_environment(), fixtures(call) as made:
        return _outcome(call, {**names, **made}, defined, seconds, root, without)


@contextmanager
def _same_environment() -> Iterator[None]:
    """The variables of the environment after the block as before it."""
    before = dict(os.environ)
    try:
        yield
    finally:
        if dict(os.environ) != before:
            os.environ.clear()
            os.environ.update(before)


def _outcome(
    call: Call,
    space: dict[str, object],
    defined: dict[str, object],
    seconds: float,
    root: str,
    without: Collection[str],
) -> Outcome:
    random.seed(0)
    start = random.getstate()
    try:
        ran = run_call(call, space, defined, seconds, None, originals=False, in_loop=True)
    except TooLong:
        return Outcome(call.id, "timeout")
    except Unusable as reason:
        return Outcome(call.id, "unusable", {"why": str(reason)}, stopped=reason.stopped)
    drawn = random.getstate() != start
    parts = {
        f"after: {name}": placeless(text, root)
        for name, text in _changes(call, space, ran.before, defined).items()
        if name.rpartition(".")[2] not in without
    }
    if ran.output:
        parts["output"] = printed(ran.output, root)
    error = ran.error
    if error is None:
        return Outcome(
            call.id,
            "value",
            describe(ran.result, defined, root, without) | parts,
            wrap=ran.wrap,
            drawn=drawn,
            takes=taken_by(ran.result),
        )
    if isinstance(error, MemoryError | KeyboardInterrupt | GeneratorExit):
        return Outcome(call.id, "unusable", {"why": f"it ends in {type(error).__name__}"})
    parts |= {"raises": type(error).__name__, "message": printed(str(error), root)}
    return Outcome(
        call.id,
        "raises",
        parts,
        accident=isinstance(error, _ACCIDENTS) and not _on_purpose(error),
        deliberate=_on_purpose(error) or _lacks_own(error, root),
        unbound=isinstance(error, TypeError) and _is_of_call(error),
        lacks_name=_lacks_name(error, root),
        of_mock=isinstance(error, TypeError | AttributeError) and bool(_MOCKS.search(str(error))),
        of_test=isinstance(error, AssertionError) and _is_of_test(error, root),
        wrap=ran.wrap,
        drawn=drawn,
    )


def _changes(
    call: Call, space: dict[str, object], before: dict[str, str], defined: dict[str, object]
) -> dict[str, str]:
    return {name: text for name, text in state(call, space, defined).items() if before.get(name) != text}


def _on_purpose(error: BaseException) -> bool:
    """Whether the line that the error comes from is a ``raise`` or an ``assert``."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and (frames[-1].line or "").lstrip().startswith(("raise", "assert"))


def _is_of_call(error: BaseException) -> bool:
    """Whether an error comes from the call's own expression and from no code that this called."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at is not None and (at.tb_frame.f_code.co_filename, at.tb_frame.f_code.co_name) == _EXPRESSION


def _lacks_own(error: BaseException, root: str) -> bool:
    """Whether a method of the project asks its own instance for an attribute that no method of its class sets: neither an argument
    nor a made-up state is to blame for that.
    """
    if not isinstance(error, AttributeError) or error.obj is None or isinstance(error.obj, type):
        return False
    if error.name in _set_attributes(type(error.obj)):
        return False
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    frame = at.tb_frame if at is not None else None
    return (
        frame is not None
        and frame.f_code.co_filename.startswith(root)
        and frame.f_locals.get("self") is error.obj
    )


def _set_attributes(kind: type) -> set[str]:
    """The attributes that the methods of a class and of its bases set."""
    methods = [
        one for base in kind.__mro__ for one in vars(base).values() if isinstance(one, types.FunctionType)
    ]
    return {
        str(step.argval)
        for method in methods
        for step in dis.get_instructions(method)
        if step.opname == "STORE_ATTR"
    }


def _lacks_name(error: BaseException, root: str) -> bool:
    """Whether a name is missing that the call or its test asks for, of a module, or of a class or an object of the project; one that the
    project's own code asks for is its fault.
    """
    if isinstance(error, AttributeError) and _is_of_call(error):
        kind = error.obj if isinstance(error.obj, type) else type(error.obj)
        file = getattr(sys.modules.get(kind.__module__), "__file__", None) or ""
        if file.startswith(root):
            return True
    start = next((start for kind, start in _LACKING.items() if isinstance(error, kind)), None)
    if start is None or not str(error).startswith(start):
        return False
    return _is_of_test(error, root)


def _is_of_test(error: BaseException, root: str) -> bool:
    """Whether an error comes from a file of tests, or from none of the project."""
    frames = traceback.extract_tb(error.__traceback__)
    place = Path(frames[-1].filename) if frames else Path()
    return not place.is_relative_to(root) or any(
        part.startswith(("test", "conftest")) for part in place.relative_to(root).parts
    )
