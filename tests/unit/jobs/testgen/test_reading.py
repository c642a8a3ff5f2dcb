"""What is read from a module without running it: parameters, types, examples, stated facts."""

import ast

import pytest

from kodo.jobs.execution import doc_contracts
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.model import ExecutionError
from kodo.jobs.execution.param_types import ParamType, from_annotation, from_name, from_use
from kodo.jobs.execution.stated_facts import constants, invariants
from kodo.jobs.execution.target import load


def module(tmp_path, source, name="mod.py"):
    """A module on disk, read."""
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return load(path)


def function(tmp_path, source, name=None):
    """The first (or named) function of a module."""
    return module(tmp_path, source).pick(name)[0]


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        ("int", "int"), ("list[int]", "list"), ("Optional[str]", "union"), ("str | None", "union"), ("'float'", "float"),
        ("typing.Sequence[int]", "list"), ("tuple[int, str]", "record"), ("tuple[int, ...]", "tuple"), ("Point", "class"),
        ("Literal['a', 'b']", "union"), ("dict[str, int]", "dict"), ("datetime.date", "date"), ("T", "int"),
    ],
)  # fmt: skip
def test_annotations_become_types(annotation, kind):
    """Each form of annotation is understood, quoted ones and module-qualified ones too."""
    type_ = from_annotation(ast.parse(annotation, mode="eval").body, frozenset({"Point"}))
    assert type_ is not None
    assert type_.kind == kind


def test_an_unknown_annotation_has_no_type():
    """A class of another module is not guessed."""
    assert from_annotation(ast.parse("Session", mode="eval").body, frozenset()) is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("return x.strip()", "str"),
        ("return x.items()", "dict"),
        ("return range(x)", "int"),
        ("return x > 2.5", "float"),
        ("x.append(1)", "list"),
    ],
)
def test_the_body_says_what_an_unannotated_parameter_is(body, kind):
    """A method called on it, a comparison or a builtin it is given to decide."""
    assert from_use("x", ast.parse(f"def f(x):\n    {body}").body).kind == kind


def test_a_name_is_the_last_guess():
    """Where nothing else helps, the usual names do; an unusual one is anything."""
    assert from_name("text").kind == "str"
    assert from_name("max_count").kind == "int"
    assert from_name("qqq") == ParamType("any")


def test_a_module_is_found_from_its_package_root(tmp_path):
    """The import name counts the packages above it; the project is where pyproject.toml is."""
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "src" / "pkg").mkdir(parents=True)
    (tmp_path / "src" / "pkg" / "__init__.py").write_text("")
    found = module(tmp_path, "def f(): ...\n", "src/pkg/mod.py")
    assert (found.name, found.import_root, found.root) == ("pkg.mod", tmp_path / "src", tmp_path)


def test_public_functions_methods_and_classes_are_found(tmp_path):
    """Private names, setters and overloads are left out; a class can be picked as a whole."""
    source = """
class A:
    def __init__(self, n: int): self.n = n
    def go(self): ...
    def _hidden(self): ...
    @property
    def size(self): return 1
    @staticmethod
    def make(): ...
async def later(): ...
def _private(): ...
"""
    found = module(tmp_path, source)
    assert [one.qualname for one in found.functions] == ["A.__init__", "A.go", "A.size", "A.make", "later"]
    assert [one.kind for one in found.pick("A")] == ["method", "method", "property", "static"]
    assert found.pick("_private")[0].name == "_private"


def test_an_unknown_name_is_refused_with_the_names_there_are(tmp_path):
    """The error says what could have been meant."""
    with pytest.raises(ExecutionError, match="there are: f"):
        module(tmp_path, "def f(): ...\n").pick("g")


@pytest.mark.parametrize(("name", "source"), [("m.txt", "x"), ("m.py", "def ("), ("my-mod.py", "x = 1")])
def test_what_is_no_module_is_refused(tmp_path, name, source):
    """Not Python, not parseable, not importable: one line each."""
    with pytest.raises(ExecutionError, match=name):
        module(tmp_path, source, name)


def test_doctests_are_examples_with_their_setup():
    """Statements before an example are its setup; a literal result is a value, a traceback an error."""
    doc = """
    >>> s = Stack()
    >>> s.push(2)
    >>> s.pop()
    2
    >>> s.pop()
    Traceback (most recent call last):
    ...
    IndexError: empty
    """
    first, second = doc_contracts.examples(doc, frozenset({"pop"}))
    assert first.setup == ("s = Stack()", "s.push(2)")
    assert (first.expression, first.expect.kind, first.expect.text) == ("s.pop()", "value", "2")
    assert (second.expect.kind, second.expect.text) == ("raises", "IndexError")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("``add(1, 2) == 3``", "3"),
        ("add(1, 2) -> 3, always", "3"),
        ("add('a', 'b') returns 'ab'.", "'ab'"),
        ("`add([1], [2])` gives [1, 2]", "[1, 2]"),
    ],
)
def test_calls_in_running_text_are_examples(line, value):
    """The usual ways to write an example in a sentence are read."""
    (example,) = doc_contracts.examples(line, frozenset({"add"}))
    assert example.expect.text == value


def test_a_call_with_names_is_no_example():
    """add(a, b) in a sentence speaks of any a and b."""
    assert doc_contracts.examples("add(a, b) == 3", frozenset({"add"})) == ()


@pytest.mark.parametrize(
    ("signature", "doc", "given", "kind", "text"),
    [
        ("n: int", "Raises ValueError if n is negative.", {"n": "-1"}, "raises", "ValueError"),
        ("n: int", "Root.\n\n    Raises:\n        ValueError: if n is less than 2", {"n": "1"}, "raises", "ValueError"),
        ("n: int", "Root.\n\n    :raises ValueError: when ``n`` is zero", {"n": "0"}, "raises", "ValueError"),
        ("n: int", "Raises ValueError outside 1 to 3999.", {"n": "0"}, "raises", "ValueError"),
        ("lo: int, hi: int", "Raises ValueError if lo is greater than hi.", {"lo": "9", "hi": "2"}, "raises", "ValueError"),
        ("xs: list[int]", "The mean; returns 0 for an empty list.", {"xs": "[]"}, "value", "0"),
        ("name: str", "Returns None if the name is empty.", {"name": "''"}, "value", "None"),
        ("n: int", "True if n is even, else False.", {"n": "0"}, "value", "True"),
    ],
)  # fmt: skip
def test_stated_results_and_errors_are_read(tmp_path, signature, doc, given, kind, text):
    """A condition and a result in a docstring become a call and what it must do."""
    one = function(tmp_path, f'def f({signature}):\n    """{doc}"""\n')
    found = [claim for claim in doc_contracts.read_contracts(one, frozenset()) if claim.given]
    assert found, "nothing was read"
    assert {name: values[0] for name, values in found[0].given.items()} == given
    assert (found[0].expect.kind, found[0].expect.text, found[0].expect.basis) == (kind, text, "docstring")


@pytest.mark.parametrize(
    ("signature", "doc", "text"),
    [
        ("x: float", "Returns a number between 0 and 1.", "not 0 <= 1 or 0 <= result <= 1"),
        ("xs: list[int]", "Returns the items in ascending order.", "list(result) == sorted(result)"),
        ("xs: list[int]", "Does not modify the list.", "unchanged"),
        ("s: str, n: int", "Returns at most n characters.", "_1 < 1 or len(result) <= _1"),
    ],
)
def test_stated_properties_hold_for_every_call(tmp_path, signature, doc, text):
    """A property stands for all calls of the function."""
    one = function(tmp_path, f'def f({signature}) -> str:\n    """{doc}"""\n')
    assert text in [
        claim.expect.text for claim in doc_contracts.read_contracts(one, frozenset()) if not claim.given
    ]


@pytest.mark.parametrize(
    "doc",
    [
        "Raises ValueError if the file is missing.",
        "Never raises ValueError.",
        "Returns x if not empty.",
        "Handles negative n.",
        "A sorted view is not made.",
    ],
)
def test_unclear_sentences_are_left_alone(tmp_path, doc):
    """What is not understood is no claim."""
    one = function(tmp_path, f'def f(n: int, x: str):\n    """{doc}"""\n')
    assert doc_contracts.read_contracts(one, frozenset()) == []


def test_a_return_annotation_stands_for_fully_typed_functions_only(tmp_path):
    """Without types on every parameter an input may be wrong, so the result's type proves nothing."""
    found = module(tmp_path, "def f(x: int) -> int: ...\ndef g(x) -> int: ...\n")
    assert [bool(invariants(found, one)) for one in found.functions] == [True, False]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import shop.other\n", "shop.mod"),
        ("from . import other\n", "shop.mod"),
        ("import src.shop.other\n", "src.shop.mod"),
    ],
)
def test_the_source_folder_of_a_project_is_no_package(tmp_path, text, name):
    """Though it has an ``__init__.py``; but where the module itself imports by that name."""
    (tmp_path / "pyproject.toml").write_text("")
    for folder in ("src", "src/shop"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("")
    assert module(tmp_path, text, "src/shop/mod.py").name == name


def test_constants_come_from_the_function_and_the_tables_it_names(tmp_path):
    """Literals in the body and in module constants that the body uses; not the docstring."""
    found = module(tmp_path, 'T = {"am": 0}\nU = 99\ndef f(x):\n    """doc"""\n    return T.get(x, 17)\n')
    assert set(constants(found, found.functions[0])) == {"am", 0, 17}


def test_constants_come_from_the_tables_of_the_class(tmp_path):
    """Those that the method reads of itself, and no others."""
    found = module(
        tmp_path,
        'class C:\n    T = {"md5": 0}\n    U = 99\n    def f(self, x):\n        return self.T[x.lower()]\n',
    )
    assert set(constants(found, found.every_function["C.f"])) == {"md5", 0}


def test_candidates_are_many_distinct_and_the_same_for_the_same_seed(tmp_path):
    """Hundreds of calls, no two alike, reproducible."""
    found = module(tmp_path, "def f(x: int, s: str = 'a', *, flag: bool = False) -> str: ...\n")
    one = CandidateGenerator(found, 7).calls(found.functions[0], 300)
    assert one == CandidateGenerator(found, 7).calls(found.functions[0], 300)
    assert one != CandidateGenerator(found, 8).calls(found.functions[0], 300)
    assert len(one) > 250
    assert len({(call.expression, call.args) for call in one}) == len(one)
    assert any("flag=_" in call.expression for call in one)


def test_methods_are_called_on_an_instance_in_some_state(tmp_path):
    """A call of a method is preceded by the constructor, and for some calls by other methods."""
    source = "class S:\n    def __init__(self, n: int): self.xs = [n]\n    def push(self, x: int): self.xs.append(x)\n    def pop(self): return self.xs.pop()\n"
    found = module(tmp_path, source)
    calls = CandidateGenerator(found, 0).calls(found.pick("S.pop")[0], 50)
    assert all(call.setup[0].startswith("s = S(") for call in calls)
    assert any("s.push(" in line for call in calls for line in call.setup)


def test_documented_calls_come_first(tmp_path):
    """Examples and stated conditions are the first candidates, so they are preferred."""
    found = module(
        tmp_path,
        'def f(n: int) -> int:\n    """Raises ValueError if n is negative.\n\n    >>> f(2)\n    4\n    """\n',
    )
    calls = CandidateGenerator(found, 0).calls(found.functions[0], 20)
    assert [call.origin for call in calls[:4]] == ["example", "claim", "claim", "claim"]


def test_at_most_n_characters_of_each_line_is_not_read_as_of_the_list(tmp_path):
    """The number of characters bounds a text, not a list of texts."""
    one = function(
        tmp_path, 'def f(s: str, n: int) -> list[str]:\n    """Lines of at most n characters."""\n'
    )
    assert doc_contracts.read_contracts(one, frozenset()) == []


@pytest.mark.parametrize(
    ("doc", "expression"),
    [
        ("The inverse of `dump`.", "load(dump(_0))"),
        ("The value that :func:`dump` wrote.", "load(dump(_0))"),
        ("Text that :func:`dump` reads back.", "dump(load(_0))"),
    ],
)
def test_round_trips_are_tried(tmp_path, doc, expression):
    """Two functions of which one undoes the other are called one in the other, and must give back what went in."""
    found = module(tmp_path, f'def dump(n: int) -> str: ...\ndef load(s: str) -> int:\n    """{doc}"""\n')
    calls = [call for call in CandidateGenerator(found, 0).calls(found.pick("load")[0], 50) if call.expect]
    assert len(calls) > 5
    assert {call.expression for call in calls} == {expression}
    assert {call.expect.text for call in calls} == {"result == _0"}


def test_an_example_is_not_the_setup_of_the_next():
    """A call that touches no variable of the block is left out before later examples."""
    doc = ">>> f(1)\n2\n>>> x = 3\n>>> f(x)\n4\n"
    assert [one.setup for one in doc_contracts.examples(doc, frozenset({"f"}))] == [(), ("x = 3",)]


def test_a_module_of_a_namespace_package_is_imported_by_its_whole_name(tmp_path):
    """Where packages are installed, a folder without ``__init__`` is a package too."""
    folder = tmp_path / "site-packages" / "ruamel" / "yaml"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("", encoding="utf-8")
    (folder / "tag.py").write_text("def f(x: int) -> int:\n    return x\n", encoding="utf-8")
    found = load(folder / "tag.py")
    assert (found.name, found.import_root) == ("ruamel.yaml.tag", tmp_path / "site-packages")


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("return [(k, v) for k, v in options.items()]", ["a", "b"]),
        ("return dict(options)", ["a", "b"]),
        ("return g(**options)", []),
        ("return options['size'], options.items()", ["size", "a"]),
    ],
)
def test_options_of_any_name_are_given_where_they_are_read(tmp_path, body, names):
    """Where they are only handed on, it is another function that knows the names."""
    one = function(tmp_path, f"def f(**options):\n    {body}\n")
    assert [param.name for param in one.params] == names
    assert all(param.keyword_only for param in one.params)


def test_a_further_round_of_neighbours_makes_others(tmp_path):
    """The same call is varied in another way each time, and in the same ways by another generator of the same seed."""
    found = module(tmp_path, "def f(text: str, count: int):\n    return text * count\n")
    rounds = []
    for _ in range(2):
        generator = CandidateGenerator(found, 0, deep=True)
        (call, *_) = [one for one in generator.calls(found.functions[0], 20) if len(one.args) == 2]
        rounds.append(
            [[near.args for near in generator.neighbours(found.functions[0], call, 20)] for _ in range(2)]
        )
    assert rounds[0] == rounds[1]
    assert rounds[0][0] != rounds[0][1]


def test_an_option_is_known_by_the_constant_that_its_key_is(tmp_path):
    """A name of the module, and an attribute of one of its classes; a name that is bound to no text is left."""
    code = """
SIZE = "size"
LIMIT = 3


class Keys:
    REASON: str = "reason"


def f(**options):
    if Keys.REASON not in options:
        raise ValueError
    return options.pop(SIZE, 3), options.get(LIMIT)
"""
    one = function(tmp_path, code, "f")
    assert [(param.name, param.default) for param in one.params] == [
        ("reason", "None"),
        ("size", "3"),
        ("a", "None"),
    ]


@pytest.mark.parametrize(
    ("source", "files", "name"),
    [
        ("from ..config import LIMIT\n", ("pkg/__init__.py",), "pkg.inner.mod"),
        ("def f():\n    from . import other\n", ("pkg/__init__.py",), "pkg.inner.mod"),
        ("from ..config import LIMIT\n", (), "pkg.inner.mod"),
        ("from json import loads\n", ("pkg/__init__.py",), "mod"),
        ("from .config import LIMIT\n", ("pkg/__init__.py", "pkg/inner/__init__.py"), "pkg.inner.mod"),
    ],
)
def test_a_folder_is_a_package_where_its_module_imports_what_is_around_it(tmp_path, source, files, name):
    """A folder without ``__init__`` inside of a package belongs to it, as ``flask.sansio`` does."""
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    found = module(tmp_path, source, "pkg/inner/mod.py")
    assert found.name == name
    assert found.import_root == found.path.parents[name.count(".")]


@pytest.mark.parametrize(
    ("name", "receiver"), [("And", "and_"), ("Dict", "dict_"), ("box", "box_"), ("HTTPBox", "http_box")]
)
def test_a_receiver_has_a_name_that_can_be_assigned(tmp_path, name, receiver):
    """A class And is no variable ``and``, and a Dict hides no builtin."""
    read = module(tmp_path, f"class {name}:\n    def size(self, n: int) -> int:\n        return n\n")
    calls = CandidateGenerator(read, 1).calls(read.pick(None)[0], 20)
    assert calls
    for call in calls:
        ast.parse("\n".join([*call.setup, call.expression]))
    assert any(call.expression.startswith(f"{receiver}.") for call in calls)
