"""Templates, texts in both languages, and the security headers of every page.

Jinja2 escapes everything that a template shows; no template marks anything as safe. Pages have no inline script and no
inline style, and the Content-Security-Policy says so to the browser.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from kodo.server.ui import formats
from kodo.server.ui.access import Viewer

Language = Literal["en", "ja"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "ja")
THEMES: Final = ("auto", "light", "dark")
SECURITY_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer, browsers send forms with `Origin: null`
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
_MEDIA = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "woff2": "font/woff2",
    "svg": "image/svg+xml",
}


@cache
def texts() -> Mapping[str, tuple[str, str]]:
    """Every text by its name: English, Japanese."""
    data = tomllib.loads(files("kodo.server.ui").joinpath("texts.toml").read_text("utf-8"))
    return {
        f"{table}.{name}": (pair[0], pair[1])
        for table, entries in data.items()
        for name, pair in entries.items()
    }


def text(language: Language, name: str, /, **values: object) -> str:
    """A text in a language. KeyError: there is none of this name."""
    found = texts()[name][LANGUAGES.index(language)]
    return found.format(**values) if values else found


def status_text(language: Language, status: str | None) -> str:
    """A status in a language; one that is not known as it is."""
    return (
        texts()[f"status.{status}"][LANGUAGES.index(language)]
        if f"status.{status}" in texts()
        else str(status)
    )


@cache
def static_file(name: str) -> tuple[bytes, str, str] | None:
    """The bytes, the media type and a short hash of a file under ``static``; None: there is none."""
    *folders, base = name.split("/")
    media = _MEDIA.get(base.rpartition(".")[2])
    if media is None or folders not in ([], ["vendor"]) or base.startswith("."):
        return None
    try:
        data = files("kodo.server.ui").joinpath("static", *folders, base).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return None
    return data, media, hashlib.sha256(data).hexdigest()[:12]


def static_url(name: str) -> str:
    """The URL of a static file, with its hash, so that browsers may keep it for ever."""
    found = static_file(name)
    if found is None:
        raise KeyError(name)
    return f"/ui/static/{name}?v={found[2]}"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("kodo.server.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals["static"] = static_url
    for name in (
        "number",
        "short",
        "seconds",
        "dollars",
        "amount",
        "percent",
        "size",
        "moment",
        "iso",
        "short_id",
        "pretty",
    ):
        made.filters[name] = getattr(formats, name)
    made.filters["tojson_text"] = lambda value: json.dumps(value, ensure_ascii=False)
    return made


def warm() -> None:
    """Read the texts, and compile the first page and what every page has (0.1 s), so that nobody's first look waits for it."""
    texts()
    for name in ("base.html", "macros.html", "overview.html"):
        _environment().get_template(name)


def language_of(request: Request) -> Language:
    """The language that was chosen, else the first one of the browser's that is spoken here, else English."""
    chosen = request.cookies.get("kodo_ui_language")
    wanted = [chosen or "", *request.headers.get("accept-language", "").lower().split(",")]
    for word in wanted:
        for language in LANGUAGES:
            if word.strip().startswith(language):
                return language
    return "en"


def theme_of(request: Request) -> str:
    """``auto``, ``light`` or ``dark``."""
    chosen = request.cookies.get("kodo_ui_theme", "auto")
    return chosen if chosen in THEMES else "auto"


def is_partial(request: Request) -> bool:
    """Whether htmx asks for a part of a page only."""
    return request.headers.get("hx-request") == "true"


def render(
    request: Request,
    template: str,
    viewer: Viewer | None,
    *,
    page: str,
    status: int = 200,
    **values: Any,
) -> Response:
    """A page. ``page``: its place in the navigation; ``viewer`` None: nobody has signed in."""
    language = language_of(request)
    html = (
        _environment()
        .get_template(template)
        .render(
            t=lambda name, /, **more: text(language, name, **more),
            status_text=lambda status: status_text(language, status),
            language=language,
            theme=theme_of(request),
            viewer=viewer,
            page=page,
            path=request.url.path,
            **values,
        )
    )
    return HTMLResponse(html, status, headers=SECURITY_HEADERS)
