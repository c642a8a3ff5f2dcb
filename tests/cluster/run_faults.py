"""Three servers on one PostgreSQL under a mixed load, and faults one after the other (``make cluster``).

Servers are killed, or paused past their lease and woken; connections that listen, or all, are terminated; PostgreSQL is
restarted, and crashed. Only processes that this test has started are touched. Afterwards nothing that was acknowledged is
lost, no event is missing or there twice, and each line of a batch has one result.
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
from tests.crash.process import Killable, start
from tests.postgres_server import PostgresServer

FAULTS = int(os.environ.get("KODO_CLUSTER_FAULTS", "10"))
SEED = int(os.environ.get("KODO_CLUSTER_SEED", "0")) or int(time.time())
NODES = 3
CONTROL_SECONDS = 20.0
"""How long the load runs where there are no faults (N=0)."""
LEASE = 3.0


class FaultyCluster:
    """The servers and their database."""

    def __init__(self, folder: Path, database: PostgresServer, seed: int) -> None:
        self.folder = folder
        self.database = database
        self.url = database.new_database()
        self.schema = self.url.rpartition("%3D")[2]
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
            "database": self.url,
            "shared_folder": self.folder / "shared",
            "lease_seconds": LEASE,
        }
        (self.folder / "shared").mkdir(exist_ok=True)
        self.nodes[number] = start(home, self.script, more=more)
        self.urls[:] = [node.url for node in self.nodes.values()]

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
        taken_over = not self.is_member(process.pid)
        os.kill(process.pid, signal.SIGCONT)
        if taken_over:
            process.join(60)
            assert not process.is_alive(), "a server that was cut off goes on"
            self.start(number)

    def is_member(self, pid: int) -> bool:
        """Whether no server has taken over yet what this one does."""
        return bool(self.database.execute(f"SELECT 1 FROM {self.schema}.nodes WHERE name LIKE '%:{pid}'"))

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
        assert all(node.process.is_alive() for node in self.nodes.values()), (
            "a server ended with the database"
        )

    def crash_database(self) -> None:
        """Without a checkpoint."""
        self.database.stop(signal.SIGQUIT)
        self.database.start()

    def close(self) -> None:
        """End everything."""
        for node in self.nodes.values():
            node.kill()


@pytest.mark.timeout(max(900, 60 * FAULTS))
async def test_nothing_acknowledged_is_lost_and_nothing_happens_twice(tmp_path: Path) -> None:
    """See the module."""
    database = await asyncio.to_thread(lambda: PostgresServer(quick=False))
    cluster = FaultyCluster(tmp_path, database, SEED)
    notes, done = Notes(), Counter[str]()
    try:
        for number in range(NODES):
            await asyncio.to_thread(cluster.start, number)
        load = ClusterLoad(cluster.urls, notes, SEED)
        running = asyncio.create_task(load.run())
        faults = [
            cluster.kill,
            cluster.pause,
            cluster.deafen,
            cluster.disconnect,
            cluster.restart_database,
            cluster.crash_database,
            cluster.outage,
        ]
        for number in range(FAULTS):
            await asyncio.sleep(cluster.random.uniform(0.5, 2.5))
            assert not running.done(), running.exception()
            fault = faults[number % len(faults)] if number < len(faults) else cluster.random.choice(faults)
            await asyncio.to_thread(fault)
            done[fault.__name__] += 1
        await asyncio.sleep(2 if FAULTS else CONTROL_SECONDS)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await load.look()
        print(f"\n{FAULTS} faults {dict(done)}, {notes.count()} acknowledgements, seed {SEED}")
    finally:
        await asyncio.to_thread(cluster.close)
        await asyncio.to_thread(database.close)
