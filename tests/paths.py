"""Where things are in the checkout, so that a test that moves need not count folders."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = REPOSITORY / "tests" / "data"
DOCS = REPOSITORY / "docs"
