"""Calls in which a value takes the place of another one that it was compared with."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from kodo.jobs.execution.call_literals import opened
from kodo.jobs.execution.calls import written
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.both_versions import Compared
from kodo.jobs.execution.worker.compare import Compare, CompareAnswer
from kodo.jobs.execution.worker.jobs import AFTER, BEFORE, ModuleLocation
from kodo.jobs.execution.worker.operand_variation import Matches, matched, nearest_first, replaced
from kodo.jobs.execution.worker.operands import Sides, source_of
from kodo.jobs.execution.worker.smaller import smaller_calls
from kodo.jobs.execution.worker.variation import Variations


@pytest.mark.parametrize(
    ("source", "old", "new", "expected"),
    [
        ("'2014-04-10T00:00'", 0, 24, "'2014-04-10T24:00'"),
        ("'10:07'", 7, 9, "'10:09'"),
        ("'GET /a'", "get", "HEAD", "'HEAD /a'"),
        ("b'GET /a'", b"GET", b"HEAD", "b'HEAD /a'"),
        ("[1, -3, 'a']", -3, 7, "[1, 7, 'a']"),
        ("{'a': True}", True, False, "{'a': False}"),
        ("10", 10, 12, "11"),
        ("'abc'", 3, 5, "'abcab'"),
        ("[1, 2, 3]", 3, 2, "[1, 2]"),
        ("datetime.date(2024, 3, 15)", 15, 31, "datetime.date(2024, 3, 31)"),
        ("2 * 10 ** 6", 2.0, 1000.0, "1000 * 10 ** 6"),
        ("1000000", 1.0, 1000, "1000000000"),
        ("5", 12, 14, "7"),
        ("'a'", None, 3, None),
        ("'a1.5b'", 1, float("2.5"), None),
    ],
)
def test_a_value_gives_way(source: str, old: object, new: object, expected: str | None) -> None:
    """As it is, as the text of a number with its digits, as a length, in proportion; none where it stands nowhere."""
    found = [text for _, text in replaced(source, old, new)]
    assert expected in found if expected is not None else found == []


def test_a_date_gives_way_to_a_date() -> None:
    """Where a call makes the value that was compared."""
    call = Call(1, "f", "f(_0)", (Arg("day", "datetime.date(2024, 3, 15)"),))
    pair = Sides(3, "datetime.date(2024, 3, 15)", "datetime.date(2024, 4, 1)")
    assert [one.args[0].source for one in matched(call, [pair])] == ["datetime.date(2024, 4, 1)"]


def test_an_operand_without_a_source_is_no_end_of_the_search() -> None:
    """A time in a zone of its own is written as nothing; what is no expression stands for itself."""

    class Zone(datetime.tzinfo):
        """As those of pytz are."""

    assert source_of(datetime.datetime(2002, 10, 27, tzinfo=Zone())) == ""
    assert source_of(datetime.datetime(2002, 10, 27, tzinfo=datetime.UTC)) != ""
    call = Call(1, "f", "f(_0)", (Arg("day", "3"),))
    assert list(matched(call, [Sides(3, "<Zone 'A'>", "<Zone 'B'>")])) == []


def test_the_surest_come_first_and_none_is_the_call_itself() -> None:
    """The value itself before a number that is as far away; each is made once."""
    call = Call(1, "f", "f(_0, _1)", (Arg("a", "3"), Arg("b", "8")))
    made = list(matched(call, [Sides(1, "8", "20")]))
    assert made[0].args == (Arg("a", "3"), Arg("b", "20"))
    assert call.args not in [one.args for one in made]
    assert len({one.args for one in made}) == len(made)
    matches = Matches()
    matches.put(call, [Sides(1, "8", "20")])
    matches.put(call, [Sides(1, "8", "20")])
    taken = matches.take(1000, 7)
    assert [one.args for one in taken] == [one.args for one in made]
    assert [one.id for one in taken] == list(range(8, 8 + len(made)))
    assert matches.take(1000, 7) == []


def test_each_call_is_asked_once_and_touched_lines_come_first() -> None:
    """As many at a time as are wanted."""
    matches = Matches()
    calls = [Call(number, "f", "f()") for number in (4, 5, 4, 6)]
    assert [one.id for one in matches.unasked(calls, 2)] == [4, 5]
    assert [one.id for one in matches.unasked(calls, 2)] == [6]
    pairs = [Sides(1, "1", "2"), Sides(9, "3", "4"), Sides(1, "1", "2")]
    assert nearest_first(pairs, {9}) == [Sides(9, "3", "4"), Sides(1, "1", "2")]


def test_opened_calls_mean_the_same() -> None:
    """Literals in arguments and in the setup become arguments; what is used twice or holds none stays."""
    args = (Arg("day", "datetime.date(2024, 3, 15)"), Arg("name", "'x'"), Arg("shop", "Shop(1)"))
    call = Call(1, "f", "shop.f(_0, _1, _2 is _2)", args, ("import m", "shop = Shop('a', size=3)"), "shop")
    found = opened(call)
    assert written(found) == written(call)
    sources = [arg.source for arg in found.args]
    assert sources == ["2024", "3", "15", "'x'", "Shop(1)", "'a'", "3"]
    assert found.args[3].name == "name"


_VERSION = """def price(text, day):
    hour, minute = text.split(":")
    if int(hour) + 1 == 24 * 7 and day.day > 28:
        return {result}
    return 0
"""


def test_a_branch_is_found_that_no_plain_input_takes(tmp_path: Path) -> None:
    """A number inside a text and one inside a date, one after the other, by what they were compared with."""
    for name, result in ((BEFORE, "1"), (AFTER, "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.py").write_text(_VERSION.format(result=result))
    where = ModuleLocation("m.py", ".", "m", "", ("price",))
    call = Call(
        0, "price", "price(_0, _1)", (Arg("text", "'12:30'"), Arg("day", "datetime.date(2024, 3, 15)"))
    )
    job = Compare(where, where, (("price", (call,)),), 1.0, time.monotonic() + 40, roots=("price",))
    (tmp_path / "job.json").write_bytes(msgspec.json.encode(job))
    here = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "kodo.jobs.execution.worker", "job.json"],
        cwd=tmp_path,
        env={**os.environ, "KODO_PROJECT": here, "KODO_FILES": here, "HOME": here, "TMPDIR": here},
        capture_output=True,
        check=True,
    )
    answers = [msgspec.json.decode(line, type=CompareAnswer) for line in done.stdout.splitlines()]
    differences = [one for answer in answers if isinstance(answer, Compared) for one in answer.differences]
    assert any("167:" in written(one.call) for one in differences)


@pytest.mark.parametrize("source", ["{[1]: 2}", "{'a': {[]}}", "{**{'a': 1}}"])
def test_what_looks_like_a_literal_and_is_none_is_left_as_it_is(source: str) -> None:
    """A list cannot be a key, which shows only when the value is made."""
    call = Call(1, "f", "f(_0)", (Arg("a", source),), (f"b = {source}",), origin="test")
    assert written(opened(call)) == written(call)
    assert list(smaller_calls(call)) == [msgspec.structs.replace(call, setup=())]
    vary = Variations([call], ["word"], options=["--dry-run"])
    made = [one for number in range(60) if (one := vary.one(call, number)) is not None]
    assert {one.args for one in made} <= {call.args}
    assert {one.id for one in matched(call, [Sides(1, "'a'", "'b'"), Sides(1, "1", "5")])} == {1}
