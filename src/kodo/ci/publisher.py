"""Publishing with one more look where a write was left in doubt, or where somebody deleted a comment meanwhile."""

from __future__ import annotations

from kodo.ci.forge import Forge
from kodo.ci.http import LookAgainError
from kodo.ci.masking import Masker
from kodo.ci.publication import publish
from kodo.ci.writes import Write
from kodo.client.retry import RetryPolicy

AGAIN = RetryPolicy(max_retries=3, base_delay=2.0, max_delay=20.0, retryable_exceptions=(LookAgainError,))


def publish_safely(
    forge: Forge, run_id: int, masker: Masker, *, dry_run: bool = False, again: RetryPolicy = AGAIN
) -> tuple[Write, ...]:
    """As :func:`kodo.ci.publication.publish`. Where it is unknown whether a write happened, or what it was for is gone, the change is read and planned anew.

    What did happen is recognised by its marker, so nothing is written twice. Raises ForgeError.
    """
    return again.call(f"publish run {run_id}", lambda: publish(forge, run_id, masker, dry_run=dry_run))
