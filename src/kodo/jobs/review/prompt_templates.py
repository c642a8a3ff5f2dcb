"""The prompts, which are files beside this module."""

import hashlib
from functools import cache
from importlib.resources import files

LANGUAGE_NAMES = {"en": "English", "ja": "Japanese"}


@cache
def prompt(name: str) -> str:
    """The text of ``prompts/NAME``."""
    return files("kodo.jobs.review").joinpath("prompts", name).read_text(encoding="utf-8")


def canary_for(text: str) -> str:
    """A word that stands in the instructions and nowhere else: an answer that has it repeats them.

    Made from the piece under review, so that a recorded review replays.
    """
    return (
        "KODO-" + hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=5).hexdigest().upper()
    )
