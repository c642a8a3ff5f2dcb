"""Inputs that a package itself shows: texts of its documents and data, rows of its tables, files, paths, items by place, types."""

import ast
import random
from pathlib import Path

from kodo.jobs.execution.asked_types import asked_types
from kodo.jobs.execution.call_names import names_in
from kodo.jobs.execution.calls import in_one
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.effects import read_effects
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.nested_paths import with_path
from kodo.jobs.execution.package_tables import table_rows
from kodo.jobs.execution.placed_items import placed_items
from kodo.jobs.execution.sample_texts import lines_of, sample_texts, variant
from kodo.jobs.execution.target import TargetModule, load
from kodo.jobs.execution.types_as_values import works_on_types

README = """
Read a file such as

```ini
[part]
name = 1
```

with

```python
import pkg
pkg.read("a.ini")
```

or::

    {more}
      of this

"""


def _module(folder: Path, source: str, **others: str) -> TargetModule:
    package = folder / "pkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name, text in others.items():
        path = package / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    path = package / "mod.py"
    path.write_text(source)
    return load(path)


def test_blocks_of_another_language_are_texts(tmp_path):
    texts = sample_texts(_module(tmp_path, ""), [README])
    assert "[part]\nname = 1\n" in texts
    assert "{more}\n  of this\n" in texts
    assert not any("import pkg" in one for one in texts)


def test_the_data_files_of_a_package_are_texts(tmp_path):
    assert "Node: [a*, b**]\n" in sample_texts(_module(tmp_path, "", grammar_dot_cfg="Node: [a*, b**]\n"), [])


def test_a_module_that_reads_a_format_of_the_library_is_given_that_format(tmp_path):
    texts = sample_texts(_module(tmp_path, "import ast, json\n"), [])
    assert any("metaclass" in one for one in texts)
    assert any('"a": [1' in one for one in texts)


def test_a_variant_is_the_text_with_lines_changed():
    rng = random.Random(0)
    assert len({variant(["a = 1\nb = 2\n"], rng) for _ in range(40)}) > 8


def test_lines_have_the_signs_of_the_code_alone():
    rng = random.Random(0)
    text = "".join(lines_of(["[", "]", "name"], rng) for _ in range(60))
    assert "[name]" in text
    assert "=" not in text
    assert "#" not in text


def test_a_file_that_another_method_opens_is_a_parameter_of_the_constructor():
    source = """
class Reader:
    def __init__(self, path):
        self.path = os.fspath(path)
    def read(self):
        with open(self.path) as file:
            return file.read()
"""
    tree = ast.parse(source)
    init = tree.body[0].body[0]
    assert read_effects("m", tree, init, frozenset({"path"})).files == ("path",)


def test_a_function_that_is_bound_to_a_name_opens_no_file():
    tree = ast.parse("def f(key):\n    get = lambda item: item[key]\n    return get\n")
    assert read_effects("m", tree, tree.body[0], frozenset({"key"})).files == ()


def test_rows_of_tables_belong_together(tmp_path):
    module = _module(
        tmp_path,
        "UNITS = {'km': 1000, 'mm': 2, 'm': 1}\ndef f(unit, factor): pass\n",
        data__aa_dot_py="ROW = make(code='AC', number='911', prefix=247)\n",
    )
    rows = table_rows(module)
    assert ("km", 1000) in rows
    assert ("AC", "911", 247) in rows
    calls = CandidateGenerator(module, 0, deep=True, tables=rows).calls(module.functions[0], 200)
    pairs = {tuple(arg.source for arg in call.args) for call in calls}
    assert {("'AC'", "247"), ("'AC'", "911")} & pairs


def test_a_path_follows_the_keys_of_what_stands_in_the_call():
    rng = random.Random(0)
    args = [Arg("obj", "{'a': [{'b': 1}]}"), Arg("path", "'x'"), Arg("parts", "['x']")]
    seen = {tuple(one.source for one in with_path(args, (), rng)[1:]) for _ in range(200)}
    assert ("'a.0.b'", "['x']") in seen
    assert ("'x'", "['a', 0, 'b']") in seen


def test_items_that_a_condition_asks_for_by_place():
    tree = ast.parse(
        "def f(buf): return len(buf) > 3 and buf[0] == 0x89 and buf[1] in (0x50, 0x51) and buf[4:6] == b'NG'"
    )
    found = [ast.literal_eval(one) for one in placed_items(tree)]
    assert any(one[0] == 0x89 and one[1] == 0x51 and one[4:6] == b"NG" for one in found)
    assert any(one[0] == 0x8A and one[1] == 0x50 for one in found)


def test_a_class_that_a_value_is_compared_with_is_a_value():
    body = ast.parse("if kind is Scalar or kind in (str, Color.RED): pass").body
    assert {"Scalar", "str", "Color.RED"} <= {
        one.text for one in asked_types(body, frozenset({"Scalar", "Color"}))
    }


def test_code_on_types_is_known_by_what_it_reads_of_typing():
    assert works_on_types("if isinstance(value, ForwardRef): return get_origin(value)")
    assert not works_on_types("def f(x: TypeVar): return x")


def test_a_call_with_its_statements_as_one_expression():
    call = Call(0, "f", "reader.parse(_0)", (Arg("text", "'x'"),), ("reader = Reader(1)",))
    assert in_one(call) == "Reader(1).parse('x')"
    assert in_one(Call(0, "f", "reader.parse()", (), ("reader = Reader(1)", "reader.add(2)"))) == ""


def test_what_is_no_python_has_no_names():
    assert names_in(("@combine(f, g)", "a + b")) == {"a", "b"}
