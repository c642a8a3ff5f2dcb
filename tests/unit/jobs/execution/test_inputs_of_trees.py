"""Dicts of known keys, files in memory, what a body asks for, and what functions are given inside calls."""

from __future__ import annotations

import ast
import io
import sys
import time
from pathlib import Path

import pytest

from kodo.jobs.execution.asked_types import questions
from kodo.jobs.execution.call_arguments import with_words
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.dict_shapes import dict_shape
from kodo.jobs.execution.model import Arg, Call, Entered
from kodo.jobs.execution.param_types import ParamType, from_use, from_value
from kodo.jobs.execution.target import TargetModule, load
from kodo.jobs.execution.worker.arcs import Arcs
from kodo.jobs.execution.worker.call import observe
from kodo.jobs.execution.worker.entered_calls import EnteredFunctions, input_source
from kodo.jobs.execution.worker.literal import NoSource
from kodo.jobs.execution.worker.load import TooLong, cpu_limit
from kodo.jobs.execution.worker.result_uses import uses

TREE = """
class Tree:
    TABLE = {"plus": 1, "minus": -1, "times": 0, "over": 2}

    def visit(self, node):
        return getattr(self, "visit_%s" % node["type"])(node)

    def visit_number(self, node):
        return node["value"] + 1

    def visit_sum(self, node):
        sign = self.TABLE[node["op"]]
        return [sign * self.visit(child) for child in node["parts"]]

    def visit_first(self, node):
        return self.visit(node["parts"][0]), node.get("note", "none")
"""


def module_of(folder: Path, code: str) -> TargetModule:
    path = folder / "mod.py"
    path.write_text(code, encoding="utf-8")
    return load(path)


def shape(folder: Path, code: str, function: str, param: str) -> dict[str, ParamType]:
    """The keys of a parameter and their types."""
    module = module_of(folder, code)
    found = dict_shape(module, module.every_function[function], param)
    return dict(zip(found.text.split("\n"), found.args, strict=True)) if found else {}


def literals(type_: ParamType) -> list[str]:
    return [one.text for one in type_.args if one.kind == "literal"]


def test_the_keys_that_a_body_reads_are_needed_and_those_it_asks_for_may_be_there(tmp_path):
    """A default says that a key may be missing; other methods' keys of the same parameter may be there too."""
    found = shape(tmp_path, TREE, "Tree.visit_first", "node")
    assert found["parts"].kind == "list"
    assert found["note"].kind == "optional"
    assert found["note"].args[0].kind == "str"
    assert found["value"].kind == "optional"


def test_a_key_holds_the_names_that_a_method_dispatches_on_and_the_keys_of_a_table(tmp_path):
    """``getattr(self, "visit_%s" % node["type"])`` can find four methods, and the table has four keys."""
    assert literals(shape(tmp_path, TREE, "Tree.visit", "node")["type"]) == ["'first'", "'number'", "'sum'"]
    ops = shape(tmp_path, TREE, "Tree.visit_sum", "node")["op"]
    assert literals(ops) == ["'plus'", "'minus'", "'times'", "'over'"]


def test_items_that_are_handed_to_a_function_have_the_keys_that_it_reads(tmp_path):
    """The parts of a sum are nodes, as ``visit`` is given each."""
    parts = shape(tmp_path, TREE, "Tree.visit_sum", "node")["parts"]
    (item,) = parts.args
    assert item.kind == "fields"
    assert "type" in item.text.split("\n")


@pytest.mark.parametrize(
    "body",
    [
        "return '<' in text",
        "return text[0] + text[1:]",
        "return text.get(1)",
        "text['a'] = 1",
        "return other['a']",
    ],
)
def test_what_a_text_or_another_thing_is_asked_for_makes_no_dict(tmp_path, body):
    """Only keys that are read of the parameter itself count."""
    assert not shape(tmp_path, f"def f(text, other=None):\n    {body}\n", "f", "text")


def test_calls_are_made_with_nodes_that_run_the_visitor_to_its_end(tmp_path):
    """Of the calls of a visitor, some get through with a number at the bottom."""
    module = module_of(tmp_path, TREE)
    calls = CandidateGenerator(module, 0, deep=True).calls(module.every_function["Tree.visit_sum"], 200)
    space: dict[str, object] = {}
    exec(TREE, space)
    results = []
    for call in calls:
        node = eval(call.args[0].source) if call.args else None
        try:
            results.append(space["Tree"]().visit_sum(node))
        except Exception:  # noqa: BLE001 - most inputs are wrong, the others count
            continue
    assert any(result and isinstance(result[0], int) for result in results)


def test_a_typed_dict_of_anything_gets_the_keys_and_another_type_does_not(tmp_path):
    """``dict[str, Any]`` leaves the keys open; ``str`` does not."""
    code = "from typing import Any\ndef f(node: dict[str, Any]):\n    return node['size'] + 1\n"
    module = module_of(tmp_path, code)
    calls = CandidateGenerator(module, 0, deep=True).calls(module.functions[0], 60)
    assert sum("'size'" in call.args[0].source for call in calls) > len(calls) // 2
    module = module_of(tmp_path / "..", "def f(node: str):\n    return node['size']\n")
    calls = CandidateGenerator(module, 0, deep=True).calls(module.functions[0], 60)
    assert not any(call.args[0].source.startswith("{") for call in calls if call.args)


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ("if x is None:\n    return 1", ["none"]),
        ("if callable(x):\n    return x()", ["callable"]),
        ("if hasattr(x, 'read'):\n    x = 1", ["file"]),
        ("if inspect.isgenerator(x):\n    x = 1", ["iterator"]),
        ("return x.readline()", ["file"]),
        ("if isinstance(x, bytes):\n    return 1", ["bytes"]),
        ("if y is None:\n    return callable(y)", []),
    ],
)
def test_what_a_body_asks_of_a_variable_it_may_be(body, kinds):
    """A question is asked because there are callers for whom the answer is yes."""
    assert [one.kind for one in questions("x", ast.parse(body).body, frozenset())] == kinds


def test_a_default_number_does_not_hide_that_none_and_functions_are_taken(tmp_path):
    """As the decorators of caches take a size, None, or the function itself."""
    code = "def cached(size=128):\n    if size is None:\n        return 1\n    if callable(size):\n        return 2\n    return 3\n"
    module = module_of(tmp_path, code)
    made = {
        call.args[0].source
        for call in CandidateGenerator(module, 0, deep=True).calls(module.functions[0], 60)
        if call.args
    }
    assert {"None", "len"} <= made


def test_what_a_file_in_memory_holds_afterwards_is_seen():
    """A function that writes to a file is tested by what it wrote."""
    call = Call(0, "put", "put(_0)", (Arg("out", "io.StringIO('a')"),))
    names = {"io": io, "put": lambda out: out.write("xyz")}
    assert observe(call, names, {}, (), 1.0, None).after == {"_0.getvalue()": "'xyz'"}


INNER = """
def parse(text):
    nodes = [{"word": part} for part in text.split()]
    return [show(node, stop=object()) for node in nodes]

def show(node, stop, start=0):
    node["seen"] = True
    return node["word"] * 2
"""


def test_what_a_function_is_given_inside_a_call_is_written_down_before_it_is_changed(tmp_path):
    """Each row once, without the arguments that have no source."""
    path = tmp_path / "mod.py"
    path.write_text(INNER)
    space: dict[str, object] = {}
    exec(compile(INNER, str(path), "exec"), space)
    entered = EnteredFunctions({"show"}, {})
    sys.settrace(Arcs(str(path), entered=entered))
    try:
        space["parse"]("a b a")  # type: ignore[operator]
    finally:
        sys.settrace(None)
    rows = [Entered("show", (Arg("node", f"{{'word': {word!r}}}"), Arg("start", "0"))) for word in "ab"]
    assert entered.taken() == tuple(rows)
    assert entered.taken() == ()


def test_calls_are_made_of_what_a_function_was_given(tmp_path):
    """What had no source is made anew, and a default is left out."""
    module = module_of(tmp_path, INNER)
    row = Entered("show", (Arg("node", "{'word': 'a'}"), Arg("start", "0")))
    (call,) = CandidateGenerator(module, 0, deep=True).from_entered(module.every_function["show"], [row])
    assert [arg.name for arg in call.args] == ["node", "stop"]
    assert call.args[0].source == "{'word': 'a'}"


def test_what_is_compared_is_made_alike_now_and_then(tmp_path):
    """Two instances of random parts are never equal, so that the parts of ``==`` would not be told apart."""
    code = "class P:\n    def __init__(self, x: int, y: int): self.x, self.y = x, y\n    def __eq__(self, other): return (self.x, self.y) == (other.x, other.y)\n"
    module = module_of(tmp_path, code)
    calls = CandidateGenerator(module, 0, deep=True).calls(module.every_function["P.__eq__"], 120)
    made = [(call.setup[-1].partition(" = ")[2], call.args[0].source) for call in calls if call.setup]
    assert any(one == other for one, other in made)
    assert any(other.startswith("P(") and one != other for one, other in made)


def test_what_an_instance_holds_itself_can_be_used():
    """A wrapper that a decorator made may hold functions that its class does not have."""

    class Wrapper:
        def __call__(self) -> int:
            return 1

    wrapper = Wrapper()
    wrapper.parameters = lambda: {"size": 1}  # type: ignore[attr-defined]
    assert ".parameters()" in uses(wrapper, {})


def test_an_alias_of_types_that_is_imported_is_read(tmp_path):
    """As ``Items[K, V]`` of a package's own module of types; what it is a union with and is not known is left out."""
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "_types.py").write_text(
        "import typing as t\nItems: t.TypeAlias = t.Iterable[tuple[K, V]]\nMany: t.TypeAlias = Strange[K] | Items[K, V]\n"
    )
    path = tmp_path / "pkg" / "mod.py"
    path.write_text("from ._types import Many\ndef f(arg: Many[K, V] = ()): return list(arg)\n")
    (param,) = load(path).functions[0].params
    assert not param.typed
    assert [one.kind for one in param.type.args] == ["list"]


def test_an_empty_tuple_stands_for_values_of_any_kind():
    """As the default of ``update(items=())``."""
    found = from_value(ast.parse("()", mode="eval").body)
    assert found is not None
    assert {one.kind for one in found.args} == {"tuple", "dict", "list"}


def test_what_is_replaced_by_keyword_is_a_date():
    """Texts have a ``replace`` too, which takes no keywords."""
    body = ast.parse("return dt.replace(tzinfo=None)").body
    assert from_use("dt", body) == ParamType("datetime")
    assert from_use("dt", ast.parse("return dt.replace('a', 'b')").body) == ParamType("str")


def test_a_limit_of_cpu_time_ends_work_and_lets_waiting_go_on():
    """What a busy machine keeps waiting is not what does not end."""
    with cpu_limit(0.1):
        time.sleep(0.2)
    with pytest.raises(TooLong), cpu_limit(0.05):
        while True:
            pass
    with pytest.raises(TooLong), cpu_limit(0.05):
        time.sleep(5)


def test_a_documented_text_is_given_in_the_forms_that_the_body_asks_for(tmp_path):
    """As bytes, as a file, and in parts: a parser takes what has its grammar, in whichever form."""
    code = (
        "import inspect\ndef parse(source):\n"
        '    """Doc.\n\n    >>> parse("<a>1</a>")\n    1\n    """\n'
        "    if isinstance(source, bytes):\n        return 2\n    if hasattr(source, 'read'):\n        return source.read()\n"
        "    if inspect.isgenerator(source):\n        return list(source)\n    return 1\n"
    )
    module = module_of(tmp_path, code)
    calls = CandidateGenerator(module, 0, deep=True).calls(module.functions[0], 200)
    made = {call.args[0].source for call in calls if call.args}
    assert {"b'<a>1</a>'", "io.BytesIO(b'<a>1</a>')", "(part for part in ['<a>1', '</a>'])"} <= made


def test_each_method_is_called_after_each_that_changes_the_state_alone(tmp_path):
    """As every method of a file after ``close()``, which a random choice of methods would seldom leave last."""
    code = (
        "class F:\n    def __init__(self): self.closed = False\n    def close(self): self.closed = True\n"
        "    def put(self, x: int): self.x = x\n    def get(self, n: int = 1):\n        return (n, self.closed)\n"
    )
    module = module_of(tmp_path, code)
    calls = CandidateGenerator(module, 0, deep=True).calls(module.every_function["F.get"], 60)
    assert calls[0].setup == ("f = F()", "f.close()")


def test_the_words_of_a_change_take_the_place_of_arguments_of_their_type():
    """A boundary is told by the number itself and those beside it."""
    args = (Arg("name", "'abc'"), Arg("points", "5"), Arg("rest", "[1]"))
    made = [tuple(one.source for one in row) for row in with_words(args, ["x", 73])]
    assert made == [("'x'", "5", "[1]"), *(("'abc'", text, "[1]") for text in ("73", "74", "72"))]


def test_half_of_a_character_in_an_example_does_not_end_the_job(tmp_path):
    """It has no bytes, so the file holds something else in its place."""
    code = 'def f(x):\n    """Doc.\n\n    >>> f("a\\\\ud800")\n    1\n    """\n    return x.read() if hasattr(x, "read") else 1\n'
    module = module_of(tmp_path, code)
    made = [
        call.args[0].source
        for call in CandidateGenerator(module, 0, deep=True).calls(module.functions[0], 60)
        if call.args
    ]
    assert "io.BytesIO(b'a?')" in made


def test_what_a_function_was_given_is_tried_in_the_other_forms_too(tmp_path):
    """A text of a document reaches a parser as a file as well."""
    module = module_of(tmp_path, "def f(x):\n    return x.read() if hasattr(x, 'read') else x\n")
    row = Entered("f", (Arg("x", "'<a/>'"),))
    calls = CandidateGenerator(module, 0, deep=True).from_entered(module.functions[0], [row])
    made = [call.args[0].source for call in calls]
    assert made[:3] == ["'<a/>'", "io.BytesIO(b'<a/>')", "io.StringIO('<a/>')"]


def test_what_an_unusable_result_ran_is_known():
    """Its uses are chosen by the paths that made it."""
    space = {"f": lambda: lambda: 1}
    seen = observe(Call(0, "f", "f()"), space, {}, (), 1.0, Arcs(__file__))
    assert seen.kind == "unusable"
    assert seen.arcs


def test_a_pattern_with_half_of_a_character_is_no_alias(tmp_path):
    """A module's text may be one that Python cannot read as source."""
    module = module_of(tmp_path, 'PAT = ("a" "\\ud800")[0]\nQ = "x" | PAT\ndef f(x: int): return x\n')
    assert module.scope.aliases == {}


class Leaf:
    def __init__(self, name, *, mark=None):
        self.name, self._mark = name, mark


class Node:
    def __init__(self, parts, size=3, secret=None):
        self.parts, self.size = parts, size


class Hidden:
    def __init__(self, given):
        self.other = given


def test_an_object_that_a_parser_made_is_written_as_a_call_of_its_class():
    """Each parameter gets what the attribute of its name holds, also inside lists; of others nothing is known."""
    defined = {"Leaf": Leaf, "Node": Node, "Hidden": Hidden}
    node = Node([Leaf("a"), (Leaf("b", mark=1),)], size=4)
    assert input_source(node, defined) == "Node([Leaf('a', mark=None), (Leaf('b', mark=1), )], size=4)"
    for one in (Hidden(1), Node([Hidden(1)]), object()):
        with pytest.raises(NoSource):
            input_source(one, defined)


def test_what_is_read_from_or_written_to_is_a_file(tmp_path):
    """Also each of the values of ``*files`` that a loop asks for ``read``."""
    assert from_use("out", ast.parse("out.write('x')").body) == ParamType("file")
    module = module_of(tmp_path, "def f(*files):\n    return [getattr(one, 'read', None) for one in files]\n")
    assert module.functions[0].params[0].type == ParamType("union", (ParamType("file"),))


def test_an_instance_that_reads_a_file_is_made_of_one(tmp_path):
    """Its methods have something to work on then; the file is written before the instance is made."""
    code = (
        "class Config:\n    def __init__(self, path, text=None):\n        if text is None:\n"
        "            with open(path) as file: text = file.read()\n        self.lines = text.split('=')\n"
        "    def first(self): return self.lines[0]\n"
    )
    module = module_of(tmp_path, code)
    calls = CandidateGenerator(module, 0, deep=True).calls(module.every_function["Config.first"], 40)
    made = [line for call in calls for line in call.setup if line.startswith("config = Config(path=tmp_path")]
    written = [call.setup for call in calls if any(".write_text(" in line for line in call.setup)]
    assert made
    assert written
    assert all(".write_text(" in setup[0] and setup[1].startswith("config = ") for setup in written)


def test_a_loop_over_its_own_variable_comes_to_an_end(tmp_path):
    """``for terms in terms`` says of a list that its items are lists, and those again."""
    path = tmp_path / "mod.py"
    path.write_text("def f(terms):\n    for terms in terms:\n        print(terms[0])\n", encoding="utf-8")
    module = load(path)
    assert dict_shape(module, module.functions[0], "terms") is None
