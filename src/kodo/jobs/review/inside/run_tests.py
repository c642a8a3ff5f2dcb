"""Runs a project's tests from outside of the tested process, and prints what they said as JSON.

    python -I -S run_tests.py PYTHON TMP PROJECT ONLY [SITE-PACKAGES]

ONLY is a JSON list of the files to run the tests of, relative to the project, each test in a process of its own; empty
for all tests, in one process.

The tested process (``report_tests.py``) holds the code under review, so nothing that it says is taken on trust. It
writes each result to a pipe, with a secret that it is told before any file of the project is imported; its standard
output goes to a file and is never read for results. A run counts only if the tested process also came to its end and
reported a planted test, which must fail, as failed: code that ends the process early, writes results of its own, or
turns every result into a pass leaves no result at all. Not covered: code written against this very program, which
looks for the secret in the memory of its own process and spares the planted test.

Printed: ``{"results": {id: {"phase", "outcome", "text"}}, "error": reason or null, "output": last lines}``.
"""

import ctypes
import json
import os
import secrets
import selectors
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_DUMPABLE = 4
_MAX_TEXT = 8000
_MAX_OUTPUT = 4000
_GRACE_SECONDS = 0.5


class Results:
    """What the tested process reported, line by line; lines without the secret are counted and dropped."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.tests: dict[str, dict[str, str]] = {}
        self.status: int | None = None
        self.forged = 0
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the pipe."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                said = json.loads(line)
                if said["secret"] != self.secret:
                    raise ValueError("the secret is wrong")
                if "end" in said:
                    self.status = int(said["end"])
                else:
                    self._take(str(said["id"]), str(said["phase"]), str(said["outcome"]), str(said["text"]))
            except (ValueError, KeyError, TypeError):
                self.forged += 1

    def _take(self, name: str, phase: str, outcome: str, text: str) -> None:
        """Fold one phase of a test into its result: a failure stays, a pass needs the test itself to have passed.

        A test that passes after one of its sub-tests was skipped has passed in part.
        """
        before = self.tests.get(name)
        if before is not None and (
            before["outcome"] == "failed" or (outcome == "passed" and phase != "call")
        ):
            return
        if before is not None and phase == "call" and before["outcome"] in ("skipped", "part"):
            outcome = outcome if outcome == "failed" else "part"
        self.tests[name] = {"phase": phase, "outcome": outcome, "text": text[-_MAX_TEXT:]}


def main() -> None:
    """Run the tests once."""
    python, folder, project, only = sys.argv[1:5]
    packages = sys.argv[5:6]
    # The tested process runs as the same user: without this it could open this process's standard output.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    secret, planted, sign = secrets.token_hex(16), f"test_{secrets.token_hex(8)}", secrets.token_hex(16)
    results = Results(secret)
    script = Path(__file__).with_name("report_tests.py")
    reader, writer = os.pipe()
    with Path(folder, "kodo-tests-output").open("w+b") as output:
        with subprocess.Popen(
            [python, "-I", str(script), str(writer), folder, project, only, *packages],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=[writer],
            cwd=project,
        ) as process:
            os.close(writer)
            assert process.stdin  # noqa: S101 - a pipe was requested
            try:
                process.stdin.write(json.dumps({"secret": secret, "planted": planted, "sign": sign}).encode())
                process.stdin.close()
            except BrokenPipeError:
                pass  # it ended at its start; its status says so
            _collect(process, reader, results)
        output.seek(max(0, output.tell() - _MAX_OUTPUT))
        last = output.read().decode("utf-8", "replace")
    told = results.tests.pop(planted, None)
    error = _problem(results, process.returncode, told, sign)
    sys.stdout.write(json.dumps({"results": results.tests, "error": error, "output": last}) + "\n")


def _collect(process: "subprocess.Popen[bytes]", reader: int, results: Results) -> None:
    """Read the pipe until the tested process has ended; its own children may hold the pipe open for longer."""
    ended = 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        while True:
            if selector.select(0.1):
                data = os.read(reader, 65536)
                if not data:
                    break
                results.feed(data)
            elif process.poll() is not None:
                break
            if process.poll() is not None:
                ended = ended or time.monotonic()
                if time.monotonic() - ended > _GRACE_SECONDS:
                    break
    process.wait()


def _problem(results: Results, returncode: int, told: "dict[str, str] | None", sign: str) -> "str | None":
    """Why the run does not count, or None."""
    if results.status is None:
        return f"the tested process ended before the tests did (status {returncode})"
    if returncode != results.status:
        return (
            f"the tested process ended with status {returncode} after its tests ended with {results.status}"
        )
    if results.status not in (0, 1):
        return f"pytest ended with status {results.status}"
    if results.forged:
        return "the tested process wrote results that are not pytest's"
    if told is None or told["outcome"] != "failed" or sign not in told["text"]:
        return (
            "a planted test, which must fail, did not: the tested process does not report what its tests do"
        )
    return None


if __name__ == "__main__":
    main()
