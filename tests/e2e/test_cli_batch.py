"""`kodo batch run` as installed, against a server on a real socket: resuming, being killed, stopping early."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.e2e.kodo_command import Kodo
from tests.faults.faults import Refuse, Reset, Stall
from tests.faults.server import Call, FaultServer

from kodo.cli.exit_codes import ExitCode
from kodo.client.ledger import Ledger

LINES = int(os.environ.get("KODO_CRASH_LINES", "400"))
KILLS = int(os.environ.get("KODO_CRASH_KILLS", "3"))


def requests(path: Path, count: int, **body: object) -> Path:
    lines = (
        {"custom_id": f"r{n}", "body": {"model": "m", "input": f"word {n}", **body}} for n in range(count)
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def results(path: Path) -> dict[str, str]:
    """custom_id to answer; fails on a line that is not JSON and on a second line for one id."""
    found: dict[str, str] = {}
    for raw in path.read_text().splitlines():
        line = json.loads(raw)
        assert line["custom_id"] not in found, line["custom_id"]
        found[line["custom_id"]] = line["response"]["body"]["output"][0]["content"][0]["text"]
    return found


def expected(count: int) -> dict[str, str]:
    return {f"r{n}": f"echo: word {n}" for n in range(count)}


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.crash
def test_killed_again_and_again_there_is_one_result_for_each_request(tmp_path: Path) -> None:
    """`kill -9` at random points of a batch: every request ends with exactly one whole result, and its own.

    The long form (5,000 requests, ten kills) is `make crash-batch`.
    """
    source, out = requests(tmp_path / "in.jsonl", LINES), tmp_path / "out.jsonl"
    stops = sorted(
        random.sample(range(1, LINES * 3 // 4), KILLS)
    )  # before the end, however late the kill comes
    with FaultServer(seconds=0.002, slots=8) as server:
        kodo = Kodo(tmp_path, server.base_url)
        for stop in stops:
            process = kodo.start("batch", "run", str(source), str(out))
            while lines_in(out) < stop and process.poll() is None:
                time.sleep(0.0005)
            assert process.poll() is None, process.communicate()
            process.send_signal(signal.SIGKILL)
            process.communicate()
        done = kodo.run("batch", "run", str(source), str(out))
    assert done.returncode == ExitCode.DONE, done.stderr
    assert results(out) == expected(LINES)
    again = len(server.record.calls) - LINES
    assert 0 <= again <= KILLS * 64, "only what was in flight when it was killed is asked twice"
    with Ledger(tmp_path / "ledger.db") as ledger:
        rows = Counter(dict(ledger.query("SELECT status, count(*) FROM calls GROUP BY status")))  # type: ignore[arg-type]  # two columns
    assert rows["completed"] <= len(server.record.delivered)
    assert rows["reserved"] == 0, "what a killed process had set aside is accounted for"
    assert sum(rows.values()) >= len(server.record.calls) - KILLS * 64


def test_ctrl_c_waits_for_the_requests_in_flight_and_the_next_run_goes_on(tmp_path: Path) -> None:
    """The first Ctrl-C keeps every answer that was paid for: nothing is asked twice."""
    source, out = requests(tmp_path / "in.jsonl", 200), tmp_path / "out.jsonl"
    with FaultServer(seconds=0.02, slots=4) as server:
        kodo = Kodo(tmp_path, server.base_url)
        process = kodo.start("batch", "run", str(source), str(out), "-c", "4")
        while lines_in(out) < 20:
            assert process.poll() is None, process.communicate()
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate()
        assert process.returncode == ExitCode.INTERRUPTED, stderr
        assert 20 <= lines_in(out) < 200
        done = kodo.run("batch", "run", str(source), str(out))
    assert done.returncode == ExitCode.DONE, done.stderr
    assert results(out) == expected(200)
    assert len(server.record.calls) == 200


def test_failed_requests_are_noted_apart_and_tried_again_by_the_next_run(tmp_path: Path) -> None:
    """Partial is an exit code of its own; what succeeded is kept and not asked again."""
    source, out = requests(tmp_path / "in.jsonl", 20), tmp_path / "out.jsonl"
    refused = {"word 3", "word 7"}

    def plan(call: Call) -> Refuse | None:
        return Refuse(400, "bad_input", kind="invalid_request_error") if call.text in refused else None

    with FaultServer(plan) as server:
        kodo = Kodo(tmp_path, server.base_url)
        first = kodo.run("batch", "run", str(source), str(out))
        assert first.returncode == ExitCode.PARTIAL, first.stderr
        assert first.stdout == ""
        errors = tmp_path / "out.jsonl.errors.jsonl"
        assert {json.loads(line)["custom_id"] for line in errors.read_text().splitlines()} == {"r3", "r7"}
        assert all(
            json.loads(line)["response"]["status_code"] == 400 for line in errors.read_text().splitlines()
        )
        refused.clear()
        second = kodo.run("batch", "run", str(source), str(out))
    assert second.returncode == ExitCode.DONE, second.stderr
    assert results(out) == expected(20)
    assert not errors.exists()
    assert len(server.record.calls) == 22


def test_a_spent_budget_stops_the_batch_and_keeps_what_was_paid_for(tmp_path: Path) -> None:
    """Exit code 4; the limit is not passed; more money goes on from there."""
    source, out = requests(tmp_path / "in.jsonl", 30, max_output_tokens=10), tmp_path / "out.jsonl"
    (tmp_path / "config.toml").write_text(
        "[client]\nfree = false\n[client.prices.m]\ninput = 1000\noutput = 1000\n"
    )
    with FaultServer() as server:
        kodo = Kodo(tmp_path, server.base_url)
        limit = ("--max-cost", "0.4", "-c", "1")
        first = kodo.run("batch", "run", str(source), str(out), *limit)
        assert first.returncode == ExitCode.BUDGET, first.stderr
        assert "budget per run" in first.stderr
        assert 0 < len(results(out)) < 30
        with Ledger(tmp_path / "ledger.db") as ledger:
            ((spent,),) = ledger.query("SELECT max(nano) FROM totals WHERE scope = 'run'")
        assert spent <= 0.4e9
        second = kodo.run("batch", "run", str(source), str(out), "--max-cost", "10000")
    assert second.returncode == ExitCode.DONE, second.stderr
    assert results(out) == expected(30)
    assert len(server.record.calls) == 30


def test_a_server_that_is_gone_ends_the_batch_early(tmp_path: Path) -> None:
    """Twenty requests in a row without an answer are enough; the rest is not tried."""
    source, out = requests(tmp_path / "in.jsonl", 200), tmp_path / "out.jsonl"
    with FaultServer(lambda call: Reset()) as server:
        done = Kodo(tmp_path, server.base_url).run(
            "batch", "run", str(source), str(out), env={"KODO_MAX_RETRIES": "0"}
        )
    assert done.returncode == ExitCode.SERVER, done.stderr
    assert 20 <= len(server.record.calls) <= 20 + 64
    assert results(out) == {}


def test_a_wrong_key_ends_the_batch_at_once(tmp_path: Path) -> None:
    """Five thousand requests are not sent to be told five thousand times that the key is wrong."""
    source, out = requests(tmp_path / "in.jsonl", 200), tmp_path / "out.jsonl"
    with FaultServer(lambda call: Refuse(401, "invalid_api_key")) as server:
        done = Kodo(tmp_path, server.base_url).run("batch", "run", str(source), str(out))
    assert done.returncode == ExitCode.BAD_INPUT, done.stderr
    assert len(server.record.calls) <= 64


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            '{"custom_id": "a", "body": {"input": "x"}}\n{"custom_id": "a", "body": {"input": "y"}}\n',
            ":2: custom_id",
        ),
        ("nonsense\n", ":1: not JSON"),
        ('{"custom_id": "a", "url": "/v1/embeddings", "body": {"input": "x"}}\n', ":1: url"),
    ],
)
def test_a_bad_line_stops_everything_before_anything_is_sent(tmp_path: Path, content: str, said: str) -> None:
    """Exit code 2, the line and the field; no request, no output file."""
    (tmp_path / "in.jsonl").write_text(content)
    with FaultServer() as server:
        done = Kodo(tmp_path, server.base_url).run(
            "batch", "run", str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl")
        )
    assert (done.returncode, server.record.calls) == (ExitCode.BAD_INPUT, [])
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_a_second_run_on_the_same_output_is_refused_while_the_first_one_writes(tmp_path: Path) -> None:
    """Two runs would ask everything twice."""
    source, out = requests(tmp_path / "in.jsonl", 4), tmp_path / "out.jsonl"
    with FaultServer(lambda call: Stall(20)) as server:
        kodo = Kodo(tmp_path, server.base_url)
        first = kodo.start("batch", "run", str(source), str(out))
        while not server.record.calls:
            assert first.poll() is None, first.communicate()
            time.sleep(0.005)
        second = kodo.run("batch", "run", str(source), str(out))
        first.send_signal(signal.SIGKILL)
        first.communicate()
    assert second.returncode == ExitCode.BAD_INPUT
    assert "another run" in second.stderr


def test_a_dry_run_sends_nothing_and_tells_the_cost(tmp_path: Path) -> None:
    """Tokens and dollars on stdout; the server is not asked, no output is made."""
    source, out = requests(tmp_path / "in.jsonl", 10), tmp_path / "out.jsonl"
    with FaultServer() as server:
        done = Kodo(tmp_path, server.base_url).run("batch", "run", str(source), str(out), "--dry-run")
    assert (done.returncode, server.record.calls, out.exists()) == (ExitCode.DONE, [], False)
    assert done.stdout.startswith("10 requests")


def test_through_the_batch_api_results_and_errors_are_collected(tmp_path: Path) -> None:
    """The file is submitted once; results in any order end up as one line a request; failures go apart."""
    source, out = requests(tmp_path / "in.jsonl", 20), tmp_path / "out.jsonl"
    with FaultServer() as server:
        server.batches.fails = frozenset({"word 4"})
        kodo = Kodo(tmp_path, server.base_url)
        first = kodo.run("batch", "run", str(source), str(out), "--via", "batch-api")
        assert first.returncode == ExitCode.PARTIAL, first.stderr
        server.batches.fails = frozenset()
        second = kodo.run("batch", "run", str(source), str(out), "--via", "batch-api")
    assert second.returncode == ExitCode.DONE, second.stderr
    assert results(out) == expected(20)
    sizes = [batch["request_counts"]["total"] for batch in server.batches.batches.values()]
    assert sizes == [20, 1], "the second batch holds only what has no result"
    assert server.record.calls == []


def test_partial_results_of_an_expired_batch_are_kept(tmp_path: Path) -> None:
    """What the server finished before its time was over is harvested; the next run asks for the rest."""
    source, out = requests(tmp_path / "in.jsonl", 10), tmp_path / "out.jsonl"
    with FaultServer() as server:
        server.batches.expires = True
        kodo = Kodo(tmp_path, server.base_url)
        first = kodo.run("batch", "run", str(source), str(out), "--via", "batch-api")
        assert first.returncode == ExitCode.PARTIAL, first.stderr
        assert len(results(out)) == 5
        server.batches.expires = False
        second = kodo.run("batch", "run", str(source), str(out), "--via", "batch-api")
    assert second.returncode == ExitCode.DONE, second.stderr
    assert results(out) == expected(10)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_submitted_batch_is_taken_up_again_and_not_submitted_twice(
    tmp_path: Path, how: signal.Signals
) -> None:
    """Whatever ends the waiting process, the next one collects the same batch."""
    source, out = requests(tmp_path / "in.jsonl", 10), tmp_path / "out.jsonl"
    with FaultServer() as server:
        server.batches.polls = 10_000
        kodo = Kodo(tmp_path, server.base_url)
        process = kodo.start("batch", "run", str(source), str(out), "--via", "batch-api")
        while not server.batches.batches:
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        process.send_signal(how)
        process.communicate()
        server.batches.polls = 0
        done = kodo.run("batch", "run", str(source), str(out), "--via", "batch-api")
    assert done.returncode == ExitCode.DONE, done.stderr
    assert results(out) == expected(10)
    assert len(server.batches.batches) == 1
    if how is signal.SIGINT:
        assert process.returncode == ExitCode.INTERRUPTED


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Twenty times the requests: the process's peak grows by less than 4 MB, that is less than 5 kB for each."""

    def peak(count: int) -> int:
        source, out = requests(tmp_path / f"in{count}.jsonl", count), tmp_path / f"out{count}.jsonl"
        with FaultServer() as server:
            kodo = Kodo(tmp_path, server.base_url)
            process = kodo.start("batch", "run", str(source), str(out), "-c", "8")
            _, status, used = os.wait4(process.pid, 0)
            assert os.waitstatus_to_exitcode(status) == 0
            process.returncode = 0
        assert lines_in(out) == count
        return used.ru_maxrss

    assert peak(1000) - peak(50) < 4096


def test_a_recorded_batch_is_replayed_without_a_server(tmp_path: Path) -> None:
    """The same results from the recording, with nothing listening."""
    source, tape = requests(tmp_path / "in.jsonl", 5), str(tmp_path / "tape.jsonl")
    with FaultServer() as server:
        kodo = Kodo(tmp_path, server.base_url)
        done = kodo.run("batch", "run", str(source), str(tmp_path / "out.jsonl"), "--record", tape)
        assert done.returncode == ExitCode.DONE, done.stderr
    replayed = kodo.run("batch", "run", str(source), str(tmp_path / "out2.jsonl"), "--replay", tape)
    assert replayed.returncode == ExitCode.DONE, replayed.stderr
    assert results(tmp_path / "out2.jsonl") == results(tmp_path / "out.jsonl") == expected(5)
    assert "sk-test" not in Path(tape).read_text()
    assert subprocess.run(["grep", "-c", "custom_id", tape], check=False, capture_output=True).returncode == 1
