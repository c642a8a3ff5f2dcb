"""Values of a type, as Python source: a plain one, the boundaries, random ones, and neighbours of a given one.

Deterministic: the same random generator gives the same values. Knows nothing of functions or calls.
"""

import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kodo.jobs.execution import mocks
from kodo.jobs.execution.definitions import Class
from kodo.jobs.execution.near_values import LETTERS, NEIGHBOURS
from kodo.jobs.execution.odd_values import HOLE
from kodo.jobs.execution.param_types import ANY, ParamType
from kodo.jobs.execution.parameters import Param
from kodo.jobs.execution.value_sources import (
    container_source,
    dict_source,
    known_keys,
    namespace_source,
    tuple_source,
)
from kodo.jobs.execution.value_tables import EDGES, PLAIN
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value

_OPTIONAL = (0, 1, 1, 1, 2, 2, 4)
"""How many optional parameters of a constructor get a value: with all of them, few instances can be made."""
_LEADING = 0.8  # of the random instances, those that may be given optional parameters by position
_FOCUSED = 0.6
_SHAPED = 0.2  # of the random texts, those that meet what the function asks
_SHOWN = 0.6  # of the random instances, where it is known how to make one
_WORDED = 0.6  # of the random bytes, those of the words of the code and of plain ones
_PIECES = (b"a", b"b", b"abc", b"X", b"7", b" ", b"\n", b"\r\n", b": ", b"a b")
_SHOWN_EACH = 8  # values of each attribute of an object that stand in the code
_EDGES = 6  # boundaries of a class that is known how to make an instance of
_ASKED = 0.5  # of the open values, those of a type that the code asks for
_ODD = 0.15  # of the open values, odd ones
_HOLDS_OTHERS, _DEEPEST = 0.5, 3  # of open values, those that hold others, and to what depth
_HOLDERS = (
    ParamType("list", (ANY,)),
    ParamType("list", (ParamType("record", (ParamType("str"), ANY)),)),
    ParamType("dict", (ParamType("str"), ANY)),
    ParamType("tuple", (ANY,)),
    ParamType("none"),
)
_MOCKED = 0.6  # of the objects of other modules that a constructor is given, mocks
_KINDS = 4
_OPTIONAL_KEYS = 0.6  # of the keys that a dict may have, those that it has


@dataclass(frozen=True, slots=True)
class Values:
    """Makes values. ``constants`` are the literals found in and around the function under test."""

    rng: random.Random
    classes: dict[str, Class]
    constants: tuple[object, ...] = ()
    instances: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Class -> calls that are known to make one."""
    depth: int = field(default=0)
    focus: frozenset[str] = frozenset()
    """Names of optional parameters that are given a value more often than others."""
    shapes: tuple[str, ...] = ()
    """Texts that meet what the function asks of a text."""
    compares: bool = False
    """Whether parameters of one type are now and then given values that are alike."""
    asked: tuple[ParamType, ...] = ()
    """The types that the code asks values for, as ``isinstance(value, bytes)``: open values are now and then of one of them."""
    deep: bool = False
    """Whether one text is now and then what another one, as a form with holes, describes, and an open value may hold others."""
    mocked: frozenset[str] | None = None
    """Classes of other modules in whose place mocks are given to constructors, and in that of objects of which no more is
    known than that they are talked to; None for no mocks.
    """
    odd: tuple[str, ...] = ()
    """Sources of odd values that open values are now and then; a hole stands for a plain one."""
    samples: tuple[str, ...] = ()
    """Texts in the formats that the package reads, for files."""
    _fitting: dict[str, list[str]] = field(default_factory=dict, init=False, compare=False)
    """Kind of type -> the sources that the constants give for it, found once: thousands of values are made of them."""

    def plain(self, type_: ParamType, depth: int = 0) -> str:
        """One ordinary value."""
        match type_.kind:
            case "literal":
                return type_.text
            case "class":
                return self.instance(type_.text, depth, plain=True)
            case "union":
                first = next((arg for arg in type_.args if arg.kind != "none"), type_.args[0])
                return self.plain(first, depth)
            case "record":
                return tuple_source([self.plain(arg, depth + 1) for arg in type_.args])
            case "list" | "set" | "frozenset" | "tuple" | "deque" | "iterator" | "async":
                inner = type_.args[0] if type_.args else ANY
                items = [self.plain(inner, depth + 1)]
                if depth < 2:
                    items += [value for value in self.edges(inner, depth + 1)[1:3] if value not in items]
                return container_source(type_.kind, items)
            case "dict":
                key, value = (*type_.args, ANY, ANY)[:2]
                return "{" + f"{self.plain(key, depth + 1)}: {self.plain(value, depth + 1)}" + "}"
            case "namespace":
                return namespace_source(dict.fromkeys(type_.text.split(), "1"))
            case "fields":
                return self._plain_fields(type_, depth)
            case "optional":
                return self.plain(type_.args[0], depth)
            case "any" if self.asked and depth < _DEEPEST:
                return self.plain(self.asked[0], depth + 1)
            case _:
                return PLAIN.get(type_.kind, "1")

    def edges(self, type_: ParamType, depth: int = 0) -> list[str]:
        """The boundary values of a type and the constants of the code that fit it, without repeats."""
        out: list[str] = []
        match type_.kind:
            case "union":
                for arg in type_.args:
                    out += self.edges(arg, depth)
            case "literal":
                out.append(type_.text)
            case "class":
                out += self._instance_edges(type_.text, depth)
            case "namespace":
                out += self._namespace_edges(type_.text.split())
            case "record":
                out += self._record_edges(type_, depth)
            case "fields":
                out += self._fields_edges(type_, depth)
            case "optional":
                out += self.edges(type_.args[0], depth)
            case "list" | "set" | "frozenset" | "tuple" | "deque" | "iterator" | "async":
                out += self._container_edges(type_, depth)
            case "dict":
                out += self._dict_edges(type_, depth)
            case kind:
                out += self._plain_edges(kind, depth)
        return list(dict.fromkeys(out))

    def _instance_edges(self, name: str, depth: int) -> list[str]:
        known = self.classes.get(name)
        if known and known.kind == "enum":
            return [f"{known.name}.{member}" for member in known.members]
        return [
            self.instance(name, depth, plain=False) for _ in range(_EDGES if name in self.instances else 3)
        ]

    def _namespace_edges(self, names: Sequence[str]) -> list[str]:
        """Objects of which one attribute is a value that stands in the code."""
        told = [*self._from_constants("int"), *self._from_constants("str")][:_SHOWN_EACH]
        plain = dict.fromkeys(names, "1")
        return [namespace_source(plain | {name: value}) for name in names for value in ("1", *told)]

    def _record_edges(self, type_: ParamType, depth: int) -> list[str]:
        base = [self.plain(arg, depth + 1) for arg in type_.args]
        return [
            tuple_source([*base[:at], edge, *base[at + 1 :]])
            for at, arg in enumerate(type_.args)
            for edge in self.edges(arg, depth + 1)[:4]
        ]

    def _dict_edges(self, type_: ParamType, depth: int) -> list[str]:
        key, value = (*type_.args, ANY, ANY)[:2]
        keys = self.edges(key, depth + 1)[:4] if depth < 3 else [self.plain(key, depth + 1)]
        out = ["{}", *("{" + f"{one}: {self.plain(value, depth + 1)}" + "}" for one in keys)]
        if value.kind == "any" and depth == 0:
            out += ["{" + f"{self.plain(key, 1)}: {one}" + "}" for one in self._odd_sources()]
        if len(keys) > 1:
            out.append("{" + ", ".join(f"{one}: {self.random(value, depth + 1)}" for one in keys) + "}")
        return out

    def _plain_edges(self, kind: str, depth: int) -> list[str]:
        shapes = [repr(shape) for shape in self.shapes] if kind == "str" and depth == 0 else []
        if kind == "any" and depth < _DEEPEST:
            shapes = [self.plain(one, depth + 1) for one in self.asked]
            shapes += self._odd_sources()
        return [*shapes, *self._from_constants(kind), *EDGES.get(kind, ())]

    def _plain_fields(self, type_: ParamType, depth: int) -> str:
        """A dict of the needed keys, or of all where none has to be there."""
        needed = [(key, one) for key, one in known_keys(type_) if one.kind != "optional"]
        return dict_source({key: self.plain(one, depth + 1) for key, one in needed or known_keys(type_)})

    def _fields_edges(self, type_: ParamType, depth: int) -> list[str]:
        """Dicts of the needed keys, one of all keys at a boundary in turn; deep in others one random dict."""
        if depth > 1:
            return [self.random(type_, depth)]
        plain = {key: self.plain(one, depth + 1) for key, one in known_keys(type_)}
        needed = {key: plain[key] for key, one in known_keys(type_) if one.kind != "optional"}
        rows = [needed, plain]
        for key, one in known_keys(type_):
            rows += [needed | {key: edge} for edge in self.edges(one, depth + 1)[:_SHOWN_EACH]]
        return [dict_source(row) for row in rows]

    def _odd_sources(self) -> list[str]:
        return [one.replace(HOLE, "[1, 2]") for one in self.odd]

    def _container_edges(self, type_: ParamType, depth: int) -> list[str]:
        inner = type_.args[0] if type_.args else ANY
        if depth >= 3:
            return [container_source(type_.kind, [])]
        edges = self.edges(inner, depth + 1)
        lists: list[list[str]] = [
            [],
            edges[:1],
            edges[1:2],
            edges[:2],
            edges[:2] * 2,
            edges[:5],
            edges[:5][::-1],
        ]
        lists += [[one] for one in edges[2:6]]
        if inner.kind in ("int", "float"):
            lists += [
                ["1", "2", "3"],
                ["3", "1", "2"],
                ["5", "5", "5"],
                ["-2", "0", "2"],
                ["1", "2", "2", "3"],
                ["4", "3", "2", "1"],
            ]
        elif inner.kind == "any":
            lists += [["1", "2", "3"], ["3", "1", "2", "1"], ["'b'", "'a'"], ["[1, 2]", "[3]"]]
        return [container_source(type_.kind, items) for items in lists]

    def _from_constants(self, kind: str) -> list[str]:
        if kind not in self._fitting:
            self._fitting[kind] = self._read_constants(kind)
        return self._fitting[kind]

    def _read_constants(self, kind: str) -> list[str]:
        out: list[str] = []
        for value in self.constants:
            if kind in ("int", "float") and type(value) in (int, float):
                assert isinstance(value, int | float)  # noqa: S101 - its type was just asked
                if abs(value) < 10**6:
                    near = (
                        (value, value + 1, value - 1, -value, value + 0.5)
                        if kind == "float"
                        else (value, value + 1, value - 1)
                    )
                    out += [repr(float(one) if kind == "float" else int(one)) for one in near]
            elif kind == "str" and isinstance(value, str) and len(value) < 80:
                out += [repr(value), repr(value.upper()), repr("a" + value + "b"), repr(value + value)]
            elif kind == "bytes" and isinstance(value, bytes) and len(value) < 80:
                out += [repr(value), repr(b"a" + value + b"b"), repr(value + value)]
        return out[:40]

    def random(self, type_: ParamType, depth: int = 0) -> str:
        """One random value; one in three is a boundary."""
        rng = self.rng
        if depth > 3 and not _is_bounded(type_):
            return self.plain(type_, depth)
        if type_.kind == "union" and any(arg.kind == "class" for arg in type_.args):
            return self.random(
                rng.choice(type_.args), depth
            )  # all boundaries of classes that hold one another are too many
        if (
            type_.kind not in ("list", "dict", "record", "class", "fields", "optional")
            and rng.random() < 0.33
        ):
            return rng.choice(self.edges(type_, depth) or [self.plain(type_)])
        make = RANDOM.get(type_.kind)
        return make(self, type_, depth) if make else rng.choice([self.plain(type_), *self.edges(type_)])

    def text(self) -> str:
        """A random text of the words of the code and of letters."""
        rng = self.rng
        if self.shapes and rng.random() < _SHAPED:
            return rng.choice(self.shapes)
        words = self._short_texts()
        parts: list[str] = []
        for _ in range(rng.choice((0, 1, 1, 2, 3, 4))):
            if words and rng.random() < 0.5:
                parts.append(rng.choice(words))
            elif rng.random() < 0.5:
                parts.append(
                    rng.choice(("a", "foo", "Bar", "42", "x1", "the quick", "noon", "0", "-7", "3.5"))
                )
            else:
                parts.append("".join(rng.choice(LETTERS) for _ in range(rng.randint(1, 6))))
        return rng.choice(("", "", " ")).join(parts)

    def instance(self, name: str, depth: int, *, plain: bool) -> str:
        """An instance of one of the module's classes; None for a class that is not known."""
        shown = self.instances.get(name, ())
        if shown and (plain or name not in self.classes or self.rng.random() < _SHOWN):
            return shown[0] if plain else self.rng.choice(shown)
        known = self.concrete(name)
        if known is None or depth > 3:
            return self._stand_in(name)
        name = known.name
        if known.kind == "enum":
            return (
                f"{name}.{known.members[0] if plain else self.rng.choice(known.members)}"
                if known.members
                else "None"
            )
        return f"{name}({', '.join(self._constructor_arguments(known, depth, plain=plain))})"

    def _stand_in(self, name: str) -> str:
        """What is given in the place of an instance that cannot be made."""
        if self.mocked is None:
            return "None"
        return mocks.of_class(name) if name in self.classes else mocks.SOURCE

    def _constructor_arguments(self, known: Class, depth: int, *, plain: bool) -> list[str]:
        """What a constructor must be given, and unless ``plain`` a few of what it may be given, as written in the call."""
        make = self.plain if plain else self.random
        params = [one for one in known.init if not one.variadic]
        needed = [one for one in params if one.default is None]
        given = [make(self._taken(one, plain=plain), depth + 1) for one in needed if not one.keyword_only]
        named = [
            f"{one.name}={make(self._taken(one, plain=plain), depth + 1)}"
            for one in needed
            if one.keyword_only
        ]
        if plain:
            return [*given, *named]
        given += self._leading(params, depth)
        optional = [one for one in params if one.default is not None and not one.positional_only]
        is_open = any(one.variadic for one in known.init) and all(one.keyword_only for one in optional)
        more = range(self.rng.choice((0, 1, 2, 3)) if is_open else 0)
        given += [self.random(ANY, depth + 1) for _ in more]
        return [*given, *named, *self._options(optional, depth)]

    def _leading(self, params: Sequence[Param], depth: int) -> list[str]:
        """The first of the optional parameters that have no keyword, now and then: such as the items of a collection."""
        optional = [one for one in params if one.default is not None and one.positional_only]
        chosen = optional[: self.rng.randint(0, len(optional))] if self.rng.random() < _LEADING else ()
        return [self.random(self._taken(one, plain=False), depth + 1) for one in chosen]

    def _options(self, optional: Sequence[Param], depth: int) -> list[str]:
        """A few of the optional parameters by keyword, those in focus more often."""
        chosen = self.rng.sample(optional, min(len(optional), self.rng.choice(_OPTIONAL)))
        chosen += [one for one in optional if self.wants(one.name) and one not in chosen]
        return [f"{one.name}={self.random(self._taken(one, plain=False), depth + 1)}" for one in chosen]

    def _taken(self, param: Param, *, plain: bool) -> ParamType:
        """What a constructor is given for a parameter: for an object to talk to that is not known how to make, a mock."""
        if self.mocked is None:
            return (
                mocks.awaitable(param.awaited)
                if self.deep and param.asked and (plain or self.rng.random() < _MOCKED)
                else param.type
            )
        name = param.type.text if param.type.kind == "class" else ""
        is_sure = plain and name not in self.instances  # a known instance may still raise in this version
        if name in self.mocked and (is_sure or self.rng.random() < _MOCKED):
            return ParamType("literal", text=mocks.of_class(name, param.awaited))
        if not param.talked_to:
            return param.type
        made = mocks.awaitable(param.awaited)
        return ParamType("union", (made, param.type)) if param.type.only_none and not plain else made

    def wants(self, name: str) -> bool:
        """Whether an optional parameter in focus gets a value this time."""
        return name in self.focus and self.rng.random() < _FOCUSED

    def concrete(self, name: str) -> Class | None:
        """The class, or of an abstract one the first that derives from it."""
        known = self.classes.get(name)
        if known is not None and known.kind == "abstract":
            derived = (one for one in self.classes.values() if name in one.bases and one.kind != "abstract")
            return next(derived, None)
        return known

    def near(self, source: str) -> list[str]:
        """Neighbours of a literal: the same value a little changed. Empty if the value is not a literal."""
        try:
            value = literal_value(source)
        except NoLiteral:
            return []
        return list(dict.fromkeys(repr(one) for one in self.neighbours(value, 0) if _same_kind(one, value)))

    def neighbours(self, value: object, depth: int) -> list[object]:
        """Values a little different from a given one; none for what is no literal."""
        for kind, change in NEIGHBOURS:
            if isinstance(value, kind):
                return change(self, value, depth)
        return []

    def near_kinds(self) -> list[object]:
        """A few open values of any kind; those whose source is no literal are left out."""
        out: list[object] = []
        for _ in range(_KINDS):
            with contextlib.suppress(NoLiteral):
                out.append(literal_value(self.random(ANY, 1)))
        return out

    def _short_texts(self) -> list[str]:
        """The texts among the constants that are words."""
        if "words" not in self._fitting:
            found = (one for one in self.constants if isinstance(one, str))
            self._fitting["words"] = [one for one in found if 0 < len(one) < 30]
        return self._fitting["words"]

    def words(self, count: int) -> list[str]:
        """At most ``count`` of the texts among the constants."""
        known = self._short_texts()
        return self.rng.sample(known, min(count, len(known)))


def _same_kind(one: object, other: object) -> bool:
    return type(one) is type(other)


def _integer(values: Values, _: ParamType, __: int) -> str:
    rng = values.rng
    ranges = ((-10, 10), (0, 20), (-1000, 1000), (0, 10**6))
    return str(rng.choice([rng.randint(low, high) for low, high in ranges]))


def _float(values: Values, _: ParamType, __: int) -> str:
    rng = values.rng
    small, share = round(rng.uniform(-10, 10), 2), round(rng.uniform(0, 1), 3)
    return repr(rng.choice((small, share, float(rng.randint(-100, 1000)))))


def _bytes(values: Values, _: ParamType, __: int) -> str:
    if values.rng.random() < _WORDED:
        known = [one for one in values.constants if isinstance(one, bytes) and 0 < len(one) < 30]
        parts = [
            values.rng.choice([*known, *_PIECES]) for _ in range(values.rng.choice((1, 1, 1, 2, 3, 4, 6)))
        ]
        return repr(b"".join(parts))
    return repr(bytes(values.rng.randrange(256) for _ in range(values.rng.randint(0, 6))))


def _items(values: Values, type_: ParamType, depth: int) -> str:
    rng = values.rng
    inner = type_.args[0] if type_.args else ANY
    items = [values.random(inner, depth + 1) for _ in range(rng.choice((0, 1, 2, 3, 4, 6)))]
    if items and rng.random() < 0.4:
        items.append(rng.choice(items))
    return container_source(type_.kind, items)


def _dict(values: Values, type_: ParamType, depth: int) -> str:
    key, value = (*type_.args, ANY, ANY)[:2]
    pairs = [
        f"{values.random(key, depth + 1)}: {values.random(value, depth + 1)}"
        for _ in range(values.rng.randint(0, 4))
    ]
    return "{" + ", ".join(pairs) + "}"


def _date(values: Values, type_: ParamType, _: int) -> str:
    rng = values.rng
    day = f"{rng.randint(1990, 2030)}, {rng.randint(1, 12)}, {rng.randint(1, 28)}"
    time = f", {rng.randint(0, 23)}, {rng.randint(0, 59)}" if type_.kind == "datetime" else ""
    return f"datetime.{type_.kind}({day}{time})"


def _namespace(values: Values, type_: ParamType, depth: int) -> str:
    """An object with the attributes of ``type_``, each a number or a text of the code, or anything."""
    kinds = (ParamType("int"), ParamType("str"), ANY)
    return namespace_source(
        {name: values.random(values.rng.choice(kinds), depth + 1) for name in type_.text.split()}
    )


def _is_bounded(type_: ParamType) -> bool:
    """Whether a type says itself how deep its values are: dicts of known keys, and the texts that stand in the code."""
    known = ("fields", "optional", "literal")
    return type_.kind in known or (
        type_.kind in ("list", "union") and any(one.kind in known for one in type_.args)
    )


def _file(values: Values, _: ParamType, depth: int) -> str:
    """A file in memory, of text or of bytes, with something in it that the code may want."""
    kind = values.rng.choice(("str", "bytes"))
    name = "StringIO" if kind == "str" else "BytesIO"
    return f"io.{name}({values.random(ParamType(kind), depth)})"


def _random_fields(values: Values, type_: ParamType, depth: int) -> str:
    """The needed keys and some of the others."""
    chosen = [
        (key, one)
        for key, one in known_keys(type_)
        if one.kind != "optional" or values.rng.random() < _OPTIONAL_KEYS
    ]
    return dict_source({key: values.random(one, depth + 1) for key, one in chosen})


def _anything(values: Values, _: ParamType, depth: int) -> str:
    if values.odd and values.rng.random() < _ODD:
        return values.rng.choice(values.odd).replace(HOLE, "[1, 2]")
    if values.asked and depth <= _DEEPEST and values.rng.random() < _ASKED:
        return values.random(values.rng.choice(values.asked), depth + 1)
    if values.deep and depth < _DEEPEST and values.rng.random() < _HOLDS_OTHERS:
        return values.random(values.rng.choice(_HOLDERS), depth + 1)
    return values.random(ParamType(values.rng.choice(("int", "str", "float"))), depth + 1)


RANDOM: dict[str, Callable[[Values, ParamType, int], str]] = {
    "int": _integer,
    "float": _float,
    "str": lambda values, type_, depth: repr(values.text()),
    "bytes": _bytes,
    "union": lambda values, type_, depth: values.random(values.rng.choice(type_.args), depth),
    "class": lambda values, type_, depth: values.instance(type_.text, depth, plain=False),
    "record": lambda values, type_, depth: tuple_source(
        [values.random(arg, depth + 1) for arg in type_.args]
    ),
    **dict.fromkeys(("list", "set", "frozenset", "tuple", "deque", "iterator", "async"), _items),
    "dict": _dict,
    "date": _date,
    "datetime": _date,
    "any": _anything,
    "namespace": _namespace,
    "file": _file,
    "fields": _random_fields,
    "optional": lambda values, type_, depth: values.random(type_.args[0], depth),
}
"""Kind of type -> a random value of it, as source; a kind that is not here has its boundaries only."""
