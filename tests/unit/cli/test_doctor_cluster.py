"""``kodo doctor`` of several servers on one PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.postgres_server import free_port, shared_server
from tests.s3_server import SECRET, set_credentials, shared_s3
from tests.unit.cli.test_doctor import FakeSandbox

from kodo.cli import doctor_checks
from kodo.cli.exit_codes import ExitCode
from kodo.cli.main import run
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store.blobs.shared_folder import make_id, read_id
from kodo.server.store.postgres import schema
from kodo.server.store.postgres.store import PostgresStore


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database that the settings name, with a shared folder."""
    monkeypatch.setattr(doctor_checks, "Sandbox", FakeSandbox)
    monkeypatch.setattr("kodo.client.endpoint.find_running", lambda: None)
    url = shared_server().new_database()
    (tmp_path / "shared").mkdir()
    monkeypatch.setenv("KODO_DATABASE", url)
    monkeypatch.setenv("KODO_SHARED_FOLDER", str(tmp_path / "shared"))
    return url


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[tuple[str, str, str]]]:
    """The exit code, and of each check its name, state and detail."""
    code = run(["doctor", "--format", "json", *arguments])
    found = json.loads(capsys.readouterr().out)
    return code, [(check["name"], check["state"], check["detail"]) for check in found]


def of(found: list[tuple[str, str, str]], name: str) -> list[tuple[str, str]]:
    """State and detail of the checks of a name."""
    return [(state, detail) for check, state, detail in found if check == name]


def serving(url: str, folder: Path, then: str = "") -> list[PostgresStore]:
    """Two servers that have registered and end with this process; ``then`` is run in the database."""
    stores = [PostgresStore(url, role=role, folder=make_id(folder)) for role in ("api", "worker")]
    for store in stores:
        asyncio.run(_register(store))
    return stores


async def _register(store: PostgresStore) -> None:
    store.epoch = await asyncio.to_thread(store._prepare)


def test_an_empty_database_is_told_from_a_used_one(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Version, tables, connections, clock, and that nobody is there yet."""
    code, found = lines(capsys)
    assert code == ExitCode.DONE
    assert of(found, "database")[0][1].startswith("PostgreSQL 18")
    assert of(found, "schema") == [("ok", "empty; the first server makes the tables")]
    assert of(found, "connections")[0][0] == "ok"
    assert of(found, "clock")[0][0] == "ok"
    assert of(found, "node") == [("warning", "none is running")]
    assert of(found, "folder")[0][0] == "warning"


def test_servers_are_listed_with_their_leases(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that are silent too; all see the same folder; in Japanese as well."""
    serving(database, tmp_path / "shared")
    code, found = lines(capsys)
    newest = len(schema.migrations())
    assert code == ExitCode.DONE
    assert of(found, "schema") == [("ok", f"version {newest} of {newest}")]
    assert [("(api, kodo" in detail, "(worker, kodo" in detail) for _, detail in of(found, "node")] == [
        (True, False),
        (False, True),
    ]
    assert of(found, "folder") == [("ok", f"{tmp_path / 'shared'}, the same for all 2 servers")]
    name = database.rpartition("%3D")[2]
    shared_server().execute(
        f"UPDATE {name}.nodes SET lease_until = now() - interval '9 s' WHERE role = 'worker'"
    )
    _, found = lines(capsys, "--lang", "ja")
    assert [state for state, _ in of(found, "node")] == ["ok", "warning"]
    assert "リース" in of(found, "node")[0][1]


def test_another_folder_is_a_failure(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the servers; so is one that is not there."""
    serving(database, tmp_path / "shared")
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("KODO_SHARED_FOLDER", str(tmp_path / "other"))
    code, found = lines(capsys)
    assert code == ExitCode.BAD_INPUT
    ((state, detail),) = of(found, "folder")
    assert state == "failed" and "is not what" in detail
    monkeypatch.setenv("KODO_SHARED_FOLDER", str(tmp_path / "nowhere"))
    code, found = lines(capsys)
    assert code == ExitCode.BAD_INPUT and "is not there" in of(found, "database")[0][1]


def test_a_bucket_is_named_and_written_to(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With several servers and with one; one that is not there is a failure, in words that have no key."""
    set_credentials(monkeypatch)
    bucket = f"s3://{shared_s3().new_bucket()}/kodo"
    monkeypatch.setenv("KODO_FILES", bucket)
    monkeypatch.setenv("KODO_S3__ENDPOINT", shared_s3().url)
    code, found = lines(capsys)
    assert (code, of(found, "folder")[0][0]) == (ExitCode.DONE, "warning")  # no server has used it yet
    assert bucket in of(found, "folder")[0][1]
    monkeypatch.delenv("KODO_DATABASE")
    code, found = lines(capsys)
    assert of(found, "folder") == [("ok", f"{bucket} at {shared_s3().url}, writable")]
    monkeypatch.setenv("KODO_FILES", "s3://nobody-made-this")
    code, found = lines(capsys)
    ((state, detail),) = of(found, "folder")
    assert (code, state) == (ExitCode.BAD_INPUT, "failed")
    assert "no such bucket" in detail and SECRET not in detail


@pytest.mark.parametrize(("ahead", "state"), [(-1, "ok"), (1, "warning"), (2, "failed")])
def test_the_version_of_the_tables_is_said(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], ahead: int, state: str
) -> None:
    """One behind is migrated, one ahead is worked with, more is refused."""
    serving(database, tmp_path / "shared")
    name, newest = database.rpartition("%3D")[2], len(schema.migrations())
    shared_server().execute(f"DELETE FROM {name}.kodo_schema WHERE version > {newest + ahead}")
    shared_server().execute(
        f"INSERT INTO {name}.kodo_schema (version) SELECT generate_series({newest} + 1, {newest} + {ahead})"
    )
    code, found = lines(capsys)
    assert of(found, "schema")[0][0] == state
    assert code == (ExitCode.BAD_INPUT if state == "failed" else ExitCode.DONE)


def test_a_database_that_does_not_answer_is_a_failure(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its address is said, its password is not."""
    monkeypatch.setenv("KODO_DATABASE", f"postgresql://kodo:secret@127.0.0.1:{free_port()}/kodo")
    code, found = lines(capsys)
    ((state, detail),) = of(found, "database")
    assert (code, state) == (ExitCode.BAD_INPUT, "failed")
    assert "127.0.0.1" in detail and "secret" not in detail


def test_servers_that_start_at_once_see_one_id(tmp_path: Path) -> None:
    """A folder's id is made once, whole; a folder that cannot be used says so."""
    folder = tmp_path / "new" / "shared"
    assert len({make_id(folder) for _ in range(5)}) == 1
    assert read_id(folder) == make_id(folder)
    assert [path.name for path in folder.iterdir()] == ["folder.id"]
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed, match="cannot be used"):
        make_id(tmp_path / "file")
