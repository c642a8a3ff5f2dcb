"""Both languages say everything, and say nothing that no page shows."""

from __future__ import annotations

import re
import string
from importlib.resources import files
from pathlib import Path

from tests.unit.server.ui.pages import dashboard

from kodo.server.ui.rendering import texts

NAME = re.compile(
    r"""\bt\("([a-z_]+\.[a-z0-9_]+)"(?! ~)|"(login\.(?!html)[a-z]+)"|notice="([a-z_]+\.[a-z_]+)\""""
)
MADE = re.compile(r"""\bt\("([a-z_]+\.[a-z_]*)" ~""")


def sources() -> str:
    """Templates and modules of the dashboard, as one text."""
    folder = files("kodo.server.ui")
    found = [*Path(str(folder)).rglob("*.html"), *Path(str(folder)).rglob("*.py")]
    return "\n".join(file.read_text("utf-8") for file in found)


def test_every_text_is_there_in_both_languages() -> None:
    """Neither is empty, Japanese is Japanese where English has words, and both have the same places for values."""
    assert len(texts()) > 80
    for name, (english, japanese) in texts().items():
        assert english.strip(), name
        assert japanese.strip(), name
        places = [
            {field for _, field, _, _ in string.Formatter().parse(text) if field}
            for text in (english, japanese)
        ]
        assert places[0] == places[1], name


def test_the_pages_use_exactly_the_texts_of_the_catalogue() -> None:
    """A name that is not there, or that nobody uses, is a mistake."""
    source = sources()
    used = {name for match in NAME.findall(source) for name in match if name}
    made = tuple(MADE.findall(source))
    assert used - set(texts()) == set()
    left = {name for name in texts() if name not in used and not name.startswith((*made, "status."))}
    assert left == set()


async def test_the_language_is_the_browsers_until_one_is_chosen(tmp_path: Path) -> None:
    """By Accept-Language; then by the form."""
    async with dashboard(tmp_path) as (_, browser):
        english, japanese = (
            await browser.get("/ui"),
            await browser.get("/ui", accept_language="ja-JP,ja;q=0.9,en;q=0.5"),
        )
        assert '<html lang="en"' in english.text and "Overview" in english.text
        assert '<html lang="ja"' in japanese.text and "概要" in japanese.text
        await browser.post("/ui/preferences", language="ja")
        assert '<html lang="ja"' in (await browser.get("/ui", accept_language="en")).text
