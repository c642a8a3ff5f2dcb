"""Compressed request bodies: read in three codings, refused in others, and bounded after they are decompressed."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from backports import zstd
from tests.serving import MODEL, served, settings

BODY = json.dumps({"model": MODEL, "input": "hello"}).encode()


def raw_deflate(data: bytes) -> bytes:
    """Without zlib's head, as some clients send it."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "zstd": ("zstd", zstd.compress),
    "identity": ("identity", bytes),
}


@pytest.mark.parametrize("coding", CODINGS)
async def test_compressed_bodies_are_read(tmp_path: Path, coding: str) -> None:
    """With an idempotency key too, whose replay is the same."""
    name, compress = CODINGS[coding]
    async with served(settings(tmp_path)) as server, server.http() as http:
        headers = {"content-type": "application/json", "content-encoding": name, "idempotency-key": "k"}
        body = compress(BODY)  # once: gzip writes the time into it
        answers = [await http.post("/v1/responses", content=body, headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].content == answers[1].content


async def test_a_repeated_request_is_the_same_however_it_is_compressed(tmp_path: Path) -> None:
    """gzip writes the second into its header, so a retry's bytes are others; another body is a 409 still."""
    first, later, other = (
        gzip.compress(BODY, mtime=1),
        gzip.compress(BODY, mtime=2),
        BODY.replace(b"hello", b"hi"),
    )
    assert first != later
    async with served(settings(tmp_path)) as server, server.http() as http:

        async def post(content: bytes, coding: str) -> httpx2.Response:
            headers = {"content-type": "application/json", "content-encoding": coding, "idempotency-key": "k"}
            return await http.post("/v1/responses", content=content, headers=headers)

        answers = [
            await post(first, "gzip"),
            await post(later, "gzip"),
            await post(zlib.compress(BODY), "deflate"),
            await post(BODY, "identity"),
        ]
        assert [answer.status_code for answer in answers] == [200] * 4
        assert len({answer.content for answer in answers}) == 1
        assert (await post(gzip.compress(other), "gzip")).status_code == 409


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("content", ["bomb", "cut", "nonsense", "more"])
async def test_what_is_not_what_it_says_is_refused(tmp_path: Path, coding: str, content: str) -> None:
    """A few kB that become 100 MB are a 413 and take no memory; the rest is a 400."""
    name, compress = CODINGS[coding]
    made = {
        "bomb": lambda: compress(b" " * 100_000_000),
        "cut": lambda: compress(BODY)[:-9],
        "nonsense": lambda: BODY,
        "more": lambda: compress(BODY) + b"more",
    }[content]()
    async with served(settings(tmp_path)) as server, server.http() as http:
        headers = {"content-type": "application/json", "content-encoding": name}
        answer = await http.post("/v1/responses", content=made, headers=headers)
        assert answer.status_code == (413 if content == "bomb" else 400)


@pytest.mark.parametrize("name", ["br", "gzip, zstd", "x" * 500])
async def test_other_codings_are_a_415_that_names_those_that_are_read(tmp_path: Path, name: str) -> None:
    """Before the body is read."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        headers = {"content-type": "application/json", "content-encoding": name}
        answer = await http.post("/v1/responses", content=BODY, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_content_encoding")
        assert "gzip, deflate, zstd" in answer.json()["error"]["message"]
