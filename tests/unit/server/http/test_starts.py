"""What a start refuses, in one line, and what it does not take as new without a word."""

from __future__ import annotations

import asyncio
import gc
import re
from pathlib import Path

import pytest
from tests.serving import served, settings

from kodo.server import config
from kodo.server.config import InvalidSettings
from kodo.server.http import admin, reserve
from kodo.server.http.serve import Refused, check_settings, keep_out_of_collections
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.sealing import Sealer


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[limit]\nqueue = 3", "Unknown setting limit; did you mean limits?"),
        (b"allowed_host = ['a']", "Unknown setting allowed_host; did you mean allowed_hosts?"),
        (b"cors_origin = ['a']", "Unknown setting cors_origin; did you mean cors_origins?"),
        (b"[limits]\nqueues = 3", "Unknown setting limits.queues; did you mean limits.queue?"),
        (b"[models.m]\nengin = 'llama'", 'Unknown setting models."m".engin; did you mean models."m".engine?'),
        (
            b"[tools.web_search]\npagechars = 1",
            "Unknown setting tools.web_search.pagechars; did you mean tools.web_search.page_chars?",
        ),
        (
            b"[tools.mcp.servers.a]\nurll = 'x'",
            "Unknown setting tools.mcp.servers.a.urll; did you mean tools.mcp.servers.a.url?",
        ),
        (
            b"[[models.a.targets]]\nbaseurl = 'x'",
            "Unknown setting models.a.targets.0.baseurl; did you mean models.a.targets.0.base_url?",
        ),
        (b"temprature = 1", "Unknown setting temprature; did you mean models.NAME.temperature?"),
        (b"queu = 1", "Unknown setting queu; did you mean limits.queue?"),
        (b"zzzzzz = 1", "Unknown setting zzzzzz. There are: allowed_hosts, "),
        (b"[limits]\nqueue = 'x'", "Setting limits.queue: "),
        (
            b'[tools.mcp.servers.a]\ncommand = ["run", "a\\u0000b"]',
            "Setting tools.mcp.servers.a.command: must not contain a NUL character",
        ),
        (
            b'shared_folder = "a\\u0000b"',
            "Setting shared_folder: must not contain a NUL character",
        ),
        (
            b'[models.up]\nbase_url = "localhost:9/v1"',
            "Setting models.up.base_url: must be http://",
        ),
        (
            b'[models.up]\n[[models.up.targets]]\nbase_url = "http://[::1"',
            "Setting models.up.targets.0.base_url: must be http://",
        ),
        ("[models.up]\napi_key = 'キー'".encode(), "Setting models.up.api_key: has characters"),
        (b'[models.up.headers]\n"a b" = "x"', "is no name of a header"),
        (
            b'[tools.mcp.servers.a]\nurl = "mcp.example"',
            "Setting tools.mcp.servers.a.url: must be",
        ),
        (b"queue = [", "is not valid TOML"),
        (b"host = '\xff'", "is not UTF-8 text"),
    ],
)
def test_settings_that_cannot_be_used_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, message: str
) -> None:
    """Each names the setting, or the file; the nearest known name where there is none such."""
    monkeypatch.setenv("KODO_HOME", str(tmp_path))
    (tmp_path / "config.toml").write_bytes(text)
    with pytest.raises(InvalidSettings) as refused:
        config.load()
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("KODO_LIMITS__QUES", "Unknown setting limits.ques; did you mean limits.queue?"),
        ("KODO_LIMIT__QUEUE", "Unknown setting limit; did you mean limits?"),
        ("KODO_ALLOWED_HOST", "Unknown setting allowed_host; did you mean allowed_hosts?"),
    ],
)
def test_unknown_variables_are_one_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, message: str
) -> None:
    """What can only be meant for the server; the client's and other programs' variables are left alone."""
    monkeypatch.setenv("KODO_HOME", str(tmp_path))
    for name in ("KODO_MODEL", "KODO_PROFILE", "KODO_CI_BASE", "KODO_API_KEY"):
        monkeypatch.setenv(name, "x")
    config.load()
    monkeypatch.setenv(variable, "1")
    with pytest.raises(InvalidSettings, match=re.escape(message)):
        config.load()


def test_the_clients_tables_are_no_settings_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both halves read one file."""
    monkeypatch.setenv("KODO_HOME", str(tmp_path))
    (tmp_path / "config.toml").write_text("port = 9\n[client]\nmodel = 'm'\n[profiles.p]\nbase_url = 'u'\n")
    assert config.load().port == 9


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_damaged_seal_key_is_one_line(tmp_path: Path, content: bytes) -> None:
    """A crash or a full disk between creating and writing left such files; none is made any more."""
    key = tmp_path / "seal.key"
    key.write_bytes(content)
    with pytest.raises(StoreFailed, match=f"it has {len(content)} bytes"):
        Sealer.at(key)
    key.unlink()
    Sealer.at(key)
    assert key.stat().st_size == 64
    assert list(tmp_path.iterdir()) == [key]


def test_a_database_without_the_keys_that_were_made_does_not_start_open(tmp_path: Path) -> None:
    """Deleted or replaced by an empty one: the start is refused until somebody decides."""
    given = settings(tmp_path)
    check_settings(given)
    admin.create_key(tmp_path, name="k", project="p")
    check_settings(given)
    for name in ("kodo.db", "kodo.db-wal", "kodo.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(Refused, match="its database has none"):
        check_settings(given)
    admin.create_key(tmp_path, name="k", project="p")
    check_settings(given)


def test_a_database_that_is_none_is_one_line(tmp_path: Path) -> None:
    """Before anything is started."""
    (tmp_path / "kodo.db").write_text("no database" * 1000)
    with pytest.raises(Refused, match="damaged"):
        check_settings(settings(tmp_path))


def test_pruning_gives_the_reserve_up_where_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting needs room first: it is there, and made again afterwards."""
    admin.stats(tmp_path)
    reserve.keep(tmp_path)
    held = tmp_path / reserve.NAME
    assert held.stat().st_size == reserve.BYTES
    real, full = admin.retention.prune, [True]

    async def prune(*arguments: object) -> dict[str, int]:
        if held.exists():
            raise StoreFailed("The server's disk is full.")
        full.clear()
        return await real(*arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(admin.retention, "prune", prune)
    assert "responses" in admin.prune(tmp_path, 30)
    assert not full
    assert held.exists()


# --- what is answered before anything else ---------------------------------------------------------------------------


async def test_unknown_routes_are_404_before_anything_else(tmp_path: Path) -> None:
    """Without a key, as a form, with a method of any kind."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        await asyncio.to_thread(lambda: admin.create_key(tmp_path, name="k", project="p"))
        for path in ("/v1/audio/transcriptions", "/v1", "/nothing", "/v1/responses/a/b/c"):
            answer = await http.post(path, files={"file": ("a.wav", b"x")})
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")
        assert (await http.post("/v1/responses", files={"file": b"x"})).status_code == 415
        assert (await http.post("/v1/responses", json={})).status_code == 401


@pytest.mark.parametrize("path", ["/metrics", "/openapi.json"])
async def test_metrics_and_routes_need_a_key_where_there_are_keys(tmp_path: Path, path: str) -> None:
    """A setting opens them; /health and /ready stay open."""
    for is_open in (False, True):
        home = tmp_path / str(is_open)
        async with served(settings(home, open_metrics=is_open)) as server, server.http() as http:
            assert (await http.get(path)).status_code == 200
            key, _ = await asyncio.to_thread(admin.create_key, home, name="k", project="p")
            assert (await http.get(path)).status_code == (200 if is_open else 401)
            assert (await http.get(path, headers={"authorization": f"Bearer {key}"})).status_code == 200
            assert (await http.get("/health")).status_code == 200
            assert (await http.get("/ready")).status_code == 200


async def test_a_page_may_ask_from_a_public_network(tmp_path: Path) -> None:
    """Chrome's preflight for private networks is answered for the origins of the settings, and for no other."""
    async with served(settings(tmp_path, cors_origins=("https://a.example",))) as server:
        async with server.http() as http:
            for origin, status in (("https://a.example", 200), ("https://b.example", 400)):
                headers = {
                    "origin": origin,
                    "access-control-request-method": "POST",
                    "access-control-request-private-network": "true",
                }
                answer = await http.options("/v1/responses", headers=headers)
                assert answer.status_code == status
                assert ("access-control-allow-origin" in answer.headers) == (status == 200)
                if status == 200:
                    assert answer.headers["access-control-allow-private-network"] == "true"


async def test_metadata_updates_at_once_are_all_made(tmp_path: Path) -> None:
    """40 were 35 times a 409."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        conversation = await sdk.conversations.create()
        await asyncio.gather(
            *(sdk.conversations.update(conversation.id, metadata={"n": str(n)}) for n in range(40))
        )
        assert (await sdk.conversations.retrieve(conversation.id)).metadata["n"].isdigit()  # type: ignore[index]


def test_what_a_start_has_loaded_is_left_out_of_collections() -> None:
    """A full collection during requests goes through what they made, not through all modules."""
    thresholds = gc.get_threshold()
    try:
        keep_out_of_collections()
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold()[0] > thresholds[0]
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
