"""What is held still for a call: the clock, random numbers, the environment, files; and classes of other modules."""

from __future__ import annotations

import ast
import datetime
import sys
import types

import pytest

from kodo.jobs import testgen as job
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.effects import read_effects
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.stated_facts import documented_instances
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.call import observe
from kodo.jobs.execution.worker.fixtures import needed
from kodo.jobs.testgen import render
from kodo.sandbox import IsolationRefused, Sandbox

SIDE_EFFECTS = """
import os, random, time
from datetime import date
from pathlib import Path

def roll(n: int) -> int:
    return random.randint(1, n)

def stamp() -> float:
    return time.time() + 1

def age(year: int) -> int:
    return date.today().year - year

def level() -> str:
    name = os.environ.get("APP_LEVEL")
    return "default" if name is None else name.upper()

def count_lines(path: Path) -> int:
    with open(path, encoding="utf-8") as file:
        return sum(1 for _ in file)

def save(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.strip())
"""


def effects(source, name="f"):
    """The effects of one function of a module called ``mod``."""
    tree = ast.parse(source)
    node = next(one for one in tree.body if getattr(one, "name", "") == name)
    return read_effects("mod", tree, node, frozenset(arg.arg for arg in node.args.args))


@pytest.mark.parametrize(
    ("source", "statement"),
    [
        (
            "import time\ndef f(): return time.time()",
            "monkeypatch.setattr('mod.time.time', lambda: 1710505800.0)",
        ),
        (
            "from time import time\ndef f(): return time()",
            "monkeypatch.setattr('mod.time', lambda: 1710505800.0)",
        ),
        (
            "import datetime as dt\ndef f(): return dt.date.today()",
            "monkeypatch.setattr('mod.dt.date', FrozenDate)",
        ),
        (
            "from datetime import datetime\ndef f(): return datetime.now()",
            "monkeypatch.setattr('mod.datetime', FrozenDatetime)",
        ),
        ("from random import choice\ndef f(): return choice('ab')", "random.seed(0)"),
        ("import random\ndef g(): return random.random()\ndef f(): return g()", "random.seed(0)"),
    ],
)
def test_the_clock_and_random_numbers_are_held_still(source, statement):
    """The name is replaced where the module looks it up; a function that is called counts as well."""
    assert effects(source).setup[-1] == statement


@pytest.mark.parametrize("given", ["datetime.datetime(2024, 3, 14)", "datetime.date(2024, 3, 14)"])
@pytest.mark.parametrize("place", ["dt.datetime", "dt.date"])
def test_dates_made_before_the_clock_is_held_still_are_dates(monkeypatch, place, given):
    """A function that asks for the kind of what it is given goes the way that it goes without the patch."""
    kind = place.partition(".")[2]
    now = "now()" if kind == "datetime" else "today()"
    source = f"import datetime as dt\ndef f(day):\n    return isinstance(day, {place}), {place}.{now} > {place}.min"
    module = types.ModuleType("mod")
    exec(source, vars(module))
    monkeypatch.setitem(sys.modules, "mod", module)
    call = Call(0, "f", "f(_0)", (Arg("day", given),), effects(source).setup)
    expected = isinstance(eval(given), getattr(datetime, kind))
    names = {"f": module.f, "datetime": datetime}
    assert observe(call, names, {}, (), 5.0, None).text == f"({expected}, True)"
    assert datetime.datetime.__name__ == "datetime" and datetime.date.__name__ == "date"


@pytest.mark.parametrize(
    "body",
    [
        "os.environ['X']",
        "os.environ.get('X', '')",
        "os.getenv('X')",
        "os.environ.get('X') or os.environ['X']",
    ],
)
def test_variables_of_the_environment_are_found(body):
    """Each way to read one by a literal name, once."""
    assert effects(f"import os\ndef f(): return {body}").variables == ("X",)


def test_only_parameters_that_are_opened_are_files():
    """A path that is only joined or passed on is a text."""
    source = "def f(a, b, c, d):\n    open(a)\n    b.read_text()\n    os.path.exists(c)\n    return d + 'x'"
    assert effects(source).files == ("a", "b", "c")
    assert effects("import time\ndef f(time): return time.time") == effects("def f(time): return 1")


def test_files_and_patches_of_a_call_are_gone_after_it(monkeypatch, tmp_path):
    """What a call writes is seen as a change, and its folder and its patches do not outlive it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KODO_X", raising=False)
    setup = ("monkeypatch.setenv('KODO_X', 'text')", "(tmp_path / 'a').write_text('old')")
    call = Call(0, "f", "f(_0)", (Arg("path", "tmp_path / 'a'"),), setup)
    assert needed(call) == ("monkeypatch", "tmp_path")
    places = []

    def f(path):
        import os

        places.append(path)
        path.write_text(os.environ["KODO_X"])

    seen = observe(call, {"f": f}, {"f": f}, (), 2.0, None)
    assert seen.after == {"(tmp_path / 'a').read_text(encoding='utf-8')": "'text'"}
    assert not places[0].parent.exists()
    import os

    assert "KODO_X" not in os.environ


def test_functions_with_side_effects_get_tests_that_pass(tmp_path):
    """Clock, chance, environment and files: every function of this module is in the file, with the fixtures it needs."""
    path = tmp_path / "outside.py"
    path.write_text(SIDE_EFFECTS)
    path.chmod(0o644)
    tmp_path.chmod(0o755)
    options = job.Options(inputs=30, mutants=10, kill_seconds=5)
    if Sandbox().probe().level != "full":
        with pytest.raises(IsolationRefused):
            job.testgen(path, options)
        return
    report = job.testgen(path, options)
    assert {one.function for one in report.kept} == {"roll", "stamp", "age", "level", "count_lines", "save"}
    assert "random.seed(0)" in report.text
    assert ".read_text(encoding=" in report.text
    assert "tmp_path):" in report.text


MACHINE = """
import argparse, getpass, os, platform, socket, sys, time
from pathlib import Path

def arguments(): return sys.argv[1:]
def program(): return sys.argv[0]
def parsed():
    parser = argparse.ArgumentParser()
    parser.add_argument("name", nargs="?")
    return parser.parse_args().name
def required():
    parser = argparse.ArgumentParser()
    parser.add_argument("number")
    return parser.parse_args().number
def home(): return os.path.expanduser("~")
def user(): return getpass.getuser()
def host(): return socket.gethostname()
def kernel(): return platform.release()
def processors(): return os.cpu_count()
def number(): return os.getuid()
def interpreter(): return sys.executable
def here(): return Path(__file__).parent
def zone(): return time.localtime(86400).tm_hour
def double(n: int) -> int: return n * 2
"""


def test_what_rests_on_the_machine_gets_no_test(tmp_path):
    """Its name, its user, its paths, its time zone, the command line: each is another one in a second process."""
    path = tmp_path / "mod.py"
    path.write_text(MACHINE)
    path.chmod(0o644)
    tmp_path.chmod(0o755)
    options = job.Options(inputs=10, mutants=4, kill_seconds=5)
    if Sandbox().probe().level != "full":
        with pytest.raises(IsolationRefused):
            job.testgen(path, options)
        return
    assert {one.function for one in job.testgen(path, options).kept} == {"double"}


def test_an_instance_is_made_as_the_documentation_shows(tmp_path):
    """A receiver, and an argument of the class, come out of a doctest rather than out of types."""
    path = tmp_path / "mod.py"
    path.write_text(
        '''
class Version:
    """A version.

    >>> Version.parse("1.2.3").major
    1
    """
    def __init__(self, text: str): ...
    @classmethod
    def parse(cls, text): ...
    def bump(self): ...
'''
    )
    module = load(path)
    assert documented_instances(module) == {"Version": ("Version.parse('1.2.3')",)}
    calls = CandidateGenerator(module, 0).calls(module.pick("Version.bump")[0], 10)
    assert calls[0].setup[0] == "version = Version.parse('1.2.3')"


def test_classes_of_other_modules_are_made_and_imported_from_there(tmp_path):
    """A parameter of an imported class gets an instance; a class that derives from an abstract one stands for it."""
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").write_text("from .shapes import Point\n")
    (package / "shapes.py").write_text(
        "import abc\nclass Base:\n    def __init__(self, x: int): ...\nclass Point(Base): ...\n"
        "class Shape(abc.ABC):\n    @abc.abstractmethod\n    def area(self): ...\nclass Dot(Shape):\n    def area(self): ...\n"
    )
    (package / "use.py").write_text(
        "from typing import TYPE_CHECKING\nfrom pkg import Point\nfrom json import JSONDecoder\n"
        "if TYPE_CHECKING:\n    from .shapes import Shape, Dot\n"
        "def f(p: Point, s: 'Shape') -> int: ...\n"
    )
    module = load(package / "use.py")
    assert module.imported == {"Point": "pkg.shapes", "Shape": "pkg.shapes", "Dot": "pkg.shapes"}
    assert [one.typed for one in module.functions[0].params] == [True, True]
    (call, *_) = CandidateGenerator(module, 0).calls(module.functions[0], 5)
    assert [arg.source for arg in call.args] == ["Point(3)", "Dot()"]


def test_a_result_that_is_the_receiver_is_asserted_by_identity():
    """A copy that writes the same text is another result; what has a source is still compared by what it equals."""

    class Chain:
        def __init__(self, n):
            self._n = n

        def add(self, n):
            self._n += n
            return self

        def again(self):
            return Chain(self._n)

        def __repr__(self):
            return f"<chain of {self._n}>"

    names = {"Chain": Chain}
    adding = Call(1, "Chain.add", "chain.add(_0)", (Arg("n", "2"),), ("chain = Chain(1)",), "chain")
    seen = observe(adding, names, names, (), 2.0, None)
    assert seen.after == {"result is chain": "True", "repr(result)": "'<chain of 3>'"}
    assert render.body(adding, seen, "pytest")[-1] == "assert result is chain"
    copied = Call(2, "Chain.again", "chain.again()", (), ("chain = Chain(3)",), "chain")
    assert observe(copied, names, names, (), 2.0, None).after == {"repr(result)": "'<chain of 3>'"}


class _Sender:
    """Talks to what it is given."""

    def __init__(self, out):
        self.out = out

    def send(self, data):
        """Doc."""
        self.out.write(data * 2)
        return self.out.flush()


def test_what_a_mock_was_told_is_asserted_as_source_and_its_answer_by_where_it_comes_from():
    """What the setup told it is in the list, as it is when the test runs; an attribute of a mock says nothing."""
    setup = ("sender = Sender(mock.MagicMock())", "sender.send('a')")
    call = Call(1, "Sender.send", "sender.send(_0)", (Arg("data", "'b'"),), setup, "sender")
    names = {"Sender": _Sender}
    seen = observe(call, names, names, (), 2.0, None)
    told = "[mock.call.write('aa'), mock.call.flush(), mock.call.write('bb'), mock.call.flush()]"
    assert seen.after == {
        "sender.out.mock_calls": told,
        "result is sender.out.flush.return_value": "True",
    }
    lines = render.body(call, seen, "pytest")
    assert f"assert sender.out.mock_calls == {told}" in lines
    exec("from unittest import mock\n" + "\n".join(lines), {"Sender": _Sender})


def test_a_call_with_a_value_without_source_is_not_asserted():
    """Nor one of an operator of the mock."""

    def f(out):
        out.write(object())

    def g(out):
        out.write(1)
        return len(out)

    names = {"f": f, "g": g}
    given = (Arg("out", "mock.MagicMock()"),)
    assert observe(Call(1, "f", "f(_0)", given), names, names, (), 2.0, None).after == {}
    assert observe(Call(2, "g", "g(_0)", given), names, names, (), 2.0, None).after == {}


def test_an_object_whose_methods_are_called_is_a_mock_and_a_text_is_none(tmp_path):
    """What strings, lists and dicts have too is no sign of such an object."""
    (tmp_path / "mod.py").write_text(
        "class Sender:\n"
        "    def __init__(self, out): self.out = out\n"
        "    def send(self, data): self.out.submit(data)\n\n"
        "def announce(listener): listener.notify('x')\n\n"
        "def tidy(text): return text.strip()\n"
    )
    found = load(tmp_path / "mod.py")
    generator = CandidateGenerator(found, 0, deep=True)
    made = {one.qualname: generator.calls(one, 40) for one in found.functions}
    assert any("MagicMock" in line for call in made["Sender.send"] for line in call.setup)
    assert any("MagicMock" in arg.source for call in made["announce"] for arg in call.args)
    assert not any("MagicMock" in arg.source for call in made["tidy"] for arg in call.args)
