"""Calls that look at what a module binds to a name: its text, its state, what is in it, and whether it can be copied.

A value that no function reads cannot be seen to change by calling functions; neither can the attributes of an object that a
decorator made of one.
"""

from __future__ import annotations

from kodo.jobs.execution.model import Call

_STATE = "{{name: value for name, value in vars({0}).items() if name[0] != '_' and not callable(value)}}"
_FORMS = (
    ("str({0})", ()),
    (_STATE, ()),
    ("bool({0})", ()),
    ("len({0})", ()),
    ("list({0})", ()),
    ("copy.copy({0}) is {0}", ("import copy",)),
    ("copy.deepcopy({0}) is {0}", ("import copy",)),
    ("pickle.loads(pickle.dumps({0}))", ("import pickle",)),
)
"""Expressions over a name, and what they import."""


def calls_of_value(name: str) -> tuple[Call, ...]:
    """What is asked of a value, numbered from 0."""
    return tuple(
        Call(number, name, form.format(name), setup=setup, origin="state")
        for number, (form, setup) in enumerate(_FORMS)
    )


def state_of(name: str) -> Call:
    """The public attributes that an object under a name holds itself."""
    return Call(0, name, _STATE.format(name), origin="state")
