"""Score a job on real code: ``python -m bench.real reviews|tests|own [OPTIONS]``; ``--help`` after the name lists the options."""

from __future__ import annotations

import sys
from importlib import import_module

JOBS = {
    "reviews": "bench.real.review_bench",
    "tests": "bench.real.testgen_bench",
    "own": "bench.real.own_bench",
}
"""Name of a job -> the module whose ``main`` takes the rest of the command line."""


def main(arguments: list[str]) -> int:
    """Hand the rest of the command line to the job named first; exit status 2 for a name that is not in the table."""
    if not arguments or arguments[0] not in JOBS:
        print(f"usage: python -m bench.real {{{','.join(JOBS)}}} [OPTIONS]", file=sys.stderr)
        return 2
    status: int = import_module(JOBS[arguments[0]]).main(arguments[1:])
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
