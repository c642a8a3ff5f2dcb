"""Calls that running tests make into a project, as programs of a few statements that stand without the tests.

What a test does through helpers, fixtures and loops ends in calls such as ``shop = trade.Shop('a')`` and ``shop.sell(3)``.
Each is written down as a statement. One that went through a changed function becomes a call to make in both versions,
after the statements that made its objects and worked on them; what a test awaits is run in a loop of the program's own.
What has no expression is left out.
"""

from __future__ import annotations

import ast
import contextlib
import dis
import inspect
import sys
import types
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kodo.jobs.execution.call_literals import with_placeholders
from kodo.jobs.execution.calls import substitute
from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.expressions import Expressions, Unwritable, Variables
from kodo.jobs.execution.worker.local_definitions import LocalDefinitions
from kodo.jobs.execution.worker.places import Places
from kodo.jobs.execution.worker.probe import Trace
from kodo.jobs.execution.worker.project_names import NamedFunction, ProjectNames

_MAX_SETUP = 12
_MAX_STATEMENTS = 400
_FORMS = {
    "__call__": "{0}({1})",
    "__getitem__": "{0}[{1}]",
    "__contains__": "{1} in {0}",
    "__eq__": "{0} == {1}",
    "__len__": "len({0})",
    "__str__": "str({0})",
    "__repr__": "repr({0})",
    "__iter__": "iter({0})",
}
"""How special methods are written; the others are called by name."""
_ENDS_WITH_VALUE = ("RETURN", "YIELD")
_WAITS = ("YIELD_VALUE", "SEND", "RESUME")
"""The instructions at which a coroutine is left to be entered again."""
_RESUMED = inspect.CO_GENERATOR | inspect.CO_COROUTINE
_LOOP = ("loop = asyncio.new_event_loop()", "asyncio.set_event_loop(loop)")
"""One loop for all coroutines of a program, since what a loop made works in that one alone."""
_RESULTS_WITHOUT_NAME = (bool, int, float, str, bytes, type(None))
Place = Literal["other", "test", "project", "changed"]


@dataclass(eq=False)
class Statement:
    """One call of a test into the project; ``variable`` is bound to its result, where that is an object."""

    source: str
    uses: frozenset[str]
    modules: frozenset[str]
    before: tuple[str, ...] = ()
    variable: str = ""
    raised: bool = False
    reached: set[str] = field(default_factory=set)
    """The files with a changed function that it went through."""


@dataclass
class Recorder:
    """Writes down the calls from code that ``is_test`` into the project of ``places``; ``watched`` are the changed functions
    by the file that they are in, relative to it.
    """

    places: Places
    watched: Mapping[str, Collection[str]]
    is_test: Callable[[str], bool]
    _statements: list[Statement] = field(default_factory=list)
    _variables: Variables = field(default_factory=Variables)
    _places: dict[types.CodeType, Place] = field(default_factory=dict)
    _changed: dict[types.CodeType, str] = field(default_factory=dict)
    """The changed functions that ran, and the file of each."""
    _active: list[Statement] = field(default_factory=list)
    _suspended: dict[types.FrameType, Trace | None] = field(default_factory=dict)
    """Frames that are entered again, generators for every value and coroutines after every wait, and how they are watched."""

    def __post_init__(self) -> None:
        self._root = str(self.places.root)
        self._files = {str(self.places.root / path): path for path in self.watched}
        self._project = ProjectNames(self._root)
        self._definitions = LocalDefinitions(self._is_in_test)

    def trace(self, frame: types.FrameType, event: str, argument: Any) -> Trace | None:
        """The global trace function; it watches only calls that a test makes itself."""
        place = self._place(frame)
        if place == "changed":
            for one in self._active:
                one.reached.add(self._changed[frame.f_code])
        elif place != "project":
            return None
        if frame in self._suspended:
            return self._suspended[frame]
        back = frame.f_back
        if back is None or self._place(back) != "test":
            return None
        with contextlib.suppress(Exception):  # foreign objects may raise anything when they are looked at
            return self._enter(frame)
        return None

    def forget(self) -> None:
        """Begin anew: what was made until now is not used any more."""
        self._statements.clear()
        self._suspended.clear()
        self._variables = Variables()

    def carved(self, start: int) -> Iterator[tuple[Call, tuple[str, ...]]]:
        """The calls from the statement number ``start`` on that went through a changed function, without their numbers, and
        the files of these functions.
        """
        for at in range(start, len(self._statements)):
            if self._statements[at].reached and (call := self._program(at)) is not None:
                yield call, tuple(sorted(self._statements[at].reached))

    def count(self) -> int:
        """How many statements there are."""
        return len(self._statements)

    def _place(self, frame: types.FrameType) -> Place:
        place = self._places.get(frame.f_code)
        if place is None:
            place = self._places[frame.f_code] = self._found(frame)
        return place

    def _found(self, frame: types.FrameType) -> Place:
        code, path = frame.f_code, frame.f_code.co_filename
        changed = self._files.get(path)
        if changed and code.co_qualname.partition(".<locals>")[0] in self.watched[changed]:
            self._changed[code] = changed
            return "changed"
        if path.startswith("<"):  # a constructor or a wrapper that was made from text stands for its module
            path = getattr(sys.modules.get(frame.f_globals.get("__name__", "")), "__file__", None) or ""
        if not path.startswith(self._root) or code.co_name == "<module>":
            return "other"
        return "test" if self._is_in_test(path) else "project"

    def _is_in_test(self, path: str) -> bool:
        return path.startswith(self._root) and self.is_test(path.removeprefix(self._root).lstrip("/"))

    def _enter(self, frame: types.FrameType) -> Trace | None:
        code = frame.f_code
        if code.co_flags & inspect.CO_ASYNC_GENERATOR or len(self._statements) >= _MAX_STATEMENTS:
            return None
        if code.co_flags & _RESUMED:
            self._suspended[frame] = None
        named = self._project.function_of(frame)
        if named is None:
            return None
        writing = Expressions(self._variables, self._project.objects, self.places, self._definitions)
        try:
            source = _source(frame, named, writing)
            if is_coroutine := bool(code.co_flags & inspect.CO_COROUTINE):
                source = f"loop.run_until_complete({source})"
                writing.modules.add("asyncio")
                writing.before[:0] = _LOOP
        except Unwritable:
            return None
        statement = Statement(
            source,
            frozenset(writing.uses),
            frozenset(writing.modules),
            tuple(writing.before),
            reached={self._changed[code]} if code in self._changed else set(),
        )
        self._statements.append(statement)
        self._active.append(statement)
        made = frame.f_locals[code.co_varnames[0]] if named.name == "__init__" else None
        frame.f_trace_lines = False

        def local(frame: types.FrameType, event: str, argument: Any) -> Trace:
            if event == "return" and not (is_coroutine and _instruction(frame) in _WAITS):
                self._leave(frame, statement, argument if made is None else made)
            return local

        if is_coroutine:
            self._suspended[frame] = local
        return local

    def _leave(self, frame: types.FrameType, statement: Statement, result: object) -> None:
        if statement in self._active:
            self._active.remove(statement)
        statement.raised = not _instruction(frame).startswith(_ENDS_WITH_VALUE)
        known = isinstance(result, _RESULTS_WITHOUT_NAME) or self._variables.name_of(result)
        if not statement.raised and not frame.f_code.co_flags & inspect.CO_GENERATOR and not known:
            statement.variable = self._variables.bind(result)

    def _program(self, at: int) -> Call | None:
        """A statement with those before it that made its objects or worked on them; None where those are too many or do
        not parse: they hold names of foreign objects.
        """
        target = self._statements[at]
        needed, chosen = set(target.uses), [target]
        for one in self._statements[at - 1 :: -1] if at else ():
            if not one.raised and (one.variable in needed or one.uses & needed):
                chosen.append(one)
                needed |= one.uses
                if len(chosen) > _MAX_SETUP:
                    return None
        *before, _ = chosen[::-1]
        made = [line for one in (*before, target) for line in one.before]
        lines = [f"{one.variable} = {one.source}" if one.variable else one.source for one in before]
        lines = [*dict.fromkeys(made), *lines]
        try:
            names = _short_names((one.variable for one in before if one.variable), made)
            trees = [ast.parse(substitute(line, names)).body[0] for line in lines]
            value = ast.parse(substitute(target.source, names), mode="eval").body
        except (SyntaxError, ValueError, RecursionError):
            return None
        setup, expression, args = with_placeholders(trees, value)
        imports = sorted({f"import {name}" for one in chosen for name in one.modules})
        return Call(
            0, "", ast.unparse(expression), args, (*imports, *(ast.unparse(one) for one in setup)), "", "test"
        )


def _instruction(frame: types.FrameType) -> str:
    """The name of the instruction at which a frame is left."""
    return dis.opname[frame.f_code.co_code[frame.f_lasti]]


def _short_names(variables: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Variable -> its name in a program alone: without a number where it is the only one of its kind and no statement of
    ``others`` binds that name.
    """
    counts = Counter(name for line in others for name in _bound(line))
    out: dict[str, str] = {}
    for name in variables:
        base = name.rstrip("0123456789")
        counts[base] += 1
        out[name] = base if counts[base] == 1 else f"{base}{counts[base]}"
    return out


def _bound(line: str) -> Iterator[str]:
    """The names that a statement binds."""
    for node in ast.parse(line).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (one.id for one in node.targets if isinstance(one, ast.Name))


def _source(frame: types.FrameType, named: NamedFunction, writing: Expressions) -> str:
    """The call that a frame runs as an expression.

    Raises:
        Unwritable: it has none.
    """
    code, space = frame.f_code, frame.f_locals
    positional = [space[name] for name in code.co_varnames[: code.co_argcount]]
    count = code.co_argcount + code.co_kwonlyargcount
    keywords = {name: space[name] for name in code.co_varnames[code.co_argcount : count]}
    if code.co_flags & inspect.CO_VARARGS:
        positional += space[code.co_varnames[count]]
        count += 1
    if code.co_flags & inspect.CO_VARKEYWORDS:
        keywords |= space[code.co_varnames[count]]
    positional, keywords = _without_defaults(named.function, positional, keywords)
    if named.owner is None or named.kind is staticmethod:
        owner = [named.owner.__qualname__] if named.owner is not None else []
        return writing.call(
            writing.member(named.module, ".".join([*owner, named.name])), positional, keywords
        )
    receiver, *positional = positional
    if named.name in ("__init__", "__new__"):
        made = receiver if isinstance(receiver, type) else type(receiver)
        if inspect.getattr_static(made, named.name) is not vars(named.owner)[named.name]:
            raise Unwritable("a subclass makes it otherwise")
        return writing.call(writing.write(made), positional, keywords)
    whole = writing.write(receiver)
    if (
        named.kind is not types.FunctionType
        and named.kind is not classmethod
        and not positional
        and not keywords
    ):
        return f"{whole}.{named.name}"
    if form := _FORMS.get(named.name):
        given = writing.call("", positional, keywords)[1:-1]
        return form.format(whole, given)
    return writing.call(f"{whole}.{named.name}", positional, keywords)


def _without_defaults(
    function: types.FunctionType, positional: list[object], keywords: dict[str, object]
) -> tuple[list[object], dict[str, object]]:
    """The arguments that are not what the function takes by itself; those after a gap by their names."""
    code, defaults = function.__code__, function.__defaults__ or ()
    first = code.co_argcount - len(defaults)
    own = function.__kwdefaults__ or {}
    named = {key: value for key, value in keywords.items() if key not in own or own[key] is not value}
    if len(positional) > code.co_argcount:
        return positional, named
    kept: list[object] = positional[:first]
    for at in range(first, len(positional)):
        if positional[at] is defaults[at - first]:
            continue
        if at == len(kept) or at < code.co_posonlyargcount:
            kept = positional[: at + 1]
        else:
            named = {code.co_varnames[at]: positional[at]} | named
    return kept, named
