"""A bucket that fails in the ways that buckets fail, and a server that has its files in one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.postgres_server import shared_server
from tests.s3_server import KEY, SECRET, FaultyFront, answer, set_credentials, shared_s3, spool
from tests.serving import MODEL, Served, served, settings

from kodo.server.config import InvalidSettings, S3Settings, Settings, load
from kodo.server.http.batches import worker as batch_worker
from kodo.server.http.files.endpoints import files as endpoints
from kodo.server.lifecycle.blobs import BlobMissing, read_whole
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store.blobs import s3
from kodo.server.store.blobs.bucket import BucketBlobs
from kodo.server.store.blobs.choice import copy_place, inspect_place, open_place
from kodo.server.store.blobs.s3 import PART_BYTES, S3Bucket

SLOW = answer("503 Slow Down", "SlowDown")


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own, and short pauses."""
    set_credentials(monkeypatch)
    monkeypatch.setattr(s3, "RETRY_SECONDS", 3.0)


@pytest.fixture
async def front() -> AsyncIterator[FaultyFront]:
    """A front before the server."""
    async with FaultyFront(shared_s3().port) as made:
        yield made


@pytest.fixture
def blobs(front: FaultyFront, tmp_path: Path) -> BucketBlobs:
    """Blobs in a new bucket behind the front."""
    bucket = S3Bucket(f"s3://{shared_s3().new_bucket()}/p", S3Settings(endpoint=front.url))
    return BucketBlobs(bucket, "files", spool(tmp_path / "spool"))


async def put(blobs: BucketBlobs, blob_id: str, data: bytes) -> None:
    """Write a blob."""
    async with blobs.create(blob_id) as writer:
        await writer.write(data)


def in_bucket(home: Path, endpoint: str | None = None, **more: Any) -> Settings:
    """Settings of a server with its files in a new bucket."""
    bucket = more.pop("bucket", None) or shared_s3().new_bucket()
    return settings(
        home, files=f"s3://{bucket}/kodo", s3=S3Settings(endpoint=endpoint or shared_s3().url), **more
    )


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [SLOW, answer("500 Internal Server Error", "InternalError"), b""])
async def test_what_passes_is_done_again(blobs: BucketBlobs, front: FaultyFront, said: bytes) -> None:
    """A busy store, one that broke, and connections that are reset: the caller sees nothing of it."""
    front.fault = lambda head, number: said if number % 3 else None
    await put(blobs, "file-a0", b"data")
    assert await read_whole(blobs, "file-a0") == b"data"
    await blobs.delete("file-a0")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (SLOW, "asks to slow down"),
        (answer("403 Forbidden", "AccessDenied"), "may not do that"),
        (answer("403 Forbidden", "SignatureDoesNotMatch"), "secret key is wrong"),
        (answer("403 Forbidden", "SomethingNew"), "SomethingNew|may not do that"),
        (b"", "cannot be reached"),
        (b"no http at all\r\n\r\n", "cannot be reached"),
    ],
)
async def test_what_stays_is_an_error_that_says_why(
    blobs: BucketBlobs, front: FaultyFront, said: bytes, shown: str
) -> None:
    """Nothing is taken for stored, nothing for missing, and no key is in the message or behind it."""
    await put(blobs, "file-b0", b"older")
    front.fault = lambda head, number: said
    for work in (put(blobs, "file-b0", b"newer"), blobs.size("file-b0"), blobs.delete("file-b0")):
        with pytest.raises(StoreFailed) as caught:
            await work
        assert caught.value.__cause__ is None and caught.value.__suppress_context__
        assert KEY not in str(caught.value) and SECRET not in str(caught.value)
        bare = said.startswith(b"HTTP") and front.heads[-1].startswith(b"HEAD")  # its answers have no text
        assert re.search("may not do that|slow down" if bare else shown, str(caught.value))
    front.fault = lambda head, number: None
    assert await read_whole(blobs, "file-b0") == b"older"


async def test_an_upload_in_parts_that_breaks_leaves_no_blob(blobs: BucketBlobs, front: FaultyFront) -> None:
    """The store takes the first parts and then no more; the writer hears of it, at the latest at its end."""
    front.fault = lambda head, number: SLOW if b"partNumber=2" in head.split(b"\r\n")[0] else None
    with pytest.raises(StoreFailed, match="slow down"):
        await put(blobs, "file-c0", bytes(4 * PART_BYTES))
    with pytest.raises(BlobMissing):
        await blobs.size("file-c0")


@pytest.mark.parametrize("after", [0, 1, 1000])
async def test_an_answer_that_is_cut_off_is_never_a_short_file(
    blobs: BucketBlobs, front: FaultyFront, after: int
) -> None:
    """Read again where that helps, else an error."""
    data = bytes(range(256)) * 100
    await put(blobs, "file-d0", data)
    front.cut = lambda head: after if head.startswith(b"GET") and len(front.heads) % 2 else None
    with contextlib.suppress(StoreFailed):
        assert await read_whole(blobs, "file-d0") == data
    front.cut = lambda head: after if head.startswith(b"GET") else None
    with pytest.raises(StoreFailed):
        await read_whole(blobs, "file-d0")


async def test_an_append_whose_answer_was_lost_is_there_once(blobs: BucketBlobs, front: FaultyFront) -> None:
    """The writer is told that it failed, or that it is stored; whoever opens it again sees it once."""
    grown = await blobs.grow("file-e0")
    await grown.append(b"a\n")
    lost = iter([True])
    front.loses = lambda head: head.startswith(b"PUT") and next(lost, False)
    with pytest.raises(StoreFailed, match="read again"):
        await grown.append(b"b\n")
    again = await blobs.grow("file-e0")
    assert [line async for line in again.lines()] == [b"a\n", b"b\n"]
    with pytest.raises(StoreFailed, match="read again"):  # a server that was paused, and woken
        await grown.append(b"late\n")
    await again.append(b"c\n")
    await again.publish()
    assert await read_whole(blobs, "file-e0") == b"a\nb\nc\n"


# --- the start -------------------------------------------------------------------------------------------------------


async def test_a_place_in_a_bucket_is_one_for_all(tmp_path: Path) -> None:
    """Servers that begin at once have the same id and key; what one seals the other opens."""
    bucket = shared_s3().new_bucket()
    servers = [in_bucket(tmp_path / str(number), bucket=bucket) for number in range(4)]
    given = servers[0]
    places = await asyncio.gather(*map(open_place, servers))
    assert len({place.id for place in places}) == 1 and places[0].id
    assert places[1].sealer.open("p", places[0].sealer.seal("p", b"x")) == b"x"
    found = await inspect_place(given)
    assert (found.id, found.problem) == (places[0].id, None)
    assert given.files is not None and given.files in found.name


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (answer("403 Forbidden", "AccessDenied"), "may not do that"),
        (answer("403 Forbidden", "InvalidAccessKeyId"), "these credentials|access key"),
        (b"", "cannot be reached"),
    ],
)
async def test_a_place_that_fails_at_the_start_names_the_setting(
    tmp_path: Path, front: FaultyFront, said: bytes, shown: str
) -> None:
    """And what is wrong with it, without the keys; so does the look of kodo doctor."""
    given = in_bucket(tmp_path, front.url)
    front.fault = lambda head, number: said
    with pytest.raises(StoreFailed, match=r"^Setting files ") as caught:
        await open_place(given)
    assert re.search(shown, str(caught.value))
    assert SECRET not in str(caught.value) and KEY not in str(caught.value)
    found = await inspect_place(given)
    assert found.problem is not None and re.search(shown, found.problem)


async def test_a_bucket_that_is_not_there_is_named(tmp_path: Path) -> None:
    """At the start, and by kodo doctor; it is not made."""
    given = in_bucket(tmp_path, bucket="nobody-made-this")
    with pytest.raises(StoreFailed, match=r"Setting files \(s3://nobody-made-this/kodo at .*no such bucket"):
        await open_place(given)
    found = await inspect_place(given)
    assert found.problem is not None and "no such bucket" in found.problem


async def test_a_store_that_ignores_conditions_is_refused(tmp_path: Path, front: FaultyFront) -> None:
    """Results of batches rest on an object not being replaced by one that comes late."""
    given = in_bucket(tmp_path, front.url)
    await open_place(given)
    front.fault = lambda head, number: (
        b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
        if head.startswith(b"PUT")
        else None
    )
    with pytest.raises(StoreFailed, match="If-None-Match"):
        await open_place(given)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"files": "/srv/files"}, "Setting files: .*s3://bucket"),
        ({"files": "s3://Bad_Bucket"}, "Setting files"),
        ({"files": "s3://bucket/../x"}, "Setting files"),
        ({"files": "s3://bucket", "s3": {"endpoint": "minio:9000"}}, "Setting s3.endpoint: .*https://host"),
        ({"files": "s3://bucket", "s3": {"endpoint": "http://user:pass@minio"}}, "Setting s3.endpoint"),
        ({"files": "s3://bucket", "s3": {"endpiont": "http://x"}}, "s3.endpiont"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(given: dict[str, Any], shown: str) -> None:
    """With the name of the setting."""
    with pytest.raises(InvalidSettings, match=shown):
        load(**given)


# --- a server --------------------------------------------------------------------------------------------------------


async def test_a_server_has_its_files_in_the_bucket(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Uploads, parts, batches and content; nothing of it is on the disk, and no key in a log."""
    caplog.set_level(logging.DEBUG)
    async with served(in_bucket(tmp_path)) as server:
        sdk = server.sdk()
        data = b"x" * (2 * PART_BYTES + 1)
        file = await sdk.files.create(file=("a.bin", data), purpose="user_data")
        assert (await sdk.files.content(file.id)).content == data
        upload = await sdk.uploads.create(bytes=6, filename="b", mime_type="text/plain", purpose="user_data")
        parts = [await sdk.uploads.parts.create(upload.id, data=some) for some in (b"abc", b"def")]
        whole = await sdk.uploads.complete(upload.id, part_ids=[part.id for part in parts])
        assert whole.file is not None
        assert (await sdk.files.content(whole.file.id)).content == b"abcdef"
        await sdk.files.delete(file.id)
        with pytest.raises(openai.NotFoundError):
            await sdk.files.content(file.id)
        done = await batch(sdk, 30)
        assert done.output_file_id is not None
        assert await results(sdk, done) == {str(number) for number in range(30)}
        held = await server.state.files.blobs.ids("file") + await server.state.files.blobs.ids("part")
        assert held == []
    on_disk = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(data[:100] in path.read_bytes() for path in on_disk)
    assert SECRET not in caplog.text


async def batch(sdk: openai.AsyncOpenAI, count: int) -> Any:
    """A batch that has ended."""
    lines = [
        {
            "custom_id": str(n),
            "method": "POST",
            "url": "/v1/responses",
            "body": {"model": MODEL, "input": str(n)},
        }
        for n in range(count)
    ]
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    file = await sdk.files.create(file=("in.jsonl", data), purpose="batch")
    made = await sdk.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h")
    while made.status not in ("completed", "failed"):
        await asyncio.sleep(0.05)
        made = await sdk.batches.retrieve(made.id)
    assert made.status == "completed", made.errors
    return made


async def results(sdk: openai.AsyncOpenAI, done: Any) -> set[str]:
    """The custom ids of a batch's results, each of which is there once."""
    found = [
        json.loads(line)["custom_id"]
        for line in (await sdk.files.content(done.output_file_id)).text.splitlines()
    ]
    assert len(set(found)) == len(found)
    return set(found)


async def test_a_batch_has_each_result_once_whatever_the_bucket_does(
    tmp_path: Path, front: FaultyFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers of appends are lost, appends refused: it is put off and goes on, and no line is there twice or missing."""
    monkeypatch.setattr(batch_worker, "_RETRY_DELAYS", (0.05, 0.1))
    async with served(in_bucket(tmp_path, front.url)) as server:
        chance = random.Random(1)

        def appends(head: bytes, of: float) -> bool:
            return head.startswith(b"PUT") and b".growing/" in head and chance.random() < of

        front.fault = lambda head, number: (
            answer("403 Forbidden", "AccessDenied") if appends(head, 0.2) else None
        )
        front.loses = lambda head: appends(head, 0.25)
        sdk = server.sdk()
        assert await results(sdk, await batch(sdk, 40)) == {str(number) for number in range(40)}


async def test_an_upload_is_acknowledged_only_when_it_is_stored(tmp_path: Path, front: FaultyFront) -> None:
    """A bucket that takes nothing is a 500 to the client, and no file is listed; afterwards it goes on."""
    async with served(in_bucket(tmp_path, front.url)) as server:
        sdk = server.sdk()
        front.fault = lambda head, number: answer("403 Forbidden", "AccessDenied")
        for data in (b"small", bytes(2 * PART_BYTES)):
            with pytest.raises(openai.InternalServerError, match="may not do that"):
                await sdk.files.create(file=("a.txt", data), purpose="user_data")
        front.fault = lambda head, number: None
        assert (await sdk.files.list()).data == []
        file = await sdk.files.create(file=("a.txt", b"small"), purpose="user_data")
        assert (await sdk.files.content(file.id)).content == b"small"


async def test_a_file_over_the_limit_leaves_nothing_in_the_bucket(
    tmp_path: Path, front: FaultyFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a 413 in the middle of the upload: the parts that were sent are taken back, which costs nothing from then on.

    Whether a part has left before the end is known is a matter of time; the upload in parts is broken off either way.
    """
    monkeypatch.setattr(endpoints, "MAX_BYTES", 2 * PART_BYTES)
    async with served(in_bucket(tmp_path, front.url)) as server:
        with pytest.raises(openai.APIStatusError) as caught:
            await server.sdk().files.create(file=("a.bin", bytes(4 * PART_BYTES)), purpose="user_data")
        assert caught.value.status_code == 413
        assert await server.state.files.blobs.ids() == []
    sent = [head.split(b" ")[:2] for head in front.heads if b"uploadId=" in head.split(b"\r\n")[0]]
    assert sent[-1][0] == b"DELETE"


async def test_two_servers_share_a_bucket(tmp_path: Path) -> None:
    """What was uploaded at one is read, searched and run as a batch at the other; seal.key is one for both."""
    url, bucket = shared_server().new_database(), shared_s3().new_bucket()
    async with AsyncExitStack() as stack:
        nodes: list[Served] = [
            await stack.enter_async_context(served(in_bucket(tmp_path / name, bucket=bucket, database=url)))
            for name in ("one", "two")
        ]
        one, two = (node.sdk() for node in nodes)
        file = await one.files.create(file=("a.txt", b"the word is xyzzy"), purpose="assistants")
        assert (await two.files.content(file.id)).content == b"the word is xyzzy"
        store = await two.vector_stores.create(name="s")
        added = await two.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id)
        assert added.status == "completed"
        found = await one.vector_stores.search(store.id, query="xyzzy")
        assert [result.file_id for result in found.data] == [file.id]
        done = await batch(one, 5)
        assert await results(two, done) == {str(number) for number in range(5)}
        sealed = nodes[0].state.service.sealer.seal("p", b"x")
        assert nodes[1].state.service.sealer.open("p", sealed) == b"x"


# --- copies ----------------------------------------------------------------------------------------------------------


async def test_files_are_copied_to_a_bucket_and_back(tmp_path: Path) -> None:
    """All of them with the key of sealed values, what grows too; a place that has files or another key is refused."""
    first, last = tmp_path / "first", tmp_path / "last"
    first.mkdir()
    last.mkdir()
    given = settings(first)
    place = await open_place(given)
    await place.files.prepare()
    async with place.files.create("file-a0") as writer:
        await writer.write(bytes(PART_BYTES + 1))
    grown = await place.files.grow("file-b0")
    await grown.append(b"line\n")
    await grown.close()
    bucket = f"s3://{shared_s3().new_bucket()}/x"
    reached = settings(first, s3=S3Settings(endpoint=shared_s3().url))
    there = await copy_place(None, bucket, reached)
    assert (there["files"].count, there["files"].bytes) == (2, PART_BYTES + 1 + 5)
    in_use = await open_place(reached.model_copy(update={"files": bucket}))
    more = await in_use.files.grow("file-c0")
    await more.append(b"more\n")
    back = await copy_place(bucket, str(last), reached)
    assert back["files"].count == 3
    assert (last / "files" / "file-b0").read_bytes() == b"line\n"
    assert (last / "files" / "file-c0").read_bytes() == b"more\n"
    assert (last / "seal.key").read_bytes() == (first / "seal.key").read_bytes()
    with pytest.raises(StoreFailed, match="has files already"):
        await copy_place(None, bucket, reached)
    other = settings(tmp_path / "other")
    other.home.mkdir()
    await open_place(other)
    with pytest.raises(StoreFailed, match=r"has another seal\.key"):
        await copy_place(str(other.home), bucket, reached)


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start of a server, and by kodo doctor."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "kodo.server.store.blobs.s3")
    with pytest.raises(StoreFailed, match=r"pip install '\.\[s3\]'"):
        asyncio.run(open_place(settings(tmp_path, files="s3://bucket")))
