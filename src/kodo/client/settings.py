"""The toolkit's settings: which Responses API to talk to, and how. Read once into a frozen value.

Layers, highest first: arguments; the profile named by argument; environment (``KODO_*``, ``OPENAI_BASE_URL``,
``OPENAI_API_KEY``); the default profile (``KODO_PROFILE``, or ``profile`` under ``[client]``); ``[client]`` in
``KODO_HOME/config.toml``; the defaults below. The server's own settings are in ``kodo.server.config``.

A key never travels to an address it was not meant for: a profile with a ``base_url`` and no key does not take the key
of a lower layer, and ``OPENAI_API_KEY`` is used only where a base URL was given.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from kodo.client.errors import SettingsError
from kodo.client.prices import Price, PriceBook, UnknownPrice
from kodo.home import kodo_home

DEFAULT_MODEL = "codex-mini-latest"
"""Asked for where no model is named; a kodo server answers to it from the start."""


_ADDRESS = "must begin with http:// or https:// and name a host, such as http://127.0.0.1:8000/v1"
_ADDRESS_JA = "http:// または https:// で始めてください（例: http://127.0.0.1:8000/v1）"


class PriceSettings(BaseModel):
    """``[client.prices."NAME"]``: US dollars a million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    cached_input: Decimal | None = Field(default=None, ge=0)
    cache_write: Decimal | None = Field(default=None, ge=0)


class McpServerSettings(BaseModel):
    """``[client.mcp_servers.NAME]``: an MCP server whose tools ``kodo agent --mcp NAME`` may use; ``command`` or ``url``."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    command: tuple[str, ...] = ()
    """The program and its arguments, for a server that speaks over its standard streams."""
    url: str | None = None
    """The address of a server that speaks streamable HTTP."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables of ``command``, besides the SDK's short list of safe ones."""
    timeout: float = Field(default=60.0, gt=0)
    """Seconds one call may take."""
    trusted: bool = False
    """Whether to believe the server where it says that a tool only reads; otherwise each call needs an approval."""

    @model_validator(mode="after")
    def _check(self) -> McpServerSettings:
        if bool(self.command) == (self.url is not None):
            raise ValueError("give exactly one of command and url")
        return self


class ClientSettings(BaseSettings):
    """Everything the toolkit can be told. Made by :func:`load`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="KODO_", env_nested_delimiter="__"
    )

    profile: str | None = None
    base_url: str | None = None
    """The API's base URL, ending in ``/v1``. None means a running local kodo, or one started for the command."""
    api_key: SecretStr | None = None
    api_key_env: str | None = None
    """Name of an environment variable that holds the key."""
    model: str = DEFAULT_MODEL
    free: bool | None = None
    """Whether calls are free. None means free if the server is on this machine."""
    unknown_price: UnknownPrice | None = None
    """Policy where no price is known. None means to refuse if a limit on spending is in force, and to warn otherwise."""
    list_price_model: str = DEFAULT_MODEL
    """Whose list price is shown for a local model."""
    prices: dict[str, PriceSettings] = Field(default_factory=dict)
    mcp_servers: dict[str, McpServerSettings] = Field(default_factory=dict)
    """The MCP servers that an agent may be given, by name."""
    max_output_tokens: int | None = Field(default=None, ge=1)
    """Cap on an answer in tokens where the caller sets none."""
    budget_output_tokens: int = Field(default=8192, ge=1)
    """The same, but only where a limit on spending is in force: a worst case needs a cap."""
    timeout: float = Field(default=600.0, gt=0)
    """Seconds one attempt may be silent."""
    connect_timeout: float = Field(default=5.0, gt=0)
    max_retries: int = Field(default=5, ge=0)
    base_delay: float = Field(default=1.0, ge=0)
    max_delay: float = Field(default=60.0, ge=0)
    deadline: float | None = Field(default=None, ge=0)
    """Seconds after which no further attempt begins."""
    mask: bool = True
    """Mask secrets before sending."""
    autostart: bool = True
    """Start a local kodo where nothing else is configured or running."""
    start_timeout: float = Field(default=180.0, gt=0)
    """Seconds a started server may take to load its model."""
    lang: Literal["en", "ja"] | None = None

    @field_validator("base_url")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # brackets without an end, a port that is none
            sound = False
        if not sound or not value.isprintable() or " " in value:
            raise ValueError(_ADDRESS)
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given: :func:`load` has put the layers together already."""
        return (init_settings,)

    def key(self) -> str | None:
        """The API key, or None.

        Raises:
            SettingsError: ``api_key_env`` names a variable that is not set, or no header can carry the key.
        """
        if self.api_key is not None:
            return _sendable("api_key", self.api_key.get_secret_value())
        if self.api_key_env is None:
            return None
        value = os.environ.get(self.api_key_env)
        if not value:
            raise SettingsError(f"api_key_env: {self.api_key_env} is not set")
        return _sendable(f"api_key_env: {self.api_key_env}", value)

    def price_book(self, *, limited: bool) -> PriceBook:
        """The price book these settings describe; ``limited`` where a limit on spending is in force."""
        own = {
            name: Price(p.input, p.output, p.cached_input, p.cache_write) for name, p in self.prices.items()
        }
        policy: UnknownPrice = self.unknown_price or ("refuse" if limited else "warn")
        return PriceBook(own, policy, self.list_price_model)


def _sendable(name: str, key: str) -> str:
    """A key without the end of line that a file may have. Raises SettingsError: no header can carry it."""
    key = key.strip()
    if not key.isascii() or not key.isprintable():
        raise SettingsError(f"{name}: the key has characters that cannot be sent; it must be printable ASCII")
    return key


def load(profile: str | None = None, **arguments: object) -> ClientSettings:
    """Put the layers together and check the result. Arguments that are None count as not given.

    Raises:
        SettingsError: a value has the wrong type or range, a profile does not exist, the file is not TOML.
    """
    client, profiles = _read_file()
    environment = _read_environment()
    given = {name: value for name, value in arguments.items() if value is not None}
    default = environment.get("profile") or client.get("profile")
    merged = dict(client)
    if default and not profile:
        merged = _over(merged, _profile(profiles, default))
    merged |= environment
    if profile:
        merged = _over(merged, _profile(profiles, profile))
    url_from_file = merged.get("base_url") if profile or "base_url" not in environment else None
    merged |= given
    if "api_key" not in given and "api_key" not in environment:
        merged |= _openai_key(merged.get("base_url"), url_from_file)
    merged["profile"] = profile or default
    return checked(merged)


def changed(settings: ClientSettings, **values: object) -> ClientSettings:
    """Settings with other values. Those that are None count as not given. Raises SettingsError: one is wrong."""
    given = {name: value for name, value in values.items() if value is not None}
    return checked({**settings.model_dump(), **given})


def checked(values: Mapping[str, Any]) -> ClientSettings:
    """Settings of these values. Raises SettingsError: one has the wrong type or range."""
    try:
        return ClientSettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        wrong = SettingsError(f"{where}: {message}")
        if message == _ADDRESS:
            wrong.ja = f"{where}: {_ADDRESS_JA}"
        raise wrong from error


def _read_environment() -> dict[str, Any]:
    """The settings that environment variables give; empty values count as not given."""
    found = EnvSettingsSource(ClientSettings)()
    if "OPENAI_BASE_URL" in os.environ and not found.get("base_url"):
        found["base_url"] = os.environ["OPENAI_BASE_URL"]
    return {name: value for name, value in found.items() if value not in (None, "")}


def _openai_key(url: object, url_from_file: object) -> dict[str, str]:
    """``OPENAI_API_KEY`` as a setting, where it is set and the base URL does not come from the file."""
    key = os.environ.get("OPENAI_API_KEY")
    return {"api_key": key} if key and url not in (None, url_from_file) else {}


def _over(lower: dict[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """``upper`` over ``lower``; a URL in ``upper`` leaves the keys of ``lower`` behind."""
    if "base_url" in upper:
        lower = {name: value for name, value in lower.items() if name not in ("api_key", "api_key_env")}
    return {**lower, **upper}


def _profile(profiles: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = profiles.get(name)
    if not isinstance(found, Mapping):
        known = ", ".join(sorted(profiles)) or "none"
        raise SettingsError(f"profile: {name!r} is not in {kodo_home() / 'config.toml'} (there: {known})")
    return found


def _read_file() -> tuple[dict[str, Any], dict[str, Any]]:
    path = kodo_home() / "config.toml"
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}, {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    tables = data.get("client", {}), data.get("profiles", {})
    for name, table in zip(("client", "profiles"), tables, strict=True):
        if not isinstance(table, dict):
            raise SettingsError(f"{path}: [{name}] is not a table")
    return tables
