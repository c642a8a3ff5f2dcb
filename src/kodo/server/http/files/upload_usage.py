"""How much open uploads may hold: a number of uploads, and the bytes of their parts, for each key and in all.

Counted in memory; a start counts again what is stored. With several servers on one database each counts the uploads that
it has to do with. A part takes at least :data:`MIN_PART_BYTES`, so that empty ones are bounded too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kodo.server.config import LimitSettings
from kodo.server.lifecycle.background import Holder
from kodo.server.lifecycle.errors import Conflict, InvalidRequest, Overloaded, TooManyUploads

MIN_PART_BYTES: Final = 4096
"""What a small part takes on a disk."""
MAX_PARTS: Final = 10_000
"""Parts of an upload: as many as its completion may name."""
_RETRY_SECONDS: Final = 10.0


@dataclass
class _OpenUpload:
    holder: Holder
    announced: int
    received: int
    """Bytes of its parts, those included that are being received."""
    held: int
    """The same, with small parts as what they take."""
    parts: int


class UploadUsage:
    """Counts the open uploads and what they hold."""

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._open: dict[str, _OpenUpload] = {}
        self._uploads: Counter[Holder] = Counter()
        self._held: Counter[Holder] = Counter()
        self.held_bytes = 0
        """Bytes of the parts of all open uploads."""

    def __contains__(self, upload_id: object) -> bool:
        """Whether an upload is counted."""
        return upload_id in self._open

    def begin(self, upload_id: str, holder: Holder, announced: int) -> None:
        """Count a new upload of ``announced`` bytes.

        Raises:
            Overloaded: there are too many in all.
            TooManyUploads: the key has too many.
        """
        limits = self._limits
        if len(self._open) >= limits.uploads:
            raise Overloaded("The server has too many open uploads.", retry_after=_RETRY_SECONDS)
        if self._uploads[holder] >= limits.uploads_per_key:
            raise TooManyUploads(
                f"This key has {limits.uploads_per_key} open uploads; complete or cancel some of them.",
                retry_after=_RETRY_SECONDS,
            )
        self.restore(upload_id, holder, announced, ())

    def restore(self, upload_id: str, holder: Holder, announced: int, parts: Sequence[int]) -> None:
        """Count an upload that was accepted before, with the sizes of its parts, even where there are too many."""
        if upload_id in self._open:
            return
        held = sum(max(size, MIN_PART_BYTES) for size in parts)
        self._open[upload_id] = _OpenUpload(holder, announced, sum(parts), held, len(parts))
        self._uploads[holder] += 1
        self._add(holder, held)

    def end(self, upload_id: str) -> None:
        """Stop counting an upload, which is over."""
        upload = self._open.pop(upload_id, None)
        if upload is not None:
            self._uploads[upload.holder] -= 1
            self._add(upload.holder, -upload.held)
            if not self._uploads[upload.holder]:
                del self._uploads[upload.holder], self._held[upload.holder]

    def begin_part(self, upload_id: str) -> PartUsage:
        """Count a part that is about to be received.

        Raises:
            Conflict: the upload is over.
            InvalidRequest: it has too many parts.
            Overloaded: the parts of all uploads hold too many bytes.
            TooManyUploads: those of the key do.
        """
        if self._get(upload_id).parts >= MAX_PARTS:
            raise InvalidRequest(f"An upload may have at most {MAX_PARTS} parts.", code="too_many_parts")
        self._hold(upload_id, MIN_PART_BYTES)
        self._open[upload_id].parts += 1
        return PartUsage(self, upload_id)

    def _get(self, upload_id: str) -> _OpenUpload:
        upload = self._open.get(upload_id)
        if upload is None:
            raise Conflict("The upload is over.", param="upload_id", code="upload_not_pending")
        return upload

    def _hold(self, upload_id: str, size: int) -> None:
        upload, limits = self._get(upload_id), self._limits
        if self.held_bytes + size > limits.upload_bytes:
            raise Overloaded("The server's open uploads hold too many bytes.", retry_after=_RETRY_SECONDS)
        if self._held[upload.holder] + size > limits.upload_bytes_per_key:
            raise TooManyUploads(
                f"The open uploads of this key would hold more than {limits.upload_bytes_per_key} bytes; complete or "
                "cancel some of them.",
                retry_after=_RETRY_SECONDS,
            )
        upload.held += size
        self._add(upload.holder, size)

    def _add(self, holder: Holder, size: int) -> None:
        self._held[holder] += size
        self.held_bytes += size

    def receive(self, upload_id: str, part: int, size: int) -> None:
        """Count ``size`` more bytes of a part that has ``part`` bytes so far.

        Raises:
            Conflict: the upload is over.
            InvalidRequest: the parts would have more bytes than were announced.
            Overloaded: the parts of all uploads would hold too many bytes.
            TooManyUploads: those of the key would.
        """
        upload = self._get(upload_id)
        if upload.received + size > upload.announced:
            raise InvalidRequest(
                f"The parts have more than the {upload.announced} bytes that were announced.",
                param="data",
                code="bytes_mismatch",
            )
        self._hold(upload_id, max(part + size, MIN_PART_BYTES) - max(part, MIN_PART_BYTES))
        upload.received += size

    def remove_part(self, upload_id: str, size: int) -> None:
        """Stop counting a part of so many bytes: it could not be received."""
        upload = self._open.get(upload_id)
        if upload is not None:
            held = max(size, MIN_PART_BYTES)
            upload.received -= size
            upload.held -= held
            upload.parts -= 1
            self._add(upload.holder, -held)


class PartUsage:
    """What a part that is being received counts."""

    def __init__(self, usage: UploadUsage, upload_id: str) -> None:
        self._usage = usage
        self._upload_id = upload_id
        self._size = 0

    def grow(self, size: int) -> None:
        """Count more bytes. Raises as :meth:`UploadUsage.receive`."""
        self._usage.receive(self._upload_id, self._size, size)
        self._size += size

    def remove(self) -> None:
        """Count nothing of it any more."""
        self._usage.remove_part(self._upload_id, self._size)
