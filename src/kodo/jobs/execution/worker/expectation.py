"""Whether what a call did is what its documentation, an example or an annotation says; None where nothing is said of it."""

import ast
import re
from collections.abc import Collection, Mapping

from kodo.jobs.execution.model import Call, Expectation
from kodo.jobs.execution.worker.annotation_check import conforms
from kodo.jobs.execution.worker.errors import ENVIRONMENT_ERRORS, origin
from kodo.jobs.execution.worker.raw_result import RawResult


def meets(
    expect: Expectation,
    call: Call,
    ran: RawResult,
    changed: Collection[str],
    space: Mapping[str, object],
    filename: str,
) -> bool | None:
    """Whether an expectation held; None where it says nothing about this outcome. ``changed`` names what the call changed,
    ``space`` holds the names that it may use, and ``filename`` is the target's file.
    """
    if ran.error is not None:
        return _error_meets(expect, ran.error, filename)
    if expect.kind == "raises":
        return False
    if expect.kind == "returns":
        return conforms(ran.result, expect.text, space) if not ran.wrap or ran.wrap == "asyncio.run" else None
    recorders = {
        f"_{at}" for at in re.findall(r"\b_(\d+)\.append\b", call.expression)
    }  # what a given function keeps
    shown = ran.output if ran.result is None else f"{ran.output}{ran.result!r}\n"
    if expect.kind == "shows":
        return _shows(expect.text, shown)
    if expect.kind == "prints":
        return _shows(expect.text, f"{ran.output}{ran.result}\n")
    if expect.text == "unchanged":
        return not any(name.startswith("_") and name not in recorders for name in changed)
    try:
        if expect.kind == "value":
            equal = _equal(eval(expect.text, dict(space)), ran.result)  # noqa: S307 - in the sandbox
            return equal or (expect.basis == "example" and bool(_shows(expect.text, shown)))
        if ran.uncopied:
            return None
        return bool(eval(expect.text, {**space, **ran.originals, "result": ran.result}))  # noqa: S307 - in the sandbox
    except Exception:  # noqa: BLE001 - the result may be anything; a property that cannot be asked says nothing
        return None


def _error_meets(expect: Expectation, error: BaseException, filename: str) -> bool | None:
    """Whether an error is what was expected; None where it says nothing of the target.

    It says nothing where the target was not reached, where the machine lacks something, and where a call made from a
    sentence ended in an error of its made-up arguments.
    """
    if expect.kind == "raises" and any(kind.__name__ == expect.text for kind in type(error).__mro__):
        return True
    where = origin(error, filename)
    if (
        expect.kind not in ("value", "shows", "prints", "raises")
        or where == "outside"
        or isinstance(error, ENVIRONMENT_ERRORS)
    ):
        return None
    made_up = expect.basis != "example" and (
        where == "below" or isinstance(error, TypeError | AttributeError)
    )
    return None if made_up else False


def _shows(want: str, shown: str) -> bool | None:
    """Whether an output is the documented one; None where the documented one has an address or a file of its writer."""
    import doctest  # here: it takes longer to import than the rest of the worker, and few calls need it

    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if doctest.OutputChecker().check_output(want + "\n", shown, flags):
        return True
    if (written := _normal(want)) and written == _normal(shown):
        return True
    return None if re.search(r"0x[0-9a-fA-F]+|\.\.\.|<ipython", want) else False


def _normal(text: str) -> str:
    """An expression without what two ways to write it differ in: quotes, spaces, the ``u`` of Python 2; empty for no expression."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            node.kind = None
    return ast.dump(tree)


def _equal(wanted: object, got: object) -> bool:
    if isinstance(wanted, float) and isinstance(got, int | float):
        return (
            wanted == got
            or abs(wanted - got) <= 1e-9 * max(abs(wanted), abs(got))
            or (wanted != wanted and got != got)
        )
    return bool(wanted == got)
