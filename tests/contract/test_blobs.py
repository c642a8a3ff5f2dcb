"""What every place of blobs promises, run over a folder and a bucket that speaks S3."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc
from pathlib import Path

import pytest
from tests.s3_server import set_credentials, shared_s3, spool

from kodo.server.config import S3Settings
from kodo.server.lifecycle.blobs import BlobMissing, BlobStore, GrowingBlob, read_whole
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store.blobs.bucket import MERGED, BucketBlobs
from kodo.server.store.blobs.folder import FolderBlobs
from kodo.server.store.blobs.s3 import PART_BYTES, S3Bucket

LARGE = 9 * PART_BYTES + 12345


def in_folder(tmp_path: Path) -> BlobStore:
    """Blobs in a folder of the test's."""
    return FolderBlobs(tmp_path / "files")


def in_bucket(tmp_path: Path) -> BlobStore:
    """Blobs in a new bucket."""
    server = shared_s3()
    bucket = S3Bucket(f"s3://{server.new_bucket()}/some/prefix", S3Settings(endpoint=server.url))
    return BucketBlobs(bucket, "files", spool(tmp_path / "spool"))


@pytest.fixture(params=[in_folder, in_bucket], ids=["folder", "s3"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BlobStore:
    set_credentials(monkeypatch)
    made: BlobStore = request.param(tmp_path)
    await made.prepare()
    return made


async def put(blobs: BlobStore, blob_id: str, data: bytes) -> None:
    """Write a blob at once."""
    async with blobs.create(blob_id) as writer:
        await writer.write(data)
    assert writer.size == len(data)


async def lines(grown: GrowingBlob) -> list[bytes]:
    """What has grown."""
    return [line async for line in grown.lines()]


@pytest.mark.parametrize("data", [b"", b"a", bytes(range(256)) * 5000], ids=["empty", "one", "many"])
async def test_a_blob_comes_back_as_it_was_written(blobs: BlobStore, data: bytes) -> None:
    """Its bytes, its size, and as a file of this machine that is there as long as it is needed."""
    await put(blobs, "file-a0", data)
    assert await read_whole(blobs, "file-a0") == data
    assert await blobs.size("file-a0") == len(data)
    async with blobs.local("file-a0") as path:
        assert path.read_bytes() == data


async def test_a_large_blob_is_written_and_read_in_pieces(blobs: BlobStore) -> None:
    """Several parts, never all of it in memory."""
    piece = bytes(range(256)) * 4096
    wanted = hashlib.sha256()
    tracemalloc.start()
    async with blobs.create("file-b0") as writer:
        while writer.size < LARGE:
            some = piece[: LARGE - writer.size]
            wanted.update(some)
            await writer.write(some)
    found = hashlib.sha256()
    async for chunk in await blobs.read("file-b0"):
        found.update(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert await blobs.size("file-b0") == LARGE
    assert found.digest() == wanted.digest()
    assert peak < 7 * PART_BYTES  # the buffer, the queue, and what is on its way


@pytest.mark.parametrize("size", [10, LARGE], ids=["small", "in parts"])
async def test_a_blob_whose_block_raises_is_not_there(blobs: BlobStore, size: int) -> None:
    """Nor any of its parts; an older one of the same id stays."""
    for older in (False, True):
        if older:
            await put(blobs, "file-c0", b"older")
        with pytest.raises(RuntimeError, match="broken off"):
            async with blobs.create("file-c0") as writer:
                for _ in range(0, size, 2**20):
                    await writer.write(bytes(min(size, 2**20)))
                raise RuntimeError("broken off")
        if older:
            assert await read_whole(blobs, "file-c0") == b"older"
        else:
            with pytest.raises(BlobMissing):
                await blobs.read("file-c0")
    assert await blobs.ids("file") == []


async def test_a_writer_that_is_cancelled_leaves_nothing(blobs: BlobStore) -> None:
    """In the middle of a large one."""
    begun = asyncio.Event()

    async def write() -> None:
        async with blobs.create("file-c1") as writer:
            await writer.write(bytes(2 * PART_BYTES))
            begun.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(write())
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(BlobMissing):
        await blobs.size("file-c1")


async def test_what_is_missing_says_so(blobs: BlobStore) -> None:
    """Whatever is asked of it; deleting it is no error, and what is no id is refused before it reaches a path."""
    with pytest.raises(BlobMissing):
        await blobs.read("file-d0")
    with pytest.raises(BlobMissing):
        await blobs.size("file-d0")
    with pytest.raises(BlobMissing):
        await blobs.copy("file-d0", "file-d1")
    with pytest.raises(BlobMissing):
        async with blobs.local("file-d0"):
            pass
    await blobs.delete("file-d0")
    await blobs.copy_grown("file-d0", "file-d1")
    for name in ("../seal.key", "file-", "", "a/b", "FILE-d0"):
        with pytest.raises(ValueError, match="not an id"):
            await blobs.size(name)
        with pytest.raises(ValueError, match="not an id"):
            await blobs.delete(name)


async def test_a_copy_outlives_the_first(blobs: BlobStore) -> None:
    """Each is deleted alone, and replacing one leaves the other."""
    await put(blobs, "file-e0", b"data")
    await blobs.copy("file-e0", "batch_e1")
    await put(blobs, "file-e0", b"other")
    assert await read_whole(blobs, "batch_e1") == b"data"
    await blobs.delete("file-e0")
    assert await read_whole(blobs, "batch_e1") == b"data"
    await blobs.copy("batch_e1", "file-e0")
    assert await read_whole(blobs, "file-e0") == b"data"


async def test_ids_are_listed_by_their_kind(blobs: BlobStore) -> None:
    """No other kind's, and nothing that only begins in the same way."""
    for name in ("batch_01", "batch_02", "batchx_03", "cfile_04", "part_05"):
        await put(blobs, name, b"x")
    assert sorted(await blobs.ids("batch")) == ["batch_01", "batch_02"]
    assert await blobs.ids("cfile") == ["cfile_04"]
    assert await blobs.ids("zzz") == []


async def test_a_reader_gets_one_version_whole_or_an_error(blobs: BlobStore) -> None:
    """Where the blob is replaced or deleted under it, it never gets a mixture or a short one."""
    old, new = b"o" * (2 * PART_BYTES), b"n" * (2 * PART_BYTES)
    for change in (lambda: put(blobs, "file-f0", new), lambda: blobs.delete("file-f0")):
        await put(blobs, "file-f0", old)
        chunks = await blobs.read("file-f0")
        data = bytearray(await anext(chunks))
        await change()
        try:
            async for chunk in chunks:
                data += chunk
        except (BlobMissing, StoreFailed):
            continue
        assert bytes(data) == old


# --- what grows ------------------------------------------------------------------------------------------------------


async def test_what_grows_is_there_when_it_is_opened_again(blobs: BlobStore) -> None:
    """In order; more may follow; a copy has what was there, and what follows there is not in it."""
    grown = await blobs.grow("file-10")
    assert (await lines(grown), grown.size) == ([], 0)
    await grown.append(b"a\nb\n")
    await grown.append(b"c\n")
    assert grown.size == 6
    await grown.close()
    again = await blobs.grow("file-10")
    assert await lines(again) == [b"a\n", b"b\n", b"c\n"]
    await blobs.copy_grown("file-10", "file-11")
    await again.append(b"d\n")
    await again.close()
    moved = await blobs.grow("file-11")
    assert await lines(moved) == [b"a\n", b"b\n", b"c\n"]
    await moved.append(b"e\n")
    await moved.publish()
    await moved.close()
    assert await read_whole(blobs, "file-11") == b"a\nb\nc\ne\n"


async def test_what_has_grown_is_published_as_a_blob(blobs: BlobStore) -> None:
    """Again is no harm, also by who opens it anew, who may go on; deleting it leaves nothing."""
    grown = await blobs.grow("file-12")
    for number in range(3):
        await grown.append(b"%d\n" % number)
    await grown.publish()
    await grown.publish()
    await grown.close()
    assert await blobs.size("file-12") == 6
    again = await blobs.grow("file-12")
    assert (await lines(again), again.size) == ([b"0\n", b"1\n", b"2\n"], 6)
    await again.append(b"3\n")
    await again.publish()
    await again.close()
    assert await read_whole(blobs, "file-12") == b"0\n1\n2\n3\n"
    await blobs.copy_grown("file-12", "file-13")
    await blobs.delete("file-12")
    assert await lines(await blobs.grow("file-12")) == []
    assert await lines(await blobs.grow("file-13")) == [b"0\n", b"1\n", b"2\n", b"3\n"]


async def test_many_appends_stay_in_order(blobs: BlobStore) -> None:
    """More of them than are kept apart, with long lines, read again in the middle."""
    wanted: list[bytes] = []
    for opened in range(2):
        grown = await blobs.grow("file-14")
        for number in range(MERGED + 6):
            wanted.append(b"%d-%d " % (opened, number) + b"x" * (number * 100) + b"\n")
            await grown.append(wanted[-1])
        assert await lines(grown) == wanted
        await grown.close()
    grown = await blobs.grow("file-14")
    assert await lines(grown) == wanted
    assert grown.size == sum(map(len, wanted))
    await grown.publish()
    assert await read_whole(blobs, "file-14") == b"".join(wanted)
    await grown.close()
