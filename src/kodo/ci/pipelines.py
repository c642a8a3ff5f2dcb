"""``kodo ci init``: the pipeline files of each system, from one description and one template a file.

Actions are pinned by commit, packages by hash; a container image is pinned by digest if one is given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from kodo.ci.change import System

_TEMPLATES = Path(__file__).with_name("templates")
_LEFT = re.compile(r"@[A-Z_]+@")
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:-]*(?:@sha256:[0-9a-f]{64})?")

FILES: Mapping[System, Mapping[str, str]] = MappingProxyType(
    {
        System.GITHUB: {
            ".github/workflows/kodo-review.yml": "github-review.yml",
            ".github/workflows/kodo-report.yml": "github-report.yml",
            ".github/workflows/kodo-triage.yml": "github-triage.yml",
            ".github/workflows/kodo-fix.yml": "github-fix.yml",
        },
        System.GITLAB: {".gitlab/kodo.yml": "gitlab.yml"},
        System.JENKINS: {"Jenkinsfile.kodo": "Jenkinsfile"},
    }
)
"""The files that each system needs: path in the repository to template."""

_ACTIONS = {  # commit and version, read from each action's repository on 2026-11-29
    "CHECKOUT": "3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
    "SETUP_PYTHON": "5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0",
    "UPLOAD_ARTIFACT": "bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0",
}


@dataclass(frozen=True, slots=True)
class PipelineDescription:
    """What every system's pipeline has.

    Attributes:
        requirements: the file with kodo and all it needs, each with its hashes, in the repository.
        python: its version, where the pipeline sets one up.
        minutes: the time limit of job 1.
        image: the container image of jobs that need one.
        artifact: the name of the artifact, and of its folder.
    """

    requirements: str = ".kodo/requirements.txt"
    python: str = "3.12"
    minutes: int = 25
    image: str = "python:3.12"
    artifact: str = "kodo-review"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.][A-Za-z0-9_./-]*", self.requirements) or ".." in self.requirements:
            raise ValueError("requirements: a plain path inside the repository is needed")
        if not _IMAGE.fullmatch(self.image):
            raise ValueError(f"image: {self.image!r} is not the name of an image")

    @property
    def image_is_pinned(self) -> bool:
        """Whether the image is named by its digest."""
        return "@sha256:" in self.image


def render_pipeline(system: System, description: PipelineDescription) -> dict[str, str]:
    """The files of a system, path to text. Raises ValueError for ``plain``, which has none."""
    if system not in FILES:
        raise ValueError(f"{system} has no pipeline file")
    values = {
        **_ACTIONS,
        "REQUIREMENTS": description.requirements,
        "PYTHON": description.python,
        "MINUTES": str(description.minutes),
        "IMAGE": description.image,
        "ARTIFACT": description.artifact,
    }
    return {
        path: _filled((_TEMPLATES / name).read_text("utf-8"), values) for path, name in FILES[system].items()
    }


def _filled(template: str, values: Mapping[str, str]) -> str:
    text = _LEFT.sub(lambda match: values[match[0].strip("@")], template)
    assert not _LEFT.search(text)  # noqa: S101 - values hold no placeholders
    return text
