"""Inputs that code in the wild asks for: each of these kinds was missing once, and cost bugs."""

import re
from pathlib import Path

from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.model import Call
from kodo.jobs.execution.target import load

SOURCE = '''
import datetime

def parse(text: str) -> str:
    return text

def when(at: datetime.datetime) -> datetime.datetime:
    return at

def paint(options):
    return options["colour"], options.get("size", 3)

class Parts:
    def __init__(self, *parts, sep="-"):
        self.parts = parts

    def join(self):
        return "-".join(self.parts)

def divide(a: int, b: int) -> float:
    return a / b

def draw(shape, **options):
    return options.get("width", 2), options["fill"], "dash" in options, flag(options, "loud", True)

def many(a=0, b=0, c=0, d=0, e=0, f=0, g=0, h=0, i=0, j=0, k=0, l=0, m=0, n=0, o=0, p=0):
    """A long message that is no text to try: %s."""
    return a
'''


def _calls(tmp_path: Path, name: str, count: int = 120) -> list[Call]:
    (tmp_path / "m.py").write_text(SOURCE)
    module = load(tmp_path / "m.py")
    return CandidateGenerator(module, 0).calls(module.every_function[name], count)


def test_texts_hold_the_letters_that_parsers_care_about(tmp_path: Path) -> None:
    """Brackets, quotes, operators and odd letters are among the random ones."""
    text = "".join(call.args[0].source for call in _calls(tmp_path, "parse", 400))
    assert not [letter for letter in "=&?%[](){}\"'+*" if letter not in text]
    assert any(not letter.isascii() for letter in text)


def test_times_are_with_and_without_a_zone(tmp_path: Path) -> None:
    """A datetime is aware in some calls and naive in others."""
    sources = [call.args[0].source for call in _calls(tmp_path, "when")]
    assert any("tzinfo=" in one for one in sources) and any("tzinfo=" not in one for one in sources)


def test_dicts_have_the_keys_that_the_body_reads(tmp_path: Path) -> None:
    """Both keys come together, too."""
    sources = [call.args[0].source for call in _calls(tmp_path, "paint") if call.args]
    assert any("'colour':" in one and "'size':" in one for one in sources if one.startswith("{")) or {
        key for one in sources for key in re.findall(r"'(colour|size)':", one)
    } == {"colour", "size"}


def test_variadic_constructors_are_given_values_before_their_keywords(tmp_path: Path) -> None:
    """An instance is made of nothing, of some values, and of values with an option after them."""
    made = {call.setup[0] for call in _calls(tmp_path, "Parts.join") if call.setup}
    assert any(re.search(r"Parts\((?!sep=)[^)]", one) for one in made)
    assert not [one for one in made if re.search(r"sep=('[^']*'|[\w.-]+), (?!sep)", one)]


def test_every_parameter_is_at_a_boundary_in_some_rows(tmp_path: Path) -> None:
    """Both at zero, and both at another edge."""
    rows = {tuple(arg.source for arg in call.args) for call in _calls(tmp_path, "divide")}
    assert {("0", "0"), ("-1", "-1")} <= rows


def test_options_that_the_body_takes_out_are_given_by_name(tmp_path: Path) -> None:
    """A key that is read, one with a default, one that is looked for, and one that a helper reads."""
    text = " ".join(call.expression for call in _calls(tmp_path, "draw"))
    assert {"width", "fill", "dash", "loud"} <= set(re.findall(r"(\w+)=_", text))


def test_many_parameters_have_all_their_turn(tmp_path: Path) -> None:
    """The last of sixteen parameters gets other values than its default as well."""
    calls = _calls(tmp_path, "many", 200)
    given = {(arg.name, arg.source) for call in calls for arg in call.args}
    for name in "abcdefghijklmnop":
        assert len({source for one, source in given if one == name}) > 2, name


def test_a_receiver_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The reason for a call that cannot be made says which constructor failed."""
    from kodo.jobs.execution.worker.outcome import outcome_of

    class Broken:
        """Refuses everything."""

        def __init__(self) -> None:
            raise ValueError("no")

    seen = outcome_of(Call(1, "f", "b.x()", (), ("b = Broken()",), "b"), {"Broken": Broken}, {}, 5.0, "/r")
    assert seen.kind == "unusable" and "Broken raises ValueError" in seen.parts["why"]
