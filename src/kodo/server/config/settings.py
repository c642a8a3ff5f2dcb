"""All settings of the server as one value, from their sources in their order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from kodo.home import kodo_home
from kodo.server.config.limits import LimitSettings
from kodo.server.config.models import LlamaSettings, ModelSettings
from kodo.server.config.tables import Frozen, check_text
from kodo.server.config.tools import ToolSettings

NO_PRICES = "a budget in dollars needs a price: set price_input, price_cached_input and price_output of a model in [models]"


class UiSettings(Frozen):
    """The dashboard at ``/ui``. ``[ui]``."""

    enabled: bool = True
    show_prompts: bool = True
    """Whether what clients sent and models answered is shown: texts, arguments, metadata, files. Counts always are."""
    session_hours: float = Field(default=12, gt=0)
    """How long a browser stays signed in where keys exist."""


class CacheSettings(Frozen):
    """Saved prompt state. ``[cache]``."""

    disk_bytes: int = Field(default=2 * 2**30, ge=0)
    """Quota of saved prompt state on disk; 0 saves none."""
    minimum_tokens: int = Field(default=256, ge=1)
    """Prompts shorter than this are not saved."""


class S3Settings(Frozen):
    """How the bucket of ``files`` is reached. ``[s3]``. Credentials come from the environment only."""

    endpoint: str | None = None
    """The address of a store other than Amazon's: ``https://host:port``. None: ``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL``, else
    Amazon's."""
    region: str | None = None
    """None: ``AWS_REGION`` or ``AWS_DEFAULT_REGION``, else ``us-east-1``."""
    path_style: bool | None = None
    """Whether the bucket stands in the path of an address, as MinIO and most others have it, or before the host. None: in the path,
    where there is an endpoint."""

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^/@\s?#]+/?", value):
            raise ValueError("must be http://host:port or https://host:port")
        return None if value is None else value.rstrip("/")


class Settings(BaseSettings):
    """All settings of the server. Frozen; built by :func:`load`."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_prefix="KODO_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    home: Path = Field(default_factory=kodo_home)
    database: SecretStr | None = None
    """Where everything is stored: ``postgresql://user:password@host:5432/name``, which several servers may share; None:
    ``kodo.db`` in ``home``."""
    shared_folder: Path | None = None
    """Where files and the key of sealed reasoning are; with several servers, a folder that all of them see. None: ``home``."""
    files: str | None = None
    """A bucket that speaks S3, in place of ``shared_folder``: ``s3://bucket/prefix``."""
    s3: S3Settings = S3Settings()
    lease_seconds: float = Field(default=15, ge=1)
    """With several servers on one database: one that was not heard of for so long is taken for dead, and others go on with
    its work."""
    role: Literal["all", "api", "worker"] = "all"
    """With several servers on one database: ``api`` leaves background responses and batches to others, ``worker`` does only
    these and takes no requests."""
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    cors_origins: tuple[str, ...] = ()
    """Origins a browser page may call from; none by default."""
    allowed_hosts: tuple[str, ...] = ()
    """Names accepted in the Host header besides loopback ones and the bound address."""
    open_metrics: bool = False
    """Whether ``/metrics`` and ``/openapi.json`` are answered without a key where keys exist: for scrapers."""
    images: Literal["note", "refuse"] = "note"
    """Text-only models: an image part becomes a short note to the model, or the request is a 400."""
    retention_days: float = Field(default=30, gt=0)
    """Responses, stored chat completions and batches that are over are deleted when they are older."""
    thread_days: float | None = Field(default=None, gt=0)
    """Threads of the Assistants API are deleted this many days after the last addition; None means never."""
    shutdown_seconds: float = Field(default=30, ge=0)
    """How long requests in flight may continue after SIGTERM."""
    heartbeat_seconds: float = Field(default=5, gt=0)
    """Pause after which a waiting stream repeats ``response.in_progress``."""
    run_seconds: float = Field(default=600, gt=0)
    """Life of an Assistants run; one that is not over by then expires."""
    websockets: bool = True
    connection_seconds: float = Field(default=3600, gt=0)
    """Time limit of a WebSocket; the client then has to open a new one."""
    models: dict[str, ModelSettings] = Field(default_factory=lambda: {"codex-mini-latest": ModelSettings()})
    llama: LlamaSettings = LlamaSettings()
    limits: LimitSettings = LimitSettings()
    cache: CacheSettings = CacheSettings()
    tools: ToolSettings = ToolSettings()
    ui: UiSettings = UiSettings()

    _text = field_validator("*")(check_text)

    @field_validator("database")
    @classmethod
    def _is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return value

    @field_validator("files")
    @classmethod
    def _is_a_bucket(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(
            r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)*/?", value
        ):
            raise ValueError("must be s3://bucket or s3://bucket/prefix")
        return None if value is None else value.rstrip("/")

    @field_validator("role")
    @classmethod
    def _needs_a_database(cls, value: str, info: ValidationInfo) -> str:
        if value != "all" and info.data.get("database") is None:
            raise ValueError(f"'{value}' needs the setting database: with SQLite there is one server")
        return value

    @model_validator(mode="after")
    def _has_prices_for_its_budgets(self) -> Settings:
        for name in ("usd_per_day", "usd_per_month"):
            if getattr(self.limits, name) is not None and not self.has_prices:
                raise ValueError(f"limits.{name}: {NO_PRICES}")
        return self

    @property
    def has_prices(self) -> bool:
        """Whether any model has a price, without which a budget in dollars would never be spent."""
        return any(model.has_price for model in self.models.values())

    @property
    def database_url(self) -> str | None:
        """The address of the database, with its password; None: SQLite."""
        return None if self.database is None else self.database.get_secret_value()

    @property
    def shared(self) -> Path:
        """The folder that all servers on one database share."""
        return self.shared_folder or self.home

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, then ``config.toml``."""
        toml = TomlConfigSettingsSource(settings_cls, toml_file=kodo_home() / "config.toml")
        return init_settings, env_settings, toml
