"""What a worker in the sandbox answers is read as foreign text."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kodo.jobs.execution.calls import is_python
from kodo.jobs.execution.model import Arg, Call, ExecutionError
from kodo.jobs.execution.sandboxed import WorkerEnded, run_worker
from kodo.jobs.execution.worker.jobs import Failed
from kodo.sandbox import ProcessResult, ResourceLimits, Sandbox


class Found(msgspec.Struct, frozen=True, tag=True):
    """An answer."""

    id: int


class Says(Sandbox):
    """Gives this output in the place of a run."""

    def __init__(self, stdout: str, status: int = 0) -> None:
        self.result = ProcessResult(status, stdout, "", 0.1)
        self.limits: ResourceLimits | None = None

    def run(
        self,
        *args: Any,
        limits: ResourceLimits | None = None,
        hear: Callable[[bytes], None] | None = None,
        **more: Any,
    ) -> ProcessResult:
        self.limits = limits
        for at in range(0, len(self.result.stdout), 7):
            if hear is not None:
                hear(self.result.stdout[at : at + 7].encode())
        return self.result


def _ask(sandbox: Sandbox) -> list[Found]:
    return run_worker(sandbox, Path("/nowhere"), "w", Failed("x"), Found | Failed, seconds=1.0)


def _line(answer: Found | Failed) -> str:
    return msgspec.json.encode(answer).decode() + "\n"


@pytest.mark.parametrize(
    "forged", ["no JSON\n", "\n", '{"id": 1}\n', '{"type": "Found", "id": "one"}\n', '{"type": "Found", "i\n']
)
def test_a_line_that_is_no_answer_is_an_error_of_the_worker(forged):
    """Tests of the project run beside the worker and can write what they like."""
    with pytest.raises(WorkerEnded, match="no valid answer"):
        _ask(Says(_line(Found(1)) + forged))


def test_without_time_no_worker_is_started():
    """A busy machine may take longer to get there than the budget and its grace together: that is said, and no fault."""
    worker = Says("")
    with pytest.raises(WorkerEnded, match="no time left"):
        run_worker(worker, Path(), "worker", Found(1), Found | Failed, seconds=-6.0, grace=5.0)
    assert worker.limits is None


def test_answers_are_heard_as_they_come_until_one_is_not_valid():
    """The pieces of output do not end where lines do; what follows a forged line is as foreign as it is."""
    heard: list[Found] = []
    text = _line(Found(1)) + _line(Found(2)) + "no JSON\n" + _line(Found(3))
    with pytest.raises(WorkerEnded, match="no valid answer"):
        run_worker(
            Says(text), Path("/nowhere"), "w", Failed("x"), Found | Failed, seconds=1.0, hear=heard.append
        )
    assert heard == [Found(1), Found(2)]


def test_lines_end_with_a_line_feed_alone_and_a_cut_one_is_left_out():
    """A text may hold every other character that ends lines for Python."""
    why = "a\u2028b\x85c"
    with pytest.raises(ExecutionError) as raised:
        _ask(Says(_line(Failed(why)) + '{"type": "Fai', status=-9))
    assert str(raised.value) == why


@pytest.mark.parametrize(
    "call",
    [
        Call(0, "f", "f("),
        Call(0, "f", "x = 1"),
        Call(0, "f", "f(_0)", (Arg("a", "1 +"),)),
        Call(0, "f", "f()", (Arg("a", "\0"),)),
        Call(0, "f", "f()", setup=("import",)),
        Call(0, "f", "f()", (Arg("a", "1"),), setup=("_0 = 2",)),
        Call(0, "f", "(" * 5000 + ")" * 5000),
    ],
)
def test_a_call_with_a_part_that_does_not_parse_is_no_python(call):
    """Its expression, its arguments, its setup before and after the arguments are put in."""
    assert not is_python(call)


def test_a_call_of_setup_arguments_and_expression_is_python():
    """The form that recorded calls have."""
    assert is_python(Call(0, "f", "s.f(_0)", (Arg("a", "'x'"),), ("import m", "s = m.S(_0)")))


_TWO_THREADS = """
import sys
from threading import Barrier, Thread
from pathlib import Path
from msgspec import Struct, defstruct
from kodo.jobs.execution.sandboxed import run_worker
from kodo.sandbox import ProcessResult, Sandbox

class Says(Sandbox):
    def run(self, *args, **more):
        return ProcessResult(0, '{"inner": {"a3": {"x": [1]}}}\\n', "", 0.1)

sys.setswitchinterval(1e-6)
for _ in range(60):
    inner = None
    for at in range(6):
        fields = [(f"a{n}", dict[str, tuple[int, ...]] | None, None) for n in range(12)]
        inner = defstruct(f"S{at}", [*fields, *([("inner", inner | None, None)] if inner else [])])
    barrier = Barrier(2)

    def work():
        barrier.wait()
        for _ in range(2):
            run_worker(Says(), Path("."), "w", Struct(), inner, seconds=1)

    threads = [Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_two_threads_may_read_the_first_answers_of_a_type() -> None:
    """Of versions that run at the same time; the process would end with a fault of memory."""
    done = subprocess.run([sys.executable, "-c", _TWO_THREADS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
