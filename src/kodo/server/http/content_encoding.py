"""``Content-Encoding`` of requests: gzip, deflate and zstd, with a cap on what they are decompressed to."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Final

from kodo.server.http.errors import UnsupportedMediaType
from kodo.server.lifecycle.errors import TooLarge
from kodo.server.wire.decode import BadBody

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_WINDOW_LOG: Final = 27
"""zstd's window in powers of two (128 MiB): the largest that its own tools take without being asked to."""


def _inflate(data: bytes, window_bits: int, limit: int) -> bytes | None:
    decoder = zlib.decompressobj(window_bits)
    body = decoder.decompress(data, limit + 1)
    if len(body) <= limit and (not decoder.eof or decoder.unused_data):
        raise zlib.error("it does not end, or is followed by something else")
    return body if len(body) <= limit else None


def _gzip(data: bytes, limit: int) -> bytes | None:
    return _inflate(data, 16 + zlib.MAX_WBITS, limit)


def _deflate(data: bytes, limit: int) -> bytes | None:
    """zlib's format, as the standard has it, or the bare one that some clients send."""
    try:
        return _inflate(data, zlib.MAX_WBITS, limit)
    except zlib.error:
        return _inflate(data, -zlib.MAX_WBITS, limit)


def _zstd(data: bytes, limit: int) -> bytes | None:
    decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG})
    body = decoder.decompress(data, limit + 1)
    if len(body) <= limit and (not decoder.eof or decoder.unused_data):
        raise zstd.ZstdError("it does not end, or is followed by something else")
    return body if len(body) <= limit else None


_DECODERS: Final[dict[str, Callable[[bytes, int], bytes | None]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}
SUPPORTED: Final = ("gzip", "deflate", "zstd")


def decoder_for(header: str) -> Callable[[bytes, int], bytes] | None:
    """The function that decompresses a body, by its Content-Encoding; None: the body is not compressed.

    The function takes the body and the limit in bytes.

    Raises:
        UnsupportedMediaType: the coding is not one of :data:`SUPPORTED`, or there are several.
        TooLarge: raised by the function: the decompressed body is larger than the limit.
        BadBody: raised by the function: the body is not in that coding.
    """
    name = header.strip().lower()
    if name in ("", "identity"):
        return None
    if name not in _DECODERS:
        raise UnsupportedMediaType(
            f"Content-Encoding must be one of {', '.join(SUPPORTED)}, not '{name[:80]}'.",
            code="unsupported_content_encoding",
        )

    def decode(data: bytes, limit: int) -> bytes:
        try:
            body = _DECODERS[name](data, limit)
        except (zlib.error, zstd.ZstdError, EOFError):
            raise BadBody(f"The body is not valid {name}.", None, "invalid_content_encoding") from None
        if body is None:
            raise TooLarge(f"The decompressed body is larger than {limit} bytes.")
        return body

    return decode
