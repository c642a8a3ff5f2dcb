"""`kodo keys` and `kodo store`: what the operator does to a server's data, with and without a server."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contract.stores import document, turn

from kodo.cli.main import run
from kodo.server.http.keys import Keys, digest
from kodo.server.lifecycle.errors import ServiceError
from kodo.server.store.sqlite import SqliteStore


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A KODO_HOME of the test's own, not yet made."""
    folder = tmp_path / "home"
    monkeypatch.setenv("KODO_HOME", str(folder))
    return folder


def created(capfd: pytest.CaptureFixture[str], *options: str) -> tuple[str, str]:
    """A new key and its id."""
    assert run(["keys", "create", *options]) == 0
    said = capfd.readouterr()
    return said.out.strip(), said.err.split(",")[0]


def test_a_key_is_shown_once_and_only_its_hash_is_stored(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """stdout is the key alone; no file of the home folder has it, and the list shows its ends."""
    key, key_id = created(capfd, "--name", "ci")
    assert re.fullmatch(r"sk-kodo-[A-Za-z0-9_-]{43}", key)
    assert all(key.encode() not in file.read_bytes() for file in home.iterdir())
    assert run(["keys", "list"]) == 0
    listed = capfd.readouterr().out
    assert key_id in listed
    assert key[-4:] in listed
    assert key[10:-4] not in listed


def test_two_keys_are_not_alike(capfd: pytest.CaptureFixture[str]) -> None:
    """256 random bits each."""
    assert created(capfd)[0] != created(capfd)[0]


def test_a_keys_limits_and_project_are_kept(capfd: pytest.CaptureFixture[str]) -> None:
    """As they were given; a limit of nothing is refused before a key is made."""
    created(capfd, "--project", "web", "--rpm", "60", "--tpm", "9000", "--concurrent", "2")
    assert run(["keys", "create", "--rpm", "0"]) == 2
    capfd.readouterr()
    assert run(["keys", "list", "--json"]) == 0
    (listed,) = json.loads(capfd.readouterr().out)
    assert (listed["project"], listed["rpm"], listed["tpm"], listed["concurrent"]) == ("web", 60, 9000, 2)


def test_a_running_server_sees_new_and_revoked_keys_at_once(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The keys are made and revoked by other processes while its store is open."""

    def kodo(*arguments: str) -> str:
        command = [sys.executable, "-m", "kodo.cli.main", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    async def server() -> None:
        store = SqliteStore(home)
        await store.open()
        keys = Keys(store)
        assert not await store.keys()
        key = await asyncio.to_thread(kodo, "keys", "create", "--project", "p")
        caller = await keys.caller(f"Bearer {key}")
        assert caller.owner == "p"
        assert caller.key is not None
        assert caller.key.hash == digest(key)
        await asyncio.to_thread(kodo, "keys", "revoke", caller.key.id)
        with pytest.raises(ServiceError, match="Incorrect"):
            await keys.caller(f"Bearer {key}")
        assert await store.keys()  # one that is revoked was made, too
        await store.close()

    asyncio.run(server())


def test_revoking_is_for_ever_and_an_unknown_id_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """A second revocation changes nothing."""
    _, key_id = created(capfd)
    assert run(["keys", "revoke", key_id]) == 0
    run(["keys", "list", "--json"])
    first = capfd.readouterr().out
    assert json.loads(first)[0]["revoked"] is not None
    assert run(["keys", "revoke", key_id]) == 0
    run(["keys", "list", "--json"])
    assert capfd.readouterr().out == first
    assert run(["keys", "revoke", "key_nope"]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert "key_nope" in error


def filled(home: Path) -> None:
    """A store with an old response, a new one, and a conversation."""

    async def fill() -> None:
        store = SqliteStore(home)
        await store.open()
        await turn(store, "old")
        await turn(store, "new", created_at=4e9)
        await store.put_document(document("c", owner="bob"))
        await store.close()

    asyncio.run(fill())


def test_stats_prune_and_export(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Counts, then the old one goes, then what is left is written out, one object a line."""
    filled(home)
    assert run(["store", "stats", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["rows"]["responses"] == 2
    assert run(["store", "stats"]) == 0
    assert re.search(r"^responses +2$", capfd.readouterr().out, re.MULTILINE)
    assert run(["store", "prune"]) == 0
    assert capfd.readouterr().out == "responses: 1, chat.completion: 0, batch: 0, upload: 0, replays: 0\n"
    assert run(["store", "export"]) == 0
    assert [json.loads(line)["id"] for line in capfd.readouterr().out.splitlines()] == ["new", "c"]
    assert run(["store", "export", "--project", "bob"]) == 0
    assert [json.loads(line)["id"] for line in capfd.readouterr().out.splitlines()] == ["c"]


def test_prune_takes_its_own_age(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A negative one is refused."""
    filled(home)
    assert run(["store", "prune", "--days", "-1"]) == 2
    assert run(["store", "prune", "--days", "1e6"]) == 0
    assert capfd.readouterr().out == "responses: 0, chat.completion: 0, batch: 0, upload: 0, replays: 0\n"


def test_a_damaged_database_is_one_line(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No traceback, and no path of the machine."""
    home.mkdir()
    (home / "kodo.db").write_bytes(b"nonsense" * 1000)
    for command in (["keys", "list"], ["store", "stats"], ["store", "export"]):
        assert run(command) == 2
        said = capfd.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert str(home) not in said.err


def test_an_export_into_a_closed_pipe_ends_quietly(home: Path) -> None:
    """As in `kodo store export | head -1`."""

    async def fill() -> None:
        store = SqliteStore(home)
        await store.open()
        await store.put_document(document("c", body=b'"' + b"x" * 2_000_000 + b'"'))
        await store.close()

    asyncio.run(fill())
    process = subprocess.Popen(
        [sys.executable, "-m", "kodo.cli.main", "store", "export"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.wait()


def test_the_name_of_a_key_is_an_argument_or_an_option(capfd: pytest.CaptureFixture[str]) -> None:
    """Both forms name the key; both together are refused."""
    created(capfd, "ci")
    created(capfd, "--name", "laptop")
    assert run(["keys", "list", "--json"]) == 0
    assert [key["name"] for key in json.loads(capfd.readouterr().out)] == ["ci", "laptop"]
    assert run(["keys", "create", "ci", "--name", "laptop"]) == 2
    assert "NAME and --name are mutually exclusive" in capfd.readouterr().err
