"""Values as expressions that another process can evaluate: literals, names to import, plain data, variables and their parts.

An expression says how to come by a value again; nothing is copied but what a test makes of its own: its inner functions
and classes, their instances, and the containers these share. Each of those is made by statements before the expression.
"""

from __future__ import annotations

import ast
import builtins
import copy
import dataclasses
import enum
import functools
import io
import keyword
import re
import sys
import types
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from kodo.jobs.execution.calls import substitute
from kodo.jobs.execution.worker import literal
from kodo.jobs.execution.worker.data_fields import data_fields
from kodo.jobs.execution.worker.local_definitions import Definition, LocalDefinitions
from kodo.jobs.execution.worker.places import Places

MAX_TEXT = 8000
_MAX_ITEMS = 200
_MAX_DEPTH = 8
_SEARCH_DEPTH = 3
_MAX_SEARCHED = 500
_NEWEST_SEARCHED = 12
_PLAIN = (bool, int, float, str, bytes, complex, type(None))
_INNER_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NAMED = (type, types.FunctionType, types.BuiltinFunctionType)


class Unwritable(Exception):
    """The value has no expression."""


@dataclasses.dataclass
class Made:
    """An object that statements of its own make under a name, and what these use and import."""

    name: str
    value: object
    lines: tuple[str, ...] = ()
    uses: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()


class Variables:
    """The objects that have a name. Each is kept alive, so that no other takes its identity."""

    def __init__(self) -> None:
        self._by_id: dict[int, tuple[str, object]] = {}
        self._bound: Counter[str] = Counter()
        self.made: dict[int, Made] = {}

    def fresh(self, base: str) -> str:
        """A name that nothing has: ``base``, or with a number."""
        self._bound[base] += 1
        return base if self._bound[base] == 1 else f"{base}{self._bound[base]}"

    def bind(self, value: object) -> str:
        """The variable of an object: the one it has, or a new one."""
        if id(value) not in self._by_id:
            self._by_id[id(value)] = self.fresh(_variable_for(type(value))), value
        return self._by_id[id(value)][0]

    def name_of(self, value: object) -> str:
        """The variable of an object; "" where it has none."""
        return self._by_id[id(value)][0] if id(value) in self._by_id else ""

    def path_to(self, value: object) -> tuple[str, str]:
        """An expression for what hangs on a named object, and that object's variable; two empty texts for nothing."""
        newest = list(self._by_id.values())[: -_NEWEST_SEARCHED - 1 : -1]
        todo = deque((name, name, one, 0) for name, one in newest)
        seen: set[int] = set()
        while todo and len(seen) < _MAX_SEARCHED:
            name, path, one, depth = todo.popleft()
            for step, inner in _parts(one):
                if inner is value:
                    return path + step, name
                if depth < _SEARCH_DEPTH and id(inner) not in seen and not isinstance(inner, _PLAIN):
                    seen.add(id(inner))
                    todo.append((name, path + step, inner, depth + 1))
        return "", ""


def _variable_for(kind: type) -> str:
    """``cash_desk`` for a ``CashDesk``; ``made`` where that would hide a module or is none."""
    name = _INNER_CAPITAL.sub("_", kind.__name__.strip("_")).lower()
    hides = name in sys.modules or name in dir(builtins) or keyword.iskeyword(name)
    return "made" if hides or not name.isidentifier() else name


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """What hangs on an object directly, with the text that leads there."""
    if isinstance(value, list | tuple):
        yield from ((f"[{at}]", item) for at, item in enumerate(value[:20]))
    elif isinstance(value, dict):
        rows = list(value.items())[:40]
        yield from ((f"[{key!r}]", item) for key, item in rows if type(key) in (str, int))
    elif not isinstance(value, (*_NAMED, types.ModuleType)):
        own = getattr(value, "__dict__", {})
        names = [*own] if isinstance(own, dict) else []
        names += [name for kind in type(value).__mro__ for name in _slots(kind)]
        for name in names:
            if (
                isinstance(name, str)
                and name.isidentifier()
                and not name.startswith("__")
                and hasattr(value, name)
            ):
                yield f".{name}", getattr(value, name)


def _slots(kind: type) -> Iterable[str]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else slots


class Expressions:
    """Writes the values of one statement; ``uses`` are the variables in it, ``modules`` what it has to import, ``before`` the
    statements that lay files out for it and make what a test made of its own.

    ``globals_of_project`` gives ``module:name`` of objects by their identity, ``definitions`` those of inner functions and
    classes of tests.
    """

    def __init__(
        self,
        variables: Variables,
        globals_of_project: Callable[[], Mapping[int, str]],
        places: Places,
        definitions: LocalDefinitions,
    ) -> None:
        self._variables = variables
        self._globals = globals_of_project
        self._places = places
        self._definitions = definitions
        self.before: list[str] = []
        self.uses: set[str] = set()
        self.modules: set[str] = set()

    def write(self, value: object, depth: int = 0) -> str:
        """The expression of a value.

        Raises:
            Unwritable: it has none.
        """
        if depth > _MAX_DEPTH:
            raise Unwritable("too deep")
        if name := self._variables.name_of(value):
            self.uses.add(name)
            return name
        if made := self._variables.made.get(id(value)):
            return self._taken(made)
        if isinstance(value, str | PurePath) and self._places.mentioned_in(str(value)):
            return self._place(value)
        if type(value) is str and len(value) <= MAX_TEXT:
            return repr(value)
        try:
            text = literal.source(value, {})
        except literal.NoSource:
            return self._composed(value, depth + 1)
        return self._composed(value, depth + 1) if self._places.mentioned_in(text) else text

    def call(
        self, function: str, positional: Iterable[object], named: Mapping[str, object], depth: int = 0
    ) -> str:
        """A call of what an expression names.

        Raises:
            Unwritable: an argument has no expression, or its name is none: ``**{"data-id": 1}`` may give any text.
        """
        if not all(name.isidentifier() and not keyword.iskeyword(name) for name in named):
            raise Unwritable("an argument's name is no identifier")
        given = [self.write(one, depth) for one in positional]
        given += [f"{name}={self.write(one, depth)}" for name, one in named.items()]
        return f"{function}({', '.join(given)})"

    def member(self, module: str, name: str) -> str:
        """A name in a module, which is imported for it."""
        self.modules.add(module)
        return f"{module}.{name}"

    def importable(self, value: Any) -> str:
        """The dotted name of a class or function; raises Unwritable where it has none that means it."""
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if isinstance(module, str) and isinstance(name, str) and resolve(module, name) is value:
            return name if module == "builtins" else self.member(module, name)
        module, _, name = self._globals().get(id(value), "").partition(":")
        if not module or resolve(module, name) is not value:
            raise Unwritable("no name means it")
        return self.member(module, name)

    def _place(self, value: str | PurePath) -> str:
        """A path of the test run."""
        found = self._places.expression(str(value))
        if found is None:
            raise Unwritable("it names a place of this run")
        path, files = found
        self.before += files
        self.modules |= {"pathlib", self._places.module}
        return f"str({path})" if isinstance(value, str) else path

    def _composed(self, value: Any, depth: int) -> str:
        """What is no literal."""
        kind = type(value)
        if isinstance(value, types.ModuleType):
            self.modules.add(value.__name__)
            return value.__name__
        if kind in (list, tuple, set, frozenset, dict):
            return self._container(value, depth)
        if kind in _STANDARD:
            name, arguments = _STANDARD[kind]
            self.modules.add(name.partition(".")[0])
            return self.call(name, *arguments(value), depth)
        try:
            return self.importable(value)
        except Unwritable:
            return self._object(value, depth)

    def _container(self, value: Any, depth: int) -> str:
        if len(value) > _MAX_ITEMS:
            raise Unwritable("too many items")
        if isinstance(value, dict):
            return (
                "{"
                + ", ".join(
                    f"{self.write(key, depth)}: {self.write(item, depth)}" for key, item in value.items()
                )
                + "}"
            )
        items = [self.write(one, depth) for one in value]
        if isinstance(value, list):
            return f"[{', '.join(items)}]"
        inner = ", ".join(items if isinstance(value, tuple) else sorted(items))
        return f"({inner},)" if isinstance(value, tuple) else f"{type(value).__name__}([{inner}])"

    def _object(self, value: Any, depth: int) -> str:
        """An object of any class: a method, an enum's member, what hangs on a variable, plain data, what a test made."""
        if isinstance(value, types.MethodType):
            return f"{self.write(value.__self__, depth)}.{value.__name__}"
        path, name = self._variables.path_to(value)
        if path:
            self.uses.add(name)
            return path
        if (definition := self._definitions.of(value)) is not None:
            return self._defined(value, definition, depth)
        kind = type(value)
        if isinstance(value, enum.Enum):
            return f"{self.write(kind, depth)}({self.write(value.value, depth)})"
        if (fields := _fields(value)) is not None:
            return self.call(self.write(kind, depth), *fields, depth)
        if self._definitions.holds(kind) and _is_plain(kind):
            return self._copied(value, depth)
        raise Unwritable(kind.__qualname__)

    def _taken(self, made: Made) -> str:
        """The name of an object that statements make, which become some of this one's."""
        self.before += [line for line in made.lines if line not in self.before]
        self.uses |= made.uses
        self.modules |= made.modules
        return made.name

    def _defined(self, value: object, definition: Definition, depth: int) -> str:
        """A lambda in parentheses, or the name of an inner function or class."""
        if not definition.name:
            return f"({self._source_of(definition, depth)})"

        def lines(inner: Expressions) -> list[str]:
            return [inner._source_of(definition, depth)]

        return self._made(value, self._variables.fresh(definition.name), lines)

    def _source_of(self, definition: Definition, depth: int) -> str:
        """A definition with expressions in the place of what it takes from around it."""
        node = copy.deepcopy(definition.node)
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []  # who decorates it is given it as it is
        by = {name: self._captured(one, depth) for name, one in sorted(definition.outer.items())}
        return substitute(ast.unparse(node), by)

    def _captured(self, value: object, depth: int) -> str:
        """What a definition takes from around it; a container is shared with whoever else holds it."""
        if type(value) not in _SHARED or self._variables.name_of(value):
            return self.write(value, depth + 1)
        if made := self._variables.made.get(id(value)):
            return self._taken(made)
        name = self._variables.fresh("shared")
        return self._made(value, name, lambda inner: [f"{name} = {inner._container(value, depth + 1)}"])

    def _copied(self, value: object, depth: int) -> str:
        """An instance of a test's class, with the attributes it has now."""
        kind, name = type(value), self._variables.fresh(_variable_for(type(value)))

        def lines(inner: Expressions) -> list[str]:
            made = f"{name} = object.__new__({inner.write(kind, depth + 1)})"
            state = vars(value)
            return [made, *([f"vars({name}).update({inner.write(dict(state), depth + 1)})"] if state else [])]

        return self._made(value, name, lines)

    def _made(self, value: object, name: str, lines: Callable[[Expressions], list[str]]) -> str:
        """The name of an object that ``lines`` make; it may hold itself."""
        made = self._variables.made[id(value)] = Made(name, value)
        inner = Expressions(self._variables, self._globals, self._places, self._definitions)
        try:
            own = lines(inner)
        except Unwritable:
            del self._variables.made[id(value)]
            raise
        made.lines = tuple(dict.fromkeys([*inner.before, *own]))
        made.uses, made.modules = frozenset(inner.uses), frozenset(inner.modules)
        return self._taken(made)


def resolve(module: str, qualname: str) -> object:
    """What a qualified name means in an imported module; None for nothing."""
    at: object = sys.modules.get(module)
    for part in qualname.split("."):
        at = getattr(at, part, None)
    return at


def _fields(value: Any) -> tuple[list[object], dict[str, object]] | None:
    """The arguments that make plain data again: named tuples, classes of fields, kinds of texts and numbers."""
    kind = type(value)
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return list(value), {}
    if (named := data_fields(value)) is not None:
        return [], named
    if isinstance(value, BaseException) and kind.__init__ in _EXCEPTION_INITS:
        return list(value.args), {}
    base: Any
    for base in (str, int, float, bytes, list, dict):
        if (
            isinstance(value, base)
            and kind.__init__ in (base.__init__, object.__init__)
            and kind.__new__ is base.__new__
        ):
            return [base(value)], {}
    return None


def _is_plain(kind: type) -> bool:
    """Whether all there is to an instance is its attributes."""
    made: object = kind.__new__
    return made is object.__new__ and not any(vars(one).get("__slots__") for one in kind.__mro__)


_SHARED = (list, dict, set)
_EXCEPTION_INITS = {BaseException.__init__, Exception.__init__, ValueError.__init__, KeyError.__init__}
_STANDARD: Mapping[type, tuple[str, Callable[[Any], tuple[list[object], dict[str, object]]]]] = {
    re.Pattern: ("re.compile", lambda one: ([one.pattern, one.flags], {})),
    io.StringIO: ("io.StringIO", lambda one: ([one.getvalue()], {})),
    io.BytesIO: ("io.BytesIO", lambda one: ([one.getvalue()], {})),
    functools.partial: ("functools.partial", lambda one: ([one.func, *one.args], one.keywords)),
    types.SimpleNamespace: ("types.SimpleNamespace", lambda one: ([], vars(one))),
}
"""Classes of the standard library: what makes one, and its arguments."""
