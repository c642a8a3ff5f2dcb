"""How a review is to be done, as its caller wants it. What the project wants is in ``settings``."""

from dataclasses import dataclass

from kodo.jobs.report.model import Category

LANGUAGES = ("en", "ja")
SIZES = ("small", "capable")
MIN_WINDOW = {"small": 512, "capable": 2560}
"""Tokens: what a request needs besides the code, and some code."""


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """One review's options.

    ``categories``: only findings of these classes. ``lang``: of the messages, ``en`` or ``ja``. ``model``: its name,
    empty for the session's own; ``size``: what it is good for (``small`` chooses among labels, ``capable`` fills a
    schema). ``window``: tokens the model can read and write in one request. ``max_requests``: how many times the
    model may be asked. ``baseline``: fingerprints that are known and do not count. ``tests``: run the project's
    tests for evidence and fixes. ``run``: run changed functions in both versions, for at most ``run_seconds``. ``fixes``: try the analysers' fixes. ``max_bytes``: a larger file is not read.
    ``max_seconds``: wall time of the review; what it has no time for is listed as not reviewed.
    """

    categories: frozenset[Category] = frozenset(Category)
    lang: str = "en"
    model: str = ""
    size: str = "small"
    window: int = 2048
    max_requests: int = 40
    baseline: frozenset[str] = frozenset()
    tests: bool = False
    run: bool = False
    run_seconds: float = 20.0
    fixes: bool = True
    max_bytes: int = 1_000_000
    max_seconds: float = 600.0

    def __post_init__(self) -> None:
        if self.lang not in LANGUAGES:
            raise ValueError(f"lang: {self.lang!r} is not one of {', '.join(LANGUAGES)}")
        if self.size not in SIZES:
            raise ValueError(f"size: {self.size!r} is not one of {', '.join(SIZES)}")
        if self.run_seconds <= 0:
            raise ValueError("run-seconds: must be above 0")
        if self.max_seconds <= 0:
            raise ValueError("max-seconds: must be above 0")
        least = MIN_WINDOW[self.size]
        if self.window < least:
            raise ValueError(
                f"window: {self.window} tokens are too few, {least} is the least for a {self.size} model"
            )
