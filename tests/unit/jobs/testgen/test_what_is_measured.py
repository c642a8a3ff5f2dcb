"""What the figures count: the lines that coverage.py counts, of a module that is imported under measurement, in its own environment."""

import ast
from importlib.metadata import distribution

from kodo.jobs.execution.model import Expectation, Observed
from kodo.jobs.execution.target import load
from kodo.jobs.testgen import Options
from kodo.jobs.testgen import testgen as generate
from kodo.jobs.testgen.excluded_lines import excluded_lines
from kodo.jobs.testgen.hidden_packages import hidden_packages
from kodo.jobs.testgen.mutate import mutants
from kodo.jobs.testgen.suspected_bugs import _is_notation

SOURCE = """
from typing import TYPE_CHECKING, overload
if TYPE_CHECKING:
    import a

@overload
def f(x: int = 3) -> int: ...
def f(x=1):
    if x > 2:  # pragma: no cover
        return x + 1
    return x


def g(x): return x + 2  # pragma: no cover
"""


def test_excluded_are_the_lines_that_coverage_leaves_out():
    from coverage.config import DEFAULT_EXCLUDE
    from coverage.parser import PythonParser

    parser = PythonParser(text=SOURCE, filename="x.py", exclude="|".join(DEFAULT_EXCLUDE))
    parser.parse_source()
    assert excluded_lines(SOURCE, ast.parse(SOURCE)) >= parser.excluded & set(range(1, 20))
    assert not excluded_lines(SOURCE, ast.parse(SOURCE)) & parser.statements


def test_no_mutant_is_asked_where_no_line_is_counted():
    places = [one.place.line for one in mutants(SOURCE, frozenset({"f", "g"}), 300, 0)]
    assert set(places) <= {8, 11}
    assert places


def test_a_module_that_pytest_stands_on_is_measured_from_its_import(tmp_path):
    package = tmp_path / "site-packages" / "iniconfig"
    package.mkdir(parents=True)
    (package / "exceptions.py").write_text("class ParseError(Exception):\n    pass\n")
    (package / "__init__.py").write_text(
        "from .exceptions import ParseError\n\n\nclass IniConfig:\n    pass\n\n\n"
        "A = 1\nB = 2\nC = 3\n\n\ndef double(x: int) -> int:\n    return x * 2\n"
    )
    score = generate(package / "__init__.py", Options(inputs=10)).after
    assert score.lines_covered == score.lines


def test_what_a_distribution_does_not_declare_is_hidden(tmp_path):
    folder = tmp_path / "site-packages"
    info = folder / "one-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "one.py").write_text(
        "def has() -> bool:\n    try:\n        import hypothesis\n    except ImportError:\n        return False\n    return True\n"
    )
    (info / "RECORD").write_text("one.py,,\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: one\nVersion: 1.0\nRequires-Dist: msgspec\n")
    assert distribution("hypothesis")
    hidden = hidden_packages(load(folder / "one.py"))
    assert "hypothesis" in hidden
    assert not {"msgspec", "pytest", "_pytest", "coverage", "pytest_randomly", "kodo"} & set(hidden)
    assert "has() is False" in generate(folder / "one.py", Options(inputs=5)).text


def test_nothing_is_hidden_where_nothing_says_what_is_declared(tmp_path):
    (tmp_path / "one.py").write_text("def f(x):\n    return x\n")
    assert hidden_packages(load(tmp_path / "one.py")) == ()


def test_a_documented_text_in_another_notation_accuses_nobody():
    seen = Observed(1, "value", after={"repr(result)": "'(<Key foo>, 1)'"})
    assert _is_notation(Expectation("shows", "(Key('foo'), 1)", "example", ""), seen)
    assert not _is_notation(Expectation("shows", "(Key('foo'), 2)", "example", ""), seen)
