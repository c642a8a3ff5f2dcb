"""Loops of tools that go from server to server while servers are killed (``make cluster``).

Two servers on one PostgreSQL. Clients with OpenAI's own library create runs of the Assistants API, send the outputs of each call
to the server that did not ask for it, plain and streamed, change metadata and cancel; some send the outputs to both at once. The server
that has just been given outputs gets ``kill -9``, or is paused past its lease, at a moment between their arrival and the end of
what follows. Outputs that were acknowledged are never asked for again, each call has one output, each run ends once and as it should;
and a run that waits while no server lives expires when one is there again.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types.beta.threads import Run
from tests.crash.process import Killable, start
from tests.postgres_server import PostgresServer
from tests.serving import MODEL

from kodo.server.http.assistants.run_states import RUN_STATUS

KILLS = int(os.environ.get("KODO_HANDOVER_KILLS", "10"))
SEED = int(os.environ.get("KODO_CLUSTER_SEED", "0")) or int(time.time())
LEASE = float(os.environ.get("KODO_CLUSTER_LEASE", "3"))
"""Seconds; a busy machine may starve a server for three."""
CLIENTS = 6
CALLS = 3
"""Calls of a run, one after the other."""
TOOL: Any = {"type": "function", "function": {"name": "act", "parameters": {"type": "object"}}}
DONE = "All of it is done."
SCRIPT = json.dumps(
    {
        "pace": 0.02,
        "turns": [
            {"match": f"output {CALLS}", "steps": [{"type": "text", "text": DONE}]},
            {"match": ".", "steps": [{"type": "call", "name": "act", "arguments": {"now": True}}]},
        ],
    }
)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK marks this API so


class Pair:
    """Two servers and their database; each is started again where it was killed."""

    def __init__(self, folder: Path, database: PostgresServer) -> None:
        self.folder = folder
        self.url = database.new_database()
        self.script = folder / "script.json"
        self.script.write_text(SCRIPT)
        (folder / "shared").mkdir()
        self.nodes: list[Killable | None] = [None, None]
        self.run_seconds = 600.0

    def start(self, number: int) -> None:
        """Start a server."""
        home = self.folder / f"node{number}"
        home.mkdir(exist_ok=True)
        more = {"database": self.url, "shared_folder": self.folder / "shared", "lease_seconds": LEASE}
        self.nodes[number] = start(home, self.script, run_seconds=self.run_seconds, more=more)

    def kill(self, number: int) -> None:
        """``kill -9``."""
        node = self.nodes[number]
        assert node is not None
        self.nodes[number] = None
        node.kill()

    def pause(self, number: int) -> None:
        """SIGSTOP past the lease, and SIGCONT; a server that the other one has taken for dead ends by itself, and is started again."""
        node = self.nodes[number]
        assert node is not None and node.process.pid is not None
        os.kill(node.process.pid, signal.SIGSTOP)
        self.nodes[number] = None
        try:
            time.sleep(LEASE + 2)
        finally:
            os.kill(node.process.pid, signal.SIGCONT)
        node.process.join(10)
        if node.process.is_alive():  # it was not looked for meanwhile
            self.nodes[number] = node
        else:
            self.start(number)

    def sdk(self, number: int) -> openai.AsyncOpenAI:
        """The unmodified SDK for a server, or for the other one while that is away; without its own retries."""
        node = self.nodes[number] or self.nodes[1 - number]
        assert node is not None
        return openai.AsyncOpenAI(base_url=f"{node.url}/v1", api_key="any", max_retries=0, timeout=30)

    def close(self) -> None:
        """End everything."""
        for node in self.nodes:
            if node is not None:
                node.kill()


class Client:
    """Runs, one behind the other. ``taken`` is told which server has just been given outputs."""

    def __init__(self, pair: Pair, seed: int, taken: asyncio.Queue[int], done: Counter[str]) -> None:
        self.pair = pair
        self.random = random.Random(seed)
        self.taken = taken
        self.done = done
        self.runs: list[Run] = []

    async def surely(self, number: int, call: Any) -> Any:
        """What ``call`` of a server's threads answers, asked of one after the other until one does."""
        for place in itertools.count(number):
            try:
                return await call(self.pair.sdk(place % 2).beta)
            except (openai.APIConnectionError, openai.InternalServerError):
                await asyncio.sleep(0.1)
        raise AssertionError

    async def work(self) -> None:
        """Runs until cancelled."""
        assistant = await self.surely(0, lambda beta: beta.assistants.create(model=MODEL, tools=[TOOL]))
        while True:
            await self.one(assistant.id)

    async def one(self, assistant: str) -> None:
        """One run, from server to server."""
        number = self.random.randrange(2)
        message = {"role": "user", "content": "begin"}
        thread = await self.surely(number, lambda beta: beta.threads.create(messages=[message]))
        made: list[Run] = []
        while not made:  # an answer that was lost leaves a run, which is then the thread's
            try:
                await self.surely(
                    number, lambda beta: beta.threads.runs.create(thread.id, assistant_id=assistant)
                )
            except openai.BadRequestError as error:
                assert error.code == "thread_has_active_run"
            listed = await self.surely(number, lambda beta: beta.threads.runs.list(thread.id))
            made = list(listed.data)
        run, answered = made[0], set[str]()
        cancels = self.random.random() < 0.2
        for call in range(1, CALLS + 1):
            number = 1 - number
            run = await self.still(number, run, answered)
            if cancels and call == 2:
                await self.cancel(number, run)
                break
            run = await self.answer(number, run, f"output {call}", answered)
        self.runs.append(run)

    async def still(self, number: int, run: Run, answered: set[str]) -> Run:
        """The run, once it is over or asks for something; never for what it was given."""
        while True:
            found: Run = await self.surely(
                number, lambda beta: beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
            )
            if found.status in RUN_STATUS.final or found.status == "requires_action":
                asked = {call["tool_call_id"] for call in outputs(found, "")}
                assert not asked & answered, f"run {run.id} asks again for what it was given"
                return found
            await asyncio.sleep(0.05)

    async def answer(self, number: int, run: Run, text: str, answered: set[str]) -> Run:
        """Send the outputs of what a run asks for, until a server has acknowledged them or shows that it has them."""
        way = self.random.choice(("plain", "plain", "stream", "both"))
        if self.random.random() < 0.3:
            n = {"n": text}
            await self.surely(
                number,
                lambda beta: beta.threads.runs.update(run.id, thread_id=run.thread_id, metadata=n),
            )
        given = outputs(run, text)
        while True:
            assert run.status == "requires_action", run
            self.taken.put_nowait(number)
            sent = [self.submit(place, run, given, way) for place in ((0, 1) if way == "both" else (number,))]
            answers = await asyncio.gather(*sent)
            assert answers.count("taken") <= 1, f"outputs of {run.id} were taken twice"
            self.done[way] += answers.count("taken")
            if "taken" in answers:
                answered |= {call["tool_call_id"] for call in given}
            found = await self.still(number, run, answered)
            asked = {call["tool_call_id"] for call in outputs(found, "")}
            if not asked & {call["tool_call_id"] for call in given}:
                return found
            assert "refused" not in answers, f"run {run.id} waits, and was said not to"

    async def submit(self, number: int, run: Run, given: Any, way: str) -> str:
        """Whether a server has ``taken`` outputs, has ``refused`` them, or it is ``unknown``."""
        runs = self.pair.sdk(number).beta.threads.runs
        taken = False
        try:
            if way == "stream":
                async with runs.submit_tool_outputs_stream(
                    run_id=run.id, thread_id=run.thread_id, tool_outputs=given
                ) as stream:
                    async for _ in stream:
                        taken = True
            else:
                await runs.submit_tool_outputs(run.id, thread_id=run.thread_id, tool_outputs=given)
        except openai.BadRequestError as error:
            taken_already = (
                "do not accept tool outputs",
                "Expected tool outputs for call_ids",
            )  # or asks for more
            assert any(words in error.message for words in taken_already), error
            return "refused"
        except (
            openai.APIError,
            httpx2.HTTPError,
            OSError,
        ):  # a stream that is cut is the HTTP client's error
            return "taken" if taken else "unknown"
        return "taken"

    async def cancel(self, number: int, run: Run) -> None:
        """Cancel a run that waits; a server that dies meanwhile has done it or not."""
        try:
            await self.surely(number, lambda beta: beta.threads.runs.cancel(run.id, thread_id=run.thread_id))
        except openai.BadRequestError as error:
            assert "Cannot cancel run with status 'cancel" in error.message, error
        self.done["cancel"] += 1

    async def look(self) -> None:
        """Each run has ended as it should, and its thread has everything once, at both servers."""
        for run, place in itertools.product(self.runs, (0, 1)):
            threads = self.pair.sdk(place).beta.threads
            found = await self.still(place, run, set())
            steps = [
                step async for step in threads.runs.steps.list(run.id, thread_id=run.thread_id, order="asc")
            ]
            kinds = [(step.type, step.status) for step in steps]
            messages = [message async for message in threads.messages.list(run.thread_id)]
            if found.status == "cancelled":
                assert kinds == [("tool_calls", "completed"), ("tool_calls", "cancelled")], (run.id, kinds)
                assert len(messages) == 1
                continue
            assert found.status == "completed", found
            assert kinds == [*[("tool_calls", "completed")] * CALLS, ("message_creation", "completed")]
            said = [step.step_details for step in steps if step.step_details.type == "tool_calls"]
            given = [
                call.function.output for one in said for call in one.tool_calls if call.type == "function"
            ]
            assert given == [f"output {call}" for call in range(1, CALLS + 1)]
            assert found.usage is not None
            assert found.usage.total_tokens == sum(step.usage.total_tokens for step in steps if step.usage)
            assert [message.role for message in messages] == ["assistant", "user"]


def outputs(run: Run, text: str) -> list[Any]:
    """The outputs of what a run asks for."""
    if run.required_action is None:
        return []
    calls = run.required_action.submit_tool_outputs.tool_calls
    return [{"tool_call_id": call.id, "output": text} for call in calls]


async def kill_takers(pair: Pair, taken: asyncio.Queue[int], rng: random.Random) -> None:
    """Kill the server that is given outputs, at a moment from their arrival to the end of the turn, ``KILLS`` times; every fourth time
    it is paused."""
    for number in range(KILLS):
        while not taken.empty():
            taken.get_nowait()
        victim = await taken.get()
        if pair.nodes[victim] is None:
            continue
        await asyncio.sleep(rng.choice((0.0, 0.01, 0.03, 0.1, 0.3)) * rng.random())
        if number % 4 == 3:
            await asyncio.to_thread(pair.pause, victim)
        else:
            await asyncio.to_thread(pair.kill, victim)
            await asyncio.sleep(rng.choice((0.0, LEASE + 2)))
            await asyncio.to_thread(pair.start, victim)
        print(f"{number + 1}: {'paused' if number % 4 == 3 else 'killed'} server {victim}", flush=True)
        await asyncio.sleep(rng.uniform(0.5, 1.5))


async def expire_without_servers(pair: Pair) -> None:
    """A run waits; all servers die; the first one that is there again ends it before anybody reads it."""
    beta = pair.sdk(0).beta
    assistant = await beta.assistants.create(model=MODEL, tools=[TOOL])
    thread = await beta.threads.create(messages=[{"role": "user", "content": "begin"}])
    run = await beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert run.status == "requires_action"
    for number in (0, 1):
        await asyncio.to_thread(pair.kill, number)
    pair.run_seconds = 0.5
    await asyncio.to_thread(pair.start, 1)
    found = await pair.sdk(1).beta.threads.runs.retrieve(run.id, thread_id=thread.id)
    assert found.status == "expired", found


@pytest.mark.timeout(max(600, 60 * KILLS))
async def test_no_output_is_lost_whichever_server_is_given_it(tmp_path: Path) -> None:
    """See the module."""
    database = await asyncio.to_thread(lambda: PostgresServer(quick=False))
    pair, taken, done = Pair(tmp_path, database), asyncio.Queue[int](), Counter[str]()
    try:
        for number in (0, 1):
            await asyncio.to_thread(pair.start, number)
        clients = [Client(pair, SEED + number, taken, done) for number in range(CLIENTS)]
        tasks = [asyncio.create_task(client.work()) for client in clients]
        killing = asyncio.create_task(kill_takers(pair, taken, random.Random(SEED)))
        await asyncio.wait((killing, *tasks), return_when=asyncio.FIRST_COMPLETED)
        for task in (killing, *tasks):
            if task.done():
                task.result()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in clients:
            await client.look()
        await expire_without_servers(pair)
        ended = sum(len(client.runs) for client in clients)
        print(f"\n{KILLS} kills and pauses, {ended} runs, outputs taken {dict(done)}, seed {SEED}")
        assert ended and done
    finally:
        await asyncio.to_thread(pair.close)
        await asyncio.to_thread(database.close)
