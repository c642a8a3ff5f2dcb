"""Candidate calls without a model: documented examples, stated conditions, boundaries, constants, random inputs.

Order is preference: where two calls do the same for the suite, the earlier one is kept. So documented
calls come first, then plain values, boundaries, neighbours of examples, and random ones last.
"""

import ast
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import chain, islice, repeat

from msgspec.structs import replace as replace_call

from kodo.jobs.execution import doc_contracts
from kodo.jobs.execution.argument_rows import boundary_rows, near_rows, other_forms, random_rows
from kodo.jobs.execution.argument_types import (
    members,
    odd_sources,
)
from kodo.jobs.execution.asked_types import asked_types
from kodo.jobs.execution.call_arguments import (
    listed,
    near_receiver,
    with_words,
    words_of,
)
from kodo.jobs.execution.call_writer import CallWriter
from kodo.jobs.execution.definitions import Class, Function
from kodo.jobs.execution.documented_calls import DocumentedCalls, literal_rows
from kodo.jobs.execution.drawn_types import DrawnTypes, class_names, takes_odd
from kodo.jobs.execution.model import INDIRECT, Arg, Call, Entered, Origin
from kodo.jobs.execution.package_tables import OF_WORDS, Row, drawn
from kodo.jobs.execution.param_types import ANY, ParamType
from kodo.jobs.execution.placed_items import placed_items
from kodo.jobs.execution.reached_code import constructor, reached_functions, reached_shapes, reached_words
from kodo.jobs.execution.receivers import Receivers, is_optional
from kodo.jobs.execution.regex_texts import regex_texts
from kodo.jobs.execution.stated_facts import MAX_INSTANCES, constants, documented_instances
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.execution.text_shapes import text_shapes
from kodo.jobs.execution.values import Values
from kodo.jobs.execution.worker.literal_value import is_literal

_MAX_MAKERS = 6
_NEAR_LISTS = 4
_BOUNDARIES, _MIN_BOUNDARIES = (
    0.7,
    60,
)  # of the calls, those that are not random: many parameters have many boundaries
_NEARBY = 0.8  # of the changes to a call that was worth keeping; the others are new values
_NEAR_RECEIVERS = 0.4  # of the changes to a call of a method, those that change how its instance is made
_ODD_ROWS = 20  # calls with one odd argument each, of every parameter that is open
_SETTINGS = 60  # calls that set a property, besides those that read it
_MAX_SAMPLES = 10  # texts of the package's documents and data that a function is given
_READS_TEXT = re.compile(
    r"(?:^|_|\.)(?:parse\w*|loads?|reads?|from_(?:str|string|text|file|lines)|text|source|data|contents?|string|document|markup|stream"
    r"|lines?|code|body|raw|input|s|buf|buffer|grammar)$"
)
_NOT_SEQUENCES = frozenset({"int", "float", "str", "class", "literal", "none", "callable"})
_TABLED = (
    0.3  # to the calls of a function, those that are made besides of one row of a table of the package each
)


class CandidateGenerator:
    """Makes the candidate calls of a module's functions, numbered from 0."""

    def __init__(
        self,
        module: TargetModule,
        seed: int,
        focus: frozenset[str] = frozenset(),
        instances: Mapping[str, tuple[str, ...]] | None = None,
        *,
        compares: bool = False,
        deep: bool = False,
        mocked: bool = False,
        odd: tuple[str, ...] = (),
        attributes: Mapping[str, frozenset[str]] | None = None,
        samples: tuple[str, ...] = (),
        tables: tuple[Row, ...] = (),
        settings: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """``focus``: optional parameters that matter and get a value more often. ``instances``: class -> calls that make one,
        besides those of the documentation. ``compares``: parameters of one type are now and then given values alike.
        ``deep``: inputs are also made of what the functions ask for that a function calls, and iterators for what may be one.
        ``mocked``: objects that are talked to are mocks, and parameters for types are given types. ``odd``: sources of
        odd values (``odd_values``). ``attributes``: class -> the attributes of its instances, by which a parameter without an
        annotation is known to be one. ``samples``: texts in the formats that the package reads, for files and texts (``sample_texts``).
        ``tables``: rows of words that belong together (``package_tables``). ``settings``: what tests set on objects, and to what
        (``settings_of_tests``).
        """
        self._tables = tables
        self._samples = samples
        self._focus = focus
        self._compares = compares
        self._deep = deep
        self._mocked = mocked
        self._odd = odd
        self._module = module
        self._documented = DocumentedCalls(module)
        self._seed = seed
        self._next = 0
        self._receivers = Receivers(module, settings or {}, deep=deep, mocked=mocked)
        self._instances = documented_instances(module)
        for name, sources in (instances or {}).items():
            self._instances[name] = tuple(dict.fromkeys([*self._instances.get(name, ()), *sources]))
        self._writer = CallWriter(module, self._receivers, deep=deep)
        self._types = DrawnTypes(module, self._instances, attributes or {}, odd, deep=deep, mocked=mocked)

    def calls(self, function: Function, count: int) -> list[Call]:
        """At most about ``count`` calls of one function, without repeats; none for what cannot be made."""
        owner = self._module.classes.get(function.owner)
        if owner is None and function.owner and function.kind not in ("static", "class"):
            return []  # of a class inside another
        rng = random.Random(f"{self._seed}:{function.qualname}")  # noqa: S311 - test inputs
        module = self._module
        words, shapes = self._asked(function) if self._deep else ((), ())
        values = Values(
            rng,
            module.constructible,
            tuple(dict.fromkeys([*constants(module, function), *words])),
            self._instances,
            focus=self._focus,
            shapes=(
                *self._shown_texts(function),
                *text_shapes(function.node),
                *regex_texts(module, function),
                *shapes,
            ),
            samples=self._samples,
            asked=_asked_types(module, function) if self._deep else (),
            compares=self._compares,
            deep=self._deep,
            mocked=frozenset(module.foreign_classes) if self._mocked else None,
            odd=self._odd,
        )
        if owner is not None and function.kind not in ("static", "class"):
            owner = values.concrete(owner.name)
            if owner is None or (owner.kind == "enum" and function.name == "__init__"):
                return []
        seen: set[tuple[object, ...]] = set()
        out: list[Call] = []
        for call in self._all(function, owner, values, count):
            key = (call.setup, call.expression, tuple(arg.source for arg in call.args), call.expect is None)
            if key not in seen:
                seen.add(key)
                out.append(call)
            if len(out) >= count + 50:
                break
        numbered = [_renumber(call, self._next + at) for at, call in enumerate(out)]
        self._next += len(out)
        return numbered

    def _shown_texts(self, function: Function) -> tuple[str, ...]:
        """The samples, shortest first, for a function that reads a text or makes what reads one, by its name or that of a parameter."""
        names = (function.qualname, *(one.name for one in function.params))
        is_reader = self._samples and any(map(_READS_TEXT.search, names))
        return tuple(sorted(self._samples, key=len)[:_MAX_SAMPLES]) if is_reader else ()

    def _asked(self, function: Function) -> tuple[tuple[object, ...], tuple[str, ...]]:
        """The words and texts that the functions ask for which a function, and the constructor of its class, call."""
        module = self._module
        made = (
            module.every_function.get(f"{function.owner}.__init__", function) if function.owner else function
        )
        both = (function,) if made.qualname == function.qualname else (function, made)
        words = [word for one in both for word in reached_words(module, one)]
        words += [] if made is function else constants(module, made)
        texts = [text for one in both for text in reached_shapes(module, one)]
        return tuple(dict.fromkeys(words)), tuple(dict.fromkeys(texts))

    def needed_classes(self) -> frozenset[str]:
        """The classes that the functions are methods of, or are given instances of."""
        functions = [*self._module.functions, *self._module.every_function.values()]
        owners = {one.owner for one in self._module.functions if one.kind in ("method", "property")}
        return frozenset(
            owners.union(
                *(
                    class_names(self._types.of_class(param.type, param, one))
                    for one in functions
                    for param in one.params
                )
            )
        )

    def constructors(self, count: int) -> list[Call]:
        """At most ``count`` ways to make an instance of each class that calls need; a call's function is the class."""
        module = self._module
        out: list[Call] = []
        for name in sorted(self.needed_classes() & module.constructible.keys()):
            rng = random.Random(f"{self._seed}:{name}:new")  # noqa: S311 - test inputs
            made = constructor(module, name) if self._deep else None
            words: tuple[object, ...] = (*constants(*made), *reached_words(*made)) if made is not None else ()
            shapes = reached_shapes(*made) if made is not None else ()
            values = Values(rng, module.constructible, words, self._instances, shapes=shapes)
            sources = [*self._instances.get(name, ()), values.instance(name, 0, plain=True)]
            sources += [values.instance(name, 0, plain=False) for _ in range(count)]
            unique = [one for one in dict.fromkeys(sources) if one != "None"]
            out += [Call(self._next + at, name, source) for at, source in enumerate(unique)]
            self._next += len(unique)
        return out

    def learn(self, working: Iterable[Call], made: Iterable[Call] = ()) -> None:
        """Make instances from now on by these calls of :meth:`constructors`, the documented and shortest ones first, and by
        those of factories, which come first for the classes of other modules.
        """
        found: dict[str, tuple[list[str], list[str]]] = {}
        for at, calls in enumerate((working, made)):
            for call in calls:
                found.setdefault(call.function, ([], []))[at].append(call.expression)
        self._types.learned = True
        for name, (sources, factories) in found.items():
            shown = [
                one
                for one in self._instances.get(name, ())
                if one in sources or name not in self._module.constructible
            ]
            others = _spread([one for one in sources if one not in shown], MAX_INSTANCES - len(shown))
            given = _spread(factories, MAX_INSTANCES // 2)
            ways = (*shown, *others, *given) if name in self._module.classes else (*shown, *given, *others)
            self._instances[name] = tuple(dict.fromkeys(ways))

    def neighbours(
        self, function: Function | None, call: Call, count: int, words: Iterable[object] = ()
    ) -> list[Call]:
        """At most ``count`` calls like ``call`` with one or two arguments a little changed, or replaced; others each time.

        ``function`` is None where the call is of another module; ``words`` are literals that the call may need.
        """
        rng = random.Random(f"{self._seed}:{call.id}:near:{self._next}")  # noqa: S311 - test inputs
        own = constants(self._module, function) if function is not None else ()
        known = tuple(dict.fromkeys([*own, *words_of(call), *words]))
        values = Values(rng, self._module.constructible, known, self._instances, deep=self._deep)
        types = {param.name: param.type for param in function.params} if function is not None else {}
        if function is not None and self._deep:
            values = replace(values, asked=_asked_types(self._module, function))
        out: dict[tuple[object, ...], Call] = {}
        lists: dict[str, list[list[str]]] = {}
        origin: Origin = call.origin if call.origin in INDIRECT else "near example"
        for given in islice(with_words(call.args, words), count // 2):
            near_call = replace_call(call, id=0, args=given, origin=origin, expect=None)
            out.setdefault((call.setup, *given), near_call)
        for _ in range(count - len(out)):
            args, setup = list(call.args), call.setup
            if call.receiver and (not args or rng.random() < _NEAR_RECEIVERS):
                setup = tuple(near_receiver(line, call.receiver, values) for line in setup)
            for at in rng.sample(range(len(args)), min(len(args), rng.choice((1, 1, 2)))):
                near = _one_of(lists.setdefault(args[at].source, []), args[at].source, values)
                type_ = types.get(args[at].name, ANY)
                fresh = rng.choice(near) if near and rng.random() < _NEARBY else values.random(type_)
                args[at] = Arg(args[at].name, listed(fresh))
            near_call = Call(0, call.function, call.expression, tuple(args), setup, call.receiver, origin)
            out.setdefault((setup, *args), near_call)
        numbered = [_renumber(one, self._next + at) for at, one in enumerate(out.values())]
        self._next += len(numbered)
        return numbered

    def from_arguments(self, function: Function, rows: Iterable[tuple[str, ...]]) -> list[Call]:
        """Calls with given argument sources, as a model proposes them; rows that do not fit are left out."""
        owner = self._module.classes.get(function.owner)
        rng = random.Random(f"{self._seed}:{function.qualname}:model")  # noqa: S311 - test inputs
        values = Values(rng, self._module.constructible, (), self._instances)
        params = [param for param in function.params if not param.variadic]
        needed = sum(param.default is None for param in params)
        out = [
            _renumber(
                self._writer.write(
                    function,
                    owner,
                    values,
                    dict(zip((one.name for one in params), row, strict=False)),
                    "model",
                ),
                self._next + at,
            )
            for at, row in enumerate(rows)
            if needed <= len(row) <= len(params)
        ]
        self._next += len(out)
        return out

    def from_entered(self, function: Function, rows: Iterable[Entered]) -> list[Call]:
        """Calls with what other code gave the function; what had no source is made anew."""
        owner = self._module.classes.get(function.owner)
        rng = random.Random(f"{self._seed}:{function.qualname}:entered")  # noqa: S311 - test inputs
        values = Values(rng, self._module.constructible, (), self._instances, deep=self._deep)
        if owner is not None and function.kind not in ("static", "class"):
            owner = values.concrete(owner.name)
        if owner is None and function.owner:
            return []
        params = {one.name: one for one in function.params if not one.variadic}
        types = {name: self._types.of(one, function, []) for name, one in params.items()}
        written = [
            {
                one.name: one.source
                for one in row.args
                if one.name in params
                and one.source != params[one.name].default
                and _is_expression(one.source)
            }
            for row in rows
        ]
        out: list[Call] = []
        for given in (*written, *other_forms(written, types)):
            missing = (one for one in params.values() if one.default is None and one.name not in given)
            whole = given | {one.name: values.random(one.type) for one in missing}
            call = self._writer.write(function, owner, values, whole, "near example")
            out.append(_renumber(call, self._next + len(out)))
        self._next += len(out)
        return out

    def from_cases(self, calls: Iterable[Call]) -> list[Call]:
        """Finished calls of a model, numbered on."""
        out = [_renumber(call, self._next + at) for at, call in enumerate(calls)]
        self._next += len(out)
        return out

    def _all(self, function: Function, owner: Class | None, values: Values, count: int) -> Iterator[Call]:
        examples = self._documented.examples(function)
        for one in examples:
            yield Call(0, function.qualname, one.expression, (), one.setup, "", "example", one.expect)
        yield from self._contract_calls(function, owner, values)
        if owner is not None and self._deep:
            yield from self._after_each(function, owner, values)
        shown = [one.expression for one in examples]
        shown += doc_contracts.skipped(function.doc) if self._deep else []
        for row, origin in self._rows(function, owner, values, literal_rows(shown, function), count):
            yield self._writer.write(function, owner, values, row, origin)
        setter = self._module.setters.get(function.qualname) if self._deep else None
        if setter is not None:
            for row, origin in self._rows(setter, owner, values, [], min(count, _SETTINGS)):
                yield self._writer.write(setter, owner, values, row, origin)

    def _after_each(self, function: Function, owner: Class, values: Values) -> Iterator[Call]:
        """A plain call of a method after each method that changes the state and needs nothing, as ``close()``."""
        needed = [one for one in function.params if one.default is None and not one.variadic]
        plain = {one.name: values.plain(one.type) for one in needed}
        makers = [
            one for one in self._receivers.state_changers(owner.name) if all(map(is_optional, one.params))
        ]
        for maker in makers[:_MAX_MAKERS]:
            call = self._writer.write(function, owner, values, plain, "boundary")
            if call.receiver:
                made = [line for line in call.setup if not line.startswith(f"{call.receiver}.")]
                yield replace_call(call, setup=(*made, f"{call.receiver}.{maker.name}()"))

    def _rows(
        self,
        function: Function,
        owner: Class | None,
        values: Values,
        rows: list[dict[str, str]],
        count: int,
    ) -> Iterator[tuple[dict[str, str], Origin]]:
        """Arguments by parameter: plain ones, near the documented ``rows``, boundaries, defaults, random ones."""
        params = [param for param in function.params if not param.variadic]
        types = {param.name: self._types.of(param, function, rows) for param in params}
        plain = {name: values.plain(type_) for name, type_ in types.items()}
        needed = {param.name: plain[param.name] for param in params if param.default is None}
        if rows:
            plain |= rows[0]
        defaults = {one.name: one.default for one in params if one.default and is_literal(one.default)}
        tries: list[Iterable[tuple[dict[str, str], Origin]]] = [
            zip(chain((needed, plain), self._with_placed(function, types, needed)), repeat("boundary")),
            zip(self._with_odd(function, types, needed), repeat("boundary")),
            ((row, "near example") for row in other_forms(rows, types)),
            ((row, "near example") for row in near_rows(rows, values)),
            ((row, "boundary") for row in boundary_rows(types, plain, needed, values)),
            ((needed | {name: default}, "boundary") for name, default in defaults.items()),
        ]
        yield from islice(chain.from_iterable(tries), max(_MIN_BOUNDARIES, int(count * _BOUNDARIES)))
        yield from zip(self._of_tables(types, values, count), repeat("random"))
        if function.params or owner or self._receivers.effects(function).variables:
            yield from random_rows(types, needed, rows, values, count)

    def _with_placed(
        self, function: Function, types: Mapping[str, ParamType], needed: dict[str, str]
    ) -> Iterator[dict[str, str]]:
        """Arguments with a sequence that has the items which the function asks for by their places."""
        here = (one.node for _, one in [(self._module, function), *reached_functions(self._module, function)])
        found = [source for node in here for source in placed_items(node)] if self._deep else []
        for name, type_ in types.items():
            kinds = {one.kind for one in members(type_)}
            for source in found:
                kind = "bytes" if source.startswith("b") else "str"
                if kinds & {kind, "any"} or (kind == "bytes" and not kinds <= _NOT_SEQUENCES):
                    yield needed | {name: source}

    def _with_odd(
        self, function: Function, types: Mapping[str, ParamType], needed: dict[str, str]
    ) -> Iterator[dict[str, str]]:
        """Arguments of which one is odd, for each parameter in the order in which the code asks: among all boundaries they are too rare."""
        for param in function.params:
            if not param.variadic and takes_odd(types[param.name], param, function):
                for source in islice(odd_sources(types[param.name], self._odd), _ODD_ROWS):
                    yield needed | {param.name: source}

    def _of_tables(
        self, types: Mapping[str, ParamType], values: Values, count: int
    ) -> Iterator[dict[str, str]]:
        """Arguments that are drawn from one row of a table of the package each."""
        if not (self._tables and any(map(_takes_words, types.values()))):
            return
        for _ in range(int(count * _TABLED)):
            row = values.rng.choice(self._tables)
            yield {name: drawn(type_, row, values) for name, type_ in types.items()}

    def _contract_calls(self, function: Function, owner: Class | None, values: Values) -> Iterator[Call]:
        params = [param for param in function.params if not param.variadic]
        plain = {param.name: values.plain(param.type) for param in params if param.default is None}
        shown = (one.expression for one in self._documented.examples(function))
        plain |= next(iter(literal_rows(shown, function)), {})
        for row, expect in self._documented.conditions(function):
            yield self._writer.write(function, owner, values, plain | row, "claim", expect)
        yield from self._documented.round_trips(function, values)


def _spread(sources: Iterable[str], count: int) -> list[str]:
    """At most ``count`` of the sources, from the shortest to the longest."""
    ordered = sorted(dict.fromkeys(sources), key=len)
    return ordered[:: max(1, len(ordered) // max(1, count))][: max(0, count)]


def _one_of(lists: list[list[str]], source: str, values: Values) -> list[str]:
    """Neighbours of a value: a few lists of them are made, and then one of these is taken, as making one takes long."""
    if len(lists) < _NEAR_LISTS:
        lists.append(values.near(source))
        return lists[-1]
    return values.rng.choice(lists)


def _is_expression(source: str) -> bool:
    """Whether a text is Python; that of a value of foreign code, which holds its own text, may not be."""
    try:
        ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


@lru_cache(maxsize=512)
def _asked_types(module: TargetModule, function: Function) -> tuple[ParamType, ...]:
    """The types that a function asks values for; read once, as every neighbour of a call asks."""
    return asked_types(function.node.body, frozenset(module.constructible))


def _renumber(call: Call, number: int) -> Call:
    return Call(
        number, call.function, call.expression, call.args, call.setup, call.receiver, call.origin, call.expect
    )


def _takes_words(type_: ParamType) -> bool:
    return type_.kind in OF_WORDS or any(map(_takes_words, type_.args))
