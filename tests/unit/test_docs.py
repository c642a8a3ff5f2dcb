"""The pages hold together: links, anchors, paths of the tree, and the site's table of contents."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.paths import DOCS, REPOSITORY

PAGES = sorted([*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(`{3,}).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
TREE_PATH = re.compile(r"`((?:src/kodo|tests|bench|scripts|docs|requirements)/(?!test_)[\w./-]+)`")
PAGE_PATH = re.compile(r"(?<![\w./-])docs/[\w-]+/[\w./-]*\.md")


def name_of(page: Path) -> str:
    """A page's path from the root of the checkout."""
    return page.relative_to(REPOSITORY).as_posix()


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = FENCE.sub("", page.read_text())
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The relative links of a page outside of code: the target and the anchor."""
    for target in LINK.findall(CODE.sub("", FENCE.sub("", page.read_text()))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        yield (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_resolves(page: Path) -> None:
    """The file is there, and so is the heading that an anchor names."""
    broken = [
        f"{target}#{anchor}"
        for target, anchor in links(page)
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    """A module that moves takes the pages that name it along. The changelog names what was."""
    if page.name == "CHANGELOG.md":
        return
    named = TREE_PATH.findall(page.read_text())
    assert [path for path in named if not (REPOSITORY / path).exists()] == []


def test_every_page_that_the_code_names_exists() -> None:
    """Docstrings, messages and the Makefile point at pages that are there."""
    sources = [REPOSITORY / "Makefile", REPOSITORY / "pyproject.toml"]
    for folder in ("src", "tests", "bench", "scripts"):
        sources += (REPOSITORY / folder).rglob("*.py")
    missing = {
        (name_of(source), page)
        for source in sources
        for page in PAGE_PATH.findall(source.read_text())
        if not (REPOSITORY / page).exists()
    }
    assert missing == set()


def test_every_page_is_in_the_sites_table_of_contents() -> None:
    """zensical.toml lists each page of docs/ once, and nothing else."""

    def listed(entries: list[Any]) -> Iterator[str]:
        for entry in entries:
            for value in entry.values() if isinstance(entry, dict) else [entry]:
                if isinstance(value, str):
                    yield value
                else:
                    yield from listed(value)

    nav = tomllib.loads((REPOSITORY / "zensical.toml").read_text())["project"]["nav"]
    assert sorted(listed(nav)) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


def test_every_decision_is_in_the_index() -> None:
    """docs/decisions/index.md links each page beside it."""
    index = DOCS / "decisions" / "index.md"
    assert {target for target, _ in links(index)} == set(index.parent.glob("*.md")) - {index}
