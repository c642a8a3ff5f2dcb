"""A rolling upgrade under load (``make cluster``): servers of an earlier version and of this one on one PostgreSQL.

Two servers of the version before the last migration begin; one of this version migrates the database under them; servers of
both are killed, those of this version paused past their lease, and all connections ended; then the old ones are replaced. Nothing that was
acknowledged is lost, no event is missing or there twice. What the older version does not have, vector stores on PostgreSQL, is not asked of it;
and it is not paused: taken for dead while it wrote the end of a response, it said that it was stored (mended in this version).
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.cluster import older
from tests.cluster.load import ClusterLoad, Notes
from tests.cluster.older import OlderServer
from tests.crash.process import Killable
from tests.crash.process import start as start_present
from tests.postgres_server import PostgresServer

from kodo.server.store.postgres import schema

LEASE = float(os.environ.get("KODO_CLUSTER_LEASE", "3"))
"""Seconds; a busy machine may starve a server for three."""
ROUNDS = int(os.environ.get("KODO_VERSION_FAULTS", "12"))
NEW = 2
"""The server of this version; 0 and 1 begin as older ones."""
SEED = int(os.environ.get("KODO_CLUSTER_SEED", "0")) or int(time.time())


class MixedCluster:
    """Servers of two versions by number, and their database."""

    def __init__(self, folder: Path, database: PostgresServer, source: Path) -> None:
        self.folder = folder
        self.database = database
        self.source = source
        self.url = database.new_database()
        self.schema = self.url.rpartition("%3D")[2]
        self.random = random.Random(SEED)
        self.nodes: dict[int, OlderServer | Killable] = {}
        self.urls: list[str] = []
        self.script = folder / "script.json"
        self.script.write_text('{"pace": 0.01}')
        (folder / "shared").mkdir()

    def start(self, number: int, *, old: bool) -> None:
        """Start a server of a version."""
        home = self.folder / f"node{number}"
        home.mkdir(exist_ok=True)
        shared = self.folder / "shared"
        if old:
            more = {"database": self.url, "shared_folder": str(shared), "lease_seconds": LEASE}
            self.nodes[number] = older.start(self.source, home, self.script, more)
        else:
            (home / "config.toml").unlink(missing_ok=True)
            self.nodes[number] = start_present(
                home,
                self.script,
                more={"database": self.url, "shared_folder": shared, "lease_seconds": LEASE},
            )
        self.urls[:] = [node.url for node in self.nodes.values()]

    def is_old(self, number: int) -> bool:
        """Whether a server is of the earlier version."""
        return isinstance(self.nodes[number], OlderServer)

    def is_alive(self, number: int) -> bool:
        """Whether a server runs."""
        node = self.nodes[number]
        return node.is_alive() if isinstance(node, OlderServer) else node.process.is_alive()

    def version(self) -> int:
        """Of the database's tables."""
        return int(self.database.execute(f"SELECT max(version) FROM {self.schema}.kodo_schema")[0][0])

    def kill(self, number: int) -> None:
        """``kill -9``; the same version is started in its place, the old one on a database that is ahead of it."""
        old = self.is_old(number)
        self.nodes[number].kill()
        self.start(number, old=old)

    def pause(self, number: int) -> None:
        """SIGSTOP past the lease; one that another has taken over ends by itself, and is started again."""
        old, pid = self.is_old(number), self.nodes[number].process.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        time.sleep(LEASE + self.random.uniform(1, 3))
        os.kill(pid, signal.SIGCONT)
        deadline = time.monotonic() + 60
        while self.is_alive(number) and time.monotonic() < deadline:
            if self.database.execute(
                f"SELECT 1 FROM {self.schema}.nodes WHERE name LIKE '%:{pid}' AND lease_until > clock_timestamp() + interval '1 s'"
            ):
                return
            time.sleep(0.05)
        assert not self.is_alive(number), "a server that was cut off goes on"
        self.start(number, old=old)

    def disconnect(self, number: int) -> None:
        """All connections of all servers are ended."""
        self.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'kodo %'"
        )

    def replace(self, number: int) -> None:
        """A server of the earlier version stops in order, and one of this version comes in its place."""
        assert self.nodes[number].stop() == 0
        self.start(number, old=False)

    def check_all_run(self, last: str) -> None:
        """No server has ended by itself."""
        assert all(self.is_alive(number) for number in self.nodes), f"a server ended, last {last}"

    def close(self) -> None:
        """End everything."""
        for node in self.nodes.values():
            node.kill()


@pytest.mark.timeout(900)
async def test_two_versions_at_once_lose_nothing(tmp_path: Path) -> None:
    """See the module."""
    earlier = await asyncio.to_thread(older.older_version, tmp_path / "older")
    newest = len(schema.migrations())
    print(f"\nolder version: {earlier.name}", flush=True)
    database = await asyncio.to_thread(lambda: PostgresServer(quick=False))
    cluster = MixedCluster(tmp_path, database, earlier.source)
    notes, done = Notes(), Counter[str]()
    try:
        if not earlier.is_real:
            await asyncio.to_thread(cluster.start, NEW, old=False)
        for number in range(2):
            await asyncio.to_thread(cluster.start, number, old=True)
        assert cluster.version() == newest - earlier.is_real
        load = ClusterLoad(cluster.urls, notes, SEED, searches=False)
        running = asyncio.create_task(load.run())
        await asyncio.sleep(5)
        before = notes.count()
        assert before
        if earlier.is_real:
            await asyncio.to_thread(cluster.start, NEW, old=False)
        assert cluster.version() == newest
        faults = [cluster.kill, cluster.disconnect, cluster.pause]
        for step in range(ROUNDS):
            await asyncio.sleep(cluster.random.uniform(0.5, 2))
            assert not running.done(), running.exception()
            fault, number = faults[step % len(faults)], step // len(faults) % len(cluster.nodes)
            if fault == cluster.pause:
                number = NEW
            word = f"{fault.__name__} of {'the earlier' if cluster.is_old(number) else 'this'} version"
            await asyncio.to_thread(fault, number)
            done[word] += 1
            print(f"{step + 1}: {word}", flush=True)
            cluster.check_all_run(word)
        mixed = notes.count() - before
        for number in range(2):
            await asyncio.to_thread(cluster.replace, number)
        await asyncio.sleep(2)
        cluster.check_all_run("upgrade")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await load.look()
        print(
            f"\n{dict(done)}, {notes.count()} acknowledgements, {mixed} of them from both versions at once, seed {SEED}"
        )
    finally:
        await asyncio.to_thread(cluster.close)
        await asyncio.to_thread(database.close)
