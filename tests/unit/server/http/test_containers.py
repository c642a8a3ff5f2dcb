"""``/v1/containers`` through the SDK: containers, their files, whose they are, and when they expire."""

from __future__ import annotations

import asyncio
from pathlib import Path, PurePosixPath
from typing import Any

import openai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai.types import ContainerCreateResponse, ContainerListResponse, ContainerRetrieveResponse
from openai.types.containers import FileCreateResponse, FileListResponse, FileRetrieveResponse
from tests.containers import container, manager_of, no_containers, python
from tests.contract.stores import STORES
from tests.serving import MovedClock, Served, served, settings
from tests.unit.server.http.test_access import make_key

from kodo.server.config import CodeInterpreterSettings
from kodo.server.http.app import SystemClock
from kodo.server.http.containers.files import ContainerFiles, base_name, is_name
from kodo.server.http.containers.manager import ContainerManager
from kodo.server.http.containers.runtime import ContainerRuntime
from kodo.server.http.files.manager import FileManager
from kodo.server.http.random_ids import RandomIds
from kodo.server.lifecycle.errors import InvalidRequest, NotFound, StoreFailed
from kodo.server.lifecycle.records import Page
from kodo.server.store.blobs.folder import FolderBlobs
from kodo.server.wire.containers import AutoContainer, CreateContainer


def code_settings(home: Path, **options: Any) -> Any:
    """Settings of a server with these of code."""
    return settings(home, tools={"code_interpreter": options})


async def upload(server: Served, container_id: str, name: str, data: bytes) -> FileCreateResponse:
    """A file of the client's."""
    return await server.sdk().containers.files.create(container_id, file=(name, data))


async def content(server: Served, container_id: str, file_id: str) -> bytes:
    """A file's bytes."""
    answer = await server.sdk().containers.files.content.retrieve(file_id, container_id=container_id)
    return await answer.aread()


async def test_a_container_is_created_listed_and_deleted(tmp_path: Path) -> None:
    """Each answer has the SDK's strict type; a deleted one is gone, with its files."""
    async with served(settings(tmp_path)) as server:
        api = server.sdk().containers
        made = await api.create(
            name="mine", memory_limit="4g", expires_after={"anchor": "last_active_at", "minutes": 5}
        )
        ContainerCreateResponse.model_validate_json(made.to_json(), strict=True)
        assert (made.memory_limit, made.status, made.expires_after.minutes) == ("4g", "running", 5)  # type: ignore[union-attr]
        assert made.network_policy is not None and made.network_policy.type == "disabled"
        found = await api.retrieve(made.id)
        ContainerRetrieveResponse.model_validate_json(found.to_json(), strict=True)
        assert found.to_dict() == made.to_dict()
        listed = [one async for one in api.list(name="mine")]
        assert [one.id for one in listed] == [made.id]
        ContainerListResponse.model_validate_json(listed[0].to_json(), strict=True)
        await api.create(name="second")
        assert [one.name async for one in api.list(limit=1, order="asc")] == ["mine", "second"]
        file = await upload(server, made.id, "a.txt", b"a")
        await api.delete(made.id)
        for call in (api.retrieve(made.id), api.files.retrieve(file.id, container_id=made.id)):
            with pytest.raises(openai.NotFoundError):
                await call
        assert list((tmp_path / "containers").iterdir()) == []


def test_the_synchronous_sdk_has_the_same(tmp_path: Path) -> None:
    """Containers, files and their bytes, from code without a loop."""

    async def main() -> None:
        async with served(settings(tmp_path)) as server:
            await asyncio.to_thread(work, server.url)

    def work(url: str) -> None:
        api = openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0).containers
        made = api.create(name="sync")
        file = api.files.create(made.id, file=("a.txt", b"hello"))
        assert api.files.content.retrieve(file.id, container_id=made.id).read() == b"hello"
        assert [one.id for one in api.files.list(made.id)] == [file.id]
        api.delete(made.id)

    asyncio.run(main())


async def test_files_go_in_and_come_out(tmp_path: Path) -> None:
    """By upload and by ``file_id``; what code makes is a file, what it changes keeps its id, what it deletes is gone."""
    async with served(settings(tmp_path)) as server:
        if await no_containers(server):
            return
        sdk = server.sdk()
        source = await sdk.files.create(file=("data.csv", b"1,2\n"), purpose="assistants")
        work = await container(server, file_ids=[source.id])
        sent = await upload(server, work, "../odd/päth.txt", b"sent")
        FileCreateResponse.model_validate_json(sent.to_json(), strict=True)
        assert (sent.path, sent.source, sent.bytes) == ("/mnt/data/päth.txt", "user", 4)
        code = "open('päth.txt').read(), open('data.csv').read()"
        assert await python(server, work, code) == "('sent', '1,2\\n')"
        again = await sdk.containers.files.create(work, file_id=source.id)
        assert again.path == "/mnt/data/data.csv"
        code = "import os\nos.makedirs('sub')\nopen('sub/new.bin','wb').write(b'\\0\\1')\nopen('päth.txt','w').write('changed')\nos.remove('data.csv')"
        assert await python(server, work, code) == ""
        files = {one.path: one async for one in sdk.containers.files.list(work, order="asc")}
        assert sorted(files) == ["/mnt/data/päth.txt", "/mnt/data/sub/new.bin"]
        new, changed = files["/mnt/data/sub/new.bin"], files["/mnt/data/päth.txt"]
        FileListResponse.model_validate_json(new.to_json(), strict=True)
        assert (new.source, changed.source, changed.id) == ("assistant", "user", sent.id)
        assert await content(server, work, new.id) == b"\0\1"
        assert await content(server, work, sent.id) == b"changed"
        shown = await sdk.containers.files.retrieve(new.id, container_id=work)
        FileRetrieveResponse.model_validate_json(shown.to_json(), strict=True)
        await sdk.containers.files.delete(new.id, container_id=work)
        assert await python(server, work, "os.path.exists('sub/new.bin')") == "False"
        with pytest.raises(openai.NotFoundError):
            await content(server, work, new.id)


NAMES = (
    "日本\u3000語.txt",  # a space of Japanese text
    "Screenshot 2026-11-29 at 3.04.05\u202fPM.png",  # as macOS names them
    "a\u00a0b.csv",
    "家族👨\u200d👩\u200d👧.png",
)


async def test_nothing_is_left_of_a_file_whose_container_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted while its bytes come: neither they nor a row. A container whose bytes cannot be deleted stays, to be tried again."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk().with_options(max_retries=0)
        manager = manager_of(server)
        before = (await server.state.store.stats())["rows"]
        made = await sdk.containers.create(name="c")
        with pytest.raises(NotFound):
            async with manager.files.create("default", made.id) as pending:
                pending.name = "late.txt"
                await pending.writer.write(b"late")
                await sdk.containers.delete(made.id)
        assert list(await manager.files._blobs.ids()) == []
        assert (await server.state.store.stats())["rows"] == before
        other = await sdk.containers.create(name="c")
        file = await upload(server, other.id, "kept.txt", b"kept")

        async def full(blob_id: str) -> None:
            raise StoreFailed("The folder cannot be reached.")

        with monkeypatch.context() as patched:
            patched.setattr(manager.files._blobs, "delete", full)
            with pytest.raises(openai.InternalServerError):
                await sdk.containers.delete(other.id)
        assert await content(server, other.id, file.id) == b"kept"
        await sdk.containers.delete(other.id)
        assert list(await manager.files._blobs.ids()) == []
        assert (await server.state.store.stats())["rows"] == before


async def test_a_file_stays_whatever_characters_are_in_its_name(tmp_path: Path) -> None:
    """What the client sent is there behind a call, and so is what code has made."""
    async with served(settings(tmp_path)) as server:
        if await no_containers(server):
            return
        work = await container(server)
        sent = {(await upload(server, work, name, b"sent")).path for name in NAMES}
        assert sent == {f"/mnt/data/{name}" for name in NAMES}
        made = [f"made {name}" for name in NAMES]
        code = f"import os\nprint(len(os.listdir('.')))\nfor name in {made!r}: open(name, 'w').write('x')"
        assert await python(server, work, code) == str(len(NAMES))
        listed = {one.path async for one in server.sdk().containers.files.list(work)}
        assert listed == sent | {f"/mnt/data/{name}" for name in made}


@given(st.text(min_size=1, max_size=400))
@example("\u202egnp.exe")
@example("a\u2028b")
@example("議事録" * 100 + ".docx")
@example("." + "a" * 300)
@example("a." + "b" * 300)
def test_a_clients_name_is_one_that_a_container_may_have(name: str) -> None:
    """Else the file would be taken for one that code has deleted. A name that is too long keeps whole characters and its
    suffix."""
    try:
        made = base_name(name)
    except InvalidRequest:
        assert PurePosixPath(name.replace("\\", "/")).name in ("", "..")
        return
    assert is_name(made)
    assert base_name(made) == made
    if name == "議事録" * 100 + ".docx":
        assert made == ("議事録" * 28)[:83] + ".docx"


async def test_a_container_belongs_to_its_project(tmp_path: Path) -> None:
    """Another project's key finds neither the container nor its files, and cannot use them."""
    async with served(settings(tmp_path)) as server:
        if await no_containers(server):
            return
        ada, bob = [server.sdk(await make_key(server, name)) for name in ("ada", "bob")]
        work = (await ada.containers.create(name="ada's")).id
        file = await ada.containers.files.create(work, file=("a.txt", b"a"))
        tool: Any = {"type": "code_interpreter", "container": work}
        for call in (
            bob.containers.retrieve(work),
            bob.containers.delete(work),
            bob.containers.files.create(work, file=("b.txt", b"b")),
            bob.containers.files.list(work),
            bob.containers.files.content.retrieve(file.id, container_id=work),
            bob.containers.files.delete(file.id, container_id=work),
            bob.responses.create(model="codex-mini-latest", input="x", tools=[tool]),
        ):
            with pytest.raises(openai.NotFoundError):
                await call
        assert (await bob.containers.list()).data == []
        assert (await ada.containers.files.retrieve(file.id, container_id=work)).id == file.id


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": "x", "memory_limit": "2g"}, "memory_limit"),
        ({"name": "x", "memory_limit": "16g"}, "memory_limit"),
        ({"name": "x", "expires_after": {"anchor": "created_at", "minutes": 1}}, "expires_after.anchor"),
        ({"name": "x", "expires_after": {"anchor": "last_active_at", "minutes": 0}}, "expires_after.minutes"),
        (
            {"name": "x", "network_policy": {"type": "allowlist", "allowed_domains": ["a.b"]}},
            "network_policy",
        ),
        ({"name": "x", "skills": [{"type": "skill_reference", "skill_id": "s"}]}, "skills"),
        ({"name": "x", "file_ids": ["file-none"]}, "file_ids[0]"),
        ({"name": "x", "colour": 1}, "colour"),
    ],
)
async def test_what_cannot_be_honoured_is_refused_by_name(
    tmp_path: Path, body: dict[str, Any], param: str
) -> None:
    """Nothing is ignored: the error names the field, and no container is left."""
    async with served(settings(tmp_path)) as server:
        async with server.http() as http:
            answer = await http.post("/v1/containers", json=body)
        assert answer.status_code in (400, 404)
        assert answer.json()["error"]["param"] == param
        assert (await server.sdk().containers.list()).data == []


async def test_limits_hold(tmp_path: Path) -> None:
    """The number of containers and of files, and bytes: the next one is refused, and nothing of it is kept."""
    options = {"max_containers": 1, "max_files": 2, "max_file_bytes": 1024, "disk_bytes": 2**20}
    async with served(code_settings(tmp_path, **options)) as server:
        if await no_containers(server):
            return
        work = await container(server)
        with pytest.raises(openai.BadRequestError) as caught:
            await container(server)
        assert caught.value.code == "too_many_containers"
        with pytest.raises(openai.APIStatusError) as large:
            await upload(server, work, "large", b"x" * 1025)
        assert large.value.status_code == 413
        source = await server.sdk().files.create(file=("large", b"x" * 1025), purpose="assistants")
        with pytest.raises(openai.BadRequestError) as copied:
            await server.sdk().containers.files.create(work, file_id=source.id)
        assert (copied.value.code, copied.value.param) == ("file_too_large", "file_id")
        for name in ("a", "b"):
            await upload(server, work, name, b"x")
        with pytest.raises(openai.BadRequestError, match="is limited to 2"):
            await upload(server, work, "c", b"x")
        assert "is limited to 2" in await python(server, work, "open('d', 'w').write('x')")
        assert len((await server.sdk().containers.files.list(work)).data) == 2
        assert len(list((tmp_path / "containers").iterdir())) == 2


async def test_an_idle_container_expires_and_its_files_stay(tmp_path: Path) -> None:
    """Minutes count from the last use; then it is refused by name, its files can be read, and one day it is deleted."""
    clock = MovedClock()
    async with served(code_settings(tmp_path, keep_days=2), clock=clock) as server:
        if await no_containers(server):
            return
        work = await container(server, expires_after={"anchor": "last_active_at", "minutes": 10})
        file = await upload(server, work, "a.txt", b"kept")
        clock.moved = 9 * 60
        assert await python(server, work, "1+1") == "2"
        clock.moved = 18 * 60
        assert (await server.sdk().containers.retrieve(work)).status == "running"
        clock.moved = 20 * 60
        await manager_of(server).sweep()
        assert (await server.sdk().containers.retrieve(work)).status == "expired"
        with pytest.raises(openai.BadRequestError) as caught:
            await upload(server, work, "b.txt", b"b")
        assert caught.value.code == "container_expired"
        tool: Any = {"type": "code_interpreter", "container": work}
        with pytest.raises(openai.BadRequestError) as used:
            await server.sdk().responses.create(model="codex-mini-latest", input="x", tools=[tool])
        assert (used.value.code, used.value.param) == ("container_expired", "tools[0].container")
        assert await content(server, work, file.id) == b"kept"
        clock.moved = 3 * 86400
        await manager_of(server).sweep()
        with pytest.raises(openai.NotFoundError):
            await server.sdk().containers.retrieve(work)
        assert list((tmp_path / "containers").iterdir()) == []


async def test_all_that_have_expired_are_looked_through_once_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy server keeps very many of them for days; those that are active are looked at each time."""
    clock, asked = MovedClock(), []
    async with served(settings(tmp_path), clock=clock) as server:
        manager, find = manager_of(server), server.state.store.unfinished_documents

        async def unfinished(kind: str, statuses: Any) -> Any:
            asked.append(*statuses)
            return await find(kind, statuses)

        monkeypatch.setattr(server.state.store, "unfinished_documents", unfinished)
        for moved in (30, 60, 3700, 3730):
            clock.moved = moved
            await manager.sweep()
    assert asked == ["active", "active", "active", "expired", "active"]


async def test_a_restart_leaves_it_expired_with_its_files(tmp_path: Path) -> None:
    """After the next start it runs nothing more; what it held can be read; bytes that nobody knows are gone."""
    async with served(settings(tmp_path)) as server:
        if await no_containers(server):
            return
        work = await container(server)
        await python(server, work, "x = 1; open('made.txt', 'w').write('made')")
    (tmp_path / "containers" / "cfile_00").write_bytes(b"of a server that was killed")
    async with served(settings(tmp_path)) as server:
        assert (await server.sdk().containers.retrieve(work)).status == "expired"
        (file,) = (await server.sdk().containers.files.list(work)).data
        assert await content(server, work, file.id) == b"made"
        assert not (tmp_path / "containers" / "cfile_00").exists()


async def test_where_code_is_turned_off_there_are_none(tmp_path: Path) -> None:
    """The refusal says which setting it is; a tool is skipped in a mixed list and refused alone, the shell too."""
    async with served(code_settings(tmp_path, enabled=False)) as server:
        with pytest.raises(openai.BadRequestError, match=r"tools\.code_interpreter\.enabled"):
            await server.sdk().containers.create(name="x")
        for tool in (
            {"type": "code_interpreter", "container": {"type": "auto"}},
            {"type": "shell", "environment": {"type": "container_auto"}},
        ):
            alone: Any = [tool]
            with pytest.raises(openai.BadRequestError, match=f"'{tool['type']}'.*tools.code_interpreter"):
                await server.sdk().responses.create(model="codex-mini-latest", input="x", tools=alone)
            mixed: Any = [tool, {"type": "function", "name": "f", "parameters": None, "strict": False}]
            raw = await server.sdk().responses.with_raw_response.create(
                model="codex-mini-latest", input="x", tools=mixed
            )
            assert raw.headers["x-kodo-skipped-tools"] == tool["type"]


@pytest.mark.parametrize("name", sorted(STORES))
async def test_the_registry_keeps_its_word_over_every_store(name: str, tmp_path: Path) -> None:
    """What is put is found by its owner only, in order; files and containers go together; what began is expired at the start."""
    store = STORES[name](tmp_path)
    await store.open()
    clock, ids, given = SystemClock(), RandomIds(), CodeInterpreterSettings()
    sources = FileManager(store, FolderBlobs(tmp_path / "files"), clock, ids)

    def made() -> ContainerManager:
        kept = ContainerFiles(store, FolderBlobs(tmp_path / "containers"), sources, given, clock, ids)
        return ContainerManager(store, kept, ContainerRuntime(given), given, clock, ids)

    manager = made()
    try:
        await manager.open()
        first, second = [(await manager.create("ada", CreateContainer(name=one))).id for one in "ab"]
        found, more = await manager.list("ada", Page(limit=1, order="asc"), None)
        assert ([one.id for one in found], more) == ([first], True)
        assert (await manager.list("bob", Page(), None))[0] == []
        with pytest.raises(NotFound):
            await manager.get("bob", first)
        async with manager.files.create("ada", first) as pending:
            await pending.writer.write(b"text")
            pending.name = "a.txt"
        (file,) = await manager.files.all("ada", first)
        assert (file.file.path, file.file.bytes) == ("/mnt/data/a.txt", 4)
        kept = await manager.files.save("ada", first, file.file.path, b"other", file)
        assert (kept.file.id, kept.file.bytes, kept.changed) == (file.file.id, 5, 1)
        await manager.ensure("ada", "cntr_1", AutoContainer(type="auto"))
        await manager.ensure("ada", "cntr_1", AutoContainer(type="auto"))
        assert manager.is_active("ada", "cntr_1") and not manager.is_active("bob", "cntr_1")
        await manager.close()
        manager = made()
        await manager.open()
        assert {one.status for one in (await manager.list("ada", Page(), None))[0]} == {"expired"}
        with pytest.raises(InvalidRequest):
            await manager.usable("ada", first)
        assert (await manager.files.get("ada", first, file.file.id)).bytes == 5
        await manager.delete("ada", first)
        assert await manager.files.all("ada", first) == []
        assert (await manager.get("ada", second)).name == "b"
    finally:
        await manager.close()
        await store.close()
