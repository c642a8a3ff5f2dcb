"""Which of some functions a piece of work goes through."""

import sys
import types
from collections.abc import Collection, Iterator
from contextlib import contextmanager


@contextmanager
def reached(file: str, names: Collection[str]) -> Iterator[set[str]]:
    """Collect the qualified names, of ``names`` in ``file``, of the functions called in the block."""
    seen: set[str] = set()
    wanted = frozenset(names)

    def profile(frame: types.FrameType, event: str, argument: object) -> None:
        if event == "call":
            code = frame.f_code
            name = code.co_qualname.partition(".<locals>")[0]
            if name in wanted and code.co_filename == file:
                seen.add(name)

    sys.setprofile(profile)
    try:
        yield seen
    finally:
        sys.setprofile(None)
