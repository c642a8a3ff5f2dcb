"""Every row of the tables that test generation reads sentences, code and values with."""

from __future__ import annotations

import ast
import random

import pytest

from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.doc_conditions import CONDITIONS, satisfying
from kodo.jobs.execution.doc_properties import PROPERTIES, read_properties
from kodo.jobs.execution.param_types import USES, ParamType, from_annotation, from_use
from kodo.jobs.execution.target import load
from kodo.jobs.execution.values import RANDOM, Values
from kodo.jobs.execution.worker.annotation_check import conforms
from kodo.jobs.execution.worker.smaller import SIMPLER, smaller
from kodo.jobs.testgen import render
from kodo.jobs.testgen.mutate import VARIANTS, mutants

PROPERTY_ROWS = [
    ("x: float", "Returns a number between 0 and 1", "not 0 <= 1 or 0 <= result <= 1"),
    ("x: int", "The result is never negative", "result >= 0"),
    ("xs: list[int]", "Returns the items in ascending order", "list(result) == sorted(result)"),
    ("xs: list[int]", "Returns them in descending order", "list(result) == sorted(result, reverse=True)"),
    ("xs: list[int]", "The items without duplicates", "all(one not in list(result)[:at] for at, one in enumerate(result))"),
    ("xs: list[int]", "Does not modify the list", "unchanged"),
    ("xs: list[int]", "A list of the same length", "len(result) == len(_0)"),
    ("s: str, n: int", "Returns at most n characters", "_1 < 1 or len(result) <= _1"),
]  # fmt: skip

CONDITION_ROWS = [
    ("n: int", "n is less than 2", "n", ("1", "-8")),
    ("n: int", "n is outside 1 to 9", "n", ("0", "-9", "10", "19")),
    ("n: int", "n is not positive", "n", ("0", "-1", "-7")),
    ("n: int", "n is negative", "n", ("-1", "-5", "-100")),
    ("x: float", "x is zero", None, ("0.0",)),
    ("xs: list[int]", "the list is empty", None, ("[]",)),
    ("s: str | None", "s is none", "s", ("None",)),
    ("n: int", "n is odd", "n", ("1", "7")),
]

VARIANT_ROWS = [
    (ast.Compare, "a < b", "a <= b"),
    (ast.BinOp, "a + b", "a - b"),
    (ast.AugAssign, "a += b", "a -= b"),
    (ast.BoolOp, "a and b", "a or b"),
    (ast.UnaryOp, "not a", "a"),
    (ast.Constant, "b = 41", "42"),
    (ast.If, "if a:\n    return 1", "if not a: return 1"),
    (ast.While, "while a:\n    a()", "while not a: a()"),
    (ast.IfExp, "a if b else c", "a if not b else c"),
    (ast.Return, "return a", "return None"),
    (ast.Break, "while a < b:\n    break", "continue"),
    (ast.Continue, "while a < b:\n    continue", "break"),
    (ast.Expr, "a()", "pass"),
    (ast.Raise, "raise a", "pass"),
    (ast.Call, "b = min(a)", "max(a)"),
    (ast.Slice, "a[b:c]", ":c"),
    (ast.comprehension, "[x for x in a if x]", "for x in a"),
]

SIMPLER_ROWS = [
    (bool, True, [False]),
    (int, -4, [0, -2, -3, 4]),
    (float, 2.5, [0.0, 2.0]),
    (str, "xy", ["", "y", "x", "ay", "xa"]),
    (bytes, b"xy", [b"", b"y", b"x"]),
    (list | tuple, [2], [[], [], [0], [1]]),
    (dict, {"a": 1}, [{}]),
    (set, {3}, [set()]),
]

USE_ROWS = [
    (ast.Call, "x.strip()", "str"),
    (ast.Call, "x.items()", "dict"),
    (ast.Call, "x.append(1)", "list"),
    (ast.Call, "range(x)", "int"),
    (ast.Call, "sum(x)", "list"),
    (ast.For | ast.comprehension, "for y in x: pass", "list"),
    (ast.For | ast.comprehension, "[y for y in x]", "list"),
    (ast.AsyncFor, "async for y in x: pass", "async"),
    (ast.Compare, "x == 'a'", "str"),
    (ast.BinOp, "x * 2.5", "float"),
    (ast.BinOp, "y % x", "int"),
]


@pytest.fixture
def function(tmp_path):
    """Reads one function, given its parameters, docstring and body."""

    def read(parameters, doc="A function", returns="str", body="..."):
        path = tmp_path / "mod.py"
        path.write_text(f'def f({parameters}) -> {returns}:\n    """{doc}"""\n    {body}\n', encoding="utf-8")
        return load(path).functions[0]

    return read


@pytest.mark.parametrize(("parameters", "sentence", "source"), PROPERTY_ROWS)
def test_each_form_of_property_is_read(function, parameters, sentence, source):
    """One sentence for each row of the table gives that row's property and no other."""
    assert read_properties(sentence, function(parameters, sentence), frozenset()) == [source]


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ("x: float", "Returns a random number between 0 and 1"),
        ("n: int", "Returns n; n must be never negative"),
        ("n: int", "Returns them in ascending order"),
        ("n: int", "Does not modify files"),
        ("s: str, n: int", "Returns at most several characters"),
        ("x: float", "Moves the slider between 0 and 1"),
    ],
)
def test_a_sentence_about_something_else_states_no_property(function, parameters, sentence):
    """The pattern alone is not enough."""
    assert read_properties(sentence, function(parameters, "Summary."), frozenset()) == []


@pytest.mark.parametrize(("parameters", "text", "named", "values"), CONDITION_ROWS)
def test_each_form_of_condition_gives_values(function, parameters, text, named, values):
    """One condition for each row of the table; a parameter that is not named is the only one that fits."""
    one = function(parameters)
    param = next((param for param in one.params if param.name == named), None)
    assert satisfying(text, param, one) == (one.params[0], values)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ("n: int", "n is not negative"),
        ("n: int", "n is non-negative"),
        ("s: str", "s is none"),
        ("s: str", "s is odd"),
        ("a: int, b: int", "it is zero"),
        ("n: int", "the moon is full"),
    ],
)
def test_a_condition_that_is_not_understood_gives_none(function, parameters, text):
    """Negated, ambiguous, of another type, or about something else."""
    one = function(parameters)
    named = one.params[0] if len(one.params) == 1 else None
    assert satisfying(text, named, one) is None


@pytest.mark.parametrize(("kind", "source", "changed"), VARIANT_ROWS, ids=lambda value: str(value)[:20])
def test_each_kind_of_node_has_its_mutant(kind, source, changed):
    """One snippet for each row of the table has the mutant that the row makes."""
    body = "\n".join(f"    {line}" for line in source.split("\n"))
    found = mutants(f"def f(a, b, c):\n{body}\n", frozenset({"f"}), 100, 0)
    assert changed in [one.place.change.partition(" -> ")[2] for one in found]


def test_a_constant_within_an_f_string_is_left_alone():
    """Its pieces cannot be replaced by other constants."""
    found = mutants('def f(a):\n    b = f"x{a}"\n', frozenset({"f"}), 100, 0)
    assert list(found) == []


@pytest.mark.parametrize(("kind", "value", "simpler"), SIMPLER_ROWS, ids=lambda value: str(value)[:20])
def test_each_type_has_simpler_values(kind, value, simpler):
    """One value for each row of the table, boldest simplification first."""
    assert list(smaller(value)) == simpler


@pytest.mark.parametrize(
    "value", [False, 0, 0.0, float("nan"), float("inf"), "", b"", [], (), {}, set(), None]
)
def test_the_simplest_values_have_no_simpler_ones(value):
    """Making values smaller ends."""
    assert list(smaller(value)) == []


@pytest.mark.parametrize(("kind", "source", "expected"), USE_ROWS, ids=lambda value: str(value)[:20])
def test_each_kind_of_use_tells_a_type(kind, source, expected):
    """One statement for each row of the table, and for each kind of method."""
    found = from_use("x", ast.parse(source).body)
    assert found is not None
    assert found.kind == expected


@pytest.mark.parametrize("source", ["y.strip()", "len(y)", "print(x)", "y(x)", "y < 3", "x + y"])
def test_a_use_of_something_else_tells_nothing(source):
    """Another variable, or a use that any type allows."""
    assert from_use("x", ast.parse(source).body) is None


def test_the_tables_have_a_test_for_each_row():
    """A row that is added without a test is named here."""
    assert len(PROPERTY_ROWS) == len(PROPERTIES)
    assert len(CONDITION_ROWS) == len(CONDITIONS)
    assert {row[0] for row in VARIANT_ROWS} == set(VARIANTS)
    assert [row[0] for row in SIMPLER_ROWS] == [row[0] for row in SIMPLER]
    assert {row[0] for row in USE_ROWS} == {row[0] for row in USES}


@pytest.mark.parametrize("kind", [*RANDOM, "bool", "decimal"])
def test_each_kind_of_type_has_random_values_of_it(kind):
    """The source is an expression, differs from call to call, and is the same for the same generator."""
    arguments = {"union": (ParamType("int"), ParamType("str")), "record": (ParamType("int"),) * 3}
    attributes = {"namespace": "width height", "fields": "width\nheight"}.get(kind, "")
    type_ = ParamType(kind, arguments.get(kind, (ParamType("int"),) * 2), attributes)

    def sources(seed):
        values = Values(random.Random(seed), {}, ("word",))
        return [values.random(type_) for _ in range(40)]

    assert sources(1) == sources(1)
    assert len(set(sources(1))) > (0 if kind == "class" else 1)
    for source in sources(1):
        ast.parse(source, mode="eval")


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("Counter[str]", ParamType("dict", (ParamType("str"), ParamType("int")))),
        ("Annotated[int, 3]", ParamType("int")),
        ("Literal[1]", ParamType("union", (ParamType("literal", text="1"),))),
        ("Callable[[int], str]", ParamType("callable")),
        ("Union[int, str]", ParamType("union", (ParamType("int"), ParamType("str")))),
        ("Other[int]", None),
    ],
)
def test_each_form_of_subscript_is_understood(annotation, expected):
    """Containers, unions and literals; nothing for the generic class of another module."""
    assert from_annotation(ast.parse(annotation, mode="eval").body, frozenset()) == expected


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("class C(Enum):\n    A = 1\n    _b = 2", "enum"),
        ("@dataclass\nclass C:\n    a: int\n    b: ClassVar[int] = 1\n    c: int = field(init=False)", "dataclass"),
        ("class C(NamedTuple):\n    a: int", "namedtuple"),
        ("class C:\n    def __init__(self, a: int): ...", "plain"),
        ("class C(Protocol): ...", "abstract"),
        ("class C:\n    @abstractmethod\n    def go(self): ...", "abstract"),
    ],
)  # fmt: skip
def test_each_kind_of_class_is_told_with_what_makes_an_instance(tmp_path, source, kind):
    """Members of an enum, the fields or parameters that the constructor takes."""
    path = tmp_path / "mod.py"
    path.write_text(source + "\n", encoding="utf-8")
    found = load(path).classes["C"]
    assert found.kind == kind
    assert found.members == (("A",) if kind == "enum" else ())
    assert [one.name for one in found.init] == ([] if kind in ("enum", "abstract") else ["a"])


@pytest.mark.parametrize(
    ("value", "annotation", "holds"),
    [
        ((1, 2), "tuple[int, ...]", True),
        ((1, "a"), "tuple[int, ...]", False),
        ((1,), "tuple[int, int]", False),
        ({"a": 1}, "dict[str, int]", True),
        ({1: 1}, "dict[str, int]", False),
        ({1}, "set[str]", False),
        ([1], "Iterator[int]", True),
        (2, "Literal[1]", False),
        ("a", "Annotated[int, 3]", False),
    ],
)
def test_the_items_of_a_container_must_conform_too(value, annotation, holds):
    """And what was read before the check may be any type."""
    assert conforms(value, annotation, {}) is holds


def test_imports_are_those_of_names_that_a_test_does_not_bind():
    """Own names from the module, the library's by module, an exception's module where it is dotted."""
    source = "def test_f():\n    out = f(math.pi)\n    with pytest.raises(json.JSONDecodeError):\n        json.f(out)\n"
    text = render.imports("mod", frozenset({"f", "out"}), [source], "pytest")
    assert text.split("\n\n") == ["import json\nimport math", "import pytest", "from mod import f"]


def test_kinds_of_candidates_come_in_their_order(tmp_path):
    """Examples, contracts, plain values, neighbours of examples, boundaries, random ones."""
    path = tmp_path / "mod.py"
    doc = "Raises ValueError if n is negative.\n\n    >>> f(2)\n    4\n    "
    path.write_text(f'def f(n: int) -> int:\n    """{doc}"""\n', encoding="utf-8")
    module = load(path)
    origins = [call.origin for call in CandidateGenerator(module, 0).calls(module.functions[0], 60)]
    order = [origins.index(origin) for origin in ("example", "claim", "boundary", "near example", "random")]
    assert order == sorted(order)


def test_the_annotation_of_an_empty_tuple_is_a_record_of_nothing() -> None:
    """``Tuple[()]``, alone and in a union, as in packaging.utils."""
    for source, expected in (
        ("Tuple[()]", ParamType("record", ())),
        ("Union[Tuple[()], int]", ParamType("union", (ParamType("record", ()), ParamType("int")))),
    ):
        assert from_annotation(ast.parse(source, mode="eval").body, frozenset()) == expected
