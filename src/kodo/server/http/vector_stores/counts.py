"""Files of a store or a batch, counted by their status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kodo.server.wire.vector_stores import FileCounts, VectorStoreFile


def counts(files: Sequence[VectorStoreFile]) -> FileCounts:
    """Files by their status."""
    by_status = Counter(file.status for file in files)
    return FileCounts(
        in_progress=by_status["in_progress"],
        completed=by_status["completed"],
        failed=by_status["failed"],
        cancelled=by_status["cancelled"],
        total=len(files),
    )
