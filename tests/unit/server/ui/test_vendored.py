"""What is other people's: unchanged, with its version in its name and its licence beside it."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from pathlib import Path

from tests.unit.server.ui.pages import dashboard

from kodo.server.ui.rendering import SECURITY_HEADERS

UI = Path(str(files("kodo.server.ui")))
VENDOR = UI / "static" / "vendor"
HASHES = {
    "htmx-4.0.1.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    "inter-5.3.0-latin.woff2": "3100e775e8616cd2611beecfa23a4263d7037586789b43f035236a2e6fbd4c62",
    "jetbrains-mono-5.3.0-latin.woff2": "18be452724bfdc236c074ca94a249a7f41a86752c7d04ab258ce9ed5651f6a7e",
    "uplot-1.6.32.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uplot-1.6.32.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}
"""SHA-256 of the files of the npm packages htmx.org, uplot, @fontsource-variable/inter and …/jetbrains-mono."""


def test_vendored_files_are_what_was_published() -> None:
    """Byte for byte; each has the licence of its package."""
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in VENDOR.iterdir()
        if file.suffix != ".LICENSE"
    }
    assert found == HASHES
    for name in HASHES:
        package = re.split(r"-\d", name)[0]
        assert (VENDOR / f"{package}.LICENSE").read_text("utf-8").strip()


def test_no_page_has_a_script_or_a_style_of_its_own() -> None:
    """The policy forbids it, so a template with one would be broken."""
    assert "default-src 'self'" in SECURITY_HEADERS["content-security-policy"]
    assert "unsafe" not in SECURITY_HEADERS["content-security-policy"]
    for template in (UI / "templates").iterdir():
        text = template.read_text("utf-8")
        assert not re.search(
            r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|\|\s*safe\b", text
        ), template.name


async def test_static_files_are_kept_by_browsers_and_nothing_else_is_served(tmp_path: Path) -> None:
    """A page's URL has the file's hash; other paths are 404."""
    async with dashboard(tmp_path) as (_, browser):
        page = (await browser.get("/ui")).text
        urls = re.findall(r'"(/ui/static/[^"#]+)', page)
        assert len(urls) >= 4
        for url in set(urls):
            answer = await browser.get(url)
            assert answer.status_code == 200, url
            assert "immutable" in answer.headers["cache-control"], url
        for name in (
            "../app.py",
            "..%2fapp.py",
            "vendor/../../app.py",
            "texts.toml",
            ".env",
            "vendor",
            "none.css",
        ):
            assert (await browser.get(f"/ui/static/{name}")).status_code == 404, name
