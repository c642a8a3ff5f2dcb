"""Inputs out of what code asks of a text and out of what tests make."""

import ast
import random
import re
from pathlib import Path

from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.instances_of_tests import instances_of_tests
from kodo.jobs.execution.regex_texts import matching, regex_texts
from kodo.jobs.execution.target import load
from kodo.jobs.execution.text_shapes import text_shapes


def test_texts_meet_what_startswith_and_endswith_ask_for_together():
    """A condition on both ends is met by one text, short and longer than a line."""
    body = "def f(s):\n    if s.startswith('from ') and s.endswith(' import *'):\n        return s\n"
    made = text_shapes(ast.parse(body))
    both = [text for text in made if text.startswith("from ") and text.endswith(" import *")]
    assert min(map(len, both)) < 20 and max(map(len, both)) > 80


def test_a_function_that_asks_nothing_of_texts_has_no_shapes():
    """Nothing is made up."""
    assert text_shapes(ast.parse("def f(x):\n    return x + 1\n")) == ()


def test_made_texts_match_their_pattern():
    """Groups, choices, repeats, sets and references come out as the pattern says."""
    for pattern in (r"(?P<op>~=|>=)\s*v?\d+(?:\.\d+)*", r"(a|bc)[^x]\1{2}", r"[a-f]{3}\w*?$", r"x(?=y)y"):
        made = matching(pattern, 0, random.Random(0), 20)
        assert made and all(re.search(pattern, text) for text in made), (pattern, made)


def test_digits_are_sometimes_those_of_another_script():
    """``\\d`` matches them too, which code rarely expects."""
    made = matching(r"v\d+", 0, random.Random(0), 60)
    assert any(not text.isascii() for text in made) and any(text.isascii() for text in made)


def test_a_pattern_that_does_not_compile_gives_no_texts():
    """A broken literal is not the end."""
    assert matching("(", 0, random.Random(0), 5) == []


def test_the_patterns_of_a_class_are_put_together_from_its_attributes(tmp_path: Path):
    """A sum of named texts is one pattern, with the flags of the call."""
    (tmp_path / "m.py").write_text(
        "import re\n\nclass Spec:\n    _op = '(?:~=|==)'\n    _re = re.compile(_op + r'v[0-9]+')\n\n"
        "    def __init__(self, spec: str) -> None:\n        self.found = self._re.match(spec)\n"
    )
    module = load(tmp_path / "m.py")
    made = regex_texts(module, module.every_function["Spec.__init__"])
    assert any(re.fullmatch(r"(~=|==)v\d+", text) for text in made)
    calls = CandidateGenerator(module, 0).calls(module.every_function["Spec.__init__"], 60)
    assert any(re.search(r"(~=|==)v\d", call.args[0].source) for call in calls if call.args)


TESTS = """
def test_it():
    one = pkg.Version("1.2", pre=Mark(3))
    other = Version(text)
    third = Unknown(1)
    fourth = obj.method.Version("9")
"""


def test_instances_are_taken_out_of_tests_with_the_modules_own_names():
    """Constructor calls of literals and of such calls are taken; one with a variable, or of another class, is not."""
    found = instances_of_tests([ast.parse(TESTS)], {"Version", "Mark"})
    assert found == {"Version": ("Version('1.2', pre=Mark(3))",), "Mark": ("Mark(3)",)}


def test_methods_are_called_on_instances_that_tests_make(tmp_path: Path):
    """A receiver that its constructor would refuse when it is guessed is made as in the tests."""
    (tmp_path / "m.py").write_text(
        "class Version:\n    def __init__(self, text: str) -> None:\n        self.parts = [int(one) for one in text.split('.')]\n\n"
        "    def first(self) -> int:\n        return self.parts[0]\n"
    )
    module = load(tmp_path / "m.py")
    generator = CandidateGenerator(module, 0, instances={"Version": ("Version('1.2')",)})
    calls = generator.calls(module.every_function["Version.first"], 30)
    assert any(call.setup == ("version = Version('1.2')",) for call in calls)
