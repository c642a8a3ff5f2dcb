"""What is seen inside changed functions, and the variations of calls that go through them."""

from pathlib import Path

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.relevant_words import relevant_texts
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.probe import Inner, Probe, first_difference, probed
from kodo.jobs.execution.worker.variation import Variations

SOURCE = """
class Shop:
    def __init__(self):
        self.sold = []

    def sell(self, name, count=1):
        if count < 0:
            raise ValueError("count")
        self.sold.append(name)
        return count * 2
"""


def test_the_calls_of_watched_functions_are_written_down_with_what_they_change():
    """Arguments, the instance, the result or error and the new state are seen; other functions are not."""
    space: dict[str, object] = {}
    exec(compile(SOURCE, "shop.py", "exec"), space)
    with probed(Probe("shop.py", ("Shop.sell",), {}, "/project")) as probe:
        exec(
            "shop = Shop()\nshop.sell('a', 3)\ntry:\n    shop.sell('b', -1)\nexcept ValueError:\n    pass",
            space,
        )
    assert probe.reached == {"Shop.sell"} and {7, 8, 9, 10} <= probe.lines
    one, other = probe.calls
    assert (one.function, one.arguments) == ("Shop.sell", "name='a', count=3")
    assert one.result.startswith("6; self = ") and "sold=['a']" in one.result and "sold=[]" in one.instance
    assert other.result == "raises ValueError: count"


AGAIN = """
def f(x):
    try:
        return 1 // x
    except ZeroDivisionError:
        x = 0
        raise

def g(x):
    try:
        return 1 // x
    except ZeroDivisionError:
        return None
"""


def test_an_error_that_is_raised_again_is_the_result() -> None:
    """What a function caught and does not let go is one with what it never caught; what it answers is a value."""
    space: dict[str, object] = {}
    exec(compile(AGAIN, "m.py", "exec"), space)
    with probed(Probe("m.py", ("f", "g"), {}, "/project")) as probe:
        exec("g(0)\nf(1)\ntry:\n    f(0)\nexcept ZeroDivisionError:\n    pass", space)
    assert [one.result for one in probe.calls] == [
        "None",
        "1",
        "raises ZeroDivisionError: integer division or modulo by zero",
    ]


def test_a_parameter_that_is_bound_anew_is_no_change() -> None:
    """What a function makes of its own name stays inside; what it does to the object does not."""
    space: dict[str, object] = {}
    exec(compile("def f(x, y):\n    x = x + 1\n    y.append(x)\n    y = None\n", "m.py", "exec"), space)
    with probed(Probe("m.py", ("f",), {}, "/project")) as probe:
        exec("f(1, [])", space)
    assert [one.result for one in probe.calls] == ["None; y = [2]"]


def test_what_a_generator_hands_out_is_no_result_of_a_function() -> None:
    """A function that now yields its values one by one is not said to return one of them."""
    seen: list[list[Inner]] = []
    for body in ("return [x]", "yield x"):
        space: dict[str, object] = {}
        exec(compile(f"def f(x):\n    {body}\n", "m.py", "exec"), space)
        with probed(Probe("m.py", ("f",), {}, "/project")) as probe:
            exec("list(f(1))", space)
        seen.append(probe.calls)
    assert seen[0][0].result == "[1]" and seen[1][0].result == "yields 1"
    assert first_difference(*seen) is None


def test_only_equal_calls_on_equal_instances_are_compared():
    """A call with other arguments is another call; of equal ones the first that differs is found."""
    before = [Inner("f", "x=1", "", "2"), Inner("f", "x=2", "", "4")]
    assert first_difference(before, [Inner("f", "x=3", "", "9"), Inner("f", "x=1", "one", "8")]) is None
    assert first_difference(before, [Inner("f", "x=1", "", "2"), Inner("f", "x=2", "", "5")]) == (
        before[1],
        Inner("f", "x=2", "", "5"),
    )


def test_variations_change_literals_and_leave_those_alone_that_never_arrive():
    """Texts of other calls and words of the change are put in; a literal whose changes break the call is kept."""
    call = Call(0, "f", "f(_0, _1)", (Arg("a", "'main'"), Arg("b", "'x = 1'")), ("m = load(_0)",))
    vary = Variations([call, Call(1, "f", "g(_0)", (Arg("a", "'other text'"),))], ["--flag"])
    made = [vary.one(call, number) for number in range(200)]
    texts = {one.args[1].source for one in made if one}
    assert any("--flag" in text for text in texts) and any("other" in text for text in texts)
    for one in made:
        if one:
            vary.learn([one], {one.id} if one.args[0].source == "'main'" else set())
    later = [vary.one(call, number) for number in range(200, 300)]
    assert {one.args[0].source for one in later if one} == {"'main'"}


def test_texts_that_share_a_word_with_the_changed_lines_are_relevant(tmp_path: Path):
    """An option named elsewhere in the module is relevant to a change that names it in another spelling."""
    (tmp_path / "m.py").write_text(
        "OPTIONS = ['--config-root', '--verbose']\n\n\ndef f(c):\n    return c['config_root']\n"
    )
    module = load(tmp_path / "m.py")
    found = relevant_texts(["    return c['config_root']"], [module], ["f"])
    assert "--config-root" in found and found[0] == "config_root" and "--verbose" not in found


def test_texts_that_a_changed_pattern_matches_come_first(tmp_path: Path):
    """What a pattern on a changed line matches is tried before what only stands near it."""
    (tmp_path / "m.py").write_text("PATTERNS = [r'GO\\s+(ON|OFF)\\b', 'near']\n")
    found = relevant_texts(["    r'GO\\s+(ON|OFF)\\b', b'x', 'unclosed"], [load(tmp_path / "m.py")], [])
    assert found[0].split()[0] == "GO" and found[0].split()[1] in ("ON", "OFF")


def test_a_literal_with_half_of_a_character_is_left_out(tmp_path: Path):
    """No job can hold it: the worker's is UTF-8."""
    (tmp_path / "m.py").write_text(
        "def f(c):\n    return c.replace('\\ud83d\\ude00 smile', 'smile').strip('\\udc80')\n"
    )
    found = relevant_texts(["    return smile"], [load(tmp_path / "m.py")], ["f"])
    assert "smile" in found
    assert "".join(found).encode().decode() == "".join(found)
