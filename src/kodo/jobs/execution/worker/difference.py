"""When two outcomes of one call tell two versions apart, and how much the difference says.

An error of an operation on values it was not made for (a TypeError on a guessed argument) says little: two such
errors are the same, and one is the last thing to report.
"""

import re

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.describe import is_function
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value
from kodo.jobs.execution.worker.outcome import Outcome

_OF_MOCK = "mock_calls"
"""How the name of a part ends that tells what a mock was asked."""
_ACCIDENTAL = 2
"""The rank of an error that nothing raises on purpose."""
_PRIVATE_CALL = re.compile(r"(?<!\w)(_[A-Za-z_]\w*)\s*\(")


class Difference(msgspec.Struct, frozen=True):
    """A call, what each version does with it, and the call it was made smaller from."""

    call: Call
    before: Outcome
    after: Outcome
    first: Call
    within: str = ""
    """The call inside, of a changed function, whose outcome differs; "" where the call's own does."""
    varied: str = ""
    """The argument of the call inside, or attribute of its instance, that was given another value for it."""


def tells(before: Outcome, after: Outcome) -> bool:
    """Whether the two outcomes are a difference of behaviour."""
    if "unusable" in (before.kind, after.kind) or (
        before.kind == after.kind and not _differing(before, after)
    ):
        return False  # that a list became an iterator of the same items, the change shows
    if before.kind == after.kind == "value" and _is_opaque(before, after):
        return False  # what another function does shows when it is called
    if before.kind == after.kind and before.bytes_drawn != after.bytes_drawn:
        return False  # who draws more random bytes makes another token of those that follow, now as at any other time
    if before.unbound or after.unbound or before.lacks_name:
        return False  # the signature changed or there is a new name, which the diff shows
    if before.of_mock or after.of_mock:
        return False  # it says what a mock is not
    if before.kind == after.kind == "raises" and before.accident and after.accident:
        return _is_endless(before) != _is_endless(after)
    return True


Worth = tuple[bool, int, int]
"""How well a difference shows what a caller sees; smaller shows it better."""


def worth(call: Call, before: Outcome, after: Outcome) -> Worth:
    """An accident of a made-up value says less than the state of an object or of a value of the module, that less than what a private
    function or class does, or the order of a dict's keys, and that less than what a caller sees.
    """
    how_much = rank(before, after)
    hidden = 2 if is_state(call, before, after) else int(is_private(call) or is_of_order(before, after))
    return how_much >= _ACCIDENTAL, hidden, how_much


def is_plain(one: Worth) -> bool:
    """Whether a difference shows so well what a caller sees that nothing better need be looked for."""
    return not (one[0] or one[1])


def is_state(call: Call, before: Outcome, after: Outcome) -> bool:
    """Whether all that differs is the state of a value that is looked at from outside: attributes of the result, those of the object whose
    method was called, and what a mock was asked.
    """
    if call.origin == "state":
        return True
    if _is_left_behind(before, after):
        return True
    if not before.kind == after.kind == "value":
        return False
    return all(
        name.startswith("result.") or name == f"after: {call.receiver}" or name.endswith(_OF_MOCK)
        for name in _differing(before, after) - {"type"}
    )


def is_private(call: Call) -> bool:
    """Whether a call names a function that its module keeps to itself, other than a special method, or is of an object of such a
    class; how a test makes its objects is the test's.
    """
    makes = [line for line in call.setup if call.receiver and line.startswith(f"{call.receiver} = ")]
    lines = (call.expression, *(makes if call.origin != "test" else ()))
    return any(not name.startswith("__") for line in lines for name in _PRIVATE_CALL.findall(line))


def is_of_order(before: Outcome, after: Outcome) -> bool:
    """Whether all that differs of two results is the order of keys of dicts."""
    differing = _differing(before, after)
    if not before.kind == after.kind == "value" or differing != {"result"}:
        return False
    old, new = (one.parts["result"] for one in (before, after))
    if len(old) != len(new) or "{" not in old:
        return False
    try:
        return _sorted(literal_value(old)) == _sorted(literal_value(new))
    except NoLiteral:
        return False


def _sorted(value: object) -> str:
    """A text of a literal in which the keys of dicts have one order."""
    match value:
        case dict():
            return f"{{{sorted((repr(key), _sorted(item)) for key, item in value.items())}}}"
        case list() | tuple():
            return f"{type(value).__name__}[{', '.join(map(_sorted, value))}]"
        case _:
            return repr(value)


def rank(before: Outcome, after: Outcome) -> int:
    """How much a difference says; smaller says more."""
    if before.kind == after.kind == "value":
        return 0
    kinds = {before.kind, after.kind}
    if kinds == {"value", "raises"}:
        if before.of_test or after.of_test:
            return 1  # a test of the project that one version does not pass
        if "AssertionError" in (before.parts.get("raises"), after.parts.get("raises")):
            return 3  # that an object is in a state which the code does not expect may be of our making
        return 1 if (after if after.kind == "raises" else before).deliberate else _ACCIDENTAL
    if kinds == {"raises"}:
        if before.parts.get("raises") == after.parts.get("raises"):
            return 1 if _is_left_behind(before, after) and not before.accident else 4
        if _is_endless(before) != _is_endless(after):
            return (
                1  # no argument is to blame where a function calls itself without an end in one version only
            )
        is_lost = before.deliberate != after.deliberate and not (before.accident or after.accident)
        return 1 if is_lost else 3  # that one version names the error itself is what a caller sees
    return 2


def _is_endless(outcome: Outcome) -> bool:
    return outcome.parts.get("raises") == "RecursionError"


def _is_left_behind(before: Outcome, after: Outcome) -> bool:
    """Whether one error is raised twice, and the state that it leaves its object or an argument in is another one."""
    differing = _differing(before, after)
    are_of_state = bool(differing) and all(name.startswith("after: ") for name in differing)
    return before.kind == after.kind == "raises" and are_of_state


def _differing(before: Outcome, after: Outcome) -> set[str]:
    """The parts that are not alike. An attribute of the result that one outcome lacks may be there and have nothing to be shown by,
    such as a bound method; what is missing of the rest stayed as it was.
    """
    names = {*before.parts, *after.parts}
    in_both = before.parts.keys() & after.parts.keys()
    return {
        name
        for name in names
        if before.parts.get(name) != after.parts.get(name)
        and (name in in_both or not name.startswith("result."))
    }


def _is_opaque(before: Outcome, after: Outcome) -> bool:
    """Whether all that differs is which function comes back."""
    return _differing(before, after) - {"type"} == {"result"} and all(
        is_function(one.parts.get("result", "")) for one in (before, after)
    )


def common(before: Outcome, after: Outcome) -> tuple[Outcome, Outcome]:
    """Two outcomes that were made of what is steady, without the parts that only one of them still has by that."""
    lost = before.unsteady | after.unsteady
    first, second = (
        msgspec.structs.replace(one, parts={key: text for key, text in one.parts.items() if key not in lost})
        for one in (before, after)
    )
    return first, second
