"""Many callers against a nearly spent budget: threads and processes together never pass it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from kodo.client.budget import Budget
from kodo.client.errors import BudgetExceededError
from kodo.client.ledger import CallOutcome, Ledger
from kodo.client.prices import Cost

CALL = Cost(Decimal("0.01"), None)

WORKER = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from kodo.client.budget import Budget
from kodo.client.errors import BudgetExceededError
from kodo.client.ledger import Ledger, CallOutcome
from kodo.client.prices import Cost
ledger = Ledger()
print("ready", flush=True)
sys.stdin.readline()

def call(number):
    try:
        ledger.reserve(Cost(Decimal("0.01"), None), model="m", endpoint="e", run="all", budget=Budget(run=Decimal("1.055")))
    except BudgetExceededError:
        return 0
    return 1

with ThreadPoolExecutor(25) as pool:
    print(sum(pool.map(call, range(250))), flush=True)
sys.stdin.readline()
"""


def test_a_thousand_threads_overshoot_by_nothing() -> None:
    """1,000 parallel calls with room for 37: exactly 37 are let through, and the sum stays under the limit."""
    budget = Budget(run=Decimal("0.379"))
    with Ledger() as ledger:

        def call(_: int) -> bool:
            try:
                open_call = ledger.reserve(CALL, model="m", endpoint="e", run="r", budget=budget)
            except BudgetExceededError:
                return False
            ledger.settle(open_call, CallOutcome("completed", CALL))
            return True

        with ThreadPoolExecutor(1000) as pool:
            allowed = sum(pool.map(call, range(1000)))
        assert allowed == 37
        assert ledger.spent("run", "r") == Decimal("0.37")


def test_processes_share_the_limit_exactly() -> None:
    """Four processes with 25 threads each, 1,000 calls, room for 105: exactly 105 are let through."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
        allowed = sum(int(worker.stdout.readline()) for worker in workers if worker.stdout)
        with Ledger() as ledger:
            assert ledger.spent("run", "all") == Decimal("1.05")
    finally:
        for worker in workers:
            worker.communicate("\n", timeout=60)
    assert allowed == 105
