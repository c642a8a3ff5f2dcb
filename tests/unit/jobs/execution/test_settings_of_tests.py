"""What tests set on objects, and which of it a function reads."""

from __future__ import annotations

import ast
from pathlib import Path

from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.settings_of_tests import settings_of_tests, settings_read
from kodo.jobs.execution.target import load

TESTS = """
def test_open(shop):
    shop.open = True
    shop.config["KEYS"] = ["a", "b"]
    self.shop.open = False
    shop.config.update(LIMIT=3, other=shop)
    shop.owner = Owner()
    make().open = "of a call"
"""
MODULE = """
class Shop:
    def __init__(self, name: str):
        self.name = name
        self.config = {}
        self.open = False

    def rate(self) -> int:
        return 2 if self.open else 0

def keys(shop: Shop) -> list:
    return [shop.name, *shop.config.get("KEYS", ())]
"""


def test_literals_that_tests_set_are_known_by_their_place() -> None:
    """On attributes and on what they hold; other values and objects without a name are left out."""
    assert settings_of_tests([ast.parse(TESTS)]) == {
        ".open": ("True", "False"), ".config['KEYS']": ("['a', 'b']",), ".config['LIMIT']": ("3",),
    }  # fmt: skip


def test_what_a_body_reads_of_an_object_is_known_by_its_place() -> None:
    """Attributes and items by constant keys, also with ``get``; what is set and what is another object's is left out."""
    body = ast.parse("a.x = b.y\nif a.open: a.config['K'], a.config.get('L', 1), a.config[b]").body
    assert sorted(settings_read("a", body)) == [".config", ".config['K']", ".config['L']", ".open"]


def test_objects_are_brought_into_the_states_of_tests(tmp_path: Path) -> None:
    """The receiver of a method, and an instance that a function is given, which has a name then."""
    (tmp_path / "m.py").write_text(MODULE)
    module = load(tmp_path / "m.py")
    settings = settings_of_tests([ast.parse(TESTS)])
    generator = CandidateGenerator(module, 0, deep=True, mocked=True, settings=settings)
    calls = generator.calls(module.every_function["Shop.rate"], 60)
    assert any("shop.open = True" in call.setup for call in calls)
    given = [call for call in generator.calls(module.every_function["keys"], 60) if len(call.setup) > 1]
    assert {call.setup for call in given} == {("shop = _0", "shop.config['KEYS'] = ['a', 'b']")}
    assert {call.expression for call in given} == {"keys(shop)"}
