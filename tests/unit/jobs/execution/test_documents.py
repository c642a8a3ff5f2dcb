"""Calls that documents show: which code is read, which statements come along, and which names a call may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from kodo.jobs.execution.call_names import CallNames
from kodo.jobs.execution.calls import filled, filled_setup
from kodo.jobs.execution.calls_of_documents import calls_of_documents, code_blocks
from kodo.jobs.execution.documents import documents
from kodo.jobs.execution.target import TargetModule, load

README = """
Title
=====

>>> import pkg
>>> spec = pkg.Spec("a")
>>> spec.add("b")
>>> print(spec.text)
ab
>>> spec.matches("ab")
True

.. code-block:: python

    from pkg.core import join as j
    assert j("a", "b") == "ab"

```bash
pkg --help
```

```python
import other
other.run(1)
```
"""


@pytest.fixture
def module(tmp_path: Path) -> TargetModule:
    """``pkg.core`` of a project with a README, whose package exports what it defines."""
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "README.rst").write_text(README)
    folder = tmp_path / "pkg"
    folder.mkdir()
    (folder / "__init__.py").write_text("from pkg.core import Spec, join\nfrom pkg.more import extra\n")
    (folder / "more.py").write_text("def extra(x): return x\n")
    (folder / "core.py").write_text("class Spec: ...\ndef join(a, b): return a + b\n")
    return load(folder / "core.py")


def _shown(texts: tuple[str, ...], module: TargetModule) -> dict[str, list[str]]:
    found = calls_of_documents(texts, CallNames(module).resolve)
    return {filled(call): filled_setup(call) for call in found}


def test_a_call_comes_with_the_statements_that_it_needs(module):
    """What binds and changes the receiver comes first, and module.Name is the name that a test imports."""
    shown = _shown(documents(module), module)
    assert shown["spec.matches('ab')"] == ["spec = Spec('a')", "spec.add('b')"]
    assert shown["Spec('a')"] == []


def test_an_import_under_another_name_is_written_as_the_name_it_has(module):
    """``from pkg.core import join as j`` is a call of join."""
    assert "join('a', 'b')" in _shown(documents(module), module)


def test_what_a_test_cannot_import_is_left_out(module):
    """A package of somebody else is not called."""
    assert not [call for call in _shown(documents(module), module) if "run" in call]


def test_literals_are_arguments_that_can_be_varied(module):
    """Each literal of a shown call, and of its setup, is an argument with a placeholder."""
    call = next(one for one in calls_of_documents(documents(module), CallNames(module).resolve) if one.args)
    assert (
        "_0" in " ".join((call.expression, *call.setup)) and call.origin == "document" and call.expect is None
    )


def test_the_blocks_of_each_notation_are_read_in_order():
    """Prompts, fences of Python and indented blocks; a fence of another language is not Python."""
    assert [block.strip().splitlines()[-1] for block in code_blocks(README)] == [
        "import pkg",
        'spec = pkg.Spec("a")',
        'spec.add("b")',
        "print(spec.text)",
        'spec.matches("ab")',
        '    assert j("a", "b") == "ab"'.strip(),
        "other.run(1)",
    ]


def test_a_name_means_one_thing_in_a_run(module):
    """What the package exports is imported from it; a second meaning of the name is refused."""
    names = CallNames(module)
    assert names.resolve("", "extra") == "extra"
    assert names.imported == {"extra": "pkg"}
    assert names.resolve("pkg.more", "extra") == "extra"
    assert names.resolve("pkg.elsewhere", "Spec") == "Spec"
    assert names.resolve("pkg.a", "thing") == "thing"
    assert names.resolve("pkg.b", "thing") == ""
    assert names.resolve("os", "remove") == ""
    assert names.resolve("datetime", "datetime") == "datetime.datetime"


def test_an_installed_package_has_the_description_in_its_metadata(tmp_path: Path):
    """The distribution is the one that recorded the file."""
    site = tmp_path / "site-packages"
    for name in ("one", "two"):
        folder = site / f"{name}-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "RECORD").write_text(f"{name}.py,sha256=x,1\n")
        (folder / "METADATA").write_text(f"Name: {name}\n\n>>> {name}.f(1)\n")
        (site / f"{name}.py").write_text("def f(x): return x\n")
    assert documents(load(site / "two.py")) == ("Name: two\n\n>>> two.f(1)\n",)
