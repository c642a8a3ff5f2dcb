"""What a module's package says of it: who stands on it, what derives from it, what its functions call and look for."""

from __future__ import annotations

import ast
import random
import time
from pathlib import Path

import pytest

from kodo.jobs.execution.call_arguments import with_known_keys
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.model import Call
from kodo.jobs.execution.package import PackageSurvey
from kodo.jobs.execution.param_types import ANY
from kodo.jobs.execution.reached_code import (
    dispatched_words,
    reached_functions,
    reached_shapes,
    reached_words,
)
from kodo.jobs.execution.target import TargetModule, load
from kodo.jobs.execution.values import Values
from kodo.jobs.execution.worker.call import observe

FILES = {
    "__init__.py": "from pkg.api import search",
    "base.py": """
class Visitor:
    def visit(self, node): return getattr(self, f"visit_{node.kind}")(node)
    def visit_sub_tree(self, node): return 1
    def visit_leaf(self, node): return 2
class Abstract:
    def run(self): raise NotImplementedError
""",
    "api.py": """
import re
from .base import Visitor
from .lexer import tokens
TOKEN = re.compile(r"#[0-9]{2}")
def search(text):
    return Visitor().visit(_parse(text))
def _parse(text):
    return [TOKEN.match(one) for one in tokens(text)]
""",
    "lexer.py": """
def tokens(text):
    return text.split("~~")
""",
    "kinds.py": """
from pkg.base import Abstract
class Middle(Abstract): ...
class Real(Middle[int]):
    def __init__(self, size: int): ...
class _Hidden(Abstract): ...
""",
    "alone.py": "def alone(): ...",
    "tests/test_it.py": "from pkg.base import Visitor",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The package of FILES."""
    for name, text in FILES.items():
        path = tmp_path / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "pkg"


def _load(folder: Path, name: str) -> TargetModule:
    return load(folder / name)


def test_the_users_of_a_module_are_those_that_import_it_the_nearest_first(folder):
    """The package itself imports a user; tests and modules beside it are none."""
    users = [one.name for one in PackageSurvey(_load(folder, "base.py")).users]
    assert users == ["pkg.api", "pkg.kinds", "pkg"]


def test_a_module_outside_of_a_package_has_no_users(tmp_path):
    """Its folder may hold anything."""
    (tmp_path / "one.py").write_text("def f(): ...")
    (tmp_path / "two.py").write_text("import one")
    assert PackageSurvey(load(tmp_path / "one.py")).users == ()


def test_the_classes_that_derive_from_a_base_elsewhere_are_found(folder):
    """Through one another and generic ones too; private ones are not imported by a test."""
    assert PackageSurvey(_load(folder, "base.py")).subclasses == {
        "Abstract": (("Middle", "pkg.kinds"), ("Real", "pkg.kinds"))
    }


def test_what_a_function_calls_is_found_through_names_methods_and_imports(folder):
    """The nearest first, itself left out."""
    module = _load(folder, "api.py")
    found = [one.qualname for _, one in reached_functions(module, module.every_function["search"])]
    assert set(found[:2]) == {"_parse", "Visitor.visit"} and found[2] == "tokens"


def test_the_words_of_what_is_called_are_known(folder):
    """A literal of another module's function, and the names that a method dispatches on."""
    module = _load(folder, "api.py")
    words = reached_words(module, module.every_function["search"])
    assert {"~~", "sub_tree", "sub-tree", "leaf"} <= set(words)


def test_the_patterns_of_what_is_called_make_texts(folder):
    """TOKEN stands in a function that the public one calls."""
    module = _load(folder, "api.py")
    assert any(
        text.startswith("#") and len(text) == 3
        for text in reached_shapes(module, module.every_function["search"])
    )


def test_a_method_dispatches_on_the_names_that_fit_its_text(folder):
    """``visit`` itself does not fit ``visit_{}``."""
    module = _load(folder, "base.py")
    assert dispatched_words(module, module.every_function["Visitor.visit"]) == (
        "leaf",
        "sub_tree",
        "sub-tree",
    )


def test_only_a_deep_generator_knows_what_is_called(folder):
    """A review, whose time is short, makes its inputs as before."""
    module = _load(folder, "api.py")
    search = module.pick("search")[0]
    shallow, deep = (CandidateGenerator(module, 0, deep=deep).calls(search, 200) for deep in (False, True))
    assert "~~" not in str([call.args for call in shallow])
    assert "~~" in str([call.args for call in deep])


def test_a_guessed_list_may_be_an_iterator_in_a_deep_generator(tmp_path):
    """What only loops over a parameter may get one; an annotation is believed."""
    path = tmp_path / "mod.py"
    path.write_text("def f(items): return sum(items)\ndef g(items: list[int]): return sum(items)\n")
    module = load(path)
    made = {
        one.name: str(CandidateGenerator(module, 0, deep=True).calls(one, 200)) for one in module.functions
    }
    assert "iter([" in made["f"] and "iter([" not in made["g"]


def test_one_text_follows_from_another_that_is_a_form(tmp_path):
    """A pattern and a text that it describes: ``{...}`` is something, the rest is the same."""
    path = tmp_path / "mod.py"
    path.write_text('def fits(form: str, text: str): return form == "no {word} here"\n')
    module = load(path)
    calls = CandidateGenerator(module, 0, deep=True).calls(module.functions[0], 400)
    pairs = {tuple(arg.source for arg in call.args) for call in calls}
    assert any(
        form == "'no {word} here'" and text.startswith("'no ") and "{" not in text for form, text in pairs
    )


CONFIG = """
import enum
class Mode(enum.Enum):
    FAST = 1
    SLOW = 2
class Table:
    def __init__(self, spec):
        if spec[0] == "!":
            spec = spec[1:]
        self.names = spec.split(";")
    def fill(self, values=None): return [values[name] for name in self.names]
def run(text, mode=Mode.FAST): return mode
"""


def test_the_words_of_a_constructor_make_receivers(tmp_path):
    """What ``__init__`` asks of its text is in the instances that methods are called on."""
    path = tmp_path / "mod.py"
    path.write_text(CONFIG)
    module = load(path)
    made = CandidateGenerator(module, 0, deep=True)
    ways = str([call.expression for call in made.constructors(30) if call.function == "Table"])
    assert "!" in ways and ";" in ways


def test_a_dict_has_keys_out_of_what_the_instance_was_made_of(tmp_path):
    """A method is asked for what its instance holds; without a setup nothing is known."""
    rng = random.Random(1)
    keyed = {with_known_keys("{'x': 1}", ("table = Table('left;right')",), rng) for _ in range(60)}
    assert {"{'left': 1}", "{'right': 1}", "{'x': 1}"} <= keyed
    assert with_known_keys("{'x': 1}", (), random.Random(1)) == "{'x': 1}"


def test_a_default_of_an_enum_stands_for_its_members(tmp_path):
    """``mode=Mode.FAST`` is also called with the others."""
    path = tmp_path / "mod.py"
    path.write_text(CONFIG)
    module = load(path)
    run = module.pick("run")[0]
    deep = str(CandidateGenerator(module, 0, deep=True).calls(run, 100))
    assert "Mode.SLOW" in deep


def test_an_open_value_holds_others_only_where_inputs_are_deep():
    """Lists, dicts, pairs and None, also in the place of a value of a dict."""
    shallow, deep = (Values(random.Random(0), {}, deep=one) for one in (False, True))
    assert not any(shallow.random(ANY).startswith("{'") for _ in range(300))
    kinds = {type(ast.parse(deep.random(ANY), mode="eval").body) for _ in range(300)}
    assert {ast.List, ast.Dict, ast.Tuple} <= kinds
    near = {type(ast.literal_eval(one).get("x")) for _ in range(40) for one in deep.near("{'x': 1}")}
    assert list in near and type(None) in near


def test_classes_that_hold_one_another_are_made_in_time(tmp_path):
    """A tree of many kinds of node: an instance is made by choosing, and not by making all to choose from."""
    kinds = [f"N{at}" for at in range(12)]
    nodes = "".join(
        f"class {name}:\n    def __init__(self, left: Tree, right: Tree, more: Tree): ...\n" for name in kinds
    )
    path = tmp_path / "mod.py"
    path.write_text(
        f"from __future__ import annotations\n{nodes}Tree = {' | '.join(kinds)}\ndef f(tree: Tree): ...\n"
    )
    module = load(path)
    made = CandidateGenerator(module, 0, deep=True)
    started = time.process_time()
    assert made.constructors(30) and made.calls(module.pick("f")[0], 200)
    assert time.process_time() - started < 20


def test_what_a_callback_was_given_can_be_asserted(tmp_path, monkeypatch):
    """A list in its place keeps it, and what becomes of a list is asserted; a review's inputs are as before."""
    path = tmp_path / "mod.py"
    path.write_text("def send(data: bytes, write):\n    write(data)\n    write(b'.')\n")
    module = load(path)
    deep, shallow = (
        CandidateGenerator(module, 0, deep=deep).calls(module.functions[0], 100) for deep in (True, False)
    )
    recorded = [call for call in deep if call.expression == "send(_0, _1.append)"]
    assert recorded and all(call.args[1].source == "[]" for call in recorded)
    assert not [call for call in shallow if "append" in call.expression]
    space: dict[str, object] = {}
    exec(path.read_text(), space)
    monkeypatch.chdir(tmp_path)
    seen = observe(recorded[0], space, {}, (), 2.0, None)
    assert "_1" in seen.after and seen.after["_1"].endswith("b'.']")


def test_what_was_in_the_folder_before_a_call_stays(tmp_path, monkeypatch):
    """Only what a call left behind is removed, wherever the worker runs."""
    (tmp_path / "kept.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    seen = observe(Call(0, "open", "open('left.txt', 'w').close()"), {}, {}, (), 2.0, None)
    assert seen.kind == "unusable" and seen.text == "it leaves files behind"
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
