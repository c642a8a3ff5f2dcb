"""Two hundred documents for the measurement of the search: sections of the documentation in released source packages.

``openai-agents`` 0.24.0 (MIT) has its pages in English and Japanese, ``flask`` 3.1.3 (BSD-3-Clause) in English. Sections of 80 to
420 tokens are taken in the order of a hash of their names, so nobody chose them: 50 and 100 of the first, 50 of the second.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kodo.server.lifecycle.retrieval.splitting import count_tokens

ARCHIVES: Final = ("openai_agents-0.24.0.tar.gz", "flask-3.1.3.tar.gz")
_HEADINGS: Final = {".md": re.compile(r"(?m)^(?=## )"), ".rst": re.compile(r"(?m)^(?=.+\n-{4,}$)")}


@dataclass(frozen=True)
class Section:
    """A document. ``name``: its page's path and its number there, with the page's ending."""

    name: str
    text: str


def read_sections(folder: Path) -> list[Section]:
    """The documents, from the archives in a folder."""
    agents, flask = (list(_sections(folder / name)) for name in ARCHIVES)
    japanese = [one for one in agents if one.name.startswith("ja-")]
    english = [one for one in agents if not one.name.startswith(("ja-", "ko-", "zh-", "ref-"))]
    return [*_chosen(english, 50), *_chosen(japanese, 100), *_chosen(flask, 50)]


def _chosen(sections: list[Section], count: int) -> list[Section]:
    fitting = [one for one in sections if 80 <= count_tokens(one.text) <= 420]
    return sorted(fitting, key=lambda one: hashlib.sha256(one.name.encode()).hexdigest())[:count]


def _sections(archive: Path) -> Iterator[Section]:
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda member: member.name):
            _, _, path = member.name.partition("/docs/")
            ending = Path(path).suffix
            file = tar.extractfile(member) if path and ending in _HEADINGS else None
            if file is not None:
                stem = path.removesuffix(ending).replace("/", "-")
                for number, text in enumerate(_HEADINGS[ending].split(file.read().decode())):
                    yield Section(f"{stem}-{number}{ending}", text.strip())
