"""Several servers behind one name: choice, failover, breakers, and 200 injected faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.contract.engines import answer, asking
from tests.serving import MODEL, served, settings

from kodo.server.config import ModelSettings, TargetSettings
from kodo.server.engines.upstream.engine import UpstreamEngine
from kodo.server.engines.upstream.pool import Breaker
from kodo.server.engines.upstream.target import TargetOptions
from kodo.server.lifecycle.errors import EngineFailed, EngineUnavailable, InvalidRequest, Overloaded
from kodo.server.lifecycle.ports import CachePolicy, Routed

Fault = str | None
"""``refuse`` (the connection), ``500``, ``429``, ``400``, ``cut_head``, ``cut_first`` (200, then nothing), ``cut_middle``."""
WORDS = [f"word{number} " for number in range(12)]


class FaultyServer:
    """A server that answers twelve words, or fails as it is told to for each request."""

    def __init__(self, next_fault: Callable[[], Fault]) -> None:
        self.next_fault = next_fault
        self.asked = 0
        self.url = ""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> FaultyServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *args: object) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                size = int(head.partition("content-length: ")[2].partition("\r")[0] or 0)
                await reader.readexactly(size)
                if head.startswith("get"):
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    continue
                self.asked += 1
                if not await self._answer(writer, self.next_fault()):
                    break
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, fault: Fault) -> bool:
        """Whether the connection stays open."""
        if fault in ("500", "429", "400"):
            body = json.dumps({"error": {"message": f"injected {fault}"}})
            writer.write(f"HTTP/1.1 {fault} X\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
            return True
        if fault in ("refuse", "cut_head"):
            return False
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for number, word in enumerate(WORDS):
            if fault == "cut_first" or (fault == "cut_middle" and number == 5):
                await writer.drain()
                return False
            self._chunk(writer, json.dumps({"choices": [{"delta": {"content": word}}]}))
        self._chunk(writer, json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]}))
        self._chunk(writer, "[DONE]")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    @staticmethod
    def _chunk(writer: asyncio.StreamWriter, data: str) -> None:
        frame = f"data: {data}\n\n".encode()
        writer.write(f"{len(frame):x}\r\n".encode() + frame + b"\r\n")


def pool(*servers: FaultyServer) -> UpstreamEngine:
    """An engine over the servers, called a, b, c …"""
    return UpstreamEngine(
        [
            TargetOptions(name=name, base_url=server.url, model="m", profile="generic")
            for name, server in zip("abcdef", servers, strict=False)
        ]
    )


@contextlib.asynccontextmanager
async def servers(*faults: Callable[[], Fault]) -> AsyncIterator[tuple[UpstreamEngine, list[FaultyServer]]]:
    """Servers with their faults, and an engine over them."""
    async with contextlib.AsyncExitStack() as stack:
        made = [await stack.enter_async_context(FaultyServer(fault)) for fault in faults]
        engine = pool(*made)
        yield engine, made
        await engine.stop()


def never() -> Fault:
    """No fault."""
    return None


async def test_two_hundred_faults_lose_no_answer_and_repeat_no_token() -> None:
    """Faults before the first token are not seen; one behind it ends the answer with its beginning, once."""
    chance = random.Random(16)
    kinds = ["refuse", "500", "429", "cut_head", "cut_first", "cut_middle"]
    injected: list[str] = []

    def fault() -> Fault:
        if len(injected) < 200 and chance.random() < 0.6:
            injected.append(chance.choice(kinds))
            return injected[-1]
        return None

    text = "".join(WORDS)
    outcomes: Counter[str] = Counter()

    async def ask(engine: UpstreamEngine, number: int) -> None:
        got = ""
        prepared = await engine.prepare(asking(f"question {number}"))
        try:
            async for event in engine.generate(prepared):
                got += getattr(event, "text", "")
        except EngineFailed:
            outcomes["broken off"] += 1
            assert got == "".join(WORDS[:5])  # cut in the middle: no token twice, no second beginning
            return
        except (EngineUnavailable, Overloaded):
            outcomes["refused"] += 1
            assert got == ""
            return
        outcomes["whole"] += 1
        assert got == text

    async with servers(fault, fault, never) as (engine, made):
        while len(injected) < 200:
            await asyncio.gather(*(ask(engine, number) for number in range(8)))
            for breaker in engine._pool.breakers.values():  # the pauses pass
                breaker.succeeded()
                breaker.busy_until = 0.0
        stats = {one.target: one for one in engine.target_stats()}
    assert len(injected) == 200
    assert outcomes["refused"] == 0  # the third server could answer each of them
    assert outcomes["broken off"] == injected.count("cut_middle")
    assert outcomes["whole"] == sum(one.ok for one in stats.values())
    attempts = sum(one.ok + one.unavailable + one.busy + one.failed for one in stats.values())
    # a connection that was kept open and is closed without a byte is replaced once, inside one attempt
    assert (
        attempts
        <= sum(one.asked for one in made)
        <= attempts + injected.count("refuse") + injected.count("cut_head")
    )


async def test_all_servers_fail_and_the_error_is_theirs() -> None:
    """When no server is left, the client is told why, with the shortest wait."""
    async with servers(lambda: "500", lambda: "429") as (engine, made):
        with pytest.raises(Overloaded, match="injected"):
            await answer(engine, asking("Go."))
        assert [one.asked for one in made] == [1, 1]
        assert not engine._pool.breakers["a"].allows(asyncio.get_running_loop().time())


async def test_a_refused_request_is_not_tried_elsewhere() -> None:
    """A 400 is the request's fault: one server is asked."""
    async with servers(lambda: "400", lambda: "400") as (engine, made):
        with pytest.raises(InvalidRequest, match="injected 400"):
            await answer(engine, asking("Go."))
        assert sum(one.asked for one in made) == 1


async def test_a_chain_stays_with_its_server_and_keys_spread() -> None:
    """The same cache key goes to the same server each time; forty keys use all three."""
    async with servers(never, never, never) as (engine, made):
        used = Counter()
        for key in range(40):
            names = set()
            for _ in range(2):
                got = await answer(engine, asking("Hi", cache=CachePolicy(key=f"key-{key}")))
                routed = next(event for event in got.events if isinstance(event, Routed))
                names.add(routed.metadata["kodo.target"])
            assert len(names) == 1
            used.update(names)
        assert len(used) == 3
        assert sum(one.asked for one in made) == 80


async def test_a_warm_server_that_is_busy_gives_way_to_an_idle_one() -> None:
    """Affinity does not pile up: five more requests than the idlest are enough."""
    async with servers(never, never) as (engine, _):
        favourite = engine._pool.choose(b"k", ())
        assert favourite is not None
        favourite.in_flight += 5
        other = engine._pool.choose(b"k", ())
        assert other is not None
        assert other.name != favourite.name


async def test_a_server_that_comes_back_is_asked_again() -> None:
    """Its breaker opens, its health is asked, one request tries it, and it is in use again."""
    down = True

    def fault() -> Fault:
        return "cut_head" if down else None

    async with servers(fault, never) as (engine, made):
        for number in range(20):
            await answer(engine, asking("Hi", cache=CachePolicy(key=str(number))))
        assert engine._pool.breakers["a"].state == "open"
        assert made[0].asked == 1
        assert engine.ready
        down = False
        for _ in range(100):
            if engine._pool.breakers["a"].state == "half_open":
                break
            await asyncio.sleep(0.05)
        await answer(engine, asking("Hi"))
        assert engine._pool.breakers["a"].state == "closed"
        assert made[0].asked == 2


async def test_a_server_that_comes_back_without_room_is_left_alone_until_then() -> None:
    """A 429 as the answer to its trial: it works, so the next requests do not ask it first, one after the other."""
    async with servers(lambda: "429", never) as (engine, made):
        breaker = engine._pool.breakers["a"]
        breaker.half_open()
        for number in range(5):
            await answer(engine, asking("Hi", cache=CachePolicy(key=str(number))))
        assert (breaker.state, made[0].asked, made[1].asked) == ("closed", 1, 5)


def test_a_breakers_pause_doubles_up_to_its_limit() -> None:
    """One second, then twice as long with each failed trial, thirty at most."""
    breaker = Breaker()
    pauses = []
    now = 100.0
    for _ in range(7):
        breaker.failed(now, unreachable=True)
        pauses.append(breaker.retry_at - now)
        breaker.half_open()
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    breaker.succeeded()
    breaker.failed(now, unreachable=False)
    assert breaker.state == "closed"  # one failure in an answer is not a server that is down


async def test_where_an_answer_came_from_stands_in_its_metadata_and_metrics(tmp_path: Path) -> None:
    """`kodo.target` and `kodo.failovers` in the stored response; attempts by outcome in `/metrics`."""
    async with FaultyServer(lambda: "500") as bad, FaultyServer(never) as good:
        targets = (
            TargetSettings(name="bad", base_url=bad.url),
            TargetSettings(name="good", base_url=good.url),
        )
        model = ModelSettings(engine="upstream", target="m", targets=targets, profile="generic")
        async with served(settings(tmp_path, model)) as server, server.http() as http:
            sdk = server.sdk()
            seen = [
                await sdk.responses.create(model=MODEL, input=f"Hi {n}", metadata={"mine": "1"})
                for n in range(8)
            ]
            stored = await sdk.responses.retrieve(seen[0].id)
            metrics = (await http.get("/metrics")).text
    failed_over = [one for one in seen if "kodo.failovers" in (one.metadata or {})]
    assert 1 <= len(failed_over) <= 4  # then the breaker is open, but for a trial
    assert "injected 500" in (failed_over[0].metadata or {})["kodo.failovers"]
    assert all(
        (one.metadata or {})["kodo.target"] == "good" and (one.metadata or {})["mine"] == "1" for one in seen
    )
    assert stored.metadata == seen[0].metadata
    assert (
        f'kodo_upstream_attempts_total{{model="{MODEL}",outcome="unavailable",target="bad"}} {len(failed_over)}.0'
        in metrics
    )
    assert f'kodo_upstream_attempts_total{{model="{MODEL}",outcome="ok",target="good"}} 8.0' in metrics
    assert f'kodo_upstream_up{{model="{MODEL}",target="good"}} 1.0' in metrics
