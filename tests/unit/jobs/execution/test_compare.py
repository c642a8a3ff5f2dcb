"""The comparison of two versions: no call is begun after its end, and no version sees the files of another."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from kodo.jobs.execution.calls import command
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.both_versions import Compared
from kodo.jobs.execution.worker.compare import Compare, CompareAnswer, Exhausted, Finished, Group
from kodo.jobs.execution.worker.handover import Outgoing
from kodo.jobs.execution.worker.jobs import AFTER, BEFORE, ModuleLocation
from kodo.jobs.execution.worker.one_version import Batch, outcomes
from kodo.jobs.execution.worker.outcome import Outcome

_SLOW = """import os
import time

def slow(x):
    with open({begun!r}, "a") as file:
        file.write(f"{{os.getppid()}} {{time.monotonic()}}\\n")
    time.sleep(0.1)
    return {result}

def caller(x):
    return slow(x)
"""
_WHERE = ModuleLocation("m.py", ".", "m", "", ("slow", "caller"))


def _calls(function: str, first: int) -> tuple[Call, ...]:
    return tuple(
        Call(first + number, function, f"{function}(_0)", (Arg("x", str(number)),)) for number in range(100)
    )


def _answers(folder: Path, job: Compare) -> list[CompareAnswer]:
    """What a worker answers that has ``folder`` for its home and its project."""
    (folder / "job.json").write_bytes(msgspec.json.encode(job))
    here = str(folder)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "kodo.jobs.execution.worker", "job.json"],
        cwd=folder,
        env={**os.environ, "KODO_PROJECT": here, "KODO_FILES": here, "HOME": here, "TMPDIR": here},
        capture_output=True,
        check=True,
    )
    return [msgspec.json.decode(line, type=CompareAnswer) for line in done.stdout.splitlines()]


def test_a_batch_gives_what_there_was_time_for() -> None:
    """The calls after the end have no outcome: they are neither stalls nor unusable."""

    def make(call: Call, seconds: float) -> Outcome:
        now = time.monotonic()
        time.sleep(0.02)
        return Outcome(call.id, "value", {"result": repr(now)})

    until = time.monotonic() + 0.3
    seen = list(outcomes(Batch(_calls("f", 0), 1.0, until=until), make))
    begun = [float(one.parts["result"]) for one in seen]
    assert len(seen) < 100 and {one.kind for one in seen} <= {"value"}
    assert sum(one > until for one in begun) <= 1


def test_after_a_call_that_does_not_end_smaller_numbers_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those at least as large would not end either, such as in one long step of C, and would cost the seconds of the others."""
    monkeypatch.setattr("kodo.jobs.execution.worker.one_version._STALL_SECONDS", 0.2)
    numbers = (5, 10_000, 20_000, 30_000, 40_000, 9_999, 7)

    def make(call: Call, seconds: float) -> Outcome:
        if int(call.args[0].source) >= 10_000:
            time.sleep(30)
        return Outcome(call.id, "value", {"result": "1"})

    calls = tuple(Call(at, "f", "f(_0)", (Arg("n", str(number)),)) for at, number in enumerate(numbers))
    seen = {one.id: one.kind for one in outcomes(Batch(calls, 0.1), make)}
    assert [seen[at] for at in range(7)] == ["value", "timeout", *["unusable"] * 3, "value", "value"]


@pytest.mark.parametrize("result", ["x", "x + 1"])
def test_slow_functions_do_not_outlast_the_budget(tmp_path: Path, result: str) -> None:
    """With a budget of two seconds: equal versions, and versions whose difference is repeated and made smaller."""
    begun = tmp_path / "begun"
    for name, text in ((BEFORE, "x"), (AFTER, result)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.py").write_text(_SLOW.format(begun=str(begun), result=text))
    until = time.monotonic() + 2.0
    groups = (("slow", _calls("slow", 0)), ("caller", _calls("caller", 100)))
    tests = tuple(msgspec.structs.replace(call, origin="test") for call in _calls("slow", 200))
    job = Compare(_WHERE, _WHERE, groups, 1.0, until, tests, ("slow",))
    answers = _answers(tmp_path, job)
    rows = [line.split() for line in begun.read_text().splitlines()] if begun.exists() else []
    late = [process for process, began in rows if float(began) > until]
    assert len(late) <= 4 and len(set(late)) == len(
        late
    )  # one a process, begun between the look and the call
    named = {name for one in answers if isinstance(one, Exhausted) for name in one.functions}
    differ = any(isinstance(one, Compared) and one.differences for one in answers)
    assert "caller" in named or differ  # callers of what is shown to differ need not be called


@pytest.mark.parametrize("folder", ["pathlib.Path.home()", "pathlib.Path(tempfile.gettempdir())"])
def test_what_one_version_writes_the_other_does_not_read(tmp_path: Path, folder: str) -> None:
    """Both count the lines of a file that each call makes longer, in the same way."""
    for name in (BEFORE, AFTER):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.py").write_text(
            "import pathlib\nimport tempfile\n\ndef slow(x):\n"
            f"    with open({folder} / 'log', 'a+') as file:\n"
            "        file.write('x\\n')\n        file.seek(0)\n        return len(file.readlines())\n"
        )
    job = Compare(_WHERE, _WHERE, (("slow", _calls("slow", 0)),), 5.0, time.monotonic() + 60)
    (found,) = [one for one in _answers(tmp_path, job) if isinstance(one, Compared)]
    assert (found.tried, found.unstable, found.differences) == (100, 0, ())


def _versions(folder: Path, before: str, after: str) -> None:
    for name, text in ((BEFORE, before), (AFTER, after)):
        (folder / name).mkdir()
        (folder / name / "m.py").write_text(text)


_LIMIT = "def slow(x):\n    return 0 if x < {limit} else x\n"


@pytest.mark.parametrize("wait", [0.0, 2.0])
def test_calls_out_of_tests_may_come_while_the_comparison_runs(tmp_path: Path, wait: float) -> None:
    """Those that are there and those that come later are made, and what they show is told of the changed function."""
    _versions(tmp_path, _LIMIT.format(limit=5000), _LIMIT.format(limit=6000))
    call = Call(0, "test_m.py", "m.slow(_0)", (Arg("x", "5500"),), ("import m",), origin="test")
    until = time.monotonic() + 30
    later = threading.Timer(wait, _hand_over, (tmp_path / "recorded", call))
    _hand_over(tmp_path / "written")
    later.start()
    job = Compare(
        _WHERE,
        _WHERE,
        (("slow", _calls("slow", 0)),),
        1.0,
        until,
        roots=("slow",),
        later=("written", "recorded"),
    )
    found = [one for one in _answers(tmp_path, job) if isinstance(one, Compared) and one.differences]
    assert [one.function for one in found] == ["slow"] and time.monotonic() < until - 5


def _hand_over(path: Path, *items: Call | Group) -> None:
    outgoing = Outgoing[Call | Group](path)
    for item in items:
        outgoing.add(item)
    outgoing.end()


def test_calls_out_of_tests_are_made_before_the_last_of_them_is_known(tmp_path: Path) -> None:
    """Nobody waits for tests that still run when a call of an earlier one shows the difference."""
    _versions(tmp_path, _LIMIT.format(limit=5000), _LIMIT.format(limit=6000))
    call = Call(0, "test_m.py", "m.slow(_0)", (Arg("x", "5500"),), ("import m",), origin="test")
    Outgoing[Call](tmp_path / "recorded").add(call)
    until = time.monotonic() + 60
    job = Compare(_WHERE, _WHERE, (), 1.0, until, roots=("slow",), later=("recorded",))
    found = [one for one in _answers(tmp_path, job) if isinstance(one, Compared) and one.differences]
    assert [one.function for one in found] == ["slow"] and time.monotonic() < until - 15


def test_variations_end_while_tests_are_waited_for_when_they_find_nothing_new(tmp_path: Path) -> None:
    """They would take the time of the tests that are run beside them; a call that comes is varied again."""
    begun = tmp_path / "begun"
    text = f"def slow(x):\n    open({str(begun)!r}, 'a').write('x')\n    return 0\n"
    _versions(tmp_path, text, text)
    (tmp_path / "recorded").touch()
    calls = (("slow", _calls("slow", 0)),)
    job = Compare(_WHERE, _WHERE, calls, 1.0, time.monotonic() + 12, roots=("slow",), later=("recorded",))
    answers = [one for one in _answers(tmp_path, job) if isinstance(one, Compared)]
    tried = sum(one.tried for one in answers if one.function == "slow")
    assert 100 < tried < 1200 and len(begun.read_text()) >= 2 * tried


def test_a_function_that_is_shown_to_differ_is_not_waited_for(tmp_path: Path) -> None:
    """Calls out of tests that have not come yet are not needed any more, nor are the rest of its own calls."""
    _versions(tmp_path, _LIMIT.format(limit=1), _LIMIT.format(limit=8))
    until = time.monotonic() + 60
    calls = tuple(
        msgspec.structs.replace(call, id=number) for number, call in enumerate(_calls("slow", 0) * 3)
    )
    job = Compare(_WHERE, _WHERE, (("slow", calls),), 1.0, until, roots=("slow",), later=("never",))
    answers = _answers(tmp_path, job)
    (found,) = [one for one in answers if isinstance(one, Compared)]
    assert found.differences and found.tried == 100 and time.monotonic() < until - 5
    assert not [one for one in answers if isinstance(one, Exhausted)]


def test_slow_calls_do_not_take_the_time_of_calls_out_of_tests(tmp_path: Path) -> None:
    """A hundred slow calls of a changed function take turns with what tests call."""
    slow = "import time\n\ndef slow(x):\n    time.sleep(0.1)\n    return 0 if x < {limit} else x\n"
    _versions(tmp_path, slow.format(limit=5000), slow.format(limit=6000))
    test = Call(0, "test_m.py", "m.slow(_0)", (Arg("x", "5500"),), ("import m",), origin="test")
    job = Compare(
        _WHERE, _WHERE, (("slow", _calls("slow", 0)),), 1.0, time.monotonic() + 40, (test,), roots=("slow",)
    )
    answers = _answers(tmp_path, job)
    found = [one for one in answers if isinstance(one, Compared)]
    assert sum(one.tried for one in found) < 80 and any(one.differences for one in found)


def test_what_is_seen_inside_a_caller_shows_the_function(tmp_path: Path) -> None:
    """A changed function that gives its caller something else needs no further calls."""
    text = "def slow(x):\n    return {result}\n\ndef caller(x):\n    slow(x)\n"
    _versions(tmp_path, text.format(result="x"), text.format(result="-x"))
    until = time.monotonic() + 40
    groups = (("caller", _calls("caller", 1)),)
    job = Compare(_WHERE, _WHERE, groups, 1.0, until, roots=("slow",), later=("never",))
    start = _calls("caller", 1)[:3]
    tests = tuple(
        msgspec.structs.replace(call, origin="test", setup=("from m import caller",)) for call in start
    )
    answers = _answers(tmp_path, msgspec.structs.replace(job, tests=tests))
    found = [one for one in answers if isinstance(one, Compared) and one.differences]
    assert [one.differences[0].within for one in found] == ["slow(x=1)"] and time.monotonic() < until - 10


_LIMIT_CALLER = """def slow(x):
    return 0 if x < {limit} else x

def caller(x):
    return slow(x) if x == 99 else None

def near(x):
    return slow(x + {limit} - 100)
"""


def test_a_caller_that_does_not_lead_to_the_change_is_called_no_further(tmp_path: Path) -> None:
    """Its first calls show that; the time is for callers that do, and nothing is said to be left out."""
    _versions(tmp_path, _LIMIT_CALLER.format(limit=5000), _LIMIT_CALLER.format(limit=5000))
    where = msgspec.structs.replace(_WHERE, defined=("slow", "caller", "near"))
    groups = (("caller", _calls("caller", 0)), ("near", _calls("near", 100)))
    job = Compare(where, where, groups, 1.0, time.monotonic() + 60, roots=("slow",))
    answers = _answers(tmp_path, job)
    tried: dict[str, int] = {}
    for one in answers:
        if isinstance(one, Compared):
            tried[one.function] = tried.get(one.function, 0) + one.tried
    assert 0 < tried["caller"] < 100 and tried["near"] == 100
    assert not [one for one in answers if isinstance(one, Exhausted)]


def test_variations_are_made_while_tests_are_waited_for(tmp_path: Path) -> None:
    """A call that goes through the changed function is varied at once, so that nobody waits for tests that take long."""
    text = "def slow(x):\n    if x > 200:\n        return {result}\n    return 0\n"
    _versions(tmp_path, text.format(result="1"), text.format(result="2"))
    until = time.monotonic() + 60
    job = Compare(
        _WHERE, _WHERE, (("slow", _calls("slow", 0)),), 1.0, until, roots=("slow",), later=("never",)
    )
    found = [one for one in _answers(tmp_path, job) if isinstance(one, Compared) and one.differences]
    assert {one.function for one in found} == {"slow"} and not found[-1].differences[0].within
    assert time.monotonic() < until - 15


def test_calls_of_functions_may_come_while_the_versions_are_imported(tmp_path: Path) -> None:
    """Those in the job and those that come later are made; without them the comparison ends at its time."""
    _versions(tmp_path, _LIMIT.format(limit=5000), _LIMIT.format(limit=6000))
    call = Call(200, "caller", "slow(_0)", (Arg("x", "5500"),))
    start = Compare(_WHERE, _WHERE, (("slow", _calls("slow", 0)),), 1.0, time.monotonic() + 40, rest="rest")
    later = threading.Timer(1.0, _hand_over, (tmp_path / "rest", ("caller", (call,))))
    later.start()
    found = [one for one in _answers(tmp_path, start) if isinstance(one, Compared)]
    assert [(one.function, one.tried) for one in found] == [("slow", 100), ("caller", 1)]
    assert found[1].differences and not found[0].differences
    never = msgspec.structs.replace(start, rest="never", until=time.monotonic() + 4)
    assert not [one for one in _answers(tmp_path, never) if isinstance(one, Compared) and one.differences]


def test_a_module_that_a_call_imports_is_there_for_the_next_calls(tmp_path: Path) -> None:
    """Each batch is made in a child of its own; what one of them imported of the package, the others find imported."""
    for name in (BEFORE, AFTER):
        package = tmp_path / name / "pack"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "late.py").write_text(f"open({str(tmp_path / name)!r} + '.log', 'a').write('x')\n")
        (package / "m.py").write_text("def slow(x):\n    import pack.late\n    return x\n")
    where = ModuleLocation("pack/m.py", ".", "pack.m", "", ("slow",))
    calls = tuple(msgspec.structs.replace(one, id=at) for at, one in enumerate(_calls("slow", 0) * 5))
    answers = _answers(tmp_path, Compare(where, where, (("slow", calls),), 1.0, time.monotonic() + 60))
    assert sum(one.tried for one in answers if isinstance(one, Compared)) == 500
    assert (tmp_path / f"{BEFORE}.log").read_text() == "xx"  # once in the first child, once for the others


def test_what_hangs_on_the_path_of_a_version_is_no_difference(tmp_path: Path) -> None:
    """A digest of the path is another one for each version, which says nothing of what they do; a text around the path is compared."""
    text = (
        "import hashlib\nimport pathlib\n\n\ndef slow(x):\n    return hashlib.sha1(__file__.encode()).hexdigest()\n"
        "\n\ndef caller(x):\n    return str(pathlib.Path(__file__).resolve()) + {end!r}\n"
    )
    _versions(tmp_path, text.format(end="a"), text.format(end="b"))
    groups = (("slow", _calls("slow", 0)[:3]), ("caller", _calls("caller", 100)[:3]))
    job = Compare(_WHERE, _WHERE, groups, 1.0, time.monotonic() + 40, roots=("slow", "caller"))
    found = {one.function for one in _answers(tmp_path, job) if isinstance(one, Compared) and one.differences}
    assert found == {"caller"}


def test_a_weak_difference_is_made_sure_of_while_there_is_time(tmp_path: Path) -> None:
    """Another error than before may be told of better by a later call; there is no time to wait for the last of many slow calls."""
    text = "import time\n\ndef slow(x):\n    time.sleep(0.1)\n    raise {error}(x)\n"
    _versions(tmp_path, text.format(error="ValueError"), text.format(error="LookupError"))
    groups = (("slow", _calls("slow", 0) * 10),)
    job = Compare(_WHERE, _WHERE, groups, 1.0, time.monotonic() + 24, roots=("slow",))
    found = [one for one in _answers(tmp_path, job) if isinstance(one, Compared)]
    assert any(one.differences for one in found) and sum(one.tried for one in found) < 1000


def test_what_comes_out_otherwise_by_chance_is_no_difference(tmp_path: Path) -> None:
    """Of a hundred calls of each of six functions, some differ twice in the same way although the versions are the same."""
    names = [f"f{number}" for number in range(6)]
    text = "import time\n" + "".join(
        f"\n\ndef {name}(x):\n    return time.perf_counter_ns() // 10 % 256 < 26\n" for name in names
    )
    _versions(tmp_path, text, text)
    where = msgspec.structs.replace(_WHERE, defined=tuple(names))
    groups = tuple((name, _calls(name, 0)) for name in names)
    answers = _answers(tmp_path, Compare(where, where, groups, 1.0, time.monotonic() + 60))
    found = [one for one in answers if isinstance(one, Compared)]
    assert not [one for one in found if one.differences] and sum(one.unstable for one in found) > 0


def test_what_another_call_left_behind_is_no_difference(tmp_path: Path) -> None:
    """Each call after the first finds a variable of the environment that the first has set: the program that repeats it would not."""
    text = "import os\n\n\ndef slow(x):\n    seen = os.environ.get('SEEN')\n    os.environ['SEEN'] = '1'\n    return {result} if seen else 0\n"
    _versions(tmp_path, text.format(result="'a'"), text.format(result="'b'"))
    job = Compare(
        _WHERE, _WHERE, (("slow", _calls("slow", 0)[:10]),), 1.0, time.monotonic() + 20, roots=("slow",)
    )
    found = [one for one in _answers(tmp_path, job) if isinstance(one, Compared)]
    told = [difference for one in found for difference in one.differences if not difference.within]
    assert sum(one.tried for one in found) >= 10 and not told


_READER = """def _limit(x):
    return {limit}

def slow(x):
    return _limit(x) if x > {rare} else 0

def reader(x):
    def read(value):
        return {made}
    return read
"""


def test_what_a_caller_sees_is_looked_for_after_what_a_private_function_does(tmp_path: Path) -> None:
    """The private function differs at once; the public one that calls it, only for some values. Both are told of in a third of the time."""
    where = msgspec.structs.replace(_WHERE, defined=("_limit", "slow"))
    _versions(tmp_path, *(_READER.format(limit=limit, rare=30, made=0) for limit in (1, 2)))
    groups = (("_limit", _calls("_limit", 0)), ("slow", _calls("slow", 100)))
    end = time.monotonic() + 150
    job = Compare(where, where, groups, 1.0, end, roots=("_limit",), callers=("slow",))
    found = [one for one in _answers(tmp_path, job) if isinstance(one, Compared) and one.differences]
    assert {one.function for one in found} == {"_limit", "slow"}


def test_a_function_that_comes_back_is_called(tmp_path: Path) -> None:
    """Both versions return a function of one name, which does something else."""
    where = msgspec.structs.replace(_WHERE, defined=("reader",))
    _versions(tmp_path, *(_READER.format(limit=1, rare=1, made=made) for made in ("value", "[value]")))
    groups = (("reader", _calls("reader", 0)[:5]),)
    job = Compare(where, where, groups, 1.0, time.monotonic() + 60, roots=("reader",))
    found = [one for one in _answers(tmp_path, job) if isinstance(one, Compared) and one.differences]
    assert [one.function for one in found] == ["reader"]
    assert all(one.call.setup == ("made = reader(_0)",) for one in found[0].differences)


def test_random_bytes_of_the_system_hide_no_difference(tmp_path: Path) -> None:
    """A token in every result told the versions apart by itself, so that of a hundred such calls none was left to be made sure of; now
    the one call that shows the change is found, and the command that repeats it gives the same token.
    """
    for name, limit in ((BEFORE, 60), (AFTER, 61)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.py").write_text(
            "import secrets\nimport uuid\n\ndef slow(x):\n"
            f"    return {{'token': secrets.token_hex(4) + str(uuid.uuid4()), 'large': x >= {limit}}}\n"
        )
    job = Compare(
        _WHERE, _WHERE, (("slow", _calls("slow", 0)),), 1.0, time.monotonic() + 20.0, roots=("slow",)
    )
    found = [
        difference
        for one in _answers(tmp_path, job)
        if isinstance(one, Compared)
        for difference in one.differences
    ]
    assert {difference.call.args[0].source for difference in found} == {"60"}
    again = command(found[0].call, "m", ("slow",), AFTER, draws_bytes=bool(found[0].after.bytes_drawn))
    search = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(["sh", "-c", again], cwd=tmp_path, env=search, capture_output=True, check=True)
    assert ran.stdout.decode().strip() == found[0].after.parts["result"]


def test_what_hangs_on_random_bytes_alone_is_no_difference(tmp_path: Path) -> None:
    """A version that draws more of them than the other gives another token, as it would at any other time."""
    for name, size in ((BEFORE, 1), (AFTER, 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.py").write_text(
            f"import os\n\ndef slow(x):\n    return os.urandom({size})[-1:].hex()\n"
        )
    job = Compare(
        _WHERE, _WHERE, (("slow", _calls("slow", 0)),), 1.0, time.monotonic() + 20.0, roots=("slow",)
    )
    answers = _answers(tmp_path, job)
    assert not any(one.differences for one in answers if isinstance(one, Compared))


def test_a_comparison_ends_when_its_calls_do_nothing_new(tmp_path: Path) -> None:
    """Versions that do the same are not compared until the budget is over, and nothing is said to have been left out."""
    for name in (BEFORE, AFTER):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.py").write_text(f"def slow(x):\n    text = '{name}'\n    return len(str(x))\n")
    calls = tuple(Call(at, "slow", "slow(_0)", (Arg("x", str(at % 9)),)) for at in range(100_000))
    start = time.monotonic()
    job = Compare(_WHERE, _WHERE, (("slow", calls),), 1.0, start + 60.0, roots=("slow",))
    answers = _answers(tmp_path, job)
    tried = sum(one.tried for one in answers if isinstance(one, Compared))
    assert tried < 100_000 and Finished(is_dry=True) in answers
    assert not any(isinstance(one, Exhausted) for one in answers)


@pytest.mark.parametrize("ends", ["raise SystemExit(3)", "class Missing(BaseException): pass\nraise Missing"])
def test_a_module_of_tests_that_cannot_be_imported_ends_no_comparison(tmp_path: Path, ends: str) -> None:
    """Whatever it raises: the calls that stand on it are lost, and the others are made."""
    for name, result in ((BEFORE, "x"), (AFTER, "x + 1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.py").write_text(f"def slow(x):\n    return {result}\n")
        (tmp_path / name / "fixtures_of_it.py").write_text(f"{ends}\n")
    lost = Call(1, "t", "slow(_0)", (Arg("x", "1"),), ("import fixtures_of_it",), origin="test")
    made = tuple(msgspec.structs.replace(call, origin="test") for call in _calls("slow", 10)[:9])
    job = Compare(_WHERE, _WHERE, (), 1.0, time.monotonic() + 20.0, (lost, *made), ("slow",))
    answers = _answers(tmp_path, job)
    assert any(isinstance(one, Compared) and one.differences for one in answers)
    assert isinstance(answers[-1], Finished)
