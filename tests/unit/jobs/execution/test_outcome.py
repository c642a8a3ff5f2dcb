"""Outcomes of two runs: what is steady, and what of it tells two versions apart."""

import importlib
import json
import os
from pathlib import Path

import pytest

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.difference import common, tells
from kodo.jobs.execution.worker.outcome import Outcome, outcome_of


def _value(**parts: str) -> Outcome:
    return Outcome(1, "value", parts)


def test_a_part_that_comes_out_otherwise_again_is_left_out_and_the_others_count():
    """An address in one part does not hide a difference in another."""
    before = _value(result="at 11", size="3").steady(_value(result="at 12", size="3"))
    after = _value(result="at 13", size="4").steady(_value(result="at 14", size="4"))
    assert before is not None and after is not None
    one, other = common(before, after)
    assert tells(one, other) and one.parts == {"size": "3"} and other.parts == {"size": "4"}


def test_a_part_that_is_unsteady_on_one_side_says_nothing():
    """Only what is steady in both versions is compared."""
    before = _value(result="1").steady(_value(result="2"))
    after = _value(result="3").steady(_value(result="3"))
    assert before is not None and after is not None
    assert not tells(*common(before, after))


def test_another_kind_the_second_time_is_not_steady():
    """A call that once raises and once does not is no evidence."""
    assert _value(result="1").steady(Outcome(1, "raises", {"raises": "KeyError"})) is None


def test_random_numbers_start_at_the_same_place_for_every_call():
    """Two runs draw the same numbers, and it is written down that they draw any."""
    import random

    space: dict[str, object] = {"random": random}
    one, other = (outcome_of(Call(1, "f", "random.random()"), space, {}, 5.0, "/r") for _ in range(2))
    assert one.parts == other.parts and one.drawn
    assert not outcome_of(Call(1, "f", "1 + 1"), space, {}, 5.0, "/r").drawn


def test_what_a_call_does_to_the_environment_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next call sees the variables as they were: changed, added and removed ones."""
    monkeypatch.setenv("KODO_OLD", "old")
    monkeypatch.setenv("KODO_GONE", "there")
    monkeypatch.delenv("KODO_NEW", raising=False)
    setup = ("os.environ.update(KODO_OLD='other', KODO_NEW='new')", "os.environ.pop('KODO_GONE')")
    shown = "[os.environ.get(name) for name in ('KODO_OLD', 'KODO_NEW', 'KODO_GONE')]"
    seen = outcome_of(Call(1, "f", shown, setup=setup), {"os": os}, {}, 5.0, "/r")
    assert seen.parts["result"] == "['other', 'new', None]"
    assert [os.environ.get(name) for name in ("KODO_OLD", "KODO_NEW", "KODO_GONE")] == ["old", None, "there"]


def test_a_place_that_a_call_writes_into_its_argument_is_one_in_both_versions() -> None:
    """What a call changes is compared without the version's own folder, as its result is."""
    sides = []
    for root in ("/project/before", "/project/after"):
        call = Call(1, "f", "_0.append(here)", (Arg("places", "[]"),))
        sides.append(outcome_of(call, {"here": f"{root}/a.csv"}, {}, 5.0, root))
    assert sides[0].parts == sides[1].parts and "<project>/a.csv" in sides[0].parts["after: _0"]


@pytest.mark.parametrize("asks", ["return Price", "return json.price", "from json import price"])
@pytest.mark.parametrize(
    ("file", "says"), [("<string>", False), ("/r/tests/helpers.py", False), ("/r/shop.py", True)]
)
def test_a_missing_name_is_a_difference_where_the_projects_own_code_asks_for_it(
    asks: str, file: str, says: bool
) -> None:
    """That a call asks for a new name, the change shows; that the code asked for what was not there is a fault mended."""
    space: dict[str, object] = {"json": json}
    exec(compile(f"def ask():\n    {asks}", file, "exec"), space)
    raised = outcome_of(Call(1, "f", "ask()"), space, {}, 5.0, "/r")
    assert raised.kind == "raises" and tells(raised, _value(result="3")) is says
    assert tells(_value(result="3"), raised)


@pytest.mark.parametrize("call", ["(3).price", "__import__('no_such_module')"])
def test_another_error_of_the_same_kinds_is_a_difference(call: str) -> None:
    """It speaks of no name of a module."""
    assert tells(outcome_of(Call(1, "f", call), {}, {}, 5.0, "/r"), _value(result="3"))


def test_the_same_items_handed_out_in_another_way_are_no_difference() -> None:
    """A list that became a generator gives the same; one that gives other items does not."""
    one, other = _value(result="[1]"), Outcome(1, "value", {"result": "[1]"}, wrap="list")
    assert not tells(one, other) and tells(_value(result="[2]"), other)


def test_that_a_call_asks_for_a_new_attribute_the_change_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a class of the project or an object of one; that a result is None, or an attribute gone, is a difference."""
    (tmp_path / "shop_of_test.py").write_text("class Shop:\n    name = 'a'\n\ndef find():\n    return None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    shop = importlib.import_module("shop_of_test")
    space: dict[str, object] = {"shop": shop}
    for expression in ("shop.Shop.price", "shop.Shop().price"):
        asked = outcome_of(Call(1, "f", expression), space, {}, 5.0, str(tmp_path))
        assert asked.kind == "raises" and not tells(asked, _value(result="3"))
        assert tells(_value(result="3"), asked)
    assert tells(
        outcome_of(Call(1, "f", "shop.find().price"), space, {}, 5.0, str(tmp_path)), _value(result="3")
    )
