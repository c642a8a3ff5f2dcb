"""Entry of `make setup`: is this Python new enough? Then scripts/checkout.py does the work.

This file alone must run on every Python, 2.7 too, so that an old one gets a sentence and not a SyntaxError.
"""

import sys

OLDEST = (3, 11)


def newer_python():
    """The name of a Python on PATH that is new enough and runs, or None."""
    import os
    import subprocess

    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - old Pythons
        for name in ("python3.13", "python3.12", "python3.11"):
            try:
                if subprocess.call([name, "-c", ""], stdout=nowhere, stderr=nowhere) == 0:
                    return name
            except OSError:
                continue
    return None


def main():
    """Refuse an old Python in one line, else set the checkout up; returns the exit status."""
    if sys.version_info < OLDEST:
        found = newer_python()
        way = (
            "run it again with PYTHON=" + found
            if found
            else "install it and run again with PYTHON=python3.12"
        )
        version = ".".join(str(part) for part in sys.version_info[:3])
        sys.stderr.write("kodo: needs Python 3.11 or newer, this is " + version + ": " + way + "\n")
        return 2
    import checkout

    return checkout.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
