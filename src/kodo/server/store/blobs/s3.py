"""A client of one bucket that speaks S3, and the only place that knows ``obstore``.

Requests that meet a lost connection, a 5xx or a "slow down" are repeated by it, with pauses that grow, for up to
:data:`RETRY_SECONDS`. Its errors can quote a whole answer of the server, so nothing of them but S3's own code is shown.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import obstore
from obstore import exceptions
from obstore.store import S3Store

from kodo.server.config import S3Settings
from kodo.server.lifecycle.blobs import BlobMissing
from kodo.server.lifecycle.errors import StoreFailed

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

CONNECT_SECONDS: Final = 5
REQUEST_SECONDS: Final = 60
"""Of one request with its body: a part of :data:`PART_BYTES` at most."""
RETRY_SECONDS: Final = 20.0
"""After this no request is begun again."""
PART_BYTES: Final = 5 * 2**20
"""Of an upload in parts: the least that S3 takes. What a writer has in memory is about six of them."""
_CODE: Final = re.compile(r"<Code>([A-Za-z]{3,40})</Code>")
_STATUS: Final = re.compile(r"\b(?:status|Status)[^0-9]{1,12}([1-5][0-9]{2})\b")
_HINTS: Final = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "these credentials may not do that (AccessDenied)",
    "InvalidAccessKeyId": "the access key is not known (InvalidAccessKeyId)",
    "SignatureDoesNotMatch": "the secret key is wrong (SignatureDoesNotMatch)",
    "ExpiredToken": "the credentials have expired (ExpiredToken)",
    "SlowDown": "it asks to slow down (SlowDown)",
    "503": "it asks to slow down, or is away (503)",
}


class Taken(Exception):
    """There is an object of this key already."""


class S3Bucket:
    """A bucket, or what is under a prefix of it. ``url``: ``s3://bucket/prefix``.

    Credentials are looked for where Amazon's own clients look: ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``, a web identity
    token, a container's or a machine's role.
    """

    def __init__(self, url: str, settings: S3Settings) -> None:
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        endpoint = settings.endpoint or _endpoint_of_environment()
        config: S3Config = {
            "disable_bulk_delete": True
        }  # not all stores have it, and nothing here deletes many
        path_style = endpoint is not None if settings.path_style is None else settings.path_style
        config["virtual_hosted_style_request"] = not path_style
        if endpoint is not None:
            scheme, _, host = endpoint.partition("://")
            config["endpoint"] = endpoint if path_style else f"{scheme}://{bucket}.{host}"
        if settings.region is not None:
            config["region"] = settings.region
        client: ClientConfig = {
            "allow_http": endpoint is not None and endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=REQUEST_SECONDS),
        }
        retry: RetryConfig = {
            "max_retries": 6,
            "retry_timeout": timedelta(seconds=RETRY_SECONDS),
            "backoff": {
                "init_backoff": timedelta(seconds=0.1),
                "max_backoff": timedelta(seconds=3),
                "base": 2,
            },
        }
        self.url = url
        self.place = url if endpoint is None else f"{url} at {endpoint}"
        """For the operator."""
        self._store = S3Store(
            bucket, prefix=prefix or None, config=config, client_options=client, retry_config=retry
        )

    async def put(self, key: str, data: bytes, *, new: bool = False) -> None:
        """Store an object; it is there when this returns. ``new``: not in place of another one.

        Raises:
            Taken: with ``new``, there is one; it may be this one, stored by an attempt that had no answer.
            StoreFailed: it is not stored, or it is not known whether.
        """
        with self._errors(key):
            await obstore.put_async(
                self._store, key, data, mode="create" if new else "overwrite", use_multipart=False
            )

    async def put_parts(self, key: str, parts: AsyncIterator[bytes]) -> None:
        """Store an object in parts of :data:`PART_BYTES`; it is not there before the last of them. Raises StoreFailed."""
        with self._errors(key):
            await obstore.put_async(
                self._store, key, parts, use_multipart=True, chunk_size=PART_BYTES, max_concurrency=2
            )

    async def head(self, key: str) -> tuple[int, str | None]:
        """The bytes of an object, and the mark of its version. Raises BlobMissing, StoreFailed."""
        with self._errors(key):
            found = await obstore.head_async(self._store, key)
        return found["size"], found["e_tag"]

    async def get(self, key: str, start: int, end: int, version: str | None = None) -> bytes:
        """Bytes ``start`` to ``end`` of an object, all of them; ``version``: of this one only.

        Raises:
            BlobMissing: it is not there.
            StoreFailed: it cannot be read, was replaced, or its answer was cut off.
        """
        options: Any = {"range": (start, end)}
        if version is not None:
            options["if_match"] = version
        with self._errors(key):
            found = await obstore.get_async(self._store, key, options=options)
            data = bytes(await found.bytes_async())
        if len(data) != end - start:
            raise StoreFailed(f"The file store sent {len(data)} bytes of {end - start}.")
        return data

    async def get_whole(self, key: str) -> bytes:
        """A small object. Raises BlobMissing, StoreFailed."""
        size, version = await self.head(key)
        return await self.get(key, 0, size, version) if size else b""

    async def copy(self, key: str, other: str) -> None:
        """Copy an object inside the bucket. Raises BlobMissing, StoreFailed."""
        with self._errors(key):
            await obstore.copy_async(self._store, key, other)

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there are no error. Raises StoreFailed."""
        for key in keys:
            with contextlib.suppress(BlobMissing), self._errors(key):
                await obstore.delete_async(self._store, key)

    async def list(self, folder: str, after: str | None = None) -> AsyncIterator[tuple[str, int]]:
        """Keys under a folder, and their bytes, in order; those behind ``after``. Raises StoreFailed."""
        with self._errors(folder):
            listed = obstore.list(self._store, folder, offset=after, chunk_size=1000)
        while True:
            with self._errors(folder):
                try:
                    page = await listed.__anext__()
                except StopAsyncIteration:
                    return
            for one in page:
                yield one["path"], one["size"]

    @contextlib.contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except exceptions.AlreadyExistsError:
            raise Taken(key) from None
        except exceptions.PreconditionError:
            raise StoreFailed("The file was replaced while it was read.") from None
        except FileNotFoundError as error:  # which obstore raises in place of its own
            if _code(error) == "NoSuchBucket":
                raise StoreFailed(self._explain(error)) from None
            raise BlobMissing(key.rpartition("/")[2]) from None
        except (exceptions.BaseError, OSError) as error:
            raise StoreFailed(self._explain(error)) from None

    def _explain(self, error: Exception) -> str:
        code = _code(error)
        if code in _HINTS:
            return f"The file store failed: {_HINTS[code]}."
        if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
            return "The file store failed: these credentials may not do that."
        if code is None and "169.254." in str(error):
            return "The file store failed: there are no credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)."
        return "The file store cannot be reached." if code is None else f"The file store failed ({code})."


def _code(error: Exception) -> str | None:
    """What S3 calls an error, or its HTTP status."""
    text = str(error)
    found = _CODE.search(text) or _STATUS.search(text)
    return None if found is None else found[1]


def _endpoint_of_environment() -> str | None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if found := os.environ.get(name):
            return found.rstrip("/")
    return None
