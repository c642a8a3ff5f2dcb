"""Which changed files are run in both versions. Apart from ``behaviour``, which runs them, so that asking imports little."""

from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.languages import is_test


def can_run(file: ChangedFile) -> bool:
    """Whether a file is Python that is not a test and is there in both versions."""
    return (
        file.language == "python"
        and file.before is not None
        and file.complete
        and not file.whole
        and file.path.endswith(".py")
        and not is_test(file.path)
    )
