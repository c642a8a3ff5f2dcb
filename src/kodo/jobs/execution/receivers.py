"""How an instance is made and brought into a state before one of its methods is called, and what is held still around a call.

Knows what the statements look like; which values go into them is ``values``'s.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from kodo.jobs.execution.definitions import Class, Function
from kodo.jobs.execution.effects import Effects, read_effects
from kodo.jobs.execution.mocks import asked_answers, late_attributes
from kodo.jobs.execution.model import Origin
from kodo.jobs.execution.param_types import from_name
from kodo.jobs.execution.parameters import Param
from kodo.jobs.execution.sample_texts import lines_of, variant
from kodo.jobs.execution.settings_of_tests import settings_read
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.execution.values import Values

_OF_FILES = 0.6  # of the instances of a class that may read a file, those that read one
_SET = 0.5  # of the calls of a property that can be set, those where it was set before
_IN_STATE = 0.6  # of what tests set on an object and a function reads of it, that which is set before a call
_LATE = 0.5  # of the calls of a method, those where attributes are set that another call would set
_EXISTING = 0.75  # of the calls that take a file, those where there is one
_SAMPLED = 0.6  # of the files that are written where there are such texts, those that hold one, or one a little changed
_FORMED = 0.6  # of the other files, those of lines in the forms of common formats
_ENCODED = 0.15  # of the files that two versions are given, those in another encoding
_ENCODINGS = ((b"\xe9", "latin-1"), (b"\xef\xbb\xbf", "utf-8"), (b"", "utf-16"))
"""What stands in front of a text, and how the text is encoded."""


class Receivers:
    """The receivers of one module's methods. ``deep``: some are made of files that they read. ``mocked``: attributes that another call
    would set are set, and mocks answer no now and then. ``settings``: what tests set on objects (``settings_of_tests``).
    """

    def __init__(
        self,
        module: TargetModule,
        settings: Mapping[str, tuple[str, ...]],
        *,
        deep: bool,
        mocked: bool,
    ) -> None:
        self._module = module
        self._settings = settings
        self._deep = deep
        self._mocked = mocked
        self._known_effects: dict[str, Effects] = {}
        self._known_changers: dict[str, list[Function]] = {}
        self._known_late: dict[str, tuple[Mapping[str, tuple[str, ...]], tuple[str, ...]]] = {}
        self._class_nodes = {node.name: node for node in module.tree.body if isinstance(node, ast.ClassDef)}

    def hold_still(
        self, function: Function, given: Mapping[str, str], values: Values
    ) -> tuple[tuple[str, ...], dict[str, str]]:
        """Statements that hold the clock, the environment and files still, and the arguments that use them."""
        effects = self.effects(function)
        rng, setup, row = values.rng, list(effects.setup), dict(given)
        for name in effects.variables:
            value = rng.choice((None, "''", "'1'", "'value'", repr(values.text())))
            change = f"delenv({name!r}, raising=False)" if value is None else f"setenv({name!r}, {value})"
            setup.append(f"monkeypatch.{change}")
        for name in effects.files:
            if name in row:
                place = f"tmp_path / {name + '.txt'!r}"
                text = next((one.type for one in function.params if one.name == name and one.typed), None)
                row[name] = f"str({place})" if text is not None and text.kind == "str" else place
                if rng.random() < _EXISTING:
                    setup.append(f"({place}).{self._write(values)}")
        return tuple(setup), row

    def _write(self, values: Values) -> str:
        """The call that writes a file; where two versions are compared, now and then one that is no UTF-8 or has a mark in front."""
        text = _file_text(values)
        if self._mocked and values.rng.random() < _ENCODED:
            mark, encoding = values.rng.choice(_ENCODINGS)
            return f"write_bytes({mark + text.encode(encoding, 'replace')!r})"
        return f"write_text({text!r}, encoding='utf-8')"

    def effects(self, function: Function) -> Effects:
        """What a function does besides giving a result; read once."""
        if function.qualname not in self._known_effects:
            module, names = self._module, frozenset(one.name for one in function.params)
            self._known_effects[function.qualname] = read_effects(
                module.name, module.tree, function.node, names
            )
        return self._known_effects[function.qualname]

    def prepare(
        self, owner: Class, receiver: str, function: Function, values: Values, origin: Origin
    ) -> tuple[str, ...]:
        """Statements that make an instance and, for most calls, bring it into some state by other methods."""
        rng, is_plain = values.rng, origin != "random" and owner.kind != "enum"
        lines = list(self._of_file(owner, receiver, values)) if self._deep else []
        lines = lines or [f"{receiver} = {values.instance(owner.name, 0, plain=is_plain)}"]
        if self._mocked:
            lines += self._late(owner.name, receiver, function, values)
        lines += self.in_state(receiver, "self", function, values)
        makers = self.state_changers(owner.name)
        for _ in range(rng.choice((0, 1, 1, 2, 3)) if makers else 0):
            method = rng.choice(makers)
            inner = ", ".join(
                f"{param.name}={values.random(param.type)}"
                if param.keyword_only
                else values.random(param.type)
                for param in method.params
                if not param.variadic and param.default is None
            )
            lines.append(f"{receiver}.{method.name}({inner})")
        setter = self._module.setters.get(function.qualname)
        if setter is not None and setter.params and rng.random() < _SET:
            lines.append(f"{receiver}.{function.name} = {values.random(setter.params[0].type)}")
        return tuple(lines)

    def in_state(self, variable: str, name: str, function: Function, values: Values) -> Iterator[str]:
        """Statements that set on an object, which is called ``name`` in a function, some of what tests set and the function reads."""
        for place in settings_read(name, function.node.body) if self._settings else ():
            if place in self._settings and values.rng.random() < _IN_STATE:
                yield f"{variable}{place} = {values.rng.choice(self._settings[place])}"

    def _late(self, owner: str, receiver: str, function: Function, values: Values) -> Iterator[str]:
        """Statements that set attributes which the constructor leaves at None, for some calls of a method that reads them, and that
        let mocks answer no where an answer decides.
        """
        if function.qualname not in self._known_late:
            node = self._class_nodes.get(owner)
            late = late_attributes(node, function.node) if node is not None else {}
            self._known_late[function.qualname] = late, asked_answers(function.node)
        found, asked = self._known_late[function.qualname]
        chosen = [one for one in found.items() if values.rng.random() < _LATE]
        for name, made in chosen:
            value = values.rng.choice(made) if made else values.random(from_name(name))
            yield f"{receiver}.{name} = {value}"
        for method in asked if values.rng.random() < _LATE else ():
            yield f"{receiver}.{method}.return_value = False"

    def _of_file(self, owner: Class, receiver: str, values: Values) -> Iterator[str]:
        """Statements that make an instance of a class whose constructor reads a file; now and then none, and for others none."""
        init = self._module.every_function.get(f"{owner.name}.__init__")
        files = self.effects(init).files if init is not None else ()
        if init is None or not files or values.rng.random() > _OF_FILES:
            return
        needed = [one for one in init.params if one.name in files or not is_optional(one)]
        given = {one.name: values.random(one.type) for one in needed}
        setup, given = self.hold_still(init, given, values)
        yield from setup
        yield f"{receiver} = {owner.name}({', '.join(f'{name}={source}' for name, source in given.items())})"

    def state_changers(self, owner: str) -> list[Function]:
        """The public methods of a class that change its state; read once, as every call of a method asks."""
        if owner not in self._known_changers:
            self._known_changers[owner] = [
                one
                for one in self._module.functions
                if one.owner == owner
                and one.kind == "method"
                and not one.name.startswith("_")
                and isinstance(one.node, ast.FunctionDef)
                and _changes_state(one)
            ]
        return self._known_changers[owner]


def _file_text(values: Values) -> str:
    """A sample of what the package reads or a few lines, of the words and signs of the code."""
    rng = values.rng
    if values.samples and rng.random() < _SAMPLED:
        return variant(values.samples, rng)
    if rng.random() < _FORMED:
        return lines_of([one for one in values.constants if isinstance(one, str)], rng)
    return "".join(f"{values.text()}\n" for _ in range(rng.choice((0, 1, 2, 4))))


def _changes_state(function: Function) -> bool:
    """Whether a method writes to self or calls something on a part of it."""
    for node in ast.walk(function.node):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            return True
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            return True
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            return True
    return False


def is_optional(param: Param) -> bool:
    """Whether a call needs no value for a parameter."""
    return param.default is not None or param.variadic
