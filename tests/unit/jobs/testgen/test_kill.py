"""How many calls are tried on a mutant, and what is done once before all of them."""

from __future__ import annotations

import signal
import sys

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker import call as worker_call
from kodo.jobs.execution.worker.jobs import ModuleLocation, Observe
from kodo.jobs.execution.worker.load import time_limit
from kodo.jobs.execution.worker.observe import run_observe
from kodo.jobs.testgen.mutate import mutants
from kodo.jobs.testgen.worker.jobs import Kill
from kodo.jobs.testgen.worker.kill import run_kill
from kodo.jobs.testgen.worker.mutant_code import MutantCode

CODE = """
def f(n):
    return 100 if n == 3 or n >= 45 else n
"""


def killers(tmp_path, monkeypatch, numbers):
    """The calls of f(number) that tell the mutant in which 100 is 101; each call has its number."""
    (tmp_path / "killmod.py").write_text(CODE, encoding="utf-8")
    monkeypatch.setenv("KODO_PROJECT", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "killmod", raising=False)
    monkeypatch.chdir(tmp_path)
    where = ModuleLocation("killmod.py", ".", "killmod", CODE, ("f",))
    code = MutantCode(where)
    module = code.load(5.0)
    calls = tuple(Call(number, "f", f"f({number})") for number in numbers)
    seen = [one.observed for one in run_observe(Observe(where, calls, {}, 5.0, False, False), module)]
    (mutant,) = [
        one.place.id for one in mutants(CODE, frozenset({"f"}), 300, 0) if one.place.change == "100 -> 101"
    ]
    job = Kill(where, calls, tuple(seen), ("f",), 300, 0, {mutant: tuple(numbers)}, 5.0, 60.0)
    (found,) = run_kill(job, code)
    return found.killers


def test_a_mutant_that_was_told_is_not_tried_on_all_calls(tmp_path, monkeypatch):
    """Of 60 calls, the fourth tells the changed number, and those from the 46th on are left."""
    assert killers(tmp_path, monkeypatch, range(60)) == (3,)


def test_a_mutant_that_no_call_told_is_tried_on_all(tmp_path, monkeypatch):
    """A call far behind may be the only one that tells it."""
    assert killers(tmp_path, monkeypatch, [*range(4, 45), 50]) == (50,)


def test_the_pieces_of_a_call_are_compiled_once(monkeypatch):
    """What is compiled before the children are forked is not compiled in each of them."""
    calls = [Call(0, "f", "len(_0) + 987654")]
    worker_call.compile_ahead([*calls, Call(1, "f", "not python")])
    known = worker_call._code.cache_info().misses
    worker_call.compile_ahead(calls)
    assert worker_call._code.cache_info().misses == known


def test_the_handler_of_a_time_limit_is_put_in_place_once(monkeypatch):
    """Putting it there for each call takes longer than most calls do."""
    before = signal.getsignal(signal.SIGALRM)
    try:
        with time_limit(5):
            pass
        monkeypatch.setattr(signal, "signal", None)  # called again, it would raise
        with time_limit(5):
            pass
    finally:
        monkeypatch.undo()
        signal.signal(signal.SIGALRM, before)
