"""Inputs of an open type: what the body asks them for, what it takes apart, and what documents show without running it."""

from __future__ import annotations

import ast
import random
import types  # noqa: F401 - the sources of objects name it
from pathlib import Path

import pytest

from kodo.jobs.execution import doc_contracts
from kodo.jobs.execution.asked_types import asked_types, read_attributes
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.model import Arg, Call, Observed
from kodo.jobs.execution.param_types import ANY, ParamType, from_use
from kodo.jobs.execution.target import load
from kodo.jobs.execution.values import Values
from kodo.jobs.testgen.render import name_for

HEADERS = '''
def joined(headers: dict[bytes, object]) -> bytes:
    """Doc."""
    parts = bytearray()
    for key, value in headers.items():
        if isinstance(value, bytes):
            parts += key + b": " + value
        elif type(value) in (list, tuple):
            for one in value:
                parts += key + b": " + one
    return bytes(parts)
'''


def sources(folder: Path, code: str, count: int = 200) -> list[tuple[str, ...]]:
    """The arguments of the calls that are made for the first function of a module."""
    path = folder / "mod.py"
    path.write_text(code, encoding="utf-8")
    module = load(path)
    calls = CandidateGenerator(module, 0, deep=True).calls(module.functions[0], count)
    return [tuple(arg.source for arg in call.args) for call in calls]


def test_the_types_asked_for_are_read_in_order():
    """One type, a tuple of types, a union, and ``type() is``; of one variable where it is named."""
    body = ast.parse(
        "isinstance(a, bytes)\nisinstance(b, (list, tuple))\ntype(a) is str\nisinstance(c, int | float)"
    ).body
    kinds = [one.kind for one in asked_types(body, frozenset())]
    assert kinds == ["bytes", "list", "tuple", "str", "int", "float"]
    assert [one.kind for one in asked_types(body, frozenset(), "a")] == ["bytes", "str"]


def test_an_open_value_is_of_a_type_that_the_body_asks_for(tmp_path):
    """Values of a dict whose values may be anything are bytes, and lists of bytes, among others."""
    made = [eval(row[0]) for row in sources(tmp_path, HEADERS) if row and row[0].startswith("{")]
    values = [value for one in made for value in one.values()]
    assert any(isinstance(one, bytes) for one in values)
    assert any(
        isinstance(one, list) and one and all(isinstance(part, bytes) for part in one) for one in values
    )


def test_bytes_are_made_of_the_words_of_the_code(tmp_path):
    """Random codes would hardly ever hold a separator with something before and after it."""
    code = "def parsed(raw: bytes) -> bytes:\n    key, _, value = raw.partition(b'=>')\n    return value\n"
    texts = [ast.literal_eval(row[0]) for row in sources(tmp_path, code) if row and row[0].startswith("b")]
    assert len({text for text in texts if b"=>" in text[1:-1]}) > 4


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("for key, value in pairs:\n    out[key] = value.upper()", "record"),
        ("for one in pairs:\n    out += one.items()", "dict"),
        ("return {key: value for key, value in pairs}", "record"),
        ("for one in pairs:\n    out += one", "int"),
    ],
)
def test_the_items_of_a_loop_are_what_its_body_takes_them_for(body, kind):
    """Pairs where they are taken apart, dicts where their items are asked for, else numbers."""
    found = from_use("pairs", ast.parse(body).body)
    assert found is not None
    assert found.kind == "list"
    assert found.args[0].kind == kind


def test_values_of_variable_arguments_are_what_the_loop_over_them_takes(tmp_path):
    """``*dicts`` of which each is asked for its items is given dicts."""
    code = "def merged(*dicts):\n    out = {}\n    for one in dicts:\n        out |= dict(one.items())\n    return out\n"
    rows = [row for row in sources(tmp_path, code) if len(row) > 1]
    assert rows
    assert all(source.startswith("{") for row in rows for source in row)


def test_an_example_that_is_not_run_still_shows_arguments(tmp_path):
    """``doctest: +SKIP`` says that the result may differ, and not that the input is wrong."""
    doc = ">>> joined({b'Name': b'text/html'})  # doctest: +SKIP\nb''\n>>> joined({})\nb''\n"
    assert doc_contracts.skipped(doc) == ["joined({b'Name': b'text/html'})  # doctest: +SKIP"]
    code = HEADERS.replace("Doc.", f"Doc.\n\n    {doc.replace(chr(10), chr(10) + '    ')}")
    assert ("{b'Name': b'text/html'}",) in sources(tmp_path, code)


def test_an_open_value_has_the_attributes_that_the_body_reads(tmp_path):
    """Also those read by ``getattr``; a method that is called is none, and neither is a private name."""
    code = (
        "def f(obj: object):\n    obj.go()\n    if getattr(obj, 'size', 0) == 7:\n        return obj.name + obj._key\n"
        "    return None\n"
    )
    body = ast.parse(code).body
    assert read_attributes("obj", body) == ("size", "name")
    made = [row[0] for row in sources(tmp_path, code) if row and row[0].startswith("types.SimpleNamespace")]
    assert any("size=7" in source for source in made)
    assert all(hasattr(eval(source), "name") for source in made)


def test_one_of_several_values_may_stand_for_all(tmp_path):
    """Where the first of ``*dicts`` is read by itself, a list of dicts is given too."""
    code = (
        "def merged(*dicts):\n    if len(dicts) == 1 and not isinstance(dicts[0], dict):\n        dicts = dicts[0]\n"
        "    out = {}\n    for one in dicts:\n        out.update(one.items())\n    return out\n"
    )
    rows = [row for row in sources(tmp_path, code) if len(row) == 1]
    assert any(row[0].startswith("[{") for row in rows)
    assert any(row[0].startswith("{") for row in rows)


def test_a_sequence_of_which_nothing_is_said_may_be_a_text(tmp_path):
    """``Sequence`` alone means a text as well as a list; ``Sequence[int]`` and ``list`` do not."""
    for annotation, has_text in (("Sequence", True), ("Sequence[int]", False), ("list", False)):
        code = f"from collections.abc import Sequence\ndef f(x: {annotation}):\n    return x[:1]\n"
        texts = [row for row in sources(tmp_path, code) if row and row[0].startswith("'")]
        assert bool(texts) is has_text, annotation


def test_an_imported_class_is_made_of_the_words_of_its_constructor(tmp_path):
    """What a constructor in another module of the package asks for is tried when an instance is needed."""
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "events.py").write_text(
        "class Event:\n    def __init__(self, kind: str):\n        if kind != 'only-this':\n"
        "            raise ValueError\n        self.kind = kind\n"
    )
    path = package / "use.py"
    path.write_text("from pkg.events import Event\ndef sent(event: Event) -> str:\n    return event.kind\n")
    calls = CandidateGenerator(load(path), 0, deep=True).constructors(30)
    assert "Event('only-this')" in [call.expression for call in calls]


@pytest.mark.parametrize(
    ("body", "is_list"),
    [
        ("return set(chain(*many))", True),
        ("self.union(*many)", True),
        ("return list(map(f, *many))", True),
        ("return max(*many)", False),
        ("return chain(*others)", False),
    ],
)
def test_values_handed_on_to_what_takes_iterables_are_lists(tmp_path, body, is_list):
    """A number there ends in an error before anything is done."""
    path = tmp_path / "mod.py"
    path.write_text(f"def f(self, *many):\n    {body}\n")
    assert (load(path).functions[0].params[-1].type.kind == "list") is is_list


def test_a_dict_with_a_dict_for_a_key_ends_nothing(tmp_path):
    """Where a body asks for dicts, a key of an open type may be one; such a source has no value and no neighbours."""
    values = Values(random.Random(0), {}, asked=(ParamType("dict"),), deep=True)
    drawn = {values.random(ANY, 1) for _ in range(400)}
    assert any(one.startswith("{{") for one in drawn), "the case is drawn"
    for source in drawn:
        values.near(source)
    for _ in range(100):
        values.near_kinds()
    call = Call(0, "f", "f(_0)", (Arg("x", "{{}: 1}"),))
    assert name_for(call, Observed(0, "raises", "TypeError"), set())


KEPT = """
class Bag:
    def __init__(self, items=(), /, size: int = 1):
        self._items = list(items)

    def first(self):
        return self._items[0]
"""


def test_an_optional_parameter_without_a_keyword_is_given(tmp_path):
    """A collection is made empty and of items."""
    (tmp_path / "bag.py").write_text(KEPT)
    module = load(tmp_path / "bag.py")
    calls = CandidateGenerator(module, 0, deep=True).calls(module.every_function["Bag.first"], 80)
    made = {call.setup[0] for call in calls}
    assert "bag_ = Bag()" in made or "bag = Bag()" in made
    assert any("Bag((" in one or "Bag([" in one for one in made)


UNKNOWN_OPTIONS = """
def largest(items, **options):
    for name in options:
        if name not in ("key", "default"):
            raise ValueError(name)
    measure = options.get("key", None)
    return options["default"] if "default" in options else [measure(one) if measure else one for one in items]


def handed_on(items, **options):
    return sorted(items, key=options.get("key"), **options)
"""


def test_an_option_is_what_the_body_does_with_it_and_others_are_tried_where_all_are_looked_at(tmp_path):
    """``measure(one)`` says that ``key`` is a function; a name that nothing reads is what the loop over all of them refuses."""
    (tmp_path / "mod.py").write_text(UNKNOWN_OPTIONS)
    functions = {one.name: one for one in load(tmp_path / "mod.py").functions}
    found = {one.name: one.type.kind for one in functions["largest"].params if one.keyword_only}
    assert list(found) == ["key", "default", "a"]
    assert [arg.kind for arg in functions["largest"].params[1].type.args] == ["callable"]
    assert [one.name for one in functions["handed_on"].params] == ["items", "key"]
