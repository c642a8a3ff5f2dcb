"""One call takes an argument of another one, or goes to another function of the same module."""

import ast
import random
import shlex

import msgspec

from kodo.jobs.execution.calls import command, filled, filled_setup
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.combination import Arguments, Combinations
from kodo.jobs.execution.worker.smaller import smaller_calls
from kodo.jobs.execution.worker.variation import Variations

SELL = Call(1, "", "shop.sell(_0, gift=_1)", (Arg("a", "'x'"), Arg("b", "True")), ("import shop",))
ORDER = Call(2, "", "shop.order(_0)", (Arg("a", "'y'"),), ("import shop",))
PACK = Call(3, "", "v1.pack(shop.Box(_0))", (Arg("a", "3"),), ("import shop", "v1 = shop.Shop(_0)"))
WRAP = Call(4, "", "v1.pack(v2)", (), ("from shop import Shop", "v1 = Shop('a')", "v2 = v1.box()"))


def _combined(call: Call, *others: Call) -> set[str]:
    rng = random.Random(0)
    made = Combinations(Arguments([call, *others]))
    found = [made.combined(call, number, rng) for number in range(200)]
    return {"; ".join([*filled_setup(one), filled(one)]) for one in found if one is not None}


def test_a_keyword_of_a_function_is_given_to_its_neighbour():
    """What only tests of one function use, another one of the same module takes too; each also takes the other's call."""
    found = _combined(ORDER, SELL)
    assert "import shop; shop.order('y', gift=True)" in found
    assert "import shop; shop.sell('y')" in found
    assert "import shop; shop.sell('x', gift=True)" not in found


def test_an_argument_that_is_made_by_a_call_goes_with_its_import():
    """A value of another test is put in the same place of a method, with what it has to import."""
    assert (
        "import shop; from shop import Shop; v1 = Shop('a'); v2 = v1.box(); v1.pack(shop.Box(3))"
        in _combined(WRAP, PACK)
    )


def test_what_stands_on_a_variable_stays_where_it_is():
    """A variable of one call means nothing in another."""
    assert not any("v2" in one for one in _combined(PACK, WRAP))


def test_what_never_arrives_is_not_tried_for_ever():
    """After some calls that did not reach the change, the place is left alone."""
    made = Combinations(Arguments([ORDER, SELL]))
    rng = random.Random(0)
    tried = 0
    for number in range(200):
        if made.combined(ORDER, number, rng) is not None:
            tried += 1
            made.learn(number, arrived=False)
    assert 0 < tried < 20


def test_statements_that_many_calls_begin_with_are_read_once(monkeypatch):
    """The calls of a test come with all that it did before them, and those of a file with all that it imports."""
    parsed = []
    parse = ast.parse

    def count(source, *args, **more):
        parsed.append(source)
        return parse(source, *args, **more)

    monkeypatch.setattr(ast, "parse", count)
    setup = ("import depot", *(f"v{at} = depot.Shop(_0, {at})" for at in range(50)))
    calls = [Call(at, "", f"v1.pack({at})", (Arg("a", "'x'"),), setup) for at in range(100)]
    arguments = Arguments(calls[:50])
    arguments.read(calls[50:])
    assert sum(line.startswith(("v", "import")) for line in parsed) == 1 + 50 + 100
    assert len(arguments.given["depot.Shop"][0]) == 1 and len(arguments.given["depot.Shop"][1]) == 40


def test_a_number_of_a_text_takes_the_place_of_another_one():
    """Two rows of equal price come out of two rows; a number is not put over a word."""
    call = Call(1, "", "parse(_0)", (Arg("a", "'tea:2\\nrice:4'"),), (), "", "test")
    vary = Variations([call], [])
    made = {one.args[0].source for number in range(400) if (one := vary.one(call, number))}
    assert {"'tea:4\\nrice:4'", "'tea:2\\nrice:2'", "'tea:2\\ntea:4'"} <= made
    assert "'tea:tea\\nrice:4'" not in made


def test_a_call_of_which_no_change_arrives_is_varied_all_the_same():
    """Most changed texts do not parse; that is no reason to give the call up."""
    call = Call(1, "", "parse(_0)", (Arg("a", "'tea:2'"),))
    vary = Variations([call], [])
    texts: list[str] = []
    for number in range(100):
        made = vary.one(call, number)
        assert made is not None
        texts.append(made.args[0].source)
        vary.learn([made], set())
    assert len(set(texts[50:])) > 10


def test_what_has_a_name_is_left_out_of_a_call() -> None:
    """Of the call itself, and of the statement that makes its receiver; of a test's call nothing is."""
    call = Call(
        1,
        "",
        "shop.total(_0, rate=_1)",
        (Arg("a", "0"), Arg("rate", "3")),
        ("shop = Shop(name='a')",),
        "shop",
        "random",
    )
    made = {(one.expression, one.setup[0]) for one in smaller_calls(call)}
    assert ("shop.total(_0)", "shop = Shop(name='a')") in made
    assert ("shop.total(_0, rate=_1)", "shop = Shop()") in made
    of_test = msgspec.structs.replace(call, origin="test")
    assert all("rate=_1" in one.expression for one in smaller_calls(of_test))


def test_a_plain_value_takes_the_place_of_an_odd_one() -> None:
    """Where it shows the same, a reader need not think of what equals nothing."""
    call = Call(1, "", "f(_0)", (Arg("a", "math.nan"),))
    assert {one.args[0].source for one in smaller_calls(call)} >= {"1", "'a'", "None"}


def test_words_on_the_changed_lines_come_half_of_the_time() -> None:
    """They are the first of many; the others come too."""
    words = [f"w{number}" for number in range(160)]
    vary = Variations([Call(1, "f", "f(_0)", (Arg("a", "'x'"),))], words)
    drawn = [vary._word() for _ in range(1000)]
    first = sum(words.index(word) < 12 for word in drawn)
    assert 400 < first < 700 and len(set(drawn)) > 100


def test_a_program_of_a_test_becomes_smaller_by_its_statements():
    """Statements go one at a time; imports stay, and so does the only receiver's making in calls that were made up."""
    program = Call(
        1, "", "shop.total()", (), ("import trade", "shop = trade.Shop()", "shop.len()"), "", "test"
    )
    assert [one.setup for one in smaller_calls(program)] == [
        ("import trade", "shop.len()"),
        ("import trade", "shop = trade.Shop()"),
    ]
    made_up = Call(1, "", "shop.total()", (), ("shop = Shop()", "shop.add(1)"), "shop", "random")
    assert [one.setup for one in smaller_calls(made_up)] == [("shop = Shop()",)]
    assert list(smaller_calls(msgspec.structs.replace(made_up, receiver=""))) == []


def test_the_command_of_a_call_on_files_makes_their_folder():
    """What pytest gives a test, the command makes itself."""
    call = Call(
        1, "", "main(str(tmp_path / _0))", (Arg("a", "'a.txt'"),), ("(tmp_path / _0).write_text('x')",)
    )
    code = shlex.split(command(call, "shop", {"main"}, ""))[2]
    lines = code.split("; ")
    assert "tmp_path = pathlib.Path(tempfile.mkdtemp())" in lines
    assert lines.index("tmp_path = pathlib.Path(tempfile.mkdtemp())") < lines.index(
        "(tmp_path / 'a.txt').write_text('x')"
    )


def test_a_call_in_the_body_of_a_class_takes_an_option_of_another_call():
    """A test's class says by such calls what it is made of; those inside its methods are left alone."""
    body = "class Desk:\n    till = shop.order('y')\n\n    def sell(self):\n        return shop.order('z')"
    found = _combined(Call(1, "", "v1.pack(Desk)", (), ("import shop", body, "v1 = shop")), SELL)
    assert any("till = shop.order('y', gift=True)" in one for one in found)
    assert all("return shop.order('z')\n" in f"{one}\n".replace(";", "\n") for one in found)
