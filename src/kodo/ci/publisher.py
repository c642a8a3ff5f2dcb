"""Publishing with one more look where a write was left in doubt."""

from __future__ import annotations

from kodo.ci.forge import Forge, Write
from kodo.ci.http import AmbiguousWriteError
from kodo.ci.masking import Masker
from kodo.ci.publication import publish
from kodo.client.retry import RetryPolicy

AGAIN = RetryPolicy(
    max_retries=3, base_delay=2.0, max_delay=20.0, retryable_exceptions=(AmbiguousWriteError,)
)


def publish_safely(
    forge: Forge, run_id: int, masker: Masker, *, dry_run: bool = False, again: RetryPolicy = AGAIN
) -> tuple[Write, ...]:
    """As :func:`kodo.ci.publication.publish`. Where it is unknown whether a write happened, the change is read and planned anew.

    What did happen is recognised by its marker, so nothing is written twice. Raises ForgeError.
    """
    return again.call(f"publish run {run_id}", lambda: publish(forge, run_id, masker, dry_run=dry_run))
