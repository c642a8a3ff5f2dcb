"""Three servers and a worker on one PostgreSQL under a mixed load, and faults one after the other (``make cluster``).

Servers and the worker are killed, or paused past their lease and woken; connections that listen, or all, are terminated;
PostgreSQL is restarted, crashed and killed; a proxy before it stalls or drops what one server says. Only processes that this
test has started are touched. Afterwards nothing that was acknowledged is lost, no event is missing or there twice, each line of a
batch has one result, each file of a vector store is indexed once, the sums of usage are those of the responses, and the budget of
each key counts what its answers used.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.load import ClusterLoad, Notes
from tests.cluster.proxy import FaultyProxy
from tests.crash.process import Killable, start
from tests.postgres_server import PostgresServer

from kodo.server.http.keys import new_key
from kodo.server.store.postgres.connections import open_snapshot
from kodo.server.store.postgres.store import PostgresStore

FAULTS = int(os.environ.get("KODO_CLUSTER_FAULTS", "10"))
SEED = int(os.environ.get("KODO_CLUSTER_SEED", "0")) or int(time.time())
ROLES = ("all", "api", "all", "worker")
"""Of the servers; those but the worker take requests."""
PROXIED = (2, 3)
"""Servers that reach the database through a proxy."""
CONTROL_SECONDS = 20.0
"""How long the load runs where there are no faults (N=0)."""
LEASE = float(os.environ.get("KODO_CLUSTER_LEASE", "3"))
"""Seconds; a busy machine may starve a server for three."""
STORED, UNSTORED = "stored", "unstored"
"""Projects, with a key each."""
CUTTING_OFF = ("pause", "stall", "drop", "outage", "kill_database")
"""Faults in which a server may be taken for dead that goes on for a moment."""


class FaultyCluster:
    """The servers and their database."""

    def __init__(self, folder: Path, database: PostgresServer, seed: int) -> None:
        self.folder = folder
        self.database = database
        self.url = database.new_database()
        self.schema = self.url.rpartition("%3D")[2]
        self.proxies = {number: FaultyProxy(database.port) for number in PROXIED}
        self.nodes: dict[int, Killable] = {}
        self.urls: list[str] = []
        self.random = random.Random(seed)
        self.script = folder / "script.json"
        self.script.write_text('{"pace": 0.01}')

    def start(self, number: int) -> None:
        """Start a server, where its predecessor was."""
        home = self.folder / f"node{number}"
        home.mkdir(exist_ok=True)
        more: dict[str, Any] = {
            "database": self.url_for(number),
            "role": ROLES[number],
            "shared_folder": self.folder / "shared",
            "lease_seconds": LEASE,
        }
        (self.folder / "shared").mkdir(exist_ok=True)
        self.nodes[number] = start(home, self.script, more=more)
        self.urls[:] = [node.url for place, node in self.nodes.items() if ROLES[place] != "worker"]

    def url_for(self, number: int) -> str:
        """The database's address as a server has it."""
        proxy = self.proxies.get(number)
        return self.url if proxy is None else self.url.replace(f":{self.database.port}/", f":{proxy.port}/")

    def kill(self) -> None:
        """``kill -9`` of a server; another one is started in its place."""
        number = self.random.choice(list(self.nodes))
        self.nodes[number].kill()
        time.sleep(self.random.uniform(0, 1))
        self.start(number)

    def pause(self) -> None:
        """SIGSTOP past the lease, and SIGCONT; a server that another one has taken over ends by itself."""
        number = self.random.choice(list(self.nodes))
        process = self.nodes[number].process
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(LEASE + self.random.uniform(0.5, 3))
        os.kill(process.pid, signal.SIGCONT)
        self.settle(number)

    def settle(self, number: int) -> None:
        """Wait until a server has renewed its lease; one that another has taken over ends by itself, and is started again."""
        node, deadline = self.nodes[number], time.monotonic() + 60
        while node.process.is_alive() and not self.is_leased(node.process.pid):
            if time.monotonic() > deadline:
                node.print_tasks()
                raise AssertionError("a server that was cut off goes on")
            time.sleep(0.05)
        if not node.process.is_alive():
            self.start(number)

    def stall(self) -> None:
        """What one server says to the database, and hears of it, comes late: later than its lease, or not."""
        number = self.random.choice(PROXIED)
        self.proxies[number].stall()
        time.sleep(self.random.choice((LEASE / 3, LEASE + self.random.uniform(0.5, 3))))
        self.go_on(number)

    def drop(self) -> None:
        """One server's connections are reset, and it gets no other for a while."""
        number = self.random.choice(PROXIED)
        self.proxies[number].drop()
        time.sleep(self.random.choice((0.1, LEASE / 3, LEASE + self.random.uniform(0.5, 3))))
        self.go_on(number)

    def go_on(self, number: int) -> None:
        """The proxy passes everything again."""
        self.proxies[number].resume()
        self.settle(number)

    def is_leased(self, pid: int | None) -> bool:
        """Whether a server has just renewed its lease."""
        return bool(
            self.database.execute(
                f"SELECT 1 FROM {self.schema}.nodes WHERE name LIKE '%:{pid}' "
                f"AND lease_until > clock_timestamp() + interval '{LEASE / 2} s'"
            )
        )

    def deafen(self) -> None:
        """The connections that listen are terminated."""
        self._terminate("application_name = 'kodo news'")

    def disconnect(self) -> None:
        """All connections are terminated."""
        self._terminate("application_name LIKE 'kodo %'")

    def _terminate(self, which: str) -> None:
        self.database.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {which}")

    def restart_database(self) -> None:
        """In order."""
        self.database.stop(signal.SIGINT)
        self.database.start()

    def outage(self) -> None:
        """The database is away for longer than the lease: the servers come back by themselves."""
        self.database.stop(signal.SIGINT)
        time.sleep(LEASE + self.random.uniform(1, 3))
        self.database.start()
        time.sleep(2 * LEASE)

    def check_all_run(self, last: str) -> None:
        """No server has ended but those that a fault has ended, which were started again."""
        ended = {number: node.process.exitcode for number, node in self.nodes.items()}
        assert set(ended.values()) == {None}, f"a server ended, last fault {last}: exit codes {ended}"

    def crash_database(self) -> None:
        """Without a checkpoint."""
        self.database.stop(signal.SIGQUIT)
        self.database.start()

    def kill_database(self) -> None:
        """Its first process is killed; the others notice, and end by themselves."""
        self.database.stop(signal.SIGKILL)
        for attempt in range(20):
            try:
                self.database.start()
                return
            except RuntimeError:  # the memory that the last ones shared is still in use
                if attempt == 19:
                    raise
                time.sleep(0.5)

    def check_sums(self, deleted: int) -> None:
        """The sums of usage are those of the responses: nothing was counted twice, and only what was deleted is in no row."""
        rows = self.database.execute(
            f"SELECT count(*), sum(input), sum(output) FROM {self.schema}.activity "
            "WHERE status NOT IN ('queued', 'in_progress')"
        )[0]
        sums = self.database.execute(
            "SELECT sum(requests), sum(input), sum(output) "
            f"FROM {self.schema}.activity_sums WHERE width = 3600"
        )[0]
        assert rows[0] <= sums[0] <= rows[0] + deleted, (rows, sums, deleted)
        assert rows[1] <= sums[1] and rows[2] <= sums[2], (rows, sums)

    async def make_keys(self) -> tuple[str, str]:
        """The keys of two projects, with budgets that nothing spends: for what is stored, and for answers that are not."""
        store = PostgresStore(self.url, role="tool")
        await store.open()
        made = []
        for project, limits in ((STORED, {}), (UNSTORED, {"concurrent_requests": 3})):
            key, row = new_key(name=project, project=project, tokens_per_day=10**12, **limits)
            await store.put_key(row)
            made.append(key)
        await store.close()
        return made[0], made[1]

    def check_budgets(self, notes: Notes, cut_off: int) -> str:
        """What a budget counts is the usage of its key's answers, in words.

        Exactly, where they are stored: also of those that another server ended, that failed, and that were deleted. An answer
        that is not stored is counted where its client has it, unless its server was cut off (``cut_off`` times in all) and
        could write nothing more.
        """
        with open_snapshot(self.url) as connection:

            def total(query: str, *parameters: str) -> int:
                return int(connection.execute(query, parameters).fetchone()[0] or 0)

            spending = (
                "SELECT sum(tokens) FROM key_spending JOIN keys ON keys.id = key_id WHERE keys.project = ?"
            )
            counted, spent = total(spending, STORED), total(spending, UNSTORED)
            used = total(
                "SELECT sum(input + output) FROM activity_sums WHERE width = 3600 AND owner = ?", STORED
            )
            kept = total(
                "SELECT sum((convert_from(response, 'UTF8')::jsonb -> 'usage' ->> 'total_tokens')::bigint) "
                "FROM responses WHERE final = 1 AND gone = 0 AND owner = ?",
                STORED,
            )
        assert counted == used, f"the budget counts {counted} tokens, ended responses used {used}"
        assert kept <= counted, f"the budget counts {counted} tokens, the responses that are kept say {kept}"
        assert notes.deleted or kept == counted
        told, largest = sum(notes.unstored), max(notes.unstored)
        assert told - cut_off * largest <= spent <= told + notes.unsure_unstored * largest, (spent, told)
        return (
            f"stored: {counted} tokens in the budget, {used} in responses that ended, {counted - kept} of them deleted; "
            f"not stored: {spent} in the budget, {told} in {len(notes.unstored)} answers, {notes.unsure_unstored} had none"
        )

    def close(self) -> None:
        """End everything."""
        for node in self.nodes.values():
            node.kill()
        for proxy in self.proxies.values():
            proxy.close()


@pytest.mark.timeout(max(900, 60 * FAULTS))
async def test_nothing_acknowledged_is_lost_and_nothing_happens_twice(tmp_path: Path) -> None:
    """See the module."""
    database = await asyncio.to_thread(lambda: PostgresServer(quick=False))
    cluster = FaultyCluster(tmp_path, database, SEED)
    notes, done = Notes(), Counter[str]()
    try:
        for number in range(len(ROLES)):
            await asyncio.to_thread(cluster.start, number)
        load = ClusterLoad(cluster.urls, notes, SEED, keys=await cluster.make_keys())
        running = asyncio.create_task(load.run())
        faults = [
            cluster.kill,
            cluster.pause,
            cluster.deafen,
            cluster.disconnect,
            cluster.restart_database,
            cluster.crash_database,
            cluster.outage,
            cluster.kill_database,
            cluster.stall,
            cluster.drop,
        ]
        last = "none"
        for number in range(FAULTS):
            await asyncio.sleep(cluster.random.uniform(0.5, 2.5))
            assert not running.done(), running.exception()
            cluster.check_all_run(last)
            fault = faults[number % len(faults)] if number < len(faults) else cluster.random.choice(faults)
            await asyncio.to_thread(fault)
            last = fault.__name__
            done[last] += 1
            print(f"{number + 1}: {last}", flush=True)
        await asyncio.sleep(2 if FAULTS else CONTROL_SECONDS)
        cluster.check_all_run(last)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await load.look()
        await asyncio.to_thread(cluster.check_sums, len(notes.deleted))
        cut_off = sum(done[fault] for fault in CUTTING_OFF)
        print("\n" + await asyncio.to_thread(cluster.check_budgets, notes, cut_off))
        assert await load.is_admitted(), "what a dead server ran still counts"
        print(f"\n{FAULTS} faults {dict(done)}, {notes.count()} acknowledgements, seed {SEED}")
    finally:
        await asyncio.to_thread(cluster.close)
        await asyncio.to_thread(database.close)
