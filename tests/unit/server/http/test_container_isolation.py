"""What code in a container cannot do: get out, harm another container, stop the server, or lie about more than itself."""

from __future__ import annotations

import ast
import asyncio
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.containers import container, manager_of, no_containers, python
from tests.serving import served, settings

from kodo.sandbox import ResourceLimits
from kodo.sandbox.decoys import Decoys
from kodo.server.http.containers.process import ContainerDied, ContainerProcess
from kodo.server.wire.containers import AutoContainer

PROBES = """
import json, os, runpy
given = json.loads({decoys!r})
for name in ("MPLBACKEND", "MPLCONFIGDIR", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "PYTHONUNBUFFERED", "PYTHONIOENCODING"):
    os.environ.pop(name, None)
probes = runpy.run_path("/kodo/lib/kodo/sandbox/inside/probes.py")
print(len(probes["ATTEMPTS"]), [one.__name__ for one in probes["ATTEMPTS"] if probes["succeeds"](one, given)])
"""
BOMB = """
import os, time
begun = time.monotonic()
made = 0
while time.monotonic() - begun < 1:
    try:
        if os.fork() == 0:
            while True:
                try: os.fork()
                except OSError: pass
        made += 1
    except OSError:
        pass
print(made > 0)
"""


async def test_no_escape_succeeds_in_a_container(tmp_path: Path) -> None:
    """Every attempt of the sandbox's probes, made by the code of a call, fails: network, files, signals, limits and the rest."""
    async with served(settings(tmp_path)) as server:
        if await no_containers(server):
            return
        work = await container(server)
        limits = ResourceLimits(memory_bytes=2**30, processes=64, file_bytes=64 * 2**20)
        with Decoys() as decoys:
            text = PROBES.format(decoys=json.dumps(decoys.describe(limits)))
            count, _, through = (await python(server, work, text)).partition(" ")
            assert (ast.literal_eval(through), decoys.touched()) == ([], set())
        assert int(count) >= 20


async def test_what_harms_one_container_harms_no_other(tmp_path: Path) -> None:
    """Processes without end, memory, a full disk, floods of output: each fails alone; nothing is left running."""
    async with served(settings(tmp_path)) as server:
        if await no_containers(server):
            return
        bad, good = await container(server), await container(server)
        await python(server, good, "x = 1; open('secret.txt', 'w').write('good')")
        began = time.monotonic()
        slowest = 0.0

        async def watch() -> None:
            nonlocal slowest
            async with server.http() as http:
                while True:
                    at = time.monotonic()
                    assert (await http.get("/health")).status_code == 200
                    slowest = max(slowest, time.monotonic() - at)
                    await asyncio.sleep(0.2)

        watching = asyncio.create_task(watch())
        assert "True" in await python(server, bad, BOMB)
        assert "MemoryError" in await python(server, bad, "x = bytearray(2**31)")
        full = "for n in range(99): open(f'f{n}', 'wb').write(b'x' * 2**24)"
        assert "No space left" in await python(
            server,
            bad,
            f"try:\n  {full}\nexcept OSError as e: print(e)\nimport os\nfor n in range(99):\n  if os.path.exists(f'f{{n}}'): os.remove(f'f{{n}}')",
        )
        flooded = await python(server, bad, "while True: print('y' * 10000)")
        assert "The output was cut" in flooded and len(flooded) < 200_000
        assert "SyntaxError" in await python(server, bad, "x = (" + "(" * 5000)
        assert not watching.done(), "the server did not answer"
        watching.cancel()
        left = "import os\nprint([p for p in os.listdir('/proc') if p.isdigit() and int(p) not in (1, 2, os.getpid())])"
        assert await python(server, bad, left) == "[]"
        reach = "import os\nprint(os.path.exists('secret.txt'), os.listdir('/mnt'))"
        assert await python(server, bad, reach) == "False ['data']"
        assert await python(server, good, "x, open('secret.txt').read()") == "(1, 'good')"
        assert slowest < time.monotonic() - began


async def test_code_that_turns_on_its_own_container_ends_only_that(tmp_path: Path) -> None:
    """It cannot speak in the agent's place; if it kills the agent, the call has died, and the next one has the files."""
    async with served(settings(tmp_path)) as server:
        if await no_containers(server):
            return
        work, other = await container(server), await container(server)
        await python(server, other, "y = 2")
        await python(server, work, "x = 1; open('kept.txt', 'w').write('kept')")
        speak = "import os\ntry:\n  os.open('/proc/2/fd/1', os.O_WRONLY)\n  print('open')\nexcept OSError as e: print(type(e).__name__)"
        assert await python(server, work, speak) in ("PermissionError", "FileNotFoundError")
        assert "stopped" in await python(server, work, "import os, signal; os.kill(2, signal.SIGKILL)")
        told = await python(server, work, "open('kept.txt').read(), 'x' in globals()")
        assert told.startswith("('kept', False)")
        assert "lost" in await python(server, work, "import os; os._exit(1)")
        assert await python(server, other, "y") == "2"


async def test_hostile_names_stay_in_the_folder(tmp_path: Path) -> None:
    """Links, pipes, folders and odd names: what is no plain file with a plain name is not kept, and none of it leaves."""
    make = r"""
import os
os.symlink('/etc/passwd', 'link'); os.symlink('/mnt/data', 'loop'); os.mkfifo('pipe')
os.makedirs('a/b'); open('a/b/c.txt', 'w').write('c'); open('new\nline', 'w').write('x'); open(b'\xff', 'w').write('x')
open('-rf', 'w').write('x'); open('big', 'wb').truncate(2**30) if False else None
"""
    async with served(settings(tmp_path)) as server:
        if await no_containers(server):
            return
        work = await container(server)
        await python(server, work, make)
        paths = sorted(one.file.path for one in await manager_of(server).files.all("default", work))
        assert paths == ["/mnt/data/-rf", "/mnt/data/a/b/c.txt"]
        await server.sdk().containers.files.create(work, file=("link", b"mine"))
        assert await python(server, work, "open('link').read(), os.path.islink('link')") == "('mine', False)"


@pytest.mark.parametrize(
    "says",
    [
        b"nothing that is JSON\n",
        b'{"size": 99999999}\n',
        b'{"size": -1}\n',
        b'{"size": "1"}\n',
        b'{"size": 2, "out": 3}\n12',
        b"x" * 100_000,
        b"",
        b'{"size": 5}\n12',
    ],
)
async def test_an_agent_that_lies_is_ended(says: bytes, tmp_path: Path) -> None:
    """Nothing that is not an answer of the size that was asked for is taken; the process is ended."""
    program = f"import sys; sys.stdout.buffer.write({says!r}); sys.stdout.flush(); sys.stdin.buffer.read()"
    if says in (b"", b'{"size": 5}\n12'):
        program = program.replace("sys.stdin.buffer.read()", "0")  # it just ends
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**16,
    )
    liar = ContainerProcess(process, ExitStack())
    with pytest.raises(ContainerDied):
        await liar.request({"do": "list"}, seconds=20, most=1000)
    assert process.returncode is not None and not liar.alive
    with pytest.raises(ContainerDied):
        await liar.request({"do": "list"}, seconds=20, most=1000)


async def test_calls_of_one_container_wait_for_each_other(tmp_path: Path) -> None:
    """Two at the same time run one after the other; two containers run side by side."""
    async with served(settings(tmp_path)) as server:
        if await no_containers(server):
            return
        manager = manager_of(server)
        await manager.ensure("default", "cntr_1", AutoContainer(type="auto"))
        step = "import time\nn = globals().get('n', 0)\nm = n\ntime.sleep(0.2)\nn = m + 1\nprint(n)"
        outs = await asyncio.gather(*(python(server, "cntr_1", step) for _ in range(3)))
        assert sorted(outs) == ["1", "2", "3"]
