"""Files and uploads through the SDK: bytes in, the same bytes out, to their owner only; nothing left of what failed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types import FileObject, Upload
from openai.types.uploads import UploadPart
from tests.serving import MODEL, Served, served, settings
from tests.unit.server.http.test_access import make_key

from kodo.server.config import LimitSettings
from kodo.server.http.files import upload_usage
from kodo.server.http.files.endpoints import files as endpoints
from kodo.server.http.files.upload_usage import UploadUsage
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.records import DocumentRow

BYTES = os.urandom(3 * 2**20 + 17) + b"\r\n--boundary\r\n"
"""More than one piece on the way to the disk, with something in it that looks like a form's end."""


class Later:
    """A clock that is ahead."""

    def __init__(self, server: Served, seconds: float) -> None:
        self._clock = server.state.clock
        self._seconds = seconds

    def now(self) -> float:
        return self._clock.now() + self._seconds


def on_disk(server: Served) -> list[str]:
    """Names in the folder of files."""
    return sorted(path.name for path in (server.state.settings.home / "files").iterdir())


async def test_bytes_come_back_as_they_went_and_only_to_their_owner(tmp_path: Path) -> None:
    """Create, retrieve, list, content, delete; another project's key finds nothing, and lists nothing."""
    async with served(settings(tmp_path)) as server:
        mine, other = server.sdk(await make_key(server, "mine")), server.sdk(await make_key(server, "other"))
        file = await mine.files.create(file=("Ümlaut name.bin", BYTES), purpose="user_data")
        assert (file.bytes, file.filename, file.purpose) == (len(BYTES), "Ümlaut name.bin", "user_data")
        assert (file.status, file.expires_at) == ("processed", None)
        assert (await mine.files.content(file.id)).content == BYTES
        assert await mine.files.retrieve(file.id) == file
        assert [one.id for one in (await mine.files.list()).data] == [file.id]
        assert (await other.files.list()).data == []
        for call in (other.files.retrieve, other.files.content, other.files.delete):
            with pytest.raises(openai.NotFoundError):
                await call(file.id)
        assert (await mine.files.delete(file.id)).deleted
        for call in (mine.files.retrieve, mine.files.content, mine.files.delete):
            with pytest.raises(openai.NotFoundError):
                await call(file.id)
        assert on_disk(server) == []


async def test_files_are_named_by_their_ids_in_a_folder_of_ones_own(tmp_path: Path) -> None:
    """A name that climbs is kept as a name; on disk is the id, in a folder that nobody else can enter."""
    async with served(settings(tmp_path)) as server:
        file = await server.sdk().files.create(file=("../../etc/passwd", b"x"), purpose="assistants")
        assert file.filename == "../../etc/passwd"
        assert on_disk(server) == [file.id]
        assert stat.S_IMODE((tmp_path / "files").stat().st_mode) == 0o700
        async with server.http() as http:
            for climbing in ("..%2Fkodo.db", "%2e%2e%2fseal.key", "file-1%00"):
                assert (await http.get(f"/v1/files/{climbing}/content")).status_code == 404


def test_the_synchronous_sdk_uploads_and_reads(tmp_path: Path) -> None:
    """The same calls from the client that most scripts use."""

    def use(url: str) -> tuple[bytes, str]:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
            source = tmp_path / "in.jsonl"
            source.write_bytes(b"{}\n")
            file = client.files.create(file=source, purpose="batch")
            return client.files.content(file.id).read(), file.filename

    async def run() -> None:
        async with served(settings(tmp_path / "home")) as server:
            assert await asyncio.to_thread(use, server.url) == (b"{}\n", "in.jsonl")

    asyncio.run(run())


async def test_objects_have_the_sdks_strict_types(tmp_path: Path) -> None:
    """A file, a page of files, an upload and its part, as they stand on the wire."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        form = {"purpose": "vision", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
        raw = (await http.post("/v1/files", data=form, files={"file": ("a.png", b"abc")})).json()
        file = FileObject.model_validate_json(json.dumps(raw), strict=True)
        assert file.expires_at == file.created_at + 3600
        page = (await http.get("/v1/files")).json()
        assert (page["object"], page["has_more"], page["first_id"]) == ("list", False, file.id)
        FileObject.model_validate_json(json.dumps(page["data"][0]), strict=True)
        body = {"bytes": 3, "filename": "f", "mime_type": "text/plain", "purpose": "assistants"}
        upload = (await http.post("/v1/uploads", json=body)).json()
        Upload.model_validate_json(json.dumps(upload), strict=True)
        part = (await http.post(f"/v1/uploads/{upload['id']}/parts", files={"data": ("blob", b"abc")})).json()
        UploadPart.model_validate_json(json.dumps(part), strict=True)
        done = await http.post(f"/v1/uploads/{upload['id']}/complete", json={"part_ids": [part["id"]]})
        value = Upload.model_validate_json(done.text, strict=True)
        assert value.file is not None
        assert value.file.bytes == 3


async def test_lists_page_by_purpose_in_both_orders(tmp_path: Path) -> None:
    """Pages of one purpose join to all of it, whatever stands between; the SDK's own paging walks them."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        made = [
            (await sdk.files.create(file=("f", b"x"), purpose="batch" if n % 3 else "vision")).id
            for n in range(10)
        ]
        batch = [id_ for n, id_ in enumerate(made) if n % 3]
        for order, wanted in (("asc", batch), ("desc", batch[::-1])):
            found = [
                file.id
                async for file in sdk.files.list(purpose="batch", limit=2, order=order)  # type: ignore[arg-type]  # a str
            ]
            assert found == wanted
        assert [file.id async for file in sdk.files.list()] == made[::-1]
        with pytest.raises(openai.NotFoundError):
            await sdk.files.list(after="file-none")
        with pytest.raises(openai.BadRequestError):
            await sdk.files.list(limit=10_001)


async def test_a_file_that_expired_is_gone(tmp_path: Path) -> None:
    """For its owner at once, from the disk with the next sweep; batch files live 30 days unless told otherwise."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        soon = await sdk.files.create(
            file=("f", b"x"), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
        )
        month = await sdk.files.create(file=("f", b"x"), purpose="batch")
        kept = await sdk.files.create(file=("f", b"x"), purpose="user_data")
        assert soon.expires_at == soon.created_at + 3600
        assert month.expires_at == month.created_at + 30 * 86400
        server.state.files._clock = Later(server, 3601)
        with pytest.raises(openai.NotFoundError):
            await sdk.files.content(soon.id)
        assert {file.id async for file in sdk.files.list()} == {month.id, kept.id}
        assert await server.state.files.sweep() == 1
        assert on_disk(server) == sorted([month.id, kept.id])


@pytest.mark.parametrize(
    ("form", "files", "param"),
    [
        ({}, {"purpose": (None, "batch")}, "file"),
        ({}, {"file": ("f", b"x")}, "purpose"),
        ({"purpose": "fun"}, {"file": ("f", b"x")}, "purpose"),
        ({"purpose": "batch"}, {"flie": ("f", b"x")}, "flie"),
        ({"purpose": "batch", "extra": "1"}, {"file": ("f", b"x")}, "extra"),
        ({"purpose": "batch" * 1000}, {"file": ("f", b"x")}, "purpose"),
        (
            {"purpose": "batch", "expires_after[seconds]": "3600"},
            {"file": ("f", b"x")},
            "expires_after.anchor",
        ),
        (
            {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "60"},
            {"file": ("f", b"x")},
            "expires_after.seconds",
        ),
    ],
)
async def test_a_wrong_form_is_a_400_that_names_the_field(
    tmp_path: Path, form: dict[str, str], files: dict[str, Any], param: str
) -> None:
    """And nothing of it stays, neither on the disk nor in the list."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        answer = await http.post("/v1/files", data=form, files=files)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
        assert on_disk(server) == []
        assert (await http.get("/v1/files")).json()["data"] == []


@pytest.mark.parametrize(
    "header",
    [
        'filename="日本.txt"',
        "filename*=UTF-8''%E6%97%A5%E6%9C%AC.txt",
        "filename=\"=?utf-8?B?5pel5pysLnR4dA==?=\"; filename*=utf-8'ja'%E6%97%A5%E6%9C%AC.txt",
    ],
    ids=["as it is", "extended", "both"],
)
async def test_a_name_is_read_in_each_way_that_clients_write_it(tmp_path: Path, header: str) -> None:
    """Bytes of UTF-8, RFC 5987, and both of them, as .NET sends it."""
    disposition = f'Content-Disposition: form-data; name="file"; {header}'
    purpose = '--xx\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data'
    body = f"{purpose}\r\n--xx\r\n{disposition}\r\n\r\nbytes\r\n--xx--\r\n"
    kind = {"content-type": "multipart/form-data; boundary=xx"}
    async with served(settings(tmp_path)) as server, server.http() as http:
        answer = await http.post("/v1/files", content=body.encode(), headers=kind)
    assert (answer.status_code, answer.json().get("filename")) == (200, "日本.txt")


async def test_a_form_that_is_none_or_cut_off_is_a_400(tmp_path: Path) -> None:
    """No boundary, no beginning, no end: an error each, never a 5xx."""
    kind = {"content-type": "multipart/form-data; boundary=xx"}
    head = b'--xx\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\nabc'
    async with served(settings(tmp_path)) as server, server.http() as http:
        for body, headers in (
            (b"--xx--\r\n", {"content-type": "multipart/form-data"}),
            (b"rubbish", kind),
            (head, kind),
            (head + b"\r\n--xx--\r\n", {"content-type": f"multipart/form-data; boundary={'x' * 300}"}),
            (b"", kind),
        ):
            answer = await http.post("/v1/files", content=body, headers=headers)
            assert answer.status_code == 400, body
            assert answer.json()["error"]["code"] == "invalid_multipart"
        json_body = await http.post("/v1/files", json={"purpose": "batch"})
        assert json_body.status_code == 400
        assert on_disk(server) == []


async def test_a_file_over_the_limit_is_a_413_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is on the file, found while it comes."""
    monkeypatch.setattr(endpoints, "MAX_BYTES", 2**20)
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        await sdk.files.create(file=("f", b"x" * 2**20), purpose="user_data")
        with pytest.raises(openai.APIStatusError) as caught:
            await sdk.files.create(file=("f", b"x" * (2**20 + 1)), purpose="user_data")
        assert caught.value.status_code == 413
        assert len(on_disk(server)) == 1


async def test_a_client_that_hangs_up_leaves_nothing(tmp_path: Path) -> None:
    """Half an upload is cleared away as soon as its client is gone."""
    async with served(settings(tmp_path)) as server:
        host, port = server.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = b'--xx\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n'
        writer.write(
            b"POST /v1/files HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9000000\r\n"
            b"content-type: multipart/form-data; boundary=xx\r\n\r\n" + head + b"x" * 2_000_000
        )
        await writer.drain()
        while not on_disk(server):
            await asyncio.sleep(0.01)
        writer.close()
        while on_disk(server):
            await asyncio.sleep(0.01)
        assert (await server.sdk().files.list()).data == []


async def test_what_a_crash_left_is_cleared_away_at_the_next_start(tmp_path: Path) -> None:
    """Bytes without a file, a file without bytes, half a deletion, half a part; what was whole stays."""
    given = settings(tmp_path)
    async with served(given) as server:
        sdk = server.sdk()
        kept = await sdk.files.create(file=("f", b"kept"), purpose="user_data")
        store = server.state.store
        for name, kind, status in (
            ("file-aa", "file", "uploading"),
            ("file-bb", "file", "deleting"),
            ("part_cc", "upload.part", "uploading"),
        ):
            row = DocumentRow(kind=kind, id=name, owner="default", created_at=0.0, status=status, body=b"{}")
            await store.put_document(row)
            (tmp_path / "files" / name).write_bytes(b"half")
        (tmp_path / "files" / "file-dd.part").write_bytes(b"half")
    async with served(given) as server:
        assert on_disk(server) == [kept.id]
        assert [file.id for file in (await server.sdk().files.list()).data] == [kept.id]
        assert (await server.sdk().files.content(kept.id)).content == b"kept"
        for kind in ("file", "upload.part"):
            assert not await server.state.store.unfinished_documents(kind, ("uploading", "deleting"))


async def test_what_failed_in_the_middle_is_cleared_away_while_the_server_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that could not be deleted, an upload that could not be ended: the next sweep does it, and touches nothing that
    a request is about to do."""
    async with served(settings(tmp_path)) as server:
        sdk, state = server.sdk().with_options(max_retries=0), server.state
        kept = await sdk.files.create(file=("f", b"kept"), purpose="user_data")
        lost = await sdk.files.create(file=("f", b"lost"), purpose="user_data")
        upload = await sdk.uploads.create(bytes=3, filename="f", mime_type="text/plain", purpose="user_data")
        part = await sdk.uploads.parts.create(upload.id, data=b"abc")

        async def full(*arguments: Any, **options: Any) -> None:
            raise StoreFailed("The server's disk is full.")

        with monkeypatch.context() as patched:
            patched.setattr(state.files.blobs, "delete", full)
            for call in (sdk.files.delete(lost.id), sdk.uploads.complete(upload.id, part_ids=[part.id])):
                with pytest.raises(openai.InternalServerError):
                    await call
        (done,) = [file.id for file in (await sdk.files.list()).data if file.id != kept.id]
        assert on_disk(server) == sorted([kept.id, lost.id, done, part.id])
        async with state.files.create("default") as pending:
            await pending.writer.write(b"received")
            await state.files.sweep()
            await state.uploads.sweep()
        assert pending.file is not None
        assert on_disk(server) == sorted([kept.id, done, pending.file.id])


async def test_files_of_one_purpose_are_read_in_few_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of one among many others costs no read for each of these."""
    async with served(settings(tmp_path)) as server:
        sdk, store = server.sdk(), server.state.store
        one = await sdk.files.create(file=("f", b"x"), purpose="vision")
        for _ in range(30):
            await sdk.files.create(file=("f", b"x"), purpose="user_data")
        reads, plain = [], store.list_documents

        async def counted(*arguments: Any, **options: Any) -> Any:
            reads.append(arguments)
            return await plain(*arguments, **options)

        monkeypatch.setattr(store, "list_documents", counted)
        page = await sdk.files.list(purpose="vision", limit=1)
        assert ([file.id for file in page.data], page.has_more, len(reads)) == ([one.id], False, 1)


# --- uploads ---------------------------------------------------------------------------------------------------------


async def test_parts_are_joined_in_the_order_that_is_named(tmp_path: Path) -> None:
    """Sent in any order, joined in the named one, checked by size and MD5; the SDK's own helper does it too."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        pieces = [BYTES[:100], BYTES[100:2_000_000], BYTES[2_000_000:]]
        upload = await sdk.uploads.create(
            bytes=len(BYTES), filename="big.bin", mime_type="application/octet-stream", purpose="user_data"
        )
        parts = {n: (await sdk.uploads.parts.create(upload.id, data=pieces[n])).id for n in (2, 0, 1)}
        done = await sdk.uploads.complete(
            upload.id, part_ids=[parts[0], parts[1], parts[2]], md5=hashlib.md5(BYTES).hexdigest()
        )
        assert done.status == "completed"
        assert done.file is not None
        assert (done.file.filename, done.file.bytes) == ("big.bin", len(BYTES))
        assert (await sdk.files.content(done.file.id)).content == BYTES
        assert on_disk(server) == [done.file.id]
        whole = await sdk.uploads.upload_file_chunked(
            file=BYTES,
            filename="again.bin",
            bytes=len(BYTES),
            mime_type="application/octet-stream",
            purpose="batch",
            part_size=2**20,
        )
        assert whole.file is not None
        assert (await sdk.files.content(whole.file.id)).content == BYTES


async def test_an_upload_that_does_not_add_up_is_refused_and_can_be_mended(tmp_path: Path) -> None:
    """A wrong count of bytes, a foreign part, a part twice, a wrong MD5: 400 each, no file, and the upload still open."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        options: dict[str, Any] = {"filename": "f", "mime_type": "text/plain", "purpose": "user_data"}
        upload = await sdk.uploads.create(bytes=6, **options)
        other = await sdk.uploads.create(bytes=3, **options)
        one = (await sdk.uploads.parts.create(upload.id, data=b"abc")).id
        two = (await sdk.uploads.parts.create(upload.id, data=b"def")).id
        foreign = (await sdk.uploads.parts.create(other.id, data=b"xyz")).id
        for part_ids, more, param in (
            ([one], {}, "part_ids"),
            ([one, foreign], {}, "part_ids[1]"),
            ([one, one], {}, "part_ids"),
            ([one, two], {"md5": "0" * 32}, "md5"),
        ):
            with pytest.raises(openai.BadRequestError) as caught:
                await sdk.uploads.complete(upload.id, part_ids=part_ids, **more)
            assert caught.value.param == param
        assert (await sdk.files.list()).data == []
        done = await sdk.uploads.complete(upload.id, part_ids=[two, one])
        assert done.file is not None
        assert (await sdk.files.content(done.file.id)).content == b"defabc"


async def test_an_upload_that_is_over_takes_nothing_more(tmp_path: Path) -> None:
    """Completed, cancelled or expired: its parts are gone from the disk, and every further call is a 409."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        options: dict[str, Any] = {
            "bytes": 3,
            "filename": "f",
            "mime_type": "text/plain",
            "purpose": "user_data",
        }
        done, cancelled, expired = [await sdk.uploads.create(**options) for _ in range(3)]
        parts = [
            (await sdk.uploads.parts.create(upload.id, data=b"abc")).id
            for upload in (done, cancelled, expired)
        ]
        completed = await sdk.uploads.complete(done.id, part_ids=parts[:1])
        assert (await sdk.uploads.cancel(cancelled.id)).status == "cancelled"
        server.state.uploads._clock = Later(server, 3601)
        for upload, part in zip((done, cancelled, expired), parts, strict=True):
            for call in (
                sdk.uploads.parts.create(upload.id, data=b"x"),
                sdk.uploads.complete(upload.id, part_ids=[part]),
                sdk.uploads.cancel(upload.id),
            ):
                with pytest.raises(openai.ConflictError):
                    await call
        assert completed.file is not None
        assert on_disk(server) == [completed.file.id]
        with pytest.raises(openai.NotFoundError):
            await sdk.uploads.cancel("upload_none")


async def test_parts_are_held_to_the_announced_size(tmp_path: Path) -> None:
    """Also by two parts at once, and after a restart; a part that was refused leaves its room."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        options: dict[str, Any] = {"filename": "f", "mime_type": "text/plain", "purpose": "user_data"}
        upload = await sdk.uploads.create(bytes=5, **options)
        with pytest.raises(openai.BadRequestError) as caught:
            await sdk.uploads.parts.create(upload.id, data=b"x" * 100_000)
        assert caught.value.code == "bytes_mismatch"
        results = await asyncio.gather(
            *(sdk.uploads.parts.create(upload.id, data=b"abc") for _ in range(4)), return_exceptions=True
        )
        assert sum(isinstance(result, openai.BadRequestError) for result in results) == 3
        server.state.uploads._usage = UploadUsage(LimitSettings())  # as a restart does
        with pytest.raises(openai.BadRequestError):
            await sdk.uploads.parts.create(upload.id, data=b"abc")
        await sdk.uploads.parts.create(upload.id, data=b"ab")
        assert sum([await server.state.files.blobs.size(name) for name in on_disk(server)]) == 5


async def test_parts_of_an_upload_that_expired_are_swept(tmp_path: Path) -> None:
    """While the server runs, without anybody asking for the upload."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        upload = await sdk.uploads.create(bytes=3, filename="f", mime_type="text/plain", purpose="user_data")
        await sdk.uploads.parts.create(upload.id, data=b"abc")
        await server.state.uploads.sweep()
        assert len(on_disk(server)) == 1
        server.state.uploads._clock = Later(server, 3601)
        await server.state.uploads.sweep()
        assert on_disk(server) == []


async def test_uploads_that_are_open_are_bounded(tmp_path: Path) -> None:
    """By number, of a key (429) and in all (503), also after a restart; one that is over gives its place back."""
    given = settings(tmp_path, limits=LimitSettings(uploads=3, uploads_per_key=2))
    options: dict[str, Any] = {"bytes": 3, "filename": "f", "mime_type": "text/plain", "purpose": "user_data"}
    async with served(given) as server:
        mine, other, third = [server.sdk(await make_key(server)) for _ in range(3)]
        first = await mine.uploads.create(**options)
        await mine.uploads.create(**options)
    async with served(given) as server:
        mine, other, third = [server.sdk(sdk.api_key) for sdk in (mine, other, third)]
        with pytest.raises(openai.RateLimitError) as caught:
            await mine.uploads.create(**options)
        assert caught.value.code == "too_many_uploads"
        last = await other.uploads.create(**options)
        with pytest.raises(openai.InternalServerError) as full:
            await third.uploads.create(**options)
        assert full.value.code == "server_overloaded"
        await mine.uploads.cancel(first.id)
        part = await other.uploads.parts.create(last.id, data=b"abc")
        await other.uploads.complete(last.id, part_ids=[part.id])
        for sdk in (mine, third):
            await sdk.uploads.create(**options)


async def test_what_open_uploads_hold_is_bounded(tmp_path: Path) -> None:
    """By the bytes of their parts, of a key (429) and in all (503), also after a restart; a refused part holds nothing."""
    given = settings(tmp_path, limits=LimitSettings(upload_bytes=25_000, upload_bytes_per_key=20_000))
    options: dict[str, Any] = {"filename": "f", "mime_type": "text/plain", "purpose": "user_data"}
    async with served(given) as server:
        mine, other = [server.sdk(await make_key(server)) for _ in range(2)]
        first, second = [await mine.uploads.create(bytes=20_000, **options) for _ in range(2)]
        await mine.uploads.parts.create(first.id, data=b"x" * 12_000)
    async with served(given) as server:
        mine, other = [server.sdk(sdk.api_key) for sdk in (mine, other)]
        with pytest.raises(openai.RateLimitError) as caught:
            await mine.uploads.parts.create(second.id, data=b"x" * 9_000)
        assert caught.value.code == "too_many_uploads"
        await mine.uploads.parts.create(second.id, data=b"x" * 8_000)
        foreign = await other.uploads.create(bytes=20_000, **options)
        with pytest.raises(openai.InternalServerError):
            await other.uploads.parts.create(foreign.id, data=b"x" * 5_001)
        await other.uploads.parts.create(foreign.id, data=b"x" * 5_000)
        await mine.uploads.cancel(first.id)
        await other.uploads.parts.create(foreign.id, data=b"x" * 12_000)
        assert server.state.uploads._usage.held_bytes == 25_000


async def test_parts_of_nothing_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their number, and each takes a block of the disk."""
    monkeypatch.setattr(upload_usage, "MAX_PARTS", 3)
    options: dict[str, Any] = {"filename": "f", "mime_type": "text/plain", "purpose": "user_data"}
    async with served(settings(tmp_path, limits=LimitSettings(upload_bytes_per_key=20_000))) as server:
        sdk = server.sdk()
        first, second = [await sdk.uploads.create(bytes=5, **options) for _ in range(2)]
        for _ in range(3):
            await sdk.uploads.parts.create(first.id, data=b"")
        with pytest.raises(openai.BadRequestError) as caught:
            await sdk.uploads.parts.create(first.id, data=b"")
        assert caught.value.code == "too_many_parts"
        await sdk.uploads.parts.create(second.id, data=b"")
        with pytest.raises(openai.RateLimitError):
            await sdk.uploads.parts.create(second.id, data=b"")


# --- in prompts ------------------------------------------------------------------------------------------------------


async def test_a_file_named_by_its_id_is_read_into_the_prompt(tmp_path: Path) -> None:
    """The same text and tokens as the same file inline, in chats and later turns too; what is stored keeps the id."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        file = await sdk.files.create(file=("notes.txt", "Grüße".encode()), purpose="user_data")
        data = "data:text/plain;base64," + base64.b64encode("Grüße".encode()).decode()
        asked: list[Any] = [
            [{"role": "user", "content": [{"type": "input_file", **part}]}]
            for part in ({"file_id": file.id}, {"file_data": data, "filename": "notes.txt"})
        ]
        named, inline = [await sdk.responses.create(model=MODEL, input=one) for one in asked]
        assert named.output_text == inline.output_text == "File notes.txt:\nGrüße"
        assert named.usage == inline.usage
        (item,) = (await sdk.responses.input_items.list(named.id)).data
        assert item.content[0].file_id == file.id  # type: ignore[union-attr]  # a message
        chat = await sdk.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": file.id}}]}],
        )
        assert chat.choices[0].message.content == named.output_text
        later = await sdk.responses.create(model=MODEL, input="x", previous_response_id=named.id)
        alone = await sdk.responses.create(model=MODEL, input="x", previous_response_id=inline.id)
        assert later.usage == alone.usage


async def test_a_file_that_cannot_be_read_into_a_prompt_is_refused(tmp_path: Path) -> None:
    """Unknown or somebody else's, no text, too large, or given twice: the error names the field."""
    limits = LimitSettings(body_bytes=4096)
    async with served(settings(tmp_path, limits=limits)) as server:
        mine, other = server.sdk(await make_key(server, "mine")), server.sdk(await make_key(server, "other"))
        texts = {"text": b"x", "bytes": b"\xff\xfe", "large": b"x" * 4097}
        ids = {
            name: (await mine.files.create(file=("f", data), purpose="user_data")).id
            for name, data in texts.items()
        }

        async def ask(client: openai.AsyncOpenAI, **part: str) -> str:
            content: Any = [{"role": "user", "content": [{"type": "input_file", **part}]}]
            return (await client.responses.create(model=MODEL, input=content)).output_text

        assert await ask(mine, file_id=ids["text"]) == "File f:\nx"
        for client, part, status in (
            (mine, {"file_id": "file-none"}, 404),
            (other, {"file_id": ids["text"]}, 404),
            (mine, {"file_id": ids["bytes"]}, 400),
            (mine, {"file_id": ids["large"]}, 400),
            (mine, {"file_id": ids["text"], "file_data": "eA=="}, 400),
        ):
            with pytest.raises(openai.APIStatusError) as caught:
                await ask(client, **part)
            assert caught.value.status_code == status
            assert caught.value.param == "input[0].content[0].file_id"
