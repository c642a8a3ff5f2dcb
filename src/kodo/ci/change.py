"""The change that a pipeline runs for, as the pipeline's own variables describe it.

Job 1 uses this to know what to review. Job 2 never does: it asks the forge (``kodo.ci.forge``). This module does not
know any pipeline system; ``environment`` reads each one's variables.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class System(StrEnum):
    """The pipeline systems that are known; ``plain`` is any other with git."""

    GITHUB = "github"
    GITLAB = "gitlab"
    JENKINS = "jenkins"
    PLAIN = "plain"


class EventError(ValueError):
    """The pipeline's variables or its event do not describe a change; the message names the variable."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One pull request or merge request (or pushed branch), as seen from inside its pipeline.

    ``base`` and ``head`` are revisions that git can resolve; ``target`` is the branch to merge into. ``number`` is 0
    where there is no request. ``repository`` is ``owner/name`` or a project's path.
    """

    system: System
    base: str
    head: str
    target: str = ""
    repository: str = ""
    number: int = 0
    fork: bool = False
    draft: bool = False
    author_is_bot: bool = False
    labels: tuple[str, ...] = ()


def is_sha(text: str) -> bool:
    """Whether ``text`` is a full commit id."""
    return SHA.fullmatch(text) is not None
