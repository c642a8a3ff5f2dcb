"""One more look where a write was left in doubt, or where somebody deleted a comment meanwhile: for every job that writes.

What did happen is recognised when it is planned anew (by its marker, or by the forge's own records), so nothing is written twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from kodo.ci.forge import Forge
from kodo.ci.http import LookAgainError
from kodo.ci.masking import Masker
from kodo.ci.publication import publish
from kodo.ci.writes import Write
from kodo.client.retry import RetryPolicy

T = TypeVar("T")

AGAIN = RetryPolicy(max_retries=3, base_delay=2.0, max_delay=20.0, retryable_exceptions=(LookAgainError,))


def look_again(name: str, act: Callable[[], T], again: RetryPolicy = AGAIN) -> T:
    """Run ``act``, which reads, plans and writes; from its beginning where what it planned rests on something that is no longer so.

    Raises what ``act`` raises, ForgeError after the last attempt.
    """
    return again.call(name, act)


def publish_safely(
    forge: Forge, run_id: int, masker: Masker, *, dry_run: bool = False, again: RetryPolicy = AGAIN
) -> tuple[Write, ...]:
    """As :func:`kodo.ci.publication.publish`, with another look. Raises ForgeError."""
    return look_again(f"publish run {run_id}", lambda: publish(forge, run_id, masker, dry_run=dry_run), again)
