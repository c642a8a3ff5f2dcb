"""One file in one analyser of this process: whatever it does to that analyser, the others are looked at.

Programs of their own (ruff, bandit) are limited by the time that their process may take.
"""

import logging
from collections.abc import Callable

from kodo.jobs.execution.time_limit import Deadline, OutOfTime, time_limit
from kodo.jobs.review.candidate import Candidate

logger = logging.getLogger(__name__)

NO_TIME = "the time of the review was up"
MAX_SECONDS = 30.0
"""Wall time of one analyser for one file. The slowest file of 1 MB that was found takes a third of it."""


def in_time(look: Callable[[list[Candidate]], str], deadline: Deadline | None) -> tuple[list[Candidate], str]:
    """What ``look`` adds to a list, and why it did not look at all of the file, or "".

    ``look`` returns such a reason itself where it has one.
    """
    found: list[Candidate] = []
    seconds = MAX_SECONDS if deadline is None else min(MAX_SECONDS, deadline.left)
    if not seconds:
        return found, NO_TIME
    try:
        with time_limit(seconds):
            return found, look(found)
    except OutOfTime:
        if deadline is not None and deadline.up:
            return found, NO_TIME
        return found, f"it takes longer than {MAX_SECONDS:g} s to check"
    except RecursionError:
        return found, "its tree is too deep to be checked"
    except Exception as error:  # the file is hostile; a fault that it finds in a check is this file's
        logger.debug("a check failed", exc_info=error)
        return found, f"it could not be checked: {type(error).__name__}"
