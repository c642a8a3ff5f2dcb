"""Command lines get options that the module knows, and functions of tests raise what the change is about."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec

from kodo.jobs.execution.calls import filled, filled_setup
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.relevant_options import compared_values, relevant_names
from kodo.jobs.execution.relevant_words import relevant_options
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.combination import Arguments, Combinations
from kodo.jobs.execution.worker.definition_variation import calling_back, decorated, raising
from kodo.jobs.execution.worker.option_variation import CommandLines
from kodo.jobs.execution.worker.variation import Variations

_WHOLE = Call(1, "", "cli.main(_0)", (Arg("a", "['-q', 'a.py']"),), ("import cli",))
_MIXED = Call(
    2,
    "",
    "cli.main([str(tmp_path / 'b.py'), _0, _1])",
    (Arg("a", "'--check'"), Arg("b", "'x'")),
    ("import cli",),
)


def _made(options: CommandLines, call: Call) -> set[str]:
    rng = random.Random(0)
    found = [options.varied(call, number, rng) for number in range(300)]
    return {filled(one) for one in found if one is not None}


def test_a_command_line_gets_an_option_alone_with_a_value_or_for_another():
    """Those of the module's own texts and those that other calls have; an item may go."""
    found = _made(CommandLines(["--root"], [_WHOLE, _MIXED]), _WHOLE)
    assert "cli.main(['--root', '-q', 'a.py'])" in found
    assert any("'--root', '.'" in one for one in found)
    assert "cli.main(['a.py'])" in found
    assert any("'--root', 'a.py'" in one for one in found)


def test_a_list_that_holds_other_things_keeps_them():
    """What is no text stays as it is written; the option is an argument, so that it can be made smaller."""
    found = _made(CommandLines(["--root"], [_MIXED]), _MIXED)
    assert any("'--root'" in one and "str(tmp_path / 'b.py')" in one for one in found)


def test_without_options_or_lists_there_is_nothing_to_do():
    """A call without a list of texts is left alone, and so is one where no option is known."""
    plain = Call(3, "", "f(_0, [1, 2])", (Arg("a", "(1, 2)"),))
    assert _made(CommandLines(["--root"], []), plain) == set()
    assert _made(CommandLines([], []), Call(4, "", "f(_0)", (Arg("a", "['x']"),))) == set()


def test_the_options_that_the_change_names_come_first(tmp_path: Path):
    """``--dry-run`` is ``dry_run`` in code and ``-L`` is ``L``; then those that share words, then the others."""
    (tmp_path / "m.py").write_text(
        "def f(p):\n    for one in ('--all', '--dry-day', '-q', '--dry-run', '-L', '-', '-1', '- a', 'L'):\n        p(one)\n"
    )
    found = relevant_options(["    return args.L if args.dry_run else args"], [load(tmp_path / "m.py")])
    assert found == ("--dry-run", "-L", "--dry-day", "--all", "-q")


_NAMED = """import dataclasses


@dataclasses.dataclass
class Row:
    size: int


def fields(cl, strict=False):
    if not strict and cl.merged:
        return [getattr(one, "kw_only", one.alias) for one in cl.rows]
    return helper(cl)


def helper(cl):
    return Row(len(cl))
"""


def test_the_names_on_changed_lines_may_be_options(tmp_path: Path):
    """Attributes, texts that are names, and what the conditions around a line ask; neither built-in names nor functions."""
    (tmp_path / "m.py").write_text(_NAMED)
    module = load(tmp_path / "m.py")
    line = 1 + _NAMED[: _NAMED.index("return [")].count("\n")
    found = set(relevant_names(module, {line}))
    assert {"kw_only", "alias", "strict", "merged"} <= found
    assert found.isdisjoint({"getattr", "helper", "Row", "fields", "size"})
    assert relevant_names(module, set()) == ()


def test_an_option_is_given_that_no_other_call_gives():
    """By its name on the changed lines, to a function or to what decorates a class; not where calls with it never arrive."""
    call = Call(0, "", "shop.order(_0)", (Arg("a", "'y'"),), ("import shop",), origin="test")
    combine = Combinations(Arguments([call]), ["merged"])
    rng = random.Random(0)
    made = [one for number in range(200) if (one := combine.combined(call, number, rng)) is not None]
    assert {"shop.order('y', merged=True)", "shop.order('y', merged=False)"} <= set(map(filled, made))
    for number in range(200, 400):
        combine.combined(call, number, rng)
        combine.learn(number, arrived=False)
    assert all(combine.combined(call, number, rng) is None for number in range(400, 440))


def test_a_class_is_decorated_with_another_option():
    """Where it is decorated; its fields stay."""
    setup = ("import dataclasses", "@dataclasses.dataclass\nclass Row:\n    size: int = 3")
    call = Call(0, "", "rows.read(Row)", setup=setup, origin="test")
    rng = random.Random(0)
    found = {one.setup[1] for number in range(40) if (one := decorated(call, number, ["kw_only"], rng))}
    assert "@dataclasses.dataclass(kw_only=True)\nclass Row:\n    size: int = 3" in found
    assert decorated(call, 1, [], rng) is None
    assert decorated(Call(0, "", "f()", setup=("def f():\n    return '@'",)), 1, ["a"], rng) is None
    vary = Variations([call], (), names=["kw_only"])
    lines = {
        line for number in range(300) if (one := vary.one(call, number)) is not None for line in one.setup
    }
    assert any("dataclass(kw_only=" in line for line in lines)


def test_a_method_is_decorated_with_another_option():
    """One of a plugin that a test made, beside the options that it has, and a function."""
    plugin = "class Plugin:\n\n    @shop.impl(last=True)\n    def hello(self):\n        return 3"
    function = "@shop.impl\ndef late():\n    return 4"
    call = Call(0, "", "run(Plugin(), late)", setup=(plugin, function), origin="test")
    rng = random.Random(0)
    made = [one for number in range(60) if (one := decorated(call, number, ["wrapper", "last"], rng))]
    lines = {line for one in made for line in one.setup}
    assert plugin.replace("last=True", "last=True, wrapper=True") in lines
    assert plugin.replace("last=True", "last=False") in lines
    assert function.replace("impl", "impl(wrapper=True)") in lines


_PLUGIN = (
    "class Plugin:\n\n    def hello(self, name):\n        say(name)\n        return 3\n",
    "def late(x):\n    yield x\n",
)


def test_a_function_that_a_test_made_raises_what_the_change_names():
    """Any one of them, at its start or later; the other statements stay."""
    call = Call(0, "", "run(late, Plugin())", setup=("import shop", *_PLUGIN), origin="test")
    rng = random.Random(0)
    found = {raising(call, number, ["StopIteration"], rng) for number in range(60)}
    lines = {line for one in found if one is not None for line in filled_setup(one)}
    assert (
        "class Plugin:\n\n    def hello(self, name):\n        say(name)\n        raise StopIteration" in lines
    )
    assert "class Plugin:\n\n    def hello(self, name):\n        raise StopIteration" in lines
    assert "def late(x):\n    raise StopIteration" in lines
    assert raising(Call(0, "", "f()", setup=("x = 1",)), 1, ["StopIteration"], rng) is None
    registered = Call(0, "", "f()", setup=("@shop.impl\ndef f():\n    return 3",))
    made = raising(registered, 1, ["KeyError"], rng)
    assert made is not None and made.setup == ("@shop.impl\ndef f():\n    raise KeyError",)


def test_a_function_that_a_test_made_calls_back():
    """It does what the setup did before, at any place of its body; without such a statement nothing is made."""
    call = Call(0, "", "desk.sell()", setup=("desk = Desk()", "desk.add(Plugin())", *_PLUGIN), origin="test")
    rng = random.Random(0)
    found = {one for number in range(60) if (one := calling_back(call, number, rng)) is not None}
    lines = {line for one in found for line in filled_setup(one)}
    assert (
        "class Plugin:\n\n    def hello(self, name):\n        say(name)\n        desk.add(Plugin())\n        return 3"
        in lines
    )
    assert "def late(x):\n    desk.add(Plugin())\n    yield x" in lines
    assert calling_back(Call(0, "", "f()", setup=("x = 1", *_PLUGIN)), 1, rng) is None


def test_variations_of_a_plugin_include_one_that_raises():
    """It is one of the ways in which a call is varied."""
    call = Call(0, "", "run(Plugin(), _0)", (Arg("a", "1"),), setup=_PLUGIN[:1], origin="test")
    made = [Variations([call], (), errors=["KeyError"]).one(call, 1)]
    vary = Variations([call], (), errors=["KeyError"])
    made += [vary.one(call, number) for number in range(80)]
    assert any("raise KeyError" in line for one in made if one is not None for line in one.setup)


def test_a_mark_is_put_where_a_text_keeps_its_meaning():
    """At the end of a line, on a line of its own with the next one's depth, or between two words."""
    text = "if a:\n    b = [\n        1,\n    ]\n"
    call = Call(0, "", "f(_0)", (Arg("a", repr(text)),), origin="test")
    vary = Variations([call], ["# skip"])
    found = {filled(one) for number in range(1500) if (one := vary.one(call, number)) is not None}
    assert repr(text.replace("[\n", "[  # skip\n")) in {one[2:-1] for one in found}
    assert repr(text.replace("    b", "    # skip\n    b")) in {one[2:-1] for one in found}


_COMPARED = """NEVER = 0
ALWAYS = 1


class Reader:
    def __init__(self, text, kind=None, extra=NEVER):
        self.text, self.kind, self._extra = text, kind, extra

    def read(self):
        if self._extra == ALWAYS and self.kind in ("xml", "json"):
            return self.text
        return ""
"""


def test_an_option_may_be_what_it_is_compared_with_on_changed_lines(tmp_path: Path):
    """A constant, one of several, or one that has a name; a comparison elsewhere says nothing."""
    (tmp_path / "m.py").write_text(_COMPARED)
    module = load(tmp_path / "m.py")
    line = 1 + _COMPARED[: _COMPARED.index("return self.text")].count("\n")
    found = compared_values(module, {line})
    assert found == {"extra": ("1",), "kind": ("'xml'", "'json'")}
    assert compared_values(module, {1}) == {}
    call = Call(0, "", "m.Reader(_0).read()", (Arg("a", "'y'"),), ("import m",), origin="test")
    combine = Combinations(Arguments([call]), ["kind"], found)
    rng = random.Random(0)
    made = {filled(one) for number in range(300) if (one := combine.combined(call, number, rng)) is not None}
    assert {"m.Reader('y', kind='xml').read()", "m.Reader('y', extra=1).read()"} <= made


def test_methods_of_a_test_that_nobody_calls_stay_as_they_are():
    """A helper of the test's class is changed where the program calls it."""
    helpers = "class CartTest(unittest.TestCase):\n\n    def check(self):\n        return 1\n\n    def make(self):\n        return 2"
    call = Call(0, "", "run(self.make())", setup=(helpers, "self = CartTest()"), origin="test")
    rng = random.Random(0)
    made = {one.setup[0] for number in range(60) if (one := raising(call, number, ["KeyError"], rng))}
    assert made == {helpers.replace("return 2", "raise KeyError")}
    other = msgspec.structs.replace(call, expression="run(self)")
    assert raising(other, 1, ["KeyError"], rng) is None
