"""Which functions a change touched, and which call them."""

import pytest

from kodo.jobs.execution.changed import affected_functions, read_elsewhere
from kodo.jobs.execution.target import load

BEFORE = '''
LIMIT = 3
OTHER = 1

def helper(x):
    """Doc."""
    return x + 1

def public(x):
    return helper(x)

def outer(x):
    return public(x)

def capped(x):
    return min(x, LIMIT)

def alone(x):
    return x

class Box:
    size = 1

    def __init__(self, x):
        self.x = x

    def read(self):
        return self.x

class Other:
    def read_it(self):
        return 1
'''


def names(tmp_path, old, new):
    """Affected functions with their depth."""
    for folder, text in (("a", old), ("b", new)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.py").write_text(text)
    found = affected_functions(load(tmp_path / "a/m.py"), load(tmp_path / "b/m.py"))
    return {one.function.qualname: (one.depth, one.roots) for one in found}


def test_a_changed_function_and_its_callers(tmp_path):
    """Callers come after the function itself, at most two calls away, and name what they lead to."""
    found = names(tmp_path, BEFORE, BEFORE.replace("return x + 1", "return x + 2"))
    assert found == {"helper": (0, ("helper",)), "public": (1, ("helper",)), "outer": (2, ("helper",))}
    assert list(found) == ["helper", "public", "outer"]


def test_documentation_and_layout_are_no_change(tmp_path):
    """A docstring, a comment and spacing leave every function as it was."""
    new = BEFORE.replace('"""Doc."""', '"""Other doc."""  # and why').replace(
        "return x + 1", "return (x\n        + 1)"
    )
    assert names(tmp_path, BEFORE, new) == {}


def test_a_constant_changes_what_uses_it(tmp_path):
    """The functions that name a changed module constant are changed."""
    assert set(names(tmp_path, BEFORE, BEFORE.replace("LIMIT = 3", "LIMIT = 4"))) == {"capped"}


def test_a_constructor_or_class_attribute_changes_the_methods(tmp_path):
    """All methods of a class stand on its constructor and on its own statements."""
    assert "Box.read" in names(tmp_path, BEFORE, BEFORE.replace("self.x = x", "self.x = x or 1"))
    (tmp_path / "two").mkdir()
    assert "Box.read" in names(tmp_path / "two", BEFORE, BEFORE.replace("size = 1", "size = 2"))


def test_an_override_that_is_added_affects_the_class(tmp_path):
    """A method that one version alone has is called by whatever called the one it overrides; it is listed itself."""
    new = BEFORE.replace(
        "    def read_it(self):", "    def __len__(self):\n        return 0\n\n    def read_it(self):"
    )
    found = names(tmp_path, BEFORE, new)
    assert found["Other.__len__"] == (1, ("Other.__len__",))
    assert found["Other.read_it"] == (1, ("Other.__len__",))


def test_an_attribute_made_of_a_changed_one_changes_what_names_it(tmp_path):
    """The methods that name an attribute are changed, not the others of its class; a constant it is made of counts."""
    old = """
PART = "a"

class Reader:
    pattern = PART + "b"

    def read(self):
        return self.pattern

    def close(self):
        return None
"""
    assert names(tmp_path, old, old.replace('"a"', '"c"')) == {"Reader.read": (0, ("Reader.read",))}


TWO = """
import sys

if sys.version_info >= (3, 4):
    def pick(x: int) -> int:
        y: int = x
        return y
else:
    def pick(x):
        return x

class Outer:
    class Inner:
        def read(self):
            return 1

    @property
    def size(self):
        return self._size

    @size.setter
    def size(self, value):
        self._size = value
"""


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("        return y", "        return y + 1", {"pick"}),
        ("x: int) -> int", "x: float) -> str", set()),
        ("y: int = x", "y: str = x", set()),
        ("y: int = x", "y: int = x + 1", {"pick"}),
        ("return 1", "return 2", {"Outer.Inner.read"}),
        ("self._size = value", "self._size = value or 1", {"Outer.size"}),
    ],
)
def test_every_definition_counts_and_its_annotations_do_not(tmp_path, old, new, changed):
    """Of two branches the first, a method of an inner class, the setter of a property; a type alone changes nothing."""
    found = names(tmp_path, TWO, TWO.replace(old, new))
    assert {name for name, (depth, _) in found.items() if not depth} == changed


LOCALES = """
from typing import ClassVar

class Locale:
    units = {"second": "a second"}

    def describe(self, unit):
        return self.format(unit)

    def format(self, unit):
        return self.units[unit]

    def other(self):
        return 1

class Swedish(Locale):
    units: ClassVar[dict] = {"second": "en sekund"}

class Loud(Swedish):
    def format(self, unit):
        return self.units[unit].upper()
"""


def test_inherited_methods_that_read_a_changed_attribute(tmp_path):
    """They are run on the class whose attribute changed, not only on the one that defines them; those that read nothing of it are not."""
    found = names(tmp_path, LOCALES, LOCALES.replace("en sekund", "nagra sekunder"))
    assert found["Swedish.format"] == (1, ("Locale.format",))
    assert "Locale.format" in found["Swedish.describe"][1]
    assert "Swedish.other" not in found


def test_an_annotated_attribute_of_a_class_is_no_field(tmp_path):
    """A field of a dataclass changes the class as a whole; an attribute with ClassVar only what reads it."""
    found = names(tmp_path, LOCALES, LOCALES.replace('ClassVar[dict] = {"second"', 'ClassVar[dict] = {"s"'))
    assert "Loud.format" in found
    assert "Locale.other" not in found


TABLES = """
LIMIT = 3
WORDS = ["a"]
_OWN = ["a"]

class Lexer(Base):
    tokens = ["a"]

class Reader:
    tokens = ["a"]

    def read(self):
        return 1

def capped(x):
    return min(x, LIMIT)

class Dialect(Base):
    rules = {"a": 1}

    def own(self):
        return super(Dialect, self).own()
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('WORDS = ["a"]', 'WORDS = ["a", "b"]', ["WORDS"]),
        ('(Base):\n    tokens = ["a"]', '(Base):\n    tokens = ["b"]', ["Lexer"]),
        ('class Reader:\n    tokens = ["a"]', 'class Reader:\n    tokens = ["b"]', []),
        ("LIMIT = 3", "LIMIT = 4", []),
        ('_OWN = ["a"]', '_OWN = ["b"]', []),
        ("return 1", "return 2", []),
        ('rules = {"a": 1}', 'rules = {"a": 2}', ["Dialect"]),
    ],
)
def test_values_that_others_read(tmp_path, old, new, expected):
    """A public table, a class with nothing but one, and one that a class holds for what it inherits are read by other modules where no
    function of their own does.
    """
    assert old in TABLES
    for folder, text in (("a", TABLES), ("b", TABLES.replace(old, new))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.py").write_text(text)
    assert read_elsewhere(load(tmp_path / "a/m.py"), load(tmp_path / "b/m.py")) == expected


def test_what_a_changed_function_makes_at_import_has_changed(tmp_path):
    """Functions that read such a constant, or take it by default, lead to the change; those that read another do not."""
    text = (
        "def build(x):\n    return x\n\nURL = build('a')\nOTHER = str('b')\n\n"
        "def find(text, url=URL):\n    return url in text\n\ndef other():\n    return OTHER\n"
    )
    for folder, source in (("a", text), ("b", text.replace("return x", "return x + '/'"))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.py").write_text(source)
    found = affected_functions(load(tmp_path / "a/m.py"), load(tmp_path / "b/m.py"))
    assert {one.function.qualname for one in found} == {"build", "find"}
