"""The command line in environments as they are: proxies that are meant for other hosts, bytes that are not UTF-8."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kodo
from kodo.client.errors import EndpointError
from kodo.client.testing import FakeResponses

sys.path.insert(0, str(Path(__file__).parent))
from kodo_command import KODO, Kodo

DEAD_PROXY = "http://127.0.0.1:9"


@pytest.mark.parametrize("proxy", [DEAD_PROXY, "socks5://127.0.0.1:9", "nonsense://x", "http://[bad"])
def test_a_proxy_is_never_used_for_this_machine(tmp_path: Path, proxy: str) -> None:
    """Requests to a loopback host go there, whatever proxy the environment names, for HTTP or for everything."""
    given = {"http_proxy": proxy, "ALL_PROXY": proxy, "no_proxy": "", "NO_PROXY": ""}
    with FakeResponses() as server:
        done = Kodo(tmp_path, server.base_url).run("ask", "good morning", env=given)
    assert (done.returncode, done.stdout) == (0, "good morning\n"), done.stderr


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "nonsense://x"])
def test_a_proxy_that_cannot_be_used_is_one_line(tmp_path: Path, proxy: str) -> None:
    """For a host outside, the message names what is missing or wrong; there is no traceback."""
    done = Kodo(tmp_path, "http://api.example.invalid/v1").run(
        "ask", "hello", env={"ALL_PROXY": proxy, "KODO_UNKNOWN_PRICE": "zero"}
    )
    assert done.returncode == 5
    assert "proxy" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


async def test_async_sessions_look_at_proxies_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loopback server is reached past any proxy; a SOCKS proxy without its package is an EndpointError."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with FakeResponses() as server:
        async with kodo.AsyncSession(base_url=server.base_url) as session:
            assert (await session.respond("hello")).text == "hello"
    async with kodo.AsyncSession(base_url="http://api.example.invalid/v1") as session:
        with pytest.raises(EndpointError, match="SOCKS"):
            await session.respond("hello")


def test_a_host_in_no_proxy_is_reached_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of a kind that is not supported does no harm where it is not to be used."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "intranet.example")
    with kodo.Session(base_url="http://intranet.example/v1") as session:
        session.client()


BAD_BYTES: list[tuple[list[str | bytes], bytes]] = [
    (["ask", b"caf\xe9"], b""),
    (["ask", "-s", b"caf\xe9", "hello"], b""),
    (["ask", "what is this?"], b"caf\xe9 \xff"),
    (["ask", "--model", b"\xff", "hello"], b""),
    (["chat"], b"caf\xe9\n"),
    (["ask", "-f", b"\xff.py", "hello"], b""),
    (["review", b"\xff.py"], b""),
    (["review", "--base", b"\xff"], b""),
    (["tests", b"\xff.py"], b""),
    (["keys", "create", b"\xff"], b""),
    (["keys", "revoke", b"\xff"], b""),
    (["model", "pull", b"\xff"], b""),
    (["batch", "run", b"\xff", b"\xfe"], b""),
    (["budget", "set", b"\xff", "1"], b""),
    (["usage", "--by", b"\xff"], b""),
    (["serve", "--host", b"\xff"], b""),
    (["serve", "--model", b"\xff"], b""),
    ([b"\xff"], b""),
]


# The bytes of arguments are decoded before there is a command: one of them shows what the second locale does to all.
@pytest.mark.parametrize(
    ("arguments", "stdin", "locale"),
    [(*one, "C") for one in BAD_BYTES]
    + [(*one, "C.UTF-8") for one in BAD_BYTES if one[0][0] in ("ask", "chat")],
)
def test_bytes_that_are_not_utf8_are_one_line(
    tmp_path: Path, arguments: list[str | bytes], stdin: bytes, locale: str
) -> None:
    """In arguments, options and stdin, in any locale: exit code 2 and a message, never a traceback."""
    with FakeResponses() as server:
        environment = {**Kodo(tmp_path, server.base_url).env, "LC_ALL": locale}
        done = subprocess.run(
            [os.fsencode(KODO), *map(os.fsencode, arguments)],
            env=environment,
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            timeout=120,
            check=False,
        )
        assert server.posts == []
    said = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 2, said
    assert "Traceback" not in said
    assert len([line for line in said.splitlines() if line.startswith(("kodo: ", "review failed: "))]) == 1, (
        said
    )
