"""Inputs out of what code asks of a text and out of what tests make."""

import ast
import random
import re
from pathlib import Path

import pytest

from kodo.jobs.execution.calls import command
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.instances_of_tests import instances_of_tests
from kodo.jobs.execution.model import Call
from kodo.jobs.execution.param_types import from_use
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


GRAPHS = """
import net as n
from net.made import path, cycle as ring

def test_it():
    g = n.Graph([1, 2])
    h = path(3)
    h = path(4)
    k = ring(g, size=len(g))
    for m in (1, 2):
        Match(m)
    Match(g, n.empty(), key=n.same)
    Match(h)
    Match(k)
    Match(ring(g))
    Match(other.path(3))

    def inner():
        g = path(9)
        Match(g)
"""


def test_arguments_of_the_projects_own_package_are_written_with_it():
    """Calls, functions and variables that are bound once; not what is bound again, a loop's, or of another package."""
    found = instances_of_tests([ast.parse(GRAPHS)], {"Match"}, "net")
    assert set(found["Match"]) == {
        "Match(net.Graph([1, 2]), net.empty(), key=net.same)",
        "Match(net.made.cycle(net.Graph([1, 2])))",
        "Match(net.made.path(9))",
    }


def test_a_command_imports_the_package_that_it_names():
    """What a receiver is made of by the package's name can be repeated from a shell."""
    call = Call(0, "Match.run", "match.run()", (), ("match = Match(net.path(3))",), "match")
    assert "from net.iso import Match; import net.iso; match = " in command(call, "net.iso", {"Match"}, "")
    assert "import net.iso" not in command(call, "other.iso", {"Match"}, "")


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


def test_an_annotation_that_leaves_all_open_does_not_hide_what_a_name_says(tmp_path: Path):
    """A ``func: object`` gets callables, and other values too."""
    (tmp_path / "m.py").write_text("def names(func: object) -> object:\n    return func\n")
    module = load(tmp_path / "m.py")
    calls = CandidateGenerator(module, 0).calls(module.every_function["names"], 60)
    sources = {call.args[0].source for call in calls if call.args}
    assert any("lambda" in one for one in sources) and "None" in sources


def test_a_function_that_asks_for_a_code_point_gets_single_characters():
    """Also the last one there is; other functions do not get them."""
    assert "\U0010ffff" in text_shapes(ast.parse("def f(c):\n    return ord(c)\n"))
    assert text_shapes(ast.parse("def f(c):\n    return c.ord()\n")) == ()


@pytest.mark.parametrize(("pattern", "found"), [("(?i)post", True), ("(?ai)post", False), ("post", False)])
def test_letters_that_are_the_same_without_case_are_tried(pattern, found):
    """The long s is an s to a pattern without regard to case, and each text is one that the pattern matches."""
    made = matching(pattern, 0, random.Random(0), 200)
    assert ("po\u017ft" in made) == found and all(re.fullmatch(pattern, one) for one in made)


@pytest.mark.parametrize("compares", [True, False])
def test_two_parameters_of_one_type_are_given_values_alike(tmp_path: Path, compares: bool):
    """Equal ones and ones that differ a little, which chance does not give; only where they are asked for."""
    (tmp_path / "m.py").write_text(
        "def same(one: str, n: int, other: str) -> bool:\n    return one.strip() == other\n"
    )
    module = load(tmp_path / "m.py")
    calls = CandidateGenerator(module, 0, compares=compares).calls(module.every_function["same"], 300)
    rows = [call.args for call in calls if len(call.args) == 3 and call.origin == "random"]
    texts = [(eval(row[0].source), eval(row[2].source)) for row in rows]
    alike = [one for one, other in texts if len(one) > 3 and one != other and one.strip() == other.strip()]
    assert bool(alike) == compares


@pytest.mark.parametrize(
    ("use", "kind"),
    [
        ("value.total_seconds()", "timedelta"),
        ("value.utcoffset()", "datetime"),
        ("value.toordinal()", "date"),
        ("value.decode()", "bytes"),
        ("value.bit_length()", "int"),
        ("value.other()", None),
    ],
)
def test_a_method_that_one_type_has_says_what_a_value_is(use, kind):
    """Dates, spans of time, bytes and numbers are known by what is asked of them."""
    found = from_use("value", ast.parse(use).body)
    assert (found and found.kind) == kind
