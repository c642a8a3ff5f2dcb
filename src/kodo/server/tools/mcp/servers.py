"""Which MCP servers may be reached, and how: the settings decide, a client only chooses among them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from kodo.server.config import McpServerSettings, McpSettings
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.wire.hosted_tools import McpTool

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_RESERVED = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te"})


@dataclass(frozen=True)
class McpTarget:
    """A server that a request may use, and what it is sent. Secret: never logged, stored or echoed."""

    name: str
    url: str | None = None
    transport: Literal["http", "sse"] = "http"
    headers: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    cwd: Path | None = None

    def key(self, owner: str) -> bytes:
        """Whose session with this server, under these headers, it is."""
        parts = (owner, self.name, self.url, self.transport, self.headers, self.command, self.env, self.cwd)
        return sha256(repr(parts).encode()).digest()

    def __repr__(self) -> str:
        return f"McpTarget({self.name!r})"


class McpServers:
    """The servers of the settings."""

    def __init__(self, settings: McpSettings) -> None:
        self._named = settings.servers
        self._by_url = {_normal(server.url): server for server in settings.servers.values() if server.url}
        self._exact = {_normal(url) for url in settings.allowed_urls if not url.endswith("*")}
        self._below = [_normal(url[:-1]) for url in settings.allowed_urls if url.endswith("*")]

    def __bool__(self) -> bool:
        return bool(self._named or self._exact or self._below)

    def target(self, entry: McpTool) -> McpTarget:
        """The server that an entry names.

        Raises:
            InvalidRequest: it is not on the list, or it is named in a way that this server does not know.
        """
        for field in ("connector_id", "tunnel_id"):
            if isinstance(getattr(entry, field), str):
                raise InvalidRequest(
                    f"'{field}' belongs to the hosted service; send server_url, or the server_label of a server in "
                    "the settings.",
                    param=field,
                    code="unsupported_parameter",
                )
        headers = _headers(entry)
        if not isinstance(entry.server_url, str):
            named = self._named.get(entry.server_label)
            if named is None:
                raise InvalidRequest(
                    f"The settings have no MCP server '{entry.server_label}'. They have: {self._names()}.",
                    param="server_label",
                    code="mcp_server_not_allowed",
                )
            return _target(entry.server_label, named, headers)
        url = self._checked(entry.server_url)
        known = self._by_url.get(url)
        if known is not None:
            return _target(entry.server_label, known, headers)
        if url in self._exact or any(_is_below(url, prefix) for prefix in self._below):
            return McpTarget(name=entry.server_label, url=entry.server_url, headers=tuple(headers.items()))
        raise InvalidRequest(
            "This server_url is not on the list of MCP servers that may be reached. To allow it, add it to "
            "allowed_urls in [tools.mcp] of config.toml.",
            param="server_url",
            code="mcp_server_not_allowed",
        )

    def _names(self) -> str:
        return ", ".join(sorted(self._named)) or "none"

    def _checked(self, url: str) -> str:
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            raise _bad_url() from None
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise _bad_url()
        return _normal(url)


def _bad_url() -> InvalidRequest:
    return InvalidRequest("server_url must be an http or https URL without a user name.", param="server_url")


def _normal(url: str | None) -> str:
    """A URL in the form that URLs are compared in: scheme and host in small letters, no default port."""
    parts = urlsplit(url or "")
    port = parts.port
    default = {"http": 80, "https": 443}.get(parts.scheme)
    host = (parts.hostname or "").lower()
    place = f"[{host}]" if ":" in host else host
    netloc = place if port in (None, default) else f"{place}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme.lower()}://{netloc}{parts.path or '/'}{query}"


def _is_below(url: str, prefix: str) -> bool:
    """Whether a URL is below another one; a path that climbs is not."""
    path = urlsplit(url).path
    if any(part in ("..", ".") for part in path.split("/")) or "%2e" in path.lower() or "\\" in path:
        return False
    return url.startswith(prefix)


def _headers(entry: McpTool) -> dict[str, str]:
    """The headers that a client sends along. Raises :class:`InvalidRequest`; its message holds no value."""
    given = entry.headers if isinstance(entry.headers, dict) else {}
    headers: dict[str, str] = {}
    for name, value in given.items():
        lower = name.lower()
        sound = _HEADER.fullmatch(name) and value.isprintable() and value.isascii() and len(value) <= 16_384
        if not sound or lower in _RESERVED or lower.startswith(("mcp-", "proxy-")):
            raise InvalidRequest(f"The header {name[:60]!r} cannot be sent.", param="headers")
        headers[lower] = value
    if isinstance(entry.authorization, str):
        token = entry.authorization
        if not token.isascii() or not token.isprintable():
            raise InvalidRequest("authorization must be printable ASCII.", param="authorization")
        headers["authorization"] = f"Bearer {token}"
    return headers


def _target(name: str, server: McpServerSettings, sent: Mapping[str, str]) -> McpTarget:
    if server.command:
        return McpTarget(
            name=name,
            command=server.command,
            env=tuple((key, value.get_secret_value()) for key, value in server.env.items()),
            cwd=server.cwd,
        )
    own = {key.lower(): value.get_secret_value() for key, value in server.headers.items()}
    if server.authorization is not None:
        own["authorization"] = f"Bearer {server.authorization.get_secret_value()}"
    return McpTarget(
        name=name,
        url=server.url,
        transport=server.transport,
        headers=tuple(sorted({**own, **sent}.items())),
    )
